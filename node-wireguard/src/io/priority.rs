//! When a thread that moves packets runs before ordinary programs: while it moves many and still finds time to rest. A lonely
//! packet does not need it, and is later for it, because the kernel wakes a real-time thread on another core that has to be
//! woken first. And one that never rests would keep those from working whose packets it moves.

use super::clock::thread_us;
use super::fd::check;
use std::thread::available_parallelism;

/// Microseconds between two looks.
const LOOK_EVERY: u64 = 5_000;
/// Bytes a second that begin it, and below which it ends.
const MUCH: u64 = 50_000_000;
const LITTLE: u64 = 20_000_000;
/// So many bytes of each packet do not count: small ones are better off without, because each would push aside the program
/// that sends the next one.
const SMALL: u64 = 700;
/// Microseconds of little after which it ends.
const QUIET_FOR: u64 = 20_000;
/// A thread that ran more than this share of this time in microseconds is ordinary for that time.
const RESTLESS_PERCENT: u64 = 95;
const RESTLESS_OF: u64 = 20_000;
const ORDINARY_FOR: u64 = 100_000;

/// Of the thread that asks; each has its own.
pub struct Priority {
    able: bool,
    first: bool,
    demand: Demand,
}

impl Default for Priority {
    /// Needs CAP_SYS_NICE, which is found out when it matters, and a second core: what such a thread takes must never be all
    /// that a machine has. The kernel keeps a share for ordinary programs in any case.
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, |cores| cores.get());
        Self { able: cores > 1, first: false, demand: Demand::default() }
    }
}

impl Priority {
    /// To be asked by its thread now and again: the time in microseconds, and the packets and bytes moved so far, which are only
    /// looked up when it is time to. Only what is authentic or paid for may count, or strangers could ask for it.
    pub fn weigh(&mut self, now: u64, moved: impl FnOnce() -> (u64, u64)) {
        if !self.able || now.saturating_sub(self.demand.looked) < LOOK_EVERY {
            return;
        }
        let (packets, bytes) = moved();
        let moved = bytes.saturating_sub(packets.saturating_mul(SMALL));
        let wanted = self.demand.look(now, moved, thread_us());
        if wanted != self.first {
            self.able = set_first(wanted).is_ok();
            self.first = wanted && self.able;
        }
    }

    /// Whether its thread runs before ordinary programs now.
    pub fn is_first(&self) -> bool {
        self.first
    }
}

/// Whether much is being moved, and by a thread that rests. Times are microseconds.
#[derive(Default)]
struct Demand {
    looked: u64,
    moved: u64,
    quiet: u64,
    much: bool,
    /// Time and running time at which the watch on its rest began.
    watched: (u64, u64),
    ordinary_until: u64,
}

impl Demand {
    /// `ran` is the thread's running time so far.
    fn look(&mut self, now: u64, moved: u64, ran: u64) -> bool {
        let passed = now.saturating_sub(self.looked).max(1);
        let rate = moved.saturating_sub(self.moved).saturating_mul(1_000_000) / passed;
        (self.looked, self.moved) = (now, moved);
        self.quiet = if rate < LITTLE { self.quiet.saturating_add(passed) } else { 0 };
        self.much = rate >= MUCH || (self.much && self.quiet < QUIET_FOR);
        let watched = now.saturating_sub(self.watched.0);
        if watched >= RESTLESS_OF {
            let busy = ran.saturating_sub(self.watched.1).saturating_mul(100);
            if busy >= watched.saturating_mul(RESTLESS_PERCENT) {
                self.ordinary_until = now.saturating_add(ORDINARY_FOR);
            }
            self.watched = (now, ran);
        }
        self.much && now >= self.ordinary_until
    }
}

/// `SCHED_RR` at the lowest real-time priority, or as everybody. Threads and programs started by this one are ordinary.
fn set_first(first: bool) -> std::io::Result<()> {
    let policy = if first { libc::SCHED_RR } else { libc::SCHED_OTHER };
    // SAFETY: sched_param is plain old data, and all zeros is a valid value of it.
    let mut parameter: libc::sched_param = unsafe { std::mem::zeroed() };
    parameter.sched_priority = first.into();
    // SAFETY: 0 is the calling thread, and the parameter outlives the call, which only reads it.
    let set =
        unsafe { libc::sched_setscheduler(0, policy | libc::SCHED_RESET_ON_FORK, &parameter) };
    check(set).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_first() -> bool {
        // SAFETY: 0 is the calling thread; nothing is written.
        let policy = unsafe { libc::sched_getscheduler(0) };
        policy & !libc::SCHED_RESET_ON_FORK == libc::SCHED_RR
    }

    #[test]
    fn a_thread_that_moves_much_is_put_first_where_that_is_allowed_and_its_children_are_not() {
        let tried = std::thread::spawn(|| {
            let mut priority = Priority::default();
            priority.weigh(1_000_000, || (0, 0));
            assert!(!is_first());
            priority.weigh(1_010_000, || (10_000, 5_000_000));
            assert!(!is_first(), "many, but small");
            priority.weigh(1_020_000, || (12_000, 10_000_000));
            let child = std::thread::spawn(is_first).join().unwrap();
            let (first, known) = (is_first(), priority.first);
            priority.weigh(1_050_000, || (12_000, 10_000_000));
            (first, known, child, is_first())
        });
        let (first, known, child, later) = tried.join().unwrap();
        assert_eq!(first, known);
        assert!(!child && !later);
    }

    #[test]
    fn much_begins_it_and_only_a_while_of_little_ends_it() {
        let mut demand = Demand::default();
        let mut look = |now, moved| demand.look(now, moved, 0);
        assert!(!look(1_000_000, 0));
        assert!(!look(1_005_000, 100_000), "20 MB a second");
        assert!(look(1_010_000, 400_000));
        assert!(look(1_015_000, 550_000), "30 MB a second are not much but not little");
        assert!(look(1_020_000, 550_000) && look(1_030_000, 550_000));
        assert!(!look(1_035_000, 550_000), "20 ms of nothing");
        assert!(!look(2_000_000, 20_000_000), "much in all, but of a whole second");
        assert!(look(2_005_000, 20_250_000));
        assert!(!look(3_000_000, 20_260_000));
    }

    #[test]
    fn a_thread_that_never_rests_is_ordinary_for_a_while() {
        let mut demand = Demand::default();
        let mut look = |ms: u64, percent: u64| {
            demand.look(1_000_000 + ms * 1_000, ms * 1_000_000, ms * 10 * percent)
        };
        assert!(!look(0, 0) && look(5, 90) && look(20, 94) && look(40, 94));
        let restless: Vec<bool> = (41..=70).map(|ms| look(ms, 100)).collect();
        assert!(restless[..18].iter().all(|first| *first) && !restless[29]);
        assert!(!look(159, 50) && look(181, 50), "it rests again, and 100 ms are over");
    }

    #[test]
    fn nothing_that_is_counted_breaks_it() {
        let mut demand = Demand::default();
        for (now, moved) in [(0, u64::MAX), (0, 0), (u64::MAX, u64::MAX), (5, 5)] {
            demand.look(now, moved, moved);
        }
    }
}
