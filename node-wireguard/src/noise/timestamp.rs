//! TAI64N (paper, 5.1): the greatest one seen makes a replayed initiation worthless.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970 TAI plus 2^62, then nanoseconds, both big endian: compares as bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub [u8; 12]);

/// 2^62 plus the ten seconds by which TAI led UTC in 1970, as the kernel has it.
const BASE: u64 = (1 << 62) + 10;
/// The kernel rounds down to about 1/60 s, so that a timestamp says less about the clock.
const GRAIN_NS: u32 = 1 << 24;

impl Timestamp {
    /// Length in bytes.
    pub const LENGTH: usize = 12;

    /// From the time since 1970, rounded down by up to 17 ms.
    pub fn new(since_epoch: Duration) -> Self {
        Self::exact(since_epoch.as_secs(), since_epoch.subsec_nanos() / GRAIN_NS * GRAIN_NS)
    }

    /// The wall clock now; a clock before 1970 counts as 1970.
    pub fn now() -> Self {
        Self::new(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// This one, or the one just after `last` if the clock stood still or went back since.
    pub(super) fn after(self, last: Self) -> Self {
        if self > last {
            return self;
        }
        // One number of 96 bits; it cannot run over in the life of the universe.
        let mut wide = [0; 16];
        wide[4..].copy_from_slice(&last.0);
        let next = u128::from_be_bytes(wide).wrapping_add(1).to_be_bytes();
        let mut stamp = [0; 12];
        stamp.copy_from_slice(&next[4..]);
        Self(stamp)
    }

    fn exact(seconds: u64, nanoseconds: u32) -> Self {
        let mut stamp = [0; 12];
        stamp[..8].copy_from_slice(&BASE.wrapping_add(seconds).to_be_bytes());
        stamp[8..].copy_from_slice(&nanoseconds.to_be_bytes());
        Self(stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_with_the_clock_and_rounds_down() {
        let stamp = Timestamp::new(Duration::new(1, 999_999_999));
        assert_eq!(stamp.0[..8], (BASE + 1).to_be_bytes());
        assert_eq!(stamp.0[8..], (59 * GRAIN_NS).to_be_bytes());
        assert!(Timestamp::new(Duration::from_secs(2)) > stamp);
        assert!(Timestamp::now() > stamp);
    }

    #[test]
    fn it_rises_although_the_clock_went_back() {
        let last = Timestamp::new(Duration::from_secs(100));
        let next = Timestamp::new(Duration::from_secs(50)).after(last);
        assert!(next > last && next < Timestamp::new(Duration::from_secs(101)));
        let carried = Timestamp([0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255]);
        assert_eq!(Timestamp::default().after(carried).0, [0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    }
}
