//! Two sockets of this machine.

use super::*;
use crate::io::namespace::in_empty_network;
use crate::io::{Batch, Events, Interest, LinkConfig, Netlink, Poller};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

struct End {
    udp: Udp,
    poller: Poller,
    arena: Vec<u8>,
}

impl End {
    fn bind(address: &str) -> Self {
        let udp = Udp::bind(address.parse().unwrap(), UdpOptions::default()).unwrap();
        let poller = Poller::new().unwrap();
        poller.add(&udp, 0, Interest::Read).unwrap();
        Self { udp, poller, arena: vec![0; SLOTS * SLOT] }
    }

    fn address(&self) -> SocketAddr {
        self.udp.local_address().unwrap()
    }

    /// One round, waited for: headers and datagrams of every slot.
    fn receive(&mut self) -> Vec<(Received, Vec<Vec<u8>>)> {
        let mut events = Events::new();
        self.poller.wait(&mut events, Some(PATIENCE)).unwrap();
        let mut received = [Received::default(); SLOTS];
        let count = self.udp.receive(&mut self.arena, &mut received).unwrap();
        let slots = received[..count].iter().zip(self.arena.chunks(SLOT));
        slots
            .map(|(received, slot)| {
                let datagrams = slot[..received.length].chunks(received.stride).map(<[u8]>::to_vec);
                (*received, datagrams.collect())
            })
            .collect()
    }

    fn receive_datagrams(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut datagrams = Vec::new();
        while datagrams.len() < count {
            let round = self.receive();
            assert!(!round.is_empty(), "only {} of {count} came", datagrams.len());
            datagrams.extend(round.into_iter().flat_map(|(_, datagrams)| datagrams));
        }
        datagrams
    }

    fn is_empty(&mut self) -> bool {
        self.udp.receive(&mut self.arena, &mut [Received::default(); SLOTS]).unwrap() == 0
    }
}

fn messages(count: usize, stride: usize) -> Vec<u8> {
    (0..count * stride).map(|i| (i / stride) as u8).collect()
}

#[test]
fn a_batch_leaves_in_one_call_and_arrives_in_one_slot() {
    for loopback in ["127.0.0.1:0", "[::1]:0"] {
        let (here, mut there) = (End::bind(loopback), End::bind(loopback));
        let bytes = &messages(45, 1452)[..45 * 1452 - 100];
        let sent = here.udp.send(bytes, 1452, &Destination::new(there.address())).unwrap();
        assert_eq!(sent, Sent::AsAsked);
        let round = there.receive();
        let [(received, datagrams)] = &round[..] else { panic!("{} slots", round.len()) };
        assert_eq!((received.length, received.stride), (bytes.len(), 1452));
        assert_eq!((received.from, received.to), (here.address(), Some(there.address().ip())));
        assert_eq!(datagrams.concat(), bytes);
        assert!(there.is_empty());
    }
}

#[test]
fn without_offload_the_same_datagrams_arrive_one_by_one() {
    let (here, mut there) = (End::bind("[::1]:0"), End::bind("[::1]:0"));
    let bytes = messages(10, 500);
    here.udp
        .send_messages(Messages::new(&bytes, 500), &Destination::new(there.address()), false)
        .unwrap();
    let round = there.receive();
    assert!(round.len() > 1 && round.iter().all(|(_, datagrams)| datagrams.len() == 1));
    here.udp.send(&bytes, 500, &Destination::new(there.address())).unwrap();
    assert_eq!(there.receive_datagrams(10 - round.len() + 10).len(), 20 - round.len());
}

#[test]
fn where_the_kernel_refused_offload_it_is_not_asked_again() {
    let (here, mut there) = (End::bind("127.0.0.1:0"), End::bind("127.0.0.1:0"));
    let to = Destination::new(there.address());
    let (place, hash) = here.udp.refusal_of(&to);
    here.udp.refusals[place].store(hash, Ordering::Relaxed);
    here.udp.send(&messages(3, 500), 500, &to).unwrap();
    assert!(there.receive().iter().all(|(_, datagrams)| datagrams.len() == 1));
}

#[test]
fn a_prefix_stands_before_every_message_and_long_batches_are_divided() {
    let (here, mut there) = (End::bind("127.0.0.1:0"), End::bind("127.0.0.1:0"));
    let to = Destination { prefix: Some(*b"\x80RWKslot"), ..Destination::new(there.address()) };
    let bytes = &messages(200, 1200)[..200 * 1200 - 7];
    for singly in [false, true] {
        here.udp.send_messages(Messages::new(bytes, 1200), &to, !singly).unwrap();
        let datagrams = there.receive_datagrams(200);
        assert!(datagrams.iter().all(|datagram| datagram.starts_with(b"\x80RWKslot")));
        let payload: Vec<u8> =
            datagrams.iter().flat_map(|datagram| datagram[8..].to_vec()).collect();
        assert_eq!(payload, bytes);
    }
}

#[test]
fn an_answer_leaves_from_the_address_that_was_asked() {
    let (mut here, mut there) = (End::bind("127.0.0.1:0"), End::bind("0.0.0.0:0"));
    let asked = SocketAddr::new("127.0.0.7".parse().unwrap(), there.address().port());
    here.udp.send(b"question", 8, &Destination::new(asked)).unwrap();
    let question = there.receive()[0].0;
    assert_eq!(question.to, Some(asked.ip()));
    let to = Destination { source: question.to, ..Destination::new(question.from) };
    there.udp.send(&messages(2, 50), 50, &to).unwrap();
    assert_eq!(here.receive()[0].0.from, asked);
}

#[test]
fn a_source_that_is_gone_is_told_and_left_out() {
    for (loopback, gone) in [("127.0.0.1:0", "192.0.2.77"), ("[::1]:0", "2001:db8::77")] {
        let (here, mut there) = (End::bind(loopback), End::bind(loopback));
        let to = Destination {
            source: Some(gone.parse().unwrap()),
            ..Destination::new(there.address())
        };
        assert_eq!(here.udp.send(&messages(2, 50), 50, &to).unwrap(), Sent::WithoutSource);
        assert_eq!(there.receive()[0].0.from, here.address());
    }
}

#[test]
fn an_empty_datagram_has_a_stride() {
    let (here, mut there) =
        (std::net::UdpSocket::bind("127.0.0.1:0").unwrap(), End::bind("127.0.0.1:0"));
    here.send_to(b"", there.address()).unwrap();
    let (received, _) = there.receive()[0];
    assert_eq!((received.length, received.stride), (0, 1));
}

#[test]
fn a_port_is_shared_only_when_asked_and_steered_by_the_session() {
    let alone = End::bind("127.0.0.1:0");
    let taken = Udp::bind(alone.address(), UdpOptions::default()).err().unwrap();
    assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);

    let shared = UdpOptions { reuse_port: true, ..UdpOptions::default() };
    let first = Udp::bind("127.0.0.1:0".parse().unwrap(), shared).unwrap();
    let address = first.local_address().unwrap();
    let second = Udp::bind(address, shared).unwrap();
    first.steer_by_session(2).unwrap();
    for (byte, udp) in [(0, &first), (1, &second), (254, &first), (255, &second)] {
        alone.udp.send(&[4, 0, 0, 0, byte, 9, 9, 9], 8, &Destination::new(address)).unwrap();
        let mut received = [Received::default(); SLOTS];
        // On the loopback interface it is there when `send` returns.
        assert_eq!(
            udp.receive(&mut vec![0; SLOTS * SLOT], &mut received).unwrap(),
            1,
            "byte {byte}"
        );
    }
}

#[test]
fn what_cannot_be_sent_is_an_error_of_its_kind() {
    let here = End::bind("127.0.0.1:0");
    let v6 = Destination::new("[::1]:9".parse().unwrap());
    assert!(matches!(here.udp.send(b"x", 1, &v6), Err(SendError::Failed(_))));
    assert!(matches!(
        here.udp.send(b"x", 0, &Destination::new(here.address())),
        Err(SendError::Failed(_))
    ));
    assert!(here.udp.receive(&mut [], &mut [Received::default(); SLOTS]).is_err());
}

#[test]
fn messages_beyond_the_mtu_are_too_big_and_offload_is_not_blamed() {
    in_empty_network(
        "io::udp::tests::messages_beyond_the_mtu_are_too_big_and_offload_is_not_blamed",
        || {
            let mut netlink = Netlink::open().unwrap();
            let link = netlink.index("lo").unwrap();
            let config = LinkConfig { mtu: 1400, queue_length: 1000, gso_segments: 45 };
            netlink.configure(link, &config).unwrap();
            netlink.up(link).unwrap();
            for loopback in ["127.0.0.1:0", "[::1]:0"] {
                let (here, mut there) = (End::bind(loopback), End::bind(loopback));
                let to = Destination::new(there.address());
                for count in [1, 3] {
                    let sent = here.udp.send(&messages(count, 1400), 1400, &to);
                    assert!(
                        matches!(sent, Err(SendError::TooBig)),
                        "{count} of {loopback}: {sent:?}"
                    );
                }
                here.udp.send(&messages(3, 1300), 1300, &to).unwrap();
                assert_eq!(there.receive()[0].1.len(), 3, "still in one slot");
            }
        },
    );
}

/// `cargo test --release --lib udp_bulk -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn udp_bulk_with_and_without_offload() {
    const ROUNDS: usize = 20_000;
    for loopback in ["127.0.0.1:0", "[::1]:0"] {
        for singly in [false, true] {
            let (here, mut there) = (End::bind(loopback), End::bind(loopback));
            let (to, bytes) = (Destination::new(there.address()), messages(45, 1440));
            let (mut arrived, began) = (0, std::time::Instant::now());
            let mut received = [Received::default(); SLOTS];
            for _ in 0..ROUNDS {
                let messages = Messages::new(&bytes, 1440);
                here.udp.send_messages(messages, &to, !singly).unwrap();
                loop {
                    let count = there.udp.receive(&mut there.arena, &mut received).unwrap();
                    arrived += received[..count].iter().map(|slot| slot.length).sum::<usize>();
                    if count < SLOTS {
                        break;
                    }
                }
            }
            let seconds = began.elapsed().as_secs_f64();
            let rate = arrived as f64 * 8.0 / seconds / 1e9;
            assert_eq!(arrived, ROUNDS * bytes.len());
            println!("{loopback} offload {}: {rate:.1} Gbit/s on one core, both ways", !singly);
        }
    }
}

#[test]
fn messages_behind_prefixes_leave_with_them_with_others_or_without() {
    let (here, mut there) = (End::bind("127.0.0.1:0"), End::bind("127.0.0.1:0"));
    let to = |prefix| Destination { prefix, ..Destination::new(there.address()) };
    let [own, other, none] = [Some(*b"own slot"), Some(*b"another "), None].map(to);
    let mut batch = Batch::new();
    let bytes = messages(20, 1200);
    bytes.chunks(1200).for_each(|message| batch.add(&own, 1200).copy_from_slice(message));
    batch.add(&own, 7).fill(7);
    let (all, _) = batch.take().unwrap();
    for (to, offload) in [own, other, none].into_iter().flat_map(|to| [(to, true), (to, false)]) {
        here.udp.send_messages(all, &to, offload).unwrap();
        let datagrams = there.receive_datagrams(21);
        let expected: Vec<Vec<u8>> =
            all.iter().map(|one| [to.prefix.as_slice().concat(), one.to_vec()].concat()).collect();
        assert_eq!(datagrams, expected);
    }
}
