//! Which session sends: current, previous and next (kernel, `noise.c: add_new_keypair`, `received_with_keypair`).

use std::mem;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::Keypair;
use super::constants::Millis;

/// The up to three sessions with one peer, shared by the shards and the control thread.
#[derive(Default)]
pub struct KeypairSlots {
    slots: RwLock<Slots>,
    released: Mutex<Vec<u32>>,
}

#[derive(Default)]
struct Slots {
    current: Option<Arc<Keypair>>,
    previous: Option<Arc<Keypair>>, // still receives what was on the way
    next: Option<Arc<Keypair>>,     // ours as responder, until the initiator has used it
}

impl KeypairSlots {
    /// The session to send with, if there is one that may. Once a batch.
    pub fn sending(&self, now: Millis) -> Option<Arc<Keypair>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.current.as_ref().filter(|keypair| keypair.can_send(now)).cloned()
    }

    /// The current session, also when it is too old to be used.
    pub fn current(&self) -> Option<Arc<Keypair>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).current.clone()
    }

    /// Whether the current session is in its last minute and ours to renew.
    pub(super) fn is_in_last_minute(&self, now: Millis) -> bool {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.current.as_ref().is_some_and(|current| current.is_stale_for_receiving(now))
    }

    /// Told about every authentic message. True when it was the first of the next session, which then becomes
    /// current: the responder may send from now on.
    pub fn received(&self, keypair: &Arc<Keypair>) -> bool {
        if keypair.is_confirmed() {
            return false;
        }
        keypair.confirm();
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if !slots.next.as_ref().is_some_and(|next| Arc::ptr_eq(next, keypair)) {
            return false;
        }
        let next = slots.next.take();
        let current = mem::replace(&mut slots.current, next);
        let dropped = mem::replace(&mut slots.previous, current);
        self.release(dropped);
        true
    }

    /// The window of `keypair` has grown to `bits` of `most`. If it is the current one, the one before needs ever less: what is
    /// still on the way of it is further back than all that came since. So both together never hold much more than one alone.
    pub(super) fn window_grew(&self, keypair: &Arc<Keypair>, bits: usize, most: usize) {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let is_current = slots.current.as_ref().is_some_and(|one| Arc::ptr_eq(one, keypair));
        if let Some(previous) = slots.previous.as_ref().filter(|_| is_current) {
            previous.replay().shrink(left_for_previous(bits, most));
        }
    }

    pub(super) fn insert(&self, keypair: Arc<Keypair>) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if keypair.is_initiator {
            // The response has confirmed it. A next one that waits is kept to receive with, and the current one goes.
            let current = slots.current.replace(keypair);
            let next = slots.next.take();
            let (kept, dropped) = if next.is_some() { (next, current) } else { (current, None) };
            let previous = mem::replace(&mut slots.previous, kept);
            self.release(previous);
            self.release(dropped);
        } else {
            let next = slots.next.replace(keypair);
            let previous = slots.previous.take();
            self.release(next);
            self.release(previous);
        }
    }

    pub(super) fn clear(&self) {
        let all = mem::take(&mut *self.slots.write().unwrap_or_else(PoisonError::into_inner));
        [all.current, all.previous, all.next].into_iter().for_each(|slot| self.release(slot));
    }

    /// Whether sending now asks for a new handshake.
    pub(super) fn needs_handshake(&self, now: Millis) -> bool {
        let current = self.current();
        current.is_none_or(|keypair| !keypair.can_send(now) || keypair.is_stale_for_sending(now))
    }

    /// Local indices of sessions that are gone since the last call.
    pub(super) fn released(&self) -> Vec<u32> {
        mem::take(&mut *self.released.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn release(&self, keypair: Option<Arc<Keypair>>) {
        let Some(keypair) = keypair else { return };
        self.released.lock().unwrap_or_else(PoisonError::into_inner).push(keypair.local_index);
    }
}

/// What a window leaves to the one before it: all until it holds an eighth of `most` itself, then half as much each time that
/// it doubles, down to an eighth. Late messages of the session before are taken from up to about half of `most` behind the
/// newest one of either session.
fn left_for_previous(bits: usize, most: usize) -> usize {
    (most / 8 * (most / bits.max(1))).min(most).max(128)
}
