//! Several paths between two devices: death, discovery, roaming, relays, size.

mod support;

use node_wireguard::device::{Event, PathConfig, PathState, PeerConfig};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::*;

/// A middle that runs by itself, and can be cut or narrowed.
struct Wire {
    address: std::net::SocketAddr,
    cut: Arc<AtomicBool>,
    largest: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Wire {
    fn between(a: std::net::SocketAddr, b: std::net::SocketAddr) -> Self {
        let socket = std::net::UdpSocket::bind(local(0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let wire = Self {
            address: socket.local_addr().unwrap(),
            cut: Arc::default(),
            largest: Arc::new(AtomicUsize::new(usize::MAX)),
            over: Arc::default(),
        };
        let (cut, largest, over) =
            (Arc::clone(&wire.cut), Arc::clone(&wire.largest), Arc::clone(&wire.over));
        thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while !over.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                if !cut.load(Ordering::Relaxed) && length <= largest.load(Ordering::Relaxed) {
                    let to = if from == a { b } else { a };
                    socket.send_to(&buffer[..length], to).unwrap();
                }
            }
        });
        wire
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Two devices with two wires between them; path 1 and 2 on both sides.
fn two_ways() -> (Node, Node, Wire, Wire) {
    let (a, b) = (Node::with(1, 2), Node::with(2, 2));
    let first = Wire::between(a.address(0), b.address(0));
    let second = Wire::between(a.address(1), b.address(1));
    a.add(b.config());
    b.add(a.config());
    for (node, other) in [(&a, &b), (&b, &a)] {
        let second = PathConfig { cost_class: 1, ..path(2, 1, second.address) };
        node.device.update_paths(other.key, vec![path(1, 0, first.address), second]).unwrap();
    }
    (a, b, first, second)
}

#[test]
fn when_the_path_dies_packets_go_by_the_other_and_few_are_lost() {
    let (a, b, first, _second) = two_ways();
    a.until_state(b.key, 1, PathState::Active);
    a.until_state(b.key, 2, PathState::Standby);
    b.until_state(a.key, 2, PathState::Standby);
    let (mut lost, mut longest, start) = (0, Duration::ZERO, Instant::now());
    let (mut sent, mut cut_at) = (0u32, None);
    let mut last = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        if sent == 300 {
            first.cut.store(true, Ordering::Relaxed);
            cut_at = Some(Instant::now());
        }
        a.send(b.ip, &sent.to_le_bytes());
        sent += 1;
        match b.receive_within(Duration::from_millis(2)) {
            Some(_) => {
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            None => lost += 1,
        }
        thread::sleep(Duration::from_micros(500)); // a steady stream
    }
    assert!(cut_at.is_some());
    let switch = a.wait_for("a switch", |event| {
        matches!(event, Event::PathActive { path: Some(2), previous: Some(1), .. })
    });
    drop(switch);
    println!("{lost} of {sent} lost, longest gap {longest:?}");
    assert!(longest < Duration::from_millis(500), "{longest:?}");
    first.cut.store(false, Ordering::Relaxed);
    a.until("path 1 again", |a| {
        a.path(b.key, 1).is_some_and(|path| path.state == PathState::Active)
    });
}

#[test]
fn a_new_address_is_challenged_and_used() {
    let (a, b) = (Node::new(1), Node::new(2));
    a.add(b.config());
    b.add(a.config());
    a.device.update_paths(b.key, vec![path(1, 0, b.address(0))]).unwrap();
    let found = b.wait_for("a new remote", |event| matches!(event, Event::NewRemote { .. }));
    let Event::NewRemote { remote, path: id, .. } = found else { unreachable!() };
    assert!(remote == a.address(0) && id >= 1 << 31);
    b.until_state(a.key, id, PathState::Active);
    deliver(&b, &a, b"by the path that was found");
    // Configured now, it keeps what is known of it.
    b.device.update_paths(a.key, vec![path(4, 0, a.address(0))]).unwrap();
    assert_eq!(b.path(a.key, 4).unwrap().state, PathState::Active);
}

#[test]
fn a_peer_that_starts_late_is_offered_the_handshake_again_at_once() {
    let a = Node::new(1);
    let absent = std::net::UdpSocket::bind(local(0)).unwrap();
    let address = absent.local_addr().unwrap();
    a.add(Node::new(2).config());
    let key = Node::new(2).key;
    a.device.update_paths(key, vec![path(1, 0, address)]).unwrap();
    a.send(std::net::Ipv4Addr::new(10, 0, 0, 2), b"staged");
    // The offer is out, and nobody takes it: the protocol repeats it after 5 s.
    let mut message = [0; 2048];
    absent.set_read_timeout(Some(PATIENCE)).unwrap();
    while !matches!(absent.recv(&mut message), Ok(148)) {}
    drop(absent);
    let b = Node::listening(2, vec![address]);
    let started = Instant::now();
    b.add(a.config());
    b.device.update_paths(a.key, vec![path(1, 0, a.address(0))]).unwrap();
    assert_eq!(b.receive().as_deref(), Some(&b"staged"[..]));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn a_vanilla_peer_is_answered_where_it_was_heard_last() {
    let (a, b) = (Node::new(1), Node::new(2));
    let [first, second] = [0; 2].map(|_| Wire::between(b.address(0), a.address(0)));
    a.add(PeerConfig { vanilla: true, ..b.config() });
    b.add(PeerConfig { vanilla: true, endpoint: Some(first.address), ..a.config() });
    deliver(&b, &a, b"from the first address");
    a.wait_for(
        "an endpoint",
        |event| matches!(event, Event::Endpoint { remote, .. } if *remote == first.address),
    );
    deliver(&a, &b, b"to the first");
    b.add(PeerConfig { vanilla: true, endpoint: Some(second.address), ..a.config() });
    first.cut.store(true, Ordering::Relaxed);
    deliver(&b, &a, b"from the second address");
    a.wait_for(
        "the endpoint to move",
        |event| matches!(event, Event::Endpoint { remote, .. } if *remote == second.address),
    );
    deliver(&a, &b, b"to the second");
    let status = a.device.status().unwrap();
    assert_eq!(status.peers[0].paths[0].remote, second.address);
    assert!(a.events().iter().all(|event| !matches!(event, Event::NewRemote { .. })));
}

#[test]
fn the_first_packet_goes_by_the_relay_and_the_direct_path_takes_over() {
    let (a, b) = (Node::new(1), Node::new(2));
    let (forwarder, relayed) = forwarder();
    a.add(b.config());
    b.add(a.config());
    let start = Instant::now();
    a.send(b.ip, b"first");
    b.device.update_paths(a.key, vec![relayed(12)]).unwrap();
    a.device.update_paths(b.key, vec![relayed(11)]).unwrap();
    assert_eq!(b.receive().as_deref(), Some(&b"first"[..]));
    println!("first packet by the relay after {:?}", start.elapsed());
    a.until_state(b.key, 1, PathState::Active);
    deliver(&b, &a, &[1; 1408 - 28]);
    let before = forwarder.status().unwrap().sessions[0].sides[0].packets;
    assert!(before > 0);
    b.device.update_paths(a.key, vec![relayed(12), path(2, 0, a.address(0))]).unwrap();
    a.device.update_paths(b.key, vec![relayed(11), path(2, 0, b.address(0))]).unwrap();
    a.until_state(b.key, 2, PathState::Active);
    b.until_state(a.key, 2, PathState::Active);
    a.until_state(b.key, 1, PathState::Standby);
    let relay_bytes = a.path(b.key, 1).unwrap().tx_bytes;
    for _ in 0..100 {
        deliver(&a, &b, b"direct");
    }
    assert_eq!(a.path(b.key, 1).unwrap().tx_bytes, relay_bytes, "the relay's counters stand still");
    drop(forwarder);
    deliver(&a, &b, b"without the relay");
}

#[test]
fn a_narrow_path_is_measured_and_larger_packets_are_answered() {
    let (a, b) = (Node::new(1), Node::new(2));
    let wire = Wire::between(a.address(0), b.address(0));
    wire.largest.store(1360 - 28, Ordering::Relaxed);
    a.add(b.config());
    b.add(a.config());
    a.device.update_paths(b.key, vec![path(1, 0, wire.address)]).unwrap();
    b.device.update_paths(a.key, vec![path(1, 0, wire.address)]).unwrap();
    let mtu = 1360 - 28 - 32;
    a.until("the size", |a| a.path(b.key, 1).is_some_and(|path| path.mtu == mtu));
    deliver(&a, &b, &[1; 1300 - 28]);
    a.send(b.ip, &[1; 1301 - 28]);
    let answer = a.receive_within(PATIENCE).unwrap();
    assert_eq!((answer[9], answer[20], answer[21]), (1, 3, 4), "fragmentation needed");
    assert_eq!(u16::from_be_bytes([answer[26], answer[27]]), mtu);
}

#[test]
fn redundant_packets_go_by_both_paths_and_arrive_once() {
    let (a, b, first, _second) = two_ways();
    a.until_state(b.key, 1, PathState::Active);
    a.until_state(b.key, 2, PathState::Standby);
    a.device.set_schedule(b.key, node_wireguard::device::Schedule::Redundant).unwrap();
    deliver(&a, &b, b"start");
    first.cut.store(true, Ordering::Relaxed);
    for number in 0..20u8 {
        deliver(&a, &b, &[number]);
    }
    assert_eq!(b.receive_within(Duration::from_millis(50)), None);
}
