//! The flows that packets of ours have opened: a hash table of fixed size, eight places to a bucket.

use super::flow::Flow;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const WAYS: usize = 8;
const BUCKETS: usize = 8_192;
/// The most flows of one shard.
#[cfg(test)]
pub const CAPACITY: usize = WAYS * BUCKETS;

const V6: u16 = 1 << 8;

/// Both ends of a flow as we see them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key {
    local: u128,
    remote: u128,
    ports: [u16; 2],
    protocol: u16, // with the family
}

impl Key {
    pub fn new(local: (IpAddr, u16), remote: (IpAddr, u16), protocol: u8) -> Self {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(address) => u32::from(address) as u128,
            IpAddr::V6(address) => u128::from(address),
        };
        let family = if local.0.is_ipv6() { V6 } else { 0 };
        Self {
            local: bits(local.0),
            remote: bits(remote.0),
            ports: [local.1, remote.1],
            protocol: protocol as u16 | family,
        }
    }

    pub fn protocol(&self) -> u8 {
        self.protocol as u8
    }

    pub fn local_port(&self) -> u16 {
        self.ports[0]
    }

    pub fn remote(&self) -> IpAddr {
        match self.protocol & V6 {
            0 => Ipv4Addr::from(self.remote as u32).into(),
            _ => Ipv6Addr::from(self.remote).into(),
        }
    }

    /// Folded multiplication under a secret: quick, and nobody outside can aim at a bucket.
    fn bucket(&self, secret: u64) -> usize {
        let fold = |a: u64, b: u64| {
            let wide = a as u128 * b as u128;
            wide as u64 ^ (wide >> 64) as u64
        };
        let ends = [self.local, self.remote].map(|end| [end as u64, (end >> 64) as u64]);
        let rest =
            (self.ports[0] as u64) << 32 | (self.ports[1] as u64) << 16 | self.protocol as u64;
        let mut hash = fold(rest ^ secret, 0x9e37_79b9_7f4a_7c15);
        for [low, high] in ends {
            hash = fold(
                low ^ hash ^ secret.rotate_left(17),
                high ^ hash.rotate_left(32) ^ secret.rotate_left(41) | 1,
            );
        }
        hash as usize % BUCKETS
    }
}

/// All flows of one shard. Full buckets lose their least worthy entry: the table never grows.
pub struct Flows {
    entries: Vec<Option<(Key, Flow)>>,
    used: Vec<u8>, // of each bucket, a bit for each place taken: what is empty is not looked at
    recent: usize, // the place found last: bulk comes in rows
    secret: u64,
}

/// The places of a bucket whose bits are set.
fn places(bucket: usize, used: u8) -> impl Iterator<Item = usize> {
    (0..WAYS).filter(move |way| used & 1 << way != 0).map(move |way| bucket * WAYS + way)
}

impl Flows {
    pub fn new() -> Self {
        let (entries, used) = (vec![None; WAYS * BUCKETS], vec![0; BUCKETS]);
        Self { entries, used, recent: 0, secret: RandomState::new().hash_one(0u8) }
    }

    fn holds(&self, place: usize, key: &Key) -> bool {
        self.entries[place].as_ref().is_some_and(|entry| entry.0 == *key)
    }

    pub fn find(&mut self, key: &Key, now: u64) -> Option<&mut Flow> {
        if !self.holds(self.recent, key) {
            let bucket = key.bucket(self.secret);
            let found = places(bucket, self.used[bucket]).find(|&place| self.holds(place, key));
            self.recent = found?;
        }
        let flow = self.entries[self.recent].as_mut().map(|entry| &mut entry.1);
        flow.filter(|flow| flow.is_alive(now))
    }

    /// Puts a flow in the place of its older self, a free place, or the least worthy one.
    pub fn insert(&mut self, key: Key, flow: Flow, now: u64) {
        let bucket = key.bucket(self.secret);
        let rank = |place: &usize| match &self.entries[*place] {
            Some((other, _)) if *other == key => None,
            None => Some((0, 0)),
            Some((_, flow)) => Some(flow.worth(now)),
        };
        if let Some(place) = places(bucket, u8::MAX).min_by_key(rank) {
            self.entries[place] = Some((key, flow));
            self.used[bucket] |= 1 << (place % WAYS);
        }
    }

    /// Looks at every flow, and keeps those that `keep` says yes to.
    pub fn retain(&mut self, mut keep: impl FnMut(&Key, &mut Flow) -> bool) {
        let Self { entries, used, .. } = self;
        for (bucket, used) in used.iter_mut().enumerate().filter(|(_, used)| **used != 0) {
            for place in places(bucket, *used) {
                if let Some((key, flow)) = &mut entries[place]
                    && !keep(key, flow)
                {
                    entries[place] = None;
                    *used &= !(1 << (place % WAYS));
                }
            }
        }
    }

    /// Takes out the flows whose other end has an address of this prefix.
    pub fn forget(&mut self, address: IpAddr, prefix: u8) {
        let (bits, width) = match address {
            IpAddr::V4(address) => (u32::from(address) as u128, 32),
            IpAddr::V6(address) => (u128::from(address), 128u32),
        };
        let behind = width - (prefix as u32).min(width);
        let family = if address.is_ipv6() { V6 } else { 0 };
        self.retain(|key, _| {
            let inside = (key.remote ^ bits).checked_shr(behind).unwrap_or(0) == 0;
            key.protocol & V6 != family || !inside
        });
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.entries.iter().flatten().count()
    }
}
