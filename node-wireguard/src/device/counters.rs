//! One buffer of 64-bit counters, shared with whoever holds the `Arc`; its address never changes.
//!
//! Words of the device block (`DEVICE_WORDS` from 0): see the constants. Behind it stand `MAX_PEERS` blocks of `PEER_WORDS`,
//! then `MAX_PATHS` blocks of `PATH_WORDS`; the status tells which block belongs to whom. A freed block is zeroed and used again.

use std::sync::atomic::{AtomicU64, Ordering};

/// Layout version, first word of the buffer.
pub const VERSION: u64 = 1;
pub const DEVICE_WORDS: usize = 64;
pub const PEER_WORDS: usize = 8;
pub const PATH_WORDS: usize = 8;
pub const MAX_PEERS: usize = 10_240;
pub const MAX_PATHS: usize = 32_768;
pub(super) const PEERS_AT: usize = DEVICE_WORDS;
pub(super) const PATHS_AT: usize = PEERS_AT + MAX_PEERS * PEER_WORDS;
const WORDS: usize = PATHS_AT + MAX_PATHS * PATH_WORDS;

/// The shared buffer.
pub struct Counters {
    words: Box<[AtomicU64]>,
}

impl Default for Counters {
    fn default() -> Self {
        let words: Box<[AtomicU64]> = (0..WORDS).map(|_| AtomicU64::new(0)).collect();
        words[0].store(VERSION, Ordering::Relaxed);
        Self { words }
    }
}

impl Counters {
    /// All words; the pointer of this slice stays the same as long as the `Counters` live.
    pub fn words(&self) -> &[AtomicU64] {
        &self.words
    }
}
