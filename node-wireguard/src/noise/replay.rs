//! The replay window (RFC 6479; `counter_validate` of the kernel): a ring of bits that moves a word at a time.

use super::constants::REJECT_AFTER_MESSAGES;

/// Bits of the window towards our own peers: several paths reorder much. 8 KiB.
pub const WINDOW_BITS: usize = 65_536;
/// Bits of the window towards other implementations, and of probes: the kernel's own size.
pub const VANILLA_WINDOW_BITS: usize = 8_192;

/// Remembers which counters came.
pub struct ReplayWindow {
    next: u64, // one above the highest counter accepted
    seen: Box<[u64]>,
}

impl ReplayWindow {
    /// A window of `bits`, a power of two from 128 up. The word that is being filled is not history yet, so counters
    /// up to `bits - 64` behind the highest are told apart.
    pub fn new(bits: usize) -> Self {
        debug_assert!(bits.is_power_of_two() && bits >= 128);
        Self { next: 0, seen: vec![0; bits / 64].into_boxed_slice() }
    }

    /// How far behind the highest counter a late one may be.
    pub fn width(&self) -> u64 {
        (self.seen.len() as u64 - 1) * 64
    }

    /// Asked before decryption, so that a copy costs no cryptography.
    pub fn is_fresh(&self, counter: u64) -> bool {
        counter < REJECT_AFTER_MESSAGES
            && (counter >= self.next
                || (self.next - 1 - counter <= self.width()
                    && self.seen[self.slot(counter)] & bit(counter) == 0))
    }

    /// Told after decryption: only an authentic message may move the window. False when the counter is not fresh.
    pub fn commit(&mut self, counter: u64) -> bool {
        if !self.is_fresh(counter) {
            return false;
        }
        if counter >= self.next {
            // At the very start "one below" wraps, and the whole ring is cleared once.
            let (old, new) = (self.next.wrapping_sub(1) / 64, counter / 64);
            for step in 0..new.wrapping_sub(old).min(self.seen.len() as u64) {
                let slot = self.slot(new.wrapping_sub(step).wrapping_mul(64));
                self.seen[slot] = 0;
            }
            self.next = counter + 1;
        }
        let slot = self.slot(counter);
        self.seen[slot] |= bit(counter);
        true
    }

    fn slot(&self, counter: u64) -> usize {
        (counter / 64) as usize & (self.seen.len() - 1)
    }
}

fn bit(counter: u64) -> u64 {
    1 << (counter % 64)
}
