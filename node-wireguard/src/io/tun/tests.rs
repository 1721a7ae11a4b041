//! A real device in an empty network. Every packet that the kernel sends is cut, turned round, merged and written back, so
//! that the machine talks to itself through the TUN under another address.

use super::*;
use crate::io::fd::seqpacket_pair;
use crate::io::namespace::in_empty_network;
use crate::io::offload::{Merger, NEEDS_CSUM, Vnet, split};
use crate::io::{Events, Interest, Poller, Waker};
use crate::packet::{self, PacketView, samples};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

const SLAB: usize = VNET + 65_536;
const TRANSFER: usize = 16 << 20;

fn addresses(list: &[(&str, u8)]) -> Vec<(IpAddr, u8)> {
    list.iter().map(|(text, prefix)| (text.parse().unwrap(), *prefix)).collect()
}

/// Super-frames seen each way.
#[derive(Debug, Default)]
struct Seen {
    read: usize,
    written: usize,
}

/// Turns every packet round until it is woken: what went to the neighbour comes from the neighbour.
fn reflect(tun: &Tun, waker: &Waker) -> Seen {
    let (poller, mut events, mut seen) = (Poller::new().unwrap(), Events::new(), Seen::default());
    poller.add(tun, 0, Interest::Read).unwrap();
    poller.add(waker, 1, Interest::Read).unwrap();
    let (mut slab, mut arena) = (vec![0; SLAB], Vec::new());
    let mut merger = Merger::new(tun.takes_udp_super_frames());
    loop {
        poller.wait(&mut events, None).unwrap();
        if events.iter().any(|event| event.token == 1) {
            return seen;
        }
        while let Some(length) = tun.read(&mut slab).unwrap() {
            let vnet = Vnet::parse(&slab).unwrap();
            seen.read += (vnet.gso != 0) as usize;
            let mut packets = Vec::new();
            arena.clear();
            split(&vnet, &mut slab[VNET..], length - VNET, |bytes, length| {
                let at = arena.len();
                arena.extend_from_slice(&bytes[..length]);
                turn_round(&mut arena[at..]);
                packets.push(at..at + length);
            });
            let written = &mut seen.written;
            let mut write = |vnet: &[u8; VNET], arena: &[u8], parts: &[Range<usize>]| {
                *written += (parts.len() > 1) as usize;
                tun.write(vnet, arena, parts).unwrap();
            };
            for at in packets {
                merger.offer(&mut arena, at, &mut write);
            }
            merger.flush(&mut arena, &mut write);
        }
    }
}

fn turn_round(packet: &mut [u8]) {
    let (start, length) = if packet[0] >> 4 == 6 { (8, 16) } else { (12, 4) };
    let (source, destination) = packet[start..start + 2 * length].split_at_mut(length);
    source.swap_with_slice(destination);
}

/// Runs `body` while the reflector runs, in the namespace of this thread.
fn with_reflector(list: &[(&str, u8)], body: impl FnOnce()) -> Seen {
    let tun = Tun::open("rope%d", false, 1408, &addresses(list)).unwrap();
    assert!(tun.skipped().is_empty());
    let waker = Arc::new(Waker::new().unwrap());
    let other = Arc::clone(&waker);
    let thread = std::thread::spawn(move || reflect(&tun, &other));
    body();
    waker.wake();
    thread.join().unwrap()
}

fn transfer(local: SocketAddr, neighbour: SocketAddr) {
    let listener = TcpListener::bind(local).unwrap();
    let neighbour = SocketAddr::new(neighbour.ip(), listener.local_addr().unwrap().port());
    let sender = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(neighbour).unwrap();
        let data: Vec<u8> = (0..TRANSFER).map(|i| (i % 251) as u8).collect();
        stream.write_all(&data).unwrap();
    });
    let (mut stream, from) = listener.accept().unwrap();
    assert_eq!(from.ip(), neighbour.ip(), "it comes from the other side of the mirror");
    let mut data = Vec::new();
    stream.read_to_end(&mut data).unwrap();
    sender.join().unwrap();
    assert_eq!(data.len(), TRANSFER);
    assert!(data.iter().enumerate().all(|(i, &byte)| byte == (i % 251) as u8));
}

#[test]
fn tcp_goes_through_in_super_frames_both_ways() {
    in_empty_network("io::tun::tests::tcp_goes_through_in_super_frames_both_ways", || {
        let list = [("10.88.0.1", 24), ("fd00::1", 64)];
        let seen = with_reflector(&list, || {
            transfer("10.88.0.1:0".parse().unwrap(), "10.88.0.2:0".parse().unwrap());
            transfer("[fd00::1]:0".parse().unwrap(), "[fd00::2]:0".parse().unwrap());
        });
        assert!(seen.read > 100 && seen.written > 100, "{seen:?}");
    });
}

#[test]
fn datagrams_and_echoes_arrive_with_right_checksums() {
    in_empty_network("io::tun::tests::datagrams_and_echoes_arrive_with_right_checksums", || {
        let list = [("10.88.0.1", 24), ("fd00::1", 64)];
        with_reflector(&list, || {
            for (local, neighbour) in [("10.88.0.1:0", "10.88.0.2"), ("[fd00::1]:0", "fd00::2")] {
                let socket = UdpSocket::bind(local).unwrap();
                socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let port = socket.local_addr().unwrap().port();
                let neighbour = SocketAddr::new(neighbour.parse().unwrap(), port);
                for length in [0, 1, 500, 1300] {
                    socket.send_to(&vec![7; length], neighbour).unwrap();
                    let mut bytes = [0; 2000];
                    assert_eq!(socket.recv_from(&mut bytes).unwrap(), (length, neighbour));
                }
            }
        });
    });
}

#[test]
fn a_packet_too_big_lowers_what_the_kernel_sends() {
    in_empty_network("io::tun::tests::a_packet_too_big_lowers_what_the_kernel_sends", || {
        let tun =
            Tun::open("rope0", false, 1408, &addresses(&[("10.88.0.1", 24), ("fd00::1", 64)]))
                .unwrap();
        for (local, neighbour) in [("10.88.0.1:0", "10.88.0.2:9"), ("[fd00::1]:0", "[fd00::2]:9")] {
            let socket = UdpSocket::bind(local).unwrap();
            socket.connect(neighbour).unwrap();
            let (mut slab, mut out) = (vec![0; SLAB], [0; packet::icmp::LONGEST]);
            // The first packet is too long and is told so; the second has to be cut.
            let lowered = (0..2).any(|_| {
                while socket.send(&[0; 1330]).is_err() {} // a connected socket hears of it once
                let length = tun.read(&mut slab).unwrap().unwrap();
                let too_long = length - VNET > 1300;
                if too_long {
                    let length = packet::icmp::packet_too_big(&slab[VNET..length], 1300, &mut out);
                    tun.write_packet(&Vnet::default().bytes(), &out[..length.unwrap()]).unwrap();
                }
                while tun.read(&mut slab).unwrap().is_some() {}
                !too_long
            });
            assert!(lowered, "{neighbour}");
        }
    });
}

#[test]
fn an_unreachable_is_heard_by_the_socket() {
    in_empty_network("io::tun::tests::an_unreachable_is_heard_by_the_socket", || {
        let tun = Tun::open("rope0", false, 1408, &addresses(&[("10.88.0.1", 24)])).unwrap();
        let socket = UdpSocket::bind("10.88.0.1:0").unwrap();
        socket.connect("10.88.0.2:9").unwrap();
        let (mut slab, mut out) = (vec![0; SLAB], [0; packet::icmp::LONGEST]);
        socket.send(b"anybody?").unwrap();
        let length = tun.read(&mut slab).unwrap().unwrap();
        let why = packet::icmp::Unreachable::Port;
        let length = packet::icmp::unreachable(&slab[VNET..length], why, &mut out).unwrap();
        tun.write_packet(&Vnet::default().bytes(), &out[..length]).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(socket.recv(&mut slab).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn nothing_leaves_a_new_device_by_itself() {
    in_empty_network("io::tun::tests::nothing_leaves_a_new_device_by_itself", || {
        let tun = Tun::open("rope0", false, 1408, &addresses(&[("fd00::1", 64)])).unwrap();
        let socket = UdpSocket::bind("[fd00::1]:0").unwrap();
        socket.send_to(b"first", "[fd00::2]:9").unwrap();
        let mut slab = vec![0; SLAB];
        let length = tun.read(&mut slab).unwrap().unwrap();
        let view = PacketView::parse(&slab[VNET..length]).unwrap();
        assert_eq!(
            view.protocol,
            packet::UDP,
            "no router solicitation, no duplicate detection before it"
        );
        assert_eq!(Vnet::parse(&slab).unwrap().flags & NEEDS_CSUM, NEEDS_CSUM);
    });
}

#[test]
fn names_and_errors_are_told_in_a_sentence() {
    in_empty_network("io::tun::tests::names_and_errors_are_told_in_a_sentence", || {
        let tun = Tun::open("rope%d", false, 1408, &[]).unwrap();
        assert_eq!(tun.name(), Some("rope0"));
        let taken = Tun::open("rope0", false, 1408, &[]).err().unwrap();
        assert_eq!(taken.to_string(), "the interface rope0 is in use by another program");
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        let other = Tun::open("lo", false, 1408, &[]).err().unwrap();
        assert!(other.to_string().contains("interface of another kind"), "{other}");
        let long = Tun::open("a-name-that-is-too-long", false, 1408, &[]).err().unwrap();
        assert!(long.to_string().contains("longer than 15 bytes"));
        let wrong = Tun::open("rope7", false, 1408, &addresses(&[("10.0.0.1", 33)])).err().unwrap();
        assert_eq!(wrong.to_string(), "10.0.0.1/33 is no prefix");
        let small = Tun::open("rope7", false, 20, &[]).err().unwrap();
        assert!(small.to_string().starts_with("the interface's MTU cannot be set: "), "{small}");
        drop(tun);
        Tun::open("rope0", false, 1408, &[]).unwrap(); // gone with its descriptor
    });
}

#[test]
fn a_machine_without_ipv6_gets_its_ipv4_addresses() {
    in_empty_network("io::tun::tests::a_machine_without_ipv6_gets_its_ipv4_addresses", || {
        if std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").is_err() {
            return eprintln!("SKIPPED a_machine_without_ipv6: IPv6 cannot be switched off here");
        }
        let both = addresses(&[("fd00::1", 64), ("10.88.0.1", 24)]);
        let tun = Tun::open("rope0", false, 1408, &both).unwrap();
        assert_eq!(tun.skipped(), [both[0].0]);
        UdpSocket::bind("10.88.0.1:0").unwrap();
        let error = Tun::open("rope1", false, 1408, &both[..1]).err().unwrap();
        assert!(error.to_string().starts_with("the address fd00::1/64 cannot be set: "), "{error}");
    });
}

#[test]
fn a_device_made_elsewhere_is_taken_over_by_its_descriptor() {
    in_empty_network(
        "io::tun::tests::a_device_made_elsewhere_is_taken_over_by_its_descriptor",
        || {
            let made = Tun::open("rope0", false, 1408, &addresses(&[("10.88.0.1", 24)])).unwrap();
            let tun = Tun::from_fd(made.as_fd().try_clone_to_owned().unwrap()).unwrap();
            drop(made);
            assert_eq!(tun.name(), Some("rope0"));
            let socket = UdpSocket::bind("10.88.0.1:0").unwrap();
            socket.send_to(b"still there", "10.88.0.2:9").unwrap();
            assert!(tun.read(&mut vec![0; SLAB]).unwrap().is_some());
        },
    );
}

#[test]
fn a_pair_carries_the_same_messages_and_its_end_is_told() {
    let (here, there) = seqpacket_pair().unwrap();
    let (here, there) = (Tun::from_fd(here).unwrap(), Tun::from_fd(there).unwrap());
    assert_eq!((here.name(), here.takes_udp_super_frames()), (None, false));
    let end = |host: &str| (host.parse().unwrap(), 9);
    let packet = samples::udp(end("10.0.0.1"), end("10.0.0.2"), &[5; 600]);
    let mut slab = vec![0; SLAB];
    assert_eq!(there.read(&mut slab).unwrap(), None);
    here.write(&Vnet::default().bytes(), &packet, &[0..100, 100..packet.len()]).unwrap();
    let length = there.read(&mut slab).unwrap().unwrap();
    assert_eq!((&slab[..VNET], &slab[VNET..length]), (&[0; VNET][..], &packet[..]));
    let full = (0..10_000).find_map(|_| here.write_packet(&[0; VNET], &[0; 60_000]).err()).unwrap();
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    drop(here);
    while there.read(&mut slab).is_ok_and(|length| length.is_some()) {}
    assert_eq!(there.read(&mut slab).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(there.write_packet(&[0; VNET], &packet).unwrap_err().kind(), ErrorKind::BrokenPipe);
}
