//! The timers, on a clock that the test drives.

use super::end::{End, Link, local};
use crate::noise::constants::*;
use crate::noise::{Action, ProtocolOptions};

#[test]
fn an_idle_link_is_silent() {
    let mut link = Link::established();
    link.run_until(link.now + 170_000);
    assert_eq!((link.a.initiations.len(), link.b.initiations.len()), (1, 0));
    assert_eq!(link.a.keepalives, []);
    assert_eq!(link.b.keepalives, [11_000], "the one packet that came is acknowledged");
}

#[test]
fn data_without_an_answer_is_acknowledged_after_ten_seconds() {
    let mut link = Link::established();
    link.run_until(6_000);
    link.send_a(&[2; 16]);
    link.run_until(40_000);
    assert_eq!(link.b.keepalives, [11_000], "sending clears what is owed");
    link.run_until(50_000);
    link.send_a(&[3; 16]);
    link.run_until(51_000);
    link.send_b(&[4; 16]);
    link.run_until(70_000);
    assert_eq!(link.b.keepalives, [11_000], "an answer is an acknowledgement");
    assert_eq!(link.a.keepalives, [61_000]);
}

#[test]
fn the_initiator_renews_after_two_minutes_when_it_sends() {
    let mut link = Link::established();
    let born = link.now;
    link.run_until(born + REKEY_AFTER_MS - 1);
    link.send_a(&[2; 16]);
    assert_eq!(link.a.initiations.len(), 1);
    link.run_until(born + REKEY_AFTER_MS);
    link.send_a(&[3; 16]);
    assert_eq!(link.a.initiations, [born, born + REKEY_AFTER_MS]);
    let renewed = link.a.protocol.session().sending(link.now).unwrap();
    assert_eq!(renewed.created, link.now);
    link.send_b(&[4; 16]);
    assert_eq!(link.a.got, [vec![4; 16]]);
}

#[test]
fn the_responder_leaves_renewal_to_the_initiator() {
    let mut link = Link::established();
    let born = link.now;
    for step in 1..=164 {
        link.run_until(born + step * 1_000);
        link.send_b(&[2; 16]);
    }
    assert_eq!((link.a.initiations.len(), link.b.initiations.len()), (2, 0));
    let kept_alive = link.a.initiations[1] - born;
    assert!(kept_alive >= REKEY_AFTER_MS, "its keepalives are sent packets too: {kept_alive}");
}

#[test]
fn an_initiator_that_only_receives_renews_in_the_last_minute_once() {
    let mut link = Link::established();
    let born = link.now;
    link.run_until(born + LAST_MINUTE_MS);
    let packet = link.b.send(&[2; 16], link.now).remove(0);
    let copy = link.b.send(&[3; 16], link.now).remove(0);
    let sent = link.a.receive(&packet, link.now);
    assert_eq!(link.a.initiations, [born, link.now]);
    assert_eq!(sent.len(), 1);
    link.a.receive(&copy, link.now + 5_000);
    assert_eq!(link.a.initiations.len(), 2, "only the retransmission would repeat it");
}

#[test]
fn a_session_neither_sends_nor_receives_after_three_minutes() {
    let mut link = Link::established();
    let born = link.now;
    let keypair = link.a.protocol.session().sending(born).unwrap();
    let late = link.b.send(&[9; 16], born).remove(0);
    assert!(link.a.protocol.session().sending(born + REJECT_AFTER_MS - 1).is_some());
    assert!(link.a.protocol.session().sending(born + REJECT_AFTER_MS).is_none());
    assert!(!keypair.is_alive(born + REJECT_AFTER_MS));
    link.a.receive(&late, born + REJECT_AFTER_MS);
    assert!(link.a.got.is_empty());
    link.now = born + REJECT_AFTER_MS;
    link.send_a(&[4; 16]);
    assert_eq!(link.a.initiations, [born, link.now]);
    assert_eq!(link.b.got.last(), Some(&vec![4; 16]));
}

#[test]
fn silence_after_sent_data_begins_a_new_handshake_after_fifteen_seconds() {
    let mut link = Link::established();
    link.run_until(20_000);
    link.cut = true;
    link.send_a(&[2; 16]);
    link.run_until(34_999);
    assert_eq!(link.a.initiations.len(), 1);
    link.run_until(35_333);
    assert_eq!(link.a.initiations.len(), 2);
    link.cut = false;
    link.run_until(42_000);
    assert_eq!(link.a.initiations.len(), 3);
    assert_eq!(link.a.protocol.session().sending(link.now).unwrap().created, link.a.initiations[2]);
}

#[test]
fn a_network_change_begins_a_handshake_soon_unless_the_peer_is_heard() {
    let mut link = Link::established();
    link.run_until(20_000);
    link.a.protocol.network_changed(20_000);
    link.run_until(20_000 + JITTER_MS);
    assert_eq!(link.a.initiations.len(), 2);
    link.run_until(30_000);
    link.a.protocol.network_changed(30_000);
    link.send_b(&[1; 16]);
    link.run_until(35_000);
    assert_eq!(link.a.initiations.len(), 2);
}

#[test]
fn an_unanswered_handshake_is_repeated_with_jitter_and_given_up_after_ninety_seconds() {
    let mut link = Link::new([0; 32]);
    link.cut = true;
    link.send_a(&[1; 16]);
    link.run_until(300_000);
    let initiations = link.a.initiations.clone();
    assert_eq!(initiations.len(), 20, "as many as the kernel sends");
    let gaps: Vec<_> = initiations.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| (5_000..=5_333).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap != gaps[0]), "{gaps:?}");
    let given_up: Vec<_> =
        link.a.actions.iter().filter(|(_, action)| *action == Action::HandshakeGivenUp).collect();
    assert_eq!(given_up.len(), 1);
    let after = given_up[0].0 - initiations[0];
    assert!((90_000..=107_000).contains(&after), "{after}");

    link.cut = false;
    link.send_a(&[2; 16]);
    assert_eq!(link.b.got, [vec![2; 16]], "a new packet tries again, the old ones are gone");
}

#[test]
fn a_complete_handshake_starts_the_count_of_attempts_anew() {
    let mut link = Link::new([0; 32]);
    link.cut = true;
    link.send_a(&[1; 16]);
    link.run_until(60_000);
    link.cut = false;
    link.run_until(90_000);
    let before = link.a.initiations.len();
    link.cut = true;
    link.a.initiate(90_000).unwrap();
    link.run_until(270_000);
    assert_eq!(link.a.initiations.len() - before, 20);
}

#[test]
fn a_packet_during_the_attempts_starts_their_count_anew() {
    let mut link = Link::new([0; 32]);
    link.cut = true;
    link.send_a(&[1; 16]);
    link.run_until(60_000);
    link.send_a(&[2; 16]);
    link.run_until(61_000 + REKEY_ATTEMPT_MS);
    assert!(link.a.actions.iter().all(|(_, action)| *action != Action::HandshakeGivenUp));
}

#[test]
fn a_wish_during_the_pause_is_kept_and_dropped_when_a_session_has_come() {
    let mut link = Link::new([0; 32]);
    let initiation = link.b.initiate(link.now).unwrap();
    link.a.receive(&initiation, link.now); // the response is lost
    link.send_a(&[1; 16]);
    assert_eq!(link.a.initiations, [], "a handshake message has just left");
    let pause = link.a.deadline(link.now);
    assert_eq!(pause, link.now + REKEY_TIMEOUT_MS);
    link.now = pause;
    let sent = link.a.poll(pause);
    link.carry(sent, Vec::new());
    assert_eq!(link.b.got, [vec![1; 16]]);

    let mut link = Link::established();
    link.a.protocol.session().timers.want_handshake();
    link.run_until(link.now + 60_000);
    assert_eq!(link.a.initiations.len(), 1);
}

#[test]
fn keys_are_wiped_nine_minutes_after_the_last_ones() {
    let mut link = Link::established();
    let born = link.now;
    link.cut = true;
    link.run_until(born + 3 * REJECT_AFTER_MS - 1);
    assert_eq!((link.a.sessions.len(), link.b.sessions.len()), (1, 1));
    link.run_until(born + 3 * REJECT_AFTER_MS);
    for end in [&link.a, &link.b] {
        assert!(end.sessions.is_empty());
        assert!(end.protocol.session().slots.current().is_none());
        assert!(end.actions.contains(&(born + 3 * REJECT_AFTER_MS, Action::ZeroKeys)));
    }
}

#[test]
fn a_persistent_keepalive_opens_the_session_and_keeps_the_path_warm() {
    let (a, b) = (local(1), local(100));
    let options = |remote, keepalive_seconds| ProtocolOptions {
        remote,
        preshared_key: [0; 32],
        keepalive_seconds,
        vanilla: true,
    };
    let (to_b, to_a) = (options(*b.public(), 25), options(*a.public(), 0));
    let mut link = Link { a: End::new(a, to_b), b: End::new(b, to_a), now: 1_000, cut: false };
    link.run_until(101_000);
    assert_eq!(link.a.initiations, [1_000]);
    assert_eq!(link.a.keepalives[1..], [26_000, 51_000, 76_000, 101_000]);
    link.run_until(110_000);
    link.send_b(&[1; 16]);
    link.run_until(144_000);
    assert_eq!(link.a.keepalives.last(), Some(&120_000), "passive, ten seconds after the data");
    link.run_until(600_000);
    assert!(link.a.initiations.len() >= 4, "{:?}", link.a.initiations);
    assert!(link.a.protocol.session().sending(link.now).is_some());
    link.a.protocol.set_keepalive(0, link.now);
    let keepalives = link.a.keepalives.len();
    link.run_until(900_000);
    assert!(link.a.keepalives.len() <= keepalives + 1);
}
