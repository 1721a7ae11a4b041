//! What is inside: IP packets, without I/O.

pub mod checksum;
pub mod icmp;
pub mod mss;
mod parse;

pub use parse::{Fragment, PacketView, Transport, destination, ip_length, source};
