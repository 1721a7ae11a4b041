//! The internet checksum (RFC 1071), computed in host order, as the ones' complement sum does not mind it.

/// Adds `bytes` to a sum. Four bytes at a time into 64 bits is a loop that the compiler turns into vectors.
pub fn sum(bytes: &[u8], start: u64) -> u64 {
    let mut words = bytes.chunks_exact(4);
    let total: u64 =
        words.by_ref().map(|w| u32::from_ne_bytes([w[0], w[1], w[2], w[3]]) as u64).sum();
    let mut tail = [0; 4];
    tail[..words.remainder().len()].copy_from_slice(words.remainder());
    start + total + u32::from_ne_bytes(tail) as u64
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
