//! The table's round: age, choose, probe, tell.

use super::choice::{Health, Standing, alternates};
use super::pace::{Role, Scene};
use super::path::Path;
use super::table::{Change, Due, FIRST_REFLEXIVE, PathTable, PathView, Route};
use super::{Micros, PathState, Schedule};
use crate::path::table::FORGET_AFTER;

/// Probes that a peer's silence makes ambiguous: every other one is sent without a session.
const DOUBT_AFTER: u32 = 2;

impl PathTable {
    /// Does what the time asks for: `due` gets the probes to send, `changes` what happened. Gives the time of the next call.
    pub fn poll(&mut self, now: Micros, due: &mut Vec<Due>, changes: &mut Vec<Change>) -> Micros {
        let active = self.choice.active();
        let scenes = self.scenes(now);
        for (path, scene) in self.paths.iter_mut().zip(scenes) {
            path.age(now, Some(path.candidate.id) == active, scene);
        }
        self.paths.retain(|path| {
            let found = path.candidate.id >= FIRST_REFLEXIVE && path.health == Health::Down;
            !(found && now.saturating_sub(path.down_since) > FORGET_AFTER)
        });
        self.decide(now, changes);
        self.probe(now, due);
        self.tell(changes);
        let scenes = self.scenes(now);
        let paths = self.paths.iter().zip(scenes).map(|(path, scene)| path.deadline(scene));
        let deadline = paths.min().unwrap_or(Micros::MAX);
        deadline.min(self.choice.deadline().unwrap_or(Micros::MAX)).max(now + 1_000)
    }

    fn scenes(&self, now: Micros) -> Vec<Scene> {
        let (sending, works) =
            (self.is_sending(now), self.paths.iter().filter(|p| p.works()).count());
        let scene = |path: &Path| Scene { sending, others_work: works > path.works() as usize };
        self.paths.iter().map(scene).collect()
    }

    fn standings(&self, now: Micros) -> Vec<Standing> {
        self.paths.iter().map(|path| path.standing(now)).collect()
    }

    fn decide(&mut self, now: Micros, changes: &mut Vec<Change>) {
        let standings = self.standings(now);
        if let Some(previous) = self.choice.decide(&standings, now) {
            changes.push(Change::Active { path: self.choice.active(), previous });
        }
        self.route = self.lay(&standings);
    }

    fn lay(&self, standings: &[Standing]) -> Route {
        let active = self.choice.active();
        let others = alternates(standings, active);
        let find = |id: u32| standings.iter().find(|s| s.id == id);
        let suspect = active.and_then(find).is_some_and(|s| s.health != Health::Working);
        let copy = match self.schedule {
            Schedule::Redundant => others.first().copied(),
            _ => others.first().copied().filter(|_| suspect),
        };
        let class = active.and_then(find).map(|s| s.cost_class);
        let mut spread = Vec::new();
        if self.schedule == Schedule::Balance && !suspect {
            let equal = |id: &u32| find(*id).map(|s| s.cost_class) == class;
            spread.extend(active.into_iter().chain(others.iter().copied().filter(equal)));
        }
        let used = |id: u32| Some(id) == active || Some(id) == copy || spread.contains(&id);
        let mtus = self.paths.iter().filter(|p| used(p.candidate.id)).map(Path::inner_mtu);
        let inner_mtu = mtus.min().unwrap_or(self.inner_mtu).min(self.inner_mtu);
        let warm = others.into_iter().take(2).collect();
        Route { primary: active, copy, spread, inner_mtu, warm }
    }

    /// The way of packets, as of the last `poll`.
    pub fn route(&self) -> &Route {
        &self.route
    }

    fn role(&self, id: u32) -> Role {
        let route = &self.route;
        if route.primary == Some(id) || route.copy == Some(id) || route.spread.contains(&id) {
            Role::Active
        } else if route.warm.contains(&id) {
            Role::Warm
        } else {
            Role::Cold
        }
    }

    fn probe(&mut self, now: Micros, due: &mut Vec<Due>) {
        let scenes = self.scenes(now);
        let roles: Vec<_> = self.paths.iter().map(|path| self.role(path.candidate.id)).collect();
        for (path, (scene, role)) in self.paths.iter_mut().zip(scenes.into_iter().zip(roles)) {
            if !path.ready {
                continue;
            }
            let interval = path.interval(role, scene);
            // A peer that is sent to again must not wait for the slow pace of its idleness.
            path.next = path.next.min(now.max(path.probed_at + interval + interval / 4));
            let id = path.candidate.id;
            let endpoint = path.candidate.endpoint;
            if now >= path.next {
                if !path.works() && !self.allowance.take(now) {
                    path.next = now + 50_000;
                    continue;
                }
                let doubtful = !matches!(path.health, Health::Working) && path.tries % 2 == 1
                    || path.tries >= DOUBT_AFTER && path.health == Health::Down;
                path.probed(now, self.spread.around(interval));
                due.push(Due { path: id, endpoint, padded: None, doubtful });
            }
            if path.health == Health::Working {
                let patience = path.meter.suspect_after(100_000);
                if let Some(size) = path.mtu.poll(now, patience) {
                    due.push(Due { path: id, endpoint, padded: Some(size), doubtful: false });
                }
            }
        }
    }

    fn state(&self, path: &Path) -> PathState {
        match path.health {
            Health::Probing => PathState::Probing,
            Health::Suspect => PathState::Suspect,
            Health::Down => PathState::Down,
            Health::Working if self.choice.active() == Some(path.candidate.id) => PathState::Active,
            Health::Working => PathState::Standby,
        }
    }

    fn tell(&mut self, changes: &mut Vec<Change>) {
        for path in &mut self.paths {
            if let Some(on) = path.offload.news() {
                changes.push(Change::Offload { path: path.candidate.id, on });
            }
        }
        let states: Vec<_> =
            self.paths.iter().map(|p| (p.candidate.id, self.state(p), p.meter.srtt())).collect();
        for &(path, state, rtt_us) in &states {
            if !self.told.contains(&(path, state)) {
                changes.push(Change::State { path, state, rtt_us });
            }
        }
        self.told = states.into_iter().map(|(id, state, _)| (id, state)).collect();
    }

    /// Where to send a handshake: by the route if there is one, else by everything that may work, the likeliest first.
    pub fn handshake_paths(&self, most: usize) -> Vec<u32> {
        if let Some(primary) = self.route.primary.filter(|_| self.works()) {
            return std::iter::once(primary).chain(self.route.copy).collect();
        }
        let mut ready: Vec<_> = self.paths.iter().filter(|path| path.ready).collect();
        ready.sort_by_key(|path| {
            (path.health == Health::Down, path.candidate.endpoint.slot.is_none())
        });
        ready.iter().take(most).map(|path| path.candidate.id).collect()
    }

    pub fn views(&self) -> impl Iterator<Item = PathView> + '_ {
        self.paths.iter().map(|path| PathView {
            candidate: path.candidate,
            state: self.state(path),
            active: self.choice.active() == Some(path.candidate.id),
            rtt_us: path.meter.srtt(),
            jitter_us: path.meter.variation(),
            loss: path.meter.loss(),
            inner_mtu: path.inner_mtu().min(self.inner_mtu),
            singly: path.offload.singly(),
        })
    }
}
