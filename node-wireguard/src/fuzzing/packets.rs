//! What is inside: packets of peers and of the interface.

use super::{byte, word};
use crate::filter::{Filter, FilterConfig, Rule, RuleProtocol};
use crate::io::offload::{Merger, VNET, Vnet, split as cut};
use crate::packet::{PacketView, icmp, ip_length, mss};
use crate::rootless::netstack::headers::checksum_is_right;
use crate::rootless::netstack::segment::Segment;
use std::cell::RefCell;
use std::ops::Range;

/// The parser, and what answers and changes packets.
pub fn packet(data: &[u8]) {
    if let Some(view) = PacketView::parse(data) {
        assert!(view.length <= data.len() && view.l4 <= view.length);
        assert_eq!(ip_length(data), Some(view.length));
    }
    PacketView::parse_quoted(data);
    let mut out = [0; icmp::LONGEST];
    for length in [
        icmp::packet_too_big(data, 1280, &mut out),
        icmp::unreachable(data, icmp::Unreachable::NoRoute, &mut out),
    ] {
        let Some(length) = length else { continue };
        assert_eq!(ip_length(&out[..length]), Some(length), "an error is a whole packet");
    }
    let mut copy = data.to_vec();
    if !mss::clamp(&mut copy, 1280) {
        assert_eq!(copy, data, "what is not clamped stays as it was");
    }
}

thread_local! {
    static FILTER: RefCell<Filter> = RefCell::new(Filter::new(&FilterConfig { open: false, allow: vec![
        Rule { protocol: RuleProtocol::Tcp, ports: (20, 30), sources: Vec::new() },
        Rule { protocol: RuleProtocol::Udp, ports: (0, 99), sources: vec![([10, 0, 0, 0].into(), 8)] },
    ] }));
}

/// Packets one after the other, in and out, at times that only rise.
pub fn filter(mut data: &[u8]) {
    FILTER.with_borrow_mut(|filter| {
        let mut now = 1_000;
        while !data.is_empty() {
            let (control, length) = (byte(&mut data), usize::from(byte(&mut data)));
            let (packet, rest) = data.split_at(length.min(data.len()));
            data = rest;
            now += u64::from(control >> 1) * 1_000;
            let Some(view) = PacketView::parse(packet) else { continue };
            if control & 1 == 0 {
                filter.outbound(&view, now);
            } else {
                filter.inbound(&view, packet, now);
            }
        }
    });
}

/// A frame of the interface with any header in front.
pub fn split(data: &[u8]) {
    let Some((head, frame)) = data.split_first_chunk::<VNET>() else { return };
    let Some(vnet) = Vnet::parse(head) else { return };
    assert_eq!(vnet.bytes(), *head);
    let mut slab = frame.to_vec();
    let length = slab.len();
    cut(&vnet, &mut slab, length, |packet, length| {
        assert!(length <= packet.len());
        packet[..length].fill(0xee); // sealed and gone
    });
}

/// Packets of any kind side by side. Nothing is lost: each byte is in one frame, or a header that was merged away.
pub fn merge(mut data: &[u8]) {
    let (udp, mut arena, mut places) = (byte(&mut data) & 1 == 0, Vec::new(), Vec::new());
    while !data.is_empty() {
        let length = usize::from(word(&mut data) & 0x1ff);
        let (packet, rest) = data.split_at(length.min(data.len()));
        data = rest;
        places.push(arena.len()..arena.len() + packet.len());
        arena.extend_from_slice(packet);
    }
    let (total, mut merger, mut written) = (arena.len(), Merger::new(udp), 0);
    let mut write = |vnet: &[u8; VNET], arena: &[u8], parts: &[Range<usize>]| {
        let frame: Vec<u8> = parts.iter().flat_map(|part| arena[part.clone()].to_vec()).collect();
        assert!(frame.len() <= 65_535 || parts.len() == 1);
        let packets = Vnet::parse(vnet).map_or(1, |vnet| match usize::from(vnet.size) {
            0 => 1,
            size => (frame.len() - usize::from(vnet.header)).div_ceil(size),
        });
        assert_eq!(packets, parts.len(), "a frame is cut into what it was made of");
        written += frame.len();
    };
    for at in places {
        merger.offer(&mut arena, at, &mut write);
    }
    merger.flush(&mut arena, &mut write);
    assert!(written <= total);
}

/// A peer's TCP segment, as the engine's own stack reads and changes it.
pub fn netstack(data: &[u8]) {
    let Some(view) = PacketView::parse(data) else { return };
    checksum_is_right(data, view.l4, view.length, view.protocol);
    let Some(mut segment) = Segment::parse(&view, data) else { return };
    assert_eq!(segment.l4 + segment.header + segment.payload, view.length);
    segment.length();
    segment.window_scale(data);
    let mut copy = data.to_vec();
    segment.set_window(&mut copy, 77);
    segment.clamp_maximum(&mut copy, 1_200);
    assert!(segment.maximum(&copy) <= segment.maximum(data).max(1_200));
}
