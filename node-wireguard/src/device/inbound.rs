//! UDP to frames.

use super::counters::{path_word, peer_word, word};
use super::demultiplex::Run;
use super::inbox::{Message, Notice};
use super::shard::Shard;
use crate::io::{Received, SLOT, SLOTS};
use crate::noise::constants::REJECT_AFTER_MESSAGES;
use crate::noise::{DATA_HEADER, Keypair, Kind};
use crate::packet::{self, PacketView, Transport, mss};
use std::ops::Range;
use std::sync::{Arc, PoisonError};

const SYN: u8 = 0x02;

/// What a run amounted to.
#[derive(Default)]
struct Tally {
    authentic: u64,
    data: bool,
    bytes: u64,
    /// Messages that had come before, by this path or another.
    copies: u64,
    copied_bytes: u64,
    highest: u64,
    /// Bits that the replay window has come to hold.
    grown: Option<usize>,
}

impl Shard {
    /// Receives, opens, merges and writes; says whether more may be waiting.
    pub(super) fn inbound(&mut self, socket: usize) -> bool {
        let mut received = [Received::default(); SLOTS];
        let Some(from) = self.outgoing.sockets.get(socket) else { return false };
        let count = match from.of(self.outgoing.shard).receive(&mut self.arena, &mut received) {
            Ok(count) => count,
            Err(error) => {
                if self.complaints.take(self.now) {
                    let notice = Notice::SocketFailed(from.info.id, error.to_string());
                    self.shared.inbox.offer(Message::Notice(notice));
                }
                return false;
            }
        };
        let id = from.info.id;
        for (slot, received) in received.iter().take(count).enumerate() {
            self.slot_in(id, slot * SLOT, received);
        }
        let Self { merger, arena, tun, shared, .. } = self;
        merger.flush(arena, &mut |vnet, arena, parts| {
            if tun.write(vnet, arena, parts).is_err() {
                shared.counters.add(word::INTERFACE_FULL, 1);
            }
        });
        self.last_flow.forget();
        count == SLOTS
    }

    pub(super) fn data_in(&mut self, run: &Run) {
        if !self.sessions.contains_key(&run.receiver) && self.waiting.pending() {
            self.obey(); // the session may be so new that we have not been told
        }
        let Some((slot, keypair)) =
            self.sessions.get(&run.receiver).map(|(s, k)| (*s, Arc::clone(k)))
        else {
            return self.shared.counters.add(word::UNKNOWN_SESSION, 1);
        };
        if !keypair.is_alive(self.millis()) {
            return self.shared.counters.add(word::UNKNOWN_SESSION, 1);
        }
        let tally = self.open_run(run, slot, &keypair);
        let Some(peer) = self.peers.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        let counters = &self.shared.counters;
        if let Some(lane) = self.remotes.get(&(slot, run.endpoint))
            && let Some(lane) = peer.lanes.get(*lane)
        {
            // Copies count too: this is how the other end learns what a path loses. They are not opened again.
            counters.add(lane.counters + path_word::RX_PACKETS, tally.authentic + tally.copies);
            counters.add(lane.counters + path_word::RX_BYTES, tally.bytes + tally.copied_bytes);
            if tally.highest > 0 {
                counters.set(lane.counters + path_word::RX_HIGHEST, tally.highest);
            }
        }
        if tally.authentic == 0 {
            return;
        }
        counters.add(peer.counters + peer_word::RX_PACKETS, tally.authentic);
        counters.add(peer.counters + peer_word::RX_BYTES, tally.bytes);
        counters.add(word::RX_PACKETS, tally.authentic);
        counters.add(word::RX_BYTES, tally.bytes);
        let lane = peer.lanes.first();
        let moved = lane.map(|lane| lane.heard(run.endpoint, run.hit));
        if peer.vanilla && moved.is_none_or(|lane| lane.is_some()) {
            // Classic roaming: the last authentic packet says where the peer is.
            if let (Some(lane), Some(Some(moved))) = (peer.lanes.first_mut(), moved) {
                self.remotes.remove(&(slot, lane.endpoint));
                *lane = moved;
                self.remotes.insert((slot, run.endpoint), 0);
            }
            let notice = Notice::Roamed(peer.id, run.endpoint, run.hit);
            self.shared.inbox.offer(Message::Notice(notice));
        }
        let id = peer.id;
        let news = peer.session.received(&keypair, tally.data, self.now / 1_000);
        if let Some(bits) = tally.grown {
            peer.session.window_grew(&keypair, bits);
        }
        if news.promoted {
            self.shared.inbox.push(Message::Notice(Notice::Promoted(id)));
            self.send_staged(slot);
        }
        if news.wake {
            self.shared.inbox.push(Message::Notice(Notice::Handshake(id)));
        }
    }

    fn open_run(&mut self, run: &Run, slot: u32, keypair: &Keypair) -> Tally {
        let mut tally = Tally::default();
        let mut window = keypair.replay();
        let held = window.held();
        for at in run.bytes.clone().step_by(run.stride) {
            let end = (at + run.stride).min(run.bytes.end);
            let start = at + run.prefix + DATA_HEADER;
            let Some(Kind::Data { counter, .. }) = Kind::of(&self.arena[at + run.prefix..end])
            else {
                self.shared.counters.add(word::UNKNOWN_KIND, 1);
                continue;
            };
            // Before decryption: a copy must cost no cryptography.
            if counter >= REJECT_AFTER_MESSAGES || !window.is_fresh(counter) {
                self.shared.counters.add(word::REPLAYED, 1);
                tally.copies += 1;
                tally.copied_bytes += (end - at) as u64;
                continue;
            }
            let Ok(length) = keypair.open(counter, &mut self.arena[start..end]) else {
                self.shared.counters.add(word::FORGED, 1);
                continue;
            };
            window.commit(counter);
            tally.authentic += 1;
            tally.bytes += (end - at) as u64;
            tally.highest = tally.highest.max(counter);
            if length > 0 {
                tally.data = true;
                self.deliver(start..start + length, slot, run.receiver);
            }
        }
        tally.grown = Some(window.held()).filter(|now| *now > held);
        tally
    }

    /// Hands one authentic packet on, if it may come in.
    fn deliver(&mut self, at: Range<usize>, slot: u32, session: u32) {
        let counters = &self.shared.counters;
        let Some(length) = packet::ip_length(&self.arena[at.clone()]) else {
            return counters.add(word::BAD_PACKET, 1);
        };
        let at = at.start..at.start + length;
        let packet = &mut self.arena[at.clone()];
        if !self.last_flow.is(packet, session) {
            let Some(view) = PacketView::parse(packet) else {
                return counters.add(word::BAD_PACKET, 1);
            };
            if self.allowed.lookup(view.source) != Some(&slot) {
                return counters.add(word::WRONG_SOURCE, 1);
            }
            let mut filter = self.filter.lock().unwrap_or_else(PoisonError::into_inner);
            let verdict = filter.inbound(&view, packet, self.now / 1_000);
            drop(filter);
            if !verdict.passes() {
                return counters.add(word::FILTERED, 1);
            }
            if matches!(view.transport, Transport::Tcp { flags, .. } if flags & SYN != 0) {
                let peer = self.peers.get(slot as usize).and_then(Option::as_ref);
                mss::clamp(packet, peer.map_or(self.mtu, |peer| peer.inner_mtu));
            }
            self.last_flow.note(packet, session);
        }
        let Self { merger, arena, tun, shared, .. } = self;
        merger.offer(arena, at, &mut |vnet, arena, parts| {
            // A full device queue drops, as a wire would.
            if tun.write(vnet, arena, parts).is_err() {
                shared.counters.add(word::INTERFACE_FULL, 1);
            }
        });
    }
}
