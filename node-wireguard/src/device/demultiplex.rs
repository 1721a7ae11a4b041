//! Tells datagrams apart: runs of data stay with the shard, the rest goes to the control thread.

use super::counters::word;
use super::gate::Verdict;
use super::inbox::{Datagram, Message};
use super::shard::Shard;
use crate::io::Received;
use crate::noise::Kind;
use crate::path::{Endpoint, wire};
use crate::{forwarder, stun};
use std::net::IpAddr;
use std::ops::Range;

/// Data messages of one session side by side in the arena.
pub struct Run {
    pub receiver: u32,
    pub endpoint: Endpoint,
    pub hit: Option<IpAddr>,
    pub bytes: Range<usize>,
    pub stride: usize,
    pub prefix: usize,
}

impl Shard {
    /// Datagrams of one sender: runs of data of one session, and what is not data.
    pub(super) fn slot_in(&mut self, socket: u32, base: usize, received: &Received) {
        let end = base + received.length;
        let mut at = base;
        while at < end {
            let datagram = at..(at + received.stride).min(end);
            let (slot, prefix) = match forwarder::slot_of(&self.arena[datagram.clone()]) {
                Some((slot, _)) => (Some(slot), forwarder::HEADER_LENGTH),
                None => (None, 0),
            };
            let endpoint = Endpoint { socket, remote: received.from, slot };
            let message = datagram.start + prefix..datagram.end;
            let Some(Kind::Data { receiver, .. }) = Kind::of(&self.arena[message.clone()]) else {
                self.control_in(endpoint, received.to, message, prefix);
                at = datagram.end;
                continue;
            };
            let head: [u8; 16] =
                std::array::from_fn(|i| self.arena.get(at + i).copied().unwrap_or(0));
            let mut stop = datagram.end;
            // The forwarder's header, the type and the receiver are the same in the whole run.
            while stop < end && self.arena[stop..end].starts_with(&head[..prefix + 8]) {
                stop = (stop + received.stride).min(end);
            }
            let (hit, stride) = (received.to, received.stride);
            self.data_in(&Run { receiver, endpoint, hit, bytes: at..stop, stride, prefix });
            at = stop;
        }
    }

    /// A datagram that is not data goes to the control thread, if it is of a known kind.
    fn control_in(
        &mut self,
        endpoint: Endpoint,
        hit: Option<IpAddr>,
        at: Range<usize>,
        prefix: usize,
    ) {
        let handshake = Kind::of(&self.arena[at.clone()]).is_some();
        if handshake && !self.passes_gate(at.clone(), endpoint) {
            return;
        }
        let message = &self.arena[at];
        let size = message.len() + prefix;
        let datagram = || Datagram { bytes: message.to_vec(), endpoint, hit, at: self.now, size };
        let (inbox, counters) = (&self.shared.inbox, &self.shared.counters);
        let taken = if handshake {
            inbox.offer_handshake(datagram)
        } else {
            match wire::parse_header(message) {
                Some((wire::SESSION_PROBE, index)) if !self.sessions.contains_key(&index) => {
                    return counters.add(word::UNKNOWN_SESSION, 1);
                }
                Some((wire::SESSION_PROBE | wire::HELLO_PROBE, _)) => {
                    inbox.offer(Message::Probe(datagram()))
                }
                Some(_) if prefix == 0 && forwarder::is_bind(message) => {
                    inbox.offer(Message::Bind(datagram()))
                }
                _ if prefix == 0 && stun::is_stun(message) => {
                    if !self.stun.take(self.now) {
                        return counters.add(word::STUN_LIMITED, 1);
                    }
                    inbox.offer(Message::Stun(datagram()))
                }
                _ => return counters.add(word::UNKNOWN_KIND, 1),
            }
        };
        if !taken {
            counters.add(word::QUEUE_FULL, 1);
        }
    }

    /// Whether a handshake message is worth the control thread's time.
    fn passes_gate(&mut self, at: Range<usize>, endpoint: Endpoint) -> bool {
        let now = self.millis();
        let loaded = self.shared.inbox.is_loaded(now);
        let mut verdict = self.gate.judge(&self.arena[at.clone()], endpoint.remote, loaded, now);
        if verdict == Verdict::Wrong && self.waiting.pending() {
            self.obey(); // the key may be so new that we have not been told
            verdict = self.gate.judge(&self.arena[at], endpoint.remote, loaded, now);
        }
        match verdict {
            Verdict::Enter => {}
            Verdict::Wrong => self.shared.counters.add(word::HANDSHAKES_REFUSED, 1),
            Verdict::TooMany => {
                self.shared.counters.add(word::QUEUE_FULL, 1);
                if loaded {
                    self.shared.inbox.turn_away();
                }
            }
        }
        verdict == Verdict::Enter
    }
}
