//! UDP endpoints: shared by the stack's thread, which delivers, and by whoever sends.

use super::frames::Frames;
use super::headers;
use super::key::FlowKey;
use crate::rootless::{DatagramSink, RootlessError};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

const MOST: usize = 4096;
const PORTS: std::ops::Range<u16> = 32_768..60_999;
const HEADER: usize = 8;

/// The endpoints by the address they are bound to.
pub struct Endpoints {
    bound: RwLock<HashMap<SocketAddr, DatagramSink>>,
    frames: Arc<Frames>,
    mtu: u16,
}

/// The unspecified address of the same family.
pub fn unspecified(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Finds a free port for `at` when it names none. Taken are those of `bound` that overlap with it.
pub fn choose_port<T>(
    at: SocketAddr,
    bound: &HashMap<SocketAddr, T>,
    start: u16,
) -> Result<SocketAddr, RootlessError> {
    let clash = |wanted: &SocketAddr| {
        if wanted.ip().is_unspecified() {
            let same_family = |other: &SocketAddr| other.is_ipv4() == wanted.is_ipv4();
            bound.keys().any(|other| other.port() == wanted.port() && same_family(other))
        } else {
            let any = SocketAddr::new(unspecified(wanted.ip()), wanted.port());
            bound.contains_key(wanted) || bound.contains_key(&any)
        }
    };
    if at.port() != 0 {
        return if clash(&at) { Err(RootlessError::AddressInUse) } else { Ok(at) };
    }
    let count = PORTS.len() as u32;
    let candidates =
        (0..count).map(|step| PORTS.start + ((u32::from(start) + step) % count) as u16);
    let mut candidates = candidates.map(|port| SocketAddr::new(at.ip(), port));
    candidates.find(|candidate| !clash(candidate)).ok_or(RootlessError::Busy)
}

impl Endpoints {
    pub fn new(frames: Arc<Frames>, mtu: u16) -> Self {
        Self { bound: RwLock::default(), frames, mtu }
    }

    /// Binds an endpoint; where it is bound.
    pub fn bind(
        &self,
        at: SocketAddr,
        start: u16,
        receive: DatagramSink,
    ) -> Result<SocketAddr, RootlessError> {
        if !at.ip().is_unspecified() && !self.frames.is_own(at.ip()) {
            return Err(RootlessError::NoAddress);
        }
        let mut bound = self.bound.write().unwrap_or_else(PoisonError::into_inner);
        if bound.len() >= MOST {
            return Err(RootlessError::Busy);
        }
        let at = choose_port(at, &bound, start)?;
        bound.insert(at, receive);
        Ok(at)
    }

    pub fn unbind(&self, at: &SocketAddr) {
        self.bound.write().unwrap_or_else(PoisonError::into_inner).remove(at);
    }

    pub fn clear(&self) {
        self.bound.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Delivers a datagram; says whether somebody is bound there.
    pub fn deliver(&self, key: &FlowKey, payload: &[u8]) -> bool {
        let any = SocketAddr::new(unspecified(key.local.ip()), key.local.port());
        let sink = {
            let bound = self.bound.read().unwrap_or_else(PoisonError::into_inner);
            bound.get(&key.local).or_else(|| bound.get(&any)).cloned()
        };
        if let Some(sink) = &sink {
            sink(key.remote, payload);
        }
        sink.is_some()
    }

    /// Sends a datagram from an endpoint bound at `from`.
    pub fn send(
        &self,
        from: SocketAddr,
        to: SocketAddr,
        payload: &[u8],
    ) -> Result<(), RootlessError> {
        if from.is_ipv4() != to.is_ipv4() || to.ip().is_unspecified() || to.port() == 0 {
            return Err(RootlessError::Unreachable);
        }
        let ip_header = if to.is_ipv4() { 20 } else { 40 };
        if ip_header + HEADER + payload.len() > usize::from(self.mtu) {
            return Err(RootlessError::TooBig);
        }
        let source = match from.ip() {
            ip if ip.is_unspecified() => {
                self.frames.source_for(to.ip()).ok_or(RootlessError::NoAddress)?
            }
            ip => ip,
        };
        let frame = headers::udp(SocketAddr::new(source, from.port()), to, payload);
        self.frames.send_or_drop(&frame, to.ip());
        Ok(())
    }
}
