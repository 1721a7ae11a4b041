//! Which value an address belongs to: the longest prefix wins.
//!
//! A path-compressed binary trie in one flat vector for each family. A look-up visits one node per branching that the
//! prefixes really have, and allocates nothing.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const NONE: u32 = u32::MAX;

/// Prefixes of IPv4 and IPv6, each with a value. Cloning it makes the snapshot that the data path reads.
#[derive(Clone, Debug)]
pub struct AllowedIps<V> {
    v4: Trie<V>,
    v6: Trie<V>,
}

impl<V> Default for AllowedIps<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> AllowedIps<V> {
    pub fn new() -> Self {
        Self { v4: Trie::new(), v6: Trie::new() }
    }

    /// Gives the prefix to `value` and returns who had it before. Bits behind the prefix are ignored; a length beyond the
    /// address is cut to it.
    pub fn insert(&mut self, address: IpAddr, prefix: u8, value: V) -> Option<V> {
        let (key, length) = (key(address), prefix.min(width(address)));
        self.family(address).insert(key & mask(length), length, value)
    }

    /// The value of the longest prefix that holds `address`.
    pub fn lookup(&self, address: IpAddr) -> Option<&V> {
        let trie = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        trie.lookup(key(address))
    }

    /// Takes one prefix out.
    pub fn remove(&mut self, address: IpAddr, prefix: u8) -> Option<V> {
        let (key, length) = (key(address), prefix.min(width(address)));
        self.family(address).remove(key & mask(length), length)
    }

    /// Keeps the prefixes whose value passes: how a peer loses all of its own.
    pub fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        self.v4.retain(&mut keep);
        self.v6.retain(&mut keep);
    }

    /// Every prefix, IPv4 first, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, u8, &V)> {
        let v4 = self.v4.iter().map(|(key, length, value)| {
            (IpAddr::from(Ipv4Addr::from((key >> 96) as u32)), length, value)
        });
        let v6 =
            self.v6.iter().map(|(key, length, value)| (Ipv6Addr::from(key).into(), length, value));
        v4.chain(v6)
    }

    fn family(&mut self, address: IpAddr) -> &mut Trie<V> {
        if address.is_ipv4() { &mut self.v4 } else { &mut self.v6 }
    }
}

/// The address at the top of 128 bits.
fn key(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => (u32::from(address) as u128) << 96,
        IpAddr::V6(address) => u128::from(address),
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Ones in the first `length` of 128 bits.
fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - length as u32).unwrap_or(0)
}

/// The bit behind the first `length` ones.
fn bit(key: u128, length: u8) -> usize {
    (key >> (127 - length)) as usize & 1
}

#[derive(Clone, Debug)]
struct Node<V> {
    key: u128,
    length: u8,
    children: [u32; 2],
    value: Option<V>, // nothing where only the paths part
}

impl<V> Node<V> {
    fn holds(&self, key: u128) -> bool {
        (self.key ^ key).leading_zeros() >= self.length as u32
    }
}

#[derive(Clone, Debug)]
struct Trie<V> {
    nodes: Vec<Node<V>>,
    free: Vec<u32>, // places of nodes taken out
    root: u32,
}

impl<V> Trie<V> {
    fn new() -> Self {
        Self { nodes: Vec::new(), free: Vec::new(), root: NONE }
    }

    fn lookup(&self, key: u128) -> Option<&V> {
        let (mut at, mut best) = (self.root, None);
        while let Some(node) = self.nodes.get(at as usize)
            && node.holds(key)
        {
            best = node.value.as_ref().or(best);
            if node.length == 128 {
                break;
            }
            at = node.children[bit(key, node.length)];
        }
        best
    }

    fn insert(&mut self, key: u128, length: u8, value: V) -> Option<V> {
        let (mut parent, mut at) = (None, self.root);
        while let Some(node) = self.nodes.get_mut(at as usize) {
            let common = ((node.key ^ key).leading_zeros() as u8).min(length).min(node.length);
            if common == node.length && common == length {
                return node.value.replace(value);
            }
            if common < node.length {
                self.put_above(parent, at, common, (key, length, value));
                return None;
            }
            let side = bit(key, node.length);
            parent = Some((at, side));
            at = node.children[side];
        }
        let leaf = self.add(key, length, Some(value));
        self.link(parent, leaf);
        None
    }

    /// Puts a new prefix between a node and its parent, with a parting of the ways if neither holds the other.
    fn put_above(
        &mut self,
        parent: Option<(u32, usize)>,
        below: u32,
        common: u8,
        new: (u128, u8, V),
    ) {
        let (key, length, value) = new;
        let side = bit(self.nodes[below as usize].key, common);
        let above = if common == length {
            self.add(key, length, Some(value))
        } else {
            let leaf = self.add(key, length, Some(value));
            let parting = self.add(key & mask(common), common, None);
            self.nodes[parting as usize].children[1 - side] = leaf;
            parting
        };
        self.nodes[above as usize].children[side] = below;
        self.link(parent, above);
    }

    fn add(&mut self, key: u128, length: u8, value: Option<V>) -> u32 {
        let node = Node { key, length, children: [NONE; 2], value };
        if let Some(at) = self.free.pop() {
            self.nodes[at as usize] = node;
            return at;
        }
        self.nodes.push(node);
        self.nodes.len() as u32 - 1
    }

    fn link(&mut self, parent: Option<(u32, usize)>, child: u32) {
        match parent {
            Some((at, side)) => self.nodes[at as usize].children[side] = child,
            None => self.root = child,
        }
    }

    fn remove(&mut self, key: u128, length: u8) -> Option<V> {
        // The links walked: from a node's side to the next; nothing is the root.
        let (mut above, mut link, mut at) = (None, None, self.root);
        while let Some(node) = self.nodes.get(at as usize)
            && node.length < length
            && node.holds(key)
        {
            (above, link) = (link, Some((at, bit(key, node.length))));
            at = node.children[bit(key, node.length)];
        }
        let node = self.nodes.get_mut(at as usize)?;
        if node.length != length || node.key != key {
            return None;
        }
        let value = node.value.take()?;
        self.splice(link, at);
        if let Some((parent, _)) = link {
            self.splice(above, parent);
        }
        Some(value)
    }

    /// Takes out a node that has lost its reason: no value, and no two ways to part.
    fn splice(&mut self, link: Option<(u32, usize)>, at: u32) {
        let node = &self.nodes[at as usize];
        let only = match node.children {
            _ if node.value.is_some() => return,
            [only, NONE] | [NONE, only] => only,
            _ => return,
        };
        self.link(link, only);
        self.free.push(at);
    }

    fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        let gone =
            self.iter().filter(|(.., value)| !keep(value)).map(|(key, length, _)| (key, length));
        for (key, length) in gone.collect::<Vec<_>>() {
            self.remove(key, length);
        }
    }

    fn iter(&self) -> impl Iterator<Item = (u128, u8, &V)> {
        self.nodes.iter().filter_map(|node| Some((node.key, node.length, node.value.as_ref()?)))
    }
}
