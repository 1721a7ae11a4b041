//! UDP and echo, netstack to netstack.

use super::*;

fn inbox(on: &Rootless, at: SocketAddr) -> (Datagrams, Receiver<(SocketAddr, Vec<u8>)>) {
    let (tell, received) = channel();
    let sink: DatagramSink =
        Arc::new(move |from, bytes: &[u8]| drop(tell.send((from, bytes.to_vec()))));
    (on.open_udp(at, sink).unwrap(), received)
}

pub(in crate::rootless) fn datagrams_go_and_come(world: &World) {
    for (from, to) in [(A[0], B[0]), (A[1], B[1])] {
        let any = if from.contains(':') { "::" } else { "0.0.0.0" };
        let (near, answers) = inbox(&world.a, address(any, 0));
        let (far, questions) = inbox(&world.b, address(to, 5353));
        for size in [0, 1, 512, 1300] {
            near.send(far.local(), &noise(size, 7)).unwrap();
            let (sender, bytes) = questions.recv_timeout(PATIENCE).unwrap();
            assert_eq!((sender, bytes), (address(from, near.local().port()), noise(size, 7)));
            far.send(sender, b"answer").unwrap();
            assert_eq!(answers.recv_timeout(PATIENCE).unwrap(), (far.local(), b"answer".to_vec()));
        }
    }
}

pub(in crate::rootless) fn echoes_come_back(world: &World) {
    for to in B {
        assert!(world.a.ping(to.parse().unwrap(), 5 * SECOND).unwrap() < 5 * SECOND);
    }
    for to in A {
        assert!(world.b.ping(to.parse().unwrap(), 5 * SECOND).unwrap() < 5 * SECOND);
    }
}

#[test]
fn datagrams_find_their_endpoint_and_the_way_back() {
    datagrams_go_and_come(&World::netstacks());
}

#[test]
fn a_datagram_over_the_mtu_is_refused() {
    let world = World::netstacks();
    let (near, _) = inbox(&world.a, address("0.0.0.0", 0));
    near.send(address(B[0], 9), &[0; 1380]).unwrap();
    assert!(matches!(near.send(address(B[0], 9), &[0; 1381]), Err(RootlessError::TooBig)));
    near.close();
    assert!(matches!(near.send(address(B[0], 9), b"x"), Err(RootlessError::Closed)));
}

#[test]
fn an_echo_comes_back_or_the_time_is_over() {
    let world = World::netstacks();
    echoes_come_back(&world);
    world.pump.silent.store(true, Ordering::SeqCst);
    let late = world.a.ping(B[0].parse().unwrap(), Duration::from_millis(100));
    assert!(matches!(late, Err(RootlessError::TimedOut)));
}
