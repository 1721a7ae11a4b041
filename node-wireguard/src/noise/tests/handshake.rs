use std::sync::Arc;

use super::end::{End, Link, local, wall};
use crate::noise::constants::{REJECT_AFTER_MESSAGES, REKEY_AFTER_MESSAGES};
use crate::noise::*;

fn options(remote: PublicKey) -> ProtocolOptions {
    ProtocolOptions { remote, preshared_key: [0; 32], keepalive_seconds: 0, vanilla: false }
}

#[test]
fn the_first_packet_makes_a_session_and_both_ends_speak() {
    for preshared in [[0; 32], [9; 32]] {
        let mut link = Link::new(preshared);
        link.send_a(b"one sixteenth of");
        link.send_b(b"another sixteen.");
        assert_eq!(link.b.got, [b"one sixteenth of"]);
        assert_eq!(link.a.got, [b"another sixteen."]);
        assert_eq!((link.a.initiations.len(), link.b.initiations.len()), (1, 0));
        assert_eq!(link.a.protocol.session().timers.last_handshake(), Some(link.now));
        assert_eq!(link.b.protocol.session().timers.last_handshake(), Some(link.now));
    }
}

#[test]
fn without_a_packet_waiting_an_empty_one_confirms_the_session() {
    let mut link = Link::new([0; 32]);
    let sent = link.a.initiate(link.now).into_iter().collect();
    link.carry(sent, Vec::new());
    assert_eq!(link.a.keepalives, [link.now]);
    assert!(link.b.protocol.session().sending(link.now).is_some());
}

#[test]
fn the_responder_sends_nothing_before_the_first_packet_has_come() {
    let mut link = Link::new([0; 32]);
    let initiation = link.a.initiate(link.now).unwrap();
    let response = link.b.receive(&initiation, link.now).remove(0);
    assert!(link.b.protocol.session().sending(link.now).is_none());
    assert!(link.b.send(b"early", link.now).is_empty());
    let confirmation = link.a.receive(&response, link.now);
    assert_eq!(confirmation.len(), 1);
    let sent = link.b.receive(&confirmation[0], link.now);
    link.carry(Vec::new(), sent);
    assert_eq!(link.a.got, [b"early\0\0\0\0\0\0\0\0\0\0\0"]);
}

#[test]
fn two_initiations_at_once_give_a_session_without_a_repetition() {
    let mut link = Link::new([0; 32]);
    let from_a = link.a.send(&[1; 16], link.now);
    let from_b = link.b.send(&[2; 16], link.now);
    link.carry(from_a, from_b);
    assert_eq!((&link.b.got, &link.a.got), (&vec![vec![1; 16]], &vec![vec![2; 16]]));
    link.send_a(&[3; 16]);
    link.send_b(&[4; 16]);
    assert_eq!((link.a.got.len(), link.b.got.len()), (2, 2));
    link.run_until(link.now + 30_000);
    assert_eq!((link.a.initiations.len(), link.b.initiations.len()), (1, 1));
    for round in 0..5 {
        link.now += 6_000;
        let (from_a, from_b) = (link.a.initiate(link.now), link.b.initiate(link.now));
        link.carry(from_a.into_iter().collect(), from_b.into_iter().collect());
        assert_eq!((link.a.sessions.len(), link.b.sessions.len()), (2, 2), "round {round}");
    }
}

#[test]
fn a_peer_that_forgets_its_initiation_to_answer_ours_as_the_kernel_does_gets_a_session_too() {
    let mut link = Link::new([0; 32]);
    let from_a = link.a.send(&[1; 16], link.now);
    let from_b = link.b.send(&[2; 16], link.now);
    let response = link.b.receive(&from_a[0], link.now);
    link.b.protocol.set_preshared_key([0; 32]); // forgets it
    link.carry(Vec::new(), from_b.into_iter().chain(response).collect());
    assert_eq!((&link.b.got, &link.a.got), (&vec![vec![1; 16]], &vec![vec![2; 16]]));
    link.run_until(link.now + 30_000);
    assert_eq!((link.a.initiations.len(), link.b.initiations.len()), (1, 1));
}

#[test]
fn another_preshared_key_makes_no_session() {
    let (mut a, _) = End::pair([1; 32]);
    let (_, mut b) = End::pair([2; 32]);
    let initiation = a.initiate(0).unwrap();
    let response = b.receive(&initiation, 0).remove(0);
    assert_eq!(a.protocol.on_response(&response, 0).err(), Some(NoiseError::Forged));
    a.protocol.set_preshared_key([2; 32]);
    assert_eq!(a.protocol.on_response(&response, 0).err(), Some(NoiseError::Unexpected));
    let initiation = a.initiate(5_000).unwrap();
    let response = b.receive(&initiation, 5_000).remove(0);
    assert!(a.protocol.on_response(&response, 5_000).is_ok());
}

#[test]
fn a_replayed_an_older_and_a_hasty_initiation_are_refused() {
    let (a, mut b) = End::pair([0; 32]);
    let make = |time| {
        let options = options(*b.local.public());
        let mut fresh = Protocol::new(Arc::clone(&a.local), options, time).unwrap();
        fresh.initiate(time, wall(time), 7).unwrap()
    };
    let (older, initiation, newer) = (make(0), make(1_000), make(2_000));
    let mut offer = |message, now| {
        let opened = open_initiation(&b.local, message).unwrap();
        b.protocol.on_initiation(opened, 9, now).map(drop)
    };
    assert_eq!(offer(&initiation, 1_000), Ok(()));
    assert_eq!(offer(&initiation, 2_000), Err(NoiseError::Replayed));
    assert_eq!(offer(&older, 2_000), Err(NoiseError::Replayed));
    assert_eq!(offer(&newer, 1_019), Err(NoiseError::Flood));
    assert_eq!(offer(&newer, 1_020), Ok(()));
}

#[test]
fn a_clock_that_jumps_back_or_ahead_still_makes_rising_timestamps() {
    let (mut a, mut b) = End::pair([0; 32]);
    let initiation = a.initiate(100_000).unwrap();
    assert_eq!(b.receive(&initiation, 100_000).len(), 1);
    // A hundred seconds back, ten years ahead, and where it should be again.
    for (index, clock) in [(8, 50), (9, 315_360_000_000), (10, 115_000), (11, 120_000)] {
        let now = 100_000 + (index - 7) * 5_000;
        let again = a.protocol.initiate(now, wall(clock), index as u32).unwrap();
        assert_eq!(b.receive(&again, now).len(), 1, "at {clock} ms");
    }
}

#[test]
fn changed_handshake_messages_are_refused_and_do_not_end_the_handshake() {
    let (mut a, mut b) = End::pair([0; 32]);
    let initiation = a.initiate(0).unwrap();
    for at in 0..INITIATION - 16 {
        let mut changed = initiation.clone();
        changed[at] ^= 1;
        assert!(b.receive_anything(&changed, 0).is_empty(), "byte {at}");
    }
    let response = b.receive(&initiation, 0).remove(0);
    for at in 0..RESPONSE - 16 {
        let mut changed = response.clone();
        changed[at] ^= 1;
        assert!(a.receive_anything(&changed, 0).is_empty(), "byte {at}");
        assert!(a.protocol.on_response(&changed, 0).is_err(), "byte {at}");
    }
    assert!(a.protocol.on_response(&response, 0).is_ok());
    assert_eq!(a.protocol.on_response(&response, 0).err(), Some(NoiseError::Unexpected));
}

#[test]
fn an_initiation_for_somebody_else_costs_no_key_agreement() {
    let (mut a, b) = End::pair([0; 32]);
    let initiation = a.initiate(0).unwrap();
    assert!(check_mac1(&b.local, &initiation));
    assert!(!check_mac1(&a.local, &initiation));
    assert_eq!(open_initiation(&a.local, &initiation).err(), Some(NoiseError::WrongMac));
    let stranger = Protocol::new(Arc::clone(&b.local), options(*local(50).public()), 0);
    let opened = open_initiation(&b.local, &initiation).unwrap();
    let refused = stranger.unwrap().on_initiation(opened, 1, 0).err();
    assert_eq!(refused, Some(NoiseError::OtherPeer));
}

#[test]
fn a_peer_with_a_key_of_low_order_gets_no_packet() {
    let mut one = [0; 32];
    one[0] = 1;
    for key in [[0; 32], one] {
        let mut end = End::new(local(1), options(PublicKey(key)));
        assert!(end.send(b"packet", 0).is_empty());
        for now in [0, 5_000, 100_000] {
            assert!(end.poll(now).is_empty());
            assert_eq!(end.initiate(now), None);
        }
    }
}

#[test]
fn an_ephemeral_key_of_low_order_is_refused() {
    let (mut a, b) = End::pair([0; 32]);
    let mut initiation = a.initiate(0).unwrap();
    initiation[8..40].fill(0);
    let mut stamper = cookie::MacStamper::new(b.local.public());
    stamper.stamp(&mut initiation, 0, 0);
    assert_eq!(open_initiation(&b.local, &initiation).err(), Some(NoiseError::ZeroResult));
}

#[test]
fn our_own_key_is_no_peer() {
    let own = local(1);
    let refused = Protocol::new(Arc::clone(&own), options(*own.public()), 0).err();
    assert_eq!(refused, Some(NoiseError::OwnKey));
}

#[test]
fn the_counter_stops_before_it_could_repeat() {
    let mut link = Link::established();
    let keypair = link.a.protocol.session().sending(link.now).unwrap();
    keypair.skip_to(REJECT_AFTER_MESSAGES - 2);
    assert_eq!(keypair.next_counters(3), None);
    assert_eq!(keypair.next_counters(2), Some(REJECT_AFTER_MESSAGES - 2));
    for _ in 0..10_000 {
        assert_eq!(keypair.next_counters(64), None);
    }
    assert!(link.a.protocol.session().sending(link.now).is_none());
    link.now += 5_000;
    link.send_a(&[5; 16]);
    assert_eq!(link.a.initiations.len(), 2);
    assert_eq!(link.b.got.last(), Some(&vec![5; 16]));
}

#[test]
fn threads_that_take_counters_never_get_the_same_one() {
    let link = Link::established();
    let keypair = link.a.protocol.session().sending(link.now).unwrap();
    let begin = keypair.sent();
    let mut firsts: Vec<u64> = std::thread::scope(|scope| {
        let take = || (0..1_000).filter_map(|_| keypair.next_counters(45)).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    firsts.sort_unstable();
    let expected: Vec<u64> = (0..4_000).map(|batch| begin + batch * 45).collect();
    assert_eq!(firsts, expected);
}

#[test]
fn many_messages_make_either_end_renew() {
    for responder in [false, true] {
        let mut link = Link::established();
        link.now += 5_000;
        let end = if responder { &link.b } else { &link.a };
        let keypair = end.protocol.session().sending(link.now).unwrap();
        keypair.skip_to(REKEY_AFTER_MESSAGES);
        if responder {
            link.send_b(&[1; 16])
        } else {
            link.send_a(&[1; 16])
        }
        let begun = if responder { &link.b } else { &link.a };
        assert_eq!(begun.initiations.last(), Some(&link.now));
    }
}

#[test]
fn what_was_on_the_way_still_arrives_after_a_rekey_and_old_indices_are_released() {
    let mut link = Link::established();
    let late = link.a.send(&[7; 16], link.now);
    for _ in 0..2 {
        link.now += 6_000;
        let sent = link.a.initiate(link.now).into_iter().collect();
        link.carry(sent, Vec::new());
        assert!(link.a.sessions.len() <= 2);
    }
    assert_eq!(link.b.sessions.len(), 2, "current and previous");
    assert!(link.b.receive(&late[0], link.now).is_empty());
    assert_eq!(link.b.got.len(), 1, "two rekeys later it is too late");
    let late = link.a.send(&[8; 16], link.now);
    link.now += 6_000;
    let sent = link.a.initiate(link.now).into_iter().collect();
    link.carry(sent, Vec::new());
    link.b.receive(&late[0], link.now);
    assert_eq!(link.b.got.last(), Some(&vec![8; 16]));
    link.b.receive(&late[0], link.now);
    assert_eq!(link.b.got.len(), 2, "a copy is not delivered");
}

#[test]
fn a_cleared_peer_keeps_no_key_and_no_index() {
    let mut link = Link::established();
    let weak = link.a.sessions.values().map(Arc::downgrade).collect::<Vec<_>>();
    link.now += 5_000;
    link.a.initiate(link.now).unwrap();
    link.a.protocol.clear();
    link.a.poll(link.now);
    assert_eq!(link.a.protocol.awaited_index(), None);
    assert!(link.a.protocol.session().sending(link.now).is_none());
    assert!(link.a.sessions.is_empty());
    assert!(weak.iter().all(|keypair| keypair.upgrade().is_none()));
}

#[test]
fn packets_are_padded_to_sixteen_but_not_beyond_the_mtu() {
    let cases =
        [(0, 0), (1, 16), (16, 16), (17, 32), (1_393, 1_400), (1_400, 1_400), (1_500, 1_500)];
    for (length, expected) in cases {
        assert_eq!(padded(length, 1_400), expected);
    }
}
