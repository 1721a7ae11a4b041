//! The mesh without root: packets of the engine end in a TCP/IP stack of our own, not in the machine's.
//!
//! Two backends behind one face. *Namespace*: a helper process holds a private user and network namespace with a
//! kernel TUN; sockets made in it work from here. *Netstack*: smoltcp on a thread of this process.

mod choice;
mod error;
pub mod namespace;
pub(crate) mod netstack;
mod pings;
mod stream;
#[cfg(test)]
mod tests;

pub use error::RootlessError;
pub use stream::{AcceptSink, DatagramSink, EventSink, Stream, StreamEvent};

use choice::Running;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Which stack carries the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Namespace,
    Netstack,
}

/// `Auto` takes the namespace where this machine allows one, else the netstack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendChoice {
    Auto,
    Namespace,
    Netstack,
}

pub struct RootlessOptions {
    pub backend: BackendChoice,
    /// Largest IP packet, in bytes (1,280 to 9,000).
    pub mtu: u16,
    /// Our addresses with their prefix lengths; at most 8.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Name of the TUN inside the private namespace.
    pub name: String,
    /// The program `node-wireguard-namespace`.
    pub helper: PathBuf,
}

/// An open rootless stack. `Send + Sync`: its blocking calls may run on many worker threads at once.
pub struct Rootless {
    running: Arc<Running>,
    fallback: Option<String>,
}

impl Rootless {
    /// Starts a backend. The descriptor is the engine's: each message is a 10-byte virtio header and an IP packet.
    ///
    /// # Errors
    /// `Forbidden` when the namespace was asked for and this machine refuses it; `NoAddress` for addresses that are none,
    /// or more than 8.
    pub fn open(
        options: RootlessOptions,
        events: EventSink,
    ) -> Result<(Self, OwnedFd), RootlessError> {
        let (running, fd, fallback) = choice::open(options, events)?;
        Ok((Self { running: Arc::new(running), fallback }, fd))
    }

    pub fn backend(&self) -> Backend {
        self.running.backend()
    }

    /// Why `Auto` did not take the namespace; nothing when it did, or when it was not asked.
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// The process that holds the namespaces: `nsenter --preserve-credentials -U -n -t PID` runs a program in the mesh.
    pub fn namespace_pid(&self) -> Option<u32> {
        match &*self.running {
            Running::Namespace(namespace) => Some(namespace.pid()),
            Running::Netstack(_) => None,
        }
    }

    /// Connects; blocks this thread until done, refused or out of time.
    ///
    /// # Errors
    /// `Refused`, `TimedOut`, `Unreachable`, `NoAddress`, `Busy`, `Closed`.
    pub fn dial_tcp(&self, to: SocketAddr, timeout: Duration) -> Result<Stream, RootlessError> {
        match &*self.running {
            Running::Namespace(namespace) => namespace.dial_tcp(to, timeout),
            Running::Netstack(netstack) => netstack.dial_tcp(to, timeout),
        }
    }

    /// Listens; an unspecified address means all of ours of that family, port 0 means any free one.
    ///
    /// # Errors
    /// `AddressInUse`, `NoAddress`, `Busy`, `Closed`.
    pub fn listen_tcp(
        &self,
        at: SocketAddr,
        accept: AcceptSink,
    ) -> Result<Listener, RootlessError> {
        let (number, local) = match &*self.running {
            Running::Namespace(namespace) => namespace.listen_tcp(at, accept)?,
            Running::Netstack(netstack) => (0, netstack.listen_tcp(at, accept)?),
        };
        Ok(Listener {
            running: Arc::clone(&self.running),
            number,
            local,
            closed: AtomicBool::new(false),
        })
    }

    /// Opens a UDP endpoint; an unspecified address means all of ours of that family, port 0 any free one.
    ///
    /// # Errors
    /// `AddressInUse`, `NoAddress`, `Busy`, `Closed`.
    pub fn open_udp(
        &self,
        at: SocketAddr,
        receive: DatagramSink,
    ) -> Result<Datagrams, RootlessError> {
        let (number, socket, local) = match &*self.running {
            Running::Namespace(namespace) => {
                let (number, socket, local) = namespace.bind_udp(at, receive)?;
                (number, Some(socket), local)
            }
            Running::Netstack(netstack) => (0, None, netstack.bind_udp(at, receive)?),
        };
        let closed = AtomicBool::new(false);
        Ok(Datagrams { running: Arc::clone(&self.running), number, socket, local, closed })
    }

    /// One ICMP echo; blocks this thread. The round trip is measured inside the backend.
    ///
    /// # Errors
    /// `TimedOut`, `Unreachable`, `NoAddress`, `Closed`.
    pub fn ping(&self, to: IpAddr, timeout: Duration) -> Result<Duration, RootlessError> {
        match &*self.running {
            Running::Namespace(namespace) => namespace.ping(to, timeout),
            Running::Netstack(netstack) => netstack.ping(to, timeout),
        }
    }

    /// Resets a netstack stream (TCP RST); its descriptor reads end of file. Kernel sockets: close with `SO_LINGER` 0.
    pub fn reset(&self, stream: u64) {
        match &*self.running {
            Running::Namespace(_) => {}
            Running::Netstack(netstack) => netstack.reset(stream),
        }
    }

    /// Ends all streams, joins the threads and reaps the helper. Idempotent; dropping does it too.
    pub fn close(&self) {
        self.running.close();
    }
}

impl Drop for Rootless {
    fn drop(&mut self) {
        self.close();
    }
}

/// Accepts until closed or dropped.
pub struct Listener {
    running: Arc<Running>,
    number: u64,
    local: SocketAddr,
    closed: AtomicBool,
}

impl Listener {
    /// Where it listens, with the port chosen.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Stops accepting; streams already accepted live on.
    pub fn close(&self) {
        if self.closed.swap(true, Ordering::Relaxed) {
            return;
        }
        match &*self.running {
            Running::Namespace(namespace) => namespace.forget(self.number),
            Running::Netstack(netstack) => netstack.unlisten(self.local),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
    }
}

/// A UDP endpoint; receives until closed or dropped.
pub struct Datagrams {
    running: Arc<Running>,
    number: u64,
    socket: Option<Arc<UdpSocket>>,
    local: SocketAddr,
    closed: AtomicBool,
}

impl Datagrams {
    /// Where it is bound, with the port chosen.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sends one datagram without blocking; a full queue drops it, as a wire would.
    ///
    /// # Errors
    /// `TooBig`, `NoAddress`, `Unreachable`, `Closed`.
    pub fn send(&self, to: SocketAddr, bytes: &[u8]) -> Result<(), RootlessError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(RootlessError::Closed);
        }
        match (&*self.running, &self.socket) {
            (Running::Netstack(netstack), _) => netstack.send_udp(self.local, to, bytes),
            (Running::Namespace(_), Some(socket)) => match socket.send_to(bytes, to) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
                // That is about an earlier datagram, and is told once; this one can still go.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
                other => Ok(other.map(drop)?),
            },
            (Running::Namespace(_), None) => Err(RootlessError::Closed),
        }
    }

    pub fn close(&self) {
        if self.closed.swap(true, Ordering::Relaxed) {
            return;
        }
        match &*self.running {
            Running::Namespace(namespace) => namespace.forget(self.number),
            Running::Netstack(netstack) => netstack.unbind_udp(self.local),
        }
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.close();
    }
}
