//! Messages of types 1 to 3, and what the protocol's timers ask for.

use super::Event;
use super::command::Command;
use super::control::Control;
use super::counters::{peer_word, word};
use super::inbox::{Datagram, Message, Notice};
use super::peer::Offer;
use super::slab::PeerId;
use crate::crypto;
use crate::noise::{Action, Keypair, Kind, Source, Timestamp, Verdict, open_initiation};
use crate::path::{Endpoint, Micros};
use std::sync::Arc;

/// Copies of one initiation while no path is known to work.
const COPIES: usize = 4;
/// Least time between two copies of an offer for a peer that says that it has no session.
const OFFER_GAP: Micros = 100_000;

impl Control {
    pub(super) fn on_handshake(&mut self, datagram: &Datagram, loaded: bool) {
        let Datagram { bytes, endpoint, hit, .. } = datagram;
        let now = self.now / 1_000;
        if self.is_silent() {
            return self.count(word::HANDSHAKES_REFUSED);
        }
        if let Some(Kind::CookieReply { receiver }) = Kind::of(bytes) {
            let id = self.indices.get(&receiver).map(|(id, _)| *id);
            if let Some(peer) = id.and_then(|id| self.peers.get_mut(id))
                && peer.protocol.on_cookie(bytes, now).is_err()
            {
                self.count(word::HANDSHAKES_REFUSED);
            }
            return;
        }
        let source = match endpoint.slot {
            Some(slot) if self.is_ours(endpoint) => Source::Forwarded(endpoint.remote, slot),
            _ => Source::Direct(endpoint.remote),
        };
        match self.checker.check(bytes, source, loaded, now) {
            Verdict::Drop => self.count(word::HANDSHAKES_REFUSED),
            Verdict::Challenge(reply) => {
                self.count(word::COOKIES_SENT);
                // Lost is lost: it is asked for again.
                let _ = self.send(endpoint, *hit, &reply);
            }
            Verdict::Accept => {
                let taken = match Kind::of(bytes) {
                    Some(Kind::Initiation { .. }) => self.on_initiation(datagram),
                    Some(Kind::Response { receiver, .. }) => self.on_response(datagram, receiver),
                    _ => None,
                };
                if taken.is_none() {
                    self.checker.on_wasted(now);
                    self.count(word::HANDSHAKES_REFUSED);
                }
            }
        }
    }

    /// Whether the slot is one that we hold at that forwarder.
    fn is_ours(&self, endpoint: &Endpoint) -> bool {
        self.relayed.contains_key(endpoint)
    }

    fn on_initiation(&mut self, datagram: &Datagram) -> Option<()> {
        let Datagram { bytes, endpoint, hit, .. } = datagram;
        let opened = open_initiation(&self.local, bytes).ok()?;
        let id = *self.by_key.get(opened.remote.as_bytes())?;
        let index = self.fresh_index(id)?;
        let peer = self.peers.get_mut(id)?;
        let (response, keypair) =
            peer.protocol.on_initiation(opened, index, self.now / 1_000).ok()?;
        self.install(id, keypair);
        // The shard must know where the peer is before the peer can say that it has a session: a vanilla one without a place
        // is told that nobody is there.
        self.seen(id, datagram);
        let _ = self.send(endpoint, *hit, &response);
        self.count_bytes(id, peer_word::RX_BYTES, datagram.size);
        self.count_bytes(id, peer_word::TX_BYTES, response.len() + datagram.size - bytes.len());
        self.serve(id);
        Some(())
    }

    fn on_response(&mut self, datagram: &Datagram, receiver: u32) -> Option<()> {
        let id = self.indices.get(&receiver)?.0;
        let peer = self.peers.get_mut(id)?;
        let keypair = peer.protocol.on_response(&datagram.bytes, self.now / 1_000).ok()?;
        let offer = peer.offer.take();
        self.install(id, keypair);
        self.count_bytes(id, peer_word::RX_BYTES, datagram.size);
        self.seen(id, datagram);
        let peer = self.peers.get_mut(id)?;
        if let Some(sent) = offer.and_then(|offer| offer.sent_once(&datagram.endpoint))
            && let Some(path) = peer.table.find(&datagram.endpoint)
        {
            // It went there and back: as good as a probe.
            let rtt = datagram.at.saturating_sub(sent).clamp(1, u32::MAX as Micros);
            peer.table.on_round_trip(path, rtt as u32, self.now);
        }
        self.established(id);
        Some(())
    }

    /// A peer has spoken from there.
    fn seen(&mut self, id: PeerId, datagram: &Datagram) {
        let Some(peer) = self.peers.get(id) else { return };
        if peer.config.vanilla {
            self.roamed(id, datagram.endpoint, datagram.hit);
        } else {
            self.path_of(id, datagram);
        }
    }

    fn install(&mut self, id: PeerId, keypair: Arc<Keypair>) {
        self.indices.insert(keypair.local_index, (id, Some(Arc::clone(&keypair))));
        self.command(Command::AddSession(id, keypair));
    }

    /// An index that nothing of ours has, and that brings the session's datagrams to the peer's shard. None: no randomness.
    fn fresh_index(&self, id: PeerId) -> Option<u32> {
        let shards = self.shared.commands.len() as u32;
        let roams = self.peers.get(id)?.config.vanilla;
        loop {
            let random = u32::from_le_bytes(crypto::random().ok()?);
            let index = self.defence.marks().mark(steered(random, id.slot, shards), roams);
            if !self.indices.contains_key(&index) {
                return Some(index);
            }
        }
    }

    pub(super) fn act(&mut self, id: PeerId, action: Action) {
        match action {
            Action::Initiate => self.initiate(id),
            Action::Keepalive => {
                // One that is due without a session asks for one (kernel, `send.c: wg_packet_send_keepalive`).
                let now = self.now / 1_000;
                let session = self.peers.get(id).map(|peer| &peer.session);
                if session.is_some_and(|s| s.sending(now).is_none() && s.timers.want_handshake()) {
                    self.shared.inbox.push(Message::Notice(Notice::Handshake(id)));
                }
                self.command(Command::Keepalive(id));
            }
            Action::Release(index) => {
                self.indices.remove(&index);
                self.command(Command::DropSession(index));
            }
            Action::HandshakeGivenUp => {
                self.command(Command::DropStaged(id));
                if let Some(peer) = self.peers.get_mut(id) {
                    (peer.offer, peer.wants_initiation) = (None, false);
                    let peer = peer.config.public_key;
                    self.tell(Event::HandshakeFailed { peer });
                }
            }
            // The shard holds the same slots, and the indices are released one by one.
            Action::ZeroKeys => {}
        }
    }

    /// Begins a handshake on the best path, or on several while none is known to work.
    pub(super) fn initiate(&mut self, id: PeerId) {
        if self.is_silent() {
            return;
        }
        let mut to = self.handshake_endpoints(id);
        let Some(index) = self.fresh_index(id) else { return };
        let Some(peer) = self.peers.get_mut(id) else { return };
        peer.wants_initiation = to.is_empty(); // the shard has told that there is no path
        if peer.wants_initiation {
            return;
        }
        let Some(message) = peer.protocol.initiate(self.now / 1_000, Timestamp::now(), index)
        else {
            return;
        };
        self.indices.insert(index, (id, None));
        for (endpoint, source) in &to {
            let _ = self.send(endpoint, *source, &message);
            self.count_bytes(id, peer_word::TX_BYTES, message.len());
        }
        let now = self.now;
        let to = to.drain(..).map(|(endpoint, _)| (endpoint, Some(now))).collect();
        if let Some(peer) = self.peers.get_mut(id) {
            peer.offer = Some(Offer { message: message.to_vec(), repeated: None, to });
        }
    }

    fn handshake_endpoints(&self, id: PeerId) -> Vec<(Endpoint, Option<std::net::IpAddr>)> {
        let Some(peer) = self.peers.get(id) else { return Vec::new() };
        if peer.config.vanilla {
            return peer.endpoint.into_iter().collect();
        }
        let endpoint = |path: u32| {
            let candidate = peer.table.candidates().find(|candidate| candidate.id == path)?;
            Some((candidate.endpoint, peer.hits.get(&path).copied()))
        };
        peer.table.handshake_paths(COPIES).into_iter().filter_map(endpoint).collect()
    }

    /// The peer says from `datagram`'s endpoint that it has no session: an open offer was lost, perhaps before the peer was
    /// there to take it, and goes out again at once rather than with the protocol's repetition after 5 s. The same bytes,
    /// so a peer that has them already drops them. Without an open offer a new one is made if the session is `old`.
    pub(super) fn offer_again(&mut self, id: PeerId, datagram: &Datagram, old: bool) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        let open = peer.protocol.awaited_index().is_some();
        match peer.offer.as_mut().filter(|_| open) {
            Some(offer) if offer.repeated.is_none_or(|at| self.now >= at + OFFER_GAP) => {
                let message = offer.repeat(datagram.endpoint, self.now);
                let _ = self.send(&datagram.endpoint, datagram.hit, &message);
            }
            None if old => self.initiate(id),
            _ => {}
        }
    }

    /// A path has proved to work while a handshake waits for its response: a copy, the same byte for byte, goes there too.
    pub(super) fn repeat_offer(&mut self, id: PeerId) {
        let to = self.handshake_endpoints(id);
        let Some(peer) = self.peers.get_mut(id) else { return };
        if peer.wants_initiation && !to.is_empty() {
            return self.initiate(id);
        }
        if peer.config.vanilla || peer.protocol.awaited_index().is_none() {
            return;
        }
        let Some(mut offer) = peer.offer.take() else { return };
        for (endpoint, source) in to {
            if !offer.to.iter().any(|(to, _)| *to == endpoint) {
                let _ = self.send(&endpoint, source, &offer.message);
                offer.to.push((endpoint, Some(self.now)));
            }
        }
        if let Some(peer) = self.peers.get_mut(id) {
            peer.offer = Some(offer);
        }
    }
}

/// The random index changed as little as makes its low byte the shard's, as the sockets are steered.
fn steered(random: u32, shard: u32, shards: u32) -> u32 {
    let low = random & 0xff;
    let meant = low - low % shards + shard % shards;
    random - low + if meant > 0xff { meant - shards } else { meant }
}

#[cfg(test)]
mod tests {
    use super::steered;

    #[test]
    fn an_index_leads_to_its_shard_and_stays_random() {
        for (shards, shard) in (1..=8).flat_map(|shards| (0..20).map(move |shard| (shards, shard)))
        {
            for random in (0..=0xff).map(|low| 0xabcd_ef00 | low) {
                let index = steered(random, shard, shards);
                assert_eq!((index & 0xff) % shards, shard % shards);
                assert!(index.abs_diff(random) < shards && index >> 8 == random >> 8);
            }
        }
    }
}
