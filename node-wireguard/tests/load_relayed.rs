//! A thousand members behind one forwarder: to the device they all come from one address.

mod support;

use node_wireguard::device::counters::word;
use node_wireguard::forwarder::{Forwarder, ForwarderOptions, Rate};
use std::sync::Arc;
use std::time::Instant;
use support::far::{Far, shake_hands};
use support::*;

const MEMBERS: u32 = 1_000;

#[test]
fn a_thousand_members_get_in_at_once_through_one_forwarder() {
    let node = Node::new(1);
    // How fast one address may bind is another matter; here all that the device has are to be bound soon.
    let strangers = Rate { per_second: 10_000, burst: 10_000 };
    let options = ForwarderOptions { listen: vec![local(0)], stun: true, strangers };
    let forwarder = Forwarder::open(options, Arc::new(|_| ())).unwrap();
    let new = |number| Far::new(number, node.key, node.address(0));
    let mut fars: Vec<Far> = (0..MEMBERS).map(new).collect();
    fars.iter_mut().for_each(|far| far.relay_by(forwarder.addresses()[0]));
    forwarder.set_sessions(fars.iter().map(Far::forwarding).collect(), &[]).unwrap();
    node.device.update_peers(fars.iter().map(|far| far.config(false)).collect(), vec![]).unwrap();
    for far in &fars {
        node.device.update_paths(far.key, far.paths()).unwrap();
    }
    let begun = Instant::now();
    let mut bound = 0;
    while bound < fars.len() {
        assert!(begun.elapsed() < 3 * PATIENCE, "{bound} are bound");
        let now = 1_000 + begun.elapsed().as_millis() as u64;
        bound = fars.iter_mut().filter_map(|far| far.is_bound(now).then_some(())).count();
    }
    let bound_twice = |forwarder: &Forwarder| {
        let sessions = forwarder.status().unwrap().sessions;
        sessions.iter().all(|session| session.sides.iter().all(|side| side.bound.is_some()))
    };
    node.until("the device to be bound to all", |_| bound_twice(&forwarder));
    println!("{MEMBERS} bound on both sides in {:?}", begun.elapsed());

    let mut clock = 0;
    for round in 0..2 {
        let took = shake_hands(&mut fars, &mut clock);
        println!("round {round}: {MEMBERS} handshakes through one forwarder in {took:?}");
    }
    let status = node.device.status().unwrap();
    let met = status.peers.iter().filter(|peer| peer.last_handshake_ms.is_some()).count();
    assert_eq!(met, fars.len());
    assert!(status.peers.iter().all(|peer| peer.paths.iter().all(|path| path.relayed)));
    println!("{} cookies on the way", node.device.counters().get(word::COOKIES_SENT));
}
