//! One message: key stream, authenticator, and what lies in memory.

use super::TAG;
use super::chacha::{BLOCK, Blocks, Stream};
use super::poly::Poly;
use std::arch::x86_64::*;
use subtle::ConstantTimeEq;

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma")]
pub fn seal(key: &[u8; 32], nonce: &[u8; 12], plain: &[u8], sealed: &mut [u8]) {
    let length = sealed.len() - TAG;
    let (text, tag) = sealed.split_at_mut(length);
    let (mut stream, mut blocks) = (Stream::new(key, nonce), Blocks::none());
    stream.next(blocks_of(length) + 1, &mut blocks);
    let poly = one_time(&blocks);
    let (mut at, mut first) = (0, 1);
    loop {
        for block in &blocks[first..] {
            let end = (at + BLOCK).min(length);
            let from = &plain[at.min(plain.len())..end.min(plain.len())];
            store(_mm512_xor_si512(load(from), *block), &mut text[at..end]);
            at = end;
        }
        if at == length {
            break;
        }
        stream.next(blocks_of(length - at), &mut blocks);
        first = 0;
    }
    tag.copy_from_slice(&poly.tag(text).to_le_bytes());
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma")]
pub fn open(key: &[u8; 32], nonce: &[u8; 12], sealed: &mut [u8]) -> bool {
    let Some((text, tag)) = sealed.split_last_chunk_mut::<TAG>() else { return false };
    let length = text.len();
    let (mut stream, mut blocks) = (Stream::new(key, nonce), Blocks::none());
    stream.next(blocks_of(length) + 1, &mut blocks);
    if !bool::from(one_time(&blocks).tag(text).ct_eq(&u128::from_le_bytes(*tag))) {
        return false;
    }
    let (mut at, mut first) = (0, 1);
    loop {
        for block in &blocks[first..] {
            let end = (at + BLOCK).min(length);
            let text = &mut text[at..end];
            store(_mm512_xor_si512(load(text), *block), text);
            at = end;
        }
        if at == length {
            return true;
        }
        stream.next(blocks_of(length - at), &mut blocks);
        first = 0;
    }
}

/// The authenticator's key is the stream's first block (RFC 8439, 2.6).
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma")]
fn one_time(blocks: &Blocks) -> Poly {
    let mut key = [0; BLOCK];
    store(blocks[0], &mut key);
    Poly::new(&key)
}

fn blocks_of(length: usize) -> usize {
    length.div_ceil(BLOCK)
}

/// At most 64 bytes, zeros behind them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub fn load(bytes: &[u8]) -> __m512i {
    // SAFETY: only bytes of the slice are read: all 64, or those that the mask names.
    unsafe {
        match bytes.len() {
            BLOCK.. => _mm512_loadu_si512(bytes.as_ptr().cast()),
            count => _mm512_maskz_loadu_epi8((1 << count) - 1, bytes.as_ptr().cast()),
        }
    }
}

/// As many bytes as `into` has, at most 64.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn store(value: __m512i, into: &mut [u8]) {
    // SAFETY: only bytes of the slice are written: all 64, or those that the mask names.
    unsafe {
        match into.len() {
            BLOCK.. => _mm512_storeu_si512(into.as_mut_ptr().cast(), value),
            count => _mm512_mask_storeu_epi8(into.as_mut_ptr().cast(), (1 << count) - 1, value),
        }
    }
}
