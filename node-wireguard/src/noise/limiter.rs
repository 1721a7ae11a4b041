//! How many handshakes a source may ask for (kernel, `ratelimiter.c`): 20 a second, 5 at once.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::constants::Millis;

const COST_MS: Millis = 50; // 20 a second
const BURST_MS: Millis = 5 * COST_MS;
const IDLE_MS: Millis = 1_000;
const CAPACITY: usize = 65_536;

/// Where a handshake message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// From this address.
    Direct(SocketAddr),
    /// Through a forwarder, by a slot that we hold there: many peers share the forwarder's address, so each slot is
    /// limited for itself. Only for slots that are ours; else anyone could invent them.
    Forwarded(SocketAddr, u32),
}

impl Source {
    /// What a cookie is bound to: IP address and port, and the slot behind a forwarder.
    pub(super) fn cookie_input(&self) -> Vec<u8> {
        let (address, slot) = match self {
            Self::Direct(address) => (address, None),
            Self::Forwarded(address, slot) => (address, Some(slot)),
        };
        let mut bytes = match address.ip().to_canonical() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        bytes.extend(address.port().to_be_bytes());
        slot.into_iter().for_each(|slot| bytes.extend(slot.to_le_bytes()));
        bytes
    }
}

/// One bucket per IPv4 address, IPv6 /64 or forwarder slot.
#[derive(Default)]
pub struct RateLimiter {
    buckets: HashMap<Key, Bucket>,
    swept: Millis,
}

#[derive(PartialEq, Eq, Hash)]
enum Key {
    V4([u8; 4]),
    V6([u8; 8]),
    Slot(SocketAddr, u32),
}

struct Bucket {
    last: Millis,
    tokens: Millis,
}

impl RateLimiter {
    /// Takes a token of the source. False when it has none, or when 65,536 others are being counted.
    pub fn allow(&mut self, source: Source, now: Millis) -> bool {
        self.sweep(now);
        let key = key(source);
        let full = self.buckets.len() >= CAPACITY;
        if full && !self.buckets.contains_key(&key) {
            return false;
        }
        let bucket = self.buckets.entry(key).or_insert(Bucket { last: now, tokens: BURST_MS });
        let earned = now.saturating_sub(bucket.last);
        bucket.tokens = (bucket.tokens + earned).min(BURST_MS);
        bucket.last = now;
        let allowed = bucket.tokens >= COST_MS;
        if allowed {
            bucket.tokens -= COST_MS;
        }
        allowed
    }

    /// Forgets who has been silent for a second, once a second: such a bucket is full again.
    fn sweep(&mut self, now: Millis) {
        if now.saturating_sub(self.swept) >= IDLE_MS {
            self.swept = now;
            self.buckets.retain(|_, bucket| now.saturating_sub(bucket.last) < IDLE_MS);
        }
    }
}

fn key(source: Source) -> Key {
    match source {
        Source::Forwarded(forwarder, slot) => Key::Slot(forwarder, slot),
        Source::Direct(address) => match address.ip().to_canonical() {
            IpAddr::V4(ip) => Key::V4(ip.octets()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Key::V6([a, b, c, d, e, f, g, h])
            }
        },
    }
}
