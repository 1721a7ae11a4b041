//! Segments in and out, and what smoltcp must be helped with.

use super::{Flow, Phase};
use crate::io::offload::VNET;
use crate::rootless::netstack::governor::{Governor, Verdict};
use crate::rootless::netstack::headers::{self, TcpHeader};
use crate::rootless::netstack::link::{HEADERS_V4, HEADERS_V6};
use crate::rootless::netstack::segment::{ACK, SYN, Segment};
use crate::rootless::netstack::tcp::{Micros, Tcp};

/// smoltcp takes no smaller MSS either.
const SMALLEST_SEGMENT: u16 = 48;
/// The least MTU that an error is believed about (RFC 791; RFC 8200 has 1,280, but a tunnel may be on the way).
const SMALLEST_MTU: u16 = 576;
/// Packets that one flow may send before the others have their turn.
const TURN: usize = 16;

impl Flow {
    /// Takes a packet of this flow.
    pub fn receive(&mut self, bytes: &mut [u8], mut segment: Segment, tcp: &mut Tcp, now: Micros) {
        if matches!(self.phase, Phase::Draining | Phase::Reset) {
            return;
        }
        self.heard_at = now;
        let mut verdict = Verdict::Nothing;
        // smoltcp forgets a FIN when its repeated acknowledgements ask for a fast retransmission: it looks for data only.
        let fin_only = self.socket().send_queue() == 0;
        match &mut self.governor {
            Some(governor) if fin_only && governor.is_repeated(&segment) => return,
            Some(governor) => verdict = governor.received(&mut segment, bytes, now),
            None if segment.has(SYN) => self.begin(bytes, &mut segment, tcp),
            None => {}
        }
        tcp.link.mss = self.mss;
        tcp.feed(&mut self.set, bytes, now);
        self.note(tcp, now);
        match verdict {
            Verdict::Nothing => {}
            Verdict::ResendHead if self.socket().send_queue() > 0 => {
                let header = TcpHeader {
                    sequence: segment.sequence.wrapping_add(segment.length()),
                    acknowledged: segment.acknowledged,
                    flags: ACK,
                    window: segment.window,
                };
                let again = headers::from_peer(&self.key, &header);
                for _ in 0..3 {
                    tcp.feed(&mut self.set, &again[VNET..], now); // RFC 5681: the third repetition resends
                }
                self.note(tcp, now);
            }
            Verdict::ResendHead | Verdict::ResendAll => {
                tcp.hurry(&mut self.set, segment.acknowledged, now);
                self.note(tcp, now);
            }
        }
    }

    /// Takes the peer's SYN: from here on the congestion window is kept.
    fn begin(&mut self, bytes: &mut [u8], segment: &mut Segment, tcp: &Tcp) {
        let largest = tcp.link.largest_segment(self.key.remote.is_ipv6());
        segment.clamp_maximum(bytes, largest);
        self.mss = segment.maximum(bytes).clamp(SMALLEST_SEGMENT, largest);
        let scale = segment.window_scale(bytes);
        let initial = segment.acknowledged.wrapping_sub(1); // of a SYN-ACK; else set when our SYN-ACK leaves
        let mut governor = Governor::new(self.mss, scale.unwrap_or(0), initial);
        governor.opening(segment, bytes);
        self.governor = Some(governor);
    }

    /// Tells the congestion window what has left.
    pub(super) fn note(&mut self, tcp: &mut Tcp, now: Micros) {
        for sent in tcp.link.take_sent() {
            if sent.segment.has(ACK) {
                (self.expected, self.offered) = (sent.segment.acknowledged, sent.segment.window);
            }
            let Some(governor) = &mut self.governor else { continue };
            if sent.segment.has(SYN) {
                governor.restart(sent.segment.sequence);
            } else {
                governor.sent(sent.segment.sequence, sent.length, now);
            }
        }
    }

    /// Sends what smoltcp has due; says whether it has more.
    pub(super) fn send(&mut self, tcp: &mut Tcp, now: Micros) -> bool {
        tcp.link.mss = self.mss;
        self.brace(tcp, now);
        let mut more = true;
        for _ in 0..TURN {
            more = tcp.poll(&mut self.set, now);
            self.note(tcp, now);
            if !more {
                break;
            }
        }
        if !more && !tcp.link.blocked() {
            self.recover(tcp, now);
        }
        more || tcp.link.blocked()
    }

    /// Is there anything that the peer must still acknowledge?
    pub(super) fn unfinished(&mut self) -> bool {
        let flight = self.governor.as_ref().is_some_and(|governor| governor.flight() > 0);
        self.phase == Phase::Open && (flight || self.socket().send_queue() > 0)
    }

    /// An ICMP error about a segment of ours: believed only for what is in flight (RFC 5927).
    pub fn too_big(&mut self, sequence: u32, mtu: u16) {
        let headers = if self.key.remote.is_ipv6() { HEADERS_V6 } else { HEADERS_V4 };
        let believable =
            self.governor.as_ref().is_some_and(|governor| governor.in_flight(sequence));
        if believable && mtu >= SMALLEST_MTU {
            self.mss = self.mss.min(mtu - headers);
        }
    }
}
