//! Noise_IKpsk2 as WireGuard uses it (paper, 5.4.2 and 5.4.3), both roles, without state beyond the handshake itself.
//! A step that fails changes nothing: a forged answer must not end a handshake under way.

use subtle::ConstantTimeEq;

use super::key::{Local, PublicKey, Remote};
use super::message::{INITIATION, Initiation, MACS, RESPONSE, Response};
use super::symmetric::Symmetric;
use super::{NoiseError, Timestamp};
use crate::crypto::{self, KEY, Secret};

/// The initiator, waiting for the response.
pub(super) struct Initiator {
    pub index: u32,
    ephemeral: Secret,
    state: Symmetric,
}

/// What an initiation is made of beside the keys.
pub(super) struct Opening {
    pub ephemeral: Secret,
    pub index: u32,
    pub timestamp: Timestamp,
}

/// What both ends have at the end.
pub(super) struct Agreed {
    pub state: Symmetric,
    pub local_index: u32,
    pub remote_index: u32,
    pub is_initiator: bool,
}

/// An initiation that was opened far enough to know who it claims to be from. Whether that is true shows only in
/// `Protocol::on_initiation`, which opens the timestamp.
pub struct OpenedInitiation {
    /// The peer's static public key: look it up among the known ones.
    pub remote: PublicKey,
    /// The peer's index of the new session.
    pub sender: u32,
    ephemeral: [u8; KEY],
    sealed_timestamp: [u8; 28],
    state: Symmetric,
}

/// True when the last 32 bytes begin with a MAC that only one who knows our public key can make. Costs one hash.
pub fn check_mac1(local: &Local, message: &[u8]) -> bool {
    check_mac1_key(&local.mac1_key, message)
}

pub(super) fn check_mac1_key(key: &[u8; KEY], message: &[u8]) -> bool {
    let Some(at) = message.len().checked_sub(MACS) else { return false };
    let (text, macs) = message.split_at(at);
    crypto::mac(key, &[text]).ct_eq(&macs[..16]).into()
}

/// Opens the first part of an initiation: `mac1`, then the sender's static key (one Diffie-Hellman).
pub fn open_initiation(local: &Local, message: &[u8]) -> Result<OpenedInitiation, NoiseError> {
    let initiation = Initiation::parse(message)?;
    if !check_mac1(local, message) {
        return Err(NoiseError::WrongMac);
    }
    let mut state = Symmetric::towards(local.public().as_bytes());
    state.mix_ephemeral(&initiation.ephemeral);
    let key = state.mix_for_key(&agree(&local.private, &initiation.ephemeral)?);
    let remote = PublicKey(state.open(&key, &initiation.sealed_static)?);
    if remote == *local.public() {
        return Err(NoiseError::OwnKey);
    }
    Ok(OpenedInitiation {
        remote,
        sender: initiation.sender,
        ephemeral: initiation.ephemeral,
        sealed_timestamp: initiation.sealed_timestamp,
        state,
    })
}

impl Initiator {
    /// Makes the first message, without its MACs.
    pub fn start(
        local: &Local,
        remote: &Remote,
        opening: Opening,
    ) -> Result<(Self, [u8; INITIATION]), NoiseError> {
        let Opening { ephemeral, index, timestamp } = opening;
        let shared = remote.shared()?;
        let public = crypto::public_key(&ephemeral);
        let mut state = Symmetric::towards(remote.public.as_bytes());
        state.mix_ephemeral(&public);
        let key = state.mix_for_key(&agree(&ephemeral, remote.public.as_bytes())?);
        let sealed_static = state.seal(&key, local.public().as_bytes());
        let key = state.mix_for_key(shared);
        let sealed_timestamp = state.seal(&key, &timestamp.0);
        let message =
            Initiation { sender: index, ephemeral: public, sealed_static, sealed_timestamp };
        Ok((Self { index, ephemeral, state }, message.write()))
    }

    /// Reads the second message.
    pub fn finish(
        &self,
        local: &Local,
        remote: &Remote,
        message: &[u8],
    ) -> Result<Agreed, NoiseError> {
        let response = Response::parse(message)?;
        if response.receiver != self.index {
            return Err(NoiseError::Unexpected);
        }
        let mut state = self.state.clone();
        state.mix_ephemeral(&response.ephemeral);
        state.mix(&agree(&self.ephemeral, &response.ephemeral)?);
        state.mix(&agree(&local.private, &response.ephemeral)?);
        let key = state.mix_preshared(&remote.preshared);
        let [] = state.open(&key, &response.sealed_nothing)?;
        Ok(Agreed {
            state,
            local_index: self.index,
            remote_index: response.sender,
            is_initiator: true,
        })
    }
}

impl OpenedInitiation {
    /// Opens the timestamp, which proves that the holder of `remote` made the message.
    pub(super) fn prove(&mut self, remote: &Remote) -> Result<Timestamp, NoiseError> {
        if remote.public != self.remote {
            return Err(NoiseError::OtherPeer);
        }
        let key = self.state.mix_for_key(remote.shared()?);
        self.state.open(&key, &self.sealed_timestamp).map(Timestamp)
    }

    /// Makes the second message, without its MACs. Only after `prove`.
    pub(super) fn answer(
        mut self,
        remote: &Remote,
        ephemeral: Secret,
        index: u32,
    ) -> Result<(Agreed, [u8; RESPONSE]), NoiseError> {
        let public = crypto::public_key(&ephemeral);
        let state = &mut self.state;
        state.mix_ephemeral(&public);
        state.mix(&agree(&ephemeral, &self.ephemeral)?);
        state.mix(&agree(&ephemeral, self.remote.as_bytes())?);
        let key = state.mix_preshared(&remote.preshared);
        let sealed_nothing = state.seal(&key, &[]);
        let message =
            Response { sender: index, receiver: self.sender, ephemeral: public, sealed_nothing };
        let agreed = Agreed {
            state: self.state,
            local_index: index,
            remote_index: self.sender,
            is_initiator: false,
        };
        Ok((agreed, message.write()))
    }
}

fn agree(private: &Secret, public: &[u8; KEY]) -> Result<Secret, NoiseError> {
    crypto::diffie_hellman(private, public).ok_or(NoiseError::ZeroResult)
}
