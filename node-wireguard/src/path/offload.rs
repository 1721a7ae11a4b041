//! Whether batches leave by one path in one segmented call. Kernels and network cards in the field lose such batches, or spoil
//! them, while single datagrams get through: then probes are answered and data is gone. So where data is lost, datagrams are
//! sent singly for a trial; if that mends it, batches once more; if it is back then, they are to blame for a while. Without the
//! second look a moment in which the other end's buffer was full would cost a minute at a quarter of the speed.

use super::Micros;

/// Losing more than this of the data begins a trial, less than that ends it well.
const LOST: f32 = 0.5;
const MENDED: f32 = 0.1;
/// Reports that still speak of what left before the trial, and how many are waited for in all.
const STALE: u32 = 1;
const PATIENCE: u32 = 8;
/// How long offload stays off, at first and at most; each relapse doubles it.
const OFF_FOR: (Micros, Micros) = (60_000_000, 3_600_000_000);
/// No second trial so soon after one that did not help: the loss has another cause.
const NO_TRIAL_FOR: Micros = 10_000_000;
/// Going well this long, what was before does not count.
const FORGIVEN_AFTER: Micros = 600_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    On {
        since: Micros,
        no_trial_until: Micros,
    },
    /// Singly, to see whether that helps; how many reports have been heard.
    Trial {
        reports: u32,
    },
    /// In batches again, to see whether it was they.
    Check {
        reports: u32,
    },
    Off {
        until: Micros,
    },
}

/// One path's state.
#[derive(Debug)]
pub struct Offload {
    state: State,
    wait: Micros,
    news: Option<bool>,
}

impl Default for Offload {
    fn default() -> Self {
        Self { state: State::On { since: 0, no_trial_until: 0 }, wait: OFF_FOR.0, news: None }
    }
}

impl Offload {
    /// Whether datagrams go one by one.
    pub fn singly(&self) -> bool {
        matches!(self.state, State::Trial { .. } | State::Off { .. })
    }

    /// Takes the share of data that was lost since the last report.
    pub fn report(&mut self, loss: f32, now: Micros) {
        match self.state {
            State::On { since, no_trial_until } if loss > LOST && now >= no_trial_until => {
                if now.saturating_sub(since) > FORGIVEN_AFTER {
                    self.wait = OFF_FOR.0;
                }
                self.state = State::Trial { reports: 0 };
            }
            State::Trial { reports } if reports >= STALE && loss < MENDED => {
                self.state = State::Check { reports: 0 };
            }
            State::Check { reports } if reports >= STALE && loss > LOST => {
                self.state = State::Off { until: now + self.wait };
                self.wait = (2 * self.wait).min(OFF_FOR.1);
                self.news = Some(false);
            }
            State::Check { reports } if reports > STALE && loss < MENDED => self.acquit(now),
            State::Trial { reports } | State::Check { reports } if reports >= PATIENCE => {
                self.acquit(now);
            }
            State::Trial { reports } => self.state = State::Trial { reports: reports + 1 },
            State::Check { reports } => self.state = State::Check { reports: reports + 1 },
            State::On { .. } | State::Off { .. } => {}
        }
    }

    /// The loss has another cause.
    fn acquit(&mut self, now: Micros) {
        self.state = State::On { since: now, no_trial_until: now + NO_TRIAL_FOR };
    }

    /// Tries offload again when its time has come.
    pub fn age(&mut self, now: Micros) {
        if let State::Off { until } = self.state
            && now >= until
        {
            self.state = State::On { since: now, no_trial_until: 0 };
            self.news = Some(true);
        }
    }

    /// Whether it has been switched on or off for good since the last call.
    pub fn news(&mut self) -> Option<bool> {
        self.news.take()
    }

    pub fn deadline(&self) -> Micros {
        match self.state {
            State::Off { until } => until,
            _ => Micros::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: Micros = 1_000_000;

    #[test]
    fn it_is_switched_off_when_that_helps_and_tried_again_later() {
        let mut offload = Offload::default();
        offload.report(0.4, S);
        assert!(!offload.singly());
        offload.report(1.0, S);
        assert!(offload.singly() && offload.news().is_none(), "a trial is not news");
        offload.report(0.0, S);
        assert_eq!(offload.news(), None, "what was reported may have left before");
        offload.report(0.05, 2 * S);
        assert_eq!((offload.singly(), offload.news()), (false, None), "batches once more");
        offload.report(0.0, 2 * S);
        offload.report(0.9, 2 * S);
        assert_eq!((offload.singly(), offload.news()), (true, Some(false)));
        offload.age(61 * S);
        assert!(offload.singly());
        offload.age(62 * S);
        assert_eq!((offload.singly(), offload.news(), offload.news()), (false, Some(true), None));
        for at in 63..=67 {
            offload.report(if at == 63 || at == 67 { 0.9 } else { 0.0 }, at * S);
        }
        assert_eq!((offload.news(), offload.deadline()), (Some(false), 67 * S + 120 * S));
    }

    #[test]
    fn a_moment_of_loss_does_not_end_it() {
        let mut offload = Offload::default();
        for loss in [0.9, 0.9, 0.0, 0.0, 0.0, 0.0] {
            offload.report(loss, S);
        }
        assert!(!offload.singly() && offload.news().is_none() && offload.deadline() == Micros::MAX);
        offload.report(0.9, 2 * S);
        assert!(!offload.singly(), "not tried again at once");
    }

    #[test]
    fn loss_that_has_another_cause_is_not_blamed_on_it() {
        let mut offload = Offload::default();
        for _ in 0..=PATIENCE + 1 {
            offload.report(0.8, S);
        }
        assert!(!offload.singly() && offload.news().is_none());
        offload.report(0.8, 2 * S);
        assert!(!offload.singly(), "not tried again at once");
        offload.report(0.8, 12 * S);
        assert!(offload.singly());
    }

    proptest! {
        #[test]
        fn whatever_is_reported_it_is_tried_again_within_the_longest_time(
            reports in proptest::collection::vec((0.0f32..=1.0, 0u64..100 * S), 0..200),
        ) {
            let (mut offload, mut now) = (Offload::default(), 0);
            for (loss, step) in reports {
                now += step;
                offload.age(now);
                offload.report(loss, now);
                prop_assert!(offload.deadline() == Micros::MAX || offload.deadline() <= now + OFF_FOR.1);
            }
        }
    }
}
