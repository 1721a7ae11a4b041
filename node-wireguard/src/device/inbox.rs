//! What waits for the control thread: calls from outside without limit, messages from the network with one.

use super::control::Control;
use super::slab::PeerId;
use crate::noise::Millis;
use crate::noise::constants::QUEUE_LOAD;
use crate::path::{Endpoint, Micros};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Handshake messages, and other messages, that may wait (kernel, `MAX_QUEUED_INCOMING_HANDSHAKES`).
const LIMIT: usize = 4_096;

/// A datagram that is not data, with what is needed to answer it.
pub struct Datagram {
    pub bytes: Vec<u8>,
    pub endpoint: Endpoint,
    /// The local address that it hit: the source of an answer.
    pub hit: Option<IpAddr>,
    pub at: Micros,
    /// Bytes of UDP payload, with a forwarder's header.
    pub size: usize,
}

/// What the shard has to say.
pub enum Notice {
    /// A packet waits and there is no session, or the session is old.
    Handshake(PeerId),
    /// The first packet of a new session came: the initiator has it.
    Promoted(PeerId),
    /// Packets are leaving again after a silence.
    Busy(PeerId),
    /// A packet waits and there is no path.
    NoPath(PeerId),
    /// A vanilla peer was heard from somewhere else.
    Roamed(PeerId, Endpoint, Option<IpAddr>),
    /// The kernel refused `size` bytes on a path, or refused the path.
    TooBig(PeerId, u32, u16),
    Unreachable(PeerId, u32),
    /// The local address that a path was answered from is not ours any more.
    SourceGone(PeerId, u32),
    SocketFailed(u32, String),
    /// Rubbish comes in masses.
    Flooded,
}

pub type Call = Box<dyn FnOnce(&mut Control) + Send>;

pub enum Message {
    Call(Call),
    Notice(Notice),
    Probe(Datagram),
    Bind(Datagram),
    Stun(Datagram),
    Stop,
}

#[derive(Default)]
struct Queues {
    closed: bool,
    /// Whether the reader waits and has not been called yet: a call costs more than all the rest here.
    asleep: bool,
    urgent: VecDeque<Message>,
    handshakes: VecDeque<Datagram>,
}

#[derive(Default)]
pub struct Inbox {
    queues: Mutex<Queues>,
    filled: Condvar,
    /// Until when handshake messages are too many, as the reader sees it.
    loaded_until: AtomicU64,
    /// Whether any was not even offered for that reason since the reader looked.
    turned_away: AtomicBool,
}

impl Inbox {
    /// Never refused.
    pub fn push(&self, message: Message) {
        self.with(|queues| queues.urgent.push_back(message));
    }

    /// Refused when too much waits: false.
    pub fn offer(&self, message: Message) -> bool {
        self.with(|queues| {
            let room = queues.urgent.len() < LIMIT;
            if room {
                queues.urgent.push_back(message);
            }
            room
        })
    }

    /// Refused, and not even made, when too many wait: false.
    pub fn offer_handshake(&self, datagram: impl FnOnce() -> Datagram) -> bool {
        self.with(|queues| {
            let room = queues.handshakes.len() < LIMIT;
            if room {
                queues.handshakes.push_back(datagram());
            }
            room
        })
    }

    /// One was dropped because of load.
    pub fn turn_away(&self) {
        self.turned_away.store(true, Relaxed);
    }

    pub fn is_loaded(&self, now: Millis) -> bool {
        now < self.loaded_until.load(Relaxed)
    }

    pub fn declare_load(&self, until: Millis) {
        self.loaded_until.store(until, Relaxed);
    }

    fn with<R>(&self, act: impl FnOnce(&mut Queues) -> R) -> R {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut queues);
        if queues.closed {
            queues.urgent.clear();
        }
        let asleep = std::mem::take(&mut queues.asleep);
        drop(queues);
        if asleep {
            self.filled.notify_one();
        }
        result
    }

    /// Nobody reads any more: what waits, and what comes from now on, is dropped, so that no caller waits for ever.
    pub fn close(&self) {
        self.with(|queues| {
            queues.closed = true;
            queues.handshakes.clear();
        });
    }

    /// Moves what is urgent and up to `most` handshakes out, waiting for something at most so long. Gives how many
    /// handshakes waited in all; those that were turned away for load keep it up. There is one reader.
    pub fn take(
        &self,
        wait: Duration,
        urgent: &mut VecDeque<Message>,
        handshakes: &mut Vec<Datagram>,
        most: usize,
    ) -> usize {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = |queues: &mut Queues| {
            queues.asleep = queues.urgent.is_empty() && queues.handshakes.is_empty();
            queues.asleep
        };
        let waited = self.filled.wait_timeout_while(queues, wait, empty);
        let (mut queues, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queues.asleep = false;
        std::mem::swap(&mut queues.urgent, urgent);
        let waiting = queues.handshakes.len();
        handshakes.extend(queues.handshakes.drain(..most.min(waiting)));
        let turned_away = self.turned_away.swap(false, Relaxed);
        if turned_away { waiting.max(QUEUE_LOAD) } else { waiting }
    }
}
