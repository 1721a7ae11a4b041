//! The device at one moment.

use super::control::Control;
use super::counters::{path_word, peer_word};
use super::peer::Peer;
use super::{PathState, PathStatus, PeerStatus};

impl Control {
    pub(super) fn report(&self) -> Vec<PeerStatus> {
        self.peers.iter().map(|peer| self.report_peer(peer)).collect()
    }

    fn report_peer(&self, peer: &Peer) -> PeerStatus {
        let counters = &self.shared.counters;
        let last = peer.session.timers.last_handshake();
        PeerStatus {
            public_key: peer.config.public_key,
            vanilla: peer.config.vanilla,
            last_handshake_ms: last.map(|at| (self.now / 1_000).saturating_sub(at)),
            rx_bytes: counters.get(peer.counters + peer_word::RX_BYTES),
            tx_bytes: counters.get(peer.counters + peer_word::TX_BYTES),
            counters: peer.counters,
            allowed_ips: peer.config.allowed_ips.clone(),
            keepalive_seconds: peer.config.keepalive_seconds,
            has_preshared_key: peer.config.preshared_key.is_some(),
            paths: if peer.config.vanilla {
                self.report_endpoint(peer).into_iter().collect()
            } else {
                self.report_paths(peer)
            },
        }
    }

    fn report_paths(&self, peer: &Peer) -> Vec<PathStatus> {
        let counters = &self.shared.counters;
        let path = |view: crate::path::PathView| {
            let block = peer.path_counters.get(&view.candidate.id).copied();
            let count = |word: usize| block.map_or(0, |block| counters.get(block + word));
            PathStatus {
                id: view.candidate.id,
                local: view.candidate.endpoint.socket,
                remote: view.candidate.endpoint.remote,
                relayed: view.candidate.endpoint.slot.is_some(),
                cost_class: view.candidate.cost_class,
                state: view.state,
                active: view.active,
                rtt_us: view.rtt_us,
                jitter_us: view.jitter_us,
                loss: view.loss,
                mtu: view.inner_mtu,
                offload: !view.singly,
                rx_bytes: count(path_word::RX_BYTES),
                tx_bytes: count(path_word::TX_BYTES),
                counters: block.unwrap_or(0),
            }
        };
        peer.table.views().map(path).collect()
    }

    /// A vanilla peer's one path: it works as long as there is a session.
    fn report_endpoint(&self, peer: &Peer) -> Option<PathStatus> {
        let (endpoint, _) = peer.endpoint?;
        let block = peer.path_counters.get(&0).copied();
        let count = |word: usize| block.map_or(0, |block| self.shared.counters.get(block + word));
        let met = peer.probing(self.now / 1_000).is_some();
        Some(PathStatus {
            id: 0,
            local: endpoint.socket,
            remote: endpoint.remote,
            relayed: false,
            cost_class: 0,
            state: if met { PathState::Active } else { PathState::Probing },
            active: met,
            rtt_us: None,
            jitter_us: 0,
            loss: 0.0,
            mtu: self.mtu,
            offload: true,
            rx_bytes: count(path_word::RX_BYTES),
            tx_bytes: count(path_word::TX_BYTES),
            counters: block.unwrap_or(0),
        })
    }
}
