//! All sessions, found by slot (per datagram) and by id (per call).

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use super::error::ForwarderError;
use super::limiter::Millis;
use super::proof::Secret;
use super::session::{Origin, Route, Session, SessionConfig, SessionStatus};
use super::wire::{Confirm, Refusal};

/// A session lasts an hour at most; members ask for another in time.
pub const LONGEST_SESSION_MS: Millis = 3_600_000;
/// Sessions that a forwarder keeps at once.
pub const MAX_SESSIONS: usize = 65_536;
/// An expired session stays so long, for its last figures to be read.
const MEMORY_MS: Millis = 60_000;

#[derive(Default)]
pub(super) struct Table {
    ids: HashMap<String, usize>,
    slots: HashMap<u32, (usize, usize)>,
    sessions: Vec<Option<(String, Session)>>,
    free: Vec<usize>,
}

impl Table {
    /// Removes, then adds. A session with a known id keeps its bindings and figures if slots and secrets are the same.
    /// Nothing is changed when something is refused.
    pub fn update(
        &mut self,
        add: Vec<SessionConfig>,
        remove: &[String],
        now: Millis,
    ) -> Result<(), ForwarderError> {
        self.check(&add, remove)?;
        remove.iter().for_each(|id| self.remove(id));
        for config in add {
            let ends = now + config.lasts_ms;
            let known = self.ids.get(&config.id).and_then(|index| self.sessions[*index].as_mut());
            match known {
                Some((_, session)) if session.is_between(&config.sides) => {
                    (session.ends, session.quota_left) = (ends, config.quota_bytes);
                }
                _ => {
                    self.remove(&config.id);
                    let session = Session::new(config.sides, ends, config.quota_bytes, now);
                    self.insert(config.id, session);
                }
            }
        }
        Ok(())
    }

    fn check(&self, add: &[SessionConfig], remove: &[String]) -> Result<(), ForwarderError> {
        let removed: HashSet<&str> = remove.iter().map(String::as_str).collect();
        let mut slots = HashSet::new();
        let mut new = HashSet::new();
        for config in add {
            if config.lasts_ms == 0 || config.lasts_ms > LONGEST_SESSION_MS {
                return Err(ForwarderError::Lifetime(config.id.clone()));
            }
            for side in &config.sides {
                let holder = self.slots.get(&side.slot).and_then(|(index, _)| self.name(*index));
                let held = holder.is_some_and(|id| id != config.id && !removed.contains(id));
                if held || !slots.insert(side.slot) {
                    return Err(ForwarderError::SlotTaken(side.slot));
                }
            }
            new.insert(config.id.as_str());
        }
        // By what changes, not by all that is there: data waits while we count.
        let leaving = removed.union(&new).filter(|id| self.ids.contains_key(**id)).count();
        let count = self.ids.len() - leaving + new.len();
        if count > MAX_SESSIONS { Err(ForwarderError::TooMany) } else { Ok(()) }
    }

    /// See [`Session::confirm`].
    pub fn confirm(
        &mut self,
        slot: u32,
        confirm: &Confirm,
        from: SocketAddr,
        via: Origin,
        now: Millis,
    ) -> Result<u32, Refusal> {
        let (session, side) = self.at(slot).ok_or(Refusal::UnknownSlot)?;
        session.confirm(side, confirm, from, via, now)
    }

    /// See [`Session::renews`].
    pub fn renews(&mut self, slot: u32, from: SocketAddr, now: Millis) -> bool {
        self.at(slot).is_some_and(|(session, side)| session.renews(side, from, now))
    }

    /// The secret that signs verdicts about a slot.
    pub fn secret(&mut self, slot: u32) -> Option<&Secret> {
        self.at(slot).map(|(session, side)| &session.sides[side].config.secret)
    }

    /// See [`Session::pass`].
    pub fn route(
        &mut self,
        slot: u32,
        from: SocketAddr,
        payload: &[u8],
        now: Millis,
    ) -> Option<Route> {
        let (session, side) = self.at(slot)?;
        session.pass(side, from, payload, now)
    }

    /// Forgets sessions that have been over for a while.
    pub fn sweep(&mut self, now: Millis) {
        let over = |entry: &&(String, Session)| entry.1.ends + MEMORY_MS <= now;
        let over: Vec<String> =
            self.sessions.iter().flatten().filter(over).map(|(id, _)| id.clone()).collect();
        over.iter().for_each(|id| self.remove(id));
    }

    pub fn status(&self, now: Millis) -> Vec<SessionStatus> {
        self.sessions.iter().flatten().map(|(id, session)| session.status(id, now)).collect()
    }

    fn name(&self, index: usize) -> Option<&str> {
        self.sessions[index].as_ref().map(|(id, _)| id.as_str())
    }

    fn at(&mut self, slot: u32) -> Option<(&mut Session, usize)> {
        let (index, side) = *self.slots.get(&slot)?;
        self.sessions[index].as_mut().map(|(_, session)| (session, side))
    }

    fn insert(&mut self, id: String, session: Session) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.sessions.push(None);
            self.sessions.len() - 1
        });
        for (side, half) in session.sides.iter().enumerate() {
            self.slots.insert(half.config.slot, (index, side));
        }
        self.ids.insert(id.clone(), index);
        self.sessions[index] = Some((id, session));
    }

    fn remove(&mut self, id: &str) {
        let Some(index) = self.ids.remove(id) else { return };
        if let Some((_, session)) = self.sessions[index].take() {
            for side in &session.sides {
                self.slots.remove(&side.config.slot);
            }
        }
        self.free.push(index);
    }
}
