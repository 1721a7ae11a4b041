//! The batch on its way out: messages of one peer for one lane, and a copy for another.

use super::circle;
use super::counters::{path_word, peer_word, word};
use super::inbox::{Message, Notice};
use super::lane::{Lane, ShardPeer};
use super::shared::Shared;
use super::slab::PeerId;
use super::sockets::Sockets;
use super::tails::Tails;
use crate::io::{Batch, SendError, Sent};
use crate::noise::{DATA_OVERHEAD, Keypair, padded};
use crate::packet::PacketView;
use crate::path::Micros;

/// The kernel's refusals are told at most so often.
const TELL_EVERY: Micros = 20_000;

/// Whose messages are in the batch, and where they go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Carrier {
    id: PeerId,
    counters: usize,
    lane: Lane,
    copy: Option<Lane>,
    /// Whether there is another path that what is lost on this one can be repeated by.
    spare: bool,
}

impl Carrier {
    /// The way of a flow of this peer's, if there is one.
    pub fn of(peer: &ShardPeer, flow: u32) -> Option<Self> {
        let (lane, copy) = peer.lanes_of(flow)?;
        let lane = *peer.lanes.get(lane)?;
        let copy = copy.and_then(|copy| peer.lanes.get(copy)).copied();
        let spare = copy.is_none() && peer.lanes.len() > 1;
        Some(Self { id: peer.id, counters: peer.counters, lane, copy, spare })
    }
}

#[derive(Default)]
pub struct Outgoing {
    /// Whose sockets they are sent by.
    pub shard: usize,
    pub sockets: Sockets,
    batch: Batch,
    carrier: Option<Carrier>,
    tails: Tails,
    told: Micros,
}

impl Outgoing {
    /// Whether a packet would go in a circle through tunnels, and has to end here.
    pub fn circles(
        &self,
        carrier: &Carrier,
        view: &PacketView,
        packet: &[u8],
        size: usize,
    ) -> bool {
        let socket = self.sockets.get(carrier.lane.endpoint.socket as usize);
        let port = socket.map(|socket| socket.info.local.port());
        circle::leads_back(&carrier.lane, port, view)
            || circle::outgrows(&carrier.lane, view, packet, size)
    }

    /// What is added from now on goes this way; what was for another leaves.
    pub fn turn_to(&mut self, carrier: Carrier, shared: &Shared, now: Micros) {
        if self.carrier != Some(carrier) {
            self.flush(shared, now);
            self.carrier = Some(carrier);
        }
    }

    /// Seals a packet into the batch, which leaves as soon as it is full: so the other end can begin early.
    pub fn seal(
        &mut self,
        (keypair, counter): (&Keypair, u64),
        packet: &[u8],
        mtu: u16,
        shared: &Shared,
        now: Micros,
    ) {
        let Some(Carrier { lane, .. }) = self.carrier else { return };
        let length = DATA_OVERHEAD + padded(packet.len(), mtu as usize);
        if !self.batch.has_room_for(&lane.to, length) {
            self.flush(shared, now);
        }
        keypair.seal_message(counter, packet, self.batch.add(&lane.to, length));
        if self.batch.is_full() {
            self.flush(shared, now);
        }
    }

    pub fn flush(&mut self, shared: &Shared, now: Micros) {
        let (Some(carrier), Some((messages, _))) = (self.carrier, self.batch.take()) else {
            return;
        };
        let (count, stride) = (messages.count() as u64, messages.stride);
        if carrier.spare
            && let Some(last) = messages.iter().next_back()
        {
            self.tails.keep(carrier.id, carrier.lane.path, last, now);
        }
        let counters = &shared.counters;
        let mut total = 0;
        for lane in std::iter::once(&carrier.lane).chain(&carrier.copy) {
            let Some(socket) = self.sockets.get(lane.endpoint.socket as usize) else { continue };
            let prefix = lane.to.prefix.map_or(0, |prefix| prefix.len());
            let length = (messages.payload() + prefix * count as usize) as u64;
            total += length;
            counters.add(lane.counters + path_word::TX_PACKETS, count);
            counters.add(lane.counters + path_word::TX_BYTES, length);
            let error = match socket.of(self.shard).send_messages(messages, &lane.to, !lane.singly)
            {
                Ok(Sent::AsAsked) => continue,
                Ok(Sent::WithoutSource) => None,
                Err(error) => Some(error),
            };
            if error.is_some() {
                counters.add(word::SEND_FAILED, count);
            }
            if now.saturating_sub(self.told) < TELL_EVERY {
                continue;
            }
            let notice = match error {
                None => Notice::SourceGone(carrier.id, lane.path),
                Some(SendError::Dropped) => continue, // as a wire would
                Some(SendError::TooBig) => {
                    Notice::TooBig(carrier.id, lane.path, (stride + prefix) as u16)
                }
                Some(SendError::Failed(_)) => Notice::Unreachable(carrier.id, lane.path),
            };
            self.told = now;
            shared.inbox.offer(Message::Notice(notice));
        }
        counters.add(carrier.counters + peer_word::TX_PACKETS, count);
        counters.add(carrier.counters + peer_word::TX_BYTES, total);
        counters.add(word::TX_PACKETS, count);
        counters.add(word::TX_BYTES, total);
    }

    /// What left last for the peer by other paths leaves by this one too; copies are dropped by the other end's window.
    pub fn repeat(&mut self, id: PeerId, lane: &Lane, shared: &Shared, now: Micros) {
        let Some(socket) = self.sockets.get(lane.endpoint.socket as usize) else { return };
        let prefix = lane.to.prefix.map_or(0, |prefix| prefix.len());
        self.tails.take(id, lane.path, now, |message| {
            shared.counters.add(lane.counters + path_word::TX_PACKETS, 1);
            shared
                .counters
                .add(lane.counters + path_word::TX_BYTES, (message.len() + prefix) as u64);
            // It was lost once already: what is refused here, the next packet will tell about.
            let _ = socket.of(self.shard).send(message, message.len(), &lane.to);
        });
    }
}
