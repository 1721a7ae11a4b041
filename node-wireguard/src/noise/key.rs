//! Who we are and who the other is.

use std::fmt;

use zeroize::Zeroizing;

use super::NoiseError;
use crate::crypto::{self, KEY, Secret};

const MAC1_LABEL: &[u8] = b"mac1----";
const COOKIE_LABEL: &[u8] = b"cookie--";

/// A peer's static X25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; KEY]);

impl PublicKey {
    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; KEY] {
        &self.0
    }

    /// The key of `mac1` in messages to the holder of this key (paper, 5.4.4).
    pub(super) fn mac1_key(&self) -> [u8; KEY] {
        crypto::hash(&[MAC1_LABEL, &self.0])
    }

    /// The key that seals cookies made by the holder of this key (paper, 5.4.7).
    pub(super) fn cookie_key(&self) -> [u8; KEY] {
        crypto::hash(&[COOKIE_LABEL, &self.0])
    }
}

impl From<[u8; KEY]> for PublicKey {
    fn from(bytes: [u8; KEY]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8].iter().try_for_each(|byte| write!(out, "{byte:02x}"))?;
        out.write_str("…")
    }
}

/// Our own static key pair. Wiped when dropped, never printed.
pub struct Local {
    pub(super) private: Secret,
    public: PublicKey,
    pub(super) mac1_key: [u8; KEY],
}

impl Local {
    /// Takes 32 bytes and clamps them (RFC 7748, 5).
    pub fn new(mut private: [u8; KEY]) -> Self {
        private[0] &= 248;
        private[31] = private[31] & 127 | 64;
        let private = Zeroizing::new(private);
        let public = PublicKey(crypto::public_key(&private));
        Self { private, public, mac1_key: public.mac1_key() }
    }

    /// Our private key, clamped.
    pub fn private_key(&self) -> Secret {
        self.private.clone()
    }

    /// Our public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Local({:?})", self.public)
    }
}

/// What the handshake needs to know of one peer.
pub(super) struct Remote {
    pub public: PublicKey,
    /// The static-static Diffie-Hellman result; `None` for a key of low order, with which no packet is ever made.
    pub shared: Option<Secret>,
    pub preshared: Secret,
}

impl Remote {
    pub fn new(local: &Local, public: PublicKey, preshared: [u8; KEY]) -> Result<Self, NoiseError> {
        if public == local.public {
            return Err(NoiseError::OwnKey);
        }
        let shared = crypto::diffie_hellman(&local.private, &public.0);
        Ok(Self { public, shared, preshared: Zeroizing::new(preshared) })
    }

    /// The same peer under another key of ours.
    pub fn under(&self, local: &Local) -> Result<Self, NoiseError> {
        Self::new(local, self.public, *self.preshared)
    }

    pub fn shared(&self) -> Result<&Secret, NoiseError> {
        self.shared.as_ref().ok_or(NoiseError::ZeroResult)
    }
}
