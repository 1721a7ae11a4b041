//! The timers of a peer (paper, 6; kernel, `timers.c`). The shards tell what they sent and received, the control
//! thread polls; each deadline is one atomic, 0 when it is not set.
//!
//! The shards only ever set deadlines at least `KEEPALIVE_MS` away, so a control thread that polls that often misses
//! none; only `want_handshake` is urgent.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::constants::{
    ATTEMPTS, JITTER_MS, KEEPALIVE_MS, Millis, REJECT_AFTER_MS, REKEY_TIMEOUT_MS,
};

/// What a peer's traffic has set going.
pub struct Timers {
    keepalive: Deadline,
    new_handshake: Deadline,
    persistent: Deadline,
    persistent_ms: AtomicU64,
    pub(super) retransmit: Deadline,
    attempts: AtomicU32,
    pub(super) zero_keys: Deadline,
    wanted: AtomicBool,
    last_minute: AtomicBool,
    last_handshake: AtomicU64,
    jitter: AtomicU64,
}

/// A moment in milliseconds, or none.
#[derive(Default)]
pub(super) struct Deadline(AtomicU64);

impl Deadline {
    pub fn set(&self, at: Millis) {
        self.0.store(at.max(1), Relaxed);
    }

    pub fn clear(&self) {
        self.0.store(0, Relaxed);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Relaxed) != 0
    }

    /// True once when the moment has come; the deadline is cleared then.
    pub fn fires(&self, now: Millis) -> bool {
        let at = self.0.load(Relaxed);
        at != 0 && at <= now && self.0.compare_exchange(at, 0, Relaxed, Relaxed).is_ok()
    }

    pub fn earliest(&self, other: Millis) -> Millis {
        match self.0.load(Relaxed) {
            0 => other,
            at => at.min(other),
        }
    }
}

impl Timers {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            keepalive: Deadline::default(),
            new_handshake: Deadline::default(),
            persistent: Deadline::default(),
            persistent_ms: AtomicU64::new(0),
            retransmit: Deadline::default(),
            attempts: AtomicU32::new(0),
            zero_keys: Deadline::default(),
            wanted: AtomicBool::new(false),
            last_minute: AtomicBool::new(false),
            last_handshake: AtomicU64::new(0),
            jitter: AtomicU64::new(seed),
        }
    }

    /// A packet that is not empty left: without an authentic answer a new handshake begins in 15 s.
    pub fn data_sent(&self, now: Millis) {
        if !self.new_handshake.is_set() {
            let wait = KEEPALIVE_MS + REKEY_TIMEOUT_MS + self.jitter();
            self.new_handshake.set(now + wait);
        }
    }

    /// A packet that is not empty came: without anything sent a keepalive leaves in 10 s.
    pub fn data_received(&self, now: Millis) {
        // The kernel also notes that another one is needed when this one is set; what it then sets, the first clears.
        if !self.keepalive.is_set() {
            self.keepalive.set(now + KEEPALIVE_MS);
        }
    }

    /// Anything authenticated left, keepalives and handshakes too.
    pub fn authenticated_sent(&self, now: Millis) {
        self.keepalive.clear();
        self.traversed(now);
    }

    /// Anything authentic came, keepalives and handshakes too.
    pub fn authenticated_received(&self, now: Millis) {
        self.new_handshake.clear();
        self.traversed(now);
    }

    /// Asks for a handshake, because a packet waits without a session or the session is stale. True when nobody had
    /// asked yet: wake the control thread then.
    pub fn want_handshake(&self) -> bool {
        !self.wanted.swap(true, Relaxed)
    }

    /// A session is confirmed: by its response, or for the responder by its first packet.
    pub fn handshake_complete(&self, now: Millis) {
        self.retransmit.clear();
        self.attempts.store(0, Relaxed);
        self.last_minute.store(false, Relaxed);
        self.last_handshake.store(now.max(1), Relaxed);
    }

    /// When the last handshake was complete.
    pub fn last_handshake(&self) -> Option<Millis> {
        Some(self.last_handshake.load(Relaxed)).filter(|at| *at != 0)
    }

    /// True once a session: whether the last minute of it may still ask for a handshake.
    pub(super) fn claim_last_minute(&self) -> bool {
        !self.last_minute.swap(true, Relaxed)
    }

    /// A handshake within `JITTER_MS`, unless the peer is heard before.
    pub(super) fn doubt_peer(&self, now: Millis) {
        self.new_handshake.set(now + self.jitter());
    }

    pub(super) fn set_persistent(&self, seconds: u16, now: Millis) {
        self.persistent_ms.store(u64::from(seconds) * 1_000, Relaxed);
        // Switched on, the first one leaves at once (kernel, `set_peer`).
        if seconds == 0 { self.persistent.clear() } else { self.persistent.set(now) }
    }

    pub(super) fn handshake_initiated(&self, now: Millis) {
        self.retransmit.set(now + REKEY_TIMEOUT_MS + self.jitter());
    }

    pub(super) fn session_derived(&self, now: Millis) {
        self.zero_keys.set(now + 3 * REJECT_AFTER_MS);
    }

    /// Somebody wants to talk: the count of attempts starts anew.
    pub(super) fn restart_attempts(&self) {
        self.attempts.store(0, Relaxed);
    }

    /// The retransmission is due: true to repeat, false to give up.
    pub(super) fn may_repeat(&self) -> bool {
        self.attempts.fetch_add(1, Relaxed) <= ATTEMPTS
    }

    /// Whether somebody asked.
    pub(super) fn take_wish(&self) -> bool {
        self.wanted.swap(false, Relaxed)
    }

    /// Fires when 15 s have passed without an answer.
    pub(super) fn lacks_answer(&self, now: Millis) -> bool {
        self.new_handshake.fires(now)
    }

    /// Fires when an empty packet is due, passive or persistent.
    pub(super) fn owes_keepalive(&self, now: Millis) -> bool {
        let passive = self.keepalive.fires(now);
        let persistent = self.persistent.fires(now);
        if persistent {
            self.traversed(now);
        }
        passive || persistent
    }

    /// The handshake was given up: nothing is owed to a peer that does not answer.
    pub(super) fn give_up(&self, now: Millis) {
        self.keepalive.clear();
        if !self.zero_keys.is_set() {
            self.zero_keys.set(now + 3 * REJECT_AFTER_MS);
        }
    }

    pub(super) fn earliest(&self, cap: Millis) -> Millis {
        [&self.keepalive, &self.new_handshake, &self.persistent, &self.retransmit, &self.zero_keys]
            .into_iter()
            .fold(cap, |earliest, deadline| deadline.earliest(earliest))
    }

    fn traversed(&self, now: Millis) {
        match self.persistent_ms.load(Relaxed) {
            0 => {}
            interval => self.persistent.set(now + interval),
        }
    }

    /// Some milliseconds below `JITTER_MS`; splitmix64, since this spreads load and hides nothing.
    fn jitter(&self) -> Millis {
        let mut mixed = self.jitter.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % JITTER_MS
    }
}
