//! The device: a shard thread that moves packets, a control thread that keeps sessions and paths, and the handle to both.

mod allowance;
mod candidates;
mod circle;
mod command;
mod configuration;
mod configure;
mod control;
pub mod counters;
mod demultiplex;
mod error;
mod event;
mod flood;
mod flow;
mod gate;
mod handle;
mod handshakes;
mod identity;
mod inbound;
mod inbox;
mod interface;
mod lane;
mod link;
mod networks;
mod options;
mod outbound;
mod outgoing;
mod peer;
mod probes;
mod report;
mod serve;
mod shard;
mod shared;
mod sieve;
mod slab;
mod sockets;
mod status;
mod tails;
mod update;
mod ways;

pub use crate::filter::{FilterConfig, Rule as FilterRule, RuleProtocol as FilterProtocol};
pub use configuration::{Configuration, PeerConfiguration};
pub use counters::Counters;
pub use error::DeviceError;
pub use event::{Event, Sink};
pub use handle::Device;
pub use options::{
    DeviceOptions, ForwardSession, InterfaceOptions, MAX_SHARDS, PathConfig, PeerConfig, PublicKey,
    Schedule, SocketOptions,
};
pub use status::{DeviceStatus, PathState, PathStatus, PeerStatus, SocketInfo};
pub use update::{AllowedIpUpdate, DeviceUpdate, PeerUpdate};

#[cfg(test)]
mod tests;
