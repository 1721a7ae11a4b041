//! ICMP errors that this end writes to its own system about a packet it cannot send (RFC 792, 1191, 4443).

use super::checksum::{finish, pseudo, sum};
use super::parse::{Fragment, ICMPV6, PacketView, Transport};
use std::net::IpAddr;

/// The longest message made here, in bytes.
pub const LONGEST: usize = 1280;

const LONGEST_V4: usize = 576; // RFC 1812, 4.3.2.3
const HOP_LIMIT: u8 = 64;
const ICMP_HEADER: usize = 8;

/// Why a packet was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// No peer has this address.
    NoRoute,
    /// There is a peer, but no way to it.
    Host,
    /// Nobody listens there.
    Port,
    /// A filter forbids it.
    Prohibited,
}

/// Type, code, and the second word of the header.
struct Message {
    kind: u8,
    code: u8,
    word: [u8; 4],
}

/// "Packet too big, at most `mtu` bytes" about `offending`, written into `out`; its length. It comes from the packet's
/// destination. Nothing where no error may be sent: about errors, later fragments, multicast, or from no address.
pub fn packet_too_big(offending: &[u8], mtu: u16, out: &mut [u8; LONGEST]) -> Option<usize> {
    let [high, low] = mtu.to_be_bytes();
    let (kind, code) = if is_v6(offending) { (2, 0) } else { (3, 4) };
    write(offending, &Message { kind, code, word: [0, 0, high, low] }, out)
}

/// "Destination unreachable" about `offending`, by the same rules.
pub fn unreachable(offending: &[u8], why: Unreachable, out: &mut [u8; LONGEST]) -> Option<usize> {
    let (kind, code) = match (is_v6(offending), why) {
        (false, Unreachable::NoRoute) => (3, 0),
        (false, Unreachable::Host) => (3, 1),
        (false, Unreachable::Port) => (3, 3),
        (false, Unreachable::Prohibited) => (3, 13),
        (true, Unreachable::NoRoute) => (1, 0),
        (true, Unreachable::Prohibited) => (1, 1),
        (true, Unreachable::Host) => (1, 3),
        (true, Unreachable::Port) => (1, 4),
    };
    write(offending, &Message { kind, code, word: [0; 4] }, out)
}

fn is_v6(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| first >> 4 == 6)
}

/// RFC 1122, 3.2.2 and RFC 4443, 2.4 (e).
fn may_be_answered(view: &PacketView) -> bool {
    let about_error = match (view.transport, view.source) {
        (Transport::Icmp { kind, .. }, IpAddr::V4(_)) => matches!(kind, 3 | 4 | 5 | 11 | 12),
        (Transport::Icmp { kind, .. }, IpAddr::V6(_)) => kind < 128 || kind == 137,
        _ => false,
    };
    let one_node = |address: IpAddr| match address {
        IpAddr::V4(address) => {
            !(address.is_unspecified()
                || address.is_multicast()
                || address.is_broadcast()
                || address.is_loopback())
        }
        IpAddr::V6(address) => {
            !(address.is_unspecified() || address.is_multicast() || address.is_loopback())
        }
    };
    let later = matches!(view.fragment, Fragment::Later { .. });
    !about_error && !later && one_node(view.source) && one_node(view.destination)
}

fn write(offending: &[u8], message: &Message, out: &mut [u8; LONGEST]) -> Option<usize> {
    let view = PacketView::parse_quoted(offending).filter(may_be_answered)?;
    let (header, longest) = if view.source.is_ipv6() { (40, LONGEST) } else { (20, LONGEST_V4) };
    let quoted = view.length.min(longest - header - ICMP_HEADER);
    let total = header + ICMP_HEADER + quoted;
    let packet = &mut out[..total];
    packet[..header].fill(0);
    match (view.destination, view.source) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            packet[..2].copy_from_slice(&[0x45, 0]);
            packet[2..4].copy_from_slice(&(total as u16).to_be_bytes());
            packet[6..10].copy_from_slice(&[0x40, 0, HOP_LIMIT, 1]);
            packet[12..16].copy_from_slice(&from.octets());
            packet[16..20].copy_from_slice(&to.octets());
            let checksum = finish(sum(&packet[..header], 0), false);
            packet[10..12].copy_from_slice(&checksum);
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            packet[0] = 0x60;
            packet[4..6].copy_from_slice(&((total - header) as u16).to_be_bytes());
            packet[6..8].copy_from_slice(&[ICMPV6, HOP_LIMIT]);
            packet[8..24].copy_from_slice(&from.octets());
            packet[24..40].copy_from_slice(&to.octets());
        }
        _ => return None,
    }
    packet[header..header + 4].copy_from_slice(&[message.kind, message.code, 0, 0]);
    packet[header + 4..header + 8].copy_from_slice(&message.word);
    packet[header + 8..].copy_from_slice(&offending[..quoted]);
    let start = if header == 40 { pseudo(packet, ICMPV6, total - header) } else { 0 };
    let checksum = finish(sum(&packet[header..], start), false);
    packet[header + 2..header + 4].copy_from_slice(&checksum);
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::checksum::fold;
    use proptest::prelude::*;

    fn udp(v6: bool, length: usize) -> Vec<u8> {
        let mut packet = vec![0xab; length];
        if v6 {
            packet[..8].copy_from_slice(&[
                0x60,
                0,
                0,
                0,
                ((length - 40) >> 8) as u8,
                (length - 40) as u8,
                17,
                64,
            ]);
            packet[8..40].copy_from_slice(&[0xfd; 32]);
        } else {
            packet[..10].copy_from_slice(&[
                0x45,
                0,
                (length >> 8) as u8,
                length as u8,
                0,
                1,
                0x40,
                0,
                64,
                17,
            ]);
            packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        }
        packet
    }

    fn checked(packet: &[u8]) -> (u8, u8) {
        let v6 = is_v6(packet);
        let header = if v6 { 40 } else { 20 };
        let start = if v6 { pseudo(packet, ICMPV6, packet.len() - header) } else { 0 };
        assert_eq!(fold(sum(&packet[header..], start)), 0xffff);
        assert!(v6 || fold(sum(&packet[..20], 0)) == 0xffff);
        (packet[header], packet[header + 1])
    }

    #[test]
    fn too_big_tells_the_mtu_and_quotes_the_packet() {
        let mut out = [0; LONGEST];
        let length = packet_too_big(&udp(false, 1500), 1280, &mut out).unwrap();
        assert_eq!((length, checked(&out[..length])), (576, (3, 4)));
        assert_eq!(out[26..28], 1280u16.to_be_bytes());
        assert_eq!(out[12..20], [10, 0, 0, 2, 10, 0, 0, 1], "from the destination to the sender");
        assert_eq!(out[28..576], udp(false, 1500)[..548]);
        let length = packet_too_big(&udp(true, 1500), 1280, &mut out).unwrap();
        assert_eq!((length, checked(&out[..length])), (1280, (2, 0)));
        assert_eq!(out[44..48], 1280u32.to_be_bytes());
    }

    #[test]
    fn unreachable_has_the_code_of_its_family() {
        let mut out = [0; LONGEST];
        let codes = |v6: bool, out: &mut [u8; LONGEST]| {
            use Unreachable::*;
            [NoRoute, Host, Port, Prohibited].map(|why| {
                let length = unreachable(&udp(v6, 100), why, out).unwrap();
                checked(&out[..length])
            })
        };
        assert_eq!(codes(false, &mut out), [(3, 0), (3, 1), (3, 3), (3, 13)]);
        assert_eq!(codes(true, &mut out), [(1, 0), (1, 3), (1, 4), (1, 1)]);
    }

    #[test]
    fn no_error_about_an_error_a_later_fragment_or_a_group() {
        let mut out = [0; LONGEST];
        let mut refuse = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut packet = udp(false, 100);
            change(&mut packet);
            packet_too_big(&packet, 1280, &mut out).is_none()
        };
        assert!(!refuse(&|_| ()));
        assert!(refuse(&|packet| (packet[9], packet[20]) = (1, 3)));
        assert!(!refuse(&|packet| (packet[9], packet[20]) = (1, 8)), "about an echo there is");
        assert!(refuse(&|packet| packet[7] = 9));
        assert!(refuse(&|packet| packet[16] = 224));
        assert!(refuse(&|packet| packet[12..16].fill(0)));
        assert!(refuse(&|packet| packet.truncate(24)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), mtu: u16) {
            let mut out = [0; LONGEST];
            if let Some(length) = packet_too_big(&bytes, mtu, &mut out) {
                checked(&out[..length]);
            }
            unreachable(&bytes, Unreachable::Host, &mut out);
        }
    }
}
