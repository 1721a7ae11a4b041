//! What the stack says about packets that belong to nobody: TCP resets and "port unreachable", so many a second.

use super::frames::Frames;
use super::headers::{self, TcpHeader};
use super::key::FlowKey;
use super::segment::{ACK, RST, Segment};
use super::tcp::Micros;
use crate::io::offload::VNET;
use crate::packet::icmp::{self, Unreachable};
use std::net::IpAddr;
use std::sync::Arc;

const PER_SECOND: u64 = 1000;
const BURST: u64 = 1000;

pub struct Answers {
    frames: Arc<Frames>,
    tokens: u64,
    refilled: Micros,
}

impl Answers {
    pub fn new(frames: Arc<Frames>) -> Self {
        Self { frames, tokens: BURST, refilled: 0 }
    }

    fn may(&mut self, now: Micros) -> bool {
        let earned = now.saturating_sub(self.refilled) * PER_SECOND / 1_000_000;
        if earned > 0 {
            (self.tokens, self.refilled) = ((self.tokens + earned).min(BURST), now);
        }
        let may = self.tokens > 0;
        self.tokens -= u64::from(may);
        may
    }

    /// Resets the sender of a segment that has no connection (RFC 9293 §3.10.7.1).
    pub fn reset(&mut self, key: &FlowKey, segment: &Segment, now: Micros) {
        if segment.has(RST) || !self.may(now) {
            return;
        }
        let header = if segment.has(ACK) {
            TcpHeader { sequence: segment.acknowledged, acknowledged: 0, flags: RST, window: 0 }
        } else {
            let acknowledged = segment.sequence.wrapping_add(segment.length());
            TcpHeader { sequence: 0, acknowledged, flags: RST | ACK, window: 0 }
        };
        self.frames.send(&headers::tcp(key.local, key.remote, &header), key.remote.ip());
    }

    /// Tells the sender of a datagram that nobody is bound there.
    pub fn port_unreachable(&mut self, packet: &[u8], sender: IpAddr, now: Micros) {
        let mut message = [0; icmp::LONGEST];
        if self.may(now)
            && let Some(length) = icmp::unreachable(packet, Unreachable::Port, &mut message)
        {
            let mut frame = vec![0; VNET];
            frame.extend_from_slice(&message[..length]);
            self.frames.send(&frame, sender);
        }
    }
}
