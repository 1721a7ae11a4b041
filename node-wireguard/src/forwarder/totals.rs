use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a forwarder has done for everybody together, since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TotalsStatus {
    /// Data datagrams that went on, and their bytes without our header.
    pub packets: u64,
    pub bytes: u64,
    /// Data datagrams that did not go on: no such slot, wrong source, a limit, or the way out was full.
    pub dropped: u64,
    /// Answers given to strangers.
    pub stun: u64,
    pub cookies: u64,
    pub bound: u64,
    pub refused: u64,
    /// Questions of strangers over the limit of their network.
    pub limited: u64,
    /// Datagrams that are none of ours, or malformed.
    pub ignored: u64,
}

#[derive(Default)]
pub(super) struct Totals {
    pub packets: AtomicU64,
    pub bytes: AtomicU64,
    pub dropped: AtomicU64,
    pub stun: AtomicU64,
    pub cookies: AtomicU64,
    pub bound: AtomicU64,
    pub refused: AtomicU64,
    pub limited: AtomicU64,
    pub ignored: AtomicU64,
}

impl Totals {
    pub fn status(&self) -> TotalsStatus {
        TotalsStatus {
            packets: self.packets.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            stun: self.stun.load(Relaxed),
            cookies: self.cookies.load(Relaxed),
            bound: self.bound.load(Relaxed),
            refused: self.refused.load(Relaxed),
            limited: self.limited.load(Relaxed),
            ignored: self.ignored.load(Relaxed),
        }
    }
}

/// Counts; only the forwarder's thread does, so nothing is lost.
pub(super) fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Relaxed);
}
