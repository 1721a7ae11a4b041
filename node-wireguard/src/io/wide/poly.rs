//! The authenticator (RFC 8439, 2.5) in eight lanes: each takes every eighth block, multiplied by the eighth power of the key,
//! and the last product, by a power of its own, puts them together. Numbers are three limbs of 44, 44 and 42 bits, which leaves
//! room for carries within the 52 bits that the processor multiplies.

use super::message::load;
use std::arch::x86_64::*;

const BLOCK: usize = 16;
const LANES: usize = 8;
const CHUNK: usize = LANES * BLOCK;
/// From how many bytes on the powers for four chunks at a time are worth making.
const LONG: usize = 12 * CHUNK;
const MASK_44: u64 = (1 << 44) - 1;
const MASK_42: u64 = (1 << 42) - 1;
/// 2^128, which every full block carries in front, in the highest limb.
const FRONT: u64 = 1 << 40;
/// Which block of a chunk a lane holds after the words have been put apart.
const ORDER: [usize; LANES] = [0, 4, 1, 5, 2, 6, 3, 7];

/// A bit for each lane whose block there is, by how many blocks are missing in front.
const PRESENT: [u8; LANES] = [0xff, 0xfe, 0xfa, 0xea, 0xaa, 0xa8, 0xa0, 0x80];

type Limbs = [u64; 3];

/// One-time key: the powers of r that the lanes need, and s.
pub struct Poly {
    powers: [Limbs; LANES], // r^1 … r^8
    s: u128,
}

impl Poly {
    /// Takes the first 32 bytes.
    #[inline]
    pub fn new(key: &[u8; 64]) -> Self {
        let word = |at: usize| {
            key[at..at + 8].iter().rev().fold(0, |word: u64, byte| word << 8 | u64::from(*byte))
        };
        let (low, high) = (word(0), word(8));
        let r = [
            low & 0xffc_0fff_ffff,
            (low >> 44 | high << 20) & 0xfff_ffc0_ffff,
            (high >> 24) & 0x00f_ffff_fc0f,
        ];
        let second = multiply(r, r);
        let third = multiply(second, r);
        let fourth = multiply(second, second);
        let [a, b, c, d] = [r, second, third, fourth].map(|power| multiply(power, fourth));
        Self {
            powers: [r, second, third, fourth, a, b, c, d],
            s: u128::from(word(16)) | u128::from(word(24)) << 64,
        }
    }

    /// The tag of a text without associated data (RFC 8439, 2.8): the text, zeros up to a full block, both lengths.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512ifma")]
    pub fn tag(&self, text: &[u8]) -> u128 {
        let count = text.len().div_ceil(BLOCK) + 1;
        // Zeros in front change nothing: so blocks are counted from the end, and the first chunk may be short of some.
        let missing = (LANES - count % LANES) % LANES;
        let mut sum = [_mm512_setzero_si512(); 3];
        let (mut at, mut empty) = (0, missing);
        if count > LANES {
            let eighth = Factor::same(&self.powers[LANES - 1]);
            if missing > 0 {
                at = CHUNK - missing * BLOCK;
                sum = eighth.times(limbs(behind(missing, &text[..at]), missing));
                empty = 0;
            }
            // Several chunks share a carry. What does not wait for the sum comes first.
            let chunk = |at: usize| limbs(behind(0, &text[at..at + CHUNK]), 0);
            let sixteenth_power = multiply(self.powers[LANES - 1], self.powers[LANES - 1]);
            let sixteenth = Factor::same(&sixteenth_power);
            if text.len() - at >= LONG {
                let [third, fourth] = [self.powers[LANES - 1], sixteenth_power]
                    .map(|power| Factor::same(&multiply(sixteenth_power, power)));
                while text.len() - at >= 4 * CHUNK {
                    let back = eighth.product(chunk(at + 3 * CHUNK), Product::zero());
                    let back = sixteenth.product(chunk(at + 2 * CHUNK), back);
                    let back = third.product(chunk(at + CHUNK), back);
                    sum = carried(fourth.product(add(sum, chunk(at)), back));
                    at += 4 * CHUNK;
                }
            }
            while text.len() - at >= 2 * CHUNK {
                let back = eighth.product(chunk(at + CHUNK), Product::zero());
                sum = carried(sixteenth.product(add(sum, chunk(at)), back));
                at += 2 * CHUNK;
            }
            if text.len() - at >= CHUNK {
                sum = eighth.times(add(sum, chunk(at)));
                at += CHUNK;
            }
        }
        // The text's rest and, as the last eight bytes, its length: together a chunk, but for the empty blocks in front.
        let [front, back] = behind(empty, &text[at..]);
        let back = _mm512_mask_set1_epi64(back, 0x80, text.len() as i64);
        let last = limbs([front, back], empty);
        let lanes = Factor::each(&self.powers).times(add(sum, last));
        let sums = lanes.map(|limb| _mm512_reduce_add_epi64(limb) as u64);
        reduce(sums).wrapping_add(self.s)
    }
}

/// A chunk with a text in it behind so many empty blocks, zeros behind that.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn behind(empty: usize, text: &[u8]) -> [__m512i; 2] {
    let moved =
        |blocks: usize, text: &[u8]| _mm512_maskz_expand_epi64(0xffu8 << (2 * blocks), load(text));
    if empty < LANES / 2 {
        let (front, back) = text.split_at(text.len().min(CHUNK / 2 - empty * BLOCK));
        [moved(empty, front), load(back)]
    } else {
        [_mm512_setzero_si512(), moved(empty - LANES / 2, text)]
    }
}

/// Eight blocks as limbs; the first `empty` of them are none.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn limbs([front, back]: [__m512i; 2], empty: usize) -> [__m512i; 3] {
    let (low, high) = (_mm512_unpacklo_epi64(front, back), _mm512_unpackhi_epi64(front, back));
    let mask = _mm512_set1_epi64(MASK_44 as i64);
    let middle = _mm512_or_si512(_mm512_srli_epi64::<44>(low), _mm512_slli_epi64::<20>(high));
    let front = _mm512_maskz_set1_epi64(PRESENT[empty], FRONT as i64);
    [
        _mm512_and_si512(low, mask),
        _mm512_and_si512(middle, mask),
        _mm512_or_si512(_mm512_srli_epi64::<24>(high), front),
    ]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add(a: [__m512i; 3], b: [__m512i; 3]) -> [__m512i; 3] {
    [_mm512_add_epi64(a[0], b[0]), _mm512_add_epi64(a[1], b[1]), _mm512_add_epi64(a[2], b[2])]
}

/// What lanes are multiplied by: its limbs, and the upper two times 20, because 2^132 is 20 modulo 2^130 − 5.
struct Factor {
    r: [__m512i; 3],
    s: [__m512i; 2],
}

impl Factor {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn same(power: &Limbs) -> Self {
        Self::of(power.map(|limb| _mm512_set1_epi64(limb as i64)))
    }

    /// Each lane by the power that its block of the last chunk stands at.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn each(powers: &[Limbs; LANES]) -> Self {
        let at = |lane: usize, limb: usize| powers[LANES - 1 - ORDER[lane]][limb] as i64;
        Self::of([0, 1, 2].map(|limb| {
            let at = |lane| at(lane, limb);
            _mm512_set_epi64(at(7), at(6), at(5), at(4), at(3), at(2), at(1), at(0))
        }))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn of(r: [__m512i; 3]) -> Self {
        let twenty =
            |limb| _mm512_add_epi64(_mm512_slli_epi64::<4>(limb), _mm512_slli_epi64::<2>(limb));
        Self { r, s: [twenty(r[1]), twenty(r[2])] }
    }

    /// The products, carried.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn times(&self, h: [__m512i; 3]) -> [__m512i; 3] {
        carried(self.product(h, Product::zero()))
    }

    /// The products, added to others.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn product(&self, h: [__m512i; 3], to: Product) -> Product {
        let ([r0, r1, r2], [s1, s2]) = (self.r, self.s);
        // In the order in which `carried` gives them.
        let low = |sum, a: [__m512i; 3]| {
            let sum = _mm512_madd52lo_epu64(sum, h[2], a[2]);
            _mm512_madd52lo_epu64(_mm512_madd52lo_epu64(sum, h[0], a[0]), h[1], a[1])
        };
        let high = |sum, a: [__m512i; 3]| {
            let sum = _mm512_madd52hi_epu64(sum, h[2], a[2]);
            _mm512_madd52hi_epu64(_mm512_madd52hi_epu64(sum, h[0], a[0]), h[1], a[1])
        };
        let [a, b, c] = [[r0, s2, s1], [r1, r0, s2], [r2, r1, r0]];
        Product {
            low: [low(to.low[0], a), low(to.low[1], b), low(to.low[2], c)],
            high: [high(to.high[0], a), high(to.high[1], b), high(to.high[2], c)],
        }
    }
}

/// Sums of products: of each limb the lower 52 bits, and what is above them.
struct Product {
    low: [__m512i; 3],
    high: [__m512i; 3],
}

impl Product {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn zero() -> Self {
        Self { low: [_mm512_setzero_si512(); 3], high: [_mm512_setzero_si512(); 3] }
    }
}

/// Limbs of at most a little over 44, 44 and 42 bits. The upper halves weigh 2^52 of their limb, which is 2^8 of the next
/// one, and 2^10 times 2^130 at the end.
#[inline]
#[target_feature(enable = "avx512f")]
fn carried(Product { low, high }: Product) -> [__m512i; 3] {
    let (mask_44, mask_42) = (_mm512_set1_epi64(MASK_44 as i64), _mm512_set1_epi64(MASK_42 as i64));
    let h1 = _mm512_add_epi64(low[1], _mm512_slli_epi64::<8>(high[0]));
    let h2 = _mm512_add_epi64(low[2], _mm512_slli_epi64::<8>(high[1]));
    let h1 = _mm512_add_epi64(h1, _mm512_srli_epi64::<44>(low[0]));
    let h2 = _mm512_add_epi64(h2, _mm512_srli_epi64::<44>(h1));
    let over = _mm512_add_epi64(_mm512_srli_epi64::<42>(h2), _mm512_slli_epi64::<10>(high[2]));
    let five = _mm512_add_epi64(over, _mm512_slli_epi64::<2>(over));
    let h0 = _mm512_add_epi64(_mm512_and_si512(low[0], mask_44), five);
    let h1 = _mm512_add_epi64(_mm512_and_si512(h1, mask_44), _mm512_srli_epi64::<44>(h0));
    [_mm512_and_si512(h0, mask_44), h1, _mm512_and_si512(h2, mask_42)]
}

/// a times b, modulo 2^130 − 5 but for a carry.
#[inline]
fn multiply(a: Limbs, b: Limbs) -> Limbs {
    let wide = |x: u64, y: u64| u128::from(x) * u128::from(y);
    let (s1, s2) = (b[1] * 20, b[2] * 20);
    let low = wide(a[0], b[0]) + wide(a[1], s2) + wide(a[2], s1);
    let middle = wide(a[0], b[1]) + wide(a[1], b[0]) + wide(a[2], s2) + (low >> 44);
    let high = wide(a[0], b[2]) + wide(a[1], b[1]) + wide(a[2], b[0]) + (middle >> 44);
    let first = (low as u64 & MASK_44) + (high >> 42) as u64 * 5;
    [first & MASK_44, (middle as u64 & MASK_44) + (first >> 44), high as u64 & MASK_42]
}

/// The lanes' sum modulo 2^130 − 5, its lower 128 bits.
#[inline]
fn reduce(sums: Limbs) -> u128 {
    let [mut a, mut b, mut c] = sums;
    for _ in 0..2 {
        b += a >> 44;
        c += b >> 44;
        (a, b) = (a & MASK_44, b & MASK_44);
        a += (c >> 42) * 5;
        c &= MASK_42;
    }
    b += a >> 44;
    c += b >> 44;
    (a, b) = (a & MASK_44, b & MASK_44);
    // Minus the modulus, if it is not smaller: chosen by mask.
    let d = a + 5;
    let e = b + (d >> 44);
    let f = c + (e >> 44);
    let mask = 0u64.wrapping_sub(f >> 42);
    let pick = |other: u64, own: u64| (other & mask) | (own & !mask);
    let (a, b, c) = (pick(d & MASK_44, a), pick(e & MASK_44, b), pick(f & MASK_42, c));
    u128::from(a) | u128::from(b) << 44 | u128::from(c) << 88
}
