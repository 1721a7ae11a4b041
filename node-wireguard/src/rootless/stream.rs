//! What the two backends hand out, and how they call back.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// One TCP connection through the mesh, as a descriptor that reads and writes its bytes.
///
/// In the namespace backend it is the kernel's own TCP socket. In the netstack it is one end of a unix stream
/// socketpair with TCP's rules: end of file is the peer's FIN, `shutdown(SHUT_WR)` sends ours, a full socket is
/// back-pressure, closing while the peer still sends makes a reset. What a socketpair cannot carry is a reset by
/// the peer: that comes as [`StreamEvent::Reset`], before the end of file that follows (up to a second later).
#[derive(Debug)]
pub struct Stream {
    /// Unique within one `Rootless`; names the stream in events.
    pub id: u64,
    /// Non-blocking and close-on-exec.
    pub fd: OwnedFd,
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

/// What happens outside the byte streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEvent {
    /// The peer reset this stream, or it gave up retransmitting (netstack only; a kernel socket says so itself).
    Reset { stream: u64 },
    /// A thread of the backend died of a fault of its own; every call from now on says `Closed`.
    Panic { thread: &'static str, message: String },
    /// The helper that holds the private namespace has ended; every call from now on says `Closed`.
    HelperEnded,
}

/// Called on a thread of the backend: must not block.
pub type EventSink = Arc<dyn Fn(StreamEvent) + Send + Sync>;
/// Called with each accepted connection on a thread of the backend: must not block.
pub type AcceptSink = Arc<dyn Fn(Stream) + Send + Sync>;
/// Called with each datagram and its sender on a thread of the backend: must not block.
pub type DatagramSink = Arc<dyn Fn(SocketAddr, &[u8]) + Send + Sync>;
