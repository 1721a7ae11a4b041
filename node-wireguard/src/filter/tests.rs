//! Who comes in.

use super::flows::CAPACITY;
use super::*;
use crate::packet::{icmp, samples};
use proptest::prelude::*;

const FIN_ACK: u8 = 0x11;
const SYN_ACK: u8 = 0x12;
const MINUTE: u64 = 60_000;

fn us(port: u16) -> (IpAddr, u16) {
    ("10.0.0.1".parse().unwrap(), port)
}

fn them(port: u16) -> (IpAddr, u16) {
    ("10.0.0.2".parse().unwrap(), port)
}

fn rule(protocol: RuleProtocol, low: u16, high: u16, sources: &[&str]) -> FilterConfig {
    let sources = sources.iter().map(|text| (text.parse().unwrap(), 32)).collect();
    FilterConfig { allow: vec![Rule { protocol, ports: (low, high), sources }], open: false }
}

fn out(filter: &mut Filter, packet: &[u8], now: u64) {
    filter.outbound(&PacketView::parse(packet).unwrap(), now);
}

fn passes(filter: &mut Filter, packet: &[u8], now: u64) -> bool {
    filter.inbound(&PacketView::parse(packet).unwrap(), packet, now).passes()
}

#[test]
fn nothing_comes_in_by_itself_but_echoes() {
    let mut filter = Filter::new(&FilterConfig::default());
    for flags in [SYN, SYN_ACK, ACK, FIN_ACK, RST] {
        assert!(!passes(&mut filter, &samples::tcp(them(5), us(22), flags, b""), 0));
    }
    assert!(!passes(&mut filter, &samples::udp(them(5), us(53), b""), 0));
    let (v6_a, v6_b): (IpAddr, IpAddr) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
    for (from, to, kind, comes_in) in [
        (them(0).0, us(0).0, 8, true),
        (them(0).0, us(0).0, 0, true),
        (them(0).0, us(0).0, 5, false),  // a redirect
        (them(0).0, us(0).0, 13, false), // a timestamp
        (v6_b, v6_a, 128, true),
        (v6_b, v6_a, 129, true),
        (v6_b, v6_a, 134, false), // a router's advertisement
        (v6_b, v6_a, 137, false),
    ] {
        assert_eq!(
            passes(&mut filter, &samples::icmp(from, to, kind, 0, &[0; 4]), 0),
            comes_in,
            "{kind}"
        );
    }
}

#[test]
fn a_rule_opens_its_ports_to_its_sources_only() {
    let mut filter = Filter::new(&rule(RuleProtocol::Tcp, 8000, 8010, &["10.0.0.2"]));
    assert!(passes(&mut filter, &samples::tcp(them(5), us(8000), SYN, b""), 0));
    assert!(passes(&mut filter, &samples::tcp(them(5), us(8010), SYN, b""), 0));
    assert!(!passes(&mut filter, &samples::tcp(them(5), us(8011), SYN, b""), 0));
    assert!(!passes(&mut filter, &samples::udp(them(5), us(8000), b""), 0));
    let stranger = ("10.0.0.3".parse().unwrap(), 5);
    assert!(!passes(&mut filter, &samples::tcp(stranger, us(8000), SYN, b""), 0));
    filter.set_config(&rule(RuleProtocol::Tcp, 8000, 8010, &[]));
    assert!(
        passes(&mut filter, &samples::tcp(stranger, us(8000), SYN, b""), 0),
        "no sources: any member"
    );
}

#[test]
fn answers_come_in_from_where_we_asked_and_from_nowhere_else() {
    let mut filter = Filter::new(&FilterConfig::default());
    out(&mut filter, &samples::tcp(us(40_000), them(22), SYN, b""), 0);
    assert!(passes(&mut filter, &samples::tcp(them(22), us(40_000), SYN_ACK, b""), 1));
    assert!(!passes(&mut filter, &samples::tcp(them(23), us(40_000), SYN_ACK, b""), 1));
    assert!(!passes(&mut filter, &samples::udp(them(22), us(40_000), b""), 1));
    out(&mut filter, &samples::udp(us(40_000), them(53), b""), 1);
    assert!(passes(&mut filter, &samples::udp(them(53), us(40_000), b""), 2));
    assert!(
        !passes(&mut filter, &samples::tcp(them(22), us(40_000), SYN, b""), 2),
        "a connection of their own"
    );
}

#[test]
fn flows_end_with_their_time() {
    let mut filter = Filter::new(&FilterConfig::default());
    let answer = samples::tcp(them(22), us(40_000), ACK, b"x");
    out(&mut filter, &samples::tcp(us(40_000), them(22), SYN, b""), 0);
    assert!(!passes(&mut filter, &answer, 2 * MINUTE), "never answered");
    out(&mut filter, &samples::tcp(us(40_000), them(22), SYN, b""), 0);
    assert!(passes(&mut filter, &samples::tcp(them(22), us(40_000), SYN_ACK, b""), 1));
    assert!(passes(&mut filter, &answer, 119 * MINUTE));
    assert!(!passes(&mut filter, &answer, 239 * MINUTE));
    out(&mut filter, &samples::udp(us(1), them(2), b""), 0);
    assert!(passes(&mut filter, &samples::udp(them(2), us(1), b""), 3 * MINUTE - 1));
    assert!(!passes(&mut filter, &samples::udp(them(2), us(1), b""), 6 * MINUTE - 1));
}

#[test]
fn a_closed_connection_is_forgotten_soon_but_its_last_packets_pass() {
    let mut filter = Filter::new(&FilterConfig::default());
    out(&mut filter, &samples::tcp(us(40_000), them(22), SYN, b""), 0);
    assert!(passes(&mut filter, &samples::tcp(them(22), us(40_000), SYN_ACK, b""), 1));
    out(&mut filter, &samples::tcp(us(40_000), them(22), FIN_ACK, b""), 2);
    assert!(
        passes(&mut filter, &samples::tcp(them(22), us(40_000), ACK, b"more"), 60 * MINUTE),
        "half closed"
    );
    assert!(passes(&mut filter, &samples::tcp(them(22), us(40_000), FIN_ACK, b""), 60 * MINUTE));
    assert!(
        passes(&mut filter, &samples::tcp(them(22), us(40_000), FIN_ACK, b""), 60 * MINUTE + 500),
        "sent again"
    );
    assert!(!passes(&mut filter, &samples::tcp(them(22), us(40_000), ACK, b""), 62 * MINUTE));
    out(&mut filter, &samples::tcp(us(40_000), them(22), SYN, b""), 63 * MINUTE);
    assert!(
        passes(&mut filter, &samples::tcp(them(22), us(40_000), SYN_ACK, b""), 63 * MINUTE),
        "the same ports again"
    );
}

#[test]
fn a_connection_that_a_removed_rule_let_in_is_cut_and_stays_cut() {
    let mut filter = Filter::new(&rule(RuleProtocol::Tcp, 22, 22, &[]));
    assert!(passes(&mut filter, &samples::tcp(them(5), us(22), SYN, b""), 0));
    out(&mut filter, &samples::tcp(us(22), them(5), SYN_ACK, b""), 0);
    out(&mut filter, &samples::tcp(us(40_000), them(5), SYN, b""), 0);
    filter.set_config(&FilterConfig::default());
    assert!(!passes(&mut filter, &samples::tcp(them(5), us(22), ACK, b"x"), 1));
    out(&mut filter, &samples::tcp(us(22), them(5), ACK, b"retransmitted"), 2);
    assert!(!passes(&mut filter, &samples::tcp(them(5), us(22), ACK, b"x"), 3));
    assert!(passes(&mut filter, &samples::tcp(them(5), us(40_000), SYN_ACK, b""), 3), "ours stays");
    filter.set_config(&rule(RuleProtocol::Tcp, 22, 22, &[]));
    assert!(passes(&mut filter, &samples::tcp(them(5), us(22), ACK, b"x"), 4), "open again");
}

#[test]
fn a_connection_let_in_by_a_rule_may_come_again_between_the_same_ports() {
    let mut filter = Filter::new(&rule(RuleProtocol::Tcp, 22, 22, &[]));
    for start in [0, 5_000] {
        assert!(passes(&mut filter, &samples::tcp(them(5), us(22), SYN, b""), start));
        out(&mut filter, &samples::tcp(us(22), them(5), SYN_ACK, b""), start);
        assert!(passes(&mut filter, &samples::tcp(them(5), us(22), ACK, b""), start));
        if start == 0 {
            out(&mut filter, &samples::tcp(us(22), them(5), RST, b""), 100);
        }
    }
    filter.set_config(&FilterConfig::default());
    out(&mut filter, &samples::tcp(us(22), them(5), ACK, b"still refused"), 60 * MINUTE);
    assert!(!passes(&mut filter, &samples::tcp(them(5), us(22), ACK, b""), 60 * MINUTE));
}

#[test]
fn a_connection_older_than_the_engine_goes_on() {
    let mut filter = Filter::new(&FilterConfig::default());
    out(&mut filter, &samples::tcp(us(40_000), them(22), ACK, b"still here"), 0);
    assert!(passes(&mut filter, &samples::tcp(them(22), us(40_000), ACK, b"so am I"), 1));
    out(&mut filter, &samples::tcp(us(40_001), them(22), RST, b""), 0);
    assert!(
        !passes(&mut filter, &samples::tcp(them(22), us(40_001), ACK, b""), 1),
        "a reset opens nothing"
    );
}

#[test]
fn errors_about_our_own_packets_pass() {
    for v6 in [false, true] {
        let text = if v6 {
            ["fd00::1", "fd00::2", "fd00::9"]
        } else {
            ["10.0.0.1", "10.0.0.2", "10.0.0.9"]
        };
        let [us, them, router] = text.map(|text| text.parse::<IpAddr>().unwrap());
        let mut filter = Filter::new(&FilterConfig::default());
        let sent = samples::udp((us, 4000), (them, 33_434), &[0; 1400]);
        let error = |about: &[u8]| {
            let mut out = [0; icmp::LONGEST];
            let length = icmp::packet_too_big(about, 1280, &mut out).unwrap();
            let body = out[if v6 { 44 } else { 24 }..length].to_vec();
            samples::icmp(router, us, if v6 { 2 } else { 3 }, if v6 { 0 } else { 4 }, &body)
        };
        assert!(!passes(&mut filter, &error(&sent), 0), "never sent");
        out(&mut filter, &sent, 0);
        assert!(passes(&mut filter, &error(&sent), 1));
        let foreign = samples::udp((router, 4000), (them, 33_434), &[0; 1400]);
        assert!(!passes(&mut filter, &error(&foreign), 1), "not from us");
        let echo = samples::icmp(us, them, if v6 { 128 } else { 8 }, 0, &[0; 20]);
        assert!(passes(&mut filter, &error(&echo), 1));
    }
}

#[test]
fn later_fragments_follow_their_first() {
    let mut filter = Filter::new(&rule(RuleProtocol::Udp, 53, 53, &[]));
    let fragment = |port: u16, id: u8, more: bool, offset: u8| {
        let mut packet = samples::udp(them(9), us(port), &[0; 64]);
        (packet[5], packet[6], packet[7]) = (id, if more { 0x20 } else { 0 }, offset);
        packet
    };
    assert!(!passes(&mut filter, &fragment(53, 1, false, 9), 0), "the first has not come");
    assert!(passes(&mut filter, &fragment(53, 1, true, 0), 0));
    assert!(passes(&mut filter, &fragment(53, 1, false, 9), 1));
    assert!(!passes(&mut filter, &fragment(53, 2, false, 9), 1), "of another datagram");
    assert!(!passes(&mut filter, &fragment(53, 1, false, 9), 30_000), "too late");
    assert!(!passes(&mut filter, &fragment(54, 3, true, 0), 0));
    assert!(!passes(&mut filter, &fragment(54, 3, false, 9), 0), "its first was refused");
    for id in 10..=255 {
        assert!(passes(&mut filter, &fragment(53, id, true, 0), 0));
    }
    assert!(passes(&mut filter, &fragment(53, 255, false, 9), 1));
    assert!(!passes(&mut filter, &fragment(53, 10, false, 9), 1), "the memory is bounded");
}

#[test]
fn flows_with_a_peer_that_is_gone_are_forgotten() {
    let mut filter = Filter::new(&FilterConfig::default());
    out(&mut filter, &samples::udp(us(1), them(2), b""), 0);
    out(&mut filter, &samples::udp(us(1), ("10.9.0.1".parse().unwrap(), 2), b""), 0);
    filter.drop_sources("10.0.0.0".parse().unwrap(), 16);
    assert!(!passes(&mut filter, &samples::udp(them(2), us(1), b""), 1));
    assert!(passes(&mut filter, &samples::udp(("10.9.0.1".parse().unwrap(), 2), us(1), b""), 1));
}

#[test]
fn the_table_never_grows_and_established_connections_outlive_a_flood() {
    let mut filter = Filter::new(&FilterConfig::default());
    out(&mut filter, &samples::tcp(us(40_000), them(22), SYN, b""), 0);
    assert!(passes(&mut filter, &samples::tcp(them(22), us(40_000), SYN_ACK, b""), 1));
    let mut probe = samples::udp(us(0), them(0), b"");
    for flow in 0..2 * CAPACITY as u32 {
        probe[20..24].copy_from_slice(&flow.to_be_bytes());
        out(&mut filter, &probe, 2);
    }
    assert!(filter.flows.count() <= CAPACITY);
    assert!(passes(&mut filter, &samples::tcp(them(22), us(40_000), ACK, b""), 3));
}

#[derive(Clone, Debug)]
enum Step {
    Out { local: u16, remote: u16, flags: Option<u8> },
    In { local: u16, remote: u16, flags: Option<u8> },
}

fn step() -> impl Strategy<Value = Step> {
    let flags = prop::option::of(prop::sample::select(vec![SYN, SYN_ACK, ACK, FIN_ACK, RST]));
    (any::<bool>(), 1u16..4, 1u16..4, flags).prop_map(|(out, local, remote, flags)| match out {
        true => Step::Out { local, remote, flags },
        false => Step::In { local, remote, flags },
    })
}

proptest! {
    /// Without rules: what has never been asked for never comes in.
    #[test]
    fn inbound_packets_open_nothing(steps in prop::collection::vec(step(), 1..60)) {
        let (mut filter, mut asked) = (Filter::new(&FilterConfig::default()), Vec::new());
        for (now, step) in steps.into_iter().enumerate() {
            let packet = |from, to, flags: Option<u8>| match flags {
                Some(flags) => samples::tcp(from, to, flags, b""),
                None => samples::udp(from, to, b""),
            };
            match step {
                Step::Out { local, remote, flags } => {
                    asked.push((local, remote, flags.is_some()));
                    out(&mut filter, &packet(us(local), them(remote), flags), now as u64);
                }
                Step::In { local, remote, flags } => {
                    let came = passes(&mut filter, &packet(them(remote), us(local), flags), now as u64);
                    prop_assert!(!came || asked.contains(&(local, remote, flags.is_some())));
                }
            }
        }
    }

    #[test]
    fn arbitrary_packets_do_not_panic(
        packets in prop::collection::vec(crate::packet::tests::almost_a_packet(), 1..20),
    ) {
        let mut filter = Filter::new(&rule(RuleProtocol::Icmp, 0, 0, &[]));
        for (now, packet) in packets.iter().enumerate() {
            if let Some(view) = PacketView::parse(packet) {
                filter.inbound(&view, packet, now as u64);
                filter.outbound(&view, now as u64);
            }
        }
    }
}
