//! Connections whose handshake is not done: a bounded queue of SYNs, a hundred bytes each, without a socket.
//!
//! A socket lives just long enough to answer the SYN. When the peer's acknowledgement comes, the handshake is repeated
//! with the same seed, so that the new socket has the sequence number that was told.

use super::flow::Flow;
use super::key::FlowKey;
use super::segment::{RST, SYN, Segment};
use super::tcp::{Micros, Tcp};
use smoltcp::iface::SocketSet;
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

/// Half-open connections in all, and from one address: one member cannot take the places of the others.
const MOST: usize = 2048;
const MOST_OF_ONE: usize = 256;
const LIFETIME: Micros = 10_000_000;

pub struct HalfOpen {
    pub syn: Vec<u8>,
    pub seed: u64,
    /// Size of each of the two buffers that the connection will have.
    pub buffer: usize,
    pub began: Micros,
    /// Our initial sequence number, and the peer's.
    ours: u32,
    theirs: u32,
}

pub struct Handshakes {
    held: HashMap<FlowKey, HalfOpen>,
    of_source: HashMap<IpAddr, usize>,
    order: VecDeque<(Micros, FlowKey)>,
    /// Stands in for a receive buffer of any size while a SYN is answered: untouched memory.
    scratch: Vec<u8>,
}

impl Handshakes {
    /// `largest` is the largest receive buffer that a connection may have.
    pub fn new(largest: usize) -> Self {
        let scratch = vec![0; largest];
        Self { held: HashMap::new(), of_source: HashMap::new(), order: VecDeque::new(), scratch }
    }

    /// Answers a SYN for a port that listens; a repeated one the same as before. Drops it when too many are waiting.
    pub fn begin(
        &mut self,
        key: FlowKey,
        bytes: &mut [u8],
        segment: Segment,
        offer: Offer,
        tcp: &mut Tcp,
    ) {
        segment.clamp_maximum(bytes, tcp.link.largest_segment(key.remote.is_ipv6()));
        if let Some(known) = self.held.get(&key)
            && known.theirs == segment.sequence
        {
            let (syn, seed, buffer) = (known.syn.clone(), known.seed, known.buffer);
            self.answer(&key, &syn, seed, Offer { buffer, ..offer }, tcp);
            return;
        }
        self.forget(&key);
        let of_one = self.of_source.get(&key.remote.ip()).copied().unwrap_or(0);
        if self.held.len() >= MOST || of_one >= MOST_OF_ONE {
            return;
        }
        let (syn, seed) = (bytes.to_vec(), tcp.seed());
        let Some(ours) = self.answer(&key, &syn, seed, offer, tcp) else { return };
        *self.of_source.entry(key.remote.ip()).or_default() += 1;
        self.order.push_back((offer.now, key));
        let theirs = segment.sequence;
        self.held.insert(
            key,
            HalfOpen { syn, seed, buffer: offer.buffer, began: offer.now, ours, theirs },
        );
    }

    /// Sends our SYN-ACK; its sequence number.
    fn answer(
        &mut self,
        key: &FlowKey,
        syn: &[u8],
        seed: u64,
        offer: Offer,
        tcp: &mut Tcp,
    ) -> Option<u32> {
        let (room, mut nothing) = (self.scratch.get_mut(..offer.buffer)?, [0]);
        let mut socket = Socket::new(SocketBuffer::new(room), SocketBuffer::new(&mut nothing[..]));
        socket.listen(key.local).ok()?;
        let mut set = SocketSet::new(Vec::with_capacity(1));
        set.add(socket);
        tcp.with_seed(seed, |tcp| {
            tcp.feed(&mut set, syn, offer.now);
            tcp.poll(&mut set, offer.now);
        });
        tcp.link.take_sent().find(|sent| sent.segment.has(SYN)).map(|sent| sent.segment.sequence)
    }

    /// Takes what follows a SYN. The new connection, if this ends the handshake; the segment is still to be given to it.
    ///
    /// # Errors
    /// The segment does not belong to the handshake: it wants a reset.
    pub fn end(
        &mut self,
        key: &FlowKey,
        segment: &Segment,
        tcp: &mut Tcp,
    ) -> Result<Option<Flow>, ()> {
        let Some(held) = self.held.get(key) else { return Err(()) };
        let expected = held.theirs.wrapping_add(1);
        if segment.has(RST) {
            if segment.sequence == expected {
                self.forget(key);
            }
            return Ok(None);
        }
        if segment.acknowledged != held.ours.wrapping_add(1) {
            return Err(());
        }
        let flow = Flow::accept(*key, held, tcp);
        self.forget(key);
        Ok(flow)
    }

    /// Drops one: its port listens no more.
    pub fn forget(&mut self, key: &FlowKey) {
        if self.held.remove(key).is_some()
            && let Some(count) = self.of_source.get_mut(&key.remote.ip())
        {
            *count -= 1;
            if *count == 0 {
                self.of_source.remove(&key.remote.ip());
            }
        }
    }

    /// Drops those that nobody ended; says when the next is due.
    pub fn expire(&mut self, now: Micros) -> Option<Micros> {
        while let Some(&(began, key)) = self.order.front() {
            if began + LIFETIME > now {
                return Some(began + LIFETIME);
            }
            self.order.pop_front();
            if self.held.get(&key).is_some_and(|held| held.began == began) {
                self.forget(&key);
            }
        }
        None
    }
}

/// What a new connection is to have.
#[derive(Clone, Copy)]
pub struct Offer {
    pub buffer: usize,
    pub now: Micros,
}
