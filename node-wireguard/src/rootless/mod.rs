//! The mesh without root: packets of the engine end in a TCP/IP stack of our own, not in the machine's.
//!
//! Two backends behind one face. *Namespace*: a helper process holds a private user and network namespace with a
//! kernel TUN; sockets made in it work from here. *Netstack*: smoltcp on a thread of this process.

mod error;
mod stream;

pub use error::RootlessError;
pub use stream::{AcceptSink, DatagramSink, EventSink, Stream, StreamEvent};

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
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
pub struct Rootless {}

/// Accepts until closed or dropped.
pub struct Listener {}

/// A UDP endpoint; receives until closed or dropped.
pub struct Datagrams {}

impl Rootless {
    /// Starts a backend. The descriptor is the engine's: each message is a 10-byte virtio header and an IP packet.
    ///
    /// # Errors
    /// `Forbidden` when the namespace was asked for and this machine refuses it.
    pub fn open(
        _options: RootlessOptions,
        _events: EventSink,
    ) -> Result<(Self, OwnedFd), RootlessError> {
        Err(RootlessError::Closed)
    }

    pub fn backend(&self) -> Backend {
        Backend::Netstack
    }

    /// Why `Auto` did not take the namespace; nothing when it did, or when it was not asked.
    pub fn fallback(&self) -> Option<&str> {
        None
    }

    /// The process that holds the namespaces: `nsenter --preserve-credentials -U -n -t PID` runs a program in the mesh.
    pub fn namespace_pid(&self) -> Option<u32> {
        None
    }

    /// Connects; blocks this thread until done, refused or out of time.
    ///
    /// # Errors
    /// `Refused`, `TimedOut`, `Unreachable`, `NoAddress`, `Busy`, `Closed`.
    pub fn dial_tcp(&self, _to: SocketAddr, _timeout: Duration) -> Result<Stream, RootlessError> {
        Err(RootlessError::Closed)
    }

    /// Listens; an unspecified address means all of ours of that family, port 0 means any free one.
    ///
    /// # Errors
    /// `AddressInUse`, `NoAddress`, `Busy`, `Closed`.
    pub fn listen_tcp(
        &self,
        _at: SocketAddr,
        _accept: AcceptSink,
    ) -> Result<Listener, RootlessError> {
        Err(RootlessError::Closed)
    }

    /// Opens a UDP endpoint; an unspecified address means all of ours of that family, port 0 any free one.
    ///
    /// # Errors
    /// `AddressInUse`, `NoAddress`, `Busy`, `Closed`.
    pub fn open_udp(
        &self,
        _at: SocketAddr,
        _receive: DatagramSink,
    ) -> Result<Datagrams, RootlessError> {
        Err(RootlessError::Closed)
    }

    /// One ICMP echo; blocks this thread. The round trip is measured inside the backend.
    ///
    /// # Errors
    /// `TimedOut`, `Unreachable`, `NoAddress`, `Closed`.
    pub fn ping(&self, _to: IpAddr, _timeout: Duration) -> Result<Duration, RootlessError> {
        Err(RootlessError::Closed)
    }

    /// Resets a netstack stream (TCP RST); its descriptor reads end of file. Kernel sockets: close with `SO_LINGER` 0.
    pub fn reset(&self, _stream: u64) {}

    /// Ends all streams, joins the threads and reaps the helper. Idempotent; dropping does it too.
    pub fn close(&self) {}
}

impl Listener {
    /// Where it listens, with the port chosen.
    pub fn local(&self) -> SocketAddr {
        SocketAddr::from(([0; 4], 0))
    }

    /// Stops accepting; streams already accepted live on.
    pub fn close(&self) {}
}

impl Datagrams {
    /// Where it is bound, with the port chosen.
    pub fn local(&self) -> SocketAddr {
        SocketAddr::from(([0; 4], 0))
    }

    /// Sends one datagram without blocking; a full queue drops it, as a wire would.
    ///
    /// # Errors
    /// `TooBig`, `NoAddress`, `Unreachable`, `Closed`.
    pub fn send(&self, _to: SocketAddr, _bytes: &[u8]) -> Result<(), RootlessError> {
        Err(RootlessError::Closed)
    }

    pub fn close(&self) {}
}
