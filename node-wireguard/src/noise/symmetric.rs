//! The symmetric state of Noise (revision 34, 5.2) with WireGuard's name and prologue: chaining key and hash.

use std::sync::LazyLock;

use super::NoiseError;
use crate::crypto::{self, Aead, Cipher, KEY, Secret};

const CONSTRUCTION: &[u8] = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
const IDENTIFIER: &[u8] = b"WireGuard v1 zx2c4 Jason@zx2c4.com";

/// Hash of the construction, and of that and the identifier: the same for every handshake.
static START: LazyLock<([u8; KEY], [u8; KEY])> = LazyLock::new(|| {
    let chain = crypto::hash(&[CONSTRUCTION]);
    (chain, crypto::hash(&[&chain, IDENTIFIER]))
});

#[derive(Clone)]
pub(super) struct Symmetric {
    chain: Secret,
    hash: [u8; KEY],
}

impl Symmetric {
    /// The state at the start of a handshake towards the holder of `responder`.
    pub fn towards(responder: &[u8; KEY]) -> Self {
        let mut state = Self { chain: Secret::new(START.0), hash: START.1 };
        state.mix_hash(responder);
        state
    }

    pub fn mix_hash(&mut self, data: &[u8]) {
        self.hash = crypto::hash(&[&self.hash, data]);
    }

    /// Token `e`: WireGuard mixes the ephemeral into the chain too, as IKpsk2 asks.
    pub fn mix_ephemeral(&mut self, ephemeral: &[u8; KEY]) {
        self.mix_hash(ephemeral);
        [self.chain] = crypto::kdf(&self.chain, ephemeral);
    }

    /// Mixes a Diffie-Hellman result in without taking a key out.
    pub fn mix(&mut self, input: &Secret) {
        [self.chain] = crypto::kdf(&self.chain, input.as_slice());
    }

    /// Mixes a Diffie-Hellman result in and takes the key for the next sealed field.
    pub fn mix_for_key(&mut self, input: &Secret) -> Cipher {
        let [chain, key] = crypto::kdf(&self.chain, input.as_slice());
        self.chain = chain;
        Cipher::new(&key)
    }

    /// Token `psk`.
    pub fn mix_preshared(&mut self, preshared: &Secret) -> Cipher {
        let [chain, middle, key] = crypto::kdf(&self.chain, preshared.as_slice());
        self.chain = chain;
        self.mix_hash(middle.as_slice());
        Cipher::new(&key)
    }

    /// Seals a field under a fresh key; the transcript so far is the associated data.
    pub fn seal<const N: usize>(&mut self, key: &Cipher, plain: &[u8]) -> [u8; N] {
        let mut sealed = [0; N];
        key.seal(0, &self.hash, plain, &mut sealed);
        self.mix_hash(&sealed);
        sealed
    }

    /// Opens a field into `plain`, which is as long as what was sealed.
    pub fn open<const N: usize, const P: usize>(
        &mut self,
        key: &Cipher,
        sealed: &[u8; N],
    ) -> Result<[u8; P], NoiseError> {
        let mut text = *sealed;
        key.open(0, &self.hash, &mut text)?;
        self.mix_hash(sealed);
        text[..P].try_into().map_err(|_| NoiseError::Malformed)
    }

    /// Two keys per purpose, the initiator's sending key first. An empty label is the paper's transport keys (5.4.5);
    /// other labels are ours and as independent of them as HKDF makes them.
    pub fn split(&self, label: &[u8]) -> [Secret; 2] {
        crypto::kdf(&self.chain, label)
    }
}
