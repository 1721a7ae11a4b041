//! Inner flows: a number to divide them by, and the one that packets came of last.

use crate::packet::{PacketView, Transport};
use std::net::IpAddr;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// The same for all packets of a flow, and different enough among flows.
pub fn flow_hash(view: &PacketView) -> u32 {
    let (source, destination) = match view.transport {
        Transport::Tcp { source, destination, .. } => (source, destination),
        Transport::Udp { source, destination } => (source, destination),
        _ => (0, 0),
    };
    let mut hash = view.protocol as u64 ^ (source as u64) << 8 ^ (destination as u64) << 24;
    for address in [view.source, view.destination] {
        let bits = match address {
            IpAddr::V4(v4) => v4.to_bits() as u128,
            IpAddr::V6(v6) => v6.to_bits(),
        };
        hash = (hash ^ bits as u64 ^ (bits >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    }
    (hash >> 32) as u32
}

/// Addresses, ports and protocol of the packet that was let in last: what follows of the same flow in the same batch needs no
/// second look. Only plain packets in the middle of a flow count.
pub struct LastFlow {
    key: [u8; 37],
    length: usize, // 0: none
    session: u32,
}

impl Default for LastFlow {
    fn default() -> Self {
        Self { key: [0; 37], length: 0, session: 0 }
    }
}

const MIDDLE: u8 = 0x18; // ACK and PSH

fn key(packet: &[u8]) -> Option<(&[u8], u8)> {
    let (protocol, ports, l4) = match packet.first()? {
        0x45 if packet.len() >= 40 && packet[6] & 0x3f | packet[7] == 0 => {
            (packet[9], packet.get(12..24)?, 20)
        }
        first if first >> 4 == 6 => (*packet.get(6)?, packet.get(8..44)?, 40),
        _ => return None,
    };
    let plain = match protocol {
        TCP => packet.get(l4 + 13)? & !MIDDLE == 0,
        UDP => true,
        _ => false,
    };
    plain.then_some((ports, protocol))
}

impl LastFlow {
    pub fn forget(&mut self) {
        self.length = 0;
    }

    /// Whether this packet, which came under that session, is of the flow that was let in last.
    pub fn is(&self, packet: &[u8], session: u32) -> bool {
        self.length > 0
            && self.session == session
            && key(packet).is_some_and(|(bytes, protocol)| {
                self.key[0] == protocol && self.key[1..self.length] == *bytes
            })
    }

    /// It was let in.
    pub fn note(&mut self, packet: &[u8], session: u32) {
        self.length = 0;
        if let Some((bytes, protocol)) = key(packet) {
            self.key[0] = protocol;
            self.key[1..=bytes.len()].copy_from_slice(bytes);
            (self.length, self.session) = (bytes.len() + 1, session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(port: u8, flags: u8) -> Vec<u8> {
        let mut packet = vec![0; 60];
        packet[0] = 0x45;
        (packet[3], packet[9], packet[21], packet[32], packet[33]) = (60, 6, port, 0x50, flags);
        packet
    }

    #[test]
    fn only_plain_packets_of_the_same_flow_and_session_are_taken_for_known() {
        let mut last = LastFlow::default();
        assert!(!last.is(&tcp(1, 0x10), 7));
        last.note(&tcp(1, 0x10), 7);
        assert!(last.is(&tcp(1, 0x18), 7));
        assert!(!last.is(&tcp(1, 0x10), 8) && !last.is(&tcp(2, 0x10), 7));
        assert!(
            !last.is(&tcp(1, 0x02), 7) && !last.is(&tcp(1, 0x11), 7),
            "SYN and FIN are looked at"
        );
        let mut fragment = tcp(1, 0x10);
        fragment[7] = 9;
        assert!(!last.is(&fragment, 7));
        last.note(&tcp(1, 0x02), 7);
        assert!(!last.is(&tcp(1, 0x10), 7));
        for length in 0..60 {
            last.note(&tcp(1, 0x10)[..length], 7);
            last.is(&[0x60; 44][..length.min(44)], 7);
        }
    }
}
