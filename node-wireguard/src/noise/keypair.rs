//! The keys of one session and what every packet needs of them. Shared by the threads, allocates nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::constants::{
    LAST_MINUTE_MS, Millis, REJECT_AFTER_MESSAGES, REJECT_AFTER_MS, REKEY_AFTER_MESSAGES,
    REKEY_AFTER_MS,
};
use super::handshake::Agreed;
use super::message::{DATA_HEADER, TYPE_DATA};
use super::probe::ProbeKeys;
use super::{NoiseError, ReplayWindow};
use crate::crypto::{Aead, Cipher, Forged};

/// One session: a key and a counter to send, a key and a window to receive.
pub struct Keypair {
    /// Our index, by which the peer addresses us.
    pub local_index: u32,
    /// The peer's index, by which we address it.
    pub remote_index: u32,
    /// When the keys were made.
    pub created: Millis,
    /// Whether we began the handshake: only the initiator renews by age.
    pub is_initiator: bool,
    sending: Cipher,
    receiving: Cipher,
    next: AtomicU64,
    window: Mutex<ReplayWindow>,
    confirmed: AtomicBool,
    probes: ProbeKeys,
}

impl Keypair {
    pub(super) fn new(agreed: &Agreed, created: Millis, window_bits: usize) -> Self {
        let mut keys = agreed.state.split(b"");
        if !agreed.is_initiator {
            keys.reverse();
        }
        Self {
            local_index: agreed.local_index,
            remote_index: agreed.remote_index,
            created,
            is_initiator: agreed.is_initiator,
            sending: Cipher::new(&keys[0]),
            receiving: Cipher::new(&keys[1]),
            next: AtomicU64::new(0),
            window: Mutex::new(ReplayWindow::new(window_bits)),
            confirmed: AtomicBool::new(agreed.is_initiator),
            probes: ProbeKeys::new(agreed),
        }
    }

    /// Takes `count` counters and returns the first; once a batch. `None` when the key is used up for good.
    pub fn next_counters(&self, count: u64) -> Option<u64> {
        let take = |next: u64| next.checked_add(count).filter(|end| *end <= REJECT_AFTER_MESSAGES);
        self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()
    }

    /// Seals `plain` into `sealed`, which holds the packet padded (`padded`) and the tag; the padding becomes zeros.
    /// Each counter may be used once. Panics when `sealed` is shorter than `plain` and the tag.
    pub fn seal(&self, counter: u64, plain: &[u8], sealed: &mut [u8]) {
        self.sending.seal(counter, &[], plain, sealed);
    }

    /// As `seal`, with the 16-byte header in front: the whole data message.
    pub fn seal_message(&self, counter: u64, plain: &[u8], message: &mut [u8]) {
        let (header, sealed) = message.split_at_mut(DATA_HEADER);
        header[..4].copy_from_slice(&TYPE_DATA.to_le_bytes());
        header[4..8].copy_from_slice(&self.remote_index.to_le_bytes());
        header[8..].copy_from_slice(&counter.to_le_bytes());
        self.seal(counter, plain, sealed);
    }

    /// Opens what follows the header in place; the plaintext with its padding is left at the front, its length is
    /// returned. Before it, ask `is_alive` (once a batch) and `replay().is_fresh`; after it, tell `replay().commit`.
    pub fn open(&self, counter: u64, sealed: &mut [u8]) -> Result<usize, Forged> {
        self.receiving.open(counter, &[], sealed)
    }

    /// The replay window: lock it once for a batch.
    pub fn replay(&self) -> MutexGuard<'_, ReplayWindow> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False once the keys are too old to send or receive with.
    pub fn is_alive(&self, now: Millis) -> bool {
        now < self.created + REJECT_AFTER_MS
    }

    /// Whether a packet may be sent: young enough and not used up.
    pub fn can_send(&self, now: Millis) -> bool {
        self.is_alive(now) && self.next.load(Ordering::Relaxed) < REJECT_AFTER_MESSAGES
    }

    /// Whether the one who has just sent should begin a new handshake (kernel, `send.c: keep_key_fresh`).
    pub fn is_stale_for_sending(&self, now: Millis) -> bool {
        self.next.load(Ordering::Relaxed) > REKEY_AFTER_MESSAGES
            || (self.is_initiator && now >= self.created + REKEY_AFTER_MS)
    }

    /// Whether the one who has just received should (kernel, `receive.c: keep_key_fresh`).
    pub fn is_stale_for_receiving(&self, now: Millis) -> bool {
        self.is_initiator && now >= self.created + LAST_MINUTE_MS
    }

    /// False on the responder's side until the first packet has come under these keys.
    pub fn is_confirmed(&self) -> bool {
        self.confirmed.load(Ordering::Relaxed)
    }

    pub(super) fn confirm(&self) {
        self.confirmed.store(true, Ordering::Relaxed);
    }

    /// Counters taken so far.
    pub fn sent(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Seals a probe under the session's probe key with its own counter, which is returned and must travel with it.
    /// `sealed` is `plain` and the tag long; `associated` is authenticated only (the header).
    pub fn probe_seal(&self, associated: &[u8], plain: &[u8], sealed: &mut [u8]) -> Option<u64> {
        self.probes.seal(associated, plain, sealed)
    }

    /// Opens a probe in place and returns the length of its plaintext. Replayed ones are refused here.
    pub fn probe_open(
        &self,
        counter: u64,
        associated: &[u8],
        sealed: &mut [u8],
    ) -> Result<usize, NoiseError> {
        self.probes.open(counter, associated, sealed)
    }

    /// Starts counting elsewhere, to test the limits.
    #[cfg(test)]
    pub(super) fn skip_to(&self, counter: u64) {
        self.next.store(counter, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Keypair {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Keypair({:08x} -> {:08x})", self.local_index, self.remote_index)
    }
}
