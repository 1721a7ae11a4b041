//! The internet checksum (RFC 1071), computed in host order, as the ones' complement sum does not mind it.

/// Adds `bytes` to a sum. Eight bytes at a time: as 2^64 is 1 modulo 2^16 − 1, what runs over the 64 bits counts as ones.
pub fn sum(bytes: &[u8], start: u64) -> u64 {
    let (chunks, rest) = bytes.as_chunks::<64>();
    let mut sums = [0u128; 2]; // which do not wait for each other
    for chunk in chunks {
        for (at, word) in chunk.as_chunks().0.iter().enumerate() {
            sums[at % 2] += u128::from(u64::from_ne_bytes(*word));
        }
    }
    let whole = sums[0] + sums[1];
    let (low, over) = (whole as u64, (whole >> 64) as u64);
    let (words, rest) = rest.as_chunks();
    let words: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    let mut tail = [0; 4];
    tail[..rest.len()].copy_from_slice(rest);
    start + over + (low >> 32) + (low & 0xffff_ffff) + words + u64::from(u32::from_ne_bytes(tail))
}

/// Brings a sum down to 16 bits.
pub fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The checksum as it is written. In UDP a zero would mean "none", so there it is the other zero (RFC 768).
pub fn finish(sum: u64, udp: bool) -> [u8; 2] {
    match !fold(sum) {
        0 if udp => [0xff; 2],
        checksum => checksum.to_ne_bytes(),
    }
}

/// The sum over the pseudo header of the packet whose IP header (at least 20 or 40 bytes) is given.
pub fn pseudo(ip: &[u8], protocol: u8, length: usize) -> u64 {
    let addresses = if ip[0] >> 4 == 6 { &ip[8..40] } else { &ip[12..20] };
    sum(addresses, (protocol as u16).to_be() as u64 + (length as u32).to_be() as u64)
}

/// Changes a written checksum for a 16-bit word that went from `old` to `new`, all as they lie in memory (RFC 1624, eq. 3).
pub fn adjust(checksum: [u8; 2], old: [u8; 2], new: [u8; 2]) -> [u8; 2] {
    let [checksum, old, new] = [checksum, old, new].map(u16::from_ne_bytes);
    (!fold(!checksum as u64 + !old as u64 + new as u64)).to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Word by word, as RFC 1071 says it.
    fn plainly(bytes: &[u8]) -> u16 {
        let word = |pair: &[u8]| u16::from_ne_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        bytes.chunks(2).map(word).fold(0u16, |sum, word| {
            let (sum, over) = sum.overflowing_add(word);
            sum + u16::from(over)
        })
    }

    /// The two zeros of ones' complement are one number.
    fn same(a: u16, b: u16) -> bool {
        a == b || (a % 0xffff, b % 0xffff) == (0, 0)
    }

    #[test]
    fn the_sum_is_that_of_the_words_at_every_length_and_fill() {
        for fill in [0, 1, 0x7f, 0xff] {
            let bytes: Vec<u8> = vec![fill; 9_000];
            for length in (0..300).chain([1_408, 8_999, 9_000]) {
                assert!(same(fold(sum(&bytes[..length], 0)), plainly(&bytes[..length])));
            }
        }
    }

    proptest! {
        #[test]
        fn it_may_be_taken_in_parts(
            bytes in proptest::collection::vec(any::<u8>(), 0..2_000),
            at in 0..1_000usize,
        ) {
            let (front, back) = bytes.split_at((at * 2).min(bytes.len() / 2 * 2));
            prop_assert!(same(fold(sum(back, sum(front, 0))), plainly(&bytes)));
        }
    }
}
