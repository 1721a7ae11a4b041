//! How an index of ours is told from any other number by a few instructions: a part of it is made from the rest and a number that
//! only we know. It proves nothing, since indices are seen by whoever listens on the wire; it keeps blind rubbish out.

/// Bits of the index, read in network order as the kernel's programs do, that are made from those above them.
pub const MARK_BITS: u32 = 12;
/// The session is of a peer that may be heard from anywhere. It is the lowest of the bits above the mark.
pub const ROAMS: u32 = 1 << MARK_BITS;

/// The number of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    pub factor: u32,
}

impl Marks {
    pub fn new(random: u32) -> Self {
        Self { factor: random | 1 }
    }

    /// An index made of a random number; its low byte, by which shards are found, and seven bits more stay what they were.
    pub fn mark(&self, random: u32, roams: bool) -> u32 {
        let word = random.swap_bytes() & !ROAMS & !low_bits(MARK_BITS);
        let word = if roams { word | ROAMS } else { word };
        (word | self.mark_of(word)).swap_bytes()
    }

    /// Whether the index may be one of ours, as the kernel's program sees it; of others one in 4,096 may seem so.
    #[cfg(test)]
    pub fn is_marked(&self, index: u32) -> bool {
        let word = index.swap_bytes();
        word & low_bits(MARK_BITS) == self.mark_of(word)
    }

    fn mark_of(&self, word: u32) -> u32 {
        (word >> MARK_BITS).wrapping_mul(self.factor) >> (32 - MARK_BITS)
    }
}

pub const fn low_bits(count: u32) -> u32 {
    (1 << count) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_marked_is_known_and_says_whether_it_roams(factor: u32, random: u32, wide: bool) {
            let marks = Marks::new(factor);
            let index = marks.mark(random, wide);
            prop_assert!(marks.is_marked(index));
            prop_assert_eq!(index.swap_bytes() & ROAMS != 0, wide);
            prop_assert_eq!((index & 0xffff) ^ (random & 0xffff), 0, "the low bytes stay");
        }
    }

    #[test]
    fn few_others_seem_so_and_there_are_many_different() {
        let marks = Marks::new(0x9e37_79b9);
        let others = (0..1_000_000u32).map(|at| at.wrapping_mul(0x2545_f491));
        let taken = others.clone().filter(|index| marks.is_marked(*index)).count();
        assert!((150..400).contains(&taken), "{taken} of a million");
        let all = (0..1 << 16).flat_map(|low: u32| (0..8).map(move |high| low | high << 21));
        let different: std::collections::HashSet<u32> =
            all.map(|random| marks.mark(random, false)).collect();
        assert_eq!(different.len(), 1 << (32 - MARK_BITS - 1));
    }
}
