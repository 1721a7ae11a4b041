//! The replay window (RFC 6479; `counter_validate` of the kernel): a ring of bits that moves a word at a time.

use super::constants::REJECT_AFTER_MESSAGES;

/// Bits of the window towards our own peers: several paths reorder much. 8 KiB.
pub const WINDOW_BITS: usize = 65_536;
/// Bits of the window towards other implementations, and of probes: the kernel's own size.
pub const VANILLA_WINDOW_BITS: usize = 8_192;

/// Words of a window at first: most sessions of a large mesh carry little, and each peer has three.
const FIRST_WORDS: usize = 16;

/// Remembers which counters came. As long as counters are lower than its bits it grows with them, so that its memory
/// is the peer's to earn: a window is as large as it may be only after so many messages.
pub struct ReplayWindow {
    next: u64,      // one above the highest counter accepted
    seen: Vec<u64>, // a power of two of words; fewer than `words` only while `next` has not gone round them
    words: usize,
}

impl ReplayWindow {
    /// A window of `bits`, a power of two from 128 up. The word that is being filled is not history yet, so counters
    /// up to `bits - 64` behind the highest are told apart.
    pub fn new(bits: usize) -> Self {
        debug_assert!(bits.is_power_of_two() && bits >= 128);
        let words = bits / 64;
        Self { next: 0, seen: vec![0; words.min(FIRST_WORDS)], words }
    }

    /// Bits that it holds now.
    pub fn held(&self) -> usize {
        self.seen.len() * 64
    }

    /// Makes it at most `bits` wide, a power of two from 128 up, and gives the rest of its memory back. What is too late for
    /// the new width counts as seen; nothing else changes.
    pub fn shrink(&mut self, bits: usize) {
        debug_assert!(bits.is_power_of_two() && bits >= 128);
        self.words = self.words.min(bits / 64);
        if self.seen.len() <= self.words {
            return;
        }
        let mut seen = vec![0; self.words];
        let top = self.next.saturating_sub(1) / 64;
        for word in (top + 1).saturating_sub(self.words as u64)..=top {
            seen[word as usize & (self.words - 1)] = self.seen[self.slot(word * 64)];
        }
        self.seen = seen;
    }

    /// How far behind the highest counter a late one may be.
    pub fn width(&self) -> u64 {
        (self.words as u64 - 1) * 64
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
            self.grow(counter);
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

    /// Nothing has gone round a window that still grows, so each word stays where it is. At most seven times a session.
    fn grow(&mut self, counter: u64) {
        let wanted = (counter / 64 + 1).min(self.words as u64) as usize;
        if wanted > self.seen.len() {
            let words = wanted.next_power_of_two();
            self.seen.reserve_exact(words - self.seen.len());
            self.seen.resize(words, 0);
        }
    }

    fn slot(&self, counter: u64) -> usize {
        (counter / 64) as usize & (self.seen.len() - 1)
    }
}

fn bit(counter: u64) -> u64 {
    1 << (counter % 64)
}
