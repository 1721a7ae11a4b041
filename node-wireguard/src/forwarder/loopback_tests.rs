//! The forwarder as a whole: real sockets on loopback.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{
    BindClient, BindState, Forwarder, ForwarderError, ForwarderOptions, Kind, Refusal, STRANGERS,
    SessionConfig, SideConfig, header, is_bind, slot_of,
};
use crate::io::{Destination, Udp, UdpOptions};
use crate::stun;

const SECRETS: [[u8; 32]; 2] = [[1; 32], [2; 32]];

fn forwarder(listen: &[&str]) -> Forwarder {
    let listen = listen.iter().map(|text| text.parse().unwrap()).collect();
    let options = ForwarderOptions { listen, stun: true, strangers: STRANGERS };
    let forwarder =
        Forwarder::open(options, Arc::new(|message| panic!("unexpected: {message}"))).unwrap();
    forwarder.set_sessions(vec![session("s")], &[]).unwrap();
    forwarder
}

fn session(id: &str) -> SessionConfig {
    let side = |slot, secret| SideConfig { slot, secret };
    SessionConfig {
        id: id.into(),
        sides: [side(10, SECRETS[0]), side(20, SECRETS[1])],
        lasts_ms: 60_000,
        quota_bytes: None,
    }
}

struct Member {
    socket: UdpSocket,
    bind: BindClient,
    started: Instant,
}

impl Member {
    fn new(slot: u32, secret: [u8; 32], forwarder: SocketAddr) -> Self {
        let any = if forwarder.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let socket = UdpSocket::bind(any).unwrap();
        socket.connect(forwarder).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self { socket, bind: BindClient::new(slot, secret, 7_000), started: Instant::now() }
    }

    fn receive(&self) -> Option<Vec<u8>> {
        let mut buffer = [0; 2_048];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(buffer[..length].to_vec())
    }

    fn bind(&mut self) -> BindState {
        loop {
            let now = self.started.elapsed().as_millis() as u64;
            if let Some(message) = self.bind.poll(now) {
                self.socket.send(&message).unwrap();
            }
            let answer = self.receive().unwrap();
            assert!(is_bind(&answer));
            match self.bind.on_message(&answer, now) {
                BindState::Binding => {}
                state => return state,
            }
        }
    }

    fn say(&self, payload: &[u8]) {
        let head = header(Kind::Forward, self.bind.slot());
        self.socket.send(&[&head, payload].concat()).unwrap();
    }

    fn hear(&self) -> Option<Vec<u8>> {
        let datagram = self.receive()?;
        let (slot, payload) = slot_of(&datagram).unwrap();
        assert_eq!(slot, self.bind.slot(), "what arrives names the receiver's slot");
        Some(payload.to_vec())
    }
}

fn data(text: &str) -> Vec<u8> {
    [&[4, 0, 0, 0], text.as_bytes()].concat()
}

fn bound_pair(forwarder: &Forwarder) -> (Member, Member) {
    let mut a = Member::new(10, SECRETS[0], forwarder.addresses()[0]);
    let mut b = Member::new(20, SECRETS[1], *forwarder.addresses().last().unwrap());
    assert!(matches!(a.bind(), BindState::Bound { .. }));
    assert!(matches!(b.bind(), BindState::Bound { .. }));
    (a, b)
}

#[test]
fn two_members_talk_through_it_one_by_ipv4_and_one_by_ipv6() {
    let forwarder = forwarder(&["127.0.0.1:0", "[::1]:0"]);
    let (a, b) = bound_pair(&forwarder);
    for (from, to, text) in [(&a, &b, "there"), (&b, &a, "and back")] {
        from.say(&data(text));
        assert_eq!(to.hear().unwrap(), data(text));
    }
    let status = forwarder.status().unwrap();
    let [side_a, side_b] = status.sessions[0].sides;
    assert_eq!((side_a.packets, side_a.bytes), (1, 9));
    assert_eq!((side_b.packets, side_b.bytes), (1, 12));
    assert_eq!((status.totals.packets, status.totals.bound), (2, 2));
    assert_eq!(side_a.bound, Some(a.socket.local_addr().unwrap()));
}

#[test]
fn a_batch_of_equal_datagrams_arrives_whole_and_in_order() {
    let forwarder = forwarder(&["127.0.0.1:0"]);
    let (mut a, b) = bound_pair(&forwarder);
    // The same address and port again, as an engine's socket that segments.
    let local = a.socket.local_addr().unwrap();
    a.socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let engine = Udp::bind(local, UdpOptions::default()).unwrap();
    let mut batch = Vec::new();
    for number in 0..40u8 {
        batch.extend(header(Kind::Forward, 10));
        batch.extend([4, 0, 0, 0, number]);
        batch.extend([0; 1_200]);
    }
    batch.truncate(batch.len() - 700);
    let to = Destination::new(forwarder.addresses()[0]);
    engine.send(&batch, 1_213, &to).unwrap();
    for number in 0..40u8 {
        let heard = b.hear().unwrap();
        assert_eq!(heard[4], number);
        assert_eq!(heard.len(), if number == 39 { 505 } else { 1_205 });
    }
    let [side, _] = forwarder.status().unwrap().sessions[0].sides;
    assert_eq!(side.packets, 40);
}

#[test]
fn a_wrong_secret_is_refused() {
    let forwarder = forwarder(&["127.0.0.1:0"]);
    let mut thief = Member::new(10, [9; 32], forwarder.addresses()[0]);
    assert_eq!(thief.bind(), BindState::Refused(Refusal::WrongProof));
}

#[test]
fn a_removed_session_is_cut_when_the_call_returns() {
    let forwarder = forwarder(&["127.0.0.1:0"]);
    let (mut a, b) = bound_pair(&forwarder);
    forwarder.set_sessions(vec![], &["s".into()]).unwrap();
    a.say(&data("too late"));
    a.bind.source_changed(0);
    a.started = Instant::now();
    // The answer to the bind shows that the datagram before it has been looked at.
    assert_eq!(a.bind(), BindState::Refused(Refusal::UnknownSlot));
    b.socket.set_nonblocking(true).unwrap();
    assert_eq!(b.receive(), None);
}

#[test]
fn it_tells_by_stun_where_a_question_came_from() {
    let forwarder = forwarder(&["127.0.0.1:0"]);
    let asker = Member::new(0, [0; 32], forwarder.addresses()[0]);
    asker.socket.send(&stun::write_request([5; 12], 64)).unwrap();
    let answer = stun::read_answer(&asker.receive().unwrap());
    assert_eq!(answer, Some(([5; 12], Ok(asker.socket.local_addr().unwrap()))));
}

#[test]
fn closing_joins_the_thread_and_frees_the_port() {
    let forwarder = forwarder(&["127.0.0.1:0"]);
    let address = forwarder.addresses()[0];
    forwarder.close();
    forwarder.close();
    UdpSocket::bind(address).unwrap();
    assert!(matches!(forwarder.status(), Err(ForwarderError::Closed)));
}

#[test]
fn a_port_that_is_taken_is_said() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let listen = vec![taken.local_addr().unwrap()];
    let options = ForwarderOptions { listen, stun: false, strangers: STRANGERS };
    let error = Forwarder::open(options, Arc::new(|_| {})).err().unwrap();
    assert!(error.to_string().contains("cannot bind 127.0.0.1:"), "{error}");
}
