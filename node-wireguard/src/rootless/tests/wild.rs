//! Frames that no decent engine sends.

use super::*;
use crate::io::Tun;
use crate::io::offload::VNET;
use proptest::prelude::*;

/// A packet that gets as far as the parsers: right lengths and addresses, any content.
fn packet(v6: bool, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1u8; 1]; // NEEDS_CSUM: the checksum is not looked at
    bytes.resize(VNET, 0);
    if v6 {
        bytes.extend_from_slice(&[
            0x60,
            0,
            0,
            0,
            (body.len() >> 8) as u8,
            body.len() as u8,
            protocol,
            64,
        ]);
        bytes.extend_from_slice(&"fd77::9".parse::<std::net::Ipv6Addr>().unwrap().octets());
        bytes.extend_from_slice(&A[1].parse::<std::net::Ipv6Addr>().unwrap().octets());
    } else {
        let length = 20 + body.len();
        bytes.extend_from_slice(&[
            0x45,
            0,
            (length >> 8) as u8,
            length as u8,
            0,
            0,
            0,
            0,
            64,
            protocol,
            0,
            0,
        ]);
        bytes.extend_from_slice(&[100, 88, 0, 9]);
        bytes.extend_from_slice(&[100, 88, 0, 1]);
    }
    bytes.extend_from_slice(body);
    bytes
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    let protocol = prop_oneof![Just(6u8), Just(17), Just(1), Just(58), any::<u8>()];
    let whole = (any::<bool>(), protocol, bytes())
        .prop_map(|(v6, protocol, body)| packet(v6, protocol, &body));
    // TCP to few ports, with likely flags and an honest header length: these get into handshakes and connections.
    let likely = (
        any::<bool>(),
        0u8..4,
        prop_oneof![Just(2u8), Just(0x12), Just(0x10), Just(0x11), Just(4), any::<u8>()],
        bytes(),
    );
    let tcp = likely.prop_map(|(v6, port, flags, rest)| {
        let mut body = vec![0, port, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0];
        if let Some(words) = rest.get(..8) {
            body[4..12].copy_from_slice(words);
        }
        body.extend_from_slice(&rest);
        packet(v6, 6, &body)
    });
    prop_oneof![bytes(), whole, tcp]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_frames_whatever_panic_or_stop_the_stack(frames in prop::collection::vec(any_frame(), 1..200)) {
        let (tell, events) = channel();
        let sink: EventSink = Arc::new(move |event| drop(tell.send(event)));
        let (rootless, fd) = Rootless::open(options(A, BackendChoice::Netstack), sink).unwrap();
        let (_listener, _accepted) = listen(&rootless, address("0.0.0.0", 80));
        let (_other, _accepted_v6) = listen(&rootless, address("::", 80));
        let engine = Tun::from_fd(fd).unwrap();
        let mut slab = vec![0; 70_000];
        for frame in frames.iter().filter(|frame| !frame.is_empty()) {
            let mut vnet = [0; VNET];
            let (head, rest) = frame.split_at(frame.len().min(VNET));
            vnet[..head.len()].copy_from_slice(head);
            while engine.write_packet(&vnet, rest).is_err() {
                std::thread::yield_now();
            }
            while let Ok(Some(_)) = engine.read(&mut slab) {}
        }
        rootless.ping(A[0].parse().unwrap(), PATIENCE).unwrap(); // it lives
        let panics = events.try_iter().filter(|event| matches!(event, StreamEvent::Panic { .. })).count();
        prop_assert_eq!(panics, 0);
    }
}

#[test]
fn a_flood_of_syns_leaves_room_for_a_friend() {
    let world = World::netstacks();
    let (listener, accepted) = listen(&world.a, address(A[0], 0));
    let port = listener.local().port().to_be_bytes();
    // The flood comes in by the pump's side of the way, from one address and many ports.
    let syn = |from: u16| {
        let ports = [from.to_be_bytes(), port].concat();
        packet(
            false,
            6,
            &[&ports[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 1, 0, 0, 0, 0, 0]].concat(),
        )
    };
    for from in 1..20_000u16 {
        world.pump.inject(0, syn(from));
    }
    let friend = world.b.dial_tcp(listener.local(), PATIENCE).unwrap();
    let mut near = Pipe::of(friend);
    let mut far = Pipe::of(accepted.recv_timeout(PATIENCE).unwrap());
    near.put(b"still here");
    assert_eq!(far.get(10), b"still here");
}
