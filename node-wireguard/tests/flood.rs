//! Rubbish in masses: the kernel keeps it away, and who means it passes.

mod support;

use node_wireguard::device::PeerConfig;
use node_wireguard::device::counters::word;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use support::*;

/// A flood is over after ten quiet seconds.
const OVER_WITHIN: Duration = Duration::from_secs(20);
/// Datagrams that leave each millisecond.
const BURST: u32 = 40;

/// Datagrams of no kind, and data for no session, until it is told to stop, or long after.
fn flood(to: SocketAddr, over: &AtomicBool) {
    let stranger = UdpSocket::bind((Ipv4Addr::new(127, 0, 1, 1), 0)).unwrap();
    let begun = Instant::now();
    let mut data = [0x5a; 148];
    data[..4].copy_from_slice(&[4, 0, 0, 0]);
    for nth in 0u32.. {
        data[4..8].copy_from_slice(&nth.wrapping_mul(0x9e37_79b9).to_le_bytes());
        let noise = [nth as u8 | 8; 148];
        let _ = stranger.send_to(if nth % 2 == 0 { &data } else { &noise }, to); // else lost, as on a wire
        if nth % BURST == 0 {
            std::thread::sleep(Duration::from_millis(1)); // the pace of the flood
            if over.load(Relaxed) || begun.elapsed() > 6 * PATIENCE {
                return;
            }
        }
    }
}

fn thrown_away(node: &Node) -> u64 {
    let counters = node.device.counters();
    counters.get(word::UNKNOWN_KIND) + counters.get(word::UNKNOWN_SESSION)
}

fn kept_away(node: &Node) -> u64 {
    node.device.counters().get(word::SIEVED)
}

#[test]
fn the_kernel_keeps_a_flood_away_members_and_newcomers_pass_and_in_the_end_all_is_heard_again() {
    let (a, b) = (Node::new(1), Node::new(2));
    let wanderer = Node::new(4);
    let [mut first, mut second] = [50, 51].map(|last| Middle::at(Ipv4Addr::new(127, 0, 0, last)));
    for middle in [&mut first, &mut second] {
        middle.between(wanderer.address(0), b.address(0));
    }
    let at = |middle: &Middle| PeerConfig {
        vanilla: true,
        endpoint: Some(middle.address()),
        ..b.config()
    };
    introduce(&a, &b);
    deliver(&a, &b, b"before");
    b.add(PeerConfig { vanilla: true, ..wanderer.config() });
    wanderer.add(at(&first));
    wanderer.send(b.ip, b"from one place");
    first.pump("a packet", |_| b.receive_within(Duration::from_millis(1)).is_some());

    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| flood(b.address(0), &over));
        b.until("rubbish kept away", |b| kept_away(b) > 1_000);
        for round in 0..50u32 {
            deliver(&a, &b, &round.to_le_bytes());
            deliver(&b, &a, &round.to_le_bytes());
        }
        wanderer.add(at(&second));
        wanderer.send(b.ip, b"from another");
        second.pump("a packet", |_| b.receive_within(Duration::from_millis(1)).is_some());
        let newcomer = Node::listening(3, vec!["127.0.0.77:0".parse().unwrap()]);
        introduce(&newcomer, &b);
        // Its session may be there before its address is known, and then what it sends is lost: so it is sent again.
        let met = Instant::now();
        while b.receive_within(Duration::from_millis(100)).is_none() {
            assert!(met.elapsed() < PATIENCE, "a newcomer is not heard");
            newcomer.send(b.ip, b"from elsewhere");
        }
        let before = [kept_away(&b), thrown_away(&b)];
        b.until("more of it", |b| kept_away(b) > before[0] + 20_000);
        let heard = thrown_away(&b) - before[1];
        assert!(heard < 1_000, "{heard} of some 20,000 came through");
        over.store(true, Relaxed);
    });
    while b.receive_within(Duration::from_millis(100)).is_some() {} // what came more than once

    let stranger = UdpSocket::bind(local(0)).unwrap();
    let (end, before) = (Instant::now(), thrown_away(&b));
    while thrown_away(&b) == before {
        assert!(end.elapsed() < OVER_WITHIN, "the kernel still keeps it away");
        stranger.send_to(b"one that is no flood", b.address(0)).unwrap();
        std::thread::sleep(Duration::from_millis(50)); // far below a flood
    }
    deliver(&a, &b, b"after");
}
