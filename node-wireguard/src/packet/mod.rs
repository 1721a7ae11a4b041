//! What is inside: IP packets, without I/O.

pub mod checksum;
pub mod icmp;
pub mod mss;
mod parse;
#[cfg(test)]
pub mod samples;
#[cfg(test)]
pub mod tests;

pub use parse::{
    Fragment, ICMP, ICMPV6, PacketView, TCP, Transport, UDP, destination, ip_length, source,
};
