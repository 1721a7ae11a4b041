//! Both ends send, their engines are stuck now and then, and the way between loses super-frames and acknowledgements one by
//! one and in bursts: what is lost comes again within seconds of the last loss.

use super::tests::{Pair, SECOND};
use crate::rootless::netstack::tcp::Micros;
use proptest::prelude::*;
use std::io::Write;
use std::net::Shutdown;

const BYTES: usize = 2 << 20;
const TICK: Micros = SECOND / 20;

fn pattern(count: usize, salt: usize) -> Vec<u8> {
    (0..count).map(|at| ((at * 31 + (at >> 8) * 17 + salt) & 0xff) as u8 | 1).collect()
}

/// One in `one_in` packets begins a burst of up to `burst` losses, for the first `rough` ticks; in
/// those, the engines do not read for `stuck` ticks of a few. The programs read each `lazy` ticks, so windows close.
fn survive(mut seed: u64, one_in: u64, burst: u64, rough: usize, stuck: usize, lazy: usize) {
    let mut pair = Pair::open();
    let mut left = 0;
    let lossy = std::rc::Rc::new(std::cell::Cell::new(true));
    let still = std::rc::Rc::clone(&lossy);
    pair.lose = Box::new(move |_| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        if left == 0 && seed.is_multiple_of(one_in) {
            left = 1 + (seed >> 20) % burst;
        }
        let lose = left > 0;
        left = left.saturating_sub(1);
        lose && still.get()
    });
    let sent = [pattern(BYTES, 3), pattern(BYTES, 5)];
    let mut written = [0; 2];
    let mut got = [Vec::new(), Vec::new()];
    let mut ended = [false; 2];
    let mut quiet = 0;
    for tick in 0.. {
        lossy.set(tick < rough);
        pair.near.stuck = tick < rough && tick % 7 < stuck;
        pair.far.stuck = tick < rough && tick % 5 < stuck;
        for (at, side) in [&mut pair.near, &mut pair.far].into_iter().enumerate() {
            if let Ok(count) = side.program.write(&sent[at][written[at]..]) {
                written[at] += count;
                if written[at] == BYTES && count > 0 {
                    side.program.shutdown(Shutdown::Write).unwrap();
                }
            }
        }
        pair.pass(TICK);
        let before = (got[0].len(), got[1].len(), ended);
        for (at, side) in [&mut pair.far, &mut pair.near].into_iter().enumerate() {
            if tick % lazy > 0 {
                continue;
            }
            let (bytes, end) = side.read_all();
            got[at].extend(bytes);
            ended[at] |= end;
        }
        if ended == [true; 2] {
            break;
        }
        let moved = before != (got[0].len(), got[1].len(), ended);
        quiet = if moved || tick < rough { 0 } else { quiet + 1 };
        assert!(
            quiet < 100,
            "five seconds without a loss and without a byte, {} {} of {BYTES}",
            got[0].len(),
            got[1].len()
        );
    }
    assert!(got == sent, "what arrived is what was sent");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_is_lost_comes_again_soon(seed in 1u64.., one_in in 2u64..40, burst in 1u64..40, rough in 1usize..200, stuck in 0usize..5, lazy in 1usize..9) {
        survive(seed, one_in, burst, rough, stuck, lazy);
    }
}

/// Found by the property above: the last acknowledgement's state, in which smoltcp takes no repetition for a loss.
#[test]
fn what_is_lost_before_the_last_acknowledgement_comes_again_soon() {
    survive(10_799_439_816_248_149_706, 35, 16, 140, 1, 1);
}
