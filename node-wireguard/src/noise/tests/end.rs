//! One end of a link, as the device makes it of a `Protocol`, with the clock in the test's hand.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::noise::*;

pub type Datagram = Vec<u8>;

/// Where the messages of tests come from.
pub fn source() -> Source {
    Source::Direct(SocketAddr::from(([192, 0, 2, 1], 51_820)))
}

/// The wall clock of tests: two days ahead of the boot clock.
pub fn wall(now: Millis) -> Timestamp {
    Timestamp::new(Duration::from_millis(200_000_000 + now))
}

pub fn local(seed: u8) -> Arc<Local> {
    Arc::new(Local::new(std::array::from_fn(|at| seed.wrapping_add(at as u8 * 7))))
}

pub struct End {
    pub local: Arc<Local>,
    pub protocol: Protocol,
    pub checker: CookieChecker,
    pub sessions: HashMap<u32, Arc<Keypair>>,
    pub got: Vec<Vec<u8>>,
    pub actions: Vec<(Millis, Action)>,
    pub initiations: Vec<Millis>,
    pub keepalives: Vec<Millis>,
    pub loaded: bool,
    waiting: Vec<Vec<u8>>,
    next_index: u32,
}

impl End {
    pub fn new(local: Arc<Local>, options: ProtocolOptions) -> Self {
        Self {
            checker: CookieChecker::new(&local),
            next_index: u32::from_le_bytes([1, 0, 0, local.public().as_bytes()[0]]),
            protocol: Protocol::new(Arc::clone(&local), options, 0).unwrap(),
            local,
            sessions: HashMap::new(),
            got: Vec::new(),
            actions: Vec::new(),
            initiations: Vec::new(),
            keepalives: Vec::new(),
            loaded: false,
            waiting: Vec::new(),
        }
    }

    /// Two ends that know each other.
    pub fn pair(preshared_key: [u8; 32]) -> (Self, Self) {
        let (a, b) = (local(1), local(100));
        let options = |remote: &Arc<Local>| ProtocolOptions {
            remote: *remote.public(),
            preshared_key,
            keepalive_seconds: 0,
            vanilla: false,
        };
        let (to_a, to_b) = (options(&a), options(&b));
        (Self::new(a, to_b), Self::new(b, to_a))
    }

    /// A packet from the tunnel: leaves, or waits for a session.
    pub fn send(&mut self, packet: &[u8], now: Millis) -> Vec<Datagram> {
        let session = Arc::clone(self.protocol.session());
        let Some(keypair) = session.sending(now) else {
            self.waiting.push(packet.to_vec());
            session.timers.want_handshake();
            return self.poll(now);
        };
        let Some(counter) = keypair.next_counters(1) else {
            session.timers.want_handshake();
            return self.poll(now);
        };
        let mut message = vec![0xee; padded(packet.len(), 1_408) + DATA_OVERHEAD];
        keypair.seal_message(counter, packet, &mut message);
        session.sent(&keypair, !packet.is_empty(), now);
        let mut sent = vec![message];
        sent.extend(self.poll(now));
        sent
    }

    /// Does what the timers ask for.
    pub fn poll(&mut self, now: Millis) -> Vec<Datagram> {
        let mut sent = Vec::new();
        loop {
            let mut actions = Vec::new();
            self.protocol.poll(now, &mut actions);
            if actions.is_empty() {
                return sent;
            }
            sent.extend(self.act(actions, now));
        }
    }

    fn act(&mut self, actions: Vec<Action>, now: Millis) -> Vec<Datagram> {
        let mut sent = Vec::new();
        for action in actions {
            self.actions.push((now, action));
            match action {
                Action::Initiate => sent.extend(self.initiate(now)),
                Action::Keepalive if self.waiting.is_empty() => {
                    self.keepalives.push(now);
                    sent.extend(self.send(&[], now));
                }
                Action::Keepalive => sent.extend(self.flush(now)),
                Action::Release(index) => drop(self.sessions.remove(&index)),
                Action::HandshakeGivenUp => self.waiting.clear(),
                Action::ZeroKeys => {}
            }
        }
        sent
    }

    /// When the timers want to be asked again.
    pub fn deadline(&mut self, now: Millis) -> Millis {
        let mut actions = Vec::new();
        let at = self.protocol.poll(now, &mut actions);
        assert_eq!(actions, [], "poll has just been called");
        at
    }

    pub fn initiate(&mut self, now: Millis) -> Option<Datagram> {
        let message = self.protocol.initiate(now, wall(now), self.next_index)?;
        self.next_index += 0x100; // the low byte tells the ends apart in a debugger
        self.initiations.push(now);
        Some(message.to_vec())
    }

    /// A datagram from the network: what leaves because of it.
    pub fn receive(&mut self, datagram: &[u8], now: Millis) -> Vec<Datagram> {
        let mut sent = match Kind::of(datagram) {
            Some(Kind::Data { receiver, counter }) => {
                return self.receive_data(datagram, receiver, counter, now);
            }
            Some(Kind::CookieReply { .. }) => {
                self.protocol.on_cookie(datagram, now).unwrap();
                Vec::new()
            }
            Some(Kind::Initiation { .. } | Kind::Response { .. }) => {
                match self.checker.check(datagram, source(), self.loaded, now) {
                    Verdict::Accept => self.receive_handshake(datagram, now),
                    Verdict::Challenge(reply) => vec![reply.to_vec()],
                    Verdict::Drop => Vec::new(),
                }
            }
            None => panic!("not WireGuard: {datagram:?}"),
        };
        sent.extend(self.poll(now));
        sent
    }

    fn receive_handshake(&mut self, datagram: &[u8], now: Millis) -> Vec<Datagram> {
        if datagram.len() == RESPONSE {
            if let Ok(keypair) = self.protocol.on_response(datagram, now) {
                self.sessions.insert(keypair.local_index, keypair);
            }
            return Vec::new();
        }
        let Ok(opened) = open_initiation(&self.local, datagram) else { return Vec::new() };
        let index = self.next_index;
        let Ok((message, keypair)) = self.protocol.on_initiation(opened, index, now) else {
            return Vec::new();
        };
        self.next_index += 0x100;
        self.sessions.insert(index, keypair);
        vec![message.to_vec()]
    }

    fn receive_data(
        &mut self,
        datagram: &[u8],
        index: u32,
        counter: u64,
        now: Millis,
    ) -> Vec<Datagram> {
        let Some(keypair) = self.sessions.get(&index).map(Arc::clone) else { return Vec::new() };
        if !keypair.is_alive(now) || !keypair.replay().is_fresh(counter) {
            return Vec::new();
        }
        let mut text = datagram[DATA_HEADER..].to_vec();
        let Ok(length) = keypair.open(counter, &mut text) else { return Vec::new() };
        let held = keypair.replay().held();
        assert!(keypair.replay().commit(counter));
        let grown = Some(keypair.replay().held()).filter(|now| *now > held);
        text.truncate(length);
        let data = !text.is_empty();
        if data {
            self.got.push(text);
        }
        let received = self.protocol.session().received(&keypair, data, now);
        if let Some(bits) = grown {
            self.protocol.session().window_grew(&keypair, bits);
        }
        let mut sent = if received.promoted { self.flush(now) } else { Vec::new() };
        sent.extend(self.poll(now));
        sent
    }

    fn flush(&mut self, now: Millis) -> Vec<Datagram> {
        let waiting = std::mem::take(&mut self.waiting);
        waiting.iter().flat_map(|packet| self.send(packet, now)).collect()
    }
}

/// Two ends and the cable between them.
pub struct Link {
    pub a: End,
    pub b: End,
    pub now: Millis,
    /// Nothing arrives while the cable is cut.
    pub cut: bool,
}

impl Link {
    pub fn new(preshared_key: [u8; 32]) -> Self {
        let (a, b) = End::pair(preshared_key);
        Self { a, b, now: 1_000, cut: false }
    }

    /// With a session that `a` began and both have used.
    pub fn established() -> Self {
        let mut link = Self::new([0; 32]);
        link.send_a(&[1; 32]);
        assert_eq!(link.b.got, [vec![1; 32]]);
        link
    }

    pub fn send_a(&mut self, packet: &[u8]) {
        let sent = self.a.send(packet, self.now);
        self.carry(sent, Vec::new());
    }

    pub fn send_b(&mut self, packet: &[u8]) {
        let sent = self.b.send(packet, self.now);
        self.carry(Vec::new(), sent);
    }

    /// Carries messages until there are none: first those of `a`, then those of `b`.
    pub fn carry(&mut self, mut from_a: Vec<Datagram>, mut from_b: Vec<Datagram>) {
        while !(self.cut || from_a.is_empty() && from_b.is_empty()) {
            let (to_b, to_a) = (std::mem::take(&mut from_a), std::mem::take(&mut from_b));
            from_b.extend(to_b.iter().flat_map(|datagram| self.b.receive(datagram, self.now)));
            from_a.extend(to_a.iter().flat_map(|datagram| self.a.receive(datagram, self.now)));
        }
    }

    /// Lets the clock run, stopping at each deadline.
    pub fn run_until(&mut self, end: Millis) {
        loop {
            let (from_a, from_b) = (self.a.poll(self.now), self.b.poll(self.now));
            self.carry(from_a, from_b);
            let next = self.a.deadline(self.now).min(self.b.deadline(self.now));
            assert!(next > self.now, "a deadline that has passed already");
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
        }
    }
}
