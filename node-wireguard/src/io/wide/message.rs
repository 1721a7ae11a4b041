//! One message: key stream, authenticator, and what lies in memory.

use super::TAG;
use super::chacha::{BLOCK, Blocks, Stream};
use super::poly::Poly;
use std::arch::x86_64::*;
use subtle::ConstantTimeEq;

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma")]
pub fn seal(key: &[u8; 32], nonce: &[u8; 12], mut plain: &[u8], sealed: &mut [u8]) {
    let Some((text, tag)) = sealed.split_last_chunk_mut::<TAG>() else { return };
    let (mut stream, mut blocks) = (Stream::new(key, nonce), Blocks::none());
    stream.next(blocks_of(text.len()) + 1, &mut blocks);
    let poly = one_time(&blocks);
    let (mut rest, mut ready) = (&mut *text, &blocks[1..]);
    loop {
        let (now, later) = rest.split_at_mut(rest.len().min(ready.len() * BLOCK));
        let (from, behind) = plain.split_at(plain.len().min(now.len()));
        let (from, mut part) = from.as_chunks();
        let (to, padded) = now.split_at_mut(from.len() * BLOCK);
        let (whole, last) = ready.split_at(from.len());
        for ((to, from), block) in to.as_chunks_mut().0.iter_mut().zip(from).zip(whole) {
            store_block(_mm512_xor_si512(load_block(from), *block), to);
        }
        for (to, block) in padded.chunks_mut(BLOCK).zip(last) {
            store(_mm512_xor_si512(load(part), *block), to);
            part = &[];
        }
        (rest, plain) = (later, behind);
        if rest.is_empty() {
            break;
        }
        stream.next(blocks_of(rest.len()), &mut blocks);
        ready = &blocks;
    }
    *tag = poly.tag(text).to_le_bytes();
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma")]
pub fn open(key: &[u8; 32], nonce: &[u8; 12], sealed: &mut [u8]) -> bool {
    let Some((text, tag)) = sealed.split_last_chunk_mut::<TAG>() else { return false };
    let (mut stream, mut blocks) = (Stream::new(key, nonce), Blocks::none());
    stream.next(blocks_of(text.len()) + 1, &mut blocks);
    if !bool::from(one_time(&blocks).tag(text).ct_eq(&u128::from_le_bytes(*tag))) {
        return false;
    }
    let (mut rest, mut ready) = (text, &blocks[1..]);
    loop {
        let (now, later) = rest.split_at_mut(rest.len().min(ready.len() * BLOCK));
        let (whole, part) = now.as_chunks_mut();
        let (whole_blocks, last) = ready.split_at(whole.len());
        for (text, block) in whole.iter_mut().zip(whole_blocks) {
            store_block(_mm512_xor_si512(load_block(text), *block), text);
        }
        if let Some(block) = last.first() {
            store(_mm512_xor_si512(load(part), *block), part);
        }
        rest = later;
        if rest.is_empty() {
            return true;
        }
        stream.next(blocks_of(rest.len()), &mut blocks);
        ready = &blocks;
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

#[inline]
#[target_feature(enable = "avx512f")]
fn load_block(bytes: &[u8; BLOCK]) -> __m512i {
    // SAFETY: a vector is as long as the block.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_block(value: __m512i, into: &mut [u8; BLOCK]) {
    // SAFETY: a vector is as long as the block.
    unsafe { _mm512_storeu_si512(into.as_mut_ptr().cast(), value) }
}

/// At most 64 bytes, zeros behind them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub fn load(bytes: &[u8]) -> __m512i {
    if let Some(block) = bytes.first_chunk() {
        return load_block(block);
    }
    // SAFETY: only the bytes that the mask names are read, and those are the slice's.
    unsafe { _mm512_maskz_loadu_epi8((1 << bytes.len()) - 1, bytes.as_ptr().cast()) }
}

/// As many bytes as `into` has, at most 64.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn store(value: __m512i, into: &mut [u8]) {
    if let Some(block) = into.first_chunk_mut() {
        return store_block(value, block);
    }
    // SAFETY: only the bytes that the mask names are written, and those are the slice's.
    unsafe { _mm512_mask_storeu_epi8(into.as_mut_ptr().cast(), (1 << into.len()) - 1, value) }
}
