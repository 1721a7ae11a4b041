//! Cuts a super-frame into packets, in place: each packet's header is written just in front of its payload, over bytes of
//! the packet before it, which is sealed by then.

use super::vnet::{GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM, Vnet};
use crate::packet::checksum::{finish, fold, pseudo, sum};

pub const FIN: u8 = 0x01;
pub const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

const TCP: u8 = 6;
const UDP: u8 = 17;
const HEADERS: usize = 160; // IPv6 with some extension headers and a full TCP header
const LARGEST: usize = 65_535;

/// Writes the IP length, and for IPv4 the header's checksum. `length` is the whole packet's, at most 65,535, and `l4`
/// the offset of the transport header.
pub fn set_ip_length(packet: &mut [u8], l4: usize, length: usize) {
    if packet[0] >> 4 == 6 {
        packet[4..6].copy_from_slice(&((length - 40) as u16).to_be_bytes());
    } else {
        packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        packet[10..12].fill(0);
        let checksum = !fold(sum(&packet[..l4], 0));
        packet[10..12].copy_from_slice(&checksum.to_ne_bytes());
    }
}

/// How a super-frame is to be cut.
struct Plan {
    l4: usize,
    start: usize, // of the payload
    size: usize,
    count: usize,
    tcp: bool,
}

impl Plan {
    /// Nothing if the frame makes no sense. The header's own length field is not used.
    fn of(vnet: &Vnet, frame: &[u8]) -> Option<Self> {
        let (version, tcp) = match (vnet.gso & !GSO_ECN, frame.first()? >> 4) {
            (GSO_TCPV4, 4) => (4, true),
            (GSO_TCPV6, 6) => (6, true),
            (GSO_UDP_L4, version @ (4 | 6)) => (version, false),
            _ => return None,
        };
        // Without a checksum to finish nobody says where the transport header is, so it has to be the next one.
        let (own, protocol) = match version {
            4 => ((frame[0] & 0xf) as usize * 4, *frame.get(9)?),
            _ => (40, *frame.get(6)?),
        };
        let expected = if tcp { TCP } else { UDP };
        let l4 = match vnet.flags & NEEDS_CSUM != 0 {
            true => vnet.csum_start as usize,
            false if protocol == expected => own,
            false => return None,
        };
        let placed =
            if version == 4 { l4 == own && l4 >= 20 && protocol == expected } else { l4 >= 40 };
        let start = l4 + if tcp { (*frame.get(l4 + 12)? >> 4) as usize * 4 } else { 8 };
        let (shortest, size) = (l4 + if tcp { 20 } else { 8 }, vnet.size as usize);
        let whole = start >= shortest && start <= HEADERS && start < frame.len();
        if !placed || !whole || size == 0 || start + size.min(frame.len() - start) > LARGEST {
            return None;
        }
        Some(Self { l4, start, size, count: (frame.len() - start).div_ceil(size), tcp })
    }
}

/// Calls `each` with every packet of the frame that is the first `length` bytes of `slab`: the slice begins with the
/// packet, and its length is the second argument. What lies behind the packet in the slice is not sent yet: it may be used
/// but must be left as it was. Checksums are finished. Nothing: the frame makes no sense.
pub fn split(
    vnet: &Vnet,
    slab: &mut [u8],
    length: usize,
    mut each: impl FnMut(&mut [u8], usize),
) -> Option<()> {
    let frame = slab.get_mut(..length)?;
    if vnet.gso == GSO_NONE {
        if vnet.flags & NEEDS_CSUM != 0 {
            finish_checksum(vnet, frame)?;
        }
        each(slab, length);
        return Some(());
    }
    let plan = Plan::of(vnet, frame)?;
    let Plan { l4, start, size, count, tcp } = plan;
    let mut template = [0; HEADERS];
    let template = template.get_mut(..start)?;
    template.copy_from_slice(&slab[..start]);
    for i in 0..count {
        let payload = size.min(length - start - i * size);
        let packet = &mut slab[i * size..];
        if i > 0 {
            packet[..start].copy_from_slice(template);
        }
        finish_segment(packet, template, &plan, i, start + payload);
        let check = l4 + if tcp { 16 } else { 6 };
        packet[check..check + 2].fill(0);
        let pseudo = pseudo(packet, if tcp { TCP } else { UDP }, start + payload - l4);
        let checksum = finish(sum(&packet[l4..start + payload], pseudo), !tcp);
        packet[check..check + 2].copy_from_slice(&checksum);
        each(packet, start + payload);
    }
    Some(())
}

/// The field already holds the sum of the pseudo header.
fn finish_checksum(vnet: &Vnet, frame: &mut [u8]) -> Option<()> {
    let (start, offset) = (vnet.csum_start as usize, vnet.csum_offset as usize);
    let covered = frame.get_mut(start..)?;
    let checksum = finish(sum(covered, 0), vnet.csum_offset == 6);
    covered.get_mut(offset..offset + 2)?.copy_from_slice(&checksum);
    Some(())
}

/// What differs from packet to packet, but for the transport checksum.
fn finish_segment(packet: &mut [u8], template: &[u8], plan: &Plan, i: usize, total: usize) {
    let &Plan { l4, size, count, tcp, .. } = plan;
    let word = |at: usize| u16::from_be_bytes([template[at], template[at + 1]]);
    if packet[0] >> 4 == 4 {
        packet[4..6].copy_from_slice(&word(4).wrapping_add(i as u16).to_be_bytes());
    }
    set_ip_length(packet, l4, total);
    if tcp {
        let sequence = (word(l4 + 4) as u32) << 16 | word(l4 + 6) as u32;
        let sequence = sequence.wrapping_add((i * size) as u32);
        packet[l4 + 4..l4 + 8].copy_from_slice(&sequence.to_be_bytes());
        let not_last = if i + 1 < count { FIN | PSH } else { 0 };
        let not_first = if i > 0 { CWR } else { 0 };
        packet[l4 + 13] = template[l4 + 13] & !not_last & !not_first;
    } else {
        packet[l4 + 4..l4 + 6].copy_from_slice(&((total - l4) as u16).to_be_bytes());
    }
}
