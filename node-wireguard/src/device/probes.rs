//! Probes out and in, and the bindings at forwarders.

use super::Event;
use super::control::Control;
use super::counters::{path_word, word};
use super::inbox::Datagram;
use super::peer::{HELLOS, Peer};
use super::slab::PeerId;
use crate::io::SendError;
use crate::noise::{Keypair, StaticProbe, Timestamp};
use crate::path::wire::{self, BODY, Counts, Kind, Probe, SESSION_HEADER, TAG};
use crate::path::{Due, Endpoint, Reply};
use std::sync::Arc;

/// A session younger than this may not have been confirmed yet.
const YOUNG_MS: u64 = 1_000;

/// What a probe is sealed under.
enum Under {
    Session(Arc<Keypair>),
    Hello,
}

impl Control {
    pub(super) fn probe(&mut self, id: PeerId, due: &Due) {
        let (now, now_ms) = (self.now, self.now / 1_000);
        let Some(peer) = self.peers.get_mut(id) else { return };
        let session = peer.probing(now_ms);
        let has_session = session.is_some();
        let under = match session.filter(|_| !due.doubtful) {
            Some(keypair) => Under::Session(keypair),
            None => Under::Hello,
        };
        let prefix = due.endpoint.slot.map_or(0, |_| wire::FORWARD_HEADER);
        let size = due.padded.map_or(0, usize::from).max(prefix + overhead(&under) + BODY);
        let probe = Probe {
            kind: Kind::Request,
            path: due.path,
            sent: now,
            size: size as u16,
            session: has_session,
            counts: counts(peer, &self.shared.counters, due.path),
        };
        let Some(message) = seal(peer, &under, &probe, size - prefix) else { return };
        let source = peer.hits.get(&due.path).copied();
        self.count(word::PROBES_SENT);
        let sent = self.send(&due.endpoint, source, &message);
        let Some(peer) = self.peers.get_mut(id) else { return };
        match sent {
            Ok(()) | Err(SendError::Dropped) => return,
            Err(SendError::TooBig) => peer.table.on_too_big(due.path, size as u16, now),
            Err(SendError::Failed(_)) => peer.table.on_unreachable(due.path, now),
        }
        self.schedule(id, now + 1);
    }

    pub(super) fn on_probe(&mut self, mut datagram: Datagram) {
        self.count(word::PROBES_RECEIVED);
        if self.open_probe(&mut datagram).is_none() {
            self.count(word::PROBES_REFUSED);
        }
    }

    fn open_probe(&mut self, datagram: &mut Datagram) -> Option<()> {
        let (kind, number) = wire::parse_header(&datagram.bytes)?;
        let (header, rest) = datagram.bytes.split_at_mut_checked(8)?;
        if kind == wire::SESSION_PROBE {
            let (id, keypair) = self.indices.get(&number)?;
            let (id, keypair) = (*id, keypair.clone()?);
            let (counter, sealed) = rest.split_first_chunk_mut::<8>()?;
            let length = keypair.probe_open(u64::from_le_bytes(*counter), header, sealed).ok()?;
            let probe = Probe::parse(sealed.get(..length)?)?;
            return self.take_probe(id, &probe, Under::Session(keypair), datagram);
        }
        if kind != wire::HELLO_PROBE {
            return None;
        }
        let ids = self.by_hint.get(&number.to_le_bytes())?;
        // To open it costs a decryption, and who has seen the hint on the wire can make us try: so there is a limit for each
        // network of what fails, and one for each peer of what is tried. Members behind a forwarder share its address.
        let (now, from) = (self.now / 1_000, datagram.endpoint.remote);
        let own = self.relayed.contains_key(&datagram.endpoint);
        if !own && !self.hello_failures.would_admit(from, now) {
            return None;
        }
        let mut tried = false;
        let opened = ids.iter().find_map(|id| {
            let peer = self.peers.get_mut(*id)?;
            let hello = peer.hello.as_mut()?;
            if !peer.hello_allowance.take(HELLOS, now) {
                return None;
            }
            tried = true;
            let plain = hello.open(header, rest).ok()?;
            Some((*id, Probe::parse(plain)?))
        });
        if opened.is_none() && tried && !own {
            self.hello_failures.admits(from, now);
        }
        let (id, probe) = opened?;
        self.take_probe(id, &probe, Under::Hello, datagram)
    }

    fn take_probe(
        &mut self,
        id: PeerId,
        probe: &Probe,
        under: Under,
        datagram: &Datagram,
    ) -> Option<()> {
        let now = self.now;
        match probe.kind {
            Kind::Reply { dwell } => {
                let received = probe.counts.map(|counts| counts.received);
                let reply = Reply { sent: probe.sent, dwell, size: probe.size, received };
                self.peers.get_mut(id)?.table.on_reply(probe.path, &reply, datagram.at);
            }
            Kind::Request => {
                let path = self.path_of(id, datagram);
                let peer = self.peers.get_mut(id)?;
                let session = peer.probing(now / 1_000);
                let reply = Probe {
                    kind: Kind::Reply {
                        dwell: now.saturating_sub(datagram.at).min(u32::MAX.into()) as u32,
                    },
                    size: datagram.size.min(probe.size.into()) as u16,
                    session: session.is_some(),
                    counts: path.and_then(|path| counts(peer, &self.shared.counters, path)),
                    ..*probe
                };
                let message = seal(peer, &under, &reply, overhead(&under) + BODY)?;
                if message.len() <= datagram.bytes.len() {
                    let _ = self.send(&datagram.endpoint, datagram.hit, &message);
                }
                let peer = self.peers.get_mut(id)?;
                if let Some(path) = path {
                    peer.table.on_request(path, now);
                }
                if matches!(under, Under::Hello) && !probe.session {
                    // It has none, and we have one that it should have had by now: it has restarted.
                    let old = session.is_some_and(|s| now / 1_000 > s.created + YOUNG_MS);
                    self.offer_again(id, datagram, old);
                }
            }
        }
        self.serve(id);
        Some(())
    }

    /// The path that an authentic message came by; a new address becomes one, to be challenged.
    pub(super) fn path_of(&mut self, id: PeerId, datagram: &Datagram) -> Option<u32> {
        let Datagram { endpoint, hit, .. } = datagram;
        let peer = self.peers.get_mut(id)?;
        if let Some(path) = peer.table.find(endpoint) {
            return Some(path);
        }
        // A forwarder's slot is configured, never found.
        if endpoint.slot.is_some() {
            return None;
        }
        let path = peer.table.add_reflexive(*endpoint, 0, self.now)?;
        peer.hits.extend(hit.map(|hit| (path, hit)));
        let key = peer.config.public_key;
        let Endpoint { socket, remote, .. } = *endpoint;
        self.tell(Event::NewRemote { peer: key, path, socket, remote });
        Some(path)
    }

    /// A forwarder has answered.
    pub(super) fn on_bind(&mut self, datagram: &Datagram) {
        let Some((_, slot)) = wire::parse_header(&datagram.bytes) else { return };
        let endpoint = Endpoint { slot: Some(slot), ..datagram.endpoint };
        let Some(&(id, path)) = self.relayed.get(&endpoint) else {
            return self.count(word::UNKNOWN_KIND);
        };
        let now = self.now / 1_000;
        let bind =
            self.peers.get_mut(id).and_then(|peer| peer.binds.iter_mut().find(|b| b.path == path));
        if let Some(bind) = bind {
            bind.client.on_message(&datagram.bytes, now);
            self.serve(id);
        }
    }
}

fn overhead(under: &Under) -> usize {
    match under {
        Under::Session(_) => SESSION_HEADER + TAG,
        Under::Hello => 8 + StaticProbe::OVERHEAD,
    }
}

fn counts(peer: &Peer, counters: &super::Counters, path: u32) -> Option<Counts> {
    let traffic = peer.traffic(counters, path)?;
    let highest = counters.get(peer.path_counters.get(&path)? + path_word::RX_HIGHEST);
    Some(Counts { sent: traffic.sent, received: traffic.received, highest })
}

/// The whole message, `length` bytes of it.
fn seal(peer: &mut Peer, under: &Under, probe: &Probe, length: usize) -> Option<Vec<u8>> {
    let mut plain = probe.encode().to_vec();
    plain.resize(length.checked_sub(overhead(under))?, 0);
    let mut message = vec![0; length];
    match under {
        Under::Session(keypair) => {
            let header = wire::header(wire::SESSION_PROBE, keypair.remote_index);
            let (head, sealed) = message.split_at_mut(SESSION_HEADER);
            let counter = keypair.probe_seal(&header, &plain, sealed)?;
            head[..8].copy_from_slice(&header);
            head[8..].copy_from_slice(&counter.to_le_bytes());
        }
        Under::Hello => {
            let hello = peer.hello.as_mut()?;
            let header = wire::header(wire::HELLO_PROBE, u32::from_le_bytes(hello.sending_hint));
            let (head, sealed) = message.split_at_mut(8);
            head.copy_from_slice(&header);
            hello.seal(Timestamp::now(), &header, &plain, sealed).ok()?;
        }
    }
    Some(message)
}
