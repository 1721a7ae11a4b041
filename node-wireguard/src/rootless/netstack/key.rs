//! Which flow a packet belongs to.

use crate::packet::{Fragment, PacketView, Transport};
use std::net::SocketAddr;

pub const UDP: u8 = 17;
pub const TCP: u8 = 6;
pub const ICMP: u8 = 1;
pub const ICMPV6: u8 = 58;

/// The four-tuple of a flow, seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowKey {
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

impl FlowKey {
    /// The flow that this packet came in by. Nothing for fragments and for what has no ports.
    pub fn of(packet: &PacketView) -> Option<Self> {
        let (from, to) = match (packet.fragment, packet.transport) {
            (
                Fragment::Whole,
                Transport::Tcp { source, destination, .. } | Transport::Udp { source, destination },
            ) => (source, destination),
            _ => return None,
        };
        Some(Self {
            local: SocketAddr::new(packet.destination, to),
            remote: SocketAddr::new(packet.source, from),
        })
    }

    /// The flow of a packet that we sent, as an ICMP error quotes it.
    pub fn of_own(packet: &PacketView) -> Option<Self> {
        Self::of(packet).map(|key| Self { local: key.remote, remote: key.local })
    }
}
