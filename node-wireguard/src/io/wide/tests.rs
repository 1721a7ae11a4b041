//! Against two other implementations, on every length that occurs.

use super::Wide;
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use proptest::prelude::*;
use ring::aead;

fn by_ring(key: &[u8; 32], nonce: &[u8; 12], padded: &[u8]) -> Vec<u8> {
    let key = aead::UnboundKey::new(&aead::CHACHA20_POLY1305, key).unwrap();
    let mut text = padded.to_vec();
    let nonce = aead::Nonce::assume_unique_for_key(*nonce);
    aead::LessSafeKey::new(key)
        .seal_in_place_append_tag(nonce, aead::Aad::empty(), &mut text)
        .unwrap();
    text
}

fn by_rust_crypto(key: &[u8; 32], nonce: &[u8; 12], padded: &[u8]) -> Vec<u8> {
    let mut text = padded.to_vec();
    let cipher = ChaCha20Poly1305::new(key.into());
    let tag = cipher.encrypt_inout_detached(nonce.into(), &[], text.as_mut_slice().into());
    text.extend_from_slice(&tag.unwrap());
    text
}

fn check(wide: Wide, key: &[u8; 32], nonce: &[u8; 12], plain: &[u8], padding: usize) {
    let mut padded = plain.to_vec();
    padded.resize(plain.len() + padding, 0);
    let mut sealed = vec![0xa5; padded.len() + 16];
    wide.seal(key, nonce, plain, &mut sealed);
    assert!(sealed == by_ring(key, nonce, &padded), "{} + {padding} bytes", plain.len());
    let mut opened = sealed.clone();
    assert!(wide.open(key, nonce, &mut opened));
    assert!(opened[..padded.len()] == padded);
}

/// Without the instructions there is nothing to test; the rest of the suite runs on what is used instead.
fn wide() -> Option<Wide> {
    let wide = Wide::detect();
    if wide.is_none() {
        eprintln!("skipped: this processor has no AVX-512 with IFMA");
    }
    wide
}

#[test]
fn it_seals_and_opens_as_others_do_at_every_length() {
    let Some(wide) = wide() else { return };
    let key = std::array::from_fn(|at| at as u8 * 7 + 1);
    let plain: Vec<u8> = (0..2_100u32).map(|at| ((at * at) >> 3) as u8).collect();
    for length in 0..plain.len() {
        let nonce = std::array::from_fn(|at| (length >> at) as u8);
        check(wide, &key, &nonce, &plain[..length], 0);
        check(wide, &key, &nonce, &plain[..length], (16 - length % 16) % 16);
    }
    assert_eq!(by_ring(&key, &[1; 12], &plain), by_rust_crypto(&key, &[1; 12], &plain));
}

/// Sums that come close to the modulus show what is left of carries.
#[test]
fn texts_of_extreme_bits_are_authenticated_alike() {
    let Some(wide) = wide() else { return };
    for fill in [0x00, 0xff, 0x80, 0x7f, 0x01] {
        for length in [16, 127, 128, 129, 1_024, 1_424, 8_900, 65_000] {
            let sealed = vec![fill; length];
            for key in [[0; 32], [0xff; 32], [fill; 32]] {
                // What is authenticated is the sealed text: choose it, and let the plain text be what it is.
                let stream = {
                    let mut zeros = vec![0; length + 16];
                    wide.seal(&key, &[fill; 12], &vec![0; length], &mut zeros);
                    zeros
                };
                let plain: Vec<u8> = stream.iter().zip(&sealed).map(|(a, b)| a ^ b).collect();
                check(wide, &key, &[fill; 12], &plain, 0);
            }
        }
    }
}

#[test]
fn a_changed_bit_is_refused_and_nothing_is_changed() {
    let Some(wide) = wide() else { return };
    let (key, nonce) = ([9; 32], [3; 12]);
    for length in [0, 1, 16, 63, 64, 65, 500, 1_424] {
        let mut sealed = vec![0; length + 16];
        wide.seal(&key, &nonce, &vec![7; length], &mut sealed);
        for at in 0..sealed.len() {
            for bit in [0, 7] {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                let before = changed.clone();
                assert!(!wide.open(&key, &nonce, &mut changed), "byte {at} of {length}");
                assert!(changed == before);
            }
        }
        assert!(!wide.open(&key, &[4; 12], &mut sealed.clone()));
        assert!(!wide.open(&[8; 32], &nonce, &mut sealed.clone()));
    }
    for length in 0..16 {
        assert!(!wide.open(&key, &nonce, &mut vec![0; length]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn any_key_nonce_and_text(
        key: [u8; 32],
        nonce: [u8; 12],
        plain in prop::collection::vec(any::<u8>(), 0..9_100),
        padding in 0usize..16,
    ) {
        if let Some(wide) = wide() {
            check(wide, &key, &nonce, &plain, padding);
        }
    }
}
