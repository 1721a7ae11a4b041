use super::*;
use proptest::prelude::*;

/// RFC 5769 § 2.1: a request with PRIORITY, ICE-CONTROLLED, USERNAME, MESSAGE-INTEGRITY, FINGERPRINT.
const REQUEST_5769: &str = "000100582112a442b7e7a701bc34d686fa87dfae8022001053\
54554e207465737420636c69656e74002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020\
000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
/// RFC 5769 § 2.2: the IPv4 answer, 192.0.2.1:32853.
const ANSWER_V4_5769: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220\
002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
/// RFC 5769 § 2.3: the IPv6 answer, [2001:db8:1234:5678:11:2233:4455:6677]:32853.
const ANSWER_V6_5769: &str = "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220\
002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c";
const TRANSACTION_5769: Transaction =
    [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn the_published_answers_are_read() {
    let v4 = (TRANSACTION_5769, Ok("192.0.2.1:32853".parse().unwrap()));
    assert_eq!(read_answer(&bytes(ANSWER_V4_5769)), Some(v4));
    let v6 =
        (TRANSACTION_5769, Ok("[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap()));
    assert_eq!(read_answer(&bytes(ANSWER_V6_5769)), Some(v6));
}

#[test]
fn the_published_request_is_answered_with_a_fingerprint() {
    let source = "192.0.2.1:32853".parse().unwrap();
    let reply = answer(&bytes(REQUEST_5769), source).unwrap();
    assert_eq!(read_answer(&reply), Some((TRANSACTION_5769, Ok(source))));
    let at = reply.len() - 8;
    assert_eq!(reply[at..at + 4], [0x80, 0x28, 0, 4]);
}

#[test]
fn one_flipped_bit_under_a_fingerprint_is_noticed() {
    for (index, bit) in [(20, 1), (25, 0x80), (60, 4), (107, 1)] {
        let mut request = bytes(REQUEST_5769);
        request[index] ^= bit;
        assert_eq!(answer(&request, "192.0.2.1:1".parse().unwrap()), None, "byte {index}");
    }
}

#[test]
fn a_request_too_short_for_its_answer_gets_none() {
    let source = "[2001:db8::1]:9".parse().unwrap();
    assert_eq!(answer(&write_request([7; 12], 20), source), None);
    assert_eq!(answer(&write_request([7; 12], 40), source), None);
    assert!(answer(&write_request([7; 12], 44), source).is_some());
    assert_eq!(write_request([7; 12], 64).len(), 64);
}

#[test]
fn an_unknown_required_attribute_is_named_in_an_error() {
    let mut writer = Writer::new(REQUEST, [3; 12]);
    writer.attribute(0x0033, &[0; 40]);
    let reply = answer(&writer.finish(true), "192.0.2.1:9".parse().unwrap()).unwrap();
    assert_eq!(read_answer(&reply), Some(([3; 12], Err(420))));
    assert!(reply.windows(6).any(|window| window == [0, 0x0A, 0, 2, 0, 0x33]));
}

#[test]
fn only_requests_are_answered() {
    assert_eq!(answer(&bytes(ANSWER_V4_5769), "192.0.2.1:9".parse().unwrap()), None);
}

#[test]
fn a_mapped_ipv4_source_is_told_as_ipv4() {
    let reply =
        answer(&write_request([1; 12], 64), "[::ffff:192.0.2.7]:99".parse().unwrap()).unwrap();
    assert_eq!(read_answer(&reply), Some(([1; 12], Ok("192.0.2.7:99".parse().unwrap()))));
}

proptest! {
    #[test]
    fn every_source_comes_back(ip: [u8; 16], v4: bool, port: u16, transaction: Transaction) {
        let v6 = Ipv6Addr::from(ip);
        let source = if v4 {
            SocketAddr::from(([ip[0], ip[1], ip[2], ip[3]], port))
        } else {
            SocketAddr::new(v6.to_canonical(), port)
        };
        let reply = answer(&write_request(transaction, 64), source).unwrap();
        prop_assert!(reply.len() <= 64);
        prop_assert_eq!(read_answer(&reply), Some((transaction, Ok(source))));
    }

    #[test]
    fn nothing_makes_it_panic_or_say_more_than_it_heard(
        mut datagram in proptest::collection::vec(any::<u8>(), 0..200),
        looks_like_stun: bool,
        kind in prop::sample::select(vec![REQUEST, SUCCESS, ERROR, 0x0011]),
    ) {
        if looks_like_stun && datagram.len() >= HEADER_LENGTH {
            datagram.truncate(datagram.len() & !3);
            let length = (datagram.len() - HEADER_LENGTH) as u16;
            datagram[..2].copy_from_slice(&kind.to_be_bytes());
            datagram[2..4].copy_from_slice(&length.to_be_bytes());
            datagram[4..8].copy_from_slice(&MAGIC.to_be_bytes());
        }
        if let Some(reply) = answer(&datagram, "[2001:db8::1]:9".parse().unwrap()) {
            prop_assert!(reply.len() <= datagram.len());
        }
        let _ = read_answer(&datagram);
    }
}
