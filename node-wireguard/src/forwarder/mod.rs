//! The blind packet forwarder: two members that cannot reach each other send their datagrams here, and each leaves
//! for the other's proven address with four header bytes changed. It holds no key that opens them.
//!
//! `wire` is the codec, `proof` the MACs, `bind_client` the end of a member (pure, used by the device).

mod bind_client;
mod proof;
mod wire;

pub use bind_client::{BindClient, BindState};
pub use wire::{BIND_LENGTH, HEADER_LENGTH, Kind, Refusal, header, is_bind, slot_of};
