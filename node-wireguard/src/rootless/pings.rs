//! Echo requests that wait for their answers, by a number that is identifier and sequence number in one.

use super::RootlessError;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const MOST: usize = 4096;
pub const ECHO_REPLY: [u8; 2] = [0, 0];
pub const ECHO: [u8; 2] = [8, 0];
pub const ECHO_V6: [u8; 2] = [128, 0];
pub const ECHO_REPLY_V6: [u8; 2] = [129, 0];
pub const PAYLOAD: [u8; 32] = *b"ropewalk ropewalk ropewalk rope!";

struct Waiting {
    to: IpAddr,
    sent: Instant,
    answer: Sender<Result<Duration, RootlessError>>,
}

#[derive(Default)]
pub struct Pings {
    waiting: Mutex<HashMap<u32, Waiting>>,
    next: AtomicU32,
    closed: AtomicBool,
}

impl Pings {
    /// `start` is the first number.
    pub fn new(start: u32) -> Self {
        Self { next: AtomicU32::new(start), ..Self::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u32, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one echo request by `send`, which is given its number, and waits for its answer.
    pub fn ping(
        &self,
        to: IpAddr,
        timeout: Duration,
        send: impl FnOnce([u8; 4]) -> Result<(), RootlessError>,
    ) -> Result<Duration, RootlessError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, result) = channel();
        {
            let mut waiting = self.waiting();
            if self.closed.load(Ordering::Relaxed) {
                return Err(RootlessError::Closed);
            }
            if waiting.len() >= MOST {
                return Err(RootlessError::Busy);
            }
            waiting.insert(number, Waiting { to, sent: Instant::now(), answer });
        }
        let outcome = match send(number.to_be_bytes()) {
            Ok(()) => result.recv_timeout(timeout).unwrap_or(Err(RootlessError::TimedOut)),
            Err(error) => Err(error),
        };
        self.waiting().remove(&number);
        outcome
    }

    /// Takes an ICMP message that begins with its type: an answer to one of ours?
    pub fn receive(&self, from: IpAddr, message: &[u8]) {
        let Some(head) = message.first_chunk::<8>() else { return };
        if [head[0], head[1]] == if from.is_ipv4() { ECHO_REPLY } else { ECHO_REPLY_V6 } {
            self.settle(head, from, Ok(()));
        }
    }

    /// A request of ours cannot be delivered: an ICMP error about it quotes its message.
    pub fn unreachable(&self, to: IpAddr, quoted: &[u8]) {
        let Some(head) = quoted.first_chunk::<8>() else { return };
        if [head[0], head[1]] == if to.is_ipv4() { ECHO } else { ECHO_V6 } {
            self.settle(head, to, Err(RootlessError::Unreachable));
        }
    }

    fn settle(&self, head: &[u8; 8], from: IpAddr, outcome: Result<(), RootlessError>) {
        let number = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let mut waiting = self.waiting();
        if waiting.get(&number).is_some_and(|ping| ping.to == from)
            && let Some(ping) = waiting.remove(&number)
        {
            let _ = ping.answer.send(outcome.map(|()| ping.sent.elapsed())); // fails when out of time
        }
    }

    /// Ends all that wait, and all that would.
    pub fn close(&self) {
        let mut all = self.waiting();
        self.closed.store(true, Ordering::Relaxed); // under the lock: nobody comes in after the last look
        for (_, waiting) in all.drain() {
            let _ = waiting.answer.send(Err(RootlessError::Closed)); // fails when nobody waits any more
        }
    }
}
