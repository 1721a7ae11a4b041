//! Devices in this process, on loopback sockets, whose interface is one end of a socket pair: no root, no kernel TUN.
#![allow(dead_code)]

pub mod far;

use node_wireguard::device::{
    Device, DeviceOptions, Event, FilterConfig, FilterProtocol, FilterRule, ForwardSession,
    InterfaceOptions, PathConfig, PathState, PathStatus, PeerConfig, PublicKey,
};
use node_wireguard::forwarder::{
    Forwarder, ForwarderOptions, STRANGERS, SessionConfig, SideConfig,
};
use node_wireguard::io::fd::seqpacket_pair;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const VNET: usize = 10;
pub const PATIENCE: Duration = Duration::from_secs(10);

pub struct Node {
    pub device: Device,
    pub key: PublicKey,
    pub private: [u8; 32],
    pub ip: Ipv4Addr,
    frames: UnixDatagram,
    events: Mutex<Receiver<Event>>,
}

impl Node {
    /// A device at 10.0.0.`number` that lets every UDP packet in.
    pub fn new(number: u8) -> Self {
        Self::with(number, 1)
    }

    /// The same with several sockets.
    pub fn with(number: u8, sockets: usize) -> Self {
        Self::listening(number, vec![local(0); sockets])
    }

    pub fn listening(number: u8, listen: Vec<SocketAddr>) -> Self {
        let (inner, outer) = seqpacket_pair().unwrap();
        let ip = Ipv4Addr::new(10, 0, 0, number);
        let private = [number; 32];
        let (tell, events) = channel();
        let tell = Mutex::new(tell);
        let addresses = vec![(IpAddr::V4(ip), 24)];
        let interface =
            InterfaceOptions::Frames { fd: inner, mtu: 1408, addresses, merge_udp: false };
        let options = DeviceOptions {
            private_key: private,
            listen,
            sockets: Default::default(),
            interface,
            shards: 1,
        };
        let sink = Arc::new(move |event| drop(tell.lock().unwrap().send(event)));
        let device = Device::open(options, sink).unwrap();
        let frames = UnixDatagram::from(outer);
        frames.set_nonblocking(false).unwrap();
        frames.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let node = Self {
            key: device.public_key(),
            device,
            private,
            ip,
            frames,
            events: Mutex::new(events),
        };
        node.allow_udp();
        node
    }

    pub fn allow_udp(&self) {
        let rule =
            FilterRule { protocol: FilterProtocol::Udp, ports: (0, 65_535), sources: vec![] };
        self.device.set_filter(FilterConfig { allow: vec![rule], open: false }).unwrap();
    }

    pub fn address(&self, socket: usize) -> SocketAddr {
        self.device.sockets()[socket].local
    }

    /// As a peer of another node.
    pub fn config(&self) -> PeerConfig {
        PeerConfig {
            public_key: self.key,
            allowed_ips: vec![(IpAddr::V4(self.ip), 32)],
            preshared_key: None,
            keepalive_seconds: None,
            vanilla: false,
            endpoint: None,
        }
    }

    pub fn add(&self, config: PeerConfig) {
        self.device.update_peers(vec![config], vec![]).unwrap();
    }

    pub fn send(&self, to: Ipv4Addr, payload: &[u8]) {
        self.send_packet(&udp_packet(self.ip, to, payload));
    }

    pub fn send_packet(&self, packet: &[u8]) {
        self.try_send_packet(packet).unwrap();
    }

    /// Fails when the device is closed.
    pub fn try_send_packet(&self, packet: &[u8]) -> std::io::Result<usize> {
        let mut frame = vec![0; VNET];
        frame.extend(packet);
        self.frames.send(&frame)
    }

    /// The next packet that comes out, within the time.
    pub fn receive_within(&self, wait: Duration) -> Option<Vec<u8>> {
        let (mut buffer, end) = (vec![0; 70_000], Instant::now() + wait);
        while Instant::now() < end {
            if let Ok(length) = self.frames.recv(&mut buffer) {
                return Some(buffer[VNET..length].to_vec());
            }
        }
        None
    }

    /// The payload of the next UDP packet.
    pub fn receive(&self) -> Option<Vec<u8>> {
        self.receive_within(PATIENCE).map(|packet| packet[28..].to_vec())
    }

    pub fn wait_for(&self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        let end = Instant::now() + PATIENCE;
        let events = self.events.lock().unwrap();
        let mut seen = Vec::new();
        while let Ok(event) = events.recv_timeout(end.saturating_duration_since(Instant::now())) {
            if wanted(&event) {
                return event;
            }
            seen.push(event);
        }
        panic!("never: {what}; instead {seen:#?}");
    }

    /// Events so far.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().try_iter().collect()
    }

    pub fn path(&self, peer: PublicKey, id: u32) -> Option<PathStatus> {
        let status = self.device.status().unwrap();
        let peer = status.peers.into_iter().find(|status| status.public_key == peer)?;
        peer.paths.into_iter().find(|path| path.id == id)
    }

    pub fn until(&self, what: &str, happens: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !happens(self) {
            assert!(Instant::now() < end, "never: {what}; {:#?}", self.device.status());
            std::thread::sleep(Duration::from_millis(5)); // the status has no event
        }
    }

    pub fn until_state(&self, peer: PublicKey, id: u32, state: PathState) {
        self.until(&format!("path {id} {state:?}"), |node| {
            node.path(peer, id).is_some_and(|path| path.state == state)
        });
    }
}

pub fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

pub fn path(id: u32, local: u32, remote: SocketAddr) -> PathConfig {
    PathConfig { id, local, remote, session: None, cost_class: 0 }
}

/// Makes peers of each other, with one direct path.
pub fn introduce(a: &Node, b: &Node) {
    a.add(b.config());
    b.add(a.config());
    a.device.update_paths(b.key, vec![path(1, 0, b.address(0))]).unwrap();
    b.device.update_paths(a.key, vec![path(1, 0, a.address(0))]).unwrap();
}

/// Sends until something arrives: whatever is lost on the way is sent again.
pub fn deliver(from: &Node, to: &Node, payload: &[u8]) {
    from.send(to.ip, payload);
    assert_eq!(to.receive().as_deref(), Some(payload));
}

pub fn udp_packet(source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let total = (28 + payload.len()) as u16;
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0];
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    packet.extend(source.octets());
    packet.extend(destination.octets());
    let sum: u32 = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    packet.extend([0x30, 0x39, 0x14, 0x51]); // ports 12345, 5201
    packet.extend((total - 20).to_be_bytes());
    packet.extend([0, 0]); // UDP over IPv4 may go without a checksum
    packet.extend(payload);
    packet
}

/// A socket in the middle: what comes from one side goes to the other; it records, and can be cut.
pub struct Middle {
    socket: UdpSocket,
    sides: [SocketAddr; 2],
    pub seen: Vec<(SocketAddr, Vec<u8>)>,
}

impl Middle {
    pub fn new() -> Self {
        Self::at(Ipv4Addr::LOCALHOST)
    }

    pub fn at(address: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        Self { socket, sides: [local(0); 2], seen: Vec::new() }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub fn between(&mut self, a: SocketAddr, b: SocketAddr) {
        self.sides = [a, b];
    }

    /// Passes datagrams on until `done`.
    pub fn pump(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < end, "never: {what}");
            self.step();
        }
    }

    pub fn step(&mut self) {
        let mut buffer = [0; 65_536];
        let Ok((length, from)) = self.socket.recv_from(&mut buffer) else { return };
        let to = if from == self.sides[0] { self.sides[1] } else { self.sides[0] };
        self.socket.send_to(&buffer[..length], to).unwrap();
        self.seen.push((from, buffer[..length].to_vec()));
    }

    pub fn inject(&self, to: SocketAddr, bytes: &[u8]) {
        self.socket.send_to(bytes, to).unwrap();
    }
}

/// A forwarder with a session between two nodes, and the path through it for the one that has the slot 11 or 12.
pub fn forwarder() -> (Forwarder, impl Fn(u32) -> PathConfig) {
    const SLOTS: [(u32, [u8; 32]); 2] = [(11, [1; 32]), (12, [2; 32])];
    let options = ForwarderOptions { listen: vec![local(0)], stun: true, strangers: STRANGERS };
    let forwarder = Forwarder::open(options, Arc::new(|_| ())).unwrap();
    let relay = forwarder.addresses()[0];
    let sides = SLOTS.map(|(slot, secret)| SideConfig { slot, secret });
    let session = SessionConfig { id: "s".into(), sides, lasts_ms: 60_000, quota_bytes: None };
    forwarder.set_sessions(vec![session], &[]).unwrap();
    let relayed = move |slot| {
        let secret = SLOTS.iter().find(|(one, _)| *one == slot).unwrap().1;
        let session = Some(ForwardSession { slot, secret });
        PathConfig { session, cost_class: 1, ..path(1, 0, relay) }
    };
    (forwarder, relayed)
}

/// Two nodes that know each other by a path through a middle.
pub fn introduce_through(middle: &mut Middle, a: &Node, b: &Node) {
    a.add(b.config());
    b.add(a.config());
    middle.between(a.address(0), b.address(0));
    a.device.update_paths(b.key, vec![path(1, 0, middle.address())]).unwrap();
    b.device.update_paths(a.key, vec![path(1, 0, middle.address())]).unwrap();
}
