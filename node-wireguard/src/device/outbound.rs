//! Frames to UDP.

use super::counters::word;
use super::flow::flow_hash;
use super::inbox::{Message, Notice};
use super::lane::ShardPeer;
use super::outgoing::Carrier;
use super::shard::Shard;
use super::shared::Shared;
use crate::io::SLOT;
use crate::io::offload::{GSO_NONE, VNET, Vnet, split};
use crate::noise::{Keypair, padded};
use crate::packet::icmp::{self, Unreachable};
use crate::packet::{PacketView, Transport, mss};
use crate::path::Micros;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

/// How much goes one way before the other way is looked at: else bulk starves its own ACKs.
const READS: usize = 64;
const BYTES: usize = 4 * SLOT;
const SYN: u8 = 0x02;
const NO_PATH_EVERY: Micros = 1_000_000;

impl Shard {
    /// Reads, cuts, seals and sends; says whether more may be waiting.
    pub(super) fn outbound(&mut self) -> io::Result<bool> {
        let (mut bytes, mut more) = (0, true);
        for _ in 0..READS {
            let Some(length) = self.tun.read(&mut self.slab)? else {
                more = false;
                break;
            };
            if self.waiting.pending() {
                // Who was told that a peer is known may already send to it.
                self.outgoing.flush(&self.shared, self.now);
                self.obey();
            }
            self.frame_out(length);
            bytes += length;
            if bytes >= BYTES {
                break;
            }
        }
        self.outgoing.flush(&self.shared, self.now);
        Ok(more)
    }

    fn frame_out(&mut self, length: usize) {
        let counters = &self.shared.counters;
        let frame = self.slab.get(..length).unwrap_or_default();
        let (Some(vnet), Some(packet)) = (Vnet::parse(frame), frame.get(VNET..)) else {
            return counters.add(word::BAD_FRAME, 1);
        };
        let Some(view) = PacketView::parse(packet) else {
            return counters.add(word::BAD_FRAME, 1);
        };
        let slot = self.allowed.lookup(view.destination).copied();
        let peer = slot.and_then(|slot| self.peers.get_mut(slot as usize)?.as_mut());
        let Some(peer) = peer else {
            counters.add(word::NO_PEER, 1);
            return self.refuse_frame(length, Refusal::Unreachable(Unreachable::Host));
        };
        let largest = largest_packet(&vnet, &view, packet);
        if largest > peer.inner_mtu as usize {
            counters.add(word::TOO_BIG, 1);
            let mtu = peer.inner_mtu;
            return self.refuse_frame(length, Refusal::TooBig(mtu));
        }
        let now = self.now / 1_000;
        self.filter.lock().unwrap_or_else(PoisonError::into_inner).outbound(&view, now);
        let session = Arc::clone(&peer.session);
        let ready = session.sending(now).zip(Carrier::of(peer, flow_hash(&view)));
        let Some((keypair, carrier)) = ready else {
            return self.stage(length, &vnet);
        };
        let size = padded(largest, peer.inner_mtu as usize);
        if self.outgoing.circles(&carrier, &view, packet, size) {
            return counters.add(word::SEND_FAILED, 1);
        }
        if !peer.busy.load(Relaxed) {
            tell_busy(peer, &self.shared);
        }
        let (mtu, now_us) = (peer.inner_mtu, self.now);
        let syn = matches!(view.transport, Transport::Tcp { flags, .. } if flags & SYN != 0);
        let most =
            if vnet.gso == GSO_NONE { 1 } else { packet.len().div_ceil(vnet.size.max(1) as usize) };
        let Some(mut counter) = keypair.next_counters(most as u64) else {
            return self.stage(length, &vnet);
        };
        let Self { slab, outgoing, shared, .. } = self;
        outgoing.turn_to(carrier, shared, now_us);
        let done = split(&vnet, &mut slab[VNET..], length - VNET, |packet, size| {
            let packet = &mut packet[..size];
            if syn {
                mss::clamp(packet, mtu);
            }
            outgoing.seal((&keypair, counter), packet, mtu, shared, now_us);
            counter += 1;
        });
        if done.is_none() {
            return shared.counters.add(word::BAD_FRAME, 1);
        }
        self.sent(slot, &keypair, true);
    }

    fn sent(&self, slot: Option<u32>, keypair: &Keypair, data: bool) {
        let peer = slot.and_then(|slot| self.peers.get(slot as usize)?.as_ref());
        let Some(peer) = peer else { return };
        if peer.session.sent(keypair, data, self.millis()) {
            self.shared.inbox.push(Message::Notice(Notice::Handshake(peer.id)));
        }
    }

    /// Keeps the packets of a frame until there is a session and a path, and asks for what is missing.
    fn stage(&mut self, length: usize, vnet: &Vnet) {
        let Some(view) = self.slab.get(VNET..length).and_then(PacketView::parse) else { return };
        let Some(&slot) = self.allowed.lookup(view.destination) else { return };
        let peer = self.peers.get(slot as usize).and_then(Option::as_ref);
        if peer.is_some_and(|peer| peer.vanilla && peer.lanes.is_empty()) {
            // It must come to us first (kernel, `device.c: wg_xmit`).
            self.shared.counters.add(word::NO_PEER, 1);
            return self.refuse_frame(length, Refusal::Unreachable(Unreachable::Host));
        }
        let Self { slab, peers, shared, now, .. } = self;
        let Some(peer) = peers.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        split(vnet, &mut slab[VNET..], length - VNET, |packet, size| {
            if !peer.stage(packet[..size].to_vec()) {
                shared.counters.add(word::STAGE_FULL, 1);
            }
        });
        if peer.session.sending(*now / 1_000).is_none() && peer.session.timers.want_handshake() {
            shared.inbox.push(Message::Notice(Notice::Handshake(peer.id)));
        }
        if peer.laid.primary.is_none() && now.saturating_sub(peer.no_path_told) >= NO_PATH_EVERY {
            peer.no_path_told = *now;
            shared.inbox.push(Message::Notice(Notice::NoPath(peer.id)));
        }
        tell_busy(peer, shared);
    }

    /// Sends what waits for a session or a path, if there is one now.
    pub(super) fn send_staged(&mut self, slot: u32) {
        let Some(peer) = self.peers.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        if peer.staged.is_empty() {
            return;
        }
        let Some(keypair) = peer.session.sending(self.now / 1_000) else {
            if peer.session.timers.want_handshake() {
                self.shared.inbox.push(Message::Notice(Notice::Handshake(peer.id)));
            }
            return;
        };
        let Some(carrier) = Carrier::of(peer, 0) else { return };
        let Some(mut counter) = keypair.next_counters(peer.staged.len() as u64) else { return };
        self.outgoing.turn_to(carrier, &self.shared, self.now);
        for packet in peer.staged.drain(..) {
            self.outgoing.seal(
                (&keypair, counter),
                &packet,
                peer.inner_mtu,
                &self.shared,
                self.now,
            );
            counter += 1;
        }
        tell_busy(peer, &self.shared);
        self.outgoing.flush(&self.shared, self.now);
        self.sent(Some(slot), &keypair, true);
    }

    /// Sends what waits or, if nothing does, an empty packet.
    pub(super) fn keepalive(&mut self, slot: u32) {
        let Some(peer) = self.peers.get(slot as usize).and_then(Option::as_ref) else { return };
        if !peer.staged.is_empty() {
            return self.send_staged(slot);
        }
        let Some(keypair) = peer.session.sending(self.millis()) else { return };
        let (Some(carrier), Some(counter)) = (Carrier::of(peer, 0), keypair.next_counters(1))
        else {
            return;
        };
        self.outgoing.turn_to(carrier, &self.shared, self.now);
        self.outgoing.seal((&keypair, counter), &[], peer.inner_mtu, &self.shared, self.now);
        self.outgoing.flush(&self.shared, self.now);
        self.sent(Some(slot), &keypair, false);
    }

    /// The peer does not answer: who waits is told, as a router would.
    pub(super) fn drop_staged(&mut self, slot: u32) {
        let Some(peer) = self.peers.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        for packet in std::mem::take(&mut peer.staged) {
            self.refuse(&packet, Refusal::Unreachable(Unreachable::Host));
        }
    }

    fn refuse_frame(&mut self, length: usize, why: Refusal) {
        let slab = std::mem::take(&mut self.slab);
        self.refuse(slab.get(VNET..length).unwrap_or_default(), why);
        self.slab = slab;
    }

    fn refuse(&mut self, packet: &[u8], why: Refusal) {
        let mut answer = [0; icmp::LONGEST];
        let length = match why {
            _ if !self.errors.take(self.now) => None,
            Refusal::Unreachable(why) => icmp::unreachable(packet, why, &mut answer),
            Refusal::TooBig(mtu) => icmp::packet_too_big(packet, mtu, &mut answer),
        };
        if let Some(length) = length {
            // A full queue drops it; it will be asked for again.
            let _ = self.tun.write_packet(&Vnet::default().bytes(), &answer[..length]);
        }
    }
}

/// Why a packet is not sent.
enum Refusal {
    Unreachable(Unreachable),
    TooBig(u16),
}

fn tell_busy(peer: &ShardPeer, shared: &Shared) {
    if !peer.busy.swap(true, Relaxed) {
        shared.inbox.push(Message::Notice(Notice::Busy(peer.id)));
    }
}

/// The longest packet that the frame will be cut into.
fn largest_packet(vnet: &Vnet, view: &PacketView, packet: &[u8]) -> usize {
    if vnet.gso == GSO_NONE {
        return packet.len();
    }
    let header = match view.transport {
        Transport::Tcp { .. } => {
            packet.get(view.l4 + 12).map_or(20, |byte| (byte >> 4) as usize * 4)
        }
        _ => 8,
    };
    (view.l4 + header + vnet.size as usize).min(packet.len())
}
