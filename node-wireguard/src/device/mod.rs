//! The device: a shard thread that moves packets, a control thread that keeps sessions and paths, and the handle to both.

mod candidates;
mod command;
mod configure;
mod control;
pub mod counters;
mod demultiplex;
mod error;
mod event;
mod flow;
mod handle;
mod handshakes;
mod inbound;
mod inbox;
mod lane;
mod options;
mod outbound;
mod outgoing;
mod peer;
mod probes;
mod report;
mod serve;
mod shard;
mod shared;
mod slab;
mod status;

pub use crate::filter::{FilterConfig, Rule as FilterRule, RuleProtocol as FilterProtocol};
pub use counters::Counters;
pub use error::DeviceError;
pub use event::{Event, Sink};
pub use handle::Device;
pub use options::{
    DeviceOptions, ForwardSession, InterfaceOptions, PathConfig, PeerConfig, PublicKey, Schedule,
};
pub use status::{DeviceStatus, PathState, PathStatus, PeerStatus, SocketInfo};

#[cfg(test)]
mod tests;
