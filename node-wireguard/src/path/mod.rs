//! Many paths per peer: pure state machines, with the clock passed in.
//!
//! `wire` is what probes look like, `meter` what they tell, `mtu` how large a datagram gets through, `choice` which path is
//! best, `pace` when to probe, `offload` whether batches get through; `path` is one path, `table` all of a peer, and `rounds`
//! what the table does when time passes.

mod choice;
mod heard;
mod meter;
mod mtu;
mod offload;
mod pace;
#[allow(clippy::module_inception)]
mod path;
mod rounds;
mod table;
pub mod wire;

pub use heard::Reply;
pub use mtu::{INNER_OVERHEAD, payload_of};
pub use table::{Candidate, Change, Due, FIRST_REFLEXIVE, PathTable, PathView, Route};

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

/// Microseconds of the boot-time clock.
pub type Micros = u64;

/// What a path is good for at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathState {
    /// Not answered yet.
    Probing,
    /// Packets go by it.
    Active,
    /// Works, and is kept warm.
    Standby,
    /// Unanswered for longer than it should be; packets also go by another.
    Suspect,
    /// Does not answer; probed rarely.
    Down,
}

/// How packets are laid on the paths of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schedule {
    /// The best path, and a copy over the next while the best is in doubt.
    #[default]
    Latency,
    /// Every packet over the two best paths; the receiver's replay window drops the copy.
    Redundant,
    /// Inner flows spread over the working paths of the best class.
    Balance,
}

/// Where a datagram leaves and goes to; with a slot it carries the forwarder's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub socket: u32,
    pub remote: SocketAddr,
    pub slot: Option<u32>,
}

/// Data messages counted on a path by one end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub sent: u64,
    pub received: u64,
}
