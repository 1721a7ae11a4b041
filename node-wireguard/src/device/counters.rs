//! One buffer of 64-bit counters, shared with whoever holds the `Arc`; its address never changes.
//!
//! The device block stands first: its words are the constants of [`word`]. Behind it stand `MAX_PEERS` blocks of `PEER_WORDS`
//! (words of [`peer_word`]), then `MAX_PATHS` blocks of `PATH_WORDS` ([`path_word`]); the status tells which block belongs to
//! whom. A freed block is zeroed and used again. Bytes are UDP payload of authentic messages, forwarder's header included.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Layout version, the first word of the buffer.
pub const VERSION: u64 = 1;
pub const DEVICE_WORDS: usize = 64;
pub const PEER_WORDS: usize = 8;
pub const PATH_WORDS: usize = 8;
pub const MAX_PEERS: usize = 10_240;
pub const MAX_PATHS: usize = 32_768;
/// Where the peers' and the paths' blocks begin, in words.
pub const PEERS_AT: usize = DEVICE_WORDS;
pub const PATHS_AT: usize = PEERS_AT + MAX_PEERS * PEER_WORDS;
const WORDS: usize = PATHS_AT + MAX_PATHS * PATH_WORDS;

/// Words of the device block.
pub mod word {
    pub const VERSION: usize = 0;
    /// Inner packets sent and received, and their UDP payload.
    pub const TX_PACKETS: usize = 1;
    pub const TX_BYTES: usize = 2;
    pub const RX_PACKETS: usize = 3;
    pub const RX_BYTES: usize = 4;
    /// Outbound packets dropped: nobody has the address; more waited than may; larger than the path; refused by the kernel.
    pub const NO_PEER: usize = 8;
    pub const STAGE_FULL: usize = 9;
    pub const TOO_BIG: usize = 10;
    pub const SEND_FAILED: usize = 11;
    /// Outbound frames that make no sense.
    pub const BAD_FRAME: usize = 12;
    /// Inbound datagrams dropped: of no kind that we know; for no session; seen before; forged.
    pub const UNKNOWN_KIND: usize = 16;
    pub const UNKNOWN_SESSION: usize = 17;
    pub const REPLAYED: usize = 18;
    pub const FORGED: usize = 19;
    /// Inbound packets dropped: not from an address of the peer; no IP packet; by the filter; the interface was full.
    pub const WRONG_SOURCE: usize = 20;
    pub const BAD_PACKET: usize = 21;
    pub const FILTERED: usize = 22;
    pub const INTERFACE_FULL: usize = 23;
    /// Control messages dropped because too many waited.
    pub const QUEUE_FULL: usize = 24;
    /// STUN messages over the limit.
    pub const STUN_LIMITED: usize = 25;
    /// Datagrams that the kernel dropped at our sockets while it kept a flood away: rubbish, or for want of room.
    pub const SIEVED: usize = 26;
    /// Handshakes completed and handshake messages refused, cookies sent, probes sent and received, probes refused.
    pub const HANDSHAKES: usize = 32;
    pub const HANDSHAKES_REFUSED: usize = 33;
    pub const COOKIES_SENT: usize = 34;
    pub const PROBES_SENT: usize = 35;
    pub const PROBES_RECEIVED: usize = 36;
    pub const PROBES_REFUSED: usize = 37;
}

/// Words of a peer's block.
pub mod peer_word {
    pub const RX_BYTES: usize = 0;
    pub const TX_BYTES: usize = 1;
    pub const RX_PACKETS: usize = 2;
    pub const TX_PACKETS: usize = 3;
}

/// Words of a path's block.
pub mod path_word {
    pub const RX_BYTES: usize = 0;
    pub const TX_BYTES: usize = 1;
    pub const RX_PACKETS: usize = 2;
    pub const TX_PACKETS: usize = 3;
    /// The highest data counter of the run received last.
    pub const RX_HIGHEST: usize = 4;
    /// Smoothed round trip, microseconds; 0 while unknown.
    pub const RTT_US: usize = 5;
}

/// The shared buffer.
pub struct Counters {
    words: Box<[AtomicU64]>,
}

impl Default for Counters {
    fn default() -> Self {
        let words: Box<[AtomicU64]> = (0..WORDS).map(|_| AtomicU64::new(0)).collect();
        words[word::VERSION].store(VERSION, Relaxed);
        Self { words }
    }
}

impl Counters {
    /// All words; the pointer of this slice stays the same as long as the `Counters` live.
    pub fn words(&self) -> &[AtomicU64] {
        &self.words
    }

    /// The value of a word; 0 behind the end.
    pub fn get(&self, word: usize) -> u64 {
        self.words.get(word).map_or(0, |word| word.load(Relaxed))
    }

    pub(super) fn add(&self, word: usize, count: u64) {
        if let Some(word) = self.words.get(word) {
            word.fetch_add(count, Relaxed);
        }
    }

    pub(crate) fn set(&self, word: usize, value: u64) {
        if let Some(word) = self.words.get(word) {
            word.store(value, Relaxed);
        }
    }
}

/// Gives out blocks of the buffer.
pub struct Blocks {
    start: usize,
    words: usize,
    most: usize,
    used: usize,
    free: Vec<usize>,
}

impl Blocks {
    pub fn of_peers() -> Self {
        Self { start: PEERS_AT, words: PEER_WORDS, most: MAX_PEERS, used: 0, free: Vec::new() }
    }

    pub fn of_paths() -> Self {
        Self { start: PATHS_AT, words: PATH_WORDS, most: MAX_PATHS, used: 0, free: Vec::new() }
    }

    /// How many more there are.
    pub fn left(&self) -> usize {
        self.most - self.used + self.free.len()
    }

    /// A zeroed block, as the index of its first word.
    pub fn take(&mut self, counters: &Counters) -> Option<usize> {
        let block = match self.free.pop() {
            Some(block) => block,
            None if self.used < self.most => {
                self.used += 1;
                self.start + (self.used - 1) * self.words
            }
            None => return None,
        };
        (block..block + self.words).for_each(|word| counters.set(word, 0));
        Some(block)
    }

    pub fn give_back(&mut self, block: usize) {
        self.free.push(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_do_not_overlap_and_come_back_empty() {
        let (counters, mut blocks) = (Counters::default(), Blocks::of_paths());
        let taken: Vec<_> = (0..MAX_PATHS).filter_map(|_| blocks.take(&counters)).collect();
        assert_eq!((taken.len(), blocks.left(), blocks.take(&counters)), (MAX_PATHS, 0, None));
        assert!(taken.windows(2).all(|pair| pair[1] - pair[0] == PATH_WORDS));
        assert_eq!(taken.last().map(|last| last + PATH_WORDS), Some(counters.words().len()));
        counters.add(taken[5], 7);
        blocks.give_back(taken[5]);
        assert_eq!(blocks.take(&counters), Some(taken[5]));
        assert_eq!(counters.get(taken[5]), 0);
    }
}
