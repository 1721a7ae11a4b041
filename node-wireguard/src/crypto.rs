//! The primitives of WireGuard (paper, 5.4) behind plain functions, and the AEAD of the hot path behind one trait,
//! so that the library is a choice and not a design.

use crate::io::Wide;
use blake2::digest::consts::U16;
use blake2::digest::{Digest, KeyInit, Mac};
use blake2::{Blake2s256, Blake2sMac};
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{Tag, XChaCha20Poly1305};
use ring::aead;
use ring::rand::{SecureRandom, SystemRandom};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, Zeroizing};

/// Length of a key, a hash and a public key in bytes.
pub const KEY: usize = 32;
/// Length of an authentication tag in bytes.
pub const TAG: usize = 16;
/// Length of the nonce of XChaCha20-Poly1305 in bytes.
pub const LONG_NONCE: usize = 24;

/// Key material that wipes itself when dropped.
pub type Secret = Zeroizing<[u8; KEY]>;

/// The message was not sealed with this key and nonce, or was changed on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forged;

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRandomness;

/// One key of one direction; the nonce is 32 zero bits and a 64-bit counter, little endian (paper, 5.4.6).
pub trait Aead: Send + Sync + 'static {
    /// Takes the key in; the implementation wipes its own copy when dropped.
    fn new(key: &[u8; KEY]) -> Self;
    /// Seals `plain` into `sealed`, out of place. What `sealed` has beyond `plain` and the tag is sealed as zeros:
    /// that is the padding. Panics when `sealed` is shorter than `plain` and the tag.
    fn seal(&self, counter: u64, associated: &[u8], plain: &[u8], sealed: &mut [u8]);
    /// Opens in place and leaves the plaintext at the front of `sealed`; returns its length.
    fn open(&self, counter: u64, associated: &[u8], sealed: &mut [u8]) -> Result<usize, Forged>;
}

/// The AEAD that everything uses: ChaCha20-Poly1305 (RFC 8439) of `ring`, the fastest library measured; for what is long,
/// on processors that have it, on vectors of 512 bits (docs/decisions/0021).
pub struct Cipher {
    ring: aead::LessSafeKey,
    wide: Option<Wide>,
    key: Secret,
}

/// From how many bytes on, tag included, the wide vectors are faster.
const WIDE_FROM: usize = 384;

impl Cipher {
    /// The wide implementation, if the message is one for it.
    fn wide_for(&self, associated: &[u8], sealed: usize) -> Option<Wide> {
        self.wide.filter(|_| sealed >= WIDE_FROM && associated.is_empty())
    }

    fn load(key: &[u8; KEY]) -> aead::LessSafeKey {
        let key = aead::UnboundKey::new(&aead::CHACHA20_POLY1305, key);
        aead::LessSafeKey::new(key.expect("32 bytes are a key"))
    }

    /// ring does not wipe its keys: overwrite this one, where it lies, and keep the compiler from leaving that out.
    fn wipe(&mut self) {
        self.ring = Self::load(&[0; KEY]);
        std::hint::black_box(&mut self.ring);
        self.key.zeroize();
    }
}

impl Aead for Cipher {
    fn new(key: &[u8; KEY]) -> Self {
        Self { ring: Self::load(key), wide: Wide::detect(), key: Secret::new(*key) }
    }

    fn seal(&self, counter: u64, associated: &[u8], plain: &[u8], sealed: &mut [u8]) {
        if let Some(wide) = self.wide_for(associated, sealed.len()) {
            return wide.seal(&self.key, &nonce(counter), plain, sealed);
        }
        let (text, tag) = sealed.split_at_mut(sealed.len() - TAG);
        let (front, padding) = text.split_at_mut(plain.len());
        front.copy_from_slice(plain); // ring seals in place only; the copy stays in the cache
        padding.fill(0);
        let nonce = aead::Nonce::assume_unique_for_key(nonce(counter));
        let made = self.ring.seal_in_place_separate_tag(nonce, aead::Aad::from(associated), text);
        tag.copy_from_slice(made.expect("a packet is far below the length limit").as_ref());
    }

    fn open(&self, counter: u64, associated: &[u8], sealed: &mut [u8]) -> Result<usize, Forged> {
        if let Some(wide) = self.wide_for(associated, sealed.len()) {
            let opened = wide.open(&self.key, &nonce(counter), sealed);
            return if opened { Ok(sealed.len() - TAG) } else { Err(Forged) };
        }
        let nonce = aead::Nonce::assume_unique_for_key(nonce(counter));
        let plain = self.ring.open_in_place(nonce, aead::Aad::from(associated), sealed);
        plain.map(|plain| plain.len()).map_err(|_| Forged)
    }
}

impl Drop for Cipher {
    fn drop(&mut self) {
        self.wipe();
    }
}

fn nonce(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    nonce
}

/// Seals `text` in place under XChaCha20-Poly1305 and returns the tag; the nonce must be random.
pub fn seal_long(
    key: &[u8; KEY],
    nonce: &[u8; LONG_NONCE],
    associated: &[u8],
    text: &mut [u8],
) -> [u8; TAG] {
    let cipher = XChaCha20Poly1305::new(key.into());
    let tag = cipher.encrypt_inout_detached(nonce.into(), associated, text.into());
    tag.expect("a message is far below the length limit").into()
}

/// Opens `text` in place under XChaCha20-Poly1305.
pub fn open_long(
    key: &[u8; KEY],
    nonce: &[u8; LONG_NONCE],
    associated: &[u8],
    text: &mut [u8],
    tag: &[u8; TAG],
) -> Result<(), Forged> {
    let (cipher, tag) = (XChaCha20Poly1305::new(key.into()), Tag::from(*tag));
    cipher.decrypt_inout_detached(nonce.into(), associated, text.into(), &tag).map_err(|_| Forged)
}

/// BLAKE2s-256 of the parts, one after another (RFC 7693).
pub fn hash(parts: &[&[u8]]) -> [u8; KEY] {
    let mut hasher = Blake2s256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

/// Keyed BLAKE2s with an output of 16 bytes (the paper's MAC). The key is 1 to 32 bytes long.
pub fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
    let mut mac = Blake2sMac::<U16>::new_from_slice(key).expect("no key here exceeds 32 bytes");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// HMAC over BLAKE2s-256 (RFC 2104; block of 64 bytes).
pub fn hmac(key: &[u8; KEY], parts: &[&[u8]]) -> Secret {
    let (mut inner, mut outer) = (Zeroizing::new([0x36; 64]), Zeroizing::new([0x5c; 64]));
    for (at, byte) in key.iter().enumerate() {
        inner[at] ^= byte;
        outer[at] ^= byte;
    }
    let mut hasher = Blake2s256::new();
    hasher.update(inner.as_slice());
    parts.iter().for_each(|part| hasher.update(part));
    let inner = Zeroizing::new(<[u8; KEY]>::from(hasher.finalize()));
    Zeroizing::new(hash(&[outer.as_slice(), inner.as_slice()]))
}

/// HKDF (RFC 5869) over BLAKE2s without info: `chain` is the salt, `input` the key material; N keys come out.
pub fn kdf<const N: usize>(chain: &[u8; KEY], input: &[u8]) -> [Secret; N] {
    let extracted = hmac(chain, &[input]);
    let mut previous: Option<Secret> = None;
    std::array::from_fn(|at| {
        let (number, last) = ([at as u8 + 1], previous.take());
        let before = last.as_ref().map_or(&[][..], |key| key.as_slice());
        let key = hmac(&extracted, &[before, &number]);
        previous = Some(key.clone());
        key
    })
}

/// The public key of a private one.
pub fn public_key(private: &[u8; KEY]) -> [u8; KEY] {
    PublicKey::from(&StaticSecret::from(*private)).to_bytes()
}

/// X25519 (RFC 7748). `None` when the result is all zeros, which a point of low order makes: such a key is refused.
pub fn diffie_hellman(private: &[u8; KEY], public: &[u8; KEY]) -> Option<Secret> {
    let shared = StaticSecret::from(*private).diffie_hellman(&PublicKey::from(*public));
    shared.was_contributory().then(|| Zeroizing::new(shared.to_bytes()))
}

/// Random bytes from the operating system.
pub fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
