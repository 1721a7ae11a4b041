//! What was told of the device's peers before, so that news can be told from it, and where their counters stand.

use super::listing::{ListedPeer, Listing};
use crate::device::counters::{Blocks, Counters, path_word, peer_word, word};
use crate::device::{Event, PathState, PathStatus, PeerStatus, PublicKey};
use crate::noise::constants::REJECT_AFTER_MS;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a session may be used after its handshake.
const SESSION: Duration = Duration::from_millis(REJECT_AFTER_MS);

pub struct Known {
    pub counters: Arc<Counters>,
    peers: HashMap<PublicKey, Peer>,
    peer_blocks: Blocks,
    path_blocks: Blocks,
}

#[derive(Default)]
struct Peer {
    /// Where its counters stand; none if there are more peers than blocks.
    blocks: Option<(usize, usize)>,
    last_handshake: Option<Duration>,
    endpoint: Option<SocketAddr>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            counters: Arc::default(),
            peers: HashMap::new(),
            peer_blocks: Blocks::of_peers(),
            path_blocks: Blocks::of_paths(),
        }
    }
}

impl Known {
    /// How many more peers there may be.
    pub fn room(&self) -> usize {
        self.peer_blocks.left()
    }

    pub fn has(&self, peer: &PublicKey) -> bool {
        self.peers.contains_key(peer)
    }

    /// Where we ourselves say that a peer is: no news.
    pub fn set_endpoint(&mut self, peer: PublicKey, endpoint: SocketAddr) {
        self.peers.entry(peer).or_default().endpoint = Some(endpoint);
    }

    /// Takes what the kernel tells now, brings the counters up to date, and returns what is new.
    pub fn update(&mut self, listing: &Listing) -> Vec<Event> {
        let mut before = std::mem::take(&mut self.peers);
        let mut news = Vec::new();
        for listed in &listing.peers {
            let mut peer = before.remove(&listed.public_key).unwrap_or_default();
            peer.blocks = peer.blocks.or_else(|| self.take_blocks());
            self.count(&peer, listed);
            peer.hear(listed, &mut news);
            self.peers.insert(listed.public_key, peer);
        }
        for (peer_block, path_block) in before.into_values().filter_map(|gone| gone.blocks) {
            self.peer_blocks.give_back(peer_block);
            self.path_blocks.give_back(path_block);
        }
        let sum = |bytes: fn(&ListedPeer) -> u64| listing.peers.iter().map(bytes).sum();
        self.counters.set(word::TX_BYTES, sum(|peer| peer.tx_bytes));
        self.counters.set(word::RX_BYTES, sum(|peer| peer.rx_bytes));
        news
    }

    fn take_blocks(&mut self) -> Option<(usize, usize)> {
        let peer = self.peer_blocks.take(&self.counters)?;
        Some((peer, self.path_blocks.take(&self.counters)?))
    }

    fn count(&self, peer: &Peer, listed: &ListedPeer) {
        let Some((peer, path)) = peer.blocks else { return };
        self.counters.set(peer + peer_word::RX_BYTES, listed.rx_bytes);
        self.counters.set(peer + peer_word::TX_BYTES, listed.tx_bytes);
        self.counters.set(path + path_word::RX_BYTES, listed.rx_bytes);
        self.counters.set(path + path_word::TX_BYTES, listed.tx_bytes);
    }

    /// A peer as the device's face shows it: where it was heard from is its one path.
    pub fn report(&self, listed: ListedPeer, mtu: u16) -> PeerStatus {
        let blocks = self.peers.get(&listed.public_key).and_then(|peer| peer.blocks);
        let (counters, path_counters) = blocks.unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = listed.last_handshake.map(|at| now.saturating_sub(at));
        let met = since.is_some_and(|since| since < SESSION);
        let path = |remote: SocketAddr| PathStatus {
            id: 0,
            local: remote.is_ipv6().into(),
            remote,
            relayed: false,
            cost_class: 0,
            state: if met { PathState::Active } else { PathState::Probing },
            active: met,
            rtt_us: None,
            jitter_us: 0,
            loss: 0.0,
            mtu,
            offload: true,
            rx_bytes: listed.rx_bytes,
            tx_bytes: listed.tx_bytes,
            counters: path_counters,
        };
        PeerStatus {
            public_key: listed.public_key,
            vanilla: true,
            last_handshake_ms: since.map(|since| since.as_millis() as u64),
            rx_bytes: listed.rx_bytes,
            tx_bytes: listed.tx_bytes,
            counters,
            keepalive_seconds: Some(listed.keepalive_seconds).filter(|seconds| *seconds > 0),
            has_preshared_key: listed.has_preshared_key,
            paths: listed.endpoint.into_iter().map(path).collect(),
            allowed_ips: listed.allowed_ips,
        }
    }
}

impl Peer {
    fn hear(&mut self, listed: &ListedPeer, news: &mut Vec<Event>) {
        let peer = listed.public_key;
        if listed.last_handshake > self.last_handshake {
            news.push(Event::Handshake { peer });
        }
        self.last_handshake = listed.last_handshake;
        if let Some(remote) = listed.endpoint.filter(|remote| Some(*remote) != self.endpoint) {
            news.push(Event::Endpoint { peer, remote });
            self.endpoint = Some(remote);
        }
    }
}
