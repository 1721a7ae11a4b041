//! smoltcp's view of the frames descriptor: it reads the one packet at hand, and what it sends leaves as a frame.
//!
//! smoltcp believes in an MTU of 65,535, so that one segment of its is a super-frame for the engine to cut; the true
//! MTU stands in the MSS options, ours written and the peer's lowered on the way through.

use super::frames::Frames;
use super::key::TCP;
use super::segment::{SYN, Segment};
use crate::io::offload::{GSO_NONE, GSO_TCPV4, GSO_TCPV6, NEEDS_CSUM, VNET, Vnet};
use crate::packet::PacketView;
use crate::packet::checksum::{fold, pseudo};
use smoltcp::phy::{self, Checksum, ChecksumCapabilities, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use std::net::IpAddr;
use std::sync::Arc;

/// IP and TCP headers without options, the larger family.
pub const HEADERS_V4: u16 = 40;
pub const HEADERS_V6: u16 = 60;
const LARGEST: usize = 65_535;
/// A super-frame of 45 full segments fills one batch of datagrams of the engine exactly.
const SEGMENTS: usize = 45;

/// What left last, for the congestion window and for the time after the end.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    pub segment: Segment,
    pub length: u32,
}

/// Where smoltcp's packets go.
pub struct Link {
    frames: Arc<Frames>,
    mtu: u16,
    buffer: Vec<u8>,
    /// Payload bytes of one segment of the flow that sends now.
    pub mss: u16,
    /// Swallow what is sent: a handshake is being repeated for the socket's sake.
    pub mute: bool,
    sent: Vec<Sent>,
}

impl Link {
    pub fn new(frames: Arc<Frames>, mtu: u16) -> Self {
        let buffer = vec![0; VNET + LARGEST];
        Self { frames, mtu, buffer, mss: mtu - HEADERS_V6, mute: false, sent: Vec::new() }
    }

    /// What one segment may carry at most, by our MTU.
    pub fn largest_segment(&self, v6: bool) -> u16 {
        self.mtu - if v6 { HEADERS_V6 } else { HEADERS_V4 }
    }

    /// Is the frames descriptor full? Then a socket waits instead of losing.
    pub fn blocked(&self) -> bool {
        self.frames.blocked()
    }

    /// Takes the record of what left since the last call.
    pub fn take_sent(&mut self) -> std::vec::Drain<'_, Sent> {
        self.sent.drain(..)
    }

    /// Is a segment among it that begins there?
    pub fn has_sent(&self, sequence: u32) -> bool {
        self.sent.iter().any(|sent| sent.segment.sequence == sequence && sent.length > 0)
    }

    /// Sends a frame that smoltcp has no part in.
    pub fn send(&self, frame: &[u8], to: IpAddr) {
        self.frames.send(frame, to);
    }

    /// The device for one call of smoltcp, with at most one packet to read.
    pub fn device<'a>(&'a mut self, packet: Option<&'a [u8]>) -> Device<'a> {
        Device { link: self, packet }
    }

    fn leave(&mut self, length: usize) {
        let (mtu, mss) = (self.mtu, self.mss.max(1));
        let bytes = &mut self.buffer[VNET..VNET + length];
        let Some(packet) = PacketView::parse(bytes) else { return };
        let Some(segment) = Segment::parse(&packet, bytes) else { return };
        self.sent.push(Sent { segment, length: segment.length() });
        if self.mute {
            return;
        }
        let v6 = packet.source.is_ipv6();
        if segment.has(SYN) {
            segment.clamp_maximum(bytes, mtu - if v6 { HEADERS_V6 } else { HEADERS_V4 });
        }
        // Only the pseudo header's sum: the engine, or the far kernel, finishes it.
        let partial = fold(pseudo(bytes, TCP, length - packet.l4));
        bytes[packet.l4 + 16..packet.l4 + 18].copy_from_slice(&partial.to_ne_bytes());
        let large = segment.payload > usize::from(mss);
        let vnet = Vnet {
            flags: NEEDS_CSUM,
            gso: match (large, v6) {
                (false, _) => GSO_NONE,
                (true, false) => GSO_TCPV4,
                (true, true) => GSO_TCPV6,
            },
            header: (segment.l4 + segment.header) as u16,
            size: if large { mss } else { 0 },
            csum_start: segment.l4 as u16,
            csum_offset: 16,
        };
        self.buffer[..VNET].copy_from_slice(&vnet.bytes());
        self.frames.send(&self.buffer[..VNET + length], packet.destination);
    }
}

pub struct Device<'a> {
    link: &'a mut Link,
    packet: Option<&'a [u8]>,
}

pub struct Receive<'a>(&'a [u8]);
pub struct Transmit<'a>(&'a mut Link);

impl phy::RxToken for Receive<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl phy::TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let length = length.min(LARGEST);
        let result = f(&mut self.0.buffer[VNET..VNET + length]);
        self.0.leave(length);
        result
    }
}

impl phy::Device for Device<'_> {
    type RxToken<'b>
        = Receive<'b>
    where
        Self: 'b;
    type TxToken<'b>
        = Transmit<'b>
    where
        Self: 'b;

    fn receive(&mut self, _: Instant) -> Option<(Receive<'_>, Transmit<'_>)> {
        Some((Receive(self.packet.take()?), Transmit(self.link)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Transmit<'_>> {
        (self.link.mute || !self.link.blocked()).then_some(Transmit(self.link))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = LARGEST;
        let mut checksum = ChecksumCapabilities::default();
        // Verified before smoltcp sees a packet; left to the engine on the way out.
        (checksum.tcp, checksum.ipv4) = (Checksum::None, Checksum::Tx);
        capabilities.checksum = checksum;
        let super_frame = |headers: u16| {
            let payload = SEGMENTS * usize::from(self.link.mtu - headers);
            std::num::NonZeroUsize::new((payload + usize::from(headers)).min(LARGEST))
        };
        capabilities.segmentation.tcpv4 = super_frame(HEADERS_V4);
        capabilities.segmentation.tcpv6 = super_frame(HEADERS_V6);
        capabilities
    }
}
