//! What proves a source and a member: MACs by keyed BLAKE2s, 16 bytes, one label per use.

use blake2::digest::consts::U16;
use blake2::digest::{KeyInit, Mac as _};
use subtle::ConstantTimeEq;

use super::wire::{Cookie, Mac, Nonce, Refusal, SOURCE_LENGTH};

/// The secret of one side of a session, known to that member and the forwarder.
pub type Secret = [u8; 32];

type Blake2sMac128 = blake2::Blake2sMac<U16>;

pub(super) fn keyed<const P: usize>(key: &Secret, label: &[u8], parts: [&[u8]; P]) -> Mac {
    // BLAKE2s takes keys of up to 32 bytes, so 32 is never refused.
    let Ok(mut mac) = Blake2sMac128::new_from_slice(key) else { return [0; 16] };
    mac.update(label);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// A nonce that nobody without the secret can foretell, so that a stranger's answer is not taken.
pub(super) fn nonce(secret: &Secret, slot: u32, counter: u64) -> Nonce {
    keyed(secret, b"ropewalk bind nonce", [&slot.to_le_bytes(), &counter.to_le_bytes()])
}

/// The proof in a confirm: secret, slot, cookie, source and the rising counter.
pub(super) fn confirm(
    secret: &Secret,
    slot: u32,
    counter: u64,
    cookie: &Cookie,
    source: &[u8; SOURCE_LENGTH],
) -> Mac {
    let parts: [&[u8]; 4] = [&slot.to_le_bytes(), &counter.to_le_bytes(), cookie, source];
    keyed(secret, b"ropewalk bind confirm", parts)
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
    let parts: [&[u8]; 4] = [&slot.to_le_bytes(), nonce, &[code], &seconds.to_le_bytes()];
    keyed(secret, b"ropewalk bind verdict", parts)
}

pub(super) fn same(a: &Mac, b: &Mac) -> bool {
    a.ct_eq(b).into()
}
