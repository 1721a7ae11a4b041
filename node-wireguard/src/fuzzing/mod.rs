//! The bodies of the fuzz targets (`fuzz/`), one for each parser that reads from outside. They are here, and not there, because
//! they look behind doors of the crate, and because the crate's own tests run each of them on random bytes.

mod noise;
mod packets;
mod tables;
#[cfg(test)]
mod tests;
mod wires;

pub use crate::forwarder::fuzzing::forwarder;
pub use noise::{datagrams, handshake};
pub use packets::{filter, merge, netstack, packet, split};
pub use tables::allowed_ips;
pub use wires::{kernel, namespace, netlink, probe, segments, stun, uapi};

/// A body: it panics when something is wrong.
pub type Body = fn(&[u8]);

/// Every body with the name of its target.
pub const TARGETS: [(&str, Body); 16] = [
    ("allowed_ips", allowed_ips),
    ("datagrams", datagrams),
    ("filter", filter),
    ("forwarder", forwarder),
    ("handshake", handshake),
    ("kernel", kernel),
    ("merge", merge),
    ("namespace", namespace),
    ("netlink", netlink),
    ("netstack", netstack),
    ("packet", packet),
    ("probe", probe),
    ("segments", segments),
    ("split", split),
    ("stun", stun),
    ("uapi", uapi),
];

/// Takes a byte off, or zero where there is none.
fn byte(data: &mut &[u8]) -> u8 {
    match data.split_first() {
        Some((&first, rest)) => {
            *data = rest;
            first
        }
        None => 0,
    }
}

/// Takes two bytes off.
fn word(data: &mut &[u8]) -> u16 {
    u16::from_le_bytes([byte(data), byte(data)])
}
