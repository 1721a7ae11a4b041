//! The key stream (RFC 8439, 2.3): each vector holds one word of the state of sixteen or eight blocks. A round of one such state
//! waits for itself half of the time where vectors of 512 bits are whole (Zen 5), so two of them run side by side.

use std::arch::x86_64::*;

/// Bytes of a block of key stream.
pub const BLOCK: usize = 64;
/// Most blocks that are made at once.
const MOST: usize = 32;
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

type Sixteen = [__m512i; 16];
type Eight = [__m256i; 16];

/// Blocks of key stream in their order: the first `count` of the list.
pub struct Blocks {
    list: [__m512i; MOST],
    count: usize,
}

impl Blocks {
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn none() -> Self {
        Self { list: [_mm512_setzero_si512(); MOST], count: 0 }
    }
}

impl std::ops::Deref for Blocks {
    type Target = [__m512i];
    #[inline]
    fn deref(&self) -> &[__m512i] {
        &self.list[..self.count]
    }
}

/// The stream of one key and nonce, from block 0 on.
pub struct Stream {
    state: [u32; 16],
}

/// Twenty rounds of states side by side, four quarter rounds of each.
macro_rules! rounds {
    ($($state:ident by $by:tt),+) => {
        for _ in 0..10 {
            rounds!(@quarters [$($state $by)+] 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            rounds!(@quarters [$($state $by)+] 5, 6, 7, 4, 10, 11, 8, 9, 15, 12, 13, 14);
        }
    };
    (@quarters $states:tt $b0:literal, $b1:literal, $b2:literal, $b3:literal,
        $c0:literal, $c1:literal, $c2:literal, $c3:literal,
        $d0:literal, $d1:literal, $d2:literal, $d3:literal) => {
        rounds!(@turn 16 $states [0 $b0 $d0, 1 $b1 $d1, 2 $b2 $d2, 3 $b3 $d3]);
        rounds!(@turn 12 $states [$c0 $d0 $b0, $c1 $d1 $b1, $c2 $d2 $b2, $c3 $d3 $b3]);
        rounds!(@turn 8 $states [0 $b0 $d0, 1 $b1 $d1, 2 $b2 $d2, 3 $b3 $d3]);
        rounds!(@turn 7 $states [$c0 $d0 $b0, $c1 $d1 $b1, $c2 $d2 $b2, $c3 $d3 $b3]);
    };
    (@turn $turn:literal [$($state:ident $by:tt)+] $at:tt) => {
        $(rounds!(@add $state $by $at);)+
        $(rounds!(@rotate $turn $state $by $at);)+
    };
    (@add $v:ident ($add:ident $xor:ident $rotate:ident) [$($to:literal $from:literal $turned:literal),+]) => {
        $($v[$to] = $add($v[$to], $v[$from]);)+
    };
    (@rotate $turn:literal $v:ident ($add:ident $xor:ident $rotate:ident) [$($to:literal $from:literal $turned:literal),+]) => {
        $($v[$turned] = $rotate::<$turn>($xor($v[$turned], $v[$to]));)+
    };
}

impl Stream {
    #[inline]
    pub fn new(key: &[u8; 32], nonce: &[u8; 12]) -> Self {
        let word = |bytes: &[u8], at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let state = std::array::from_fn(|at| match at {
            0..4 => CONSTANTS[at],
            4..12 => word(key, (at - 4) * 4),
            12 => 0,
            _ => word(nonce, (at - 13) * 4),
        });
        Self { state }
    }

    /// The blocks that follow: as many as are wanted, at most 32.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub fn next(&mut self, wanted: usize, into: &mut Blocks) {
        let list = &mut into.list;
        match wanted {
            0..=8 => {
                let (start, mut v) = self.eight(0);
                rounds!(v by (_mm256_add_epi32 _mm256_xor_si256 _mm256_rol_epi32));
                put_eight(v, &start, &mut list[..8]);
            }
            9..=16 => {
                let (start, mut v) = self.sixteen(0);
                rounds!(v by (_mm512_add_epi32 _mm512_xor_si512 _mm512_rol_epi32));
                put_sixteen(v, &start, &mut list[..16]);
            }
            17..=24 => {
                let ((first, mut v), (second, mut w)) = (self.sixteen(0), self.eight(16));
                rounds!(v by (_mm512_add_epi32 _mm512_xor_si512 _mm512_rol_epi32),
                    w by (_mm256_add_epi32 _mm256_xor_si256 _mm256_rol_epi32));
                put_sixteen(v, &first, &mut list[..16]);
                put_eight(w, &second, &mut list[16..24]);
            }
            _ => {
                let ((first, mut v), (second, mut w)) = (self.sixteen(0), self.sixteen(16));
                rounds!(v by (_mm512_add_epi32 _mm512_xor_si512 _mm512_rol_epi32),
                    w by (_mm512_add_epi32 _mm512_xor_si512 _mm512_rol_epi32));
                put_sixteen(v, &first, &mut list[..16]);
                put_sixteen(w, &second, &mut list[16..]);
            }
        }
        into.count = wanted.min(MOST);
        self.state[12] = self.state[12].wrapping_add(into.count as u32);
    }

    /// The state of sixteen blocks, the first of which is so far ahead: to keep and to turn.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn sixteen(&self, ahead: u32) -> (Sixteen, Sixteen) {
        let lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
        let mut v = self.state.map(|word| _mm512_set1_epi32(word as i32));
        v[12] = _mm512_add_epi32(v[12], _mm512_add_epi32(lanes, _mm512_set1_epi32(ahead as i32)));
        (v, v)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn eight(&self, ahead: u32) -> (Eight, Eight) {
        let lanes = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
        let mut v = self.state.map(|word| _mm256_set1_epi32(word as i32));
        v[12] = _mm256_add_epi32(v[12], _mm256_add_epi32(lanes, _mm256_set1_epi32(ahead as i32)));
        (v, v)
    }
}

/// The last step of the block function, and from a vector per word to a vector per block.
#[inline]
#[target_feature(enable = "avx512f")]
fn put_sixteen(mut v: Sixteen, start: &Sixteen, out: &mut [__m512i]) {
    for (v, start) in v.iter_mut().zip(start) {
        *v = _mm512_add_epi32(*v, *start);
    }
    // Four words of four blocks (those with the same number within their lane of 128 bits) to a vector.
    let mut quads = [[_mm512_setzero_si512(); 4]; 4]; // [word / 4][block % 4]
    for (quad, v) in quads.iter_mut().zip(v.chunks_exact(4)) {
        let low = [_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpacklo_epi32(v[2], v[3])];
        let high = [_mm512_unpackhi_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[2], v[3])];
        *quad = [
            _mm512_unpacklo_epi64(low[0], low[1]),
            _mm512_unpackhi_epi64(low[0], low[1]),
            _mm512_unpacklo_epi64(high[0], high[1]),
            _mm512_unpackhi_epi64(high[0], high[1]),
        ];
    }
    for within in 0..4 {
        let [a, b, c, d] = [quads[0][within], quads[1][within], quads[2][within], quads[3][within]];
        let (ab_low, ab_high) =
            (_mm512_shuffle_i32x4::<0x44>(a, b), _mm512_shuffle_i32x4::<0xee>(a, b));
        let (cd_low, cd_high) =
            (_mm512_shuffle_i32x4::<0x44>(c, d), _mm512_shuffle_i32x4::<0xee>(c, d));
        out[within] = _mm512_shuffle_i32x4::<0x88>(ab_low, cd_low);
        out[within + 4] = _mm512_shuffle_i32x4::<0xdd>(ab_low, cd_low);
        out[within + 8] = _mm512_shuffle_i32x4::<0x88>(ab_high, cd_high);
        out[within + 12] = _mm512_shuffle_i32x4::<0xdd>(ab_high, cd_high);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn put_eight(mut v: Eight, start: &Eight, out: &mut [__m512i]) {
    for (v, start) in v.iter_mut().zip(start) {
        *v = _mm256_add_epi32(*v, *start);
    }
    let mut quads = [[_mm256_setzero_si256(); 4]; 4];
    for (quad, v) in quads.iter_mut().zip(v.chunks_exact(4)) {
        let low = [_mm256_unpacklo_epi32(v[0], v[1]), _mm256_unpacklo_epi32(v[2], v[3])];
        let high = [_mm256_unpackhi_epi32(v[0], v[1]), _mm256_unpackhi_epi32(v[2], v[3])];
        *quad = [
            _mm256_unpacklo_epi64(low[0], low[1]),
            _mm256_unpackhi_epi64(low[0], low[1]),
            _mm256_unpacklo_epi64(high[0], high[1]),
            _mm256_unpackhi_epi64(high[0], high[1]),
        ];
    }
    let join = |low, high| _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high);
    for within in 0..4 {
        let [a, b, c, d] = [quads[0][within], quads[1][within], quads[2][within], quads[3][within]];
        let low = |x, y| _mm256_permute2x128_si256::<0x20>(x, y);
        let high = |x, y| _mm256_permute2x128_si256::<0x31>(x, y);
        out[within] = join(low(a, b), low(c, d));
        out[within + 4] = join(high(a, b), high(c, d));
    }
}
