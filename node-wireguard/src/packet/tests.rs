//! What the view sees in packets as they come, and that nothing makes it fall over.

use super::*;
use proptest::prelude::*;
use std::net::IpAddr;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn ends(v6: bool) -> ((IpAddr, u16), (IpAddr, u16)) {
    let (a, b) = if v6 { ("fd00::1", "fd00::2") } else { ("10.0.0.1", "10.0.0.2") };
    ((address(a), 40_000), (address(b), 22))
}

/// A packet of IPv6 with these extension headers, each given without its first byte.
fn extended(extensions: &[(u8, &[u8])], protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut chain = Vec::new();
    for (i, (_, bytes)) in extensions.iter().enumerate() {
        chain.push(extensions.get(i + 1).map_or(protocol, |next| next.0));
        chain.extend(*bytes);
    }
    chain.extend(body);
    samples::ip(
        address("fd00::1"),
        address("fd00::2"),
        extensions.first().map_or(protocol, |first| first.0),
        &chain,
    )
}

#[test]
fn ports_and_addresses_are_seen_in_both_families() {
    for v6 in [false, true] {
        let (from, to) = ends(v6);
        let view = PacketView::parse(&samples::tcp(from, to, 0x12, b"x")).unwrap();
        assert_eq!((view.source, view.destination, view.protocol), (from.0, to.0, TCP));
        assert_eq!(view.transport, Transport::Tcp { source: 40_000, destination: 22, flags: 0x12 });
        assert_eq!(view.fragment, Fragment::Whole);
        let view = PacketView::parse(&samples::udp(from, to, b"x")).unwrap();
        assert_eq!(view.transport, Transport::Udp { source: 40_000, destination: 22 });
        let view = PacketView::parse(&samples::icmp(from.0, to.0, 8, 3, &[0; 4])).unwrap();
        assert_eq!(view.transport, Transport::Icmp { kind: 8, code: 3 });
    }
}

#[test]
fn padding_is_not_part_of_the_packet_and_a_cut_one_is_none() {
    let (from, to) = ends(false);
    let mut packet = samples::udp(from, to, b"12345");
    let length = packet.len();
    packet.resize(48, 0);
    assert_eq!(ip_length(&packet), Some(length));
    assert_eq!(PacketView::parse(&packet).unwrap().length, length);
    assert_eq!(ip_length(&packet[..length - 1]), None);
    assert_eq!(PacketView::parse(&packet[..length - 1]), None);
    assert_eq!(ip_length(&[]), None);
    packet[0] = 0x44; // a header of 16 bytes
    assert_eq!(ip_length(&packet), None);
}

#[test]
fn the_transport_header_is_found_behind_extension_headers() {
    let udp = [0x9c, 0x40, 0, 53, 0, 8, 0, 0];
    let hop_by_hop: &[u8] = &[0, 1, 4, 0, 0, 0, 0];
    let authentication: &[u8] = &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let packet = extended(&[(0, hop_by_hop), (51, authentication), (60, hop_by_hop)], UDP, &udp);
    let view = PacketView::parse(&packet).unwrap();
    assert_eq!((view.protocol, view.l4), (UDP, 40 + 8 + 12 + 8));
    assert_eq!(view.transport, Transport::Udp { source: 40_000, destination: 53 });
    let endless = extended(&[(60, hop_by_hop); 9], UDP, &udp);
    assert_eq!(PacketView::parse(&endless), None, "nobody needs nine of them");
}

#[test]
fn fragments_are_told_apart() {
    let (from, to) = ends(false);
    let mut packet = samples::udp(from, to, &[0; 64]);
    packet[6] = 0x20;
    let first = PacketView::parse(&packet).unwrap();
    assert_eq!(first.fragment, Fragment::First { id: 0x1234 });
    assert_eq!(first.transport, Transport::Udp { source: 40_000, destination: 22 });
    packet[7] = 8;
    let later = PacketView::parse(&packet).unwrap();
    assert_eq!(
        (later.fragment, later.transport),
        (Fragment::Later { id: 0x1234 }, Transport::Other)
    );

    let header = |place: u16| [&[0][..], &place.to_be_bytes(), &[0, 0, 0, 7]].concat();
    let body = [0x9c, 0x40, 0, 22, 0, 8, 0, 0];
    let first = PacketView::parse(&extended(&[(44, &header(1))], UDP, &body)).unwrap();
    assert_eq!(first.fragment, Fragment::First { id: 7 });
    let later = PacketView::parse(&extended(&[(44, &header(64))], UDP, &body)).unwrap();
    assert_eq!((later.fragment, later.protocol), (Fragment::Later { id: 7 }, UDP));
    let atomic = PacketView::parse(&extended(&[(44, &header(0))], UDP, &body)).unwrap();
    assert_eq!(atomic.fragment, Fragment::Whole, "a fragment that is all of it (RFC 6946)");
}

#[test]
fn tiny_fragments_that_hide_or_overwrite_the_header_are_refused() {
    let (from, to) = ends(false);
    let mut packet = samples::tcp(from, to, 2, &[]);
    packet[3] = 20 + 8;
    packet[6] = 0x20;
    assert_eq!(PacketView::parse(&packet), None, "the flags are in the next fragment");
    let mut packet = samples::tcp(from, to, 2, &[0; 40]);
    (packet[6], packet[7]) = (0, 1);
    assert_eq!(PacketView::parse(&packet), None, "over the header of the first");
}

#[test]
fn a_quoted_packet_may_be_cut_behind_eight_bytes_of_transport() {
    let (from, to) = ends(true);
    let packet = samples::tcp(from, to, 0x10, &[0; 500]);
    let view = PacketView::parse_quoted(&packet[..48]).unwrap();
    assert_eq!(view.transport, Transport::Tcp { source: 40_000, destination: 22, flags: 0 });
    assert_eq!(PacketView::parse_quoted(&packet[..43]), None);
}

/// Arbitrary bytes that often get past the first checks.
pub fn almost_a_packet() -> impl Strategy<Value = Vec<u8>> {
    let protocol = prop::sample::select(vec![0u8, 1, 6, 17, 43, 44, 51, 58, 59, 60]);
    (prop::collection::vec(any::<u8>(), 0..200), any::<bool>(), protocol, any::<bool>()).prop_map(
        |(mut bytes, v6, protocol, right_length)| {
            if bytes.len() >= 40 {
                let length = bytes.len() as u16;
                bytes[0] = if v6 { 0x60 } else { 0x45 };
                bytes[if v6 { 6 } else { 9 }] = protocol;
                if right_length && v6 {
                    bytes[4..6].copy_from_slice(&(length - 40).to_be_bytes());
                } else if right_length {
                    bytes[2..4].copy_from_slice(&length.to_be_bytes());
                }
            }
            bytes
        },
    )
}

proptest! {
    #[test]
    fn arbitrary_bytes_give_a_view_inside_of_them_or_none(bytes in almost_a_packet()) {
        if let Some(view) = PacketView::parse(&bytes) {
            prop_assert!(view.length <= bytes.len() && view.l4 <= view.length);
            prop_assert_eq!(Some(view.length), ip_length(&bytes));
            prop_assert_eq!((Some(view.source), Some(view.destination)), (source(&bytes), destination(&bytes)));
        }
        PacketView::parse_quoted(&bytes);
    }
}
