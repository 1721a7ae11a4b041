//! Against an independent implementation: boringtun, in the same process.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use boringtun::noise::rate_limiter::RateLimiter as TheirLimiter;
use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519;

use super::end::{Datagram, End, local};
use crate::noise::*;

const SOURCE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));

/// boringtun at the other end of the cable.
struct Theirs {
    tunnel: Tunn,
    got: Vec<Vec<u8>>,
}

impl Theirs {
    fn send(&mut self, packet: &[u8]) -> Vec<Datagram> {
        let mut buffer = [0; 2_048];
        written(self.tunnel.encapsulate(packet, &mut buffer)).into_iter().collect()
    }

    fn initiate(&mut self) -> Datagram {
        let mut buffer = [0; 2_048];
        written(self.tunnel.format_handshake_initiation(&mut buffer, true)).unwrap()
    }

    fn receive(&mut self, datagram: &[u8]) -> Vec<Datagram> {
        let (mut sent, mut input) = (Vec::new(), datagram);
        loop {
            let mut buffer = [0; 2_048];
            match self.tunnel.decapsulate(SOURCE, input, &mut buffer) {
                TunnResult::WriteToNetwork(bytes) => sent.push(bytes.to_vec()),
                TunnResult::WriteToTunnelV4(packet, _) => {
                    self.got.push(packet.to_vec());
                    return sent;
                }
                TunnResult::Done => return sent,
                other => panic!("boringtun refuses: {other:?}"),
            }
            input = &[];
        }
    }
}

fn written(result: TunnResult<'_>) -> Option<Datagram> {
    match result {
        TunnResult::WriteToNetwork(bytes) => Some(bytes.to_vec()),
        TunnResult::Done => None,
        other => panic!("boringtun has nothing to send: {other:?}"),
    }
}

struct Link {
    ours: End,
    theirs: Theirs,
    now: Millis,
}

impl Link {
    /// Handshakes a second after which boringtun is under load; 0 means always.
    fn new(preshared_key: Option<[u8; 32]>, limit: u64) -> Self {
        let ours = local(1);
        let private = x25519::StaticSecret::from([77; 32]);
        let public = x25519::PublicKey::from(&private);
        let remote = x25519::PublicKey::from(*ours.public().as_bytes());
        let limiter = Arc::new(TheirLimiter::new(&public, limit));
        let tunnel = Tunn::new(private, remote, preshared_key, None, 3, Some(limiter));
        let options = ProtocolOptions {
            remote: PublicKey(public.to_bytes()),
            preshared_key: preshared_key.unwrap_or_default(),
            keepalive_seconds: 0,
            vanilla: true,
        };
        let theirs = Theirs { tunnel, got: Vec::new() };
        Self { ours: End::new(ours, options), theirs, now: 1_000 }
    }

    fn carry(&mut self, mut from_us: Vec<Datagram>, mut from_them: Vec<Datagram>) {
        while !(from_us.is_empty() && from_them.is_empty()) {
            let (to_them, to_us) = (std::mem::take(&mut from_us), std::mem::take(&mut from_them));
            from_them.extend(to_them.iter().flat_map(|datagram| self.theirs.receive(datagram)));
            from_us.extend(to_us.iter().flat_map(|datagram| self.ours.receive(datagram, self.now)));
        }
    }

    fn we_send(&mut self, packet: &[u8]) {
        let sent = self.ours.send(packet, self.now);
        self.carry(sent, Vec::new());
    }

    fn they_send(&mut self, packet: &[u8]) {
        let sent = self.theirs.send(packet);
        self.carry(Vec::new(), sent);
    }

    /// Packets of several lengths both ways; each must arrive.
    fn exchange(&mut self) {
        for length in [20, 21, 32, 100, 1_400] {
            let packet = packet(length);
            self.we_send(&packet);
            assert_eq!(self.theirs.got.pop(), Some(packet.clone()));
            self.they_send(&packet);
            // boringtun does not pad.
            let got = self.ours.got.pop().unwrap();
            assert_eq!(got[..length], packet);
        }
    }
}

/// An IPv4 packet: boringtun looks at the header.
fn packet(length: usize) -> Vec<u8> {
    let mut packet: Vec<u8> = (0..length).map(|at| at as u8).collect();
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());
    packet
}

const PRESHARED: [Option<[u8; 32]>; 2] = [None, Some([42; 32])];

#[test]
fn we_initiate() {
    for preshared in PRESHARED {
        let mut link = Link::new(preshared, 100);
        link.we_send(&packet(64));
        assert_eq!(link.theirs.got.pop(), Some(packet(64)));
        assert_eq!(link.ours.initiations.len(), 1);
        link.exchange();
    }
}

#[test]
fn they_initiate() {
    for preshared in PRESHARED {
        let mut link = Link::new(preshared, 100);
        link.they_send(&packet(64));
        assert_eq!(link.ours.got.pop(), Some(packet(64)));
        assert_eq!(link.ours.initiations.len(), 0);
        link.exchange();
    }
}

#[test]
fn both_initiate_at_once() {
    for preshared in PRESHARED {
        let mut link = Link::new(preshared, 100);
        let (from_us, from_them) = (link.ours.send(&packet(64), 1_000), link.theirs.initiate());
        link.carry(from_us, vec![from_them]);
        assert_eq!(link.theirs.got.pop(), Some(packet(64)));
        assert_eq!(link.ours.initiations.len(), 1);
        link.exchange();
    }
}

#[test]
fn we_renew_after_two_minutes() {
    for preshared in PRESHARED {
        let mut link = Link::new(preshared, 100);
        link.we_send(&packet(64));
        let first = link.ours.protocol.session().sending(link.now).unwrap();
        link.now += constants::REKEY_AFTER_MS;
        link.we_send(&packet(65));
        assert_eq!(link.ours.initiations, [1_000, link.now]);
        let second = link.ours.protocol.session().sending(link.now).unwrap();
        assert_ne!(first.local_index, second.local_index);
        link.exchange();
    }
}

#[test]
fn they_renew() {
    for preshared in PRESHARED {
        let mut link = Link::new(preshared, 100);
        link.they_send(&packet(64));
        for _ in 0..3 {
            link.now += 30_000;
            let before = link.ours.protocol.session().sending(link.now).unwrap();
            // boringtun's timestamps are not rounded, so they rise without a wait.
            let sent = vec![link.theirs.initiate()];
            link.carry(Vec::new(), sent);
            let after = link.ours.protocol.session().sending(link.now).unwrap();
            assert_ne!(before.local_index, after.local_index);
            link.exchange();
        }
        assert_eq!(link.ours.sessions.len(), 2);
    }
}

#[test]
fn they_are_under_load_and_take_our_cookie() {
    let mut link = Link::new(None, 0);
    link.we_send(&packet(64));
    assert!(link.theirs.got.is_empty());
    // The repetition carries the cookie.
    link.now = link.ours.deadline(link.now);
    let sent = link.ours.poll(link.now);
    assert_eq!(link.ours.initiations.len(), 2);
    link.carry(sent, Vec::new());
    assert!(link.theirs.got.contains(&packet(64)));
    link.exchange();
}

#[test]
fn we_are_under_load_and_they_take_our_cookie() {
    let mut link = Link::new(None, 100);
    link.ours.loaded = true;
    link.they_send(&packet(64));
    assert!(link.ours.sessions.is_empty());
    let sent = vec![link.theirs.initiate()];
    link.carry(Vec::new(), sent);
    assert_eq!(link.ours.sessions.len(), 1);
    link.exchange();
}

#[test]
fn they_challenge_our_response_too() {
    let mut link = Link::new(None, 0);
    let sent = vec![link.theirs.initiate()];
    link.carry(Vec::new(), sent);
    assert!(link.ours.protocol.session().sending(link.now).is_none());
    link.now += 1_000;
    let sent = vec![link.theirs.initiate()];
    link.carry(Vec::new(), sent);
    assert!(link.ours.protocol.session().sending(link.now).is_some(), "with the cookie it passes");
    link.exchange();
}

#[test]
fn another_preshared_key_makes_no_session() {
    let mut link = Link::new(Some([1; 32]), 100);
    link.ours.protocol.set_preshared_key([2; 32]);
    let initiation = link.theirs.initiate();
    let response = link.ours.receive(&initiation, link.now).remove(0);
    let mut buffer = [0; 2_048];
    let refused = link.theirs.tunnel.decapsulate(SOURCE, &response, &mut buffer);
    assert!(matches!(refused, TunnResult::Err(_)));
}
