//! The forwarder's thread: receives batches, changes headers in place and sends them on, answers strangers.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::door::{Door, Outcome};
use super::handle::{ForwarderOptions, Shared};
use super::limiter::Millis;
use super::proof::Secret;
use super::session::{Origin, Route};
use super::table::Table;
use super::totals::count;
use super::wire::{self, HEADER_LENGTH, Kind};
use crate::crypto;
use crate::io::clock::boottime_us;
use crate::io::{Destination, Events, Interest, Poller, Priority, Received, SLOT, SLOTS, Udp};

/// How often sessions that are over are looked for.
const SWEEP: Duration = Duration::from_secs(10);
/// Batches that one socket may bring before the others get their turn.
const TURNS: usize = 16;
/// While much comes: how long it gathers before it is taken, as network cards moderate their interrupts. Being woken for each
/// batch costs as much as sending it on.
const GATHER: Duration = Duration::from_micros(200);
const WAKER: u64 = u64::MAX;

pub(super) struct Pump {
    sockets: Vec<Udp>,
    poller: Poller,
    door: Door,
    shared: Arc<Shared>,
    arena: Box<[u8]>,
    swept: Millis,
}

impl Pump {
    pub fn new(
        sockets: Vec<Udp>,
        options: &ForwarderOptions,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(&shared.waker, WAKER, Interest::Read)?;
        for (token, socket) in sockets.iter().enumerate() {
            poller.add(socket, token as u64, Interest::Read)?;
        }
        let now = shared.now();
        let door = Door::new(options.stun, options.strangers, random_secret, now)?;
        let arena = vec![0; SLOTS * SLOT].into_boxed_slice();
        Ok(Self { sockets, poller, door, shared, arena, swept: now })
    }

    /// Until it is told to stop.
    pub fn run(&mut self) -> io::Result<()> {
        let (mut events, mut priority) = (Events::new(), Priority::default());
        loop {
            self.poller.wait(&mut events, Some(SWEEP))?;
            if self.shared.stopping.load(Ordering::Acquire) {
                return Ok(());
            }
            for event in events.iter().filter(|event| event.token != WAKER) {
                self.drain(event.token as usize);
            }
            self.sweep();
            let totals = &self.shared.totals;
            let moved = || {
                [&totals.packets, &totals.bytes].map(|total| total.load(Ordering::Relaxed)).into()
            };
            priority.weigh(boottime_us(), moved);
            if priority.is_first() {
                std::thread::sleep(GATHER); // an ordinary thread would wait longer for its turn than it asks for
            }
        }
    }

    fn drain(&mut self, socket: usize) {
        let mut received = [Received::default(); SLOTS];
        for _ in 0..TURNS {
            // An error here is one of an earlier datagram (ICMP unreachable); the next receive goes on.
            match self.sockets[socket].receive(&mut self.arena, &mut received) {
                Ok(0) | Err(_) => return,
                Ok(filled) => self.forward(socket, &received[..filled]),
            }
        }
    }

    /// One lock for a whole round: a session that is removed is cut between two rounds.
    fn forward(&mut self, socket: usize, received: &[Received]) {
        let Self { sockets, door, shared, arena, .. } = self;
        let mut table = shared.table.lock().unwrap_or_else(PoisonError::into_inner);
        let now = shared.now();
        for (slot, received) in arena.chunks_exact_mut(SLOT).zip(received) {
            let via = Origin { socket, local: received.to };
            let mut round =
                Round { sockets, door, table: &mut table, shared, via, from: received.from, now };
            round.take(&mut slot[..received.length], received.stride);
        }
    }

    fn sweep(&mut self) {
        let now = self.shared.now();
        if now - self.swept >= SWEEP.as_millis() as Millis {
            self.shared.table.lock().unwrap_or_else(PoisonError::into_inner).sweep(now);
            self.swept = now;
        }
    }
}

/// Datagrams side by side from one source.
struct Round<'a> {
    sockets: &'a [Udp],
    door: &'a mut Door,
    table: &'a mut Table,
    shared: &'a Shared,
    via: Origin,
    from: SocketAddr,
    now: Millis,
}

impl Round<'_> {
    /// Neighbours that go to one place leave together, as they came: one call, segmented by the kernel.
    fn take(&mut self, batch: &mut [u8], stride: usize) {
        let mut open: Option<(Route, Range<usize>)> = None;
        let length = batch.len();
        for start in (0..length).step_by(stride.max(1)) {
            let message = start..length.min(start + stride);
            let route = self.route(&mut batch[message.clone()]);
            open = match (open, route) {
                (Some((one, run)), Some(other)) if one == other => {
                    Some((one, run.start..message.end))
                }
                (before, route) => {
                    self.send(before, batch, stride);
                    route.map(|route| (route, message))
                }
            };
        }
        self.send(open, batch, stride);
    }

    /// Where a datagram goes, its header changed for the receiver; answers what is not data.
    fn route(&mut self, datagram: &mut [u8]) -> Option<Route> {
        let Some((slot, payload)) = wire::slot_of(datagram) else {
            self.answer(datagram);
            return None;
        };
        let route = self.table.route(slot, self.from, payload, self.now);
        let Some(route) = route else {
            count(&self.shared.totals.dropped, 1);
            return None;
        };
        datagram[..HEADER_LENGTH].copy_from_slice(&wire::header(Kind::Forward, route.slot));
        Some(route)
    }

    fn send(&mut self, run: Option<(Route, Range<usize>)>, batch: &[u8], stride: usize) {
        let Some((route, run)) = run else { return };
        let messages = run.len().div_ceil(stride);
        let to = Destination { source: route.via.local, ..Destination::new(route.to) };
        match self.sockets[route.via.socket].send(&batch[run.clone()], stride, &to) {
            Ok(_) => {
                count(&self.shared.totals.packets, messages);
                count(&self.shared.totals.bytes, run.len() - messages * HEADER_LENGTH);
            }
            Err(_) => count(&self.shared.totals.dropped, messages),
        }
    }

    fn answer(&mut self, datagram: &[u8]) {
        let totals = &self.shared.totals;
        let outcome = self.door.answer(datagram, self.from, self.via, self.table, self.now);
        let (counter, answer) = match outcome {
            Outcome::Stun(bytes) => (&totals.stun, bytes),
            Outcome::Cookie(bytes) => (&totals.cookies, bytes),
            Outcome::Bound(bytes) => (&totals.bound, bytes),
            Outcome::Refused(bytes) => (&totals.refused, bytes),
            Outcome::Limited => return count(&totals.limited, 1),
            Outcome::Ignored => return count(&totals.ignored, 1),
        };
        count(counter, 1);
        let to = Destination { source: self.via.local, ..Destination::new(self.from) };
        // A lost answer is asked for again.
        let _ = self.sockets[self.via.socket].send(&answer, answer.len(), &to);
    }
}

fn random_secret() -> io::Result<Secret> {
    crypto::random().map_err(|_| io::Error::other("no random numbers"))
}
