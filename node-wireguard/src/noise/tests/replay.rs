use std::collections::HashSet;

use proptest::prelude::*;

use super::end::Link;
use crate::noise::constants::{REJECT_AFTER_MESSAGES, REKEY_AFTER_MS};
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
        bits in prop::sample::select(vec![256, VANILLA_WINDOW_BITS]), // whole at once, and growing
        shrinks in prop::collection::vec((0usize..400, 7u32..14), 0..4), // at which step, to a power of two
    ) {
        let mut window = ReplayWindow::new(bits);
        let (mut seen, mut highest) = (HashSet::new(), start.min(REJECT_AFTER_MESSAGES));
        let mut any = false;
        for (step, (ahead, behind, far)) in steps.into_iter().enumerate() {
            for (_, bits) in shrinks.iter().filter(|(at, _)| *at == step) {
                let before = window.width();
                window.shrink(1 << bits);
                prop_assert_eq!(window.width(), before.min((1 << bits) - 64));
                prop_assert!(window.held() <= 1 << bits);
            }
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

#[test]
fn a_shrunk_window_takes_late_ones_within_its_width_once_and_no_others() {
    let mut trial = Trial(ReplayWindow::new(WINDOW_BITS));
    // every third came
    (0..200_000).filter(|counter| counter % 3 == 0).for_each(|counter| trial.offer(counter, true));
    assert_eq!(trial.0.held(), WINDOW_BITS);
    trial.0.shrink(8_192);
    assert_eq!((trial.0.held(), trial.0.width()), (8_192, 8_128));
    let highest = 199_998;
    for counter in highest - 10_000..=highest {
        trial.offer(counter, counter % 3 != 0 && highest - counter <= 8_128);
    }
    trial.0.shrink(WINDOW_BITS);
    assert_eq!(trial.0.width(), 8_128, "it does not grow again");
    trial.offer(highest + 100_000, true);
    trial.offer(highest, false);
}

/// Both sessions that a peer receives by, each after more messages than a window has bits.
#[test]
fn the_window_of_a_new_session_grows_at_the_cost_of_the_one_before() {
    let mut link = Link::established();
    let old = link.b.protocol.session().slots.current().unwrap();
    link.a.protocol.session().sending(link.now).unwrap().next_counters(WINDOW_BITS as u64);
    let late: Vec<_> = (0..3).map(|_| link.a.send(&[9; 16], link.now)).collect();
    link.send_a(&[2; 16]);
    assert_eq!(old.replay().held(), WINDOW_BITS);
    link.run_until(link.now + REKEY_AFTER_MS);
    link.send_a(&[3; 16]);
    let new = link.b.protocol.session().slots.current().unwrap();
    assert!(!std::sync::Arc::ptr_eq(&old, &new));

    let mut most = 0;
    for step in 0..80 {
        link.a.protocol.session().sending(link.now).unwrap().next_counters(1_000);
        link.send_a(&[4; 16]);
        most = most.max(old.replay().held() + new.replay().held());
        if step == 8 {
            assert_eq!(old.replay().held(), WINDOW_BITS / 2, "it still takes what is very late");
        }
    }
    assert_eq!((old.replay().held(), new.replay().held()), (WINDOW_BITS / 8, WINDOW_BITS));
    assert!(most <= WINDOW_BITS + WINDOW_BITS / 8, "{most} bits at once");
    let got = link.b.got.len();
    for _ in 0..2 {
        late.iter().flatten().for_each(|message| drop(link.b.receive(message, link.now)));
    }
    assert_eq!(link.b.got.len(), got + 3, "the late ones of the old session, once each");
}
