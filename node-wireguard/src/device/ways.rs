//! Classic roaming: where a vanilla peer is, and which address of ours its packets leave from.

use super::control::Control;
use super::event::Event;
use super::peer::Peer;
use super::slab::PeerId;
use crate::io::{Netlink, Way};
use crate::path::Endpoint;
use std::io;
use std::net::IpAddr;

/// Asks the kernel what leads to an address.
pub struct Ways(Netlink);

impl Ways {
    pub fn open() -> io::Result<Self> {
        Netlink::open().map(Self)
    }

    /// Nothing where no route leads, and when the kernel does not say.
    fn out_by(&mut self, remote: IpAddr, mark: u32) -> Option<Way> {
        self.0.way_out(remote, mark).ok().flatten()
    }
}

impl Control {
    /// A vanilla peer was heard from elsewhere, or for the first time.
    pub(super) fn roamed(&mut self, id: PeerId, endpoint: Endpoint, hit: Option<IpAddr>) {
        let mark = self.socket_options.mark;
        let Some(peer) = self.peers.get_mut(id).filter(|peer| peer.config.vanilla) else { return };
        let before = peer.endpoint.and_then(|(_, source)| source);
        let source = if hit.is_some() && hit == peer.shunned { before } else { hit };
        let moved = peer.endpoint.is_none_or(|(known, _)| known.remote != endpoint.remote);
        let known = peer.endpoint == Some((endpoint, source));
        peer.endpoint = Some((endpoint, source));
        if let Some(ways) = self.ways.as_mut().filter(|_| !known) {
            peer.way = ways.out_by(endpoint.remote.ip(), mark);
        }
        let key = peer.config.public_key;
        if moved {
            self.tell(Event::Endpoint { peer: key, remote: endpoint.remote });
        }
        if !known {
            self.serve(id);
        }
    }

    /// Learns what leads to a vanilla peer that was given an endpoint.
    pub(super) fn find_way(&mut self, id: PeerId) {
        let mark = self.socket_options.mark;
        let (Some(ways), Some(peer)) = (&mut self.ways, self.peers.get_mut(id)) else { return };
        let Some((endpoint, _)) = peer.endpoint else { return };
        peer.way = ways.out_by(endpoint.remote.ip(), mark);
    }

    /// Routes may have changed. Packets to a peer that another device leads to now leave from that one's address, as in the
    /// kernel (`socket.c: send4`), and no longer from the one that the peer asked last.
    pub(super) fn look_at_ways(&mut self) {
        let mark = self.socket_options.mark;
        let Some(mut ways) = self.ways.take() else { return };
        let known = |peer: &&Peer| peer.endpoint.is_some();
        for id in self.peers.iter().filter(known).map(|peer| peer.id).collect::<Vec<_>>() {
            let Some(peer) = self.peers.get_mut(id) else { continue };
            let Some((endpoint, source)) = peer.endpoint else { continue };
            let way = ways.out_by(endpoint.remote.ip(), mark);
            if way.is_none() || way == peer.way {
                continue;
            }
            if source.is_some() && way.map(|way| way.device) != peer.way.map(|way| way.device) {
                (peer.endpoint, peer.shunned) = (Some((endpoint, None)), source);
            }
            peer.way = way;
            self.serve(id);
        }
        self.ways = Some(ways);
    }
}
