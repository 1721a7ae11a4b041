//! Everything between the engine and the kernel: TUN, UDP, epoll, netlink, descriptors. The only room with `unsafe`.

mod batch;
pub mod clock;
mod connection;
pub mod fd;
pub mod namespace;
pub mod netlink;
pub mod offload;
mod poll;
mod shared;
pub mod socket;
mod tun;
mod udp;

pub use batch::{Batch, PREFIX};
pub use connection::{Connection, stream_pair};
pub use netlink::{LinkConfig, Netlink};
pub use poll::{Event, Events, Interest, Poller, Waker};
pub use shared::shared_words;
pub use tun::{PARTS, Tun};
pub use udp::{
    BATCH_BYTES, BATCH_MESSAGES, Destination, Received, SLOT, SLOTS, SendError, Sent, Udp,
    UdpOptions,
};
