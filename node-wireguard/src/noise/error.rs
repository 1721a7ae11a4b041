//! Why a message was refused. All of these are expected on a public port: count them, never log them one by one.

use std::fmt;

use crate::crypto::{Forged, NoRandomness};

/// Why the protocol refused a message or could not make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoiseError {
    /// Not a message of the expected type and length.
    Malformed,
    /// `mac1` is wrong: the sender does not know our public key.
    WrongMac,
    /// An authentication tag is wrong.
    Forged,
    /// A Diffie-Hellman result was all zeros.
    ZeroResult,
    /// The timestamp or counter was seen before, or is too old.
    Replayed,
    /// More than 50 initiations a second from one peer.
    Flood,
    /// The message answers nothing that we sent.
    Unexpected,
    /// The peer's public key is our own.
    OwnKey,
    /// The initiation is from another peer than this one.
    OtherPeer,
    /// The operating system gave no random bytes.
    NoRandomness,
}

impl fmt::Display for NoiseError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Malformed => "not a WireGuard message of this kind",
            Self::WrongMac => "the first MAC is wrong",
            Self::Forged => "an authentication tag is wrong",
            Self::ZeroResult => "a public key has low order",
            Self::Replayed => "the message was seen before or is too old",
            Self::Flood => "too many initiations from one peer",
            Self::Unexpected => "the message answers nothing that was sent",
            Self::OwnKey => "the peer's public key is our own",
            Self::OtherPeer => "the initiation is from another peer",
            Self::NoRandomness => "the operating system gave no random bytes",
        })
    }
}

impl std::error::Error for NoiseError {}

impl From<Forged> for NoiseError {
    fn from(_: Forged) -> Self {
        Self::Forged
    }
}

impl From<NoRandomness> for NoiseError {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}
