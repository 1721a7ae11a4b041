//! The control thread: sessions, paths, timers. It owns the protocol's state of every peer and does all that is not data.

use super::command::Command;
use super::counters::{Blocks, word};
use super::flood::Defence;
use super::inbox::{Datagram, Message, Notice};
use super::lane::destination;
use super::peer::Peer;
use super::shared::Shared;
use super::slab::{PeerId, Slab};
use super::ways::Ways;
use super::{Event, PublicKey, SocketOptions};
use crate::forwarder::{Limiter, Rate};
use crate::io::SendError;
use crate::io::clock::boottime_us;
use crate::noise::{CookieChecker, Keypair, Local};
use crate::path::{Endpoint, Micros};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Handshakes between two looks at what is urgent.
const HANDSHAKES_AT_ONCE: usize = 8;
/// Probes before a session that may fail for one network.
const HELLO_FAILURES: Rate = Rate { per_second: 20, burst: 40 };
const LONGEST_WAIT: Micros = 60_000_000;

/// What the control thread is begun with.
pub struct ControlOptions {
    pub mtu: u16,
    pub keyless: bool,
    pub link_up: bool,
    pub sockets: SocketOptions,
    pub ways: Option<Ways>,
    pub defence: Defence,
}

pub struct Control {
    pub(super) shared: Arc<Shared>,
    pub(super) local: Arc<Local>,
    /// There is no private key: `local` is one that nobody knows, so that nothing needs to be asked twice.
    pub(super) keyless: bool,
    /// The interface is up, as far as that is watched.
    pub(super) link_up: bool,
    pub(super) socket_options: SocketOptions,
    pub(super) checker: CookieChecker,
    pub(super) mtu: u16,
    pub(super) peers: Slab<Peer>,
    pub(super) by_key: HashMap<PublicKey, PeerId>,
    pub(super) by_hint: HashMap<[u8; 4], Vec<PeerId>>,
    /// Our indices: of sessions, and of handshakes under way (without a key yet).
    pub(super) indices: HashMap<u32, (PeerId, Option<Arc<Keypair>>)>,
    /// Who has an inner network.
    pub(super) owners: HashMap<(IpAddr, u8), PeerId>,
    /// Our slots at forwarders.
    pub(super) relayed: HashMap<Endpoint, (PeerId, u32)>,
    pub(super) peer_blocks: Blocks,
    pub(super) path_blocks: Blocks,
    /// Networks that send probes before a session which nobody of ours has sealed.
    pub(super) hello_failures: Limiter,
    pub(super) defence: Defence,
    deadlines: BinaryHeap<Reverse<(Micros, PeerId)>>,
    stopped: bool,
    /// Where routes are watched: what they lead out by.
    pub(super) ways: Option<Ways>,
    pub(super) now: Micros,
}

impl Control {
    pub fn new(shared: Arc<Shared>, local: Arc<Local>, options: ControlOptions) -> Self {
        let ControlOptions { mtu, keyless, link_up, sockets, ways, defence } = options;
        Self {
            checker: CookieChecker::new(&local),
            shared,
            local,
            keyless,
            link_up,
            socket_options: sockets,
            mtu,
            peers: Slab::default(),
            by_key: HashMap::new(),
            by_hint: HashMap::new(),
            indices: HashMap::new(),
            owners: HashMap::new(),
            relayed: HashMap::new(),
            peer_blocks: Blocks::of_peers(),
            path_blocks: Blocks::of_paths(),
            hello_failures: Limiter::new(HELLO_FAILURES, boottime_us() / 1_000),
            defence,
            deadlines: BinaryHeap::new(),
            stopped: false,
            ways,
            now: boottime_us(),
        }
    }

    pub fn run(&mut self) {
        let (mut urgent, mut handshakes) = (VecDeque::new(), Vec::new());
        while !self.stopped {
            let wait = self.next_deadline().saturating_sub(boottime_us()).min(LONGEST_WAIT);
            let wait = Duration::from_micros(wait);
            let shared = Arc::clone(&self.shared);
            let waiting = shared.inbox.take(wait, &mut urgent, &mut handshakes, HANDSHAKES_AT_ONCE);
            self.now = boottime_us();
            // First what was heard, then what was not: else a late look would take the living for dead.
            for message in urgent.drain(..) {
                self.handle(message);
            }
            self.tend_defence();
            let loaded = self.checker.is_under_load(waiting, self.now / 1_000);
            shared.inbox.declare_load(self.checker.loaded_until());
            for datagram in handshakes.drain(..) {
                self.on_handshake(&datagram, loaded);
            }
            while let Some(&Reverse((at, id))) = self.deadlines.peek() {
                if at > self.now {
                    break;
                }
                self.deadlines.pop();
                if self.peers.get(id).is_some_and(|peer| peer.deadline == at) {
                    self.serve(id);
                }
            }
        }
    }

    fn next_deadline(&self) -> Micros {
        let peers = self.deadlines.peek().map_or(Micros::MAX, |Reverse((at, _))| *at);
        peers.min(self.defence.deadline())
    }

    /// Sets when a peer is to be served next.
    pub(super) fn schedule(&mut self, id: PeerId, at: Micros) {
        if let Some(peer) = self.peers.get_mut(id)
            && peer.deadline != at
        {
            peer.deadline = at;
            self.deadlines.push(Reverse((at, id)));
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Call(call) => call(self),
            Message::Notice(notice) => self.on_notice(notice),
            Message::Probe(datagram) => self.on_probe(datagram),
            Message::Bind(datagram) => self.on_bind(&datagram),
            Message::Stun(Datagram { bytes, endpoint, .. }) => {
                let (socket, from) = (endpoint.socket, endpoint.remote);
                self.tell(Event::Control { socket, from, bytes });
            }
            Message::Stop => self.stopped = true,
        }
    }

    fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Handshake(id) => self.serve(id),
            Notice::Promoted(id) => self.established(id),
            Notice::Busy(id) => {
                let now = self.now;
                if let Some(peer) = self.peers.get_mut(id) {
                    peer.table.sending(now);
                }
                self.serve(id);
            }
            Notice::NoPath(id) => {
                if let Some(peer) = self.peers.get(id) {
                    self.tell(Event::NoPath { peer: peer.config.public_key });
                }
            }
            Notice::Roamed(id, endpoint, hit) => self.roamed(id, endpoint, hit),
            Notice::TooBig(id, path, size) => {
                if let Some(peer) = self.peers.get_mut(id) {
                    peer.table.on_too_big(path, size, self.now);
                }
                self.serve(id);
            }
            Notice::Unreachable(id, path) => {
                if let Some(peer) = self.peers.get_mut(id) {
                    peer.table.on_unreachable(path, self.now);
                }
                self.serve(id);
            }
            Notice::SourceGone(id, path) => {
                if let Some(peer) = self.peers.get_mut(id) {
                    peer.hits.remove(&path);
                    if let Some((_, source)) = &mut peer.endpoint {
                        *source = None;
                    }
                }
                self.serve(id);
            }
            Notice::SocketFailed(socket, message) => {
                self.tell(Event::SocketError { socket, message })
            }
            Notice::Flooded => self.defence.begin(self.now),
        }
    }

    pub(super) fn tell(&self, event: Event) {
        (self.shared.sink)(event);
    }

    pub(super) fn command(&self, command: Command) {
        self.shared.command(command);
    }

    /// Sends one datagram that is not data.
    pub(super) fn send(
        &self,
        endpoint: &Endpoint,
        source: Option<IpAddr>,
        bytes: &[u8],
    ) -> Result<(), SendError> {
        let Some(socket) = self.shared.socket(endpoint.socket) else { return Ok(()) };
        socket.of(0).send(bytes, bytes.len(), &destination(endpoint, source)).map(drop)
    }

    /// Counts a handshake message of a peer, as the kernel does.
    pub(super) fn count_bytes(&self, id: PeerId, word: usize, bytes: usize) {
        if let Some(peer) = self.peers.get(id) {
            self.shared.counters.add(peer.counters + word, bytes as u64);
        }
    }

    pub(super) fn count(&self, word: usize) {
        self.shared.counters.add(word, 1);
    }

    /// A session with this peer is in use from now on.
    pub(super) fn established(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        peer.met = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        let key = peer.config.public_key;
        self.count(word::HANDSHAKES);
        self.tell(Event::Handshake { peer: key });
        self.serve(id);
    }
}
