//! A peer as the shard sees it.

use super::slab::PeerId;
use crate::io::Destination;
use crate::noise::Session;
use crate::path::{Endpoint, Micros, wire};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Packets that wait for a session (kernel, `MAX_STAGED_PACKETS`).
pub const MAX_STAGED: usize = 128;

/// One path, ready to send by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    pub path: u32,
    pub endpoint: Endpoint,
    pub to: Destination,
    /// Its block of counters.
    pub counters: usize,
    /// Batches are lost on it: one datagram at a time.
    pub singly: bool,
    /// A local address that the way to the peer no longer leaves by, so nothing is sent from it, though the peer may still
    /// ask there.
    pub shunned: Option<IpAddr>,
    /// It leads into another tunnel, whose MTU this is.
    pub tunnel_mtu: Option<u16>,
}

impl Lane {
    pub fn new(path: u32, endpoint: Endpoint, source: Option<IpAddr>, counters: usize) -> Self {
        let to = destination(&endpoint, source);
        Self { path, endpoint, to, counters, singly: false, shunned: None, tunnel_mtu: None }
    }

    /// What becomes of it when a vanilla peer is heard from `endpoint` at our own address `hit`; nothing if it stays.
    pub fn heard(&self, endpoint: Endpoint, hit: Option<IpAddr>) -> Option<Self> {
        let shunned = hit.is_some() && hit == self.shunned;
        let source = if shunned { self.to.source } else { hit };
        let moved = self.endpoint != endpoint || self.to.source != source;
        let lane = Self::new(self.path, endpoint, source, self.counters);
        moved.then_some(Self { shunned: self.shunned, tunnel_mtu: self.tunnel_mtu, ..lane })
    }
}

/// Where a message for this endpoint goes to.
pub fn destination(endpoint: &Endpoint, source: Option<IpAddr>) -> Destination {
    let prefix = endpoint.slot.map(|slot| wire::header(wire::FORWARD, slot));
    Destination { remote: endpoint.remote, source, prefix }
}

/// How packets are laid on lanes, by their place in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Laid {
    pub primary: Option<usize>,
    pub copy: Option<usize>,
    pub spread: Vec<usize>,
}

pub struct ShardPeer {
    pub id: PeerId,
    pub session: Arc<Session>,
    pub vanilla: bool,
    pub counters: usize,
    /// Whether the control thread knows that packets are leaving.
    pub busy: Arc<AtomicBool>,
    pub lanes: Vec<Lane>,
    pub laid: Laid,
    pub inner_mtu: u16,
    pub staged: VecDeque<Vec<u8>>,
    pub no_path_told: Micros,
}

impl ShardPeer {
    /// The lane of a flow, and the one for its copy.
    pub fn lanes_of(&self, flow: u32) -> Option<(usize, Option<usize>)> {
        if self.laid.spread.len() > 1 {
            let lane = self.laid.spread[flow as usize % self.laid.spread.len()];
            return Some((lane, None));
        }
        self.laid.primary.map(|primary| (primary, self.laid.copy))
    }

    /// The lane that copies go by, else the only one that all goes by.
    pub fn second(&self) -> Option<Lane> {
        self.laid.copy.or(self.laid.primary).and_then(|lane| self.lanes.get(lane)).copied()
    }

    /// Keeps a packet until it can be sent; false if an older one had to go for it.
    pub fn stage(&mut self, packet: Vec<u8>) -> bool {
        let full = self.staged.len() >= MAX_STAGED;
        if full {
            self.staged.pop_front();
        }
        self.staged.push_back(packet);
        !full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_who_is_heard_but_not_to_an_address_that_is_out_of_use() {
        let at = |text: &str| Endpoint { socket: 0, remote: text.parse().unwrap(), slot: None };
        let (here, there) = (at("192.0.2.1:1"), at("192.0.2.9:1"));
        let [old, new] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse::<IpAddr>().unwrap());
        let lane = Lane::new(7, here, Some(old), 3);
        assert_eq!(lane.heard(here, Some(old)), None);
        assert_eq!(lane.heard(here, None).unwrap().to.source, None);
        assert_eq!(lane.heard(there, Some(new)), Some(Lane::new(7, there, Some(new), 3)));
        let lane = Lane { shunned: Some(old), ..Lane::new(7, here, None, 3) };
        assert_eq!(lane.heard(here, Some(old)), None);
        let moved = lane.heard(there, Some(old)).unwrap();
        assert_eq!((moved.endpoint, moved.to.source, moved.shunned), (there, None, Some(old)));
        assert_eq!(lane.heard(here, Some(new)).unwrap().to.source, Some(new));
    }
}
