//! What flows do with their turns, and what the outside asks for.

use super::command::Command;
use super::flow::{Flow, Outcome, Phase};
use super::key::FlowKey;
use super::stack::Stack;
use crate::io::Interest;
use crate::rootless::{RootlessError, Stream, StreamEvent};
use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::time::Duration;

impl Stack {
    /// Every flow with something to do has one turn.
    pub(super) fn take_turns(&mut self) {
        for id in self.flows.take_queue() {
            let Some(mut flow) = self.flows.take(id) else { continue };
            let (now, tcp) = (self.now(), &mut self.tcp);
            match catch_unwind(AssertUnwindSafe(|| flow.turn(tcp, now))) {
                Ok(outcome) => self.after_turn(id, flow, outcome),
                Err(panic) => {
                    let key = flow.key;
                    self.flows.put(id, flow, None);
                    self.broken(id, key, &panic);
                }
            }
        }
    }

    fn after_turn(&mut self, id: u64, mut flow: Flow, outcome: Outcome) {
        if let Some(last) = flow.last_words() {
            let (key, now) = (flow.key, self.now());
            self.resting.add(key, last, now);
            self.flows.release_key(id, &key);
        }
        match outcome {
            Outcome::Wait(next) => self.flows.put(id, flow, next),
            Outcome::Again => self.flows.put_again(id, flow),
            Outcome::Opened => match self.open(id, &mut flow) {
                Ok(()) => self.flows.put_again(id, flow),
                Err(error) => {
                    let now = self.now();
                    flow.abort(&mut self.tcp, now);
                    self.end(id, &flow.key, error);
                }
            },
            Outcome::Lost => {
                (self.shared.events)(StreamEvent::Reset { stream: id });
                self.flows.put_again(id, flow);
            }
            Outcome::Gone => self.end(id, &flow.key, flow.why()),
        }
    }

    /// Frees a flow that was taken out; who dialled it learns why.
    fn end(&mut self, id: u64, key: &FlowKey, why: RootlessError) {
        if let Some(reply) = self.dials.remove(&id) {
            let _ = reply.send(Err(why)); // fails when the caller has given up
        }
        self.flows.remove(id, key);
    }

    /// Ends a flow whose code has panicked: the others live on.
    pub(super) fn broken(&mut self, id: u64, key: FlowKey, panic: &(dyn Any + Send)) {
        drop(self.flows.take(id));
        self.end(id, &key, RootlessError::Closed);
        self.tcp.link.mute = false;
        self.tcp.link.take_sent();
        (self.shared.events)(StreamEvent::Panic { thread: "netstack", message: words_of(panic) });
        (self.shared.events)(StreamEvent::Reset { stream: id });
    }

    /// The handshake is done: hands the program its end.
    fn open(&mut self, id: u64, flow: &mut Flow) -> Result<(), RootlessError> {
        let (inner, outer) = pair()?;
        self.poller.add(&inner, id, Interest::Edges)?;
        let stream =
            Stream { id, fd: OwnedFd::from(outer), local: flow.key.local, remote: flow.key.remote };
        if flow.phase == Phase::Dialing {
            let reply = self.dials.remove(&id).ok_or(RootlessError::Closed)?;
            reply.send(Ok(stream)).map_err(|_| RootlessError::TimedOut)?;
        } else {
            let accept = self.listeners.sink(&flow.key.local).ok_or(RootlessError::Closed)?;
            accept(stream);
        }
        flow.attach(inner);
        Ok(())
    }

    /// Does what was asked for; says whether that is to close.
    pub(super) fn obey(&mut self) -> bool {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Dial { to, timeout, reply } => self.dial(to, timeout, reply),
                Command::Listen { at, accept, reply } => {
                    let own = at.ip().is_unspecified() || self.shared.frames.is_own(at.ip());
                    let start = self.tcp.seed() as u16;
                    let bound = if own {
                        self.listeners.add(at, start, accept)
                    } else {
                        Err(RootlessError::NoAddress)
                    };
                    if let Err(unheard) = reply.send(bound)
                        && let Ok(at) = unheard.0
                    {
                        self.listeners.remove(&at);
                    }
                }
                Command::Unlisten { at } => self.listeners.remove(&at),
                Command::Reset { stream } => {
                    let now = self.now();
                    if let Some(mut flow) = self.flows.take(stream) {
                        flow.abort(&mut self.tcp, now);
                        self.end(stream, &flow.key, RootlessError::Closed);
                    }
                }
                Command::Close => return true,
            }
        }
        false
    }

    fn dial(
        &mut self,
        to: SocketAddr,
        timeout: Duration,
        reply: Sender<Result<Stream, RootlessError>>,
    ) {
        let dialled = self.begin_dial(to, timeout);
        match dialled {
            Ok(id) => drop(self.dials.insert(id, reply)),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn begin_dial(&mut self, to: SocketAddr, timeout: Duration) -> Result<u64, RootlessError> {
        let from = self.shared.frames.source_for(to.ip()).ok_or(RootlessError::NoAddress)?;
        let start = self.tcp.seed() as u16;
        let resting = &self.resting;
        let key = self
            .flows
            .free_port(from, to, start, |key| resting.holds(key))
            .ok_or(RootlessError::Busy)?;
        let deadline = self.now() + timeout.as_micros().min(u128::from(u32::MAX)) as u64;
        let buffer = self.buffer();
        let flow =
            Flow::dial(key, buffer, deadline, &mut self.tcp).ok_or(RootlessError::Unreachable)?;
        self.flows.add(flow).ok_or(RootlessError::Busy)
    }

    /// Resets all connections, at the end.
    pub(super) fn abort_all(&mut self) {
        let now = self.now();
        for mut flow in self.flows.drain() {
            let tcp = &mut self.tcp;
            let _ = catch_unwind(AssertUnwindSafe(|| flow.abort(tcp, now))); // it ends anyway
        }
    }
}

fn pair() -> io::Result<(UnixStream, UnixStream)> {
    let (inner, outer) = UnixStream::pair()?;
    inner.set_nonblocking(true)?;
    outer.set_nonblocking(true)?;
    Ok((inner, outer))
}

/// What a panic says.
pub fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_string())
}
