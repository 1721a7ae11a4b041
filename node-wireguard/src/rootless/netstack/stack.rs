//! The netstack's thread: reads frames, gives each to its flow, lets flows take their turns, sleeps.

use super::answers::Answers;
use super::command::{Command, DialReply};
use super::echo::Echo;
use super::flows::Flows;
use super::frames::Frames;
use super::handshakes::Handshakes;
use super::listeners::Listeners;
use super::resting::Resting;
use super::tcp::{Micros, Tcp};
use super::udp::Endpoints;
use crate::io::offload::VNET;
use crate::io::{Events, Interest, Poller, Waker};
use crate::rootless::EventSink;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

const FRAMES: u64 = u64::MAX;
const WAKER: u64 = u64::MAX - 1;
/// Frames read before the flows have their turn: what they acknowledge, they acknowledge once.
const BATCH: usize = 32;
const SLAB: usize = VNET + (1 << 16);
/// Size of each buffer of a connection, by how many there are: (fewer than, bytes).
const BUFFERS: [(usize, usize); 3] = [(64, 1 << 20), (512, 256 << 10), (usize::MAX, 64 << 10)];

/// What the thread shares with the handle.
pub struct Shared {
    pub frames: Arc<Frames>,
    pub endpoints: Endpoints,
    pub echo: Echo,
    pub waker: Arc<Waker>,
    pub events: EventSink,
}

pub struct Stack {
    pub(super) shared: Arc<Shared>,
    pub(super) commands: Receiver<Command>,
    pub(super) poller: Poller,
    pub(super) tcp: Tcp,
    pub(super) flows: Flows,
    pub(super) dials: HashMap<u64, DialReply>,
    pub(super) listeners: Listeners,
    pub(super) handshakes: Handshakes,
    pub(super) resting: Resting,
    pub(super) answers: Answers,
    pub(super) began: Instant,
    pub(super) slab: Vec<u8>,
}

impl Stack {
    pub fn new(shared: Arc<Shared>, commands: Receiver<Command>, tcp: Tcp) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(&*shared.frames, FRAMES, Interest::Read)?;
        poller.add(&*shared.waker, WAKER, Interest::Read)?;
        let answers = Answers::new(Arc::clone(&shared.frames));
        Ok(Self {
            shared,
            commands,
            poller,
            tcp,
            flows: Flows::default(),
            dials: HashMap::new(),
            listeners: Listeners::default(),
            handshakes: Handshakes::new(BUFFERS[0].1),
            resting: Resting::default(),
            answers,
            began: Instant::now(),
            slab: vec![0; SLAB],
        })
    }

    pub(super) fn now(&self) -> Micros {
        self.began.elapsed().as_micros() as Micros
    }

    /// Runs until it is told to close or the engine's end is gone.
    pub fn run(&mut self) -> io::Result<()> {
        let (mut events, mut watching_room) = (Events::new(), false);
        loop {
            let more_frames = self.read_frames()?;
            for mut frame in self.shared.frames.take_looped() {
                self.receive(&mut frame);
            }
            self.take_turns();
            let next = self.expire();
            let blocked = self.shared.frames.blocked();
            if blocked != watching_room {
                let interest = if blocked { Interest::Both } else { Interest::Read };
                self.poller.modify(&*self.shared.frames, FRAMES, interest)?;
                watching_room = blocked;
            }
            let wait = if more_frames || self.flows.busy() && !blocked {
                Some(Duration::ZERO)
            } else {
                next.map(|at| Duration::from_micros(at.saturating_sub(self.now())))
            };
            self.poller.wait(&mut events, wait)?;
            for event in events.iter() {
                match event.token {
                    FRAMES if event.writable => self.shared.frames.flush(),
                    FRAMES => {}
                    WAKER => {
                        self.shared.waker.clear();
                        if self.obey() {
                            return Ok(());
                        }
                    }
                    id => {
                        if let Some(flow) = self.flows.by_id(id) {
                            flow.readable |= event.readable || event.closed;
                            flow.writable |= event.writable || event.closed;
                            flow.hung_up |= event.closed;
                        }
                    }
                }
            }
        }
    }

    /// Lets go of what is over; says when to look again.
    fn expire(&mut self) -> Option<Micros> {
        let now = self.now();
        let next = [self.flows.expire(now), self.handshakes.expire(now), self.resting.expire(now)];
        next.into_iter().flatten().min()
    }

    /// Size of each buffer of the next connection.
    pub(super) fn buffer(&self) -> usize {
        let count = self.flows.count();
        BUFFERS.iter().find(|(fewer, _)| count < *fewer).map_or(64 << 10, |(_, bytes)| *bytes)
    }

    fn read_frames(&mut self) -> io::Result<bool> {
        let mut slab = std::mem::take(&mut self.slab);
        let mut result = Ok(true);
        for _ in 0..BATCH {
            match self.shared.frames.read(&mut slab) {
                Ok(Some(length)) => self.receive(&mut slab[..length]),
                Ok(None) => {
                    result = Ok(false);
                    break;
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.slab = slab;
        result
    }
}
