//! Changes while the device runs, as WireGuard's own tools ask for them: all of a change or, if it cannot be, nothing.

use super::control::Control;
use super::counters::MAX_PEERS;
use super::identity::identity;
use super::networks::{check_network, network};
use super::slab::PeerId;
use super::sockets::{self, Socket};
use super::{DeviceError, PeerConfig, PublicKey, SocketOptions};
use crate::path::Endpoint;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

/// What is to be different. What is not said stays as it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DeviceUpdate {
    /// Zeros: none any more. Another key ends all sessions; a peer that has the new one's public key is removed.
    pub private_key: Option<[u8; 32]>,
    /// For all sockets; 0 takes a free one. The new ones are bound before the old ones go.
    pub listen_port: Option<u16>,
    /// Of the sockets' packets (SO_MARK); 0: none.
    pub mark: Option<u32>,
    /// Peers that are not in `peers` go.
    pub replace_peers: bool,
    /// One after the other; a peer may be in it more than once.
    pub peers: Vec<PeerUpdate>,
}

/// The same for one peer, which is made (a vanilla one) if it is not there.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PeerUpdate {
    pub public_key: PublicKey,
    pub remove: bool,
    /// It is not made if it is not there.
    pub update_only: bool,
    /// Zeros: none.
    pub preshared_key: Option<[u8; 32]>,
    /// Only of a vanilla peer.
    pub endpoint: Option<SocketAddr>,
    /// 0: off.
    pub keepalive_seconds: Option<u16>,
    /// Networks that it had before go.
    pub replace_allowed_ips: bool,
    pub allowed_ips: Vec<AllowedIpUpdate>,
}

/// A network that is given to the peer, or taken from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedIpUpdate {
    pub address: IpAddr,
    pub prefix: u8,
    pub remove: bool,
}

impl Control {
    pub(super) fn update(&mut self, update: DeviceUpdate) -> Result<(), DeviceError> {
        self.check_update(&update)?;
        let local = update.private_key.map(identity).transpose()?;
        self.update_sockets(update.listen_port, update.mark)?;
        if update.replace_peers {
            let all: Vec<PeerId> = self.peers.iter().map(|peer| peer.id).collect();
            all.into_iter().for_each(|id| self.remove_peer(id));
        }
        if let Some((local, keyless)) = local {
            self.set_identity(local, keyless);
        }
        update.peers.into_iter().try_for_each(|peer| self.update_peer(peer))
    }

    fn check_update(&self, update: &DeviceUpdate) -> Result<(), DeviceError> {
        let mut fresh = HashSet::new();
        for peer in &update.peers {
            for AllowedIpUpdate { address, prefix, .. } in &peer.allowed_ips {
                check_network(&(*address, *prefix))?;
            }
            let known = self.by_key.get(&peer.public_key).and_then(|id| self.peers.get(*id));
            let known = known.filter(|_| !update.replace_peers);
            if peer.endpoint.is_some() && known.is_some_and(|known| !known.config.vanilla) {
                let words = "a peer of the mesh has paths, no endpoint that can be set";
                return Err(DeviceError::Invalid(words.to_owned()));
            }
            if known.is_none() && !peer.remove && !peer.update_only {
                fresh.insert(peer.public_key);
            }
        }
        let kept = if update.replace_peers { 0 } else { MAX_PEERS - self.peer_blocks.left() };
        if fresh.len() + kept > MAX_PEERS {
            return Err(DeviceError::TooMany { what: "peers", limit: MAX_PEERS });
        }
        Ok(())
    }

    fn update_sockets(&mut self, port: Option<u16>, mark: Option<u32>) -> Result<(), DeviceError> {
        let before = self.socket_options.mark;
        let options = SocketOptions { mark: mark.unwrap_or(before), ..self.socket_options.clone() };
        let old = self.shared.sockets();
        let new = match port {
            Some(port) => sockets::rebind(&old, port, &options)?,
            None => old.to_vec(),
        };
        if options.mark != before {
            mark_all(&new, options.mark, before)?;
        }
        let moved = old.iter().zip(&new).any(|(old, new)| !old.is(new));
        if moved {
            self.shared.replace_sockets(new.into());
        }
        if moved || options.mark != before {
            // The way to a peer may be another one now, and with it the address to send from.
            let all: Vec<PeerId> = self.peers.iter().map(|peer| peer.id).collect();
            for id in all {
                if let Some((_, source)) =
                    self.peers.get_mut(id).and_then(|peer| peer.endpoint.as_mut())
                {
                    *source = None;
                    self.serve(id);
                }
            }
        }
        self.socket_options = options;
        Ok(())
    }

    fn update_peer(&mut self, update: PeerUpdate) -> Result<(), DeviceError> {
        if !self.keyless && update.public_key == *self.local.public().as_bytes() {
            return Ok(());
        }
        let known = self.by_key.get(&update.public_key).copied();
        let id = match known {
            Some(id) if update.remove => {
                self.remove_peer(id);
                return Ok(());
            }
            Some(id) => id,
            None if update.remove || update.update_only => return Ok(()),
            None => self.add_peer(&fresh(update.public_key))?,
        };
        let Some(mut config) = self.peers.get(id).map(|peer| peer.config.clone()) else {
            return Ok(());
        };
        if let Some(key) = update.preshared_key {
            config.preshared_key = Some(key).filter(|key| *key != [0; 32]);
        }
        if let Some(seconds) = update.keepalive_seconds {
            config.keepalive_seconds = Some(seconds).filter(|seconds| *seconds > 0);
        }
        self.change_peer(id, &config);
        let socket = update.endpoint.and_then(|remote| self.socket_for(remote));
        if let Some(peer) = self.peers.get_mut(id) {
            peer.config = config;
            if let Some((remote, socket)) = update.endpoint.zip(socket) {
                peer.config.endpoint = Some(remote);
                peer.endpoint = Some((Endpoint { socket, remote, slot: None }, None));
            }
        }
        self.find_way(id);
        if update.replace_allowed_ips {
            self.allow(id, &[]);
        }
        for AllowedIpUpdate { address, prefix, remove } in update.allowed_ips {
            let network = (network(address, prefix), prefix);
            if remove { self.forbid(id, network) } else { self.give(id, network) }
        }
        self.serve(id);
        self.repeat_offer(id);
        Ok(())
    }
}

/// All of them, or none.
fn mark_all(sockets: &[Socket], mark: u32, before: u32) -> Result<(), DeviceError> {
    let all = || sockets.iter().flat_map(Socket::all);
    let marked = all().try_for_each(|udp| udp.set_mark(mark));
    marked.map_err(|source| {
        for udp in all() {
            let _ = udp.set_mark(before); // what was forbidden has changed nothing
        }
        DeviceError::Io { doing: "marking the sockets' packets".to_owned(), source }
    })
}

fn fresh(public_key: PublicKey) -> PeerConfig {
    PeerConfig {
        public_key,
        allowed_ips: Vec::new(),
        preshared_key: None,
        keepalive_seconds: None,
        vanilla: true,
        endpoint: None,
    }
}
