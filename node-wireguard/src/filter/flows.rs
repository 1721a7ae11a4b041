//! The flows that packets of ours have opened: a hash table of fixed size, eight places to a bucket.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;

const WAYS: usize = 8;
const BUCKETS: usize = 8_192;
/// The most flows of one shard.
#[cfg(test)]
pub const CAPACITY: usize = WAYS * BUCKETS;

const OPENING_MS: u64 = 2 * 60_000;
const ESTABLISHED_MS: u64 = 2 * 3_600_000;
const CLOSING_MS: u64 = 60_000;
const RESET_MS: u64 = 10_000;
const DATAGRAM_MS: u64 = 3 * 60_000;

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

/// Who began a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Ours,
    /// It came in by a rule, and ends with it.
    Remote,
    /// We saw it from the middle (the engine is younger than the flow) and no rule lets it in.
    Unknown,
    /// Its rule is gone: nothing comes in, and what goes out does not open it again.
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Opening,
    Established,
    Closing,
    Reset,
    Datagram,
}

/// What an inbound packet means to its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It belongs to the flow.
    Goes,
    /// It would open another in its place: rules decide.
    Opens,
    Refused,
}

/// What is known of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    pub origin: Origin,
    state: State,
    closed: [bool; 2], // a FIN from us, from the other end
    until: u64,
}

impl Flow {
    /// `flags` of the packet that opens it, if that is TCP.
    pub fn new(origin: Origin, flags: Option<u8>, now: u64) -> Self {
        let state = match flags {
            None => State::Datagram,
            Some(flags) if flags & SYN != 0 => State::Opening,
            Some(_) => State::Established,
        };
        let mut flow = Self { origin, state, closed: [false; 2], until: 0 };
        flow.step(flags, 0, now);
        flow
    }

    /// A packet of ours.
    pub fn sent(&mut self, flags: Option<u8>, now: u64) {
        self.step(flags, 0, now);
    }

    /// A packet of the other end; one that is let in keeps the flow alive.
    pub fn received(&mut self, flags: Option<u8>, now: u64) -> Stage {
        if self.origin == Origin::Refused {
            return Stage::Refused;
        }
        // Both ends may open at once (RFC 9293, 3.5), but later a bare SYN is another connection.
        let opens = flags.is_some_and(|flags| flags & (SYN | ACK | RST) == SYN);
        if opens && self.state != State::Opening {
            return Stage::Opens;
        }
        if let (State::Opening, Some(flags)) = (self.state, flags)
            && flags & ACK != 0
        {
            self.state = State::Established;
        }
        self.step(flags, 1, now);
        Stage::Goes
    }

    fn step(&mut self, flags: Option<u8>, end: usize, now: u64) {
        if let Some(flags) = flags {
            self.closed[end] |= flags & FIN != 0;
            if flags & RST != 0 {
                self.state = State::Reset;
            } else if self.closed == [true; 2] && self.state != State::Reset {
                self.state = State::Closing;
            }
        }
        let lifetime = match self.state {
            State::Opening => OPENING_MS,
            State::Established => ESTABLISHED_MS,
            State::Closing => CLOSING_MS,
            State::Reset => RESET_MS,
            State::Datagram => DATAGRAM_MS,
        };
        self.until = now + lifetime;
    }

    /// The lowest is the first to go when a bucket is full.
    fn worth(&self, now: u64) -> (u8, u64) {
        let class = match (self.state, self.origin) {
            _ if self.until <= now => 0,
            (State::Reset | State::Closing, _) => 1,
            (State::Opening, _) => 2,
            (State::Datagram, Origin::Ours | Origin::Unknown) => 4,
            (State::Datagram, _) => 3,
            (State::Established, _) => 5,
        };
        (class, self.until)
    }
}

/// All flows of one shard. Full buckets lose their least worthy entry: the table never grows.
pub struct Flows {
    entries: Vec<Option<(Key, Flow)>>,
    recent: usize, // the place found last: bulk comes in rows
    secret: u64,
}

impl Flows {
    pub fn new() -> Self {
        let secret = RandomState::new().hash_one(0u8);
        Self { entries: vec![None; WAYS * BUCKETS], recent: 0, secret }
    }

    pub fn find(&mut self, key: &Key, now: u64) -> Option<&mut Flow> {
        let is_it =
            |entry: &Option<(Key, Flow)>| entry.as_ref().is_some_and(|entry| entry.0 == *key);
        if !self.entries.get(self.recent).is_some_and(is_it) {
            let start = key.bucket(self.secret) * WAYS;
            self.recent = start + self.entries[start..start + WAYS].iter().position(is_it)?;
        }
        let flow = self.entries[self.recent].as_mut().map(|entry| &mut entry.1);
        flow.filter(|flow| now < flow.until)
    }

    /// Puts a flow in the place of its older self, a free place, or the least worthy one.
    pub fn insert(&mut self, key: Key, flow: Flow, now: u64) {
        let start = key.bucket(self.secret) * WAYS;
        let places = start..start + WAYS;
        let rank = |entry: &Option<(Key, Flow)>| match entry {
            Some((other, _)) if *other == key => None,
            None => Some((0, 0)),
            Some((_, flow)) => Some(flow.worth(now)),
        };
        if let Some(place) = places.min_by_key(|&place| rank(&self.entries[place])) {
            self.entries[place] = Some((key, flow));
        }
    }

    /// Looks at every flow.
    pub fn each(&mut self, mut change: impl FnMut(&Key, &mut Flow)) {
        for (key, flow) in self.entries.iter_mut().flatten() {
            change(key, flow);
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
        let inside = |key: &Key| {
            key.protocol & V6 == family && (key.remote ^ bits).checked_shr(behind).unwrap_or(0) == 0
        };
        for entry in &mut self.entries {
            if entry.as_ref().is_some_and(|entry| inside(&entry.0)) {
                *entry = None;
            }
        }
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.entries.iter().flatten().count()
    }
}
