//! When to send again what is not acknowledged (RFC 6298), kept outside of smoltcp.
//!
//! smoltcp's own timer goes first as a rule, but it cannot be trusted alone: it forgets that anything is in flight when it
//! fires while the frames descriptor is full, when a fast retransmission or a zero window takes its place, and once
//! doubled it stays so until a round trip is measured, which losses prevent.

use super::tcp::Micros;

/// What Linux takes at least, and a little, so that smoltcp's timer fires first.
const LEAST: Micros = 300_000;
/// Before anything is measured (RFC 6298 §2.1).
const FIRST: Micros = 1_000_000;
/// The doublings end here: a way that works again is to be noticed soon.
const MOST: Micros = 2_000_000;
const GRANULARITY: Micros = 10_000;

#[derive(Debug, Default)]
pub struct Alarm {
    smoothed: Option<Micros>,
    variation: Micros,
    /// The segment that is being timed: where it ends and when it left.
    timed: Option<(u32, Micros)>,
    /// When something was acknowledged last, or sent again, or there was nothing to wait for.
    since: Micros,
    doublings: u32,
}

impl Alarm {
    /// When it goes off, if something is unacknowledged.
    pub fn due(&self) -> Micros {
        let measured =
            self.smoothed.map(|smoothed| smoothed + (4 * self.variation).max(GRANULARITY));
        let timeout = measured.unwrap_or(FIRST).max(LEAST);
        self.since + (timeout << self.doublings).min(MOST).max(timeout)
    }

    /// Nothing is unacknowledged.
    pub fn rest(&mut self, now: Micros) {
        (self.since, self.doublings) = (now, 0);
    }

    /// New bytes up to `end` have left.
    pub fn sent(&mut self, end: u32, now: Micros) {
        self.timed.get_or_insert((end, now));
    }

    /// Something has left for the second time: its acknowledgement measures nothing (Karn).
    pub fn sent_again(&mut self) {
        self.timed = None;
    }

    /// The peer has acknowledged something new; `covers` says whether up to a place. A peer that advances is not
    /// unreachable, so the doublings end (as in Linux; RFC 6298 §5.7 waits for a measurement, which loss prevents).
    pub fn advanced(&mut self, covers: impl Fn(u32) -> bool, now: Micros) {
        self.rest(now);
        let Some((_, left)) = self.timed.filter(|(end, _)| covers(*end)) else { return };
        self.timed = None;
        let measured = now.saturating_sub(left);
        match self.smoothed {
            None => (self.smoothed, self.variation) = (Some(measured), measured / 2),
            Some(smoothed) => {
                self.variation = (3 * self.variation + smoothed.abs_diff(measured)) / 4;
                self.smoothed = Some((7 * smoothed + measured) / 8);
            }
        }
    }

    /// All is being sent again.
    pub fn went_off(&mut self, now: Micros) {
        (self.since, self.doublings, self.timed) = (now, (self.doublings + 1).min(5), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_while_nothing_is_heard_and_begins_anew_when_something_is() {
        let mut alarm = Alarm::default();
        alarm.rest(0);
        alarm.sent(100, 0);
        alarm.advanced(|_| true, 400_000);
        assert_eq!(alarm.due(), 400_000 + 400_000 + 4 * 200_000);
        let mut gaps = Vec::new();
        for _ in 0..5 {
            let (due, since) = (alarm.due(), alarm.since);
            gaps.push((due - since) / 100_000);
            alarm.went_off(due);
        }
        assert_eq!(gaps, [12, 20, 20, 20, 20]);
        let now = alarm.due();
        alarm.advanced(|_| false, now);
        assert_eq!(alarm.due() - now, 1_200_000);
    }

    #[test]
    fn what_was_sent_twice_measures_nothing() {
        let mut alarm = Alarm::default();
        alarm.sent(100, 0);
        alarm.sent_again();
        alarm.advanced(|_| true, 5_000_000);
        assert_eq!(alarm.due(), 5_000_000 + FIRST);
    }
}
