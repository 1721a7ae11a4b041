//! Packets made by hand: what the stack says beside smoltcp's sockets.

use super::key::{FlowKey, ICMP, ICMPV6, TCP, UDP};
use crate::io::offload::VNET;
use crate::packet::checksum::{finish, fold, pseudo, sum};
use std::net::{IpAddr, SocketAddr};

const HOPS: u8 = 64;

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// A frame: an empty vnet header, the IP header, and `payload` as it is.
fn frame(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; VNET];
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let length = ((20 + payload.len()) as u16).to_be_bytes();
            let mut header = [
                0x45, 0, length[0], length[1], 0, 0, 0x40, 0, HOPS, protocol, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 0,
            ];
            header[12..16].copy_from_slice(&from.octets());
            header[16..].copy_from_slice(&to.octets());
            let checksum = finish(sum(&header, 0), false);
            header[10..12].copy_from_slice(&checksum);
            bytes.extend_from_slice(&header);
        }
        _ => {
            let length = (payload.len() as u16).to_be_bytes();
            bytes.extend_from_slice(&[0x60, 0, 0, 0, length[0], length[1], protocol, HOPS]);
            bytes.extend_from_slice(&octets(from));
            bytes.extend_from_slice(&octets(to));
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// The same, with the payload's checksum `at` that offset of it.
fn with_checksum(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = frame(from, to, protocol, payload);
    let (ip, start) = (&bytes[VNET..], bytes.len() - payload.len());
    // ICMP has no pseudo header.
    let pseudo = if protocol == ICMP { 0 } else { pseudo(ip, protocol, payload.len()) };
    let checksum = finish(sum(payload, pseudo), protocol == UDP);
    bytes[start + at..start + at + 2].copy_from_slice(&checksum);
    bytes
}

/// Is the checksum of this transport packet right? `ip` begins with its IP header.
pub fn checksum_is_right(ip: &[u8], l4: usize, length: usize, protocol: u8) -> bool {
    let Some(body) = ip.get(l4..length) else { return false };
    let zero_means_none = protocol == UDP && body.get(6..8) == Some(&[0, 0]) && ip[0] >> 4 == 4;
    let pseudo = if protocol == ICMP { 0 } else { pseudo(ip, protocol, body.len()) };
    zero_means_none || fold(sum(body, pseudo)) == 0xffff
}

/// What a TCP header without options says.
pub struct TcpHeader {
    pub sequence: u32,
    pub acknowledged: u32,
    pub flags: u8,
    pub window: u16,
}

/// A TCP segment without payload.
pub fn tcp(from: SocketAddr, to: SocketAddr, header: &TcpHeader) -> Vec<u8> {
    let mut bytes = vec![0; 20];
    bytes[..2].copy_from_slice(&from.port().to_be_bytes());
    bytes[2..4].copy_from_slice(&to.port().to_be_bytes());
    bytes[4..8].copy_from_slice(&header.sequence.to_be_bytes());
    bytes[8..12].copy_from_slice(&header.acknowledged.to_be_bytes());
    (bytes[12], bytes[13]) = (5 << 4, header.flags);
    bytes[14..16].copy_from_slice(&header.window.to_be_bytes());
    with_checksum(from.ip(), to.ip(), TCP, &bytes, 16)
}

/// A segment of the flow as its peer would send it, for smoltcp's eyes only.
pub fn from_peer(key: &FlowKey, header: &TcpHeader) -> Vec<u8> {
    tcp(key.remote, key.local, header)
}

/// A datagram. The caller has checked that it fits.
pub fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + payload.len());
    bytes.extend_from_slice(&from.port().to_be_bytes());
    bytes.extend_from_slice(&to.port().to_be_bytes());
    bytes.extend_from_slice(&((8 + payload.len()) as u16).to_be_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(payload);
    with_checksum(from.ip(), to.ip(), UDP, &bytes, 6)
}

/// An ICMP or ICMPv6 message: type, code, the four bytes behind the checksum, and the rest.
pub fn icmp(from: IpAddr, to: IpAddr, kind: [u8; 2], word: [u8; 4], rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind[0], kind[1], 0, 0];
    bytes.extend_from_slice(&word);
    bytes.extend_from_slice(rest);
    with_checksum(from, to, if from.is_ipv4() { ICMP } else { ICMPV6 }, &bytes, 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::PacketView;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_made_packet_carries_a_right_checksum(payload in prop::collection::vec(any::<u8>(), 0..300), v6: bool) {
            let at = |text: &str| text.parse::<SocketAddr>().unwrap();
            let (from, to) = if v6 { (at("[fd00::1]:7"), at("[fd00::2]:9")) } else { (at("10.0.0.1:7"), at("10.0.0.2:9")) };
            let reset = TcpHeader { sequence: 1, acknowledged: 2, flags: 4, window: 3 };
            let echo = icmp(from.ip(), to.ip(), [8, 0], [1; 4], &payload);
            for frame in [udp(from, to, &payload), tcp(from, to, &reset), echo] {
                let ip = &frame[VNET..];
                let packet = PacketView::parse(ip).unwrap();
                prop_assert!(checksum_is_right(ip, packet.l4, packet.length, packet.protocol));
                if packet.protocol == UDP {
                    prop_assert_eq!(FlowKey::of(&packet), Some(FlowKey { local: to, remote: from }));
                }
            }
        }
    }
}
