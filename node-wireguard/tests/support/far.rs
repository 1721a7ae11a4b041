//! Many far ends in one thread: the protocol alone, each on a socket with an address of its own.

use node_wireguard::device::{ForwardSession, PathConfig, PeerConfig, PublicKey};
use node_wireguard::forwarder::{
    BindClient, HEADER_LENGTH, Kind as Forwarded, SessionConfig, SideConfig, header, is_bind,
    slot_of,
};
use node_wireguard::noise::{Keypair, Kind, Local, Protocol, ProtocolOptions, Timestamp};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Far from what it takes (a second or two), for machines that do something else as well.
const MOST: Duration = Duration::from_secs(60);
/// A handshake may be repeated after five seconds; the far ends' clock is ours to move.
const PAUSE_MS: u64 = 6_000;

/// Where a far end sends to: the device itself, or a forwarder under a slot of its own.
enum Way {
    Direct(SocketAddr),
    Relayed(SocketAddr, BindClient),
}

pub struct Far {
    protocol: Protocol,
    pub key: PublicKey,
    ip: Ipv4Addr,
    number: u32,
    socket: UdpSocket,
    way: Way,
    index: u32,
    pub session: Option<Arc<Keypair>>,
}

impl Far {
    pub fn new(number: u32, device: PublicKey, at: SocketAddr) -> Self {
        let mut private = [7; 32];
        private[4..8].copy_from_slice(&number.to_le_bytes());
        let local = Arc::new(Local::new(private));
        let key = *local.public().as_bytes();
        let options = ProtocolOptions {
            remote: node_wireguard::noise::PublicKey(device),
            preshared_key: [0; 32],
            keepalive_seconds: 0,
            vanilla: true,
        };
        let [third, fourth] = [(number / 250) as u8, (number % 250) as u8];
        // rubbish is limited by source address, so each has its own
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 1, third, fourth + 1), 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let (protocol, way) = (Protocol::new(local, options, 0).unwrap(), Way::Direct(at));
        let ip = Ipv4Addr::new(10, 1, third, fourth);
        Self { protocol, key, ip, number, socket, way, index: number, session: None }
    }

    /// From now on by this forwarder, once it is bound there.
    pub fn relay_by(&mut self, forwarder: SocketAddr) {
        let [_, far] = self.slots();
        self.way = Way::Relayed(forwarder, BindClient::new(far.slot, far.secret, 1));
    }

    fn slots(&self) -> [SideConfig; 2] {
        let side = |slot: u32| {
            let mut secret = [9; 32];
            secret[..4].copy_from_slice(&slot.to_le_bytes());
            SideConfig { slot, secret }
        };
        [side(2 * self.number + 1), side(2 * self.number + 2)]
    }

    /// The forwarder's session between the device and this one.
    pub fn forwarding(&self) -> SessionConfig {
        let (id, lasts_ms) = (self.number.to_string(), 600_000);
        SessionConfig { id, sides: self.slots(), lasts_ms, quota_bytes: None }
    }

    /// As a peer of the device.
    pub fn config(&self, vanilla: bool) -> PeerConfig {
        PeerConfig {
            public_key: self.key,
            allowed_ips: vec![(IpAddr::V4(self.ip), 32)],
            preshared_key: None,
            keepalive_seconds: None,
            vanilla,
            endpoint: None,
        }
    }

    /// The device's paths to it: by the forwarder, or straight and to a place where nobody is.
    pub fn paths(&self) -> Vec<PathConfig> {
        let path =
            |id, remote, session| PathConfig { id, local: 0, remote, session, cost_class: 0 };
        match &self.way {
            Way::Relayed(forwarder, _) => {
                let [SideConfig { slot, secret }, _] = self.slots();
                vec![path(1, *forwarder, Some(ForwardSession { slot, secret }))]
            }
            Way::Direct(_) => {
                let here = self.socket.local_addr().unwrap();
                vec![path(1, here, None), path(2, (here.ip(), 9).into(), None)]
            }
        }
    }

    fn send(&self, message: &[u8]) {
        // A full queue is a loss, as on a wire.
        let _ = match &self.way {
            Way::Direct(device) => self.socket.send_to(message, device),
            Way::Relayed(forwarder, bind) => {
                let head = header(Forwarded::Forward, bind.slot());
                self.socket.send_to(&[&head, message].concat(), forwarder)
            }
        };
    }

    /// Whether the forwarder takes what comes from here; to be asked again and again.
    pub fn is_bound(&mut self, now: u64) -> bool {
        let Way::Relayed(forwarder, bind) = &mut self.way else { return true };
        let mut buffer = [0; 2_048];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            if is_bind(&buffer[..length]) {
                bind.on_message(&buffer[..length], now);
            }
        }
        if let Some(message) = bind.poll(now) {
            self.socket.send_to(&message, *forwarder).unwrap();
        }
        bind.is_bound(now)
    }

    fn call(&mut self, now: u64) {
        let wall = Timestamp::new(Duration::from_millis(2_000_000_000 + now));
        self.index += 0x10_0000;
        if let Some(message) = self.protocol.initiate(now, wall, self.index) {
            self.send(&message);
        }
    }

    /// An empty packet, with `skipped` counters left out before it.
    pub fn say_nothing(&self, skipped: u64) {
        let session = self.session.as_ref().unwrap();
        let counter = session.next_counters(skipped + 1).unwrap() + skipped;
        let mut message = [0; 32];
        session.seal_message(counter, b"", &mut message);
        self.send(&message);
    }

    /// Takes what came; a session is confirmed by an empty packet. Whether a cookie came, and the call must be repeated.
    fn hear(&mut self, now: u64) -> bool {
        let (mut buffer, mut again) = ([0; 2_048], false);
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let message = match slot_of(&buffer[..length]) {
                Some(_) => &buffer[HEADER_LENGTH..length],
                None => &buffer[..length],
            };
            match Kind::of(message) {
                Some(Kind::Response { .. }) => {
                    let Ok(session) = self.protocol.on_response(message, now) else { continue };
                    self.session = Some(session);
                    self.say_nothing(0);
                }
                Some(Kind::CookieReply { .. }) => {
                    again |= self.protocol.on_cookie(message, now).is_ok();
                }
                _ => {}
            }
        }
        again
    }
}

/// All call at once, and again as often as they are told to or hear nothing for a while. Until each has a session.
pub fn shake_hands(fars: &mut [Far], clock: &mut u64) -> Duration {
    let (start, mut last) = (Instant::now(), Instant::now());
    fars.iter_mut().for_each(|far| far.session = None);
    *clock += PAUSE_MS;
    fars.iter_mut().for_each(|far| far.call(*clock));
    let missing = |fars: &[Far]| fars.iter().filter(|far| far.session.is_none()).count();
    let mut before = missing(fars);
    while before > 0 {
        assert!(start.elapsed() < MOST, "{before} of {} have no session", fars.len());
        let silent = last.elapsed() > Duration::from_secs(1);
        let now = *clock;
        let told = fars.iter_mut().filter(|far| far.session.is_none());
        let again: Vec<bool> = told.map(|far| far.hear(now)).collect();
        if silent || again.contains(&true) {
            *clock += PAUSE_MS;
            let mut turn = again.into_iter();
            for far in fars.iter_mut().filter(|far| far.session.is_none()) {
                if silent || turn.next() == Some(true) {
                    far.call(*clock);
                }
            }
        }
        let after = missing(fars);
        if silent || after < before {
            last = Instant::now();
        }
        before = after;
    }
    start.elapsed()
}
