//! Which handshake messages get as far as the control thread. A flood of them must cost little more than receiving it, and
//! must not take the place of those who mean it.

use crate::forwarder::{Bucket, Limiter, Rate};
use crate::noise::{Kind, Local, Millis, check_mac1};
use std::net::SocketAddr;
use std::sync::Arc;

/// What one network may ask for while we are under load and be preferred to those who ask for more; as much as the kernel lets
/// one ask for that has proven its address (`ratelimiter.c`).
const MODEST: Rate = Rate { per_second: 20, burst: 5 };
/// Messages of the modest, all together. Each costs some microseconds: a MAC, a cookie, a datagram.
const MODEST_IN_ALL: Rate = Rate { per_second: 8_000, burst: 8_000 };
/// Messages of all others. Forged addresses are many networks, and a network may be many members behind one forwarder.
const REST: Rate = Rate { per_second: 4_000, burst: 4_000 };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Enter,
    /// Its first MAC is not one for our key.
    Wrong,
    /// More than may pass.
    TooMany,
}

/// Of fixed size, whatever comes.
pub struct Gate {
    local: Arc<Local>,
    networks: Limiter,
    modest: Bucket,
    rest: Bucket,
}

impl Gate {
    pub fn new(local: Arc<Local>, now: Millis) -> Self {
        Self {
            local,
            networks: Limiter::new(MODEST, now),
            modest: Bucket::full(MODEST_IN_ALL, now),
            rest: Bucket::full(REST, now),
        }
    }

    /// Messages are for this key pair from now on.
    pub fn set_local(&mut self, local: Arc<Local>) {
        self.local = local;
    }

    /// Judges a message of types 1 to 3. A cookie has no MAC that we could check here, so those are always limited.
    pub fn judge(
        &mut self,
        message: &[u8],
        from: SocketAddr,
        loaded: bool,
        now: Millis,
    ) -> Verdict {
        let cookie = matches!(Kind::of(message), Some(Kind::CookieReply { .. }));
        let limited = loaded || cookie;
        // Before the MAC, which costs more.
        if limited && !self.has_room(from, now) {
            return Verdict::TooMany;
        }
        if !cookie && !check_mac1(&self.local, message) {
            return Verdict::Wrong;
        }
        if limited && !self.take(from, now) { Verdict::TooMany } else { Verdict::Enter }
    }

    fn has_room(&self, from: SocketAddr, now: Millis) -> bool {
        let (mut modest, mut rest) = (self.modest, self.rest);
        rest.take(REST, now)
            || (self.networks.would_admit(from, now) && modest.take(MODEST_IN_ALL, now))
    }

    fn take(&mut self, from: SocketAddr, now: Millis) -> bool {
        (self.networks.admits(from, now) && self.modest.take(MODEST_IN_ALL, now))
            || self.rest.take(REST, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{Protocol, ProtocolOptions, PublicKey, Timestamp};

    fn gate_and_message() -> (Gate, Vec<u8>) {
        let local = Arc::new(Local::new([1; 32]));
        let options = ProtocolOptions {
            remote: PublicKey(*local.public().as_bytes()),
            preshared_key: [0; 32],
            keepalive_seconds: 0,
            vanilla: false,
        };
        let mut peer = Protocol::new(Arc::new(Local::new([2; 32])), options, 0).unwrap();
        let message = peer.initiate(10_000, Timestamp::now(), 7).unwrap();
        (Gate::new(local, 0), message.to_vec())
    }

    fn passed(gate: &mut Gate, message: &[u8], from: impl Fn(u32) -> SocketAddr, now: u64) -> u32 {
        let passes = |nth: &u32| gate.judge(message, from(*nth), true, now) == Verdict::Enter;
        (0..200_000).filter(passes).count() as u32
    }

    fn host(number: u32) -> SocketAddr {
        (std::net::Ipv4Addr::from(number), 1).into()
    }

    #[test]
    fn without_load_all_pass_whose_first_mac_is_right() {
        let (mut gate, mut message) = gate_and_message();
        let mut judge = |message: &[u8]| gate.judge(message, host(1), false, 0);
        assert!((0..50_000).all(|_| judge(&message) == Verdict::Enter));
        message[20] ^= 1;
        assert_eq!(judge(&message), Verdict::Wrong);
        let cookie = [&[3, 0, 0, 0][..], &[0; 60]].concat();
        let cookies = (0..50_000).filter(|_| judge(&cookie) == Verdict::Enter).count();
        assert_eq!(cookies as u32, REST.burst + MODEST.burst, "they are limited at any time");
    }

    #[test]
    fn under_load_it_is_bounded_and_who_asks_little_is_preferred() {
        let (mut gate, message) = gate_and_message();
        let burst = MODEST_IN_ALL.burst + REST.burst;
        assert_eq!(passed(&mut gate, &message, host, 0), burst, "each from an address of its own");
        let second = MODEST_IN_ALL.per_second + REST.per_second;
        assert_eq!(passed(&mut gate, &message, host, 1_000), second);
        let few = |nth: u32| host(nth % 100);
        let passed = passed(&mut gate, &message, few, 2_000);
        let all = 100 * MODEST.burst + REST.per_second;
        // Some may share a place in the limiter's table, which is stirred anew each time.
        assert!((all - 10 * MODEST.burst..=all).contains(&passed), "{passed} of {all}");
        assert_eq!(gate.judge(&message, few(3), true, 2_000), Verdict::TooMany);
        assert_eq!(gate.judge(&message, host(9_999_999), true, 2_000), Verdict::Enter);
    }

    #[test]
    fn rubbish_with_a_wrong_mac_uses_nothing_up() {
        let (mut gate, message) = gate_and_message();
        let mut wrong = message.clone();
        wrong[20] ^= 1;
        assert_eq!(passed(&mut gate, &wrong, |_| host(1), 0), 0);
        assert_eq!(passed(&mut gate, &message, |_| host(1), 0), MODEST.burst + REST.burst);
    }
}
