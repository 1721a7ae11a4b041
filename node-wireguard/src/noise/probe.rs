//! Keys of the probes (ours, not WireGuard's): under a session, and before there is one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::constants::REJECT_AFTER_MESSAGES;
use super::handshake::Agreed;
use super::key::{Local, PublicKey};
use super::replay::VANILLA_WINDOW_BITS;
use super::{NoiseError, ReplayWindow, Timestamp};
use crate::crypto::{self, Aead, Cipher, LONG_NONCE, Secret, TAG};

const SESSION_LABEL: &[u8] = b"ropewalk probe session 1";
const STATIC_LABEL: &[u8] = b"ropewalk probe static 1";

/// Probes under a session: a key, a counter and a window per direction, shared by all paths. Few a second: the cipher, twenty
/// times as large as the key, is made anew for each.
pub(super) struct ProbeKeys {
    sending: Secret,
    receiving: Secret,
    next: AtomicU64,
    window: Mutex<ReplayWindow>,
}

impl ProbeKeys {
    pub fn new(agreed: &Agreed) -> Self {
        let mut keys = agreed.state.split(SESSION_LABEL);
        if !agreed.is_initiator {
            keys.reverse();
        }
        let [sending, receiving] = keys;
        Self {
            sending,
            receiving,
            next: AtomicU64::new(0),
            window: Mutex::new(ReplayWindow::new(VANILLA_WINDOW_BITS)),
        }
    }

    pub fn seal(&self, associated: &[u8], plain: &[u8], sealed: &mut [u8]) -> Option<u64> {
        let take = |next: u64| (next < REJECT_AFTER_MESSAGES).then(|| next + 1);
        let counter = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        Cipher::new(&self.sending).seal(counter, associated, plain, sealed);
        Some(counter)
    }

    pub fn open(
        &self,
        counter: u64,
        associated: &[u8],
        sealed: &mut [u8],
    ) -> Result<usize, NoiseError> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if !window.is_fresh(counter) {
            return Err(NoiseError::Replayed);
        }
        let length = Cipher::new(&self.receiving).open(counter, associated, sealed)?;
        window.commit(counter);
        Ok(length)
    }
}

/// Probes before a session, under the static-static Diffie-Hellman result: XChaCha20-Poly1305 with a random nonce, so
/// that a restart repeats none, and a timestamp that rises strictly, so that a recorded probe is worthless.
pub struct StaticProbe {
    /// First bytes of BLAKE2s(our key ‖ the peer's): the id in probes that we send.
    pub sending_hint: [u8; 4],
    /// First bytes of BLAKE2s(the peer's key ‖ ours): the id in probes from the peer.
    pub receiving_hint: [u8; 4],
    sending: Secret,
    receiving: Secret,
    sent: Timestamp,
    seen: SeenStamps,
}

impl StaticProbe {
    /// What is added to the plaintext: nonce, timestamp and tag.
    pub const OVERHEAD: usize = LONG_NONCE + Timestamp::LENGTH + TAG;

    /// Derives the keys. Fails for our own key and for one of low order.
    pub fn new(local: &Local, remote: &PublicKey) -> Result<Self, NoiseError> {
        let own = local.public();
        if own == remote {
            return Err(NoiseError::OwnKey);
        }
        let shared = crypto::diffie_hellman(&local.private, &remote.0);
        let shared = shared.ok_or(NoiseError::ZeroResult)?;
        let mut keys: [Secret; 2] = crypto::kdf(&crypto::hash(&[STATIC_LABEL]), shared.as_slice());
        if own > remote {
            keys.reverse(); // the lesser key sends with the first
        }
        let [sending, receiving] = keys;
        Ok(Self {
            sending_hint: hint(own, remote),
            receiving_hint: hint(remote, own),
            sending,
            receiving,
            sent: Timestamp::default(),
            seen: SeenStamps::default(),
        })
    }

    /// Seals `plain` into `out`, which is `OVERHEAD` longer. `associated` is authenticated only (the header).
    pub fn seal(
        &mut self,
        wall: Timestamp,
        associated: &[u8],
        plain: &[u8],
        out: &mut [u8],
    ) -> Result<(), NoiseError> {
        if out.len() != plain.len() + Self::OVERHEAD {
            return Err(NoiseError::Malformed);
        }
        self.sent = wall.after(self.sent);
        let fresh: [u8; LONG_NONCE] = crypto::random()?;
        let (nonce, sealed) = out.split_at_mut(LONG_NONCE);
        nonce.copy_from_slice(&fresh);
        let (text, tag) = sealed.split_at_mut(Timestamp::LENGTH + plain.len());
        text[..Timestamp::LENGTH].copy_from_slice(&self.sent.0);
        text[Timestamp::LENGTH..].copy_from_slice(plain);
        tag.copy_from_slice(&crypto::seal_long(&self.sending, &fresh, associated, text));
        Ok(())
    }

    /// Opens what `seal` made, in place, and returns the plaintext.
    pub fn open<'a>(
        &mut self,
        associated: &[u8],
        message: &'a mut [u8],
    ) -> Result<&'a [u8], NoiseError> {
        let (nonce, sealed) =
            message.split_first_chunk_mut::<LONG_NONCE>().ok_or(NoiseError::Malformed)?;
        let (text, tag) = sealed.split_last_chunk_mut::<TAG>().ok_or(NoiseError::Malformed)?;
        crypto::open_long(&self.receiving, nonce, associated, text, tag)?;
        let (stamp, plain) =
            text.split_first_chunk::<{ Timestamp::LENGTH }>().ok_or(NoiseError::Malformed)?;
        if !self.seen.accept(Timestamp(*stamp)) {
            return Err(NoiseError::Replayed);
        }
        Ok(plain)
    }
}

fn hint(sender: &PublicKey, receiver: &PublicKey) -> [u8; 4] {
    let [a, b, c, d, ..] = crypto::hash(&[&sender.0, &receiver.0]);
    [a, b, c, d]
}

/// The latest timestamps accepted. Probes that leave together by several paths arrive in any order, so the last few
/// are remembered one by one, and everything older than them is refused.
#[derive(Default)]
struct SeenStamps {
    floor: Timestamp,
    latest: Vec<Timestamp>, // ascending, at most CAPACITY
}

impl SeenStamps {
    const CAPACITY: usize = 64;

    fn accept(&mut self, stamp: Timestamp) -> bool {
        let Err(at) = self.latest.binary_search(&stamp) else { return false };
        if stamp <= self.floor {
            return false;
        }
        self.latest.insert(at, stamp);
        if self.latest.len() > Self::CAPACITY {
            self.floor = self.latest.remove(0);
        }
        true
    }
}
