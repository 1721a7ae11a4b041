use std::collections::HashSet;

use proptest::prelude::*;

use crate::noise::constants::REJECT_AFTER_MESSAGES;
use crate::noise::{ReplayWindow, VANILLA_WINDOW_BITS, WINDOW_BITS};

/// Offers counters in turn and expects each to be taken or not.
struct Trial(ReplayWindow);

impl Trial {
    fn offer(&mut self, counter: u64, expected: bool) {
        assert_eq!(self.0.is_fresh(counter), expected, "{counter}");
        assert_eq!(self.0.commit(counter), expected, "{counter}");
    }
}

/// The kernel's own cases (`selftest/counter.c`), for both sizes.
#[test]
fn the_window_passes_the_kernels_cases() {
    for bits in [VANILLA_WINDOW_BITS, WINDOW_BITS] {
        let fresh = || Trial(ReplayWindow::new(bits));
        let width = fresh().0.width();
        let limit = width + 1;
        let mut trial = fresh();
        let cases = [
            (0, true),
            (1, true),
            (1, false),
            (9, true),
            (8, true),
            (7, true),
            (7, false),
            (limit, true),
            (limit - 1, true),
            (limit - 1, false),
            (limit - 2, true),
            (2, true),
            (2, false),
            (limit + 16, true),
            (3, false),
            (limit + 16, false),
            (limit * 4, true),
            (limit * 4 - (limit - 1), true),
            (10, false),
            (limit * 4 - limit, false),
            (limit * 4 - (limit + 1), false),
            (limit * 4 - (limit - 2), true),
            (limit * 4 + 1 - limit, false),
            (0, false),
            (REJECT_AFTER_MESSAGES, false),
            (REJECT_AFTER_MESSAGES - 1, true),
            (REJECT_AFTER_MESSAGES, false),
            (REJECT_AFTER_MESSAGES - 1, false),
            (REJECT_AFTER_MESSAGES - 2, true),
            (REJECT_AFTER_MESSAGES + 1, false),
            (REJECT_AFTER_MESSAGES + 2, false),
            (REJECT_AFTER_MESSAGES - 2, false),
            (REJECT_AFTER_MESSAGES - 3, true),
            (0, false),
            (u64::MAX, false),
        ];
        cases.into_iter().for_each(|(counter, expected)| trial.offer(counter, expected));

        let mut trial = fresh();
        (1..=width).for_each(|counter| trial.offer(counter, true));
        trial.offer(0, true);
        trial.offer(0, false);
        let mut trial = fresh();
        (2..=width + 1).for_each(|counter| trial.offer(counter, true));
        trial.offer(1, true);
        trial.offer(0, false);
        let mut trial = fresh();
        (0..=width).rev().for_each(|counter| trial.offer(counter, true));
        let mut trial = fresh();
        (1..=width + 1).rev().for_each(|counter| trial.offer(counter, true));
        trial.offer(0, false);
    }
}

proptest! {
    #[test]
    fn the_window_agrees_with_a_set(
        steps in prop::collection::vec((0u64..400, 0u64..1_000, any::<bool>()), 1..400),
        start in prop_oneof![Just(0), any::<u64>()],
    ) {
        let mut window = ReplayWindow::new(256);
        let (mut seen, mut highest) = (HashSet::new(), start.min(REJECT_AFTER_MESSAGES));
        let mut any = false;
        for (ahead, behind, far) in steps {
            let jump = if far && ahead < 20 { ahead * 1_000 } else { ahead % 8 };
            let counter = highest.saturating_add(jump).saturating_sub(behind % 300);
            let late = any && counter < highest && highest - counter > window.width();
            let expected = counter < REJECT_AFTER_MESSAGES && !late && !seen.contains(&counter);
            prop_assert_eq!(window.is_fresh(counter), expected);
            prop_assert_eq!(window.commit(counter), expected);
            if expected {
                seen.insert(counter);
                highest = if any { highest.max(counter) } else { counter };
                any = true;
            }
        }
    }
}
