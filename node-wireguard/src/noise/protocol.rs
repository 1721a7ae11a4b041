//! The state machine of one peer: handshakes in both roles, what the timers ask for. No I/O, no clock of its own.

use std::sync::Arc;

use super::action::Action;
use super::constants::{INITIATION_GAP_MS, KEEPALIVE_MS, Millis, REKEY_TIMEOUT_MS};
use super::cookie::MacStamper;
use super::handshake::{Agreed, Initiator, OpenedInitiation, Opening, check_mac1};
use super::key::{Local, PublicKey, Remote};
use super::message::{INITIATION, RESPONSE};
use super::replay::{VANILLA_WINDOW_BITS, WINDOW_BITS};
use super::session::Session;
use super::{Keypair, NoiseError, Timestamp};
use crate::crypto::{self, Secret};

/// What is known of a peer when it is added.
pub struct ProtocolOptions {
    /// The peer's static public key.
    pub remote: PublicKey,
    /// The preshared key; zeros when there is none.
    pub preshared_key: [u8; 32],
    /// Seconds between persistent keepalives; 0 for none.
    pub keepalive_seconds: u16,
    /// Another implementation: the kernel's window, since it may use just one path.
    pub vanilla: bool,
}

/// One peer. Owned by the control thread; `session` is what the shards see of it.
pub struct Protocol {
    local: Arc<Local>,
    remote: Remote,
    window_bits: usize,
    session: Arc<Session>,
    stamper: MacStamper,
    // Unlike in the kernel, our own initiation stays open while we answer the peer's: when both begin at once, as
    // two members that were told of each other do, both get a session without waiting for a repetition.
    initiator: Option<Initiator>,
    last_sent: Option<Millis>, // initiation or response
    stamped: Timestamp,
    greatest: Timestamp,
    last_initiation: Option<Millis>, // consumed
    confirm: bool,
    wished: bool,
    released: Vec<u32>,
}

impl Protocol {
    /// A peer without a session. Fails when the key is our own. A key of low order is taken, and never answered.
    pub fn new(
        local: Arc<Local>,
        options: ProtocolOptions,
        now: Millis,
    ) -> Result<Self, NoiseError> {
        let remote = Remote::new(&local, options.remote, options.preshared_key)?;
        let session = Arc::new(Session::new(u64::from_le_bytes(crypto::random()?)));
        session.timers.set_persistent(options.keepalive_seconds, now);
        Ok(Self {
            stamper: MacStamper::new(&options.remote),
            window_bits: if options.vanilla { VANILLA_WINDOW_BITS } else { WINDOW_BITS },
            local,
            remote,
            session,
            initiator: None,
            last_sent: None,
            stamped: Timestamp::default(),
            greatest: Timestamp::default(),
            last_initiation: None,
            confirm: false,
            wished: false,
            released: Vec::new(),
        })
    }

    /// The peer's public key.
    pub fn remote(&self) -> &PublicKey {
        &self.remote.public
    }

    /// What the shards need.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Changes the persistent keepalive; 0 switches it off.
    pub fn set_keepalive(&mut self, seconds: u16, now: Millis) {
        self.session.timers.set_persistent(seconds, now);
    }

    /// Our network has changed: begins a handshake within a third of a second, each peer at another moment, unless the
    /// peer is heard before. `poll` afterwards.
    pub fn network_changed(&mut self, now: Millis) {
        self.session.timers.doubt_peer(now);
    }

    /// Changes the preshared key, for handshakes to come. An open one with the old key ends.
    pub fn set_preshared_key(&mut self, key: [u8; 32]) {
        self.remote.preshared = Secret::new(key);
        self.abandon();
    }

    /// We have another key pair from now on: all that was agreed under the old one ends, and a handshake may begin at once
    /// (kernel, `noise.c: wg_noise_expire_current_peer_keypairs`). Fails, and changes nothing, when the key is the peer's.
    pub fn set_local(&mut self, local: Arc<Local>) -> Result<(), NoiseError> {
        self.remote = self.remote.under(&local)?;
        self.local = local;
        self.clear();
        self.last_sent = None;
        Ok(())
    }

    /// Wipes all keys and ends an open handshake, as when the peer is removed.
    pub fn clear(&mut self) {
        self.abandon();
        self.session.slots.clear();
    }

    /// The index under which a response or a cookie for our open initiation comes.
    pub fn awaited_index(&self) -> Option<u32> {
        self.initiator.as_ref().map(|initiator| initiator.index)
    }

    /// Makes an initiation with `index` as our index of the new session. `None` within 5 s of the last handshake
    /// message to this peer, or when its key has low order. An earlier open initiation ends.
    pub fn initiate(
        &mut self,
        now: Millis,
        wall: Timestamp,
        index: u32,
    ) -> Option<[u8; INITIATION]> {
        if !self.may_send(now) {
            return None;
        }
        let ephemeral = Secret::new(crypto::random().ok()?);
        let timestamp = wall.after(self.stamped);
        let opening = Opening { ephemeral, index, timestamp };
        let started = Initiator::start(&self.local, &self.remote, opening);
        let (initiator, mut message) = started.ok()?;
        self.abandon();
        self.initiator = Some(initiator);
        self.stamped = timestamp;
        self.stamper.stamp(&mut message, index, now);
        self.last_sent = Some(now);
        self.session.timers.authenticated_sent(now);
        self.session.timers.handshake_initiated(now);
        Some(message)
    }

    /// Answers an initiation of this peer with `index` as our index of the new session. The session receives at once
    /// and sends after the first packet has come.
    pub fn on_initiation(
        &mut self,
        mut opened: OpenedInitiation,
        index: u32,
        now: Millis,
    ) -> Result<([u8; RESPONSE], Arc<Keypair>), NoiseError> {
        let stamp = opened.prove(&self.remote)?;
        if stamp <= self.greatest {
            return Err(NoiseError::Replayed);
        }
        if self.last_initiation.is_some_and(|last| now < last + INITIATION_GAP_MS) {
            return Err(NoiseError::Flood);
        }
        self.greatest = stamp;
        self.last_initiation = Some(now);
        let ephemeral = Secret::new(crypto::random()?);
        let (agreed, mut message) = opened.answer(&self.remote, ephemeral, index)?;
        self.stamper.stamp(&mut message, index, now);
        self.last_sent = Some(now);
        let keypair = self.establish(&agreed, now);
        self.session.timers.authenticated_received(now);
        self.session.timers.authenticated_sent(now);
        Ok((message, keypair))
    }

    /// Completes our handshake. The session sends at once, and `poll` then asks for the packet that confirms it.
    pub fn on_response(&mut self, message: &[u8], now: Millis) -> Result<Arc<Keypair>, NoiseError> {
        if !check_mac1(&self.local, message) {
            return Err(NoiseError::WrongMac); // it alone covers the sender's index
        }
        let initiator = self.initiator.as_ref().ok_or(NoiseError::Unexpected)?;
        let agreed = initiator.finish(&self.local, &self.remote, message)?;
        self.initiator = None;
        let keypair = self.establish(&agreed, now);
        self.session.timers.handshake_complete(now);
        self.session.timers.authenticated_received(now);
        self.confirm = true;
        Ok(keypair)
    }

    /// Keeps a cookie for the next handshake message, which the timers repeat.
    pub fn on_cookie(&mut self, message: &[u8], now: Millis) -> Result<(), NoiseError> {
        self.stamper.take(message, now)
    }

    /// Adds what must be done now to `actions` and returns when to ask again at the latest. Ask also after each call
    /// of another method here and after `want_handshake`.
    pub fn poll(&mut self, now: Millis, actions: &mut Vec<Action>) -> Millis {
        self.poll_handshake(now, actions);
        let timers = &self.session.timers;
        if timers.owes_keepalive(now) || std::mem::take(&mut self.confirm) {
            actions.push(Action::Keepalive);
        }
        if timers.zero_keys.fires(now) {
            self.clear();
            actions.push(Action::ZeroKeys);
        }
        self.released.append(&mut self.session.slots.released());
        actions.extend(self.released.drain(..).map(Action::Release));
        let cap = match self.last_sent {
            Some(sent) if self.wished => sent + REKEY_TIMEOUT_MS,
            _ => now + KEEPALIVE_MS,
        };
        self.session.timers.earliest(cap)
    }

    fn poll_handshake(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let timers = &self.session.timers;
        let mut begin = false;
        if timers.retransmit.fires(now) {
            begin = timers.may_repeat();
            if !begin {
                timers.give_up(now);
                actions.push(Action::HandshakeGivenUp);
            }
        }
        if timers.lacks_answer(now) {
            timers.restart_attempts();
            begin = true;
        }
        if timers.take_wish() {
            timers.restart_attempts();
            self.wished = true;
        }
        if self.wished && self.may_send(now) {
            // A wish waits out the 5 s pause; by then a session may have come that makes it idle.
            self.wished = false;
            begin |= self.session.slots.needs_handshake(now);
        }
        match (begin, self.may_send(now)) {
            (true, true) => actions.push(Action::Initiate),
            (true, false) => self.wished = true,
            (false, _) => {}
        }
    }

    fn may_send(&self, now: Millis) -> bool {
        self.last_sent.is_none_or(|sent| now >= sent + REKEY_TIMEOUT_MS)
    }

    fn establish(&mut self, agreed: &Agreed, now: Millis) -> Arc<Keypair> {
        let keypair = Arc::new(Keypair::new(agreed, now, self.window_bits));
        self.session.slots.insert(Arc::clone(&keypair));
        self.session.timers.session_derived(now);
        keypair
    }

    fn abandon(&mut self) {
        self.released.extend(self.initiator.take().map(|initiator| initiator.index));
    }
}
