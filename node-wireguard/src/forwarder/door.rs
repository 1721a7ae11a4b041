//! Answers to those who have proven nothing yet: STUN and the bind exchange. Pure: datagram in, answer out.
//! No answer is longer than its question, and none is given faster than the limit of its network. The members of a site
//! share an address, so members are not counted there: a confirm that holds is free, and what a bound address asks about
//! its own slot has a limit of its own.

use std::io;
use std::net::SocketAddr;

use super::cookie::{CookieJar, Random};
use super::limiter::{Limiter, Millis, Rate};
use super::proof;
use super::session::Origin;
use super::table::Table;
use super::wire::{self, Kind, Refusal, Verdict};
use crate::stun;

/// What became of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Stun(Vec<u8>),
    Cookie(Vec<u8>),
    Bound(Vec<u8>),
    Refused(Vec<u8>),
    /// Over the limit of its network.
    Limited,
    /// Not for us, or malformed.
    Ignored,
}

pub(super) struct Door {
    cookies: CookieJar,
    limiter: Limiter,
    stun: bool,
}

impl Door {
    /// # Errors
    /// When there are no random numbers.
    pub fn new(stun: bool, rate: Rate, random: Random, now: Millis) -> io::Result<Self> {
        let cookies = CookieJar::new(random, now)?;
        Ok(Self { cookies, limiter: Limiter::new(rate, now), stun })
    }

    pub fn answer(
        &mut self,
        datagram: &[u8],
        from: SocketAddr,
        via: Origin,
        table: &mut Table,
        now: Millis,
    ) -> Outcome {
        match wire::open(datagram) {
            Some((Kind::Confirm, slot, rest)) => self.verdict(slot, rest, from, via, table, now),
            Some((Kind::Request, slot, _)) if !self.admits(slot, from, table, now) => {
                Outcome::Limited
            }
            Some((Kind::Request, slot, rest)) => self.cookie(slot, rest, from, now),
            _ if !self.limiter.admits(from, now) => Outcome::Limited,
            None if self.stun => {
                stun::answer(datagram, from).map_or(Outcome::Ignored, Outcome::Stun)
            }
            _ => Outcome::Ignored,
        }
    }

    fn admits(&mut self, slot: u32, from: SocketAddr, table: &mut Table, now: Millis) -> bool {
        table.renews(slot, from, now) || self.limiter.admits(from, now)
    }

    fn cookie(&mut self, slot: u32, rest: &[u8], from: SocketAddr, now: Millis) -> Outcome {
        let Some(nonce) = wire::read_request(rest) else { return Outcome::Ignored };
        let cookie = self.cookies.make(from, now);
        Outcome::Cookie(wire::write_cookie(slot, &nonce, &cookie, from).to_vec())
    }

    fn verdict(
        &mut self,
        slot: u32,
        rest: &[u8],
        from: SocketAddr,
        via: Origin,
        table: &mut Table,
        now: Millis,
    ) -> Outcome {
        let Some(confirm) = wire::read_confirm(rest) else { return Outcome::Ignored };
        // A slot that nobody has costs a stranger's question, and us no cryptography.
        let outcome = if table.secret(slot).is_none() {
            Err(Refusal::UnknownSlot)
        } else if self.cookies.accepts(&confirm.cookie, from, now) {
            table.confirm(slot, &confirm, from, via, now)
        } else {
            Err(Refusal::StaleCookie)
        };
        if outcome.is_err() && !self.admits(slot, from, table, now) {
            return Outcome::Limited;
        }
        let nonce = confirm.nonce;
        let mac = table
            .secret(slot)
            .map_or([0; 16], |secret| proof::verdict(secret, slot, &nonce, outcome));
        let answer = wire::write_verdict(slot, &Verdict { nonce, outcome, mac }).to_vec();
        if outcome.is_ok() { Outcome::Bound(answer) } else { Outcome::Refused(answer) }
    }
}
