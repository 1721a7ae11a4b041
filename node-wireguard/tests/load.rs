//! A thousand peers: what they cost, and whether they all get in when they come at once. One test, for it measures the
//! memory of the process.

mod support;

use node_wireguard::device::{PeerConfig, PublicKey};
use support::far::{Far, shake_hands};
use support::*;

const PEERS: u32 = 1_000;
/// What one peer may cost, and what its far end in this process may cost beside it: the keys of the same sessions.
const MOST_KIB_A_PEER: u64 = 16;
const MOST_KIB_A_FAR_END: u64 = 4;
/// More packets than a replay window has bits.
const MANY: u64 = 70_000;

fn resident_kib() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
}

/// Bytes that peers have sent, as the device counts them.
fn received(node: &Node) -> Vec<u64> {
    node.device.status().unwrap().peers.iter().map(|peer| peer.rx_bytes).collect()
}

#[test]
fn a_thousand_peers_get_in_at_once_cost_little_and_leave_nothing_behind() {
    for vanilla in [true, false] {
        let node = Node::new(1);
        let new = |number| Far::new(number, node.key, node.address(0));
        let mut fars: Vec<Far> = (0..PEERS).map(new).collect();
        let (before, mut clock) = (resident_kib(), 0);
        let configs: Vec<PeerConfig> = fars.iter().map(|far| far.config(vanilla)).collect();
        let keys: Vec<PublicKey> = fars.iter().map(|far| far.key).collect();
        let paths: Vec<_> = fars.iter().map(Far::paths).collect();
        let add = || {
            node.device.update_peers(configs.clone(), vec![]).unwrap();
            for (key, paths) in keys.iter().zip(&paths).filter(|_| !vanilla) {
                node.device.update_paths(*key, paths.clone()).unwrap();
            }
        };
        add();
        // three times, so that each has three sessions: the last, the one before, and the one that comes
        for round in 0..3 {
            let took = shake_hands(&mut fars, &mut clock);
            println!("vanilla {vanilla}, round {round}: {PEERS} handshakes in {took:?}");
            // a message so late that its window is as large as it may become
            let before = received(&node);
            fars.iter().for_each(|far| far.say_nothing(MANY));
            node.until("a late message from everybody", |node| {
                received(node).iter().zip(&before).all(|(now, before)| *now >= before + 32)
            });
        }
        let status = node.device.status().unwrap();
        let met = status.peers.iter().filter(|peer| peer.last_handshake_ms.is_some()).count();
        assert_eq!(met, fars.len());
        assert!(vanilla || status.peers.iter().all(|peer| peer.paths.len() == 2));
        let grown = resident_kib().saturating_sub(before);
        println!("vanilla {vanilla}: {grown} KiB for {PEERS} peers and their far ends");
        assert!(grown <= (MOST_KIB_A_PEER + MOST_KIB_A_FAR_END) * u64::from(PEERS), "{grown} KiB");

        let cycle = || {
            node.device.update_peers(vec![], keys.clone()).unwrap();
            add();
        };
        (0..3).for_each(|_| cycle()); // what the allocator keeps for itself is reached here
        let warm = resident_kib();
        (0..20).for_each(|_| cycle());
        let left = resident_kib().saturating_sub(warm);
        println!("vanilla {vanilla}: {left} KiB more after 20 times out and in");
        assert!(left <= 2_048, "{left} KiB more after 20 times out and in");
    }
}
