//! How large a datagram gets through a path, by padded probes. Sizes are bytes of UDP payload.

use super::Micros;
use super::wire::{FORWARD_HEADER, TAG};
use std::net::SocketAddr;

/// What WireGuard adds to an inner packet: header and tag.
pub const INNER_OVERHEAD: u16 = 16 + TAG as u16;
/// IP packet sizes that occur in the field, from what IPv6 promises to Ethernet's jumbo frames.
const LADDER: [u16; 14] =
    [1280, 1320, 1360, 1400, 1420, 1440, 1452, 1460, 1472, 1480, 1492, 1500, 4000, 9000];
const TRIES: u8 = 3;
/// How long a result holds; routes change.
const AGAIN_AFTER: Micros = 600_000_000;

/// UDP payload of an IP packet of `ip` bytes towards `remote`.
pub fn payload_of(ip: u16, remote: &SocketAddr) -> u16 {
    let v4 = match remote {
        SocketAddr::V4(_) => true,
        SocketAddr::V6(v6) => v6.ip().to_ipv4_mapped().is_some(),
    };
    ip.saturating_sub(if v4 { 28 } else { 48 })
}

/// The search on one path, for no more than is needed.
pub struct MtuSearch {
    ladder: Vec<u16>, // ascending payload sizes; the last one is what is wanted
    low: usize,       // known or taken to pass
    high: usize,      // the first that does not, or the ladder's length
    proven: bool,     // the path has answered at this size: nothing more to find out
    failed: bool,     // something did not pass: be careful
    tries: u8,
    deadline: Micros,
    next: Micros,
}

impl MtuSearch {
    /// `inner` is the largest inner packet that will ever be sent.
    pub fn new(inner: u16, remote: &SocketAddr, relayed: bool) -> Self {
        let overhead = INNER_OVERHEAD + if relayed { FORWARD_HEADER as u16 } else { 0 };
        let wanted = inner.saturating_add(overhead);
        let mut ladder: Vec<u16> = LADDER.iter().map(|&ip| payload_of(ip, remote)).collect();
        ladder.retain(|&size| size < wanted);
        ladder.push(wanted);
        let high = ladder.len();
        Self { ladder, low: 0, high, proven: false, failed: false, tries: 0, deadline: 0, next: 0 }
    }

    /// Until something fails, the best is hoped for: most paths carry it, and a kernel remembers a too-big for ten minutes.
    pub fn payload(&self) -> u16 {
        let index = if self.failed { self.low } else { self.ladder.len() - 1 };
        self.ladder.get(index).copied().unwrap_or(u16::MAX)
    }

    fn candidate(&self) -> usize {
        if self.failed { (self.low + self.high) / 2 } else { self.ladder.len() - 1 }
    }

    /// The size to probe now, if there is something to find out. `patience` is how long an answer may take.
    pub fn poll(&mut self, now: Micros, patience: u64) -> Option<u16> {
        if self.proven {
            if now < self.next {
                return None;
            }
            // What passed may not pass any more, and what did not may: from the top.
            (self.proven, self.failed, self.tries) = (false, false, 0);
            (self.low, self.high) = (0, self.ladder.len());
        }
        if self.tries > 0 && now < self.deadline {
            return None;
        }
        if self.tries == TRIES {
            self.fail(now);
        }
        if self.proven {
            return None;
        }
        self.tries += 1;
        self.deadline = now + patience;
        self.ladder.get(self.candidate()).copied()
    }

    /// When `poll` has something to do next.
    pub fn deadline(&self) -> Micros {
        if self.proven {
            self.next
        } else if self.tries > 0 {
            self.deadline
        } else {
            0
        }
    }

    fn fail(&mut self, now: Micros) {
        self.high = self.candidate();
        (self.failed, self.tries) = (true, 0);
        self.settle(now);
    }

    fn settle(&mut self, now: Micros) {
        if self.low + 1 >= self.high {
            (self.proven, self.next) = (true, now + AGAIN_AFTER);
        }
    }

    /// A probe of `size` bytes was answered.
    pub fn passed(&mut self, size: u16, now: Micros) {
        if self.proven || size < self.ladder.get(self.candidate()).copied().unwrap_or(u16::MAX) {
            return;
        }
        self.low = self.candidate();
        self.tries = 0;
        self.settle(now);
    }

    /// The kernel refused to send `size` bytes on this path: it knows the route.
    pub fn refused(&mut self, size: u16, now: Micros) {
        if !self.proven && self.ladder.get(self.candidate()) == Some(&size) && self.candidate() > 0
        {
            self.fail(now);
        }
    }

    /// Large packets seem to get lost: look again.
    pub fn doubt(&mut self) {
        if self.proven {
            self.next = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn remote(v6: bool) -> SocketAddr {
        if v6 { "[2001:db8::1]:1".parse().unwrap() } else { "192.0.2.1:1".parse().unwrap() }
    }

    /// Runs a search on a path that carries `limit` bytes; gives the result and the probes it took.
    fn run(search: &mut MtuSearch, limit: u16) -> (u16, usize) {
        let (mut now, mut probes) = (1, 0);
        while search.deadline() <= now {
            if let Some(size) = search.poll(now, 100) {
                probes += 1;
                if size <= limit {
                    search.passed(size, now);
                }
            }
            now = now.max(search.deadline().min(now + 100));
            assert!(probes < 100);
        }
        (search.payload(), probes)
    }

    #[test]
    fn a_path_that_carries_all_is_known_after_one_probe() {
        let mut search = MtuSearch::new(1408, &remote(false), false);
        assert_eq!(search.payload(), 1440);
        assert_eq!(run(&mut search, 1472), (1440, 1));
    }

    #[test]
    fn a_smaller_path_is_found_and_held_to() {
        let mut search = MtuSearch::new(1408, &remote(false), true);
        assert_eq!(run(&mut search, 1400 - 28).0, 1400 - 28);
        search.doubt();
        assert_eq!(run(&mut search, 1280 - 28).0, 1280 - 28);
    }

    #[test]
    fn a_refusal_of_the_kernel_counts_at_once() {
        let mut search = MtuSearch::new(1408, &remote(true), false);
        assert_eq!(search.poll(1, 100), Some(1440));
        search.refused(1440, 1);
        assert!(search.payload() < 1440);
    }

    proptest! {
        #[test]
        fn it_ends_and_never_says_more_than_passes(inner in 1280..9000u16, limit in 1232..9100u16, v6: bool, relayed: bool) {
            let mut search = MtuSearch::new(inner, &remote(v6), relayed);
            let limit = limit.max(payload_of(1280, &remote(v6)));
            let (found, probes) = run(&mut search, limit);
            prop_assert!(found <= limit && probes <= 3 * 5, "{} of {} in {}", found, limit, probes);
            let passes = search.ladder.iter().filter(|&&size| size <= limit).max();
            prop_assert_eq!(Some(&found), passes);
        }
    }
}
