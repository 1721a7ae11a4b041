//! Two connections against each other on a clock that the test moves.

use super::*;
use crate::io::fd::seqpacket_pair;
use crate::io::offload::VNET;
use crate::io::{Tun, Waker};
use crate::rootless::netstack::frames::Frames;
use crate::rootless::netstack::handshakes::{Handshakes, Offer};
use crate::rootless::netstack::link::Link;
use crate::rootless::netstack::segment::{FIN, RST, SYN};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::Arc;

pub(super) const SECOND: Micros = 1_000_000;
const BUFFER: usize = 256 << 10;
const MTU: u16 = 1408;

pub(super) struct Side {
    tcp: Tcp,
    held: Arc<Frames>,
    wire: Tun,
    /// The engine does not read.
    pub(super) stuck: bool,
    flow: Option<Flow>,
    pub(super) program: UnixStream,
    inner: Option<UnixStream>,
    outcome: Outcome,
}

impl Side {
    fn new(address: &str) -> Self {
        let (end, wire) = seqpacket_pair().unwrap();
        let own: IpAddr = address.parse().unwrap();
        let waker = Arc::new(Waker::new().unwrap());
        let frames = Arc::new(Frames::new(Tun::from_fd(end).unwrap(), vec![own], waker));
        let held = Arc::clone(&frames);
        let tcp = Tcp::new(Link::new(frames, MTU), &[(own, 48)]);
        let (inner, program) = UnixStream::pair().unwrap();
        inner.set_nonblocking(true).unwrap();
        program.set_nonblocking(true).unwrap();
        let wire = Tun::from_fd(wire).unwrap();
        let (inner, outcome) = (Some(inner), Outcome::Again);
        Self { tcp, held, wire, stuck: false, flow: None, program, inner, outcome }
    }

    fn turn(&mut self, now: Micros) {
        while let Some(flow) = &mut self.flow {
            flow.readable = true;
            flow.writable = true;
            self.outcome = flow.turn(&mut self.tcp, now);
            match self.outcome {
                Outcome::Opened => flow.attach(self.inner.take().unwrap()),
                Outcome::Again if !self.held.blocked() => {}
                _ => return,
            }
        }
    }

    fn frames(&self) -> Vec<Vec<u8>> {
        let mut slab = vec![0; 70_000];
        let mut frames = Vec::new();
        if self.stuck {
            return frames;
        }
        while let Ok(Some(length)) = self.wire.read(&mut slab) {
            frames.push(slab[VNET..length].to_vec());
            self.held.flush();
        }
        frames
    }

    pub(super) fn read_all(&mut self) -> (Vec<u8>, bool) {
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        loop {
            match self.program.read(&mut buffer) {
                Ok(0) => return (bytes, true),
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return (bytes, false),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

pub(super) struct Pair {
    pub(super) near: Side,
    pub(super) far: Side,
    handshakes: Handshakes,
    now: Micros,
    /// Loses the frames that it says yes to.
    pub(super) lose: Box<dyn FnMut(&Segment) -> bool>,
    seen: Vec<u8>,
}

impl Pair {
    pub(super) fn open() -> Self {
        let (mut near, far) = (Side::new("fd77::1"), Side::new("fd77::2"));
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let key = FlowKey { local: at("[fd77::1]:40000"), remote: at("[fd77::2]:80") };
        near.flow = Flow::dial(key, BUFFER, 5 * SECOND, &mut near.tcp);
        let (handshakes, lose) = (Handshakes::new(BUFFER), Box::new(|_: &Segment| false));
        let mut pair = Self { near, far, handshakes, now: SECOND, lose, seen: Vec::new() };
        pair.exchange();
        assert!(pair.near.inner.is_none() && pair.far.inner.is_none(), "the handshake is done");
        pair
    }

    /// Lets both talk until both are quiet.
    fn exchange(&mut self) {
        loop {
            self.near.turn(self.now);
            self.far.turn(self.now);
            let (out, back) = (self.near.frames(), self.far.frames());
            if out.is_empty() && back.is_empty() {
                return;
            }
            self.now += 1000;
            for frame in out {
                self.carry(frame, true);
            }
            for frame in back {
                self.carry(frame, false);
            }
        }
    }

    fn carry(&mut self, mut frame: Vec<u8>, outward: bool) {
        let packet = PacketView::parse(&frame).unwrap();
        let segment = Segment::parse(&packet, &frame).unwrap();
        self.seen.push(segment.flags);
        if (self.lose)(&segment) {
            return;
        }
        let (now, key) = (self.now, FlowKey::of(&packet).unwrap());
        let side = if outward { &mut self.far } else { &mut self.near };
        match &mut side.flow {
            Some(flow) => flow.receive(&mut frame, segment, &mut side.tcp, now),
            None if segment.has(SYN) => {
                self.handshakes.begin(
                    key,
                    &mut frame,
                    segment,
                    Offer { buffer: BUFFER, now },
                    &mut side.tcp,
                );
            }
            None => {
                let mut flow = self.handshakes.end(&key, &segment, &mut side.tcp).unwrap().unwrap();
                flow.receive(&mut frame, segment, &mut side.tcp, now);
                side.flow = Some(flow);
            }
        }
    }

    /// Goes on in time, by the flows' own alarms.
    pub(super) fn pass(&mut self, span: Micros) {
        let until = self.now + span;
        loop {
            self.exchange();
            let alarm = |side: &Side| match side.outcome {
                Outcome::Wait(at) => at,
                _ => None,
            };
            let next = [alarm(&self.near), alarm(&self.far)].into_iter().flatten().min();
            match next {
                Some(at) if at < until => self.now = self.now.max(at),
                _ => break,
            }
        }
        self.now = until;
        self.exchange();
    }

    fn reset_seen(&self) -> bool {
        self.seen.iter().any(|flags| flags & RST != 0)
    }
}

#[test]
fn an_hour_of_silence_ends_with_a_fin_and_not_with_a_reset() {
    let mut pair = Pair::open();
    pair.pass(3600 * SECOND);
    let before = pair.seen.len();
    pair.pass(3600 * SECOND);
    assert_eq!(pair.seen.len(), before, "an idle connection says nothing");
    pair.near.program.shutdown(Shutdown::Write).unwrap();
    pair.pass(SECOND);
    assert_eq!(pair.far.read_all(), (vec![], true));
    pair.pass(600 * SECOND); // half a close may last
    pair.far.program.write_all(b"late").unwrap();
    pair.far.program.shutdown(Shutdown::Write).unwrap();
    pair.pass(SECOND);
    assert_eq!(pair.near.read_all(), (b"late".to_vec(), true));
    assert_eq!((pair.near.outcome, pair.far.outcome), (Outcome::Gone, Outcome::Gone));
    assert!(!pair.reset_seen());
}

#[test]
fn a_lost_fin_is_sent_again() {
    let mut pair = Pair::open();
    let mut lost = 0;
    pair.lose = Box::new(move |segment| {
        lost += 1;
        segment.has(FIN) && lost < 3
    });
    pair.near.program.write_all(b"last").unwrap();
    pair.near.program.shutdown(Shutdown::Write).unwrap();
    pair.pass(3 * SECOND);
    assert_eq!(pair.far.read_all(), (b"last".to_vec(), true));
}

#[test]
fn a_lost_opening_of_the_window_is_asked_for() {
    let mut pair = Pair::open();
    let bytes = vec![7; 3 << 20];
    let mut written = 0;
    for _ in 0..100 {
        if let Ok(count) = pair.near.program.write(&bytes[written..]) {
            written += count;
        }
        pair.exchange(); // the far program does not read: the window closes
    }
    pair.lose = Box::new(|_| true);
    let (mut got, _) = pair.far.read_all();
    pair.exchange();
    pair.lose = Box::new(|_| false);
    for _ in 0..100 {
        pair.pass(SECOND);
        if let Ok(count) = pair.near.program.write(&bytes[written..]) {
            written += count;
        }
        got.extend(pair.far.read_all().0);
    }
    assert_eq!((got.len(), written), (bytes.len(), bytes.len()));
}

#[test]
fn one_of_each_ten_segments_lost_is_survived() {
    let mut pair = Pair::open();
    let mut count = 0u64;
    pair.lose = Box::new(move |_| {
        count += 1;
        count.is_multiple_of(10)
    });
    let (bytes, mut got, mut written) = (vec![9; 1 << 20], Vec::new(), 0);
    for _ in 0..400 {
        if let Ok(count) = pair.near.program.write(&bytes[written..]) {
            written += count;
        }
        pair.pass(SECOND / 4);
        got.extend(pair.far.read_all().0);
    }
    assert_eq!(got.len(), bytes.len());
}

#[test]
fn a_peer_that_is_gone_is_given_up_after_a_minute() {
    let mut pair = Pair::open();
    pair.lose = Box::new(|_| true);
    pair.near.program.write_all(b"anybody there?").unwrap();
    pair.pass(59 * SECOND);
    assert!(matches!(pair.near.outcome, Outcome::Wait(_)));
    pair.pass(3 * SECOND);
    assert_eq!(pair.near.flow.as_ref().unwrap().phase, Phase::Reset);
}
