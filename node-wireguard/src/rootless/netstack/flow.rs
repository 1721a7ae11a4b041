//! One TCP connection: smoltcp's socket on the mesh's side, a unix stream on the program's side, and the pumps between.

use super::governor::{Governor, Verdict};
use super::handshakes::HalfOpen;
use super::headers::{self, TcpHeader};
use super::key::FlowKey;
use super::segment::{ACK, SYN, Segment};
use super::tcp::{Micros, Tcp};
use crate::io::offload::VNET;
use crate::packet::PacketView;
use crate::rootless::RootlessError;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{RecvError, Socket, SocketBuffer, State};
use smoltcp::time::Duration as SmolDuration;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

/// smoltcp takes no smaller MSS either.
const SMALLEST_SEGMENT: u16 = 48;
/// Packets that one flow may send before the others have their turn.
const TURN: usize = 16;
/// Unacknowledged data for so long ends the connection.
const GIVE_UP: Micros = 60_000_000;
/// A connection whose program is gone and whose peer does not end it either.
const ORPHAN: Micros = 60_000_000;
/// With something unacknowledged and nothing sent for so long, the peer is asked where it is.
const SILENCE: Micros = 2_000_000;
/// How long the program's end stays open after a reset, so that the event comes before the end of file.
const AFTER_RESET: Micros = 1_000_000;
/// Bytes moved to or from the program in one turn.
const TURN_BYTES: usize = 1 << 20;

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Our SYN is out.
    Dialing,
    /// The peer's handshake is being replayed.
    Accepting,
    Open,
    /// TCP has ended well; what arrived is still to be read by the program.
    Draining,
    /// The peer reset it, or it was given up.
    Reset,
}

/// What became of a flow in its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Come back at this time (or when something arrives).
    Wait(Option<Micros>),
    /// More to do at once.
    Again,
    /// The handshake is done.
    Opened,
    /// It has just been reset: say so.
    Lost,
    Gone,
}

pub struct Flow {
    pub key: FlowKey,
    pub phase: Phase,
    set: SocketSet<'static>,
    handle: SocketHandle,
    governor: Option<Governor>,
    mss: u16,
    stream: Option<UnixStream>,
    /// As far as epoll's edges have told.
    pub readable: bool,
    pub writable: bool,
    /// The program's end is closed.
    pub hung_up: bool,
    /// The network has said so while we dialled.
    pub unreachable: bool,
    /// We have reset it ourselves, as nobody reads it.
    aborted: bool,
    overdue: bool,
    rested: bool,
    /// The program has sent its last byte; it has been told that the peer has.
    ended: bool,
    told_end: bool,
    /// Both ends of TCP have said FIN.
    closing: bool,
    deadline: Option<Micros>,
    /// What we acknowledged last.
    expected: u32,
    /// When something was sent last.
    sent_at: Micros,
}

impl Flow {
    fn new(key: FlowKey, phase: Phase, buffer: usize) -> Self {
        let ring = || SocketBuffer::new(vec![0; buffer]);
        let mut socket = Socket::new(ring(), ring());
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None); // one acknowledgement per batch of frames, at its end
        let mut set = SocketSet::new(Vec::with_capacity(1));
        let handle = set.add(socket);
        Self {
            key,
            phase,
            set,
            handle,
            governor: None,
            mss: 0,
            stream: None,
            readable: true,
            writable: true,
            hung_up: false,
            unreachable: false,
            aborted: false,
            overdue: false,
            rested: false,
            ended: false,
            told_end: false,
            closing: false,
            deadline: None,
            expected: 0,
            sent_at: 0,
        }
    }

    /// A connection that begins with our SYN. Nothing for addresses that TCP cannot have.
    pub fn dial(key: FlowKey, buffer: usize, deadline: Micros, tcp: &mut Tcp) -> Option<Self> {
        let mut flow = Self::new(key, Phase::Dialing, buffer);
        flow.deadline = Some(deadline);
        let seed = tcp.seed();
        let connected =
            tcp.with_seed(seed, |tcp| flow.socket().connect(tcp.context(), key.remote, key.local));
        connected.ok().map(|()| flow)
    }

    /// A connection whose handshake has been held outside: its `syn` came at `began`, and `seed` made our answer to it.
    pub fn accept(key: FlowKey, held: &HalfOpen, tcp: &mut Tcp) -> Option<Self> {
        let mut flow = Self::new(key, Phase::Accepting, held.buffer);
        flow.socket().listen(key.local).ok()?;
        let mut syn = held.syn.clone();
        let segment = Segment::parse(&PacketView::parse(&syn)?, &syn)?;
        tcp.link.mute = true; // it has our answer already
        tcp.with_seed(held.seed, |tcp| {
            flow.receive(&mut syn, segment, tcp, held.began);
            tcp.poll(&mut flow.set, held.began);
            flow.note(tcp, held.began);
        });
        tcp.link.mute = false;
        Some(flow)
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.set.get_mut(self.handle)
    }

    fn state(&self) -> State {
        self.set.get::<Socket>(self.handle).state()
    }

    pub fn established(&self) -> bool {
        matches!(self.state(), State::Established | State::CloseWait)
    }

    /// Gives it the program's end.
    pub fn attach(&mut self, stream: UnixStream) {
        self.stream = Some(stream);
        (self.phase, self.deadline) = (Phase::Open, None);
    }

    /// Takes a packet of this flow.
    pub fn receive(&mut self, bytes: &mut [u8], mut segment: Segment, tcp: &mut Tcp, now: Micros) {
        if matches!(self.phase, Phase::Draining | Phase::Reset) {
            return;
        }
        let mut verdict = Verdict::Nothing;
        // smoltcp forgets a FIN when its repeated acknowledgements ask for a fast retransmission: it looks for data only.
        let fin_only = self.socket().send_queue() == 0;
        match &mut self.governor {
            Some(governor) if fin_only && governor.is_repeated(&segment) => return,
            Some(governor) => verdict = governor.received(&mut segment, bytes, now),
            None if segment.has(SYN) => self.begin(bytes, &mut segment, tcp),
            None => {}
        }
        tcp.link.mss = self.mss;
        tcp.feed(&mut self.set, bytes, now);
        self.note(tcp, now);
        match verdict {
            Verdict::Nothing => {}
            Verdict::ResendHead if self.socket().send_queue() > 0 => {
                let header = TcpHeader {
                    sequence: segment.sequence.wrapping_add(segment.length()),
                    acknowledged: segment.acknowledged,
                    flags: ACK,
                    window: segment.window,
                };
                let again = headers::from_peer(&self.key, &header);
                for _ in 0..3 {
                    tcp.feed(&mut self.set, &again[VNET..], now); // RFC 5681: the third repetition resends
                }
                self.note(tcp, now);
            }
            Verdict::ResendHead | Verdict::ResendAll => {
                self.socket().set_timeout(None); // the clock is about to be put forward
                tcp.hurry(&mut self.set, segment.acknowledged, now);
                self.note(tcp, now);
            }
        }
    }

    /// Takes the peer's SYN: from here on the congestion window is kept.
    fn begin(&mut self, bytes: &mut [u8], segment: &mut Segment, tcp: &Tcp) {
        let largest = tcp.link.largest_segment(self.key.remote.is_ipv6());
        segment.clamp_maximum(bytes, largest);
        self.mss = segment.maximum(bytes).clamp(SMALLEST_SEGMENT, largest);
        let scale = segment.window_scale(bytes);
        let initial = segment.acknowledged.wrapping_sub(1); // of a SYN-ACK; else set when our SYN-ACK leaves
        let mut governor = Governor::new(self.mss, scale.unwrap_or(0), initial);
        governor.opening(segment, bytes);
        self.governor = Some(governor);
    }

    /// Tells the congestion window what has left.
    fn note(&mut self, tcp: &mut Tcp, now: Micros) {
        for sent in tcp.link.take_sent() {
            self.sent_at = now;
            if sent.segment.has(ACK) {
                self.expected = sent.segment.acknowledged;
            }
            let Some(governor) = &mut self.governor else { continue };
            if sent.segment.has(SYN) {
                governor.restart(sent.segment.sequence);
            } else {
                governor.sent(sent.segment.sequence, sent.length, now);
            }
        }
    }

    /// Moves bytes both ways and sends what is due.
    pub fn turn(&mut self, tcp: &mut Tcp, now: Micros) -> Outcome {
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            return self.overdue(tcp, now);
        }
        let mut more = self.pump();
        if !matches!(self.phase, Phase::Draining | Phase::Reset) {
            more |= self.send(tcp, now);
            more |= self.pump(); // what was acknowledged has made room
        }
        match self.settle(tcp.link.blocked(), now) {
            Some(outcome) => outcome,
            None if more => Outcome::Again,
            None => Outcome::Wait(self.wake_at(tcp, now)),
        }
    }

    fn overdue(&mut self, tcp: &mut Tcp, now: Micros) -> Outcome {
        self.overdue = true;
        self.abort(tcp, now);
        Outcome::Gone
    }

    /// Ends it with a reset to the peer.
    pub fn abort(&mut self, tcp: &mut Tcp, now: Micros) {
        if !matches!(self.phase, Phase::Draining | Phase::Reset) {
            self.socket().abort();
            tcp.poll(&mut self.set, now);
            tcp.link.take_sent();
        }
    }

    /// Sends what smoltcp has due; says whether it has more.
    fn send(&mut self, tcp: &mut Tcp, now: Micros) -> bool {
        tcp.link.mss = self.mss;
        let unfinished = self.socket().send_queue() > 0 || self.ended;
        let patience = unfinished.then_some(tcp.scaled(GIVE_UP));
        self.socket().set_timeout(patience);
        self.brace(tcp, now);
        self.nudge(now);
        let mut more = true;
        for _ in 0..TURN {
            more = tcp.poll(&mut self.set, now);
            self.note(tcp, now);
            if !more {
                break;
            }
        }
        self.socket().set_keep_alive(None);
        more || tcp.link.blocked()
    }

    /// Is there anything that the peer must still acknowledge?
    fn unfinished(&mut self) -> bool {
        let flight = self.governor.as_ref().is_some_and(|governor| governor.flight() > 0);
        flight || self.socket().send_queue() > 0
    }

    /// smoltcp can lose its timer when a window closes while segments are lost. A probe makes the peer say where it is; it
    /// leaves only when no timer runs.
    fn nudge(&mut self, now: Micros) {
        if self.phase == Phase::Open && self.unfinished() && now >= self.sent_at + SILENCE {
            self.sent_at = now;
            let interval = SmolDuration::from_secs(3600);
            self.socket().set_keep_alive(Some(interval));
        }
    }

    /// Before a retransmission timer fires, tells the socket a small window: it would send a whole old one at once.
    fn brace(&mut self, tcp: &mut Tcp, now: Micros) {
        let due = tcp.due(&self.set, now).is_some_and(|at| at > 0 && at <= now);
        let Some(governor) = &mut self.governor else { return };
        if due && governor.flight() > 0 && governor.open() && self.phase == Phase::Open {
            let header = TcpHeader {
                sequence: self.expected,
                acknowledged: governor.acknowledged(),
                flags: ACK,
                window: governor.timeout(now),
            };
            let smaller = headers::from_peer(&self.key, &header);
            tcp.feed(&mut self.set, &smaller[VNET..], now);
            self.note(tcp, now);
        }
    }

    fn pump(&mut self) -> bool {
        let (Some(stream), set) = (&self.stream, &mut self.set) else { return false };
        let socket: &mut Socket = set.get_mut(self.handle);
        let (mut outward, mut inward) = (TURN_BYTES, TURN_BYTES);
        while self.readable && !self.ended && socket.can_send() && outward > 0 {
            match socket.send(|room| carry((&*stream).read(room))) {
                Ok(Ok(0)) => {
                    self.ended = true;
                    socket.close();
                }
                Ok(Ok(count)) => outward = outward.saturating_sub(count),
                Ok(Err(ErrorKind::WouldBlock)) => self.readable = false,
                Ok(Err(ErrorKind::Interrupted)) => {}
                Ok(Err(_)) | Err(_) => {
                    (self.ended, self.aborted) = (true, true); // closed with bytes unread: TCP resets then
                    socket.abort();
                }
            }
        }
        while self.writable && socket.can_recv() && inward > 0 {
            match socket.recv(|bytes| carry((&*stream).write(bytes))) {
                Ok(Ok(count)) => inward = inward.saturating_sub(count),
                Ok(Err(ErrorKind::WouldBlock)) => self.writable = false,
                Ok(Err(ErrorKind::Interrupted)) => {}
                Ok(Err(_)) | Err(_) => {
                    (self.ended, self.aborted) = (true, true); // nobody will read it
                    socket.abort();
                    break;
                }
            }
        }
        let over = matches!(socket.recv(|_| (0, ())), Err(RecvError::Finished));
        if over && !self.told_end {
            self.told_end = true;
            let _ = stream.shutdown(Shutdown::Write); // fails only when the program is gone already
        }
        outward == 0 || inward == 0
    }

    /// Looks where TCP has come to.
    fn settle(&mut self, blocked: bool, now: Micros) -> Option<Outcome> {
        let state = self.state();
        self.closing |= matches!(state, State::LastAck | State::Closing | State::TimeWait);
        match self.phase {
            Phase::Dialing if state == State::Closed || self.unreachable => {
                return Some(Outcome::Gone);
            }
            Phase::Dialing | Phase::Accepting if self.established() => {
                return Some(Outcome::Opened);
            }
            Phase::Accepting if state == State::Closed => return Some(Outcome::Gone),
            Phase::Open if self.over_well(state) && !blocked => self.phase = Phase::Draining,
            Phase::Open if state == State::Closed && self.aborted => return Some(Outcome::Gone),
            Phase::Open if state == State::Closed => {
                (self.phase, self.deadline) = (Phase::Reset, Some(now + AFTER_RESET));
                return Some(Outcome::Lost);
            }
            Phase::Reset if self.hung_up => return Some(Outcome::Gone),
            _ => {}
        }
        if self.phase == Phase::Draining && (self.told_end || self.hung_up) {
            return Some(Outcome::Gone);
        }
        if self.phase == Phase::Open && self.hung_up && self.deadline.is_none() {
            self.deadline = Some(now + ORPHAN);
        }
        None
    }

    fn over_well(&self, state: State) -> bool {
        let acknowledged = self.governor.as_ref().is_none_or(|governor| governor.flight() == 0);
        state == State::TimeWait || state == State::Closed && self.closing && acknowledged
    }

    /// Why it is gone, for who dialled it.
    pub fn why(&self) -> RootlessError {
        match (self.overdue, self.unreachable) {
            (true, _) => RootlessError::TimedOut,
            (_, true) => RootlessError::Unreachable,
            _ => RootlessError::Refused,
        }
    }

    /// Once, when TCP has ended in the state that must rest: what answers the peer from then on.
    pub fn last_words(&mut self) -> Option<Vec<u8>> {
        let rests =
            self.phase == Phase::Draining && self.state() == State::TimeWait && !self.rested;
        let governor = self.governor.as_ref().filter(|_| rests)?;
        self.rested = true;
        let header = TcpHeader {
            sequence: governor.acknowledged(),
            acknowledged: self.expected,
            flags: ACK,
            window: u16::MAX,
        };
        Some(headers::tcp(self.key.local, self.key.remote, &header))
    }

    fn wake_at(&mut self, tcp: &mut Tcp, now: Micros) -> Option<Micros> {
        let timer = match self.phase {
            Phase::Draining | Phase::Reset => None,
            // smoltcp says "now" also when it waits for the peer; a millisecond keeps that from spinning.
            _ => tcp.due(&self.set, now).map(|at| at.max(now + 1_000)),
        };
        let silence =
            (self.phase == Phase::Open && self.unfinished()).then_some(self.sent_at + SILENCE);
        [timer, silence, self.deadline].into_iter().flatten().min()
    }

    /// An ICMP error about a segment of ours: believed only for what is in flight (RFC 5927).
    pub fn too_big(&mut self, sequence: u32, mtu: u16) {
        let headers = if self.key.remote.is_ipv6() {
            super::link::HEADERS_V6
        } else {
            super::link::HEADERS_V4
        };
        let believable =
            self.governor.as_ref().is_some_and(|governor| governor.in_flight(sequence));
        if believable && mtu >= 576 {
            self.mss = self.mss.min(mtu - headers);
        }
    }
}

/// A result of the system as smoltcp's buffers want it: how much was moved, and what to tell.
fn carry(result: io::Result<usize>) -> (usize, Result<usize, ErrorKind>) {
    match result {
        Ok(count) => (count, Ok(count)),
        Err(error) => (0, Err(error.kind())),
    }
}
