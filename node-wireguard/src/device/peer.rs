//! A peer as the control thread sees it: the protocol's state, its paths, its bindings at forwarders.

use super::command::Command;
use super::counters::{Blocks, path_word};
use super::lane::{Laid, Lane};
use super::slab::PeerId;
use super::{Counters, PeerConfig};
use crate::forwarder::{BindClient, Bucket, Rate};
use crate::io::Way;
use crate::noise::{Keypair, Millis, Protocol, Session, StaticProbe};
use crate::path::{Endpoint, Micros, PathTable, PathView, Traffic};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The binding of one relayed path.
pub struct Bind {
    pub path: u32,
    pub endpoint: Endpoint,
    pub secret: [u8; 32],
    pub client: BindClient,
    /// The path has worked since the last binding.
    pub worked: bool,
}

/// Probes before a session that are opened for one peer: what it sends at most by all its paths is 20 a second.
pub const HELLOS: Rate = Rate { per_second: 100, burst: 100 };

/// A handshake that waits for its response.
pub struct Offer {
    pub message: Vec<u8>,
    /// When it went out last because the peer said that it has no session.
    pub repeated: Option<Micros>,
    /// The endpoints that it has gone to, and when; no time for those that have got it twice.
    pub to: Vec<(Endpoint, Option<Micros>)>,
}

impl Offer {
    /// When it went there, if the answer is to that one for certain (Karn's rule, RFC 6298, 3).
    pub fn sent_once(&self, endpoint: &Endpoint) -> Option<Micros> {
        self.to.iter().find(|(to, _)| to == endpoint)?.1
    }

    /// Notes that it goes there again, and gives the message.
    pub fn repeat(&mut self, endpoint: Endpoint, now: Micros) -> Vec<u8> {
        self.repeated = Some(now);
        match self.to.iter_mut().find(|(to, _)| *to == endpoint) {
            Some((_, sent)) => *sent = None,
            None => self.to.push((endpoint, Some(now))),
        }
        self.message.clone()
    }
}

pub struct Peer {
    pub id: PeerId,
    pub config: PeerConfig,
    pub protocol: Protocol,
    pub session: Arc<Session>,
    /// None when the key has low order, or the peer is not ours.
    pub hello: Option<StaticProbe>,
    pub hello_allowance: Bucket,
    pub table: PathTable,
    pub binds: Vec<Bind>,
    pub offer: Option<Offer>,
    /// An initiation is wanted as soon as there is somewhere to send it.
    pub wants_initiation: bool,
    /// Where a vanilla peer is.
    pub endpoint: Option<(Endpoint, Option<IpAddr>)>,
    /// What leads to a vanilla peer, and the local address that went out of use with the one before.
    pub way: Option<Way>,
    pub shunned: Option<IpAddr>,
    /// Local addresses that probes of peer-reflexive paths hit: the source of what goes there.
    pub hits: HashMap<u32, IpAddr>,
    pub counters: usize,
    pub path_counters: HashMap<u32, usize>,
    pub busy: Arc<AtomicBool>,
    pub deadline: Micros,
    /// The last handshake by the clock of the wall, since 1970: never moved by a later change of that clock.
    pub met: Option<Duration>,
    pub sent_route: Option<(Vec<Lane>, Laid, u16)>,
}

impl Peer {
    /// The paths as lanes, and how packets are laid on them.
    pub fn lanes(&mut self, counters: &Counters, blocks: &mut Blocks) -> (Vec<Lane>, Laid, u16) {
        if let Some((endpoint, source)) = self.endpoint.filter(|_| self.config.vanilla) {
            let block =
                *self.path_counters.entry(0).or_insert_with(|| blocks.take(counters).unwrap_or(0));
            let laid = Laid { primary: Some(0), ..Laid::default() };
            let (shunned, tunnel_mtu) = (self.shunned, self.way.and_then(|way| way.tunnel_mtu));
            let lane = Lane { shunned, tunnel_mtu, ..Lane::new(0, endpoint, source, block) };
            return (vec![lane], laid, self.table.inner_mtu());
        }
        let mut lanes = Vec::new();
        for PathView { candidate, singly, .. } in self.table.views() {
            let block = self.path_counters.entry(candidate.id);
            let block = *block.or_insert_with(|| blocks.take(counters).unwrap_or(0));
            let source = self.hits.get(&candidate.id).copied();
            let lane = Lane::new(candidate.id, candidate.endpoint, source, block);
            lanes.push(Lane { singly, ..lane });
        }
        let place = |id: u32| lanes.iter().position(|lane| lane.path == id);
        let route = self.table.route();
        let laid = Laid {
            primary: route.primary.and_then(place),
            copy: route.copy.and_then(place),
            spread: route.spread.iter().filter_map(|id| place(*id)).collect(),
        };
        let inner_mtu = route.inner_mtu;
        self.drop_stale(&lanes, blocks);
        (lanes, laid, inner_mtu)
    }

    fn drop_stale(&mut self, lanes: &[Lane], blocks: &mut Blocks) {
        let lives = |id: &u32| lanes.iter().any(|lane| lane.path == *id);
        self.hits.retain(|id, _| lives(id));
        self.path_counters.retain(|id, block| {
            let keep = lives(id);
            if !keep && *block != 0 {
                blocks.give_back(*block);
            }
            keep
        });
    }

    /// The command that tells the shard, if there is anything new.
    pub fn route_command(&mut self, counters: &Counters, blocks: &mut Blocks) -> Option<Command> {
        let route = self.lanes(counters, blocks);
        if self.sent_route.as_ref() == Some(&route) {
            return None;
        }
        self.sent_route = Some(route.clone());
        let (lanes, laid, inner_mtu) = route;
        Some(Command::SetRoute { id: self.id, lanes, laid, inner_mtu })
    }

    /// What the shard has counted on a path.
    pub fn traffic(&self, counters: &Counters, path: u32) -> Option<Traffic> {
        let block = *self.path_counters.get(&path)?;
        let [sent, received] = [path_word::TX_PACKETS, path_word::RX_PACKETS];
        Some(Traffic { sent: counters.get(block + sent), received: counters.get(block + received) })
    }

    /// The session that a probe can go under.
    pub fn probing(&self, now: Millis) -> Option<Arc<Keypair>> {
        self.session.slots.sending(now)
    }
}
