//! What proves a source and a member: MACs by keyed BLAKE2s, 16 bytes, one label per use.

use subtle::ConstantTimeEq;

use super::wire::{Cookie, Mac, Nonce, Refusal, SOURCE_LENGTH};
use crate::crypto;

/// The secret of one side of a session, known to that member and the forwarder.
pub type Secret = [u8; 32];

/// A nonce that nobody without the secret can foretell, so that a stranger's answer is not taken.
pub(super) fn nonce(secret: &Secret, slot: u32, counter: u64) -> Nonce {
    let label: &[u8] = b"ropewalk bind nonce";
    crypto::mac(secret, &[label, &slot.to_le_bytes(), &counter.to_le_bytes()])
}

/// The proof in a confirm: secret, slot, cookie, source and the rising counter.
pub(super) fn confirm(
    secret: &Secret,
    slot: u32,
    counter: u64,
    cookie: &Cookie,
    source: &[u8; SOURCE_LENGTH],
) -> Mac {
    let label: &[u8] = b"ropewalk bind confirm";
    crypto::mac(secret, &[label, &slot.to_le_bytes(), &counter.to_le_bytes(), cookie, source])
}

/// The forwarder's signature under a verdict.
pub(super) fn verdict(
    secret: &Secret,
    slot: u32,
    nonce: &Nonce,
    outcome: Result<u32, Refusal>,
) -> Mac {
    let (code, seconds) = match outcome {
        Ok(seconds) => (0, seconds),
        Err(refusal) => (refusal as u8, 0),
    };
    let label: &[u8] = b"ropewalk bind verdict";
    crypto::mac(secret, &[label, &slot.to_le_bytes(), nonce, &[code], &seconds.to_le_bytes()])
}

pub(super) fn same(a: &Mac, b: &Mac) -> bool {
    a.ct_eq(b).into()
}
