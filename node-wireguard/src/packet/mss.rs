//! The largest segment that a TCP connection may announce, so that its packets fit the path from the start.

use super::checksum::adjust;

const TCP: u8 = 6;
const SYN: u8 = 0x02;
const TCP_HEADER: usize = 20;
const END: u8 = 0;
const NOTHING: u8 = 1;
const MSS: u8 = 2;

/// Lowers the MSS option of a TCP SYN to what fits `mtu` (the whole inner packet, in bytes), and says whether it did. The
/// checksum must be finished (after `split`); it is changed with the option. Anything but an unfragmented SYN right behind
/// the IP header is left alone.
pub fn clamp(packet: &mut [u8], mtu: u16) -> bool {
    let Some(l4) = syn(packet) else { return false };
    let limit = (mtu as usize)
        .saturating_sub(if packet[0] >> 4 == 6 { 40 } else { 20 } + TCP_HEADER)
        as u16;
    let end = l4 + (packet[l4 + 12] >> 4) as usize * 4;
    if end > packet.len() {
        return false;
    }
    let mut at = l4 + TCP_HEADER;
    while at < end {
        let length = match (packet[at], packet.get(at + 1)) {
            (END, _) => return false,
            (NOTHING, _) => 1,
            (_, Some(&length)) if length >= 2 => length as usize,
            _ => return false,
        };
        if packet[at] == MSS && length == 4 && at + 4 <= end {
            return lower(packet, l4, at + 2, limit);
        }
        at += length;
    }
    false
}

/// Where the TCP header of a SYN begins.
fn syn(packet: &[u8]) -> Option<usize> {
    let l4 = match packet.first()? >> 4 {
        // No fragment but a first one without others.
        4 if *packet.get(9)? == TCP && packet[6] & 0x3f | packet[7] == 0 => {
            (packet[0] & 0xf) as usize * 4
        }
        6 if *packet.get(6)? == TCP => 40,
        _ => return None,
    };
    (l4 >= 20 && packet.len() >= l4 + TCP_HEADER && packet[l4 + 13] & SYN != 0).then_some(l4)
}

fn lower(packet: &mut [u8], l4: usize, at: usize, limit: u16) -> bool {
    let old = [packet[at], packet[at + 1]];
    if u16::from_be_bytes(old) <= limit {
        return false;
    }
    let new = limit.to_be_bytes();
    packet[at..at + 2].copy_from_slice(&new);
    let checksum = [packet[l4 + 16], packet[l4 + 17]];
    // An option may begin anywhere, and a word at an odd place is summed the other way round.
    let turned = |word: [u8; 2]| if (at - l4) % 2 == 1 { [word[1], word[0]] } else { word };
    packet[l4 + 16..l4 + 18].copy_from_slice(&adjust(checksum, turned(old), turned(new)));
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::checksum::{finish, fold, pseudo, sum};
    use proptest::prelude::*;

    /// A SYN with these options and a right checksum.
    fn packet(v6: bool, flags: u8, options: &[u8]) -> Vec<u8> {
        let (l4, header) = (if v6 { 40 } else { 20 }, 20 + options.len().next_multiple_of(4));
        let mut packet = vec![0; l4 + header];
        if v6 {
            (packet[0], packet[5], packet[6], packet[23], packet[39]) =
                (0x60, header as u8, TCP, 1, 2);
        } else {
            packet[..10].copy_from_slice(&[
                0x45,
                0,
                0,
                (20 + header) as u8,
                0,
                0,
                0x40,
                0,
                64,
                TCP,
            ]);
            packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        }
        (packet[l4 + 12], packet[l4 + 13]) = ((header / 4) as u8 * 16, flags);
        packet[l4 + 20..l4 + 20 + options.len()].copy_from_slice(options);
        let checksum = finish(sum(&packet[l4..], pseudo(&packet, TCP, header)), false);
        packet[l4 + 16..l4 + 18].copy_from_slice(&checksum);
        packet
    }

    fn is_right(packet: &[u8]) -> bool {
        let l4 = if packet[0] >> 4 == 6 { 40 } else { 20 };
        fold(sum(&packet[l4..], pseudo(packet, TCP, packet.len() - l4))) == 0xffff
    }

    #[test]
    fn a_syn_announces_what_fits_the_path() {
        for (v6, mss) in [(false, 1368), (true, 1348)] {
            let mut syn = packet(v6, SYN, &[MSS, 4, 0x23, 0x00]);
            assert!(clamp(&mut syn, 1408) && is_right(&syn));
            let end = syn.len();
            assert_eq!(u16::from_be_bytes([syn[end - 2], syn[end - 1]]), mss);
            assert!(!clamp(&mut syn, 1408), "it fits now");
        }
    }

    #[test]
    fn other_packets_are_left_alone() {
        let mss = [MSS, 4, 0x23, 0x00];
        assert!(!clamp(&mut packet(false, 0x10, &mss), 1408), "no SYN");
        assert!(
            !clamp(&mut packet(false, SYN, &[END, 0, MSS, 4, 0x23, 0]), 1408),
            "behind the end of options"
        );
        assert!(!clamp(&mut packet(false, SYN, &[8, 0, MSS, 4]), 1408), "an option of length zero");
        let mut fragment = packet(false, SYN, &mss);
        fragment[6] = 0x20;
        assert!(!clamp(&mut fragment, 1408));
    }

    proptest! {
        #[test]
        fn the_checksum_stays_right_wherever_the_option_is(
            v6: bool, before in 0usize..5, mss: u16, mtu in 576u16..9000,
        ) {
            let mut options = vec![NOTHING; before];
            options.extend([MSS, 4, (mss >> 8) as u8, mss as u8]);
            let mut syn = packet(v6, SYN, &options);
            let limit = mtu - if v6 { 60 } else { 40 };
            prop_assert_eq!(clamp(&mut syn, mtu), mss > limit);
            prop_assert!(is_right(&syn));
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..100), v in 4u8..7, mtu: u16) {
            if bytes.len() > 34 {
                (bytes[0], bytes[6], bytes[7], bytes[9]) = (v << 4 | bytes[0] & 0xf, if v == 6 { 6 } else { 0 }, 0, 6);
            }
            clamp(&mut bytes, mtu);
        }
    }
}
