//! What the kernel keeps away from a socket while rubbish comes in masses: a program for it. Why, and whom it may hurt, is in
//! docs/decisions/0031; the same is said in Rust by its tests, and both must agree.

mod assembler;
mod known;
mod marks;
#[cfg(test)]
mod tests;

use crate::forwarder;
use crate::io::Instruction;
use crate::noise::{TYPE_COOKIE_REPLY, TYPE_DATA, TYPE_INITIATION, TYPE_RESPONSE};
use crate::path::wire;
use crate::stun;
use assembler::{Assembler, Place};
pub use known::Known;
pub use marks::Marks;
use marks::{MARK_BITS, ROAMS, low_bits};

/// Bytes of the header that the program sees in front of the payload.
const UDP_HEADER: u32 = 8;
/// Payloads from this length on are always kept: they may be many messages that came joined, and only the first is seen.
const LONG: u32 = 2_048;
/// Of a stranger's messages that a stranger may send, one in so many is kept; a power of two.
const STRANGERS: u32 = 16;
/// Where the source address is read from, from the network header on: of IPv4, and the network of IPv6.
const IPV4_SOURCE: u32 = libc::SKF_NET_OFF as u32 + 12;
const IPV6_NETWORK: [u32; 2] = [libc::SKF_NET_OFF as u32 + 8, libc::SKF_NET_OFF as u32 + 12];
const RANDOM: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM) as u32;
const ALL: u32 = u32::MAX;

/// What is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sieve {
    pub marks: Marks,
    pub known: Known,
}

impl Sieve {
    /// For a socket of IPv6, or of IPv4.
    pub fn program(&self, v6: bool) -> Vec<Instruction> {
        let mut asm = Assembler::default();
        let [keep, drop, data, response, indexed, source] = [(); 6].map(|()| asm.place());
        asm.load_length();
        asm.if_at_least(UDP_HEADER + LONG, keep);
        asm.load(UDP_HEADER); // what has not even four bytes ends here
        asm.if_equal(word(TYPE_DATA), data);
        asm.if_equal(word(TYPE_RESPONSE), response);
        asm.if_equal(word(TYPE_COOKIE_REPLY), indexed);
        asm.if_equal(ours(wire::SESSION_PROBE), indexed);
        asm.if_equal(word(TYPE_INITIATION), source);
        for kind in STRANGE {
            asm.if_equal(ours(kind), source);
        }
        asm.load(UDP_HEADER + 4);
        asm.if_equal(stun::MAGIC, keep);
        asm.go(drop);

        asm.here(data);
        asm.load(UDP_HEADER + 4);
        let marked = self.branch_by_mark(&mut asm, drop);
        asm.here(marked);
        asm.take_up(0);
        asm.if_any_bit(ROAMS, keep, source);

        let compare = asm.place();
        asm.here(response);
        asm.load(UDP_HEADER + 8);
        asm.go(compare);
        asm.here(indexed);
        asm.load(UDP_HEADER + 4);
        asm.here(compare);
        let marked = self.branch_by_mark(&mut asm, drop);
        asm.here(marked);
        asm.go(keep);

        asm.here(source);
        self.branch_by_source(&mut asm, v6, keep);
        asm.load(RANDOM);
        asm.if_any_bit(STRANGERS - 1, drop, keep);
        asm.here(keep);
        asm.end(ALL);
        asm.here(drop);
        asm.end(0);
        asm.finish()
    }

    /// The index in A is put down; the place that is returned is gone to if it has our mark.
    fn branch_by_mark(&self, asm: &mut Assembler, otherwise: Place) -> Place {
        let marked = asm.place();
        asm.put_down(0);
        asm.shift_right(MARK_BITS);
        asm.multiply(self.marks.factor);
        asm.shift_right(32 - MARK_BITS);
        asm.move_to_x();
        asm.take_up(0);
        asm.and(low_bits(MARK_BITS));
        asm.if_equal_x(marked, otherwise);
        marked
    }

    /// Goes on if the source is not known.
    fn branch_by_source(&self, asm: &mut Assembler, v6: bool, keep: Place) {
        let [first, second] = self.known.factors;
        if v6 {
            let [upper, lower] = IPV6_NETWORK;
            asm.load(upper);
            asm.multiply(second);
            asm.move_to_x();
            asm.load(lower);
            asm.xor_x();
        } else {
            asm.load(IPV4_SOURCE);
        }
        asm.multiply(first);
        asm.shift_right(known::SHIFT);
        asm.put_down(0);
        asm.and(31);
        asm.move_to_x();
        asm.take_up(0);
        asm.shift_right(5);
        let [look, stranger] = [(); 2].map(|()| asm.place());
        load_word(asm, &self.known.words, 0, look);
        asm.here(look);
        asm.shift_right_by_x();
        asm.if_any_bit(1, keep, stranger);
        asm.here(stranger);
    }
}

/// The word whose number is in A, which is at least `first` and stands `first` before the beginning of `words`, by halving.
fn load_word(asm: &mut Assembler, words: &[u32], first: usize, then: Place) {
    if let [word] = words {
        asm.load_number(*word);
        return asm.go(then);
    }
    let (lower, upper) = words.split_at(words.len() / 2);
    let above = asm.place();
    asm.if_at_least((first + lower.len()) as u32, above);
    load_word(asm, lower, first, then);
    asm.here(above);
    load_word(asm, upper, first + lower.len(), then);
}

/// Messages of ours that come without an index of ours.
const STRANGE: [u8; 4] = [
    wire::FORWARD,
    wire::HELLO_PROBE,
    forwarder::Kind::Cookie as u8,
    forwarder::Kind::Verdict as u8,
];

/// A message's first four bytes, as the program reads them: in network order.
const fn word(kind: u32) -> u32 {
    kind.swap_bytes()
}

const fn ours(kind: u8) -> u32 {
    let [a, b, c] = wire::MAGIC;
    u32::from_be_bytes([kind, a, b, c])
}
