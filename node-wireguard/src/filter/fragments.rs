//! A short memory of datagrams whose first fragment was let in.

use crate::packet::PacketView;
use std::net::IpAddr;

const ENTRIES: usize = 128;
const LIFETIME_MS: u64 = 30_000; // as long as the kernel waits for the rest

#[derive(Clone, Copy, PartialEq, Eq)]
struct Datagram {
    source: IpAddr,
    destination: IpAddr,
    id: u32,
    protocol: u8,
}

/// The last hundred or so, the oldest overwritten first.
pub struct Fragments {
    entries: Vec<(Datagram, u64)>,
    next: usize,
}

impl Fragments {
    pub fn new() -> Self {
        Self { entries: Vec::new(), next: 0 }
    }

    fn datagram(view: &PacketView, id: u32) -> Datagram {
        Datagram { source: view.source, destination: view.destination, id, protocol: view.protocol }
    }

    pub fn remember(&mut self, view: &PacketView, id: u32, now: u64) {
        let entry = (Self::datagram(view, id), now + LIFETIME_MS);
        match self.entries.get_mut(self.next) {
            Some(old) => *old = entry,
            None => self.entries.push(entry),
        }
        self.next = (self.next + 1) % ENTRIES;
    }

    pub fn knows(&self, view: &PacketView, id: u32, now: u64) -> bool {
        let wanted = Self::datagram(view, id);
        self.entries.iter().any(|(datagram, until)| *datagram == wanted && now < *until)
    }
}
