//! Super-frames: cut apart on the way out, put together on the way in.

mod merge;
mod split;
#[cfg(test)]
mod tests;
mod vnet;

pub use merge::Merger;
pub use split::split;
pub use vnet::{GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM, VNET, Vnet};
