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
}

impl Lane {
    pub fn new(path: u32, endpoint: Endpoint, source: Option<IpAddr>, counters: usize) -> Self {
        Self { path, endpoint, to: destination(&endpoint, source), counters }
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
