//! One shard: frames to UDP and UDP to frames in one thread, each run to completion. Nothing is allocated per packet.

use super::allowance::Allowance;
use super::command::{Command, Commands};
use super::counters::word;
use super::flood::{self, Watch};
use super::flow::LastFlow;
use super::gate::Gate;
use super::inbox::{Message, Notice};
use super::lane::ShardPeer;
use super::outgoing::Outgoing;
use super::shared::Shared;
use super::sockets::Sockets;
use crate::allowed_ips::AllowedIps;
use crate::filter::Filter;
use crate::io::clock::boottime_us;
use crate::io::offload::{Merger, VNET};
use crate::io::{Events, Interest, Poller, Priority, SLOT, SLOTS, Tun};
use crate::noise::{Keypair, Local, Millis};
use crate::path::{Endpoint, Micros};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const FRAMES: u64 = 0;
const WAKER: u64 = 1;
const FIRST_SOCKET: u64 = 2;

pub struct ShardOptions {
    /// From 0.
    pub number: usize,
    /// What all shards let in.
    pub filter: Arc<Mutex<Filter>>,
    pub mtu: u16,
    pub merge_udp: bool,
    pub local: Arc<Local>,
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
    /// One for all shards: an answer may come to another than asked.
    pub(super) filter: Arc<Mutex<Filter>>,
    /// What we are told.
    pub(super) waiting: Arc<Commands>,
    pub(super) gate: Gate,
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
    pub fn new(shared: Arc<Shared>, tun: Tun, options: ShardOptions) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(&tun, FRAMES, Interest::Read)?;
        let commands = Arc::clone(&shared.commands[options.number]);
        poller.add(&commands.waker, WAKER, Interest::Read)?;
        let mut outgoing = Outgoing::default();
        outgoing.shard = options.number;
        outgoing.sockets = shared.sockets();
        for (socket, token) in outgoing.sockets.iter().zip(FIRST_SOCKET..) {
            poller.add(socket.of(options.number), token, Interest::Read)?;
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
            filter: options.filter,
            gate: Gate::new(options.local, boottime_us() / 1_000),
            slab: vec![0; VNET + SLOT].into(),
            outgoing,
            arena: vec![0; SLOTS * SLOT].into(),
            merger: Merger::new(options.merge_udp),
            last_flow: LastFlow::default(),
            errors: Allowance::new(100),
            stun: Allowance::new(200),
            complaints: Allowance::new(2),
            now: boottime_us(),
            waiting: commands,
            commands: Vec::new(),
            stopping: false,
        })
    }

    /// Runs until it is told to stop. An error is one of the interface: without it there is nothing to do.
    pub fn run(&mut self) -> io::Result<()> {
        let mut events = Events::new();
        let mut frames = true;
        let mut sockets = vec![true; self.outgoing.sockets.len()];
        let mut priority = Priority::default();
        let mut watch = Watch::default();
        loop {
            self.now = boottime_us();
            priority.weigh(self.now, || self.moved());
            if watch.look(self.now, || flood::rubbish(&self.shared.counters)) {
                self.shared.inbox.push(Message::Notice(Notice::Flooded));
            }
            if self.waiting.pending() {
                self.obey();
            }
            if self.stopping {
                return Ok(());
            }
            frames = frames && self.outbound()?;
            for (index, ready) in sockets.iter_mut().enumerate() {
                *ready = *ready && self.inbound(index);
            }
            // The order to end may have come in the middle of the round, and nothing will wake us for it again.
            if frames || sockets.contains(&true) || self.stopping {
                continue;
            }
            self.poller.wait(&mut events, None)?;
            for event in events.iter() {
                match event.token {
                    FRAMES => frames = true,
                    WAKER => self.waiting.waker.clear(),
                    token => {
                        if let Some(ready) = sockets.get_mut((token - FIRST_SOCKET) as usize) {
                            *ready = true;
                        }
                    }
                }
            }
        }
    }

    /// Authentic messages and their UDP payload, both ways.
    fn moved(&self) -> (u64, u64) {
        let both = |sent: usize, received: usize| {
            let counters = &self.shared.counters;
            counters.get(sent).saturating_add(counters.get(received))
        };
        (both(word::TX_PACKETS, word::RX_PACKETS), both(word::TX_BYTES, word::RX_BYTES))
    }

    pub(super) fn filter(&self) -> MutexGuard<'_, Filter> {
        self.filter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn millis(&self) -> Millis {
        self.now / 1_000
    }

    /// Carries out what waits.
    pub(super) fn obey(&mut self) {
        let mut commands = std::mem::take(&mut self.commands);
        self.waiting.take(&mut commands);
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
                self.filter().drop_sources(address, prefix);
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
                let (before, now) = (peer.second(), self.now);
                (peer.lanes, peer.laid, peer.inner_mtu) = (lanes, laid, inner_mtu);
                if let Some(lane) =
                    peer.second().filter(|lane| before.map(|b| b.path) != Some(lane.path))
                {
                    self.outgoing.repeat(id, &lane, &self.shared, now);
                }
                self.send_staged(id.slot);
            }
            Command::AddSession(id, keypair) => {
                self.sessions.insert(keypair.local_index, (id.slot, keypair));
            }
            Command::DropSession(index) => {
                self.sessions.remove(&index);
            }
            Command::Keepalive(id) if self.outgoing.shard == 0 => self.keepalive(id.slot),
            Command::Keepalive(id) => self.send_staged(id.slot), // one empty packet is enough
            Command::DropStaged(id) => self.drop_staged(id.slot),
            Command::SetLocal(local) => self.gate.set_local(local),
            Command::SetFilter(config) => {
                self.filter().set_config(&config);
                self.last_flow.forget();
            }
            Command::SetSockets(sockets) => self.set_sockets(sockets),
            Command::SetMtu(mtu) => self.mtu = mtu,
            Command::Stop => self.stopping = true,
        }
    }
}

impl Shard {
    /// As many as before. Those that stay are the same sockets; what waits in the others is lost, as it is on a wire.
    fn set_sockets(&mut self, sockets: Sockets) {
        self.outgoing.flush(&self.shared, self.now);
        let shard = self.outgoing.shard;
        let pairs = self.outgoing.sockets.iter().zip(sockets.iter());
        for ((old, new), token) in pairs.zip(FIRST_SOCKET..) {
            if old.is(new) {
                continue;
            }
            let _ = self.poller.remove(old.of(shard)); // it goes with its last holder anyway
            if let Err(error) = self.poller.add(new.of(shard), token, Interest::Read) {
                let notice = Notice::SocketFailed(new.info.id, error.to_string());
                self.shared.inbox.offer(Message::Notice(notice));
            }
        }
        self.outgoing.sockets = sockets;
    }
}
