//! Token buckets, and a table of them that strangers share by address.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};

/// Milliseconds of a clock that never goes back.
pub(crate) type Millis = u64;

/// How much of something may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub per_second: u32,
    /// What may pass at once after a rest.
    pub burst: u32,
}

/// A bucket that starts full.
#[derive(Clone, Copy)]
pub(crate) struct Bucket {
    /// Thousandths of a token, so that it fills a little every millisecond.
    filled: u64,
    at: Millis,
}

impl Bucket {
    pub fn full(rate: Rate, now: Millis) -> Self {
        Self { filled: u64::from(rate.burst) * 1_000, at: now }
    }

    pub fn take(&mut self, rate: Rate, now: Millis) -> bool {
        let earned = now.saturating_sub(self.at).saturating_mul(u64::from(rate.per_second));
        self.filled = self.filled.saturating_add(earned).min(u64::from(rate.burst) * 1_000);
        self.at = self.at.max(now);
        let passes = self.filled >= 1_000;
        if passes {
            self.filled -= 1_000;
        }
        passes
    }
}

/// One bucket per IPv4 address or IPv6 /64, of a fixed number: a flood from forged addresses makes it no larger, and
/// the hash is keyed, so that nobody can aim at another's bucket.
pub(crate) struct Limiter {
    rate: Rate,
    buckets: Vec<Bucket>,
    hasher: RandomState,
}

const BUCKETS: usize = 1 << 15;

impl Limiter {
    pub fn new(rate: Rate, now: Millis) -> Self {
        Self { rate, buckets: vec![Bucket::full(rate, now); BUCKETS], hasher: RandomState::new() }
    }

    /// Whether one more message from there may be looked at.
    pub fn admits(&mut self, from: SocketAddr, now: Millis) -> bool {
        let index = self.index(from);
        self.buckets[index].take(self.rate, now)
    }

    /// Whether one more would be admitted; takes nothing.
    pub fn would_admit(&self, from: SocketAddr, now: Millis) -> bool {
        let mut bucket = self.buckets[self.index(from)];
        bucket.take(self.rate, now)
    }

    fn index(&self, from: SocketAddr) -> usize {
        let network = match from.ip().to_canonical() {
            IpAddr::V4(ip) => (4, u64::from(u32::from(ip))),
            IpAddr::V6(ip) => (6, (u128::from(ip) >> 64) as u64),
        };
        self.hasher.hash_one(network) as usize % BUCKETS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 3 };

    #[test]
    fn a_burst_passes_then_the_rate() {
        let mut bucket = Bucket::full(RATE, 5_000);
        let passed = |bucket: &mut Bucket, now| (0..9).filter(|_| bucket.take(RATE, now)).count();
        assert_eq!(passed(&mut bucket, 5_000), 3);
        assert_eq!(passed(&mut bucket, 5_099), 0);
        assert_eq!(passed(&mut bucket, 5_200), 2);
        assert_eq!(passed(&mut bucket, 90_000), 3);
        assert_eq!(passed(&mut bucket, 80_000), 0, "a clock that goes back earns nothing");
    }

    #[test]
    fn neighbours_in_a_64_share_and_strangers_do_not() {
        let mut limiter = Limiter::new(RATE, 0);
        for host in ["[2001:db8::1]:1", "[2001:db8::2]:2", "[2001:db8::3]:3"] {
            assert!(limiter.admits(host.parse().unwrap(), 0));
        }
        assert!(!limiter.admits("[2001:db8::ffff]:4".parse().unwrap(), 0));
        assert!(limiter.admits("192.0.2.1:1".parse().unwrap(), 0));
    }
}
