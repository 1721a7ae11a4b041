//! Packets that would go in a circle, because an outer address is routed into a tunnel. Each round makes them longer.

use super::lane::Lane;
use crate::noise::DATA_OVERHEAD;
use crate::packet::{PacketView, Transport};
use std::net::SocketAddr;

const UDP_HEADER: usize = 8;
/// The first word of a message that carries data.
const DATA: [u8; 4] = [4, 0, 0, 0];

/// Whether a packet is one of ours, from our `port`, on its way to the very place that it would be sent to again, inside of
/// another: the peer's own address is routed into the tunnel.
pub fn leads_back(lane: &Lane, port: Option<u16>, view: &PacketView) -> bool {
    let Transport::Udp { source, destination } = view.transport else { return false };
    lane.to.remote == SocketAddr::new(view.destination, destination) && Some(source) == port
}

/// Whether a packet that another WireGuard has sealed, of `size` bytes with padding, would not fit into a further tunnel once
/// it is sealed again: over two devices that lead into each other it has been here before, and cut into fragments it would
/// never end. Tunnels in tunnels whose MTUs are right have no such packets.
pub fn outgrows(lane: &Lane, view: &PacketView, packet: &[u8], size: usize) -> bool {
    let Some(mtu) = lane.tunnel_mtu else { return false };
    let Transport::Udp { .. } = view.transport else { return false };
    let ip = if lane.to.remote.is_ipv6() { 40 } else { 20 };
    let sealed = packet.get(view.l4 + UDP_HEADER..).is_some_and(|inside| inside.starts_with(&DATA));
    sealed && size + DATA_OVERHEAD + UDP_HEADER + ip > mtu as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Endpoint;

    /// IPv4 and UDP, from port 7 to 10.0.0.9 port 9, and what is inside.
    fn datagram(inside: &[u8]) -> Vec<u8> {
        let length = (28 + inside.len()) as u8;
        let mut packet = vec![0x45, 0, 0, length, 0, 1, 0x40, 0, 64, 17, 0, 0];
        packet.extend_from_slice(&[10, 0, 0, 1, 10, 0, 0, 9, 0, 7, 0, 9, 0, length - 20, 0, 0]);
        packet.extend_from_slice(inside);
        packet
    }

    fn lane(remote: &str, tunnel_mtu: Option<u16>) -> Lane {
        let endpoint = Endpoint { socket: 0, remote: remote.parse().unwrap(), slot: None };
        Lane { tunnel_mtu, ..Lane::new(0, endpoint, None, 0) }
    }

    #[test]
    fn our_own_datagram_to_where_it_would_go_again_leads_back_and_no_other() {
        let packet = datagram(&[4, 0, 0, 0]);
        let view = PacketView::parse(&packet).unwrap();
        let there = lane("10.0.0.9:9", None);
        assert!(leads_back(&there, Some(7), &view));
        assert!(!leads_back(&there, Some(8), &view), "another program's");
        assert!(!leads_back(&there, None, &view));
        for elsewhere in ["10.0.0.9:8", "10.0.0.8:9"] {
            assert!(!leads_back(&lane(elsewhere, None), Some(7), &view));
        }
    }

    #[test]
    fn what_is_sealed_and_too_long_for_a_tunnel_outgrows_it_and_nothing_else_does() {
        let (sealed, plain) = (datagram(&[4, 0, 0, 0, 1]), datagram(&[4, 0, 0, 1, 1]));
        let says = |packet: &[u8], lane: Lane, size| {
            outgrows(&lane, &PacketView::parse(packet).unwrap(), packet, size)
        };
        let (v4, v6) = ("10.0.0.9:9", "[fd00::9]:9");
        assert!(!says(&sealed, lane(v4, Some(1_420)), 1_360), "1,360 and 60 are 1,420");
        assert!(says(&sealed, lane(v4, Some(1_420)), 1_361));
        assert!(says(&sealed, lane(v6, Some(1_420)), 1_341));
        assert!(!says(&sealed, lane(v6, Some(1_420)), 1_340));
        assert!(!says(&plain, lane(v4, Some(1_420)), 1_400));
        assert!(!says(&sealed, lane(v4, None), 1_400), "a wire takes fragments");
    }
}
