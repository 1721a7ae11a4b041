//! The key stream, sixteen or eight blocks at a time: each vector holds one word of the state of every block (RFC 8439, 2.3).

use std::arch::x86_64::*;

/// Bytes of a block of key stream.
pub const BLOCK: usize = 64;
const MOST: usize = 16;
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// Blocks of key stream in their order.
pub struct Blocks {
    pub list: [__m512i; MOST],
    pub count: usize,
}

/// The stream of one key and nonce, from block 0 on.
pub struct Stream {
    state: [u32; 16],
}

/// Twenty rounds, four quarter rounds side by side.
macro_rules! rounds {
    ($v:ident, $add:ident, $xor:ident, $rotate:ident) => {
        for _ in 0..10 {
            rounds!($v, $add, $xor, $rotate, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            rounds!($v, $add, $xor, $rotate, 5, 6, 7, 4, 10, 11, 8, 9, 15, 12, 13, 14);
        }
    };
    ($v:ident, $add:ident, $xor:ident, $rotate:ident, $($at:literal),+) => {
        let [b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3] = [$($at),+];
        rounds!($v, $add, $xor, $rotate, 16, [0, b0, d0], [1, b1, d1], [2, b2, d2], [3, b3, d3]);
        rounds!($v, $add, $xor, $rotate, 12, [c0, d0, b0], [c1, d1, b1], [c2, d2, b2], [c3, d3, b3]);
        rounds!($v, $add, $xor, $rotate, 8, [0, b0, d0], [1, b1, d1], [2, b2, d2], [3, b3, d3]);
        rounds!($v, $add, $xor, $rotate, 7, [c0, d0, b0], [c1, d1, b1], [c2, d2, b2], [c3, d3, b3]);
    };
    ($v:ident, $add:ident, $xor:ident, $rotate:ident, $by:literal, $([$to:expr, $from:expr, $turned:expr]),+) => {
        $($v[$to] = $add($v[$to], $v[$from]);)+
        $($v[$turned] = $rotate::<$by>($xor($v[$turned], $v[$to]));)+
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

    /// The blocks that follow: as many as are wanted, at most sixteen. What lies behind them in the list is unused.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub fn next(&mut self, wanted: usize) -> Blocks {
        let list = if wanted > 8 { self.sixteen() } else { self.eight() };
        let count = wanted.min(MOST);
        self.state[12] = self.state[12].wrapping_add(count as u32);
        Blocks { list, count }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn sixteen(&self) -> [__m512i; MOST] {
        let lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
        let word = |at: usize| _mm512_set1_epi32(self.state[at] as i32);
        let counters = _mm512_add_epi32(word(12), lanes);
        let mut v: [__m512i; 16] = [_mm512_setzero_si512(); 16];
        for (at, v) in v.iter_mut().enumerate() {
            *v = if at == 12 { counters } else { word(at) };
        }
        rounds!(v, _mm512_add_epi32, _mm512_xor_si512, _mm512_rol_epi32);
        for (at, v) in v.iter_mut().enumerate() {
            *v = _mm512_add_epi32(*v, if at == 12 { counters } else { word(at) });
        }
        transpose_sixteen(&v)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn eight(&self) -> [__m512i; MOST] {
        let lanes = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
        let word = |at: usize| _mm256_set1_epi32(self.state[at] as i32);
        let counters = _mm256_add_epi32(word(12), lanes);
        let mut v: [__m256i; 16] = [_mm256_setzero_si256(); 16];
        for (at, v) in v.iter_mut().enumerate() {
            *v = if at == 12 { counters } else { word(at) };
        }
        rounds!(v, _mm256_add_epi32, _mm256_xor_si256, _mm256_rol_epi32);
        for (at, v) in v.iter_mut().enumerate() {
            *v = _mm256_add_epi32(*v, if at == 12 { counters } else { word(at) });
        }
        transpose_eight(&v)
    }
}

/// From a vector per word to a vector per block.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_sixteen(v: &[__m512i; 16]) -> [__m512i; 16] {
    let zero = _mm512_setzero_si512();
    // Four words of four blocks (those with the same number within their lane of 128 bits) to a vector.
    let mut quads = [[zero; 4]; 4]; // [word / 4][block % 4]
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
    let mut out = [zero; 16];
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
    out
}

/// The same for eight blocks: the first eight of the result.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn transpose_eight(v: &[__m256i; 16]) -> [__m512i; 16] {
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
    let mut out = [_mm512_setzero_si512(); 16];
    for within in 0..4 {
        let [a, b, c, d] = [quads[0][within], quads[1][within], quads[2][within], quads[3][within]];
        let low = |x, y| _mm256_permute2x128_si256::<0x20>(x, y);
        let high = |x, y| _mm256_permute2x128_si256::<0x31>(x, y);
        out[within] = join(low(a, b), low(c, d));
        out[within + 4] = join(high(a, b), high(c, d));
    }
    out
}
