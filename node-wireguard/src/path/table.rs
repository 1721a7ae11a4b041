//! All paths of one peer: takes what is heard, says what to probe, which way to send, and what has changed.

use super::choice::{Choice, Health};
use super::pace::{Allowance, Spread};
use super::path::Path;
use super::{Endpoint, Micros, PathState, Schedule, Traffic};

/// Paths that the engine found itself are numbered from here.
pub const FIRST_REFLEXIVE: u32 = 1 << 31;
const MAX_REFLEXIVE: usize = 8;
/// A path found by the engine that is dead so long is forgotten.
pub(super) const FORGET_AFTER: Micros = 60_000_000;
/// Without packets for so long a peer counts as idle.
const IDLE_AFTER: Micros = 500_000;

/// A way that may work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub id: u32,
    pub endpoint: Endpoint,
    pub cost_class: u8,
}

/// A probe to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub path: u32,
    pub endpoint: Endpoint,
    /// Bytes of UDP payload to pad it to.
    pub padded: Option<u16>,
    /// The other end may have lost its session: probe without one as well.
    pub doubtful: bool,
}

/// What the world should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    State {
        path: u32,
        state: PathState,
        rtt_us: Option<u32>,
    },
    Active {
        path: Option<u32>,
        previous: Option<u32>,
    },
    /// Batches leave this path in one call again, or singly because they were lost.
    Offload {
        path: u32,
        on: bool,
    },
}

/// The way of packets: over `primary`, and a copy over `copy`; with more than one in `spread`, flows are divided among those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    pub primary: Option<u32>,
    pub copy: Option<u32>,
    pub spread: Vec<u32>,
    /// The largest inner packet that fits all of them.
    pub inner_mtu: u16,
    pub(super) warm: Vec<u32>,
}

/// One path at this moment.
#[derive(Clone, Copy, Debug)]
pub struct PathView {
    pub candidate: Candidate,
    pub state: PathState,
    pub active: bool,
    pub rtt_us: Option<u32>,
    pub jitter_us: u32,
    pub loss: f32,
    pub inner_mtu: u16,
    /// Datagrams leave one by one, because batches were lost.
    pub singly: bool,
}

/// The paths of one peer.
pub struct PathTable {
    pub(super) paths: Vec<Path>,
    pub(super) told: Vec<(u32, PathState)>,
    pub(super) choice: Choice,
    pub(super) schedule: Schedule,
    pub(super) route: Route,
    pub(super) inner_mtu: u16,
    pub(super) allowance: Allowance,
    pub(super) spread: Spread,
    next_reflexive: u32,
    sent_at: Option<Micros>, // when packets were last seen leaving
}

impl PathTable {
    /// `inner_mtu` is the largest packet that the interface lets out; `seed` any number.
    pub fn new(inner_mtu: u16, seed: u64, now: Micros) -> Self {
        Self {
            paths: Vec::new(),
            told: Vec::new(),
            choice: Choice::default(),
            schedule: Schedule::default(),
            route: Route { inner_mtu, ..Route::default() },
            inner_mtu,
            allowance: Allowance::new(now),
            spread: Spread::new(seed),
            next_reflexive: FIRST_REFLEXIVE,
            sent_at: None,
        }
    }

    /// Replaces what was configured. What stays keeps its state; what does not work is tried afresh. A path that the engine
    /// found at the same endpoint becomes the configured one.
    pub fn set_candidates(&mut self, candidates: &[Candidate], now: Micros) {
        let mut old = std::mem::take(&mut self.paths);
        for candidate in candidates {
            let same = |path: &Path| path.candidate.endpoint == candidate.endpoint;
            let found = old.iter().position(|path| same(path) && path.candidate.id == candidate.id);
            let mut path = match found.or_else(|| old.iter().position(same)) {
                Some(index) => old.swap_remove(index),
                None => Path::new(*candidate, self.inner_mtu, now),
            };
            self.choice.rename(path.candidate.id, candidate.id);
            path.candidate = *candidate;
            if !path.works() {
                path.refresh(now);
            }
            self.paths.push(path);
        }
        self.paths.extend(old.into_iter().filter(|path| path.candidate.id >= FIRST_REFLEXIVE));
        self.told.retain(|(id, _)| self.paths.iter().any(|path| path.candidate.id == *id));
    }

    pub fn set_schedule(&mut self, schedule: Schedule) {
        self.schedule = schedule;
    }

    /// Adds the way that an authentic probe came by. Nothing if there are too many of those already, or they come too fast.
    pub fn add_reflexive(
        &mut self,
        endpoint: Endpoint,
        cost_class: u8,
        now: Micros,
    ) -> Option<u32> {
        if !self.allowance.take(now) {
            return None;
        }
        let ours = self.paths.iter().filter(|path| path.candidate.id >= FIRST_REFLEXIVE);
        if ours.count() >= MAX_REFLEXIVE {
            let dead =
                |path: &Path| path.candidate.id >= FIRST_REFLEXIVE && path.health == Health::Down;
            self.paths.remove(self.paths.iter().position(dead)?);
        }
        let id = self.next_reflexive;
        self.next_reflexive = self.next_reflexive.checked_add(1).unwrap_or(FIRST_REFLEXIVE);
        self.paths.push(Path::new(Candidate { id, endpoint, cost_class }, self.inner_mtu, now));
        Some(id)
    }

    pub fn find(&self, endpoint: &Endpoint) -> Option<u32> {
        self.paths.iter().map(|path| path.candidate).find(|c| c.endpoint == *endpoint).map(|c| c.id)
    }

    pub fn candidates(&self) -> impl Iterator<Item = Candidate> + '_ {
        self.paths.iter().map(|path| path.candidate)
    }

    /// The largest inner packet that the interface lets out.
    pub fn inner_mtu(&self) -> u16 {
        self.inner_mtu
    }

    /// The interface lets out larger or smaller packets from now on.
    pub fn set_inner_mtu(&mut self, mtu: u16) {
        self.inner_mtu = mtu;
    }

    pub fn active(&self) -> Option<u32> {
        self.choice.active()
    }

    /// Whether some path works.
    pub fn works(&self) -> bool {
        self.paths.iter().any(Path::works)
    }

    /// Whether packets are leaving.
    pub fn is_sending(&self, now: Micros) -> bool {
        self.sent_at.is_some_and(|at| now.saturating_sub(at) < IDLE_AFTER)
    }

    pub(super) fn path(&mut self, id: u32) -> Option<&mut Path> {
        self.paths.iter_mut().find(|path| path.candidate.id == id)
    }

    /// A relayed path is bound at its forwarder from now on, or not any more.
    pub fn set_ready(&mut self, id: u32, ready: bool, now: Micros) {
        let active = self.active() == Some(id);
        let Some(path) = self.path(id).filter(|path| path.ready != ready) else { return };
        path.ready = ready;
        if ready {
            path.refresh(now);
        } else if path.works() {
            path.fail(now, active);
        }
    }

    /// Tells what has been counted on a path so far.
    pub fn set_traffic(&mut self, id: u32, traffic: Traffic, now: Micros) {
        let Some(path) = self.path(id) else { return };
        let sending = traffic.sent > path.traffic.sent;
        path.traffic = traffic;
        if sending {
            self.sent_at = Some(now);
        }
    }

    /// Packets have begun to leave.
    pub fn sending(&mut self, now: Micros) {
        self.sent_at = Some(now);
    }

    pub fn traffic(&self, id: u32) -> Option<Traffic> {
        self.paths.iter().find(|path| path.candidate.id == id).map(|path| path.traffic)
    }
}
