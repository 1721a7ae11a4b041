//! Peers and paths as they are told from outside.

use super::command::Command;
use super::control::Control;
use super::counters::MAX_PEERS;
use super::networks::{check_network, network};
use super::peer::{Bind, HELLOS, Peer};
use super::slab::PeerId;
use super::{DeviceError, PeerConfig, PublicKey};
use crate::crypto;
use crate::forwarder::Bucket;
use crate::noise::{Protocol, ProtocolOptions, StaticProbe};
use crate::path::{Endpoint, PathTable, Schedule};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

impl Control {
    pub(super) fn update_peers(
        &mut self,
        set: Vec<PeerConfig>,
        removed: &[PublicKey],
    ) -> Result<(), DeviceError> {
        let fresh = set.iter().filter(|peer| !self.by_key.contains_key(&peer.public_key)).count();
        if fresh > self.peer_blocks.left() {
            return Err(DeviceError::TooMany { what: "peers", limit: MAX_PEERS });
        }
        for config in &set {
            check_peer(config)?;
        }
        for config in set {
            if config.public_key != *self.local.public().as_bytes() {
                self.set_peer(config)?;
            }
        }
        for key in removed {
            if let Some(id) = self.by_key.get(key).copied() {
                self.remove_peer(id);
            }
        }
        Ok(())
    }

    fn set_peer(&mut self, mut config: PeerConfig) -> Result<(), DeviceError> {
        for (address, prefix) in &mut config.allowed_ips {
            *address = network(*address, *prefix);
        }
        let known = self.by_key.get(&config.public_key).copied();
        let id = match known {
            Some(id) if self.peers.get(id).is_some_and(|p| p.config.vanilla == config.vanilla) => {
                self.change_peer(id, &config);
                id
            }
            other => {
                if let Some(id) = other {
                    self.remove_peer(id);
                }
                self.add_peer(&config)?
            }
        };
        self.allow(id, &config.allowed_ips);
        let socket = config.endpoint.and_then(|remote| self.socket_for(remote));
        let Some(peer) = self.peers.get_mut(id) else { return Ok(()) };
        let moved = known.is_none() || peer.config.endpoint != config.endpoint;
        if let (Some(remote), Some(socket), true) = (config.endpoint, socket, moved) {
            peer.endpoint = Some((Endpoint { socket, remote, slot: None }, None));
        }
        // What it has of them, it was given above.
        config.allowed_ips = std::mem::take(&mut peer.config.allowed_ips);
        peer.config = config;
        self.find_way(id);
        self.serve(id);
        self.repeat_offer(id);
        Ok(())
    }

    pub(super) fn add_peer(&mut self, config: &PeerConfig) -> Result<PeerId, DeviceError> {
        let remote = config.public_key.into();
        let options = ProtocolOptions {
            remote,
            preshared_key: config.preshared_key.unwrap_or_default(),
            keepalive_seconds: config.keepalive_seconds.unwrap_or(0),
            vanilla: config.vanilla,
        };
        let refused = |error| DeviceError::Invalid(format!("peer {remote:?}: {error}"));
        let protocol =
            Protocol::new(Arc::clone(&self.local), options, self.now / 1_000).map_err(refused)?;
        let too_many = DeviceError::TooMany { what: "peers", limit: MAX_PEERS };
        let counters = self.peer_blocks.take(&self.shared.counters).ok_or(too_many)?;
        let seed = crypto::random().map_or(self.now, u64::from_le_bytes);
        let (session, busy) = (Arc::clone(protocol.session()), Arc::default());
        let (now, mtu) = (self.now, self.mtu);
        let id = self.peers.insert(|id| Peer {
            id,
            config: PeerConfig { endpoint: None, allowed_ips: Vec::new(), ..config.clone() },
            session: Arc::clone(&session),
            protocol,
            hello: None,
            hello_allowance: Bucket::full(HELLOS, now / 1_000),
            table: PathTable::new(mtu, seed, now),
            binds: Vec::new(),
            offer: None,
            wants_initiation: false,
            endpoint: None,
            hits: HashMap::new(),
            counters,
            path_counters: HashMap::new(),
            busy: Arc::clone(&busy),
            deadline: 0,
            met: None,
            way: None,
            shunned: None,
            sent_route: None,
        });
        self.by_key.insert(config.public_key, id);
        self.begin_hello(id);
        self.command(Command::AddPeer { id, session, vanilla: config.vanilla, counters, busy });
        Ok(id)
    }

    /// Probes before a session go under our static key and the peer's.
    pub(super) fn begin_hello(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(id).filter(|peer| !peer.config.vanilla) else { return };
        peer.hello = StaticProbe::new(&self.local, &peer.config.public_key.into()).ok();
        if let Some(hello) = &peer.hello {
            self.by_hint.entry(hello.receiving_hint).or_default().push(id);
        }
    }

    pub(super) fn change_peer(&mut self, id: PeerId, config: &PeerConfig) {
        let now = self.now / 1_000;
        let Some(peer) = self.peers.get_mut(id) else { return };
        if peer.config.preshared_key != config.preshared_key {
            peer.protocol.set_preshared_key(config.preshared_key.unwrap_or_default());
        }
        if peer.config.keepalive_seconds != config.keepalive_seconds {
            peer.protocol.set_keepalive(config.keepalive_seconds.unwrap_or(0), now);
        }
    }

    pub(super) fn remove_peer(&mut self, id: PeerId) {
        let Some(mut peer) = self.peers.remove(id) else { return };
        self.command(Command::RemovePeer(id));
        for network in &peer.config.allowed_ips {
            self.take_back(id, *network);
        }
        peer.protocol.clear();
        self.by_key.remove(&peer.config.public_key);
        self.indices.retain(|_, (owner, _)| *owner != id);
        self.relayed.retain(|_, (owner, _)| *owner != id);
        if let Some(hello) = &peer.hello
            && let Some(ids) = self.by_hint.get_mut(&hello.receiving_hint)
        {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_hint.remove(&hello.receiving_hint);
            }
        }
        self.peer_blocks.give_back(peer.counters);
        peer.path_counters
            .values()
            .filter(|block| **block != 0)
            .for_each(|b| self.path_blocks.give_back(*b));
    }

    pub(super) fn find_peer(&self, key: &PublicKey) -> Result<PeerId, DeviceError> {
        self.by_key.get(key).copied().ok_or(DeviceError::UnknownPeer)
    }

    pub(super) fn set_schedule(
        &mut self,
        key: &PublicKey,
        schedule: Schedule,
    ) -> Result<(), DeviceError> {
        let id = self.find_peer(key)?;
        if let Some(peer) = self.peers.get_mut(id) {
            peer.table.set_schedule(schedule);
        }
        self.serve(id);
        Ok(())
    }

    /// The first socket of that family.
    pub(super) fn socket_for(&self, remote: SocketAddr) -> Option<u32> {
        let fits = |info: &super::SocketInfo| info.local.is_ipv6() == remote.is_ipv6();
        self.shared.sockets().iter().map(|socket| socket.info).find(fits).map(|info| info.id)
    }
}

fn check_peer(config: &PeerConfig) -> Result<(), DeviceError> {
    config.allowed_ips.iter().try_for_each(check_network)?;
    if config.endpoint.is_some() && !config.vanilla {
        let words = "only a vanilla peer has an endpoint; ours have paths";
        return Err(DeviceError::Invalid(words.to_owned()));
    }
    Ok(())
}

/// A forwarder's binding that begins now.
pub(super) fn new_bind(path: u32, endpoint: Endpoint, slot: u32, secret: [u8; 32]) -> Bind {
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let wall = wall.unwrap_or_default().as_millis() as u64;
    let client = crate::forwarder::BindClient::new(slot, secret, wall);
    Bind { path, endpoint, secret, client, worked: false }
}
