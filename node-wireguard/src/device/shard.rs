//! One shard: frames to UDP and UDP to frames in one thread, each run to completion. Nothing is allocated per packet.

use super::command::Command;
use super::flow::LastFlow;
use super::lane::ShardPeer;
use super::outgoing::Outgoing;
use super::shared::Shared;
use crate::allowed_ips::AllowedIps;
use crate::filter::{Filter, FilterConfig};
use crate::io::clock::boottime_us;
use crate::io::offload::{Merger, VNET};
use crate::io::{Events, Interest, Poller, SLOT, SLOTS, Tun};
use crate::noise::{Keypair, Millis};
use crate::path::{Endpoint, Micros};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;

const FRAMES: u64 = 0;
const WAKER: u64 = 1;
const FIRST_SOCKET: u64 = 2;

pub struct ShardOptions {
    pub mtu: u16,
    pub merge_udp: bool,
}

pub struct Shard {
    pub(super) shared: Arc<Shared>,
    pub(super) tun: Tun,
    poller: Poller,
    pub(super) mtu: u16,
    pub(super) peers: Vec<Option<ShardPeer>>, // by the slot of their id
    pub(super) allowed: AllowedIps<u32>,
    pub(super) sessions: HashMap<u32, (u32, Arc<Keypair>)>,
    /// Where a peer's path is among its lanes. Two peers may name the same endpoint.
    pub(super) remotes: HashMap<(u32, Endpoint), usize>,
    pub(super) filter: Filter,
    pub(super) slab: Box<[u8]>,
    pub(super) outgoing: Outgoing,
    pub(super) arena: Box<[u8]>,
    pub(super) merger: Merger,
    pub(super) last_flow: LastFlow,
    pub(super) errors: Allowance,
    pub(super) stun: Allowance,
    pub(super) complaints: Allowance,
    pub(super) now: Micros,
    commands: Vec<Command>,
    stopping: bool,
}

impl Shard {
    pub fn new(shared: Arc<Shared>, tun: Tun, options: &ShardOptions) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(&tun, FRAMES, Interest::Read)?;
        poller.add(&shared.commands.waker, WAKER, Interest::Read)?;
        for (socket, token) in shared.sockets.iter().zip(FIRST_SOCKET..) {
            poller.add(&socket.udp, token, Interest::Read)?;
        }
        Ok(Self {
            shared,
            tun,
            poller,
            mtu: options.mtu,
            peers: Vec::new(),
            allowed: AllowedIps::new(),
            sessions: HashMap::new(),
            remotes: HashMap::new(),
            filter: Filter::new(&FilterConfig::default()),
            slab: vec![0; VNET + SLOT].into(),
            outgoing: Outgoing::default(),
            arena: vec![0; SLOTS * SLOT].into(),
            merger: Merger::new(options.merge_udp),
            last_flow: LastFlow::default(),
            errors: Allowance::new(100),
            stun: Allowance::new(200),
            complaints: Allowance::new(2),
            now: boottime_us(),
            commands: Vec::new(),
            stopping: false,
        })
    }

    /// Runs until it is told to stop. An error is one of the interface: without it there is nothing to do.
    pub fn run(&mut self) -> io::Result<()> {
        let mut events = Events::new();
        let mut frames = true;
        let mut sockets = vec![true; self.shared.sockets.len()];
        loop {
            self.now = boottime_us();
            if self.shared.commands.pending() {
                self.obey();
            }
            if self.stopping {
                return Ok(());
            }
            frames = frames && self.outbound()?;
            for (index, ready) in sockets.iter_mut().enumerate() {
                *ready = *ready && self.inbound(index);
            }
            if frames || sockets.contains(&true) {
                continue;
            }
            self.poller.wait(&mut events, None)?;
            for event in events.iter() {
                match event.token {
                    FRAMES => frames = true,
                    WAKER => {}
                    token => {
                        if let Some(ready) = sockets.get_mut((token - FIRST_SOCKET) as usize) {
                            *ready = true;
                        }
                    }
                }
            }
        }
    }

    pub(super) fn millis(&self) -> Millis {
        self.now / 1_000
    }

    /// Carries out what waits.
    pub(super) fn obey(&mut self) {
        let mut commands = std::mem::take(&mut self.commands);
        self.shared.commands.take(&mut commands);
        for command in commands.drain(..) {
            self.execute(command);
        }
        self.commands = commands;
    }

    fn execute(&mut self, command: Command) {
        match command {
            Command::AddPeer { id, session, vanilla, counters, busy } => {
                let slot = id.slot as usize;
                if self.peers.len() <= slot {
                    self.peers.resize_with(slot + 1, || None);
                }
                self.peers[slot] = Some(ShardPeer {
                    id,
                    session,
                    vanilla,
                    counters,
                    busy,
                    lanes: Vec::new(),
                    laid: Default::default(),
                    inner_mtu: self.mtu,
                    staged: VecDeque::new(),
                    no_path_told: 0,
                });
            }
            Command::RemovePeer(id) => {
                self.sessions.retain(|_, (slot, _)| *slot != id.slot);
                self.remotes.retain(|(slot, _), _| *slot != id.slot);
                if let Some(peer) = self.peers.get_mut(id.slot as usize) {
                    *peer = None;
                }
                self.last_flow.forget();
            }
            Command::Allow(id, address, prefix) => {
                self.allowed.insert(address, prefix, id.slot);
                self.last_flow.forget();
            }
            Command::Forbid(address, prefix) => {
                self.allowed.remove(address, prefix);
                self.filter.drop_sources(address, prefix);
                self.last_flow.forget();
            }
            Command::SetRoute { id, lanes, laid, inner_mtu } => {
                let Some(peer) = self.peers.get_mut(id.slot as usize).and_then(Option::as_mut)
                else {
                    return;
                };
                for lane in &peer.lanes {
                    self.remotes.remove(&(id.slot, lane.endpoint));
                }
                for (index, lane) in lanes.iter().enumerate() {
                    self.remotes.insert((id.slot, lane.endpoint), index);
                }
                (peer.lanes, peer.laid, peer.inner_mtu) = (lanes, laid, inner_mtu);
                self.send_staged(id.slot);
            }
            Command::AddSession(id, keypair) => {
                self.sessions.insert(keypair.local_index, (id.slot, keypair));
            }
            Command::DropSession(index) => {
                self.sessions.remove(&index);
            }
            Command::Keepalive(id) => self.keepalive(id.slot),
            Command::DropStaged(id) => self.drop_staged(id.slot),
            Command::SetFilter(config) => {
                self.filter.set_config(&config);
                self.last_flow.forget();
            }
            Command::Stop => self.stopping = true,
        }
    }
}

/// So many a second, and as many at once.
pub(super) struct Allowance {
    per_second: u64,
    millionths: u64,
    at: Micros,
}

impl Allowance {
    pub fn new(per_second: u64) -> Self {
        Self { per_second, millionths: per_second * 1_000_000, at: 0 }
    }

    pub fn take(&mut self, now: Micros) -> bool {
        let gained = now.saturating_sub(self.at).saturating_mul(self.per_second);
        self.millionths = self.millionths.saturating_add(gained).min(self.per_second * 1_000_000);
        self.at = now;
        let enough = self.millionths >= 1_000_000;
        if enough {
            self.millionths -= 1_000_000;
        }
        enough
    }
}
