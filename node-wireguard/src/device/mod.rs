//! The device: a shard thread that moves packets, a control thread that keeps sessions and paths, and the handle to both.

mod counters;
mod error;
mod event;
mod handle;
mod options;
mod status;

pub use counters::Counters;
pub use error::DeviceError;
pub use event::{Event, Sink};
pub use handle::Device;
pub use options::{
    DeviceOptions, ForwardSession, InterfaceOptions, PathConfig, PeerConfig, PublicKey, Schedule,
};
pub use status::{DeviceStatus, PathState, PathStatus, PeerStatus, SocketInfo};

/// What may come in, beside replies to what went out and ICMP echo.
pub use filter_config::{FilterConfig, FilterProtocol, FilterRule};
mod filter_config;
