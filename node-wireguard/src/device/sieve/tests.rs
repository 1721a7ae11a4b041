//! The kernel does what the program says, and the program says what is said here in Rust.

use super::*;
use crate::io::{Udp, UdpOptions};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
    All,
    Some,
    None,
}

impl Sieve {
    fn keeps(&self, source: IpAddr, payload: &[u8]) -> Keeps {
        if payload.len() >= LONG as usize {
            return Keeps::All;
        }
        let word = |at: usize| {
            payload.get(at..at + 4).map(|word| u32::from_le_bytes(word.try_into().unwrap()))
        };
        let by_mark = |index: Option<u32>| match index {
            Some(index) if self.marks.is_marked(index) => Keeps::All,
            _ => Keeps::None,
        };
        let by_source = if self.known.has(source) { Keeps::All } else { Keeps::Some };
        match (word(0), payload) {
            (Some(TYPE_DATA), _) => match by_mark(word(4)) {
                Keeps::All if word(4).is_none_or(|index| index.swap_bytes() & ROAMS == 0) => {
                    by_source
                }
                other => other,
            },
            (Some(TYPE_RESPONSE), _) => by_mark(word(8)),
            (Some(TYPE_COOKIE_REPLY), _) | (_, [0x81, b'R', b'W', b'K', ..]) => by_mark(word(4)),
            (Some(TYPE_INITIATION), _) => by_source,
            (_, [0x80 | 0x82 | 0x85 | 0x87, b'R', b'W', b'K', ..]) => by_source,
            (Some(_), [_, _, _, _, 0x21, 0x12, 0xa4, 0x42, ..]) => Keeps::All,
            _ => Keeps::None,
        }
    }
}

/// A socket with the sieve, and two more: one whose address is known, one of a stranger.
struct Scene {
    sieve: Sieve,
    target: Udp,
    plain: UdpSocket,
    known: UdpSocket,
    stranger: UdpSocket,
}

impl Scene {
    fn new(seed: u32) -> Self {
        let bind = |ip: Ipv4Addr| UdpSocket::bind((ip, 0)).unwrap();
        let target = Udp::bind((Ipv4Addr::LOCALHOST, 0).into(), UdpOptions::default()).unwrap();
        let plain = UdpSocket::from(target.as_fd().try_clone_to_owned().unwrap());
        let (known, stranger) = (bind([127, 0, 0, 2].into()), bind([127, 0, 0, 3].into()));
        let factor = seed.wrapping_mul(0x9e37_79b1);
        let mut sieve = Sieve { marks: Marks::new(factor), known: Known::new([factor, !factor]) };
        sieve.known.add(ip_of(&known));
        if sieve.known.has(ip_of(&stranger)) {
            return Self::new(seed.wrapping_add(2)); // both share a bucket: another seed
        }
        target.set_filter(Some(&sieve.program(false))).unwrap();
        Self { sieve, target, plain, known, stranger }
    }

    /// On the loopback interface it is there, or dropped, when `send_to` returns.
    fn arrives(&self, from: &UdpSocket, payload: &[u8]) -> bool {
        from.send_to(payload, self.plain.local_addr().unwrap()).unwrap();
        let mut got = [0; 4_096];
        match self.plain.recv(&mut got) {
            Ok(length) => {
                assert_eq!(&got[..length], payload, "kept whole");
                true
            }
            Err(_) => false,
        }
    }

    fn check(&self, payload: &[u8]) {
        for from in [&self.known, &self.stranger] {
            let keeps = self.sieve.keeps(ip_of(from), payload);
            match keeps {
                Keeps::Some => {
                    let kept = (0..320).filter(|_| self.arrives(from, payload)).count();
                    assert!((2..80).contains(&kept), "{kept} of 320, not one in sixteen");
                }
                _ => assert_eq!(self.arrives(from, payload), keeps == Keeps::All, "{payload:?}"),
            }
        }
    }
}

fn ip_of(socket: &UdpSocket) -> IpAddr {
    socket.local_addr().unwrap().ip()
}

fn message(head: [u8; 4], index_at: usize, index: u32, length: usize) -> Vec<u8> {
    let mut bytes = vec![0x5a; length.max(index_at + 4)];
    bytes[..4].copy_from_slice(&head);
    bytes[index_at..index_at + 4].copy_from_slice(&index.to_le_bytes());
    bytes.truncate(length);
    bytes
}

#[test]
fn what_is_for_us_passes_and_what_is_not_does_not() {
    let scene = Scene::new(0x1234_5677);
    let marks = &scene.sieve.marks;
    let (ours, wide) = (marks.mark(7, false), marks.mark(7, true));
    let alien = (0..).find(|index| !marks.is_marked(*index)).unwrap();
    let keeps = |source: &UdpSocket, payload: &[u8]| {
        scene.check(payload);
        scene.sieve.keeps(ip_of(source), payload)
    };
    let (known, stranger) = (&scene.known, &scene.stranger);
    let data = |index| message([4, 0, 0, 0], 4, index, 96);
    assert_eq!(keeps(known, &data(ours)), Keeps::All);
    assert_eq!(keeps(stranger, &data(ours)), Keeps::Some, "one of ours is heard where it is known");
    assert_eq!(keeps(stranger, &data(wide)), Keeps::All, "a vanilla peer may be anywhere");
    assert_eq!(keeps(known, &data(alien)), Keeps::None);
    assert_eq!(keeps(stranger, &message([4, 0, 0, 0], 4, alien, 2_048)), Keeps::All, "joined");
    assert_eq!(keeps(stranger, &message([4, 0, 0, 0], 4, alien, 2_047)), Keeps::None);
    assert_eq!(keeps(stranger, &message([2, 0, 0, 0], 8, ours, 92)), Keeps::All, "an answer");
    assert_eq!(keeps(known, &message([2, 0, 0, 0], 8, alien, 92)), Keeps::None);
    assert_eq!(keeps(stranger, &message([3, 0, 0, 0], 4, ours, 64)), Keeps::All, "a cookie");
    assert_eq!(keeps(stranger, &message(*b"\x81RWK", 4, ours, 80)), Keeps::All, "a probe");
    for head in [[1, 0, 0, 0], *b"\x80RWK", *b"\x82RWK", *b"\x85RWK", *b"\x87RWK"] {
        assert_eq!(keeps(known, &message(head, 4, alien, 148)), Keeps::All);
        assert_eq!(keeps(stranger, &message(head, 4, alien, 148)), Keeps::Some);
    }
    let stun = message([1, 1, 0, 0], 4, 0x42a4_1221, 20);
    assert_eq!(keeps(stranger, &stun), Keeps::All, "STUN");
    for short in [&[][..], &[4], &[4, 0, 0, 0], &[4, 0, 0, 0, 1, 2, 3], &[2, 0, 0, 0, 1, 2, 3, 4]] {
        assert_eq!(keeps(known, short), Keeps::None);
    }
}

#[test]
fn what_is_dropped_is_counted_and_all_passes_again_without_it() {
    let scene = Scene::new(99);
    let before = scene.target.dropped().unwrap();
    assert!((0..5).all(|_| !scene.arrives(&scene.known, b"rubbish")));
    assert_eq!(scene.target.dropped().unwrap().wrapping_sub(before), 5);
    scene.target.set_filter(None).unwrap();
    assert!(scene.arrives(&scene.known, b"rubbish"));
    assert!(scene.target.set_filter(None).is_err(), "there is none");
}

#[test]
fn networks_of_ipv6_are_known_as_a_whole() {
    let bind = || UdpSocket::bind(SocketAddr::from(([0u16, 0, 0, 0, 0, 0, 0, 1], 0)));
    let (Ok(from), Ok(target)) =
        (bind(), Udp::bind("[::1]:0".parse().unwrap(), UdpOptions::default()))
    else {
        return eprintln!("skipped: no IPv6 here");
    };
    let mut sieve = Sieve { marks: Marks::new(3), known: Known::new([5, 7]) };
    let plain = UdpSocket::from(target.as_fd().try_clone_to_owned().unwrap());
    let initiation = message([1, 0, 0, 0], 4, 0, 148);
    let arrive = |sieve: &Sieve| {
        target.set_filter(Some(&sieve.program(true))).unwrap();
        let arrives = |_: &u32| {
            from.send_to(&initiation, plain.local_addr().unwrap()).unwrap();
            plain.recv(&mut [0; 256]).is_ok()
        };
        (0..320).filter(arrives).count()
    };
    assert!((2..80).contains(&arrive(&sieve)));
    sieve.known.add("::ffff:0:0:2".parse().unwrap()); // of ::/64, as ::1 is
    assert_eq!(arrive(&sieve), 320);
}

#[test]
fn a_known_address_is_found_and_of_others_as_many_as_share_a_bucket() {
    let mut known = Known::new([0x9e37_79b9, 0x85eb_ca6b]);
    let address = |number: u32| IpAddr::from(Ipv4Addr::from(0x0a00_0000 + number * 77));
    (0..50).for_each(|number| known.add(address(number)));
    assert!((0..50).all(|number| known.has(address(number))));
    let others = (50..10_050).filter(|number| known.has(address(*number))).count();
    assert!((200..800).contains(&others), "{others} of ten thousand");
    assert!(!known.emptied().has(address(3)));
}

fn payload(sieve: &Sieve) -> impl Strategy<Value = Vec<u8>> + use<> {
    let marks = sieve.marks;
    const HEADS: [[u8; 4]; 11] = [
        [1, 0, 0, 0],
        [2, 0, 0, 0],
        [3, 0, 0, 0],
        [4, 0, 0, 0],
        [0, 0, 0, 1],
        *b"\x80RWK",
        *b"\x81RWK",
        *b"\x84RWK",
        *b"\x85RWK",
        *b"KWR\x81",
        [0, 1, 0, 8],
    ];
    let index =
        (any::<u32>(), any::<bool>(), any::<bool>()).prop_map(move |(random, ours, roams)| {
            if ours { marks.mark(random, roams) } else { random }
        });
    let middle = prop_oneof![index, Just(0x42a4_1221u32)];
    (prop::sample::select(&HEADS[..]), middle, any::<bool>(), 0..2_300usize, any::<bool>())
        .prop_map(|(head, index, late, length, short)| {
            let length = if short { length % 200 } else { length };
            message(head, if late { 8 } else { 4 }, index, length)
        })
}

#[test]
fn kernel_and_words_agree_on_anything() {
    for seed in [1, 0xdead_beef, 0x7fff_ffff] {
        let scene = Scene::new(seed);
        let mut runner = proptest::test_runner::TestRunner::default();
        let payloads = prop_oneof![4 => payload(&scene.sieve), 1 => prop::collection::vec(any::<u8>(), 0..200)];
        runner
            .run(&payloads, |payload| {
                scene.check(&payload);
                Ok(())
            })
            .unwrap();
    }
}
