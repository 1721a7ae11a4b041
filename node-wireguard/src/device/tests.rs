//! What needs a hand inside: a handshake at will, a panic.

use super::counters::word;
use super::*;
use crate::io::fd::seqpacket_pair;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

struct Node {
    device: Device,
    frames: UnixDatagram,
    events: Receiver<Event>,
}

fn node(number: u8) -> Node {
    let (inner, outer) = seqpacket_pair().unwrap();
    let (tell, events) = channel();
    let tell = Mutex::new(tell);
    let listen = vec![(Ipv4Addr::LOCALHOST, 0).into()];
    let interface =
        InterfaceOptions::Frames { fd: inner, mtu: 1408, addresses: vec![], merge_udp: false };
    let sink: Sink = Arc::new(move |event| drop(tell.lock().unwrap().send(event)));
    let options = DeviceOptions {
        private_key: [number; 32],
        listen,
        sockets: SocketOptions::default(),
        interface,
        shards: 1,
    };
    let device = Device::open(options, sink).unwrap();
    let rule = FilterRule { protocol: FilterProtocol::Udp, ports: (0, 65_535), sources: vec![] };
    device.set_filter(FilterConfig { allow: vec![rule], open: false }).unwrap();
    let frames = UnixDatagram::from(outer);
    frames.set_nonblocking(false).unwrap();
    frames.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    Node { device, frames, events }
}

fn introduce(a: &Node, b: &Node, number: u8) {
    let peer = PeerConfig {
        public_key: b.device.public_key(),
        allowed_ips: vec![(IpAddr::from([10, 0, 0, number]), 32)],
        preshared_key: None,
        keepalive_seconds: None,
        vanilla: false,
        endpoint: None,
    };
    a.device.update_peers(vec![peer], vec![]).unwrap();
    let remote = b.device.sockets()[0].local;
    let path = PathConfig { id: 1, local: 0, remote, session: None, cost_class: 0 };
    a.device.update_paths(b.device.public_key(), vec![path]).unwrap();
}

/// A vnet header and a UDP packet from 10.0.0.1 to 10.0.0.2 that carries the number.
fn frame(number: u32) -> Vec<u8> {
    let mut frame = vec![0; 10];
    frame.extend([0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([0x30, 0x39, 0x14, 0x51, 0, 12, 0, 0]);
    frame.extend(number.to_be_bytes());
    frame
}

#[test]
fn new_keys_under_load_lose_nothing() {
    let (a, b) = (node(1), node(2));
    introduce(&a, &b, 2);
    introduce(&b, &a, 1);
    let (start, mut sent) = (Instant::now(), 0u32);
    let mut buffer = [0; 2_000];
    let mut renewed = 0;
    // Handshakes may follow each other after five seconds.
    while start.elapsed() < Duration::from_secs(12) {
        for _ in 0..16 {
            a.frames.send(&frame(sent)).unwrap();
            sent += 1;
        }
        for number in sent - 16..sent {
            let length = b.frames.recv(&mut buffer).unwrap();
            assert_eq!(buffer[length - 4..length], number.to_be_bytes(), "of {sent}");
        }
        let due = start.elapsed().as_secs() / 6;
        if due > renewed {
            renewed = due;
            let key = b.device.public_key();
            a.device
                .shared
                .call(move |control| control.find_peer(&key).map(|id| control.initiate(id)))
                .unwrap()
                .unwrap();
        }
    }
    let handshakes = a.events.try_iter().filter(|event| matches!(event, Event::Handshake { .. }));
    assert!(handshakes.count() >= 2, "one at first, one or more under load; {sent} packets");
}

/// The same packet to another of 10.0.0.0/16.
fn frame_to(c: u8, d: u8) -> Vec<u8> {
    let mut frame = frame(0);
    frame[28..30].copy_from_slice(&[c, d]);
    frame
}

#[test]
fn who_added_a_peer_can_send_to_it_at_once() {
    let (a, other) = (node(4), node(5));
    introduce(&a, &other, 2);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                a.frames.send(&frame(0)).unwrap(); // the shard is always just waking
                (0..2_000).for_each(|_| std::hint::spin_loop());
            }
        });
        for number in 101..=250 {
            let peer = PeerConfig {
                public_key: crate::crypto::public_key(&[number; 32]),
                allowed_ips: vec![(IpAddr::from([10, 0, 1, number]), 32)],
                preshared_key: None,
                keepalive_seconds: None,
                vanilla: false,
                endpoint: None,
            };
            a.device.update_peers(vec![peer], vec![]).unwrap();
            a.frames.send(&frame_to(1, number)).unwrap();
        }
        done.store(true, Relaxed);
    });
    a.frames.send(&frame_to(2, 1)).unwrap(); // nobody's: read last of all
    let unknown = || a.device.shared.counters.get(word::NO_PEER);
    let start = Instant::now();
    while unknown() == 0 {
        assert!(start.elapsed() < Duration::from_secs(5), "the last packet was not read");
        std::thread::yield_now();
    }
    assert_eq!(unknown(), 1);
}

#[test]
fn a_panic_is_told_and_ends_the_device_but_not_the_process() {
    let node = node(3);
    let answer = node.device.shared.call(|_| panic!("on purpose"));
    assert!(matches!(answer, Err(DeviceError::Failed(message)) if message.contains("on purpose")));
    let told = node.events.recv_timeout(Duration::from_secs(5)).unwrap();
    let expected = "on purpose".to_owned();
    assert_eq!(told, Event::Panic { thread: "wireguard-ctl", message: expected });
    assert!(matches!(node.device.status(), Err(DeviceError::Failed(_))));
    assert!(matches!(node.device.set_filter(FilterConfig::default()), Err(DeviceError::Failed(_))));
    node.device.close();
}

/// The caller is let go while the thread unwinds: whoever is fast must be told the reason all the same.
#[test]
fn every_caller_of_a_device_that_panics_learns_why() {
    for _ in 0..50 {
        let node = node(5);
        let late = node.device.shared.call(|_| {
            struct Slow;
            impl Drop for Slow {
                fn drop(&mut self) {
                    std::thread::yield_now();
                }
            }
            let _unwinds_slowly: Vec<Slow> = (0..1_000).map(|_| Slow).collect();
            panic!("on purpose")
        });
        let late: Result<(), _> = late;
        assert!(matches!(late, Err(DeviceError::Failed(_))), "{late:?}");
    }
}

#[test]
fn without_its_interface_the_device_has_failed() {
    let node = node(4);
    drop(node.frames);
    let told = node.events.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(matches!(told, Event::Panic { thread: "wireguard-shard", .. }));
    assert!(matches!(node.device.update_peers(vec![], vec![]), Err(DeviceError::Failed(_))));
}
