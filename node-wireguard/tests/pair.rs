//! Two devices over loopback: sessions, peers, what is staged and what is cut.

mod support;

use node_wireguard::device::{DeviceError, Event, PathState, PeerConfig};
use std::time::Duration;
use support::*;

#[test]
fn the_first_packet_makes_a_session_and_arrives_and_so_does_the_answer() {
    let (a, b) = (Node::new(1), Node::new(2));
    introduce(&a, &b);
    deliver(&a, &b, b"first");
    a.wait_for("a handshake", |event| matches!(event, Event::Handshake { peer } if *peer == b.key));
    b.wait_for("a handshake", |event| matches!(event, Event::Handshake { peer } if *peer == a.key));
    deliver(&b, &a, b"answer");
    a.until_state(b.key, 1, PathState::Active);
    let path = a.path(b.key, 1).unwrap();
    assert!(path.rtt_us.is_some() && path.rx_bytes > 0 && path.tx_bytes > 0 && path.mtu == 1408);
    let status = a.device.status().unwrap();
    assert!(status.peers[0].last_handshake_ms.is_some_and(|ms| ms < 10_000));
    let counters = a.device.counters();
    assert_eq!(counters.get(status.peers[0].counters), status.peers[0].rx_bytes);
}

#[test]
fn a_packet_waits_for_the_path_that_comes_later() {
    let (a, b) = (Node::new(1), Node::new(2));
    a.add(b.config());
    b.add(a.config());
    for number in 0..200u8 {
        a.send(b.ip, &[number]);
    }
    a.wait_for("no path", |event| matches!(event, Event::NoPath { peer } if *peer == b.key));
    b.device.update_paths(a.key, vec![path(1, 0, a.address(0))]).unwrap();
    a.device.update_paths(b.key, vec![path(1, 0, b.address(0))]).unwrap();
    let first = b.receive().unwrap();
    assert_eq!(first, [200 - 128], "128 are kept, the newest");
    let rest: Vec<_> = (0..127).map(|_| b.receive().unwrap()[0]).collect();
    assert_eq!(rest, (73..200).collect::<Vec<u8>>(), "in order");
}

#[test]
fn with_a_preshared_key_both_must_know_it() {
    let (a, b) = (Node::new(1), Node::new(2));
    introduce(&a, &b);
    a.add(PeerConfig { preshared_key: Some([7; 32]), ..b.config() });
    a.send(b.ip, b"closed");
    assert_eq!(b.receive_within(Duration::from_secs(1)), None);
    b.add(PeerConfig { preshared_key: Some([7; 32]), ..a.config() });
    assert_eq!(b.receive().as_deref(), Some(&b"closed"[..]), "the next try gets through");
}

#[test]
fn a_removed_peer_is_cut_at_once_and_comes_back_anew() {
    let (a, b) = (Node::new(1), Node::new(2));
    introduce(&a, &b);
    deliver(&a, &b, b"one");
    b.device.update_peers(vec![], vec![a.key]).unwrap();
    a.send(b.ip, b"two");
    assert_eq!(b.receive_within(Duration::from_millis(300)), None);
    assert!(b.device.status().unwrap().peers.is_empty());
    assert!(matches!(b.device.update_paths(a.key, vec![]), Err(DeviceError::UnknownPeer)));
    b.add(a.config());
    b.device.update_paths(a.key, vec![path(1, 0, a.address(0))]).unwrap();
    deliver(&b, &a, b"three");
}

#[test]
fn a_peer_that_lost_its_sessions_is_met_again_soon() {
    let (a, b) = (Node::new(1), Node::new(2));
    introduce(&a, &b);
    deliver(&a, &b, b"before");
    let address = b.address(0);
    std::thread::sleep(Duration::from_millis(1_100)); // a session younger than a second may be half known
    drop(b);
    let b = Node::listening(2, vec![address]);
    b.add(a.config());
    b.device.update_paths(a.key, vec![path(1, 0, a.address(0))]).unwrap();
    // The first ones may still go under the session that b has lost.
    let start = std::time::Instant::now();
    while b.receive_within(Duration::from_millis(100)).is_none() {
        a.send(b.ip, b"after");
        assert!(start.elapsed() < Duration::from_secs(8));
    }
}

#[test]
fn large_packets_and_floods_of_small_ones_arrive_in_order() {
    let (a, b) = (Node::new(1), Node::new(2));
    introduce(&a, &b);
    deliver(&a, &b, &[9; 1408 - 28]);
    for round in 0..50u8 {
        for number in 0..20u8 {
            a.send(b.ip, &vec![round; 1 + number as usize * 60]);
        }
        for number in 0..20u8 {
            assert_eq!(b.receive().unwrap(), vec![round; 1 + number as usize * 60]);
        }
    }
}

#[test]
fn an_address_belongs_to_who_claimed_it_last_and_an_unknown_one_is_refused() {
    let (a, b, c) = (Node::new(1), Node::new(2), Node::new(3));
    introduce(&a, &b);
    introduce(&a, &c);
    deliver(&a, &b, b"to b");
    a.add(PeerConfig { allowed_ips: vec![(b.ip.into(), 32), (c.ip.into(), 32)], ..c.config() });
    a.send(b.ip, b"to c");
    // c gets it, and refuses nothing: it is the kernel behind it that would.
    assert_eq!(c.receive().as_deref(), Some(&b"to c"[..]));
    a.send("10.0.0.99".parse().unwrap(), b"to nobody");
    let answer = a.receive_within(PATIENCE).unwrap();
    assert_eq!((answer[9], answer[20]), (1, 3), "destination unreachable");
}

#[test]
fn what_cannot_be_is_refused_and_a_closed_device_says_so() {
    let (a, b) = (Node::new(1), Node::new(2));
    a.add(PeerConfig { public_key: a.key, ..b.config() });
    assert!(a.device.status().unwrap().peers.is_empty(), "its own key is no peer");
    let bad = PeerConfig { allowed_ips: vec![(b.ip.into(), 33)], ..b.config() };
    assert!(matches!(a.device.update_peers(vec![bad], vec![]), Err(DeviceError::Invalid(_))));
    a.add(b.config());
    for bad in
        [path(1 << 31, 0, local(9)), path(1, 9, local(9)), path(1, 0, "[::1]:9".parse().unwrap())]
    {
        assert!(matches!(a.device.update_paths(b.key, vec![bad]), Err(DeviceError::Invalid(_))));
    }
    assert!(matches!(a.device.send_control(0, local(9), b"no STUN"), Err(DeviceError::Invalid(_))));
    a.device.close();
    a.device.close();
    assert!(matches!(a.device.status(), Err(DeviceError::Closed)));
    assert!(matches!(a.device.update_peers(vec![], vec![]), Err(DeviceError::Closed)));
}
