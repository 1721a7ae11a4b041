//! The last messages that left by a path, to leave again by another one when it falls silent. A TCP sender whose whole window
//! was lost waits for its timer, 200 ms at least; one late segment that arrives makes the other end ask for all that is
//! missing (RFC 8985).

use super::slab::PeerId;
use crate::path::Micros;

/// One of each batch is kept: the last. So 32 reach back some milliseconds beside bulk, and a tail of any flow is in it.
const KEPT: usize = 32;
/// Longer ones are not kept.
const MOST_BYTES: usize = 9_216;
/// What is older has been repeated by whoever cares.
const FRESH: Micros = 250_000;

#[derive(Clone, Copy)]
struct Tail {
    peer: PeerId,
    path: u32,
    at: Micros,
    length: usize,
}

/// Of all peers of a shard together.
pub struct Tails {
    bytes: Box<[u8]>,
    kept: [Option<Tail>; KEPT],
    next: usize,
}

impl Default for Tails {
    fn default() -> Self {
        Self { bytes: vec![0; KEPT * MOST_BYTES].into(), kept: [None; KEPT], next: 0 }
    }
}

impl Tails {
    /// Keeps the last message of a batch that left by `path`, in the place of the oldest.
    pub fn keep(&mut self, peer: PeerId, path: u32, message: &[u8], at: Micros) {
        let length = message.len();
        if length > MOST_BYTES {
            return;
        }
        let start = self.next * MOST_BYTES;
        self.bytes[start..start + length].copy_from_slice(message);
        self.kept[self.next] = Some(Tail { peer, path, at, length });
        self.next = (self.next + 1) % KEPT;
    }

    /// Gives what left for the peer lately by other paths than `path`, the oldest first, and forgets it.
    pub fn take(&mut self, peer: PeerId, path: u32, now: Micros, mut each: impl FnMut(&[u8])) {
        for place in (0..KEPT).map(|step| (self.next + step) % KEPT) {
            let ours = |tail: &Tail| tail.peer == peer && tail.path != path;
            let Some(tail) = self.kept[place].filter(ours) else { continue };
            self.kept[place] = None;
            if now.saturating_sub(tail.at) < FRESH {
                let start = place * MOST_BYTES;
                each(&self.bytes[start..start + tail.length]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::slab::Slab;
    use super::*;

    fn peer(slot: usize) -> PeerId {
        let mut slab = Slab::default();
        let ids: Vec<_> = (0..=slot).map(|_| slab.insert(|_| ())).collect();
        ids[slot]
    }

    fn taken(tails: &mut Tails, id: PeerId, path: u32, now: Micros) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        tails.take(id, path, now, |message| all.push(message.to_vec()));
        all
    }

    #[test]
    fn what_went_by_the_silent_path_comes_once_and_in_order() {
        let mut tails = Tails::default();
        tails.keep(peer(1), 1, b"first", 10);
        tails.keep(peer(2), 1, b"of another peer", 11);
        tails.keep(peer(1), 2, b"by the path that works", 12);
        tails.keep(peer(1), 1, b"last", 13);
        assert_eq!(taken(&mut tails, peer(1), 2, 20), [b"first".to_vec(), b"last".to_vec()]);
        assert!(taken(&mut tails, peer(1), 2, 21).is_empty());
    }

    #[test]
    fn only_the_newest_are_kept_and_only_for_a_while() {
        let mut tails = Tails::default();
        for number in 0..=KEPT as u8 {
            tails.keep(peer(1), 1, &[number], number as Micros);
        }
        tails.keep(peer(1), 1, &[0; MOST_BYTES + 1], 40);
        let all = taken(&mut tails, peer(1), 2, 50);
        assert_eq!(all.len(), KEPT);
        assert_eq!((&all[0][..], &all[KEPT - 1][..]), (&[1][..], &[KEPT as u8][..]));
        tails.keep(peer(1), 1, b"old", 100);
        assert!(taken(&mut tails, peer(1), 2, 100 + FRESH).is_empty());
    }
}
