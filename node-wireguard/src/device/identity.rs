//! Who we are, and whether we speak at all: our key pair may change while the device runs, and the interface may be down.

use super::DeviceError;
use super::command::Command;
use super::control::Control;
use super::slab::PeerId;
use crate::crypto;
use crate::noise::{CookieChecker, Local};
use std::io;
use std::sync::Arc;

impl Control {
    /// Nothing is said on the wire: there is no private key, or the interface is down.
    pub(super) fn is_silent(&self) -> bool {
        self.keyless || !self.link_up
    }

    pub(super) fn set_identity(&mut self, local: Arc<Local>, keyless: bool) {
        if !keyless && !self.keyless && local.public() == self.local.public() {
            return;
        }
        if let Some(own) = self.by_key.get(local.public().as_bytes()).copied() {
            self.remove_peer(own);
        }
        (self.local, self.keyless) = (local, keyless);
        self.checker = CookieChecker::new(&self.local);
        self.command(Command::SetLocal(Arc::clone(&self.local)));
        let public = if keyless { [0; 32] } else { *self.local.public().as_bytes() };
        self.shared.set_public_key(public);
        self.by_hint.clear();
        let all: Vec<PeerId> = self.peers.iter().map(|peer| peer.id).collect();
        for id in all {
            self.forget_session(id);
            self.begin_hello(id);
            self.serve(id);
        }
    }

    /// All that was agreed with the peer ends. One of ours that there was a session with gets another one soon.
    fn forget_session(&mut self, id: PeerId) {
        let (local, now) = (Arc::clone(&self.local), self.now / 1_000);
        let Some(peer) = self.peers.get_mut(id) else { return };
        let met = peer.session.slots.current().is_some();
        // Our own key is no peer's: it fails for nobody.
        let _ = peer.protocol.set_local(local);
        (peer.offer, peer.wants_initiation) = (None, false);
        if met && !peer.config.vanilla {
            peer.protocol.network_changed(now);
        }
    }

    /// The interface went up or down, or has another MTU. While it is down there are no sessions, as in the kernel.
    pub(super) fn set_link(&mut self, up: bool, mtu: u16) {
        let all: Vec<PeerId> = self.peers.iter().map(|peer| peer.id).collect();
        let (fell, rose) = (self.link_up && !up, up && !self.link_up);
        self.link_up = up;
        if self.mtu != mtu {
            self.mtu = mtu;
            self.command(Command::SetMtu(mtu));
        }
        for id in all {
            if fell {
                self.command(Command::DropStaged(id));
                self.forget_session(id);
            }
            let now = self.now / 1_000;
            if let Some(peer) = self.peers.get_mut(id) {
                peer.table.set_inner_mtu(mtu);
                if let Some(seconds) = peer.config.keepalive_seconds.filter(|_| rose) {
                    peer.protocol.set_keepalive(seconds, now);
                }
            }
            self.serve(id);
        }
    }
}

/// The key pair of a private key; a secret one of nobody's when there is none.
pub fn identity(private: [u8; 32]) -> Result<(Arc<Local>, bool), DeviceError> {
    let keyless = private == [0; 32];
    let key = if keyless { crypto::random().map_err(no_randomness)? } else { private };
    Ok((Arc::new(Local::new(key)), keyless))
}

pub(super) fn no_randomness(_: crypto::NoRandomness) -> DeviceError {
    let source = io::Error::other("the kernel gave no random numbers");
    DeviceError::Io { doing: "making a key".to_owned(), source }
}
