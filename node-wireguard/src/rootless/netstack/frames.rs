//! The netstack's end of the frames descriptor, shared by its thread and by whoever sends a datagram.

use crate::io::offload::VNET;
use crate::io::{Tun, Waker};
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Frames that wait while the engine is behind: the stack's own answers; its sockets stop sending long before.
const WAITING: usize = 512;

pub struct Frames {
    end: Tun,
    own: Vec<IpAddr>,
    waiting: Mutex<VecDeque<Vec<u8>>>,
    full: AtomicBool,
    /// Packets to ourselves: the engine has no peer for them.
    looped: Mutex<VecDeque<Vec<u8>>>,
    waker: Arc<Waker>,
}

impl Frames {
    pub fn new(end: Tun, own: Vec<IpAddr>, waker: Arc<Waker>) -> Self {
        let queue = || Mutex::new(VecDeque::new());
        Self { end, own, waiting: queue(), full: AtomicBool::new(false), looped: queue(), waker }
    }

    pub fn is_own(&self, address: IpAddr) -> bool {
        self.own.contains(&address)
    }

    /// The address of ours that fits best to talk to `remote`: the longest common prefix.
    pub fn source_for(&self, remote: IpAddr) -> Option<IpAddr> {
        let common = |own: &IpAddr| match (own, remote) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            _ => 0,
        };
        self.own.iter().filter(|own| own.is_ipv4() == remote.is_ipv4()).copied().max_by_key(common)
    }

    /// Is the engine behind?
    pub fn blocked(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Sends a frame from the stack's thread; one that the engine cannot take yet waits.
    pub fn send(&self, frame: &[u8], to: IpAddr) {
        if self.is_own(to) {
            return self.loop_back(frame);
        }
        if !self.blocked()
            && !self.write(frame).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        {
            return;
        }
        self.full.store(true, Ordering::Relaxed);
        push(&self.waiting, frame);
    }

    /// Sends a frame from any thread; one that the engine cannot take is lost, as on a wire.
    pub fn send_or_drop(&self, frame: &[u8], to: IpAddr) {
        if self.is_own(to) {
            self.loop_back(frame);
        } else if !self.blocked() {
            let _ = self.write(frame); // a full queue drops; a closed one is noticed by the stack's thread
        }
    }

    fn write(&self, frame: &[u8]) -> io::Result<()> {
        match frame.split_first_chunk::<VNET>() {
            Some((vnet, packet)) => self.end.write_packet(vnet, packet),
            None => Ok(()),
        }
    }

    fn loop_back(&self, frame: &[u8]) {
        push(&self.looped, frame);
        self.waker.wake();
    }

    /// Sends what waits. Call when the descriptor can be written.
    pub fn flush(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(frame) = waiting.front() {
            if self.write(frame).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                return;
            }
            waiting.pop_front();
        }
        self.full.store(false, Ordering::Relaxed);
    }

    /// Reads one frame; nothing when there is none.
    ///
    /// # Errors
    /// The engine's end is closed.
    pub fn read(&self, slab: &mut [u8]) -> io::Result<Option<usize>> {
        self.end.read(slab)
    }

    /// Takes the frames to ourselves.
    pub fn take_looped(&self) -> VecDeque<Vec<u8>> {
        std::mem::take(&mut *self.looped.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn push(queue: &Mutex<VecDeque<Vec<u8>>>, frame: &[u8]) {
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    if queue.len() < WAITING {
        queue.push_back(frame.to_vec());
    }
}

impl AsFd for Frames {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }
}
