//! Everything between the engine and the machine: TUN, UDP, epoll, netlink, descriptors, vectors of 512 bits. The only room
//! with `unsafe`.

mod batch;
pub mod clock;
mod connection;
pub mod fd;
pub mod namespace;
pub mod netlink;
pub mod offload;
mod poll;
mod priority;
mod process;
mod shared;
pub mod socket;
mod tun;
mod udp;
mod wide;
mod zone;

pub use batch::{Batch, Messages, PREFIX};
pub use connection::{Connection, stream_pair};
pub use netlink::{Generic, LinkConfig, LinkState, LinkWatch, Netlink, Way};
pub use poll::{Event, Events, Interest, Poller, Waker};
pub use priority::Priority;
pub use process::{EndSignals, leave_session, let_go_of_streams};
pub use shared::shared_words;
pub use tun::{PARTS, Tun};
pub use udp::{
    BATCH_BYTES, BATCH_MESSAGES, Destination, Instruction, Received, SLOT, SLOTS, SendError, Sent,
    Udp, UdpOptions,
};
pub use wide::Wide;
pub use zone::{interface_index, interface_name};
