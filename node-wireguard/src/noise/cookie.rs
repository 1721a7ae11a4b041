//! MACs and cookies (paper, 5.4.4 and 5.4.7): who is under load asks strangers to prove their address first.

use subtle::ConstantTimeEq;

use super::NoiseError;
use super::constants::{
    COOKIE_LATENCY_MS, COOKIE_SECRET_MS, LOAD_MS, Millis, QUEUE_LOAD, WASTED_LOAD,
};
use super::handshake::check_mac1_key;
use super::key::{Local, PublicKey};
use super::limiter::{RateLimiter, Source};
use super::message::{COOKIE_REPLY, CookieReply, INITIATION, Kind, MACS, RESPONSE};
use crate::crypto::{self, KEY, Secret};

/// What to do with a handshake message (types 1 and 2) that came.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Process it.
    Accept,
    /// Drop it and send this back.
    Challenge([u8; COOKIE_REPLY]),
    /// Drop it: a wrong MAC, or too many from there.
    Drop,
}

/// The answering side: checks MACs, makes cookies.
pub struct CookieChecker {
    mac1_key: [u8; KEY],
    cookie_key: [u8; KEY],
    secret: Option<(Secret, Millis)>,
    limiter: RateLimiter,
    load_until: Millis,
    wasted: (u32, Millis),
}

impl CookieChecker {
    /// A checker for messages to `local`.
    pub fn new(local: &Local) -> Self {
        Self {
            mac1_key: local.mac1_key,
            cookie_key: local.public().cookie_key(),
            secret: None,
            limiter: RateLimiter::default(),
            load_until: 0,
            wasted: (0, 0),
        }
    }

    /// Whether we are under load with `waiting` messages in the queue: from 512 on, and for a second after.
    pub fn is_under_load(&mut self, waiting: usize, now: Millis) -> bool {
        if waiting >= QUEUE_LOAD {
            self.load_until = now + LOAD_MS;
        }
        now < self.load_until
    }

    /// When load ends, as far as is known.
    pub fn loaded_until(&self) -> Millis {
        self.load_until
    }

    /// A message was accepted and then turned out to be worthless, after a Diffie-Hellman. Somewhat fewer than fill the queue
    /// would already take most of a core: too many of them in a second are load as well.
    pub fn on_wasted(&mut self, now: Millis) {
        let (count, since) = self.wasted;
        self.wasted = if now < since + LOAD_MS { (count + 1, since) } else { (1, now) };
        if self.wasted.0 >= WASTED_LOAD {
            self.load_until = now + LOAD_MS;
        }
    }

    /// Judges a handshake message (kernel, `cookie.c: wg_cookie_validate_packet` and `receive.c`).
    pub fn check(&mut self, message: &[u8], source: Source, loaded: bool, now: Millis) -> Verdict {
        let index = match Kind::of(message) {
            Some(Kind::Initiation { sender } | Kind::Response { sender, .. }) => sender,
            _ => return Verdict::Drop,
        };
        if !check_mac1_key(&self.mac1_key, message) {
            return Verdict::Drop;
        }
        if !loaded {
            return Verdict::Accept;
        }
        let Ok(cookie) = self.cookie(source, now) else { return Verdict::Drop };
        let (text, mac2) = message.split_at(message.len() - 16);
        if !bool::from(crypto::mac(&cookie, &[text]).ct_eq(mac2)) {
            let mac1 = &text[text.len() - 16..];
            return self.challenge(index, mac1, cookie).map_or(Verdict::Drop, Verdict::Challenge);
        }
        if self.limiter.allow(source, now) { Verdict::Accept } else { Verdict::Drop }
    }

    fn challenge(
        &self,
        receiver: u32,
        mac1: &[u8],
        mut cookie: [u8; 16],
    ) -> Result<[u8; COOKIE_REPLY], NoiseError> {
        let nonce = crypto::random()?;
        let tag = crypto::seal_long(&self.cookie_key, &nonce, mac1, &mut cookie);
        Ok(CookieReply { receiver, nonce, sealed_cookie: cookie, tag }.write())
    }

    fn cookie(&mut self, source: Source, now: Millis) -> Result<[u8; 16], NoiseError> {
        let fresh = self.secret.take().filter(|(_, made)| now < made + COOKIE_SECRET_MS);
        let (secret, made) = match fresh {
            Some(kept) => kept,
            None => (Secret::new(crypto::random()?), now),
        };
        let cookie = crypto::mac(secret.as_slice(), &[&source.cookie_input()]);
        self.secret = Some((secret, made));
        Ok(cookie)
    }
}

/// The asking side: stamps MACs on what is sent to one peer, keeps the cookie that it was given.
pub(super) struct MacStamper {
    mac1_key: [u8; KEY],
    cookie_key: [u8; KEY],
    cookie: Option<([u8; 16], Millis)>,
    last: Option<(u32, [u8; 16])>, // index and mac1 of the last message: a cookie answers just that one
}

impl MacStamper {
    pub fn new(remote: &PublicKey) -> Self {
        Self {
            mac1_key: remote.mac1_key(),
            cookie_key: remote.cookie_key(),
            cookie: None,
            last: None,
        }
    }

    /// Writes `mac1`, and `mac2` while there is a cookie, at the end of a message with our index `index`.
    pub fn stamp(&mut self, message: &mut [u8], index: u32, now: Millis) {
        debug_assert!(message.len() == INITIATION || message.len() == RESPONSE);
        let (text, macs) = message.split_at_mut(message.len() - MACS);
        let (first, second) = macs.split_at_mut(16);
        let mac1 = crypto::mac(&self.mac1_key, &[text]);
        first.copy_from_slice(&mac1);
        self.last = Some((index, mac1));
        let life = COOKIE_SECRET_MS - COOKIE_LATENCY_MS;
        match self.cookie.filter(|(_, since)| now < since + life) {
            Some((cookie, _)) => second.copy_from_slice(&crypto::mac(&cookie, &[text, first])),
            None => second.fill(0),
        }
    }

    /// Takes a cookie in. Refused unless it answers the last message that was stamped.
    pub fn take(&mut self, message: &[u8], now: Millis) -> Result<(), NoiseError> {
        let reply = CookieReply::parse(message)?;
        let (index, mac1) = self.last.ok_or(NoiseError::Unexpected)?;
        if index != reply.receiver {
            return Err(NoiseError::Unexpected);
        }
        let mut cookie = reply.sealed_cookie;
        crypto::open_long(&self.cookie_key, &reply.nonce, &mac1, &mut cookie, &reply.tag)?;
        self.cookie = Some((cookie, now));
        self.last = None;
        Ok(())
    }
}
