//! `cargo bench [WORD]`: what the parts of the hot path cost, each as the median of seven rounds on one core. For comparing a
//! change with what was before it on the same machine; whole tunnels are compared with others by the project's own benches.

use node_wireguard::allowed_ips::AllowedIps;
use node_wireguard::io::offload::{GSO_TCPV4, Merger, NEEDS_CSUM, VNET, Vnet, split};
use node_wireguard::noise::{
    Keypair, Local, Protocol, ProtocolOptions, ReplayWindow, Timestamp, WINDOW_BITS,
    open_initiation,
};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(100);
const SIZES: [usize; 6] = [64, 128, 256, 1408, 4096, 8900];
const TAG: usize = 16;

fn main() {
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    let bench = Bench { wanted };
    println!("{:<28} {:>12} {:>12}", "", "ns", "Gbit/s");
    seal_and_open(&bench);
    handshake(&bench);
    allowed_ips(&bench);
    offload(&bench);
    replay(&bench);
}

struct Bench {
    wanted: String,
}

impl Bench {
    /// Prints the median time of one call; `bytes` is what a call works on, 0 for what has no rate.
    fn run(&self, name: &str, bytes: usize, mut call: impl FnMut()) {
        if !name.contains(&self.wanted) {
            return;
        }
        let mut calls = 1u32;
        while time(calls, &mut call) < ROUND / 2 {
            calls = calls.saturating_mul(2);
        }
        let mut rounds: Vec<Duration> = (0..ROUNDS).map(|_| time(calls, &mut call)).collect();
        rounds.sort();
        let ns = rounds[ROUNDS / 2].as_secs_f64() * 1e9 / f64::from(calls);
        let rate =
            if bytes == 0 { String::new() } else { format!("{:.2}", bytes as f64 * 8.0 / ns) };
        println!("{name:<28} {ns:>12.1} {rate:>12}");
    }
}

fn time(calls: u32, call: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    (0..calls).for_each(|_| call());
    start.elapsed()
}

fn wall() -> Timestamp {
    Timestamp::new(Duration::from_secs(1_700_000_000))
}

/// Two ends that know each other and have not spoken.
fn ends() -> [(Arc<Local>, Protocol); 2] {
    let locals = [1, 2].map(|seed| Arc::new(Local::new([seed; 32])));
    [(0, 1), (1, 0)].map(|(own, other): (usize, usize)| {
        let remote = *locals[other].public();
        let options = ProtocolOptions {
            remote,
            preshared_key: [0; 32],
            keepalive_seconds: 0,
            vanilla: false,
        };
        (Arc::clone(&locals[own]), Protocol::new(Arc::clone(&locals[own]), options, 0).unwrap())
    })
}

/// A whole handshake, both ends: the keys to send with, and to receive.
fn shake_hands([(_, a), (local, b)]: &mut [(Arc<Local>, Protocol); 2]) -> [Arc<Keypair>; 2] {
    let first = a.initiate(0, wall(), 1).unwrap();
    let opened = open_initiation(local, &first).unwrap();
    let (answer, receiving) = b.on_initiation(opened, 2, 0).unwrap();
    [a.on_response(&answer, 0).unwrap(), receiving]
}

fn seal_and_open(bench: &Bench) {
    let [sending, receiving] = shake_hands(&mut ends());
    for size in SIZES {
        let (plain, mut sealed) = (vec![7; size], vec![0; size.next_multiple_of(16) + TAG]);
        sending.seal(9, &plain, &mut sealed); // also where only opening is asked for
        bench.run(&format!("seal {size}"), size, || {
            sending.seal(9, black_box(&plain), &mut sealed);
        });
        // opening writes over what is sealed, so each call has its own copy
        let mut copy = sealed.clone();
        bench.run(&format!("copy and open {size}"), size, || {
            copy.copy_from_slice(&sealed);
            receiving.open(9, black_box(&mut copy)).unwrap();
        });
    }
}

fn handshake(bench: &Bench) {
    bench.run("keys of two ends", 0, || {
        black_box(ends());
    });
    bench.run("keys and handshake, both ends", 0, || {
        black_box(shake_hands(&mut ends()));
    });
    let mut pair = ends();
    let first = pair[0].1.initiate(0, wall(), 1).unwrap();
    bench.run("open an initiation", 0, || {
        black_box(open_initiation(&pair[1].0, black_box(&first)).unwrap());
    });
    let mut rubbish = first;
    rubbish[9] ^= 1;
    bench.run("refuse an initiation", 0, || {
        black_box(open_initiation(&pair[1].0, black_box(&rubbish)).is_err());
    });
}

fn allowed_ips(bench: &Bench) {
    for count in [10u32, 1_000, 100_000] {
        let mut trie = AllowedIps::new();
        for at in 0..count {
            trie.insert(address(at), 32, at);
        }
        let mut at = 0u32;
        bench.run(&format!("look up in {count}"), 0, || {
            at = at.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            black_box(trie.lookup(address(at % count)));
        });
    }
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + number * 7).into()
}

const HEADERS: usize = 40;
const SEGMENT: usize = 1_368;
const SEGMENTS: usize = 45;

/// A TCP super-frame as the kernel hands it over.
fn frame() -> (Vnet, Vec<u8>) {
    let mut packet = vec![0; HEADERS + SEGMENT * SEGMENTS];
    packet[0] = 0x45;
    packet[6..10].copy_from_slice(&[0x40, 0, 64, 6]);
    packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    (packet[32], packet[33]) = (0x50, 0x10);
    let vnet = Vnet {
        flags: NEEDS_CSUM,
        gso: GSO_TCPV4,
        header: HEADERS as u16,
        size: SEGMENT as u16,
        csum_start: 20,
        csum_offset: 16,
    };
    (vnet, packet)
}

fn offload(bench: &Bench) {
    let (vnet, packet) = frame();
    let (length, mut slab, mut arena) = (packet.len(), packet.clone(), Vec::new());
    split(&vnet, &mut slab, length, |bytes, length| arena.extend_from_slice(&bytes[..length]))
        .unwrap();
    bench.run(&format!("split {SEGMENTS} segments"), length, || {
        slab[..HEADERS].copy_from_slice(&packet[..HEADERS]);
        split(&vnet, &mut slab, length, |bytes, _| {
            black_box(bytes);
        })
        .unwrap();
    });
    let (one, fresh, mut merger) =
        (HEADERS + SEGMENT, arena[..HEADERS].to_vec(), Merger::new(true));
    bench.run(&format!("merge {SEGMENTS} segments"), length, || {
        arena[..HEADERS].copy_from_slice(&fresh); // merging has made it the whole frame's
        let mut write = |_: &[u8; VNET], _: &[u8], parts: &[Range<usize>]| {
            assert_eq!(black_box(parts).len(), SEGMENTS);
        };
        for at in 0..SEGMENTS {
            merger.offer(&mut arena, at * one..(at + 1) * one, &mut write);
        }
        merger.flush(&mut arena, &mut write);
    });
}

fn replay(bench: &Bench) {
    let (mut window, mut next) = (ReplayWindow::new(WINDOW_BITS), 0);
    bench.run("replay window, in order", 0, || {
        assert!(window.is_fresh(next) && window.commit(next));
        next += 1;
    });
    bench.run("replay window, refused", 0, || {
        assert!(!window.is_fresh(black_box(next - 1)));
    });
}
