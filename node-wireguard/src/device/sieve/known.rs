//! Whom a device may hear from, as a table that fits into a program: the addresses of its peers and their forwarders, by a hash
//! of ten bits. Of IPv6 addresses only the network counts, the upper 64 bits.

use std::net::IpAddr;

const BUCKET_BITS: u32 = 10;
/// Words of 32 buckets.
pub const WORDS: usize = 1 << (BUCKET_BITS - 5);
pub const SHIFT: u32 = 32 - BUCKET_BITS;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// What addresses are multiplied by: strangers should not know who shares a bucket with whom.
    pub factors: [u32; 2],
    pub words: [u32; WORDS],
}

impl Known {
    pub fn new(random: [u32; 2]) -> Self {
        Self { factors: random.map(|factor| factor | 1), words: [0; WORDS] }
    }

    /// The same hash, and nobody known.
    pub fn emptied(&self) -> Self {
        Self { words: [0; WORDS], ..*self }
    }

    pub fn add(&mut self, address: IpAddr) {
        let bucket = self.bucket(address);
        self.words[bucket as usize / 32] |= 1 << (bucket % 32);
    }

    #[cfg(test)]
    pub fn has(&self, address: IpAddr) -> bool {
        let bucket = self.bucket(address);
        self.words[bucket as usize / 32] >> (bucket % 32) & 1 == 1
    }

    fn bucket(&self, address: IpAddr) -> u32 {
        let [first, second] = self.factors;
        let word = match address {
            IpAddr::V4(address) => u32::from(address),
            IpAddr::V6(address) => {
                let network = (u128::from(address) >> 64) as u64;
                ((network >> 32) as u32).wrapping_mul(second) ^ network as u32
            }
        };
        word.wrapping_mul(first) >> SHIFT
    }
}
