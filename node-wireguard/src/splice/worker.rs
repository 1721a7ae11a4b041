use super::end::End;
use super::outcome::{Fault, Turn};
use super::plain::Plain;
use super::sealed::{Request, Sealed};
use super::splicer::{Command, Counts, Shared};
use crate::io::{Event, Events, Interest, Poller};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What one stream may move before the others get their turn.
pub const TURN_BYTES: usize = 1 << 20;
/// One read; TLS puts what it held back in front.
const READ_BYTES: usize = 352 * 1024;
/// A full segment encrypted, with room for what TLS has to say besides.
const SEALED_BYTES: usize = 144 * 1024;
/// After both directions have ended, how long the other side may take to go.
const LINGER: Duration = Duration::from_secs(30);
const WAKER: u64 = u64::MAX;

/// One set for all streams of a thread.
pub struct Buffers {
    pub read: Box<[u8]>,
    pub sealed: Box<[u8]>,
    /// What TLS held of the stream's own bytes.
    pub stream: Vec<u8>,
}

enum Kind {
    Plain(Plain),
    Sealed(Box<Sealed>),
}

struct Stream {
    kind: Kind,
    counts: Arc<Counts>,
    queued: bool,
    lingers: bool,
}

/// A thread's streams and the wait for their connections.
pub struct Worker {
    shared: Arc<Shared>,
    poller: Poller,
    streams: HashMap<u64, Stream>,
    ready: VecDeque<u64>,
    lingering: VecDeque<(Instant, u64)>,
    buffers: Buffers,
}

impl Worker {
    pub fn new(shared: Arc<Shared>) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(&shared.waker, WAKER, Interest::Read)?;
        let buffers = Buffers {
            read: vec![0; READ_BYTES].into_boxed_slice(),
            sealed: vec![0; SEALED_BYTES].into_boxed_slice(),
            stream: Vec::new(),
        };
        let (streams, ready, lingering) = Default::default();
        Ok(Self { shared, poller, streams, ready, lingering, buffers })
    }

    /// Until it is told to stop.
    pub fn run(&mut self) -> io::Result<()> {
        let mut events = Events::new();
        loop {
            let timeout = match self.lingering.front() {
                _ if !self.ready.is_empty() => Some(Duration::ZERO),
                Some((until, _)) => Some(until.saturating_duration_since(Instant::now())),
                None => None,
            };
            self.poller.wait(&mut events, timeout)?;
            if self.shared.stopping.load(Ordering::Acquire) {
                return Ok(());
            }
            for event in events.iter() {
                if event.token == WAKER {
                    self.shared.waker.clear();
                } else {
                    self.notice(event);
                }
            }
            // what the owner has said goes before what the connections say, an order to break off above all
            for command in self.shared.take_commands() {
                self.obey(command);
            }
            for _ in 0..self.ready.len() {
                if let Some(stream) = self.ready.pop_front() {
                    self.turn(stream);
                }
            }
            self.expire();
        }
    }

    fn notice(&mut self, event: Event) {
        let number = event.token >> 1;
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let Some(end) = stream.end(event.token & 1 == 1) else { return };
        if event.closed
            && let Err(error) = end.check()
        {
            return self.close(number, Some(error.into()));
        }
        end.readable |= event.readable || event.closed;
        self.queue(number);
    }

    fn queue(&mut self, number: u64) {
        if let Some(stream) = self.streams.get_mut(&number)
            && !stream.queued
        {
            stream.queued = true;
            self.ready.push_back(number);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Join { stream, ends: [a, b], first: [to_a, to_b] } => {
                let ends = [End::new(a, to_a), End::new(b, to_b)];
                let watched = self.watch(stream, &ends[0], false);
                let watched = watched.and_then(|()| self.watch(stream, &ends[1], true));
                self.begin(
                    stream,
                    watched.map(|()| Kind::Plain(Plain { ends })).map_err(Fault::from),
                );
            }
            Command::Secure { stream, connection, head, side, identity } => {
                let sealed = Sealed::new(connection, head, side, &identity);
                let watched = sealed.and_then(|mut sealed| {
                    if let Some(raw) = sealed.end(false) {
                        self.watch(stream, raw, false)?;
                    }
                    Ok(Kind::Sealed(Box::new(sealed)))
                });
                self.begin(stream, watched);
            }
            Command::Ask { stream, request } => self.ask(stream, request),
            Command::Cut { stream } => {
                self.close(stream, Some(Fault::Cut));
                self.shared.let_go(stream);
            }
        }
    }

    fn watch(&self, stream: u64, end: &End, second: bool) -> io::Result<()> {
        self.poller.add(end, stream << 1 | u64::from(second), Interest::Edges)
    }

    fn begin(&mut self, number: u64, kind: Result<Kind, Fault>) {
        match kind {
            Err(fault) => self.close(number, Some(fault)),
            Ok(kind) => {
                // Nobody's any more: a thread that failed has told that it is over, before it came to this order.
                let Some(counts) = self.shared.counts(number) else { return };
                self.streams.insert(number, Stream { kind, counts, queued: false, lingers: false });
                self.queue(number);
            }
        }
    }

    fn ask(&mut self, number: u64, request: Request) {
        let Some(Stream { kind: Kind::Sealed(sealed), .. }) = self.streams.get_mut(&number) else {
            return;
        };
        let joins = matches!(request, Request::Join(_));
        let mut done = sealed.obey(request, &mut self.buffers);
        if joins
            && done.is_ok()
            && let Some(local) = sealed.end(true)
        {
            let token = number << 1 | 1;
            done = self.poller.add(local, token, Interest::Edges).map_err(Fault::from);
        }
        match done {
            Ok(()) => self.queue(number),
            Err(fault) => self.close(number, Some(fault)),
        }
    }

    fn turn(&mut self, number: u64) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        stream.queued = false;
        let mut events = Vec::new();
        let turn = match &mut stream.kind {
            Kind::Plain(plain) => plain.turn(&mut self.buffers, &stream.counts),
            Kind::Sealed(sealed) => {
                sealed.turn(number, &mut self.buffers, &stream.counts, &mut events)
            }
        };
        for event in events {
            self.shared.tell(event);
        }
        match turn {
            Ok(Turn::Waits) => {}
            Ok(Turn::Again) => self.queue(number),
            Ok(Turn::Lingers) => self.linger(number),
            Ok(Turn::Over) => self.close(number, None),
            Err(fault) => self.close(number, Some(fault)),
        }
    }

    fn linger(&mut self, number: u64) {
        if let Some(stream) = self.streams.get_mut(&number)
            && !stream.lingers
        {
            stream.lingers = true;
            self.lingering.push_back((Instant::now() + LINGER, number));
        }
    }

    fn expire(&mut self) {
        while let Some(&(until, number)) = self.lingering.front()
            && until <= Instant::now()
        {
            self.lingering.pop_front();
            self.close(number, None);
        }
    }

    /// The connections are closed here before that is told.
    fn close(&mut self, number: u64, fault: Option<Fault>) {
        if let Some(Stream { kind: Kind::Sealed(sealed), .. }) = self.streams.remove(&number)
            && fault.is_some()
            && let Some(local) = sealed.into_pair()
        {
            let _ = self.poller.remove(&local);
            self.shared.hold(number, local);
        }
        self.shared.closed(number, fault);
    }

    /// Lets go of all streams, as the last thing that the thread does with them; it is told after that.
    pub fn break_off(self) {
        for (number, stream) in self.streams {
            if let Kind::Sealed(sealed) = stream.kind
                && let Some(local) = sealed.into_pair()
            {
                self.shared.hold(number, local);
            }
        }
        for command in self.shared.take_commands() {
            if let Command::Ask { stream, request: Request::Join(local) } = command
                && local.is_pair
            {
                self.shared.hold(stream, End::new(local.connection, Vec::new()));
            }
        }
    }
}

impl Stream {
    fn end(&mut self, second: bool) -> Option<&mut End> {
        match &mut self.kind {
            Kind::Plain(plain) => Some(&mut plain.ends[usize::from(second)]),
            Kind::Sealed(sealed) => sealed.end(second),
        }
    }
}
