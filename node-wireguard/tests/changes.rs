//! What changes while a device runs: keys, ports, and whose a network is.

mod support;

use node_wireguard::device::{AllowedIpUpdate, DeviceUpdate, PeerConfig, PeerUpdate};
use node_wireguard::noise::Local;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use support::{Node, PATIENCE, udp_packet};

/// Two that take each other for another implementation, and have spoken.
fn met() -> (Node, Node) {
    let (a, b) = (Node::new(1), Node::new(2));
    a.add(PeerConfig { vanilla: true, endpoint: Some(b.address(0)), ..b.config() });
    b.add(PeerConfig { vanilla: true, ..a.config() });
    speaks(&a, &b, b"before");
    (a, b)
}

fn speaks(from: &Node, to: &Node, words: &[u8]) {
    from.send(to.ip, words);
    assert_eq!(to.receive().as_deref(), Some(words));
}

fn networks(node: &Node, key: [u8; 32]) -> Vec<(IpAddr, u8)> {
    let peers = node.device.status().unwrap().peers;
    peers.into_iter().find(|peer| peer.public_key == key).unwrap().allowed_ips
}

#[test]
fn after_a_change_of_key_the_next_packet_makes_a_session_at_once() {
    let (a, b) = met();
    let key = [77; 32];
    let public = *Local::new(key).public().as_bytes();
    a.device.update(DeviceUpdate { private_key: Some(key), ..Default::default() }).unwrap();
    assert_eq!(a.device.public_key(), public);
    let as_known = PeerConfig { vanilla: true, public_key: public, ..a.config() };
    b.device.update_peers(vec![as_known], vec![a.key]).unwrap();
    speaks(&a, &b, b"under another key");
}

#[test]
fn a_peer_that_becomes_ourselves_goes_and_the_same_key_again_changes_nothing() {
    let (a, b) = met();
    let same = DeviceUpdate { private_key: Some(a.private), ..Default::default() };
    a.device.update(same).unwrap();
    assert!(a.device.status().unwrap().peers[0].last_handshake_ms.is_some());
    a.device.update(DeviceUpdate { private_key: Some(b.private), ..Default::default() }).unwrap();
    assert!(a.device.status().unwrap().peers.is_empty());
    a.add(PeerConfig { vanilla: true, ..b.config() });
    assert!(a.device.status().unwrap().peers.is_empty(), "our own key is no peer");
}

#[test]
fn packets_go_on_by_another_port_and_a_taken_one_changes_nothing() {
    let (a, b) = met();
    speaks(&b, &a, b"both ways");
    let before = a.address(0);
    let taken = DeviceUpdate {
        listen_port: Some(b.address(0).port()),
        private_key: Some([9; 32]),
        ..Default::default()
    };
    assert!(a.device.update(taken).is_err());
    assert_eq!((a.address(0), a.device.public_key()), (before, a.key));
    a.device.update(DeviceUpdate { listen_port: Some(0), ..Default::default() }).unwrap();
    assert_ne!(a.address(0), before);
    speaks(&a, &b, b"there");
    speaks(&b, &a, b"and back");
}

#[test]
fn a_network_moves_to_whom_it_is_given_last() {
    let (a, b) = met();
    let network = (IpAddr::V4(Ipv4Addr::new(10, 9, 0, 0)), 16);
    let give = |public_key, remove| {
        let (address, prefix) = network;
        let allowed_ips = vec![AllowedIpUpdate { address, prefix, remove }];
        let peers = vec![PeerUpdate { public_key, allowed_ips, ..Default::default() }];
        a.device.update(DeviceUpdate { peers, ..Default::default() }).unwrap();
    };
    let own = (IpAddr::V4(b.ip), 32);
    give(b.key, false);
    assert_eq!(networks(&a, b.key), [own, network]);
    let other = *Local::new([5; 32]).public().as_bytes();
    give(other, false);
    assert_eq!((networks(&a, b.key), networks(&a, other)), (vec![own], vec![network]));
    give(b.key, true);
    assert_eq!(networks(&a, other), [network], "what is another's is not taken from it");
    give(other, true);
    assert_eq!(networks(&a, other), []);
}

/// The order to end may be heard in the middle of a round, while a frame is dealt with that is the last one for ever.
#[test]
fn a_device_that_is_closed_while_frames_come_ends() {
    for round in 0..400u64 {
        let node = Node::new(1);
        let (closed, ended) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_micros(round % 40));
                node.device.close();
                let _ = closed.send(());
            });
            let packet = udp_packet(node.ip, Ipv4Addr::new(10, 0, 0, 77), b"to nobody");
            for _ in 0..round % 20 + 1 {
                let _ = node.try_send_packet(&packet); // fails once it is closed
            }
            if ended.recv_timeout(PATIENCE).is_err() {
                eprintln!("round {round}: the device does not end");
                std::process::abort(); // its threads would be waited for
            }
        });
    }
}
