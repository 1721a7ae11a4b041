//! Two engines and the way between them, for tests: frames go from one descriptor to the other, some are lost.

use crate::io::offload::{VNET, Vnet, split};
use crate::io::{Events, Interest, Poller, Tun, Waker};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What the way does to packets.
#[derive(Clone, Copy, Default)]
pub struct Way {
    /// Cut super-frames into packets, as a real way does.
    pub cut: bool,
    /// Loses one packet in so many; 0: none.
    pub lose_one_in: u64,
    /// One way, in milliseconds.
    pub delay_ms: u64,
}

/// What is on its way: when it arrives, at which end, and the message.
type Flying = VecDeque<(Instant, usize, [u8; VNET], Vec<u8>)>;

pub struct Pump {
    stop: Arc<AtomicBool>,
    /// Swallows everything.
    pub silent: Arc<AtomicBool>,
    waker: Arc<Waker>,
    inject: Sender<(usize, Vec<u8>)>,
    thread: Option<JoinHandle<()>>,
}

impl Pump {
    pub fn start(one: OwnedFd, two: OwnedFd, way: Way) -> Self {
        let ends = [Tun::from_fd(one).unwrap(), Tun::from_fd(two).unwrap()];
        let (stop, silent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let waker = Arc::new(Waker::new().unwrap());
        let shared = (Arc::clone(&stop), Arc::clone(&silent), Arc::clone(&waker));
        let (inject, injected) = channel::<(usize, Vec<u8>)>();
        let thread = std::thread::spawn(move || {
            let (stop, silent, waker) = shared;
            let poller = Poller::new().unwrap();
            poller.add(&ends[0], 0, Interest::Read).unwrap();
            poller.add(&ends[1], 1, Interest::Read).unwrap();
            poller.add(&*waker, 2, Interest::Read).unwrap();
            let (mut events, mut slab, mut dice) =
                (Events::new(), vec![0; 80_000], 88_172_645_463_325_252u64);
            let mut flying = Flying::new();
            while !stop.load(Ordering::SeqCst) {
                let next =
                    flying.front().map(|(at, ..)| at.saturating_duration_since(Instant::now()));
                poller.wait(&mut events, next).unwrap();
                waker.clear();
                while flying.front().is_some_and(|(at, ..)| *at <= Instant::now()) {
                    let (_, to, vnet, packet) = flying.pop_front().unwrap();
                    let _ = ends[to].write_packet(&vnet, &packet);
                }
                for (to, mut message) in injected.try_iter() {
                    carry(&ends, to, &mut message, Way::default(), &mut dice, &mut flying);
                }
                for event in events.iter().filter(|event| event.token < 2) {
                    let (from, to) = (event.token as usize, 1 - event.token as usize);
                    for _ in 0..64 {
                        let Ok(Some(length)) = ends[from].read(&mut slab) else { break };
                        if !silent.load(Ordering::SeqCst) {
                            carry(&ends, to, &mut slab[..length], way, &mut dice, &mut flying);
                        }
                    }
                }
            }
        });
        Self { stop, silent, waker, inject, thread: Some(thread) }
    }

    /// Sends a frame to one of the two.
    pub fn inject(&self, to: usize, message: Vec<u8>) {
        self.inject.send((to, message)).unwrap();
        self.waker.wake();
    }
}

fn carry(
    ends: &[Tun; 2],
    to: usize,
    message: &mut [u8],
    way: Way,
    dice: &mut u64,
    flying: &mut Flying,
) {
    let mut send = |vnet: &[u8; VNET], packet: &[u8]| {
        *dice ^= *dice << 13;
        *dice ^= *dice >> 7;
        *dice ^= *dice << 17;
        if way.lose_one_in != 0 && dice.is_multiple_of(way.lose_one_in) {
            return;
        }
        if way.delay_ms > 0 {
            let arrival = Instant::now() + Duration::from_millis(way.delay_ms);
            flying.push_back((arrival, to, *vnet, packet.to_vec()));
        } else {
            let _ = ends[to].write_packet(vnet, packet); // a full queue is a loss too
        }
    };
    let vnet = Vnet::parse(message).unwrap();
    let (head, packet) = message.split_at_mut(VNET);
    if !way.cut {
        let mut bytes = [0; VNET];
        bytes.copy_from_slice(head);
        return send(&bytes, packet);
    }
    let length = packet.len();
    split(&vnet, packet, length, |packet, length| send(&[0; VNET], &packet[..length]));
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.waker.wake();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
