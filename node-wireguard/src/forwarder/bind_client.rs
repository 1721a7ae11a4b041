//! A member's end of a forwarder session: proves its address to the forwarder and keeps that proof fresh.
//! Pure: the clock is passed in, the caller sends what `poll` returns to the forwarder's address.

use zeroize::Zeroize;

use super::proof::{self, Secret};
use super::wire::{self, BindMessage, Confirm, Cookie, Kind, Nonce, Refusal, SOURCE_LENGTH};

/// Milliseconds of a clock that never goes back.
type Millis = u64;

/// Every 20 s the binding is confirmed anew: NAT mappings for UDP live 30 s and more.
const REBIND_MS: Millis = 20_000;
/// Three rebinds missed: the forwarder has dropped the binding by now.
const BINDING_LIFETIME_MS: Millis = 65_000;
/// A lost message is sent again after this, doubling up to `SLOWEST_RETRY_MS`.
const FIRST_RETRY_MS: Millis = 250;
const SLOWEST_RETRY_MS: Millis = 5_000;

/// Whether packets sent with the slot in front pass the forwarder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindState {
    /// The exchange goes on; the forwarder drops data until it is done.
    Binding,
    /// The forwarder takes data from us until then (and longer, for it is renewed in time).
    Bound { until: Millis },
    /// The forwarder said no. It is asked again, ever more slowly, for a session may come a little later than we do.
    Refused(Refusal),
}

/// The state machine of one slot.
pub struct BindClient {
    slot: u32,
    secret: Secret,
    counter: u64,
    cookie: Option<(Cookie, [u8; SOURCE_LENGTH])>,
    /// The nonce of the message that waits for its answer.
    waiting: Option<Nonce>,
    state: BindState,
    due: Millis,
    retry: Millis,
}

impl BindClient {
    /// `wall` is the wall clock in milliseconds since 1970: the counter starts there, so that a restart with the same
    /// secret goes on above what the forwarder has seen.
    pub fn new(slot: u32, secret: Secret, wall: u64) -> Self {
        Self {
            slot,
            secret,
            counter: wall,
            cookie: None,
            waiting: None,
            state: BindState::Binding,
            due: 0,
            retry: FIRST_RETRY_MS,
        }
    }

    /// The slot to write in front of data: `header(Kind::Forward, slot)`. Data arrives with the same slot.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Where the exchange stands; a binding that was not renewed in time has lapsed.
    pub fn state(&self, now: Millis) -> BindState {
        match self.state {
            BindState::Bound { until } if until <= now => BindState::Binding,
            state => state,
        }
    }

    pub fn is_bound(&self, now: Millis) -> bool {
        matches!(self.state(now), BindState::Bound { .. })
    }

    /// When `poll` wants to be called next.
    pub fn deadline(&self) -> Millis {
        self.due
    }

    /// The message that is due for the forwarder now, if any: a first request, a repetition or a renewal.
    pub fn poll(&mut self, now: Millis) -> Option<BindMessage> {
        if now < self.due {
            return None;
        }
        if self.waiting.is_some() {
            self.cookie = None; // no answer: perhaps our address has changed, so start over
        }
        self.due = now + self.retry;
        self.retry = (self.retry * 2).min(SLOWEST_RETRY_MS);
        Some(self.next_message())
    }

    /// Our address may have changed (another network, another socket): prove the new one at once.
    pub fn source_changed(&mut self, now: Millis) {
        self.cookie = None;
        self.waiting = None;
        self.state = BindState::Binding;
        self.retry = FIRST_RETRY_MS;
        self.due = now;
    }

    /// Takes a datagram of the bind exchange that came from the forwarder's address. Foreign, late and malformed ones
    /// change nothing. If `deadline` has come near, call `poll` at once: the answer to a cookie goes out without delay.
    pub fn on_message(&mut self, datagram: &[u8], now: Millis) -> BindState {
        match wire::open(datagram) {
            Some((Kind::Cookie, slot, rest)) if slot == self.slot => self.on_cookie(rest, now),
            Some((Kind::Verdict, slot, rest)) if slot == self.slot => self.on_verdict(rest, now),
            _ => {}
        }
        self.state(now)
    }

    fn next_message(&mut self) -> BindMessage {
        self.counter += 1;
        let (slot, counter) = (self.slot, self.counter);
        let nonce = proof::nonce(&self.secret, slot, counter);
        self.waiting = Some(nonce);
        match &self.cookie {
            None => wire::write_request(slot, &nonce),
            Some((cookie, source)) => {
                let mac = proof::confirm(&self.secret, slot, counter, cookie, source);
                wire::write_confirm(slot, &Confirm { nonce, counter, cookie: *cookie, mac })
            }
        }
    }

    fn on_cookie(&mut self, rest: &[u8], now: Millis) {
        let Some((nonce, cookie, source)) = wire::read_cookie(rest) else { return };
        if self.waiting != Some(nonce) || self.cookie.is_some() {
            return;
        }
        self.waiting = None;
        self.cookie = Some((cookie, source));
        self.due = now;
    }

    fn on_verdict(&mut self, rest: &[u8], now: Millis) {
        let Some(verdict) = wire::read_verdict(rest) else { return };
        if self.waiting != Some(verdict.nonce) {
            return;
        }
        let expected = proof::verdict(&self.secret, self.slot, &verdict.nonce, verdict.outcome);
        match verdict.outcome {
            Ok(seconds) if proof::same(&expected, &verdict.mac) => {
                self.waiting = None;
                self.retry = FIRST_RETRY_MS;
                self.due = now + REBIND_MS;
                let lifetime = (Millis::from(seconds) * 1_000).min(BINDING_LIFETIME_MS);
                self.state = BindState::Bound { until: now + lifetime };
            }
            Ok(_) => {}
            // Unsigned where the forwarder does not know our secret: it may slow us down, never stop us.
            Err(Refusal::StaleCookie) => {
                self.waiting = None;
                self.cookie = None;
                self.due = self.due.min(now + self.retry.min(FIRST_RETRY_MS));
            }
            Err(refusal) => {
                self.waiting = None;
                self.state = BindState::Refused(refusal);
            }
        }
    }
}

impl Drop for BindClient {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}
