//! What the control thread tells the shard.

use super::lane::{Laid, Lane};
use super::slab::PeerId;
use super::sockets::Sockets;
use crate::filter::FilterConfig;
use crate::io::Waker;
use crate::noise::{Keypair, Local, Session};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Clone)]
pub enum Command {
    AddPeer {
        id: PeerId,
        session: Arc<Session>,
        vanilla: bool,
        counters: usize,
        busy: Arc<AtomicBool>,
    },
    /// Nothing passes from or to it from then on.
    RemovePeer(PeerId),
    Allow(PeerId, IpAddr, u8),
    Forbid(IpAddr, u8),
    /// All paths of a peer, and how packets are laid on them.
    SetRoute {
        id: PeerId,
        lanes: Vec<Lane>,
        laid: Laid,
        inner_mtu: u16,
    },
    AddSession(PeerId, Arc<Keypair>),
    DropSession(u32),
    /// Sends what waits or, if nothing does, an empty packet.
    Keepalive(PeerId),
    DropStaged(PeerId),
    /// Who we are, to know which handshake messages are for us.
    SetLocal(Arc<Local>),
    SetFilter(FilterConfig),
    SetSockets(Sockets),
    /// The largest inner packet that the interface lets out has changed.
    SetMtu(u16),
    Stop,
}

/// Commands on their way to one shard.
pub struct Commands {
    waiting: Mutex<Vec<Command>>,
    pending: AtomicBool,
    pub waker: Waker,
}

impl Commands {
    pub fn new() -> std::io::Result<Self> {
        let waker = Waker::new()?;
        Ok(Self { waiting: Mutex::default(), pending: AtomicBool::new(false), waker })
    }

    pub fn push(&self, command: Command) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(command);
        if !self.pending.swap(true, Ordering::Release) {
            self.waker.wake();
        }
    }

    /// Whether there are any; costs one load.
    pub fn pending(&self) -> bool {
        self.pending.load(Ordering::Acquire)
    }

    /// Exchanges the waiting ones with the empty `into`. Who is woken clears the waker, then asks whether there are any: it may
    /// ring late, for some that were taken already.
    pub fn take(&self, into: &mut Vec<Command>) {
        self.pending.store(false, Ordering::Release);
        std::mem::swap(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner), into);
    }
}
