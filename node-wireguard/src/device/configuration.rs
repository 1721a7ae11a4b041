//! How the device is set, secrets included: for WireGuard's own tools, which are asked for them.

use super::PublicKey;
use super::control::Control;
use super::counters::peer_word;
use super::peer::Peer;
use crate::path::Endpoint;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use zeroize::Zeroizing;

/// All that can be set. It cannot be printed, and wipes itself.
pub struct Configuration {
    /// Clamped; zeros: none.
    pub private_key: Zeroizing<[u8; 32]>,
    /// Of the first socket.
    pub listen_port: u16,
    pub mark: u32,
    pub peers: Vec<PeerConfiguration>,
}

pub struct PeerConfiguration {
    pub public_key: PublicKey,
    /// Zeros: none.
    pub preshared_key: Zeroizing<[u8; 32]>,
    /// Where packets to it go now; none while that is unknown, or through a forwarder.
    pub endpoint: Option<SocketAddr>,
    /// 0: off.
    pub keepalive_seconds: u16,
    pub allowed_ips: Vec<(IpAddr, u8)>,
    /// The last handshake by the clock of the wall, since 1970.
    pub last_handshake: Option<Duration>,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
}

impl Control {
    pub(super) fn configuration(&self) -> Configuration {
        let private_key =
            if self.keyless { Zeroizing::default() } else { self.local.private_key() };
        let socket = self.shared.sockets().first().map(|socket| socket.info.local.port());
        Configuration {
            private_key,
            listen_port: socket.unwrap_or(0),
            mark: self.socket_options.mark,
            peers: self.peers.iter().map(|peer| self.peer_configuration(peer)).collect(),
        }
    }

    fn peer_configuration(&self, peer: &Peer) -> PeerConfiguration {
        let count = |word: usize| self.shared.counters.get(peer.counters + word);
        PeerConfiguration {
            public_key: peer.config.public_key,
            preshared_key: Zeroizing::new(peer.config.preshared_key.unwrap_or_default()),
            endpoint: endpoint(peer).filter(|at| at.slot.is_none()).map(|at| at.remote),
            keepalive_seconds: peer.config.keepalive_seconds.unwrap_or(0),
            allowed_ips: peer.config.allowed_ips.clone(),
            last_handshake: peer.met,
            rx_bytes: count(peer_word::RX_BYTES),
            tx_bytes: count(peer_word::TX_BYTES),
        }
    }
}

fn endpoint(peer: &Peer) -> Option<Endpoint> {
    if peer.config.vanilla {
        return peer.endpoint.map(|(endpoint, _)| endpoint);
    }
    peer.table.views().find(|view| view.active).map(|view| view.candidate.endpoint)
}
