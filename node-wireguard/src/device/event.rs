use super::{PathState, PublicKey};
use std::net::SocketAddr;
use std::sync::Arc;

/// Takes events, from any of the device's threads. It must not block and must not call the device.
pub type Sink = Arc<dyn Fn(Event) + Send + Sync>;

/// What the device tells without being asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new session with this peer is in use.
    Handshake {
        peer: PublicKey,
    },
    /// Handshakes were tried for 90 s in vain; packets that waited are dropped.
    HandshakeFailed {
        peer: PublicKey,
    },
    PathState {
        peer: PublicKey,
        path: u32,
        state: PathState,
        rtt_us: Option<u32>,
    },
    /// Packets go by `path` from now on; none: no path works.
    PathActive {
        peer: PublicKey,
        path: Option<u32>,
        previous: Option<u32>,
    },
    /// Batches were lost on this path and single datagrams get through: they leave singly from now on (`on` is false), or in
    /// batches again, as a trial.
    PathOffload {
        peer: PublicKey,
        path: u32,
        on: bool,
    },
    /// A vanilla peer was heard from a new address and is answered there.
    Endpoint {
        peer: PublicKey,
        remote: SocketAddr,
    },
    /// A packet waits for this peer and there is no path at all; once a second.
    NoPath {
        peer: PublicKey,
    },
    /// An authenticated probe came from an address that is no path yet. The device has made it the path `path`.
    NewRemote {
        peer: PublicKey,
        path: u32,
        socket: u32,
        remote: SocketAddr,
    },
    /// A STUN message.
    Control {
        socket: u32,
        from: SocketAddr,
        bytes: Vec<u8>,
    },
    SocketError {
        socket: u32,
        message: String,
    },
    /// A thread of the device panicked or failed for good; every method answers with an error from now on.
    Panic {
        thread: &'static str,
        message: String,
    },
}
