//! Splitting and merging, held against each other.

use super::split::{FIN, PSH, set_ip_length};
use super::*;
use crate::packet::checksum::{fold, pseudo, sum};
use crate::packet::tests::almost_a_packet;
use proptest::prelude::*;
use std::ops::Range;

const CASES: [(bool, bool); 4] = [(false, true), (true, true), (false, false), (true, false)];

/// A super-frame as the kernel hands it over: lengths of the whole, pseudo sum as checksum.
fn frame(v6: bool, tcp: bool, size: usize, payload: usize) -> (Vnet, Vec<u8>) {
    let (l4, header) = (if v6 { 40 } else { 20 }, if tcp { 32 } else { 8 });
    let mut packet = vec![0; l4 + header];
    packet.extend((0..payload).map(|i| (i * 7 % 251) as u8));
    let protocol = if tcp { 6 } else { 17 };
    if v6 {
        packet[0] = 0x60;
        (packet[6], packet[7], packet[23], packet[39]) = (protocol, 64, 1, 2);
    } else {
        packet[..10].copy_from_slice(&[0x45, 0, 0, 0, 0xff, 0xff, 0x40, 0, 64, protocol]);
        packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    }
    packet[l4..l4 + 4].copy_from_slice(&[0x30, 0x39, 0x14, 0x51]);
    let total = packet.len();
    set_ip_length(&mut packet, l4, total);
    let (gso, offset) = if tcp {
        packet[l4 + 4..l4 + 16].copy_from_slice(&[255, 255, 255, 9, 1, 2, 3, 4, 0x80, 0x18, 9, 9]);
        (if v6 { GSO_TCPV6 } else { GSO_TCPV4 }, 16)
    } else {
        packet[l4 + 4..l4 + 6].copy_from_slice(&((total - l4) as u16).to_be_bytes());
        (GSO_UDP_L4, 6)
    };
    let sum = fold(pseudo(&packet, protocol, total - l4));
    packet[l4 + offset..l4 + offset + 2].copy_from_slice(&sum.to_ne_bytes());
    let [header, size, csum_start] = [l4 + header, size, l4].map(|value| value as u16);
    let csum_offset = offset as u16;
    (Vnet { flags: NEEDS_CSUM, gso, header, size, csum_start, csum_offset }, packet)
}

/// The packets of a frame, each written over as a sealing engine would leave it.
fn cut(vnet: &Vnet, packet: &[u8]) -> Vec<Vec<u8>> {
    let (mut slab, mut packets) = (packet.to_vec(), Vec::new());
    split(vnet, &mut slab, packet.len(), |bytes, length| {
        packets.push(bytes[..length].to_vec());
        bytes[..length].fill(0xee);
    });
    packets
}

fn merge_as(merge_udp: bool, packets: &[Vec<u8>]) -> Vec<(Vnet, Vec<u8>)> {
    let (mut arena, mut frames, mut merger) =
        (packets.concat(), Vec::new(), Merger::new(merge_udp));
    let mut write = |vnet: &[u8; VNET], arena: &[u8], parts: &[Range<usize>]| {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| arena[part.clone()].to_vec()).collect();
        frames.push((Vnet::parse(vnet).unwrap(), bytes));
    };
    let mut at = 0;
    for packet in packets {
        merger.offer(&mut arena, at..at + packet.len(), &mut write);
        at += packet.len();
    }
    merger.flush(&mut arena, &mut write);
    frames
}

fn merge(packets: &[Vec<u8>]) -> Vec<(Vnet, Vec<u8>)> {
    merge_as(true, packets)
}

fn has_right_checksums(packet: &[u8]) -> bool {
    let (v6, l4) = if packet[0] >> 4 == 6 { (true, 40) } else { (false, 20) };
    let protocol = packet[if v6 { 6 } else { 9 }];
    fold(sum(&packet[l4..], pseudo(packet, protocol, packet.len() - l4))) == 0xffff
        && (v6 || fold(sum(&packet[..l4], 0)) == 0xffff)
}

#[test]
fn merging_what_was_split_gives_the_frame_back() {
    for (v6, tcp) in CASES {
        for (size, payload) in [(1368, 1369), (1368, 45 * 1368), (1000, 63_999), (5, 64), (1, 2)] {
            let (vnet, packet) = frame(v6, tcp, size, payload);
            let packets = cut(&vnet, &packet);
            assert_eq!(packets.len(), payload.div_ceil(size));
            assert_eq!(merge(&packets), [(vnet, packet)], "v6 {v6} tcp {tcp} {size} {payload}");
        }
    }
}

#[test]
fn every_packet_is_whole_and_has_a_right_checksum() {
    for (v6, tcp) in CASES {
        let (vnet, packet) = frame(v6, tcp, 1001, 9_000);
        for (i, packet) in cut(&vnet, &packet).iter().enumerate() {
            assert!(has_right_checksums(packet), "packet {i}");
            let flags = packet[vnet.csum_start as usize + 13];
            assert!(!tcp || (flags & PSH != 0) == (i == 8), "PSH on the last only");
        }
    }
}

#[test]
fn a_lone_packet_gets_its_checksum_finished() {
    for (v6, tcp) in CASES {
        let (vnet, packet) = frame(v6, tcp, 1000, 700);
        let whole = Vnet { gso: GSO_NONE, size: 0, ..vnet };
        let packets = cut(&whole, &packet);
        assert!(packets.len() == 1 && has_right_checksums(&packets[0]));
        assert_eq!(
            cut(&Vnet::default(), &packets[0]),
            packets,
            "and stays as it is when it has one"
        );
    }
}

#[test]
fn a_super_frame_without_a_checksum_to_finish_is_split_all_the_same() {
    for (v6, tcp) in CASES {
        let (vnet, packet) = frame(v6, tcp, 1000, 2_500);
        let bare = Vnet { flags: 0, csum_start: 0, csum_offset: 0, ..vnet };
        assert_eq!(cut(&bare, &packet), cut(&vnet, &packet));
    }
}

#[test]
fn what_does_not_go_on_is_not_merged() {
    let (vnet, packet) = frame(false, true, 1000, 4_000);
    let changed = |change: fn(&mut Vec<Vec<u8>>)| {
        let mut packets = cut(&vnet, &packet);
        change(&mut packets);
        merge(&packets).len()
    };
    assert_eq!(changed(|_| ()), 1);
    assert_eq!(changed(|packets| packets[2][27] ^= 1), 3, "a gap in the sequence");
    assert_eq!(changed(|packets| packets[3][20] ^= 1), 2, "another port");
    assert_eq!(changed(|packets| packets[1][33] |= PSH), 2, "nothing follows a push");
    assert_eq!(changed(|packets| packets[3][33] |= FIN), 2, "the end of a connection");
    assert_eq!(changed(|packets| packets[0][40] ^= 1), 2, "other options");
    assert_eq!(changed(|packets| packets[3][1] ^= 3), 2, "another congestion mark");
    assert_eq!(changed(|packets| packets[3][8] -= 1), 2, "another TTL");
    assert_eq!(changed(|packets| packets[3][6] ^= 0x40), 2, "another DF");
    assert_eq!(changed(|packets| packets[3][28] ^= 1), 2, "another acknowledgement");
    assert_eq!(changed(|packets| packets.swap(1, 2)), 4, "out of order");
}

#[test]
fn datagrams_merge_only_where_they_may() {
    let (vnet, packet) = frame(false, false, 1000, 4_500);
    let packets = cut(&vnet, &packet);
    assert_eq!(merge_as(true, &packets).len(), 1);
    let alone: Vec<_> = packets.iter().map(|packet| (Vnet::default(), packet.clone())).collect();
    assert_eq!(merge_as(false, &packets), alone, "towards a netstack");
    let mut bare = packets.clone();
    bare.iter_mut().for_each(|packet| packet[26..28].fill(0));
    assert_eq!(merge_as(true, &bare).len(), 5, "without a checksum");
    let (vnet, packet) = frame(false, true, 1000, 4_500);
    assert_eq!(merge_as(false, &cut(&vnet, &packet)), [(vnet, packet)], "TCP merges all the same");
}

#[test]
fn a_frame_stays_within_what_an_ip_header_can_say() {
    let (vnet, packet) = frame(true, true, 1400, 45 * 1400);
    let (more, next) = frame(true, true, 1400, 2 * 1400);
    let mut packets = cut(&vnet, &packet);
    let mut rest = cut(&more, &next);
    for (i, packet) in rest.iter_mut().enumerate() {
        let sequence = 0xffff_ff09u32.wrapping_add((45 + i as u32) * 1400);
        packet[44..48].copy_from_slice(&sequence.to_be_bytes());
    }
    packets.iter_mut().for_each(|packet| packet[53] &= !PSH);
    packets.extend(rest);
    let frames = merge(&packets);
    assert_eq!(frames.len(), 2);
    assert!(frames.iter().all(|(_, bytes)| bytes.len() <= 65_535));
}

#[test]
fn nonsense_is_refused() {
    let (vnet, packet) = frame(false, true, 1000, 4_000);
    for broken in [
        Vnet { size: 0, ..vnet },
        Vnet { gso: 77, ..vnet },
        Vnet { gso: GSO_TCPV6, ..vnet },
        Vnet { gso: GSO_UDP_L4, ..vnet },
        Vnet { csum_start: 9, ..vnet },
        Vnet { csum_start: 60_000, ..vnet },
        Vnet { gso: GSO_NONE, csum_offset: 60_000, ..vnet },
    ] {
        assert!(cut(&broken, &packet).is_empty(), "{broken:?}");
    }
    assert!(Vnet::parse(&[0; 9]).is_none());
    assert_eq!(split(&vnet, &mut [0; 100], 101, |_, _| ()), None, "longer than its slab");
}

fn vnet() -> impl Strategy<Value = Vnet> {
    let gso = prop::sample::select(vec![
        GSO_NONE,
        GSO_TCPV4,
        GSO_TCPV6,
        GSO_UDP_L4,
        GSO_TCPV4 | GSO_ECN,
        3,
        255,
    ]);
    let small = |limit: u16| prop_oneof![4 => 0..limit, 1 => any::<u16>()];
    (0u8..4, gso, any::<u16>(), small(100), small(70), small(20)).prop_map(
        |(flags, gso, header, size, csum_start, csum_offset)| Vnet {
            flags,
            gso,
            header,
            size,
            csum_start,
            csum_offset,
        },
    )
}

/// Packets of two flows with their usual troubles, as they might come out of a tunnel.
fn traffic() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let run =
        (any::<bool>(), any::<bool>(), 1usize..1500, 1usize..8000, 0usize..8, 0u8..4, any::<u8>());
    prop::collection::vec(run, 1..6).prop_map(|runs| {
        let mut packets = Vec::new();
        for (v6, tcp, size, payload, at, trouble, noise) in runs {
            let (vnet, frame) = frame(v6, tcp, size.max(payload / 40), payload);
            let mut run = cut(&vnet, &frame);
            let at = at % run.len();
            match trouble {
                0 => run.rotate_left(at),
                1 => drop(run.remove(at)),
                2 if tcp => run[at][if v6 { 53 } else { 33 }] |= noise & 0xc9, // flags that stop a merge, or do not
                _ => {}
            }
            packets.extend(run);
        }
        packets
    })
}

/// A packet without what a merge and a split compute anew.
fn essence(packet: &[u8]) -> Vec<u8> {
    let (mut packet, v6) = (packet.to_vec(), packet[0] >> 4 == 6);
    let (l4, tcp) = if v6 { (40, packet[6] == 6) } else { (20, packet[9] == 6) };
    if !v6 {
        packet[4..6].fill(0);
        packet[10..12].fill(0);
    }
    let check = l4 + if tcp { 16 } else { 6 };
    packet[check..check + 2].fill(0);
    packet
}

proptest! {
    #[test]
    fn split_then_merge_is_the_identity(
        v6: bool, tcp: bool, size in 1usize..9000, segments in 2usize..=64, short in 0usize..9000,
    ) {
        let most = 65_535 - 72;
        let payload = (size * segments - short % size).min(most);
        prop_assume!(payload > size && payload.div_ceil(size) <= crate::io::PARTS);
        let (vnet, packet) = frame(v6, tcp, size, payload);
        let packets = cut(&vnet, &packet);
        prop_assert!(packets.iter().all(|packet| has_right_checksums(packet)));
        prop_assert_eq!(merge(&packets), [(vnet, packet)]);
    }

    #[test]
    fn merge_then_split_loses_reorders_and_changes_nothing(packets in traffic()) {
        let again: Vec<Vec<u8>> = merge(&packets).iter().flat_map(|(vnet, packet)| cut(vnet, packet)).collect();
        let essences = |packets: &[Vec<u8>]| packets.iter().map(|packet| essence(packet)).collect::<Vec<_>>();
        prop_assert_eq!(essences(&again), essences(&packets));
    }

    #[test]
    fn arbitrary_frames_do_not_panic(vnet in vnet(), mut slab in almost_a_packet(), spare in 0usize..40) {
        let length = slab.len().saturating_sub(spare);
        split(&vnet, &mut slab, length, |packet, length| assert!(length <= packet.len()));
    }

    #[test]
    fn arbitrary_packets_do_not_panic(packets in prop::collection::vec(almost_a_packet(), 1..20), merge_udp: bool) {
        let bytes = merge_as(merge_udp, &packets).iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        prop_assert!(bytes <= packets.concat().len());
    }

    #[test]
    fn a_header_comes_back_as_it_went(vnet in vnet()) {
        prop_assert_eq!(Vnet::parse(&vnet.bytes()), Some(vnet));
    }
}
