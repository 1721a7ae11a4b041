//! Where a connection stands, and what a turn of it brought.

use crate::rootless::netstack::tcp::Micros;

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Our SYN is out.
    Dialing,
    /// The peer's handshake is being replayed.
    Accepting,
    Open,
    /// TCP has ended well; what arrived is still to be read by the program.
    Draining,
    /// The peer reset it, or it was given up.
    Reset,
}

/// What became of a flow in its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Come back at this time (or when something arrives).
    Wait(Option<Micros>),
    /// More to do at once.
    Again,
    /// The handshake is done.
    Opened,
    /// It has just been reset: say so.
    Lost,
    Gone,
}
