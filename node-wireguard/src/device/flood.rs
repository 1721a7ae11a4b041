//! A flood is noticed by what the shards throw away, and kept away by the kernel as long as it lasts.

use super::Event;
use super::control::Control;
use super::counters::{Counters, word};
use super::sieve::{Known, Marks, Sieve};
use super::sockets::Sockets;
use crate::crypto::{self, NoRandomness};
use crate::path::Micros;
use std::sync::Arc;

/// Rubbish a second that it begins with: one that costs about a hundredth of a core.
const MUCH: u64 = 10_000;
/// Rubbish a second, kept away or not, below which it is over, and for how many looks.
const LITTLE: u64 = 2_000;
const QUIET_LOOKS: u32 = 10;
/// Between two looks of a shard, and how often it tells.
const WATCH_EVERY: Micros = 200_000;
const TELL_EVERY: Micros = 1_000_000;
/// Between two looks of the control thread: so long a new path may have to wait until it is known.
const LOOK_EVERY: Micros = 1_000_000;
/// After the kernel refused.
const TRY_AGAIN: Micros = 60_000_000;

const RUBBISH: [usize; 5] = [
    word::UNKNOWN_KIND,
    word::UNKNOWN_SESSION,
    word::FORGED,
    word::HANDSHAKES_REFUSED,
    word::QUEUE_FULL,
];

/// Datagrams that were thrown away so far.
pub fn rubbish(counters: &Counters) -> u64 {
    RUBBISH.iter().map(|word| counters.get(*word)).fold(0, u64::wrapping_add)
}

/// A shard's view.
#[derive(Default)]
pub struct Watch {
    looked: Micros,
    seen: u64,
    told: Option<Micros>,
}

impl Watch {
    /// Whether a flood is to be told of. To be asked each round.
    pub fn look(&mut self, now: Micros, rubbish: impl FnOnce() -> u64) -> bool {
        let passed = now.saturating_sub(self.looked);
        if passed < WATCH_EVERY {
            return false;
        }
        let rubbish = rubbish();
        let rate = rubbish.wrapping_sub(self.seen).saturating_mul(1_000_000) / passed;
        (self.looked, self.seen) = (now, rubbish);
        let tell =
            rate >= MUCH && self.told.is_none_or(|told| now.saturating_sub(told) >= TELL_EVERY);
        if tell {
            self.told = Some(now);
        }
        tell
    }
}

/// The control thread's: whether the kernel keeps rubbish away, and by what.
pub struct Defence {
    sieve: Sieve,
    stands: Option<Stand>,
    not_before: Micros,
}

/// While it does.
struct Stand {
    /// Those that have the sieve; none at first.
    sockets: Option<Sockets>,
    next: Micros,
    /// Of each socket, how many datagrams were dropped there.
    dropped: Vec<u32>,
    thrown_away: u64,
    quiet: u32,
}

impl Defence {
    pub fn new() -> Result<Self, NoRandomness> {
        let word = || crypto::random().map(u32::from_le_bytes);
        let sieve = Sieve { marks: Marks::new(word()?), known: Known::new([word()?, word()?]) };
        Ok(Self { sieve, stands: None, not_before: 0 })
    }

    pub fn marks(&self) -> &Marks {
        &self.sieve.marks
    }

    /// A shard has told of a flood.
    pub fn begin(&mut self, now: Micros) {
        if self.stands.is_none() && now >= self.not_before {
            let stand =
                Stand { sockets: None, next: now, dropped: Vec::new(), thrown_away: 0, quiet: 0 };
            self.stands = Some(stand);
        }
    }

    pub fn deadline(&self) -> Micros {
        self.stands.as_ref().map_or(Micros::MAX, |stand| stand.next)
    }
}

impl Control {
    /// Does what is due against a flood.
    pub(super) fn tend_defence(&mut self) {
        if self.now < self.defence.deadline() {
            return;
        }
        let known = self.known_sources();
        let Defence { sieve, stands, not_before } = &mut self.defence;
        let Some(stand) = stands else { return };
        let sockets = self.shared.sockets();
        let same = stand.sockets.as_ref().is_some_and(|had| Arc::ptr_eq(had, &sockets));
        let count = stand.count(&sockets, same, &self.shared.counters);
        stand.quiet = if count < LITTLE { stand.quiet + 1 } else { 0 };
        stand.next = self.now + LOOK_EVERY;
        if stand.quiet >= QUIET_LOOKS {
            lift(&sockets);
            *stands = None;
            return;
        }
        if same && known == sieve.known {
            return;
        }
        sieve.known = known;
        if let Err((socket, message)) = lay(&sockets, sieve) {
            // It stays as it was without: the shard throws away what comes.
            lift(&sockets);
            *stands = None;
            *not_before = self.now + TRY_AGAIN;
            return self.tell(Event::SocketError { socket, message });
        }
        stand.sockets = Some(sockets);
    }

    /// Where peers and their forwarders are, and may be.
    fn known_sources(&self) -> Known {
        let mut known = self.defence.sieve.known.emptied();
        for peer in self.peers.iter() {
            let paths = peer.table.candidates().map(|candidate| candidate.endpoint);
            let binds = peer.binds.iter().map(|bind| bind.endpoint);
            let own = peer.endpoint.map(|(endpoint, _)| endpoint);
            for endpoint in paths.chain(binds).chain(own) {
                known.add(endpoint.remote.ip());
            }
        }
        known
    }
}

impl Stand {
    /// Rubbish since the last look, which for other sockets than before begins now.
    fn count(&mut self, sockets: &Sockets, same: bool, counters: &Counters) -> u64 {
        let all = sockets.iter().flat_map(|socket| socket.all());
        let dropped: Vec<u32> = all.map(|udp| udp.dropped().unwrap_or(0)).collect();
        let more = |(now, before): (&u32, &u32)| u64::from(now.wrapping_sub(*before));
        let kept_away = if same { dropped.iter().zip(&self.dropped).map(more).sum() } else { 0 };
        self.dropped = dropped;
        counters.add(word::SIEVED, kept_away);
        let thrown_away = rubbish(counters);
        let since = thrown_away.wrapping_sub(self.thrown_away);
        self.thrown_away = thrown_away;
        // The first look has nothing to compare with, and a flood was told of.
        if self.sockets.is_some() { kept_away + since } else { MUCH }
    }
}

fn lay(sockets: &Sockets, sieve: &Sieve) -> Result<(), (u32, String)> {
    for socket in sockets.iter() {
        let program = sieve.program(socket.info.local.is_ipv6());
        for udp in socket.all() {
            udp.set_filter(Some(&program)).map_err(|error| {
                (socket.info.id, format!("the kernel does not keep a flood away: {error}"))
            })?;
        }
    }
    Ok(())
}

/// A socket without one says so, which does not matter.
fn lift(sockets: &Sockets) {
    for udp in sockets.iter().flat_map(|socket| socket.all()) {
        let _ = udp.set_filter(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_rubbish_is_told_of_once_a_second() {
        let (mut watch, mut told) = (Watch::default(), 0);
        for ms in 1..=3_000u64 {
            told += u32::from(watch.look(ms * 1_000, || ms * 20));
        }
        assert_eq!(told, 3);
        let mut watch = Watch::default();
        assert!((1..=3_000u64).all(|ms| !watch.look(ms * 1_000, || ms * 9)));
    }
}
