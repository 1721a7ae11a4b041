//! What the shards share with the control thread about one peer.

use std::sync::Arc;

use super::constants::Millis;
use super::{Keypair, KeypairSlots, Timers, WINDOW_BITS};

/// Keys and timers of one peer, and the rules that follow from a packet sent or received.
pub struct Session {
    /// The sessions' keys.
    pub slots: KeypairSlots,
    /// The peer's timers.
    pub timers: Timers,
}

/// What a received batch has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The next session became current: send what waits.
    pub promoted: bool,
    /// A handshake is wanted: wake the control thread.
    pub wake: bool,
}

impl Session {
    pub(super) fn new(seed: u64) -> Self {
        Self { slots: KeypairSlots::default(), timers: Timers::new(seed) }
    }

    /// The session to send with. `None`: keep the packet (up to 128 of them) and ask by `timers.want_handshake`.
    pub fn sending(&self, now: Millis) -> Option<Arc<Keypair>> {
        self.slots.sending(now)
    }

    /// Told after a batch left under `keypair`; `data` when it had a packet that is not empty. True when the control
    /// thread should be woken.
    pub fn sent(&self, keypair: &Keypair, data: bool, now: Millis) -> bool {
        self.timers.authenticated_sent(now);
        if data {
            self.timers.data_sent(now);
        }
        keypair.is_stale_for_sending(now) && self.timers.want_handshake()
    }

    /// Told after authentic messages came under `keypair`; `data` when one was not empty.
    pub fn received(&self, keypair: &Arc<Keypair>, data: bool, now: Millis) -> Received {
        let promoted = self.slots.received(keypair);
        if promoted {
            self.timers.handshake_complete(now);
        }
        self.timers.authenticated_received(now);
        if data {
            self.timers.data_received(now);
        }
        Received { promoted, wake: self.renew_in_last_minute(now) }
    }

    /// Told when `keypair`'s replay window holds more than before: `bits` now.
    pub fn window_grew(&self, keypair: &Arc<Keypair>, bits: usize) {
        self.slots.window_grew(keypair, bits, WINDOW_BITS);
    }

    /// The receiver's part of keeping keys fresh: once per session, by its initiator.
    fn renew_in_last_minute(&self, now: Millis) -> bool {
        self.slots.is_in_last_minute(now)
            && self.timers.claim_last_minute()
            && self.timers.want_handshake()
    }
}
