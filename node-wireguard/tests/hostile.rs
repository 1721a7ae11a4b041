//! What strangers and peers must not be able to do.

mod support;

use node_wireguard::device::counters::word;
use node_wireguard::device::{FilterConfig, PathState};
use node_wireguard::noise::{Local, Protocol, ProtocolOptions, PublicKey, Timestamp};
use node_wireguard::stun;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::*;

fn count(node: &Node, word: usize) -> u64 {
    node.device.counters().get(word)
}

#[test]
fn a_packet_from_an_address_that_is_not_the_peers_is_dropped() {
    let (a, b) = (Node::new(1), Node::new(2));
    introduce(&a, &b);
    deliver(&b, &a, b"true");
    b.send_packet(&udp_packet(Ipv4Addr::new(10, 0, 0, 77), a.ip, b"forged"));
    b.send_packet(b"\x45no packet");
    deliver(&b, &a, b"true again");
    assert_eq!(count(&a, word::WRONG_SOURCE), 1);
    assert_eq!(count(&b, word::BAD_FRAME), 1);
}

#[test]
fn only_answers_come_in_through_a_closed_filter() {
    let (a, b) = (Node::new(1), Node::new(2));
    a.device.set_filter(FilterConfig::default()).unwrap();
    introduce(&a, &b);
    deliver(&a, &b, b"hello");
    b.send_packet(&other_port(&udp_packet(b.ip, a.ip, b"unasked"), 9));
    a.until("a refusal", |a| count(a, word::FILTERED) == 1);
    // b answers the flow that a has opened: ports change places.
    let mut answer = udp_packet(b.ip, a.ip, b"answer");
    answer[20..24].rotate_left(2);
    b.send_packet(&answer);
    assert_eq!(a.receive().as_deref(), Some(&b"answer"[..]));
}

fn other_port(packet: &[u8], port: u8) -> Vec<u8> {
    let mut packet = packet.to_vec();
    (packet[21], packet[23]) = (port, port);
    packet
}

#[test]
fn datagrams_that_were_recorded_do_nothing_when_they_come_again() {
    let (a, b, mut middle) = (Node::new(1), Node::new(2), Middle::new());
    introduce_through(&mut middle, &a, &b);
    a.send(b.ip, b"once");
    let mut got = None;
    middle.pump("a packet", |_| {
        got = got.take().or_else(|| b.receive_within(Duration::from_millis(1)));
        got.is_some()
    });
    for _ in 0..20 {
        middle.step();
    }
    let (handshakes, sent) = (count(&b, word::HANDSHAKES), middle.seen.len());
    let stranger = UdpSocket::bind(local(0)).unwrap();
    for (from, bytes) in middle.seen.clone() {
        let to = if from == a.address(0) { b.address(0) } else { a.address(0) };
        stranger.send_to(&bytes, to).unwrap();
        middle.inject(to, &bytes);
    }
    assert!(b.receive_within(Duration::from_millis(300)).is_none() && sent > 3);
    assert!(count(&b, word::REPLAYED) >= 2 && count(&b, word::PROBES_REFUSED) >= 2);
    assert_eq!(count(&b, word::HANDSHAKES), handshakes);
    let status = b.device.status().unwrap();
    assert!(status.peers[0].paths.iter().all(|path| path.remote == middle.address()));
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.recv(&mut [0; 2000]).is_err(), "nobody answers a recording");
}

/// Other tests of this process have their devices meanwhile.
const MOST_GROWTH_KIB: u64 = 64 << 10;

fn resident_kib() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
}

/// Datagrams that begin like each message there is, and go on at random; always the same ones.
fn garbage() -> impl Iterator<Item = Vec<u8>> {
    const HEADS: [&[u8]; 13] = [
        &[1, 0, 0, 0],
        &[2, 0, 0, 0],
        &[3, 0, 0, 0],
        &[4, 0, 0, 0],
        b"\x80RWK",
        b"\x81RWK",
        b"\x82RWK",
        b"\x84RWK",
        b"\x85RWK",
        b"\x86RWK",
        b"\x87RWK",
        &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42],
        &[],
    ];
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    std::iter::from_fn(move || {
        let head = HEADS[next() as usize % HEADS.len()];
        let length = [0, 1, 7, 31, 32, 64, 92, 108, 148, 1452][(next() % 10) as usize];
        let mut bytes: Vec<u8> = (0..length).map(|_| next() as u8).collect();
        let front = head.len().min(length);
        bytes[..front].copy_from_slice(&head[..front]);
        Some(bytes)
    })
}

#[test]
fn garbage_at_a_forwarder_leaves_the_flow_through_it_alone() {
    let (a, b) = (Node::new(1), Node::new(2));
    let (forwarder, relayed) = forwarder();
    let relay = forwarder.addresses()[0];
    for (node, other, slot) in [(&a, &b, 11), (&b, &a, 12)] {
        node.add(other.config());
        node.device.update_paths(other.key, vec![relayed(slot)]).unwrap();
    }
    deliver(&a, &b, b"before");
    let stranger = UdpSocket::bind(local(0)).unwrap();
    let before = resident_kib();
    for (round, mut bytes) in garbage().take(20_000).enumerate() {
        if round % 3 == 0 && bytes.len() >= 8 {
            bytes[4..8].copy_from_slice(&(11 + round as u32 % 2).to_le_bytes()); // slots that there are
        }
        stranger.send_to(&bytes, relay).unwrap();
        if round % 1_000 == 0 {
            deliver(&a, &b, &round.to_le_bytes());
            deliver(&b, &a, &round.to_le_bytes());
        }
    }
    assert!(resident_kib() < before + MOST_GROWTH_KIB, "{before} KiB, then {}", resident_kib());
    deliver(&b, &a, b"after");
}

#[test]
fn garbage_of_every_kind_is_counted_and_a_flow_beside_it_goes_on() {
    let (a, b) = (Node::new(1), Node::new(2));
    introduce(&a, &b);
    deliver(&a, &b, b"before");
    let stranger = UdpSocket::bind(local(0)).unwrap();
    let before = resident_kib();
    for (round, bytes) in garbage().take(20_000).enumerate() {
        stranger.send_to(&bytes, b.address(0)).unwrap();
        if round % 1_000 == 0 {
            deliver(&a, &b, &round.to_le_bytes());
        }
    }
    assert!(resident_kib() < before + MOST_GROWTH_KIB, "{before} KiB, then {}", resident_kib());
    deliver(&b, &a, b"after");
    let unknown = count(&b, word::UNKNOWN_KIND) + count(&b, word::UNKNOWN_SESSION);
    assert!(unknown > 1_000 && count(&b, word::HANDSHAKES_REFUSED) > 100, "{unknown}");
    assert_eq!(b.path(a.key, 1).unwrap().state, PathState::Active);
}

#[test]
fn a_member_that_names_anothers_address_as_its_own_does_not_disturb_its_counting() {
    let (a, b, thief) = (Node::new(1), Node::new(2), Node::new(3));
    introduce(&a, &b);
    deliver(&b, &a, b"before");
    a.add(thief.config());
    a.device.update_paths(thief.key, vec![path(1, 0, b.address(0))]).unwrap();
    let counted = || a.path(b.key, 1).unwrap().rx_bytes;
    let before = counted();
    deliver(&b, &a, b"beside it");
    a.until("bytes counted", |_| counted() > before);
    a.device.update_paths(thief.key, vec![]).unwrap();
    let before = counted();
    deliver(&b, &a, b"after it");
    a.until("bytes counted", |_| counted() > before);
    assert_eq!(a.path(thief.key, 1).map(|path| path.rx_bytes), None);
}

#[test]
fn forged_messages_of_a_session_are_not_counted_for_its_path() {
    let (a, b, mut middle) = (Node::new(1), Node::new(2), Middle::new());
    introduce_through(&mut middle, &a, &b);
    a.send(b.ip, b"once");
    middle.pump("a packet", |_| b.receive_within(Duration::from_millis(1)).is_some());
    let data = middle.seen.iter().rfind(|(from, bytes)| *from == a.address(0) && bytes[0] == 4);
    let mut forged = data.unwrap().1.clone();
    let before = b.path(a.key, 1).unwrap().rx_bytes;
    for counter in 1_000..1_100u64 {
        forged[8..16].copy_from_slice(&counter.to_le_bytes());
        middle.inject(b.address(0), &forged);
    }
    b.until("all refused", |b| count(b, word::FORGED) == 100);
    assert_eq!(b.path(a.key, 1).unwrap().rx_bytes, before);
}

/// Strangers know no hint, or have seen one on the wire: neither delays the first probe of a member by a new path.
#[test]
fn junk_in_place_of_probes_does_not_delay_a_members_new_path() {
    let (a, b, c) = (Node::new(1), Node::new(2), Node::new(3));
    introduce(&a, &b);
    deliver(&a, &b, b"a session");
    let stranger = UdpSocket::bind("127.0.0.9:0").unwrap();
    let hash = |from: &Node, to: &Node| {
        use blake2::Digest;
        blake2::Blake2s256::new().chain_update(from.key).chain_update(to.key).finalize()
    };
    let mut junk = [0x55; 128];
    junk[..4].copy_from_slice(b"\x82RWK");
    for round in 0..20_000u32 {
        let hint: [u8; 4] = match round % 2 {
            0 => round.to_le_bytes(),
            _ => hash(&a, &b)[..4].try_into().unwrap(),
        };
        junk[4..8].copy_from_slice(&hint);
        stranger.send_to(&junk, b.address(0)).unwrap();
    }
    let begun = std::time::Instant::now();
    introduce(&c, &b);
    deliver(&c, &b, b"a member from elsewhere");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(count(&b, word::PROBES_REFUSED) > 1_000);
    assert_eq!(b.path(a.key, 1).unwrap().state, PathState::Active);
}

/// Initiations of strangers, whole and with a right first MAC.
fn initiations(to: &Node, count: u32) -> Vec<Vec<u8>> {
    let initiation = |index: u32| {
        let mut private = [3; 32];
        private[..4].copy_from_slice(&index.to_le_bytes());
        let options = ProtocolOptions {
            remote: PublicKey(to.key),
            preshared_key: [0; 32],
            keepalive_seconds: 0,
            vanilla: false,
        };
        let mut protocol = Protocol::new(Arc::new(Local::new(private)), options, 0).unwrap();
        protocol.initiate(10_000, Timestamp::now(), index).unwrap().to_vec()
    };
    (0..count).map(initiation).collect()
}

#[test]
fn under_a_flood_of_handshakes_strangers_get_cookies_and_a_peer_still_gets_in() {
    let (a, b) = (Node::new(1), Node::new(2));
    let stranger = UdpSocket::bind(local(0)).unwrap();
    for message in &initiations(&b, 3_000) {
        stranger.send_to(message, b.address(0)).unwrap();
    }
    introduce(&a, &b);
    deliver(&a, &b, b"in spite of it");
    b.until("cookies", |b| count(b, word::COOKIES_SENT) > 0);
    let mut buffer = [0; 200];
    stranger.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = stranger.recv(&mut buffer).unwrap();
    assert_eq!((length, buffer[0]), (64, 3), "a cookie, shorter than what asked for it");
}

/// A steady flood from a few addresses, with right MACs and with wrong ones.
#[test]
fn while_a_flood_of_handshakes_goes_on_a_member_from_elsewhere_gets_in() {
    let (a, b) = (Node::listening(1, vec!["127.0.0.77:0".parse().unwrap()]), Node::new(2));
    let mut messages = initiations(&b, 64);
    messages.extend(initiations(&b, 64).into_iter().map(|mut wrong| {
        wrong[120] ^= 1;
        wrong
    }));
    let (target, over) = (b.address(0), AtomicBool::new(false));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let bind = |last: u8| UdpSocket::bind((Ipv4Addr::new(127, 0, 1, last), 0)).unwrap();
            let strangers: Vec<UdpSocket> = (1..=4).map(bind).collect();
            for (nth, message) in messages.iter().cycle().enumerate() {
                if over.load(Ordering::Relaxed) || begun.elapsed() > 3 * PATIENCE {
                    break;
                }
                // What a full buffer refuses is lost, as on a wire.
                let _ = strangers[nth % strangers.len()].send_to(message, target);
            }
        });
        b.until("load", |b| count(b, word::QUEUE_FULL) > 1_000);
        let met = Instant::now();
        introduce(&a, &b);
        a.send(b.ip, b"a member");
        let got = b.receive();
        over.store(true, Ordering::Relaxed);
        assert_eq!(got.as_deref(), Some(&b"a member"[..]));
        // It is asked for a cookie and repeats its offer after five seconds, once.
        assert!(met.elapsed() < Duration::from_secs(9), "{:?}", met.elapsed());
    });
    let seconds = begun.elapsed().as_secs() + 1;
    let cookies = count(&b, word::COOKIES_SENT);
    assert!(cookies > 0 && cookies < 5_000 * (seconds + 1), "{cookies} cookies in {seconds} s");
    assert!(count(&b, word::HANDSHAKES_REFUSED) > 1_000, "wrong MACs");
}

#[test]
fn stun_is_passed_on_and_limited() {
    let (a, b) = (Node::new(1), Node::new(2));
    let request = stun::write_request([5; 12], 64);
    a.device.send_control(0, b.address(0), &request).unwrap();
    b.wait_for("STUN", |event| {
        use node_wireguard::device::Event::Control;
        matches!(event, Control { from, bytes, .. } if *from == a.address(0) && *bytes == request)
    });
    for _ in 0..1_000 {
        a.device.send_control(0, b.address(0), &request).unwrap();
    }
    b.until("a limit", |b| count(b, word::STUN_LIMITED) > 0);
}
