//! One TCP connection: smoltcp's socket on the mesh's side, a unix stream on the program's side, and the pumps between.

#[cfg(test)]
mod loss_tests;
mod phase;
mod pump;
mod recovery;
mod segments;
#[cfg(test)]
mod tests;

pub use phase::{Outcome, Phase};

use super::governor::Governor;
use super::handshakes::HalfOpen;
use super::headers::{self, TcpHeader};
use super::key::FlowKey;
use super::segment::{ACK, Segment};
use super::tcp::{Micros, Tcp};
use crate::packet::PacketView;
use crate::rootless::RootlessError;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use std::os::unix::net::UnixStream;

/// Unacknowledged data for so long ends the connection.
const GIVE_UP: Micros = 60_000_000;
/// A connection whose program is gone and whose peer does not end it either.
const ORPHAN: Micros = 60_000_000;
/// How long the program's end stays open after a reset, so that the event comes before the end of file.
const AFTER_RESET: Micros = 1_000_000;

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
    /// What we acknowledged last, and the window that we said then.
    expected: u32,
    offered: u16,
    /// When the peer was heard last or nothing was waiting for it.
    heard_at: Micros,
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
            offered: 0,
            heard_at: 0,
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

    /// Moves bytes both ways and sends what is due.
    pub fn turn(&mut self, tcp: &mut Tcp, now: Micros) -> Outcome {
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            return self.overdue(tcp, now);
        }
        let mut more = self.pump();
        if !self.unfinished() {
            self.heard_at = now; // silence counts from when something waits for an answer
            if let Some(governor) = &mut self.governor {
                governor.alarm.rest(now);
            }
        } else if now >= self.heard_at + GIVE_UP {
            self.socket().abort();
        }
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
        let alarm = self.governor.as_ref().map_or(now, |governor| governor.alarm.due());
        let silence = self.unfinished().then_some(alarm.min(self.heard_at + GIVE_UP));
        [timer, silence, self.deadline].into_iter().flatten().min()
    }
}
