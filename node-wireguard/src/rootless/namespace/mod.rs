//! A private user and network namespace with a kernel TUN: complete and fast, and it needs no rights.
//!
//! A helper process holds the namespaces, for a process with threads cannot enter a user namespace, and makes sockets in
//! them on request. A socket belongs to the namespace it was made in, so everything else is done from here.

mod helper;
mod serve;
mod watcher;
pub(crate) mod wire;

pub use serve::{control, serve};
pub use wire::Setup;

use super::{AcceptSink, DatagramSink, EventSink, RootlessError, Stream};
use crate::io::socket::{self, Kind};
use crate::packet::checksum::{finish, sum};
use crate::rootless::pings::{ECHO, ECHO_V6, PAYLOAD};
use helper::Helper;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use watcher::{Shared, Watched};

const BACKLOG: u16 = 4096;

/// The handle of a running namespace.
pub struct Namespace {
    shared: Arc<Shared>,
    helper: Mutex<Option<Arc<Helper>>>,
    pid: u32,
    /// The raw ICMP sockets, once somebody pings: IPv4, IPv6.
    echo: Mutex<[Option<Arc<UdpSocket>>; 2]>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Namespace {
    /// Starts the helper. The descriptor is the TUN's.
    ///
    /// # Errors
    /// `Forbidden` with the step that this machine refuses.
    pub fn open(
        program: PathBuf,
        setup: Setup,
        first_ping: u32,
        events: EventSink,
    ) -> Result<(Self, OwnedFd), RootlessError> {
        let shared = Arc::new(Shared::new(first_ping, events)?);
        let (tell, started) = channel();
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("namespace".to_string())
            .spawn(move || watcher::watch(&of_thread, &program, &setup, &tell))?;
        let (helper, tun) = started.recv().unwrap_or(Err(RootlessError::Closed))?;
        let pid = helper.pid();
        let (helper, thread) = (Mutex::new(Some(helper)), Mutex::new(Some(thread)));
        Ok((Self { shared, helper, pid, echo: Mutex::default(), thread }, tun))
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    fn socket(&self, kind: Kind, v6: bool) -> Result<OwnedFd, RootlessError> {
        if self.shared.closed.load(Ordering::SeqCst) {
            return Err(RootlessError::Closed);
        }
        let helper = self.helper.lock().unwrap_or_else(PoisonError::into_inner).clone();
        helper.ok_or(RootlessError::Closed)?.socket(kind, v6)
    }

    pub fn dial_tcp(&self, to: SocketAddr, timeout: Duration) -> Result<Stream, RootlessError> {
        let fd = self.socket(Kind::Tcp, to.is_ipv6())?;
        socket::connect(&fd, to, timeout)?;
        let stream = TcpStream::from(fd);
        let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
        Ok(Stream { id: self.shared.number(), fd: OwnedFd::from(stream), local, remote })
    }

    /// Listens; the watched socket's number and where it listens.
    pub fn listen_tcp(
        &self,
        at: SocketAddr,
        accept: AcceptSink,
    ) -> Result<(u64, SocketAddr), RootlessError> {
        let fd = self.socket(Kind::Tcp, at.is_ipv6())?;
        socket::bind(&fd, Kind::Tcp, at)?;
        socket::listen(&fd, BACKLOG)?;
        let listener = TcpListener::from(fd);
        let local = listener.local_addr()?;
        Ok((self.shared.watch(Watched::Listener(Arc::new(listener), accept))?, local))
    }

    /// Binds; the watched socket's number, the socket, and where it is bound.
    pub fn bind_udp(
        &self,
        at: SocketAddr,
        receive: DatagramSink,
    ) -> Result<(u64, Arc<UdpSocket>, SocketAddr), RootlessError> {
        let fd = self.socket(Kind::Udp, at.is_ipv6())?;
        socket::bind(&fd, Kind::Udp, at)?;
        let socket = Arc::new(UdpSocket::from(fd));
        let local = socket.local_addr()?;
        let number = self.shared.watch(Watched::Datagrams(Arc::clone(&socket), receive))?;
        Ok((number, socket, local))
    }

    /// Closes a listener or a UDP endpoint.
    pub fn forget(&self, number: u64) {
        self.shared.forget(number);
    }

    pub fn ping(&self, to: IpAddr, timeout: Duration) -> Result<Duration, RootlessError> {
        let socket = self.echo_socket(to.is_ipv6())?;
        self.shared.pings.ping(to, timeout, |number| {
            let [kind, code] = if to.is_ipv4() { ECHO } else { ECHO_V6 };
            let mut message = vec![kind, code, 0, 0];
            message.extend_from_slice(&number);
            message.extend_from_slice(&PAYLOAD);
            let checksum = finish(sum(&message, 0), false); // the kernel writes that of ICMPv6
            message[2..4].copy_from_slice(&checksum);
            socket.send_to(&message, SocketAddr::new(to, 0)).map(drop).map_err(RootlessError::from)
        })
    }

    fn echo_socket(&self, v6: bool) -> Result<Arc<UdpSocket>, RootlessError> {
        let mut sockets = self.echo.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = &sockets[usize::from(v6)] {
            return Ok(Arc::clone(socket));
        }
        let socket = Arc::new(UdpSocket::from(self.socket(Kind::Icmp, v6)?));
        self.shared.watch(Watched::Echo(Arc::clone(&socket)))?;
        sockets[usize::from(v6)] = Some(Arc::clone(&socket));
        Ok(socket)
    }

    /// Ends the helper and joins the thread. Connections made before die with the TUN.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.shared.waker.wake();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join(); // a panic of it has been printed; it holds nothing
        }
        *self.echo.lock().unwrap_or_else(PoisonError::into_inner) = Default::default();
        self.helper.lock().unwrap_or_else(PoisonError::into_inner).take(); // the last: it is killed and reaped
    }
}
