//! What the state machine asks its owner to do.

/// What the owner of a `Protocol` must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Call `initiate` with a new index and send what it makes.
    Initiate,
    /// Send what waits for a session or, if nothing waits, an empty packet.
    Keepalive,
    /// Forget this local index: its session or handshake is gone.
    Release(u32),
    /// Nobody answered for 90 s: drop what waits.
    HandshakeGivenUp,
    /// All keys were wiped, because there were no new ones for 9 minutes.
    ZeroKeys,
}
