//! What probes tell about one path: round trip, jitter, loss, and how long it has been silent.

use super::{Micros, Traffic};
use std::collections::VecDeque;

/// Outstanding probes that are remembered; at one in 25 ms they cover 0.8 s.
const OUTSTANDING: usize = 32;
/// Fewer data messages than this say nothing about loss.
const FEW: u64 = 8;

struct Sent {
    at: Micros,
    data: u64, // messages that had been sent on the path by then
}

/// An answered probe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    pub rtt_us: u32,
    /// Share of the data messages since the last sample that did not arrive, if there were enough.
    pub data_loss: Option<f32>,
}

#[derive(Default)]
pub struct Meter {
    outstanding: VecDeque<Sent>,     // ascending by time
    answered: Option<Micros>,        // send time of the newest answered probe
    silent: Option<(Micros, usize)>, // since the oldest probe after that one, and how many; also those not remembered
    srtt: Option<u32>,
    variation: u32,
    probe_loss: f32,
    data_loss: f32,
    base: Option<Traffic>, // at the last sample: sent by us, received by the other end
}

impl Meter {
    pub fn sent(&mut self, at: Micros, data: u64) {
        if self.outstanding.len() == OUTSTANDING {
            let oldest = self.outstanding.pop_front();
            if oldest.is_some_and(|oldest| self.answered > Some(oldest.at)) {
                average(&mut self.probe_loss, 1.0, 16.0);
            }
        }
        self.outstanding.push_back(Sent { at, data });
        let (since, count) = self.silent.unwrap_or((at, 0));
        self.silent = Some((since, count + 1));
    }

    /// Takes the answer to the probe sent `at`; none if there was no such probe, or it was answered before.
    pub fn answered(
        &mut self,
        at: Micros,
        now: Micros,
        dwell: u32,
        received: Option<u64>,
    ) -> Option<Sample> {
        let index = self.outstanding.iter().position(|sent| sent.at == at)?;
        let data = self.outstanding.remove(index)?.data;
        let rtt_us = measure(at, now, dwell);
        let late = now.saturating_sub(self.suspect_after(25_000));
        // What was sent before it and is overdue is lost: the path was not silent, it dropped.
        while self.outstanding.front().is_some_and(|sent| sent.at < at.min(late)) {
            self.outstanding.pop_front();
            average(&mut self.probe_loss, 1.0, 16.0);
        }
        average(&mut self.probe_loss, 0.0, 16.0);
        if self.answered < Some(at) {
            self.answered = Some(at);
            let start = self.outstanding.partition_point(|sent| sent.at <= at);
            let oldest = self.outstanding.get(start);
            self.silent = oldest.map(|oldest| (oldest.at, self.outstanding.len() - start));
        }
        self.round_trip(rtt_us);
        Some(Sample { rtt_us, data_loss: self.arrived(data, received) })
    }

    /// A round trip proved by something else than a probe.
    pub fn round_trip(&mut self, rtt_us: u32) {
        match self.srtt {
            None => (self.srtt, self.variation) = (Some(rtt_us), rtt_us / 2),
            Some(srtt) => {
                // RFC 6298, 2.3
                let variation = (3 * self.variation as u64 + srtt.abs_diff(rtt_us) as u64) / 4;
                self.variation = variation as u32;
                self.srtt = Some(((7 * srtt as u64 + rtt_us as u64) / 8) as u32);
            }
        }
    }

    fn arrived(&mut self, sent: u64, received: Option<u64>) -> Option<f32> {
        let now = Traffic { sent, received: received? };
        let Some(base) = self.base.filter(|b| b.sent <= sent && b.received <= now.received) else {
            // The other end counts from anew, or this is the first report.
            self.base = Some(now);
            return None;
        };
        let (sent, received) = (now.sent - base.sent, now.received - base.received);
        if sent < FEW {
            return None;
        }
        self.base = Some(now);
        // Some of the received ones may have been sent after the probe: never less than no loss.
        let loss = 1.0 - (received.min(sent) as f32 / sent as f32);
        average(&mut self.data_loss, loss, 8.0);
        Some(loss)
    }

    pub fn srtt(&self) -> Option<u32> {
        self.srtt
    }

    pub fn variation(&self) -> u32 {
        self.variation
    }

    /// Share of what is lost, of probes or of data, whichever is worse.
    pub fn loss(&self) -> f32 {
        self.probe_loss.max(self.data_loss)
    }

    /// When the oldest probe left that came after the last answered one; none while the path answers.
    pub fn silent_since(&self) -> Option<(Micros, usize)> {
        self.silent
    }

    /// Forgets what is under way, so that silence is counted from now.
    pub fn forget_outstanding(&mut self) {
        self.outstanding.clear();
        self.silent = None;
    }

    /// How long a silence is normal.
    pub fn suspect_after(&self, floor: u64) -> u64 {
        let srtt = self.srtt.unwrap_or(0) as u64;
        floor.max(3 * srtt).max(srtt + 4 * self.variation as u64)
    }

    /// How long a silence may last before the path counts as dead.
    pub fn down_after(&self, floor: u64) -> u64 {
        floor.max(8 * self.srtt.unwrap_or(0) as u64).max(2 * self.suspect_after(0))
    }
}

fn measure(sent: Micros, now: Micros, dwell: u32) -> u32 {
    let passed = now.saturating_sub(sent).saturating_sub(dwell as u64);
    u32::try_from(passed.max(1)).unwrap_or(u32::MAX)
}

fn average(mean: &mut f32, sample: f32, weight: f32) {
    *mean += (sample - *mean) / weight;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_answer_sets_the_round_trip_and_later_ones_smooth_it() {
        let mut meter = Meter::default();
        meter.sent(1_000, 0);
        let sample = meter.answered(1_000, 31_000, 10_000, None);
        assert_eq!(sample, Some(Sample { rtt_us: 20_000, data_loss: None }));
        assert_eq!((meter.srtt(), meter.variation()), (Some(20_000), 10_000));
        meter.sent(50_000, 0);
        meter.answered(50_000, 78_000, 0, None);
        assert_eq!(meter.srtt(), Some(21_000));
    }

    #[test]
    fn an_answer_counts_once_and_only_to_a_probe_that_was_sent() {
        let mut meter = Meter::default();
        meter.sent(5, 0);
        assert!(meter.answered(6, 10, 0, None).is_none());
        assert!(meter.answered(5, 10, 0, None).is_some());
        assert!(meter.answered(5, 10, 0, None).is_none());
    }

    #[test]
    fn silence_starts_with_the_first_probe_after_the_last_answer() {
        let mut meter = Meter::default();
        assert_eq!(meter.silent_since(), None);
        for at in [10, 20, 30, 40] {
            meter.sent(at, 0);
        }
        meter.answered(20, 45, 0, None);
        assert_eq!(meter.silent_since(), Some((30, 2)));
        meter.answered(40, 50, 0, None);
        assert_eq!(meter.silent_since(), None, "30 was lost, but the path lives");
    }

    #[test]
    fn data_that_does_not_arrive_is_loss_even_if_every_probe_is_answered() {
        let mut meter = Meter::default();
        for (at, sent, received) in [(0, 0, 0), (1, 100, 90), (2, 200, 90), (3, 204, 90)] {
            meter.sent(at, sent);
            let loss = meter.answered(at, at + 1, 0, Some(received)).unwrap().data_loss;
            let expected = [None, Some(0.1), Some(1.0), None][at as usize];
            assert_eq!(loss.map(|l| (l * 10.0).round()), expected.map(|l: f32| l * 10.0));
        }
        assert!(meter.loss() > 0.1);
    }

    proptest! {
        #[test]
        fn nothing_that_the_other_end_says_breaks_it(steps in proptest::collection::vec(any::<(bool, u8, u64, u32, Option<u64>)>(), 0..200)) {
            let (mut meter, mut now) = (Meter::default(), 0);
            for (send, step, at, dwell, received) in steps {
                now += step as u64;
                if send { meter.sent(now, at) } else { meter.answered(at % (now + 1), now, dwell, received); }
                prop_assert!((0.0..=1.0).contains(&meter.loss()) && meter.outstanding.len() <= OUTSTANDING);
                if let Some((since, count)) = meter.silent_since() {
                    prop_assert!(since <= now && count > 0);
                }
            }
        }
    }
}
