//! Cookies: a source shows that it receives at its address before the forwarder remembers anything about it.

use std::io;
use std::net::SocketAddr;

use super::limiter::Millis;
use super::proof::{self, Secret};
use super::wire::{Cookie, source_bytes};
use crate::crypto;

/// A secret makes cookies for two minutes, and its cookies are taken for two more.
const SECRET_LIFETIME_MS: Millis = 120_000;

/// Where new secrets come from.
pub(super) type Random = fn() -> io::Result<Secret>;

pub(super) struct CookieJar {
    random: Random,
    current: Secret,
    previous: Secret,
    since: Millis,
}

impl CookieJar {
    pub fn new(random: Random, now: Millis) -> io::Result<Self> {
        Ok(Self { random, current: random()?, previous: random()?, since: now })
    }

    pub fn make(&mut self, source: SocketAddr, now: Millis) -> Cookie {
        self.rotate(now);
        bake(&self.current, source)
    }

    pub fn accepts(&mut self, cookie: &Cookie, source: SocketAddr, now: Millis) -> bool {
        self.rotate(now);
        [self.current, self.previous]
            .iter()
            .any(|secret| proof::same(cookie, &bake(secret, source)))
    }

    fn rotate(&mut self, now: Millis) {
        let age = now.saturating_sub(self.since);
        if age < SECRET_LIFETIME_MS {
            return;
        }
        // Without random numbers the old secret is better than one that can be guessed.
        let Ok(fresh) = (self.random)() else { return };
        // After a long silence the current one is too old to stay as the previous one.
        let previous =
            if age < 2 * SECRET_LIFETIME_MS { Ok(self.current) } else { (self.random)() };
        self.previous = previous.unwrap_or(fresh);
        self.current = fresh;
        self.since = now;
    }
}

fn bake(secret: &Secret, source: SocketAddr) -> Cookie {
    crypto::mac(secret, &[b"ropewalk bind cookie", &source_bytes(source)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU8, Ordering};

    fn random() -> io::Result<Secret> {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        Ok([NEXT.fetch_add(1, Ordering::Relaxed); 32])
    }

    #[test]
    fn a_cookie_is_good_for_its_source_and_for_two_to_four_minutes() {
        let (here, there) = ("192.0.2.1:5".parse().unwrap(), "192.0.2.1:6".parse().unwrap());
        let mut jar = CookieJar::new(random, 1_000).unwrap();
        let cookie = jar.make(here, 1_000);
        assert!(jar.accepts(&cookie, here, 1_000));
        assert!(!jar.accepts(&cookie, there, 1_000));
        assert!(jar.accepts(&cookie, here, 121_500));
        assert!(!jar.accepts(&cookie, here, 241_500));
    }

    #[test]
    fn a_long_silence_makes_cookies_worthless() {
        let here = "192.0.2.1:5".parse().unwrap();
        let mut jar = CookieJar::new(random, 0).unwrap();
        let cookie = jar.make(here, 0);
        assert!(!jar.accepts(&cookie, here, 600_000));
    }
}
