use std::net::SocketAddr;

use super::end::{End, Link, local, source};
use crate::noise::*;

#[test]
fn under_load_a_stranger_must_prove_his_address_first() {
    let mut link = Link::new([0; 32]);
    link.b.loaded = true;
    link.send_a(&[1; 16]);
    assert!(link.b.got.is_empty());
    assert!(link.b.sessions.is_empty(), "no key agreement for the first message");
    link.run_until(link.now + 6_000);
    assert_eq!(link.a.initiations.len(), 2);
    assert_eq!(link.b.got, [vec![1; 16]]);
}

#[test]
fn a_loaded_initiator_challenges_the_response_too() {
    let mut link = Link::new([0; 32]);
    link.a.loaded = true;
    link.send_a(&[1; 16]);
    assert!(link.b.got.is_empty());
    link.run_until(link.now + 6_000);
    assert_eq!(link.b.got, [vec![1; 16]]);
}

#[test]
fn a_cookie_is_good_for_its_address_and_for_two_minutes() {
    let (mut a, mut b) = End::pair([0; 32]);
    let mut check = |message: &[u8], source, now| b.checker.check(message, source, true, now);
    let initiation = a.initiate(0).unwrap();
    let Verdict::Challenge(reply) = check(&initiation, source(), 0) else { panic!("no cookie") };
    a.protocol.on_cookie(&reply, 0).unwrap();
    assert_eq!(a.protocol.on_cookie(&reply, 0), Err(NoiseError::Unexpected), "taken already");
    let stamped = a.initiate(5_000).unwrap();
    let address = |port| SocketAddr::from(([192, 0, 2, 1], port));
    let others = [Source::Direct(address(1)), Source::Forwarded(address(51_820), 1)];
    for other in others {
        assert!(matches!(check(&stamped, other, 5_000), Verdict::Challenge(_)));
    }
    assert_eq!(check(&stamped, source(), 5_000), Verdict::Accept);
    assert_eq!(check(&stamped, source(), 119_999), Verdict::Accept);
    assert!(matches!(check(&stamped, source(), 120_000), Verdict::Challenge(_)));
    let bare = |message: &[u8]| message[INITIATION - 16..].iter().all(|byte| *byte == 0);
    assert!(!bare(&a.initiate(114_999).unwrap()));
    assert!(bare(&a.initiate(120_000).unwrap()), "dropped before its maker forgets it");
}

#[test]
fn a_proven_address_is_still_limited_and_a_forged_cookie_refused() {
    let (mut a, mut b) = End::pair([0; 32]);
    let initiation = a.initiate(0).unwrap();
    let verdict = b.checker.check(&initiation, source(), true, 0);
    let Verdict::Challenge(mut reply) = verdict else { panic!("no cookie") };
    reply[40] ^= 1;
    assert_eq!(a.protocol.on_cookie(&reply, 0), Err(NoiseError::Forged));
    reply[40] ^= 1;
    a.protocol.on_cookie(&reply, 0).unwrap();
    let stamped = a.initiate(5_000).unwrap();
    let allowed = (0..50)
        .filter(|_| b.checker.check(&stamped, source(), true, 5_000) == Verdict::Accept)
        .count();
    assert_eq!(allowed, 5);
}

#[test]
fn load_begins_at_512_waiting_messages_and_lasts_a_second() {
    let mut checker = CookieChecker::new(&local(1));
    assert!(!checker.is_under_load(511, 0));
    assert!(checker.is_under_load(512, 10_000));
    assert!(checker.is_under_load(0, 10_999));
    assert!(!checker.is_under_load(0, 11_000));
}

#[test]
fn worthless_messages_are_load_from_1000_in_a_second() {
    let mut checker = CookieChecker::new(&local(1));
    (0..999).for_each(|_| checker.on_wasted(10_000));
    checker.on_wasted(11_000);
    assert!(!checker.is_under_load(0, 11_000), "not within one second");
    (0..999).for_each(|_| checker.on_wasted(11_500));
    assert!(checker.is_under_load(0, 11_500) && checker.loaded_until() == 12_500);
    assert!(!checker.is_under_load(0, 12_500));
}
