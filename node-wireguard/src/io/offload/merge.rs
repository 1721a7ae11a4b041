//! Merges consecutive packets of one flow into a super-frame: a list of parts, no copy.
//!
//! Only the frame begun last is ever added to, so no packet overtakes another.

use super::split::{FIN, PSH, set_ip_length};
use super::vnet::{GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM, VNET, Vnet};
use crate::io::PARTS;
use crate::packet::checksum::{fold, pseudo};
use std::ops::Range;

const ACK: u8 = 0x10;
const ECE: u8 = 0x40;
const TCP: u8 = 6;
const UDP: u8 = 17;
const LARGEST: usize = 65_535;

/// What about a packet decides whether it can be merged.
#[derive(Clone, Copy)]
struct Shape {
    l4: usize,
    start: usize, // of the payload
    payload: usize,
    tcp: bool,
}

impl Shape {
    fn of(packet: &[u8]) -> Option<Self> {
        let (l4, length, protocol) = match packet.first()? >> 4 {
            // No options, no fragment.
            4 if packet.len() >= 28 && packet[0] == 0x45 && packet[6] & 0xbf | packet[7] == 0 => {
                (20, u16::from_be_bytes([packet[2], packet[3]]) as usize, packet[9])
            }
            6 if packet.len() >= 48 => {
                (40, 40 + u16::from_be_bytes([packet[4], packet[5]]) as usize, packet[6])
            }
            _ => return None,
        };
        let start = l4
            + match protocol {
                TCP if packet.len() >= l4 + 20 => {
                    let flags = packet[l4 + 13];
                    let plain = flags & ACK != 0 && flags & !(ACK | PSH | ECE) == 0;
                    (plain && packet[l4 + 12] >= 0x50)
                        .then_some((packet[l4 + 12] >> 4) as usize * 4)?
                }
                // Without a checksum it has to stay without, and its own length must be the packet's.
                UDP if packet[l4 + 6..l4 + 8] != [0, 0]
                    && u16::from_be_bytes([packet[l4 + 4], packet[l4 + 5]]) as usize + l4
                        == length =>
                {
                    8
                }
                _ => return None,
            };
        let payload = length.checked_sub(start).filter(|&payload| payload > 0)?;
        (length == packet.len()).then_some(Self { l4, start, payload, tcp: protocol == TCP })
    }
}

/// Whether both headers say the same but for what a merge computes anew: lengths, the IPv4 identification, checksums,
/// the sequence number and PSH.
fn same_flow(a: &[u8], b: &[u8], shape: &Shape) -> bool {
    let Shape { l4, start, tcp, .. } = *shape;
    let same = |range: Range<usize>| a[range.clone()] == b[range];
    let ip = if l4 == 20 {
        same(0..2) && same(6..10) && same(12..20)
    } else {
        same(0..4) && same(6..40)
    };
    let ports = same(l4..l4 + 4);
    // Acknowledgement, then flags, then window, then options.
    ip && ports
        && (!tcp
            || same(l4 + 8..l4 + 13)
                && (a[l4 + 13] ^ b[l4 + 13]) & !PSH == 0
                && same(l4 + 14..l4 + 16)
                && same(l4 + 20..start))
}

fn sequence(packet: &[u8], l4: usize) -> u32 {
    u32::from_be_bytes([packet[l4 + 4], packet[l4 + 5], packet[l4 + 6], packet[l4 + 7]])
}

/// The frame being merged. Its parts are ranges of the arena that the packets lie in.
pub struct Merger {
    merge_udp: bool,
    parts: Vec<Range<usize>>, // the first with its headers, the others payload only
    total: usize,             // of all parts
    next: u32,                // the sequence number that goes on
    open: Option<Shape>,      // of the first packet, while another may still follow
    shape: Option<Shape>,
    push: u8,
}

impl Merger {
    /// `merge_udp` only towards a kernel: a netstack does not take datagrams apart.
    pub fn new(merge_udp: bool) -> Self {
        let parts = Vec::with_capacity(PARTS);
        Self { merge_udp, parts, total: 0, next: 0, open: None, shape: None, push: 0 }
    }

    /// Takes the packet at `at`, an authentic one: its checksum is no longer looked at once it is merged. If it does not go
    /// on the frame, the frame is written first: `write(vnet, arena, parts)`.
    pub fn offer<F>(&mut self, arena: &mut [u8], at: Range<usize>, write: &mut F)
    where
        F: FnMut(&[u8; VNET], &[u8], &[Range<usize>]),
    {
        let shape = Shape::of(&arena[at.clone()]).filter(|shape| shape.tcp || self.merge_udp);
        if let (Some(first), Some(this)) = (self.open, shape)
            && self.goes_on(arena, &first, &this, &at)
        {
            self.close_if_last(&arena[at.clone()], &first, &this);
            self.next = self.next.wrapping_add(this.payload as u32);
            self.total += this.payload;
            self.parts.push(at.start + this.start..at.end);
            return;
        }
        self.flush(arena, write);
        (self.shape, self.open, self.total, self.push) = (shape, shape, at.len(), 0);
        if let Some(first) = shape {
            let packet = &arena[at.clone()];
            self.close_if_last(packet, &first, &first);
            self.next = sequence(packet, first.l4).wrapping_add(first.payload as u32);
        }
        self.parts.push(at);
    }

    fn goes_on(&self, arena: &[u8], first: &Shape, this: &Shape, at: &Range<usize>) -> bool {
        let (head, packet) = (&arena[self.parts[0].clone()], &arena[at.clone()]);
        self.parts.len() < PARTS
            && self.total + this.payload <= LARGEST
            && (this.l4, this.start, this.tcp) == (first.l4, first.start, first.tcp)
            && this.payload <= first.payload
            && (!this.tcp || sequence(packet, this.l4) == self.next)
            && same_flow(head, packet, first)
    }

    /// A push or a shorter packet is the last one of its frame.
    fn close_if_last(&mut self, packet: &[u8], first: &Shape, this: &Shape) {
        let push = if this.tcp { packet[this.l4 + 13] & PSH } else { 0 };
        self.push |= push;
        if push != 0 || this.payload < first.payload {
            self.open = None;
        }
    }

    /// Writes what has been merged. To be called when a round of packets is over, before the arena is used again.
    pub fn flush<F>(&mut self, arena: &mut [u8], write: &mut F)
    where
        F: FnMut(&[u8; VNET], &[u8], &[Range<usize>]),
    {
        let mut vnet = Vnet::default(); // a lone packet goes as it came
        if let (Some(shape), true) = (self.shape, self.parts.len() > 1) {
            vnet = finish_header(&mut arena[self.parts[0].clone()], &shape, self.total, self.push);
        }
        if !self.parts.is_empty() {
            write(&vnet.bytes(), arena, &self.parts);
        }
        self.parts.clear();
        self.open = None;
    }
}

/// Makes the first packet's header that of the whole frame. The checksum field gets the pseudo header's sum alone: each
/// packet was authentic, so the kernel is asked to trust the payload.
fn finish_header(packet: &mut [u8], shape: &Shape, total: usize, push: u8) -> Vnet {
    let Shape { l4, start, payload, tcp } = *shape;
    set_ip_length(packet, l4, total);
    let offset = if tcp { 16 } else { 6 };
    if tcp {
        packet[l4 + 13] = packet[l4 + 13] & !FIN | push;
    } else {
        packet[l4 + 4..l4 + 6].copy_from_slice(&((total - l4) as u16).to_be_bytes());
    }
    let sum = fold(pseudo(packet, if tcp { TCP } else { UDP }, total - l4));
    packet[l4 + offset..l4 + offset + 2].copy_from_slice(&sum.to_ne_bytes());
    let gso = match (tcp, l4) {
        (true, 20) => GSO_TCPV4,
        (true, _) => GSO_TCPV6,
        (false, _) => GSO_UDP_L4,
    };
    Vnet {
        flags: NEEDS_CSUM,
        gso,
        header: start as u16,
        size: payload as u16,
        csum_start: l4 as u16,
        csum_offset: offset as u16,
    }
}
