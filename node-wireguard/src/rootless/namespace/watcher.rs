//! The thread behind the namespace's sockets: it starts the helper, accepts connections, reads datagrams and echo replies.

use super::helper::Helper;
use super::wire::Setup;
use crate::io::{Events, Interest, Poller, Waker};
use crate::packet::PacketView;
use crate::rootless::pings::Pings;
use crate::rootless::{AcceptSink, DatagramSink, EventSink, RootlessError, Stream, StreamEvent};
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const HELPER: u64 = u64::MAX;
const WAKER: u64 = u64::MAX - 1;
/// Connections or datagrams taken from one socket before the others have their turn.
const TURN: usize = 64;
const LARGEST_DATAGRAM: usize = 1 << 16;

/// A socket that is watched, and whom it serves.
#[derive(Clone)]
pub enum Watched {
    Listener(Arc<TcpListener>, AcceptSink),
    Datagrams(Arc<UdpSocket>, DatagramSink),
    /// A raw ICMP socket.
    Echo(Arc<UdpSocket>),
}

/// What the thread shares with the handle.
pub struct Shared {
    pub poller: Poller,
    pub waker: Waker,
    watched: Mutex<HashMap<u64, Watched>>,
    /// Numbers for streams and watched sockets.
    next: AtomicU64,
    pub closed: AtomicBool,
    pub pings: Pings,
    pub events: EventSink,
}

impl Shared {
    pub fn new(first_ping: u32, events: EventSink) -> io::Result<Self> {
        let (poller, waker) = (Poller::new()?, Waker::new()?);
        poller.add(&waker, WAKER, Interest::Read)?;
        let (watched, next) = (Mutex::default(), AtomicU64::new(1));
        let closed = AtomicBool::new(false);
        Ok(Self { poller, waker, watched, next, closed, pings: Pings::new(first_ping), events })
    }

    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<u64, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a socket from now on; its number.
    pub fn watch(&self, socket: Watched) -> io::Result<u64> {
        let number = self.number();
        self.watched().insert(number, socket.clone());
        let added = match &socket {
            Watched::Listener(listener, _) => self.poller.add(&**listener, number, Interest::Read),
            Watched::Datagrams(socket, _) | Watched::Echo(socket) => {
                self.poller.add(&**socket, number, Interest::Read)
            }
        };
        added.inspect_err(|_| drop(self.watched().remove(&number))).map(|()| number)
    }

    /// Watches it no more, and closes it when nobody else has it.
    pub fn forget(&self, number: u64) {
        let socket = self.watched().remove(&number);
        let removed = match &socket {
            Some(Watched::Listener(listener, _)) => self.poller.remove(&**listener),
            Some(Watched::Datagrams(socket, _) | Watched::Echo(socket)) => {
                self.poller.remove(&**socket)
            }
            None => Ok(()),
        };
        drop(removed); // fails only for what is closed already
    }
}

/// What the thread tells when it has tried to start the helper.
pub type Started = Result<(Arc<Helper>, OwnedFd), RootlessError>;

/// The thread's life.
pub fn watch(shared: &Shared, program: &Path, setup: &Setup, started: &Sender<Started>) {
    let helper = match Helper::start(program, setup) {
        Ok((helper, tun)) => {
            let helper = Arc::new(helper);
            if started.send(Ok((Arc::clone(&helper), tun))).is_err() {
                return;
            }
            helper
        }
        Err(error) => return drop(started.send(Err(error))),
    };
    let ended = run(shared, &helper);
    shared.watched().clear();
    if !shared.closed.swap(true, Ordering::SeqCst) && ended.is_ok() {
        (shared.events)(StreamEvent::HelperEnded);
    }
    shared.pings.close();
}

fn run(shared: &Shared, helper: &Helper) -> io::Result<()> {
    shared.poller.add(helper, HELPER, Interest::Nothing)?;
    let (mut events, mut buffer) = (Events::new(), vec![0; LARGEST_DATAGRAM]);
    loop {
        shared.poller.wait(&mut events, None)?;
        for event in events.iter() {
            match event.token {
                HELPER => return Ok(()),
                WAKER => {
                    shared.waker.clear();
                    if shared.closed.load(Ordering::SeqCst) {
                        return Ok(());
                    }
                }
                number => {
                    let socket = shared.watched().get(&number).cloned();
                    match socket {
                        Some(Watched::Listener(listener, accept)) => {
                            take_connections(shared, &listener, &accept)
                        }
                        Some(Watched::Datagrams(socket, sink)) => {
                            take_datagrams(&socket, &mut buffer, |from, bytes| sink(from, bytes));
                        }
                        Some(Watched::Echo(socket)) => {
                            take_datagrams(&socket, &mut buffer, |from, bytes| {
                                take_echo(&shared.pings, from.ip(), bytes);
                            })
                        }
                        None => {} // forgotten since
                    }
                }
            }
        }
    }
}

fn take_connections(shared: &Shared, listener: &TcpListener, accept: &AcceptSink) {
    for _ in 0..TURN {
        match listener.accept() {
            Ok((stream, remote)) => {
                let Ok(local) = stream.set_nonblocking(true).and_then(|()| stream.local_addr())
                else {
                    continue;
                };
                accept(Stream { id: shared.number(), fd: OwnedFd::from(stream), local, remote });
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(_) => return, // of that connection, or no descriptor left: the next edge or turn tries again
        }
    }
}

fn take_datagrams(
    socket: &UdpSocket,
    buffer: &mut [u8],
    mut each: impl FnMut(std::net::SocketAddr, &[u8]),
) {
    for _ in 0..TURN {
        match socket.recv_from(buffer) {
            Ok((length, from)) => each(from, &buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(_) => {} // an ICMP error about an earlier datagram
        }
    }
}

/// A raw socket gives IPv4 with its header and IPv6 without.
fn take_echo(pings: &Pings, from: std::net::IpAddr, bytes: &[u8]) {
    let message = if from.is_ipv4() {
        let header = bytes.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
        bytes.get(header..).unwrap_or(&[])
    } else {
        bytes
    };
    pings.receive(from, message);
    let unreachable =
        matches!((from.is_ipv4(), message.first()), (true, Some(3)) | (false, Some(1)));
    if unreachable
        && let Some(quoted) = message.get(8..)
        && let Some(inner) = PacketView::parse_quoted(quoted)
    {
        pings.unreachable(inner.destination, quoted.get(inner.l4..).unwrap_or(&[]));
    }
}
