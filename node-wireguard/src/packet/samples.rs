//! Packets for tests.

use super::checksum::{finish, pseudo, sum};
use super::parse::{ICMP, ICMPV6, TCP, UDP};
use std::net::IpAddr;

/// An IP packet around a transport header and payload, its lengths and header checksum right.
pub fn ip(source: IpAddr, destination: IpAddr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut packet;
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            packet = vec![0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, protocol, 0, 0];
            packet[2..4].copy_from_slice(&(20 + body.len() as u16).to_be_bytes());
            packet.extend(source.octets());
            packet.extend(destination.octets());
            let checksum = finish(sum(&packet, 0), false);
            packet[10..12].copy_from_slice(&checksum);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            packet = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
            packet[4..6].copy_from_slice(&(body.len() as u16).to_be_bytes());
            packet.extend(source.octets());
            packet.extend(destination.octets());
        }
        _ => panic!("two families in one packet"),
    }
    packet.extend(body);
    packet
}

/// The transport checksum of `packet`, written `at` bytes into its transport header.
fn with_checksum(mut packet: Vec<u8>, protocol: u8, at: usize) -> Vec<u8> {
    let l4 = if packet[0] >> 4 == 6 { 40 } else { 20 };
    let start = if protocol == ICMP { 0 } else { pseudo(&packet, protocol, packet.len() - l4) };
    let checksum = finish(sum(&packet[l4..], start), protocol == UDP);
    packet[l4 + at..l4 + at + 2].copy_from_slice(&checksum);
    packet
}

pub fn tcp(
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut body = [source.1.to_be_bytes(), destination.1.to_be_bytes()].concat();
    body.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    body.extend(payload);
    with_checksum(ip(source.0, destination.0, TCP, &body), TCP, 16)
}

pub fn udp(source: (IpAddr, u16), destination: (IpAddr, u16), payload: &[u8]) -> Vec<u8> {
    let length = 8 + payload.len() as u16;
    let mut body = [source.1, destination.1, length, 0].map(u16::to_be_bytes).concat();
    body.extend(payload);
    with_checksum(ip(source.0, destination.0, UDP, &body), UDP, 6)
}

pub fn icmp(source: IpAddr, destination: IpAddr, kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    let protocol = if source.is_ipv6() { ICMPV6 } else { ICMP };
    let mut body = vec![kind, code, 0, 0];
    body.extend(rest);
    with_checksum(ip(source, destination, protocol, &body), protocol, 2)
}
