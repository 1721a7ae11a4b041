//! One session: two sides, the proven address behind each, and what passed between them.

use std::net::{IpAddr, SocketAddr};

use zeroize::Zeroize;

use super::limiter::{Bucket, Millis, Rate};
use super::proof::{self, Secret};
use super::wire::{Confirm, Refusal, source_bytes};

/// A binding that was not confirmed for so long is dropped (members do it every 20 s).
const BINDING_LIFETIME_MS: Millis = 65_000;
/// Handshakes and probes before a session cost the receiver a Diffie-Hellman each, so the forwarder limits them.
const HANDSHAKES: Rate = Rate { per_second: 40, burst: 80 };

/// What a bound member may ask beside the limit of its network; it asks every 20 s, and again for what is lost.
const RENEWALS: Rate = Rate { per_second: 1, burst: 10 };

/// One member's half of a session.
#[derive(Clone, PartialEq, Eq)]
pub struct SideConfig {
    pub slot: u32,
    pub secret: Secret,
}

/// A session as the relay grants it.
#[derive(Clone)]
pub struct SessionConfig {
    /// The caller's name for it.
    pub id: String,
    pub sides: [SideConfig; 2],
    /// Milliseconds from now until it ends.
    pub lasts_ms: Millis,
    /// Bytes that may still pass, both ways together; none: no limit.
    pub quota_bytes: Option<u64>,
}

/// What one side has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideStatus {
    pub slot: u32,
    /// The proven address, while it is bound.
    pub bound: Option<SocketAddr>,
    /// Datagrams that this side sent and that went on to the other, and their bytes without our header.
    pub packets: u64,
    pub bytes: u64,
    /// Datagrams that did not go on: the other side is not bound, the rate, the quota or the session is used up.
    pub dropped: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStatus {
    pub id: String,
    /// Milliseconds left, zero once expired.
    pub left_ms: Millis,
    pub quota_left: Option<u64>,
    pub sides: [SideStatus; 2],
}

/// Where a datagram goes: the receiver's slot, and the way back to where the receiver proved its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub slot: u32,
    pub to: SocketAddr,
    pub via: Origin,
}

/// Which of our sockets and addresses a member talks to; it is answered from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub socket: usize,
    pub local: Option<IpAddr>,
}

struct Binding {
    from: SocketAddr,
    via: Origin,
    until: Millis,
}

pub(super) struct Side {
    pub config: SideConfig,
    binding: Option<Binding>,
    counter: u64,
    handshakes: Bucket,
    renewals: Bucket,
    packets: u64,
    bytes: u64,
    dropped: u64,
}

pub(super) struct Session {
    pub sides: [Side; 2],
    pub ends: Millis,
    pub quota_left: Option<u64>,
}

impl Session {
    pub fn new(
        config: [SideConfig; 2],
        ends: Millis,
        quota_left: Option<u64>,
        now: Millis,
    ) -> Self {
        Self { sides: config.map(|side| Side::new(side, now)), ends, quota_left }
    }

    pub fn is_between(&self, sides: &[SideConfig; 2]) -> bool {
        self.sides.iter().map(|side| &side.config).eq(sides)
    }

    /// The member behind `side` has shown a cookie; does its proof hold? Seconds that the session lasts.
    pub fn confirm(
        &mut self,
        side: usize,
        confirm: &Confirm,
        from: SocketAddr,
        via: Origin,
        now: Millis,
    ) -> Result<u32, Refusal> {
        let left = self.ends.saturating_sub(now);
        if left == 0 {
            return Err(Refusal::Expired);
        }
        let side = &mut self.sides[side];
        let Confirm { counter, cookie, mac, .. } = confirm;
        let SideConfig { slot, secret } = &side.config;
        let wanted = proof::confirm(secret, *slot, *counter, cookie, &source_bytes(from));
        if !proof::same(&wanted, mac) {
            return Err(Refusal::WrongProof);
        }
        if *counter <= side.counter {
            return Err(Refusal::StaleCounter);
        }
        if self.quota_left == Some(0) {
            return Err(Refusal::QuotaSpent);
        }
        side.counter = *counter;
        side.binding = Some(Binding { from, via, until: now + BINDING_LIFETIME_MS });
        Ok(left.div_ceil(1_000) as u32)
    }

    /// Whether a question about `side` comes from where it is bound, and not too often: it may be asked anew in spite of
    /// what others ask from the same network.
    pub fn renews(&mut self, side: usize, from: SocketAddr, now: Millis) -> bool {
        let side = &mut self.sides[side];
        let bound = side.bound(now).is_some_and(|binding| binding.from == from);
        bound && side.renewals.take(RENEWALS, now)
    }

    /// Where `payload`, which came from `from` in the name of `side`, goes on to; counts it. Nothing: it is dropped.
    pub fn pass(
        &mut self,
        side: usize,
        from: SocketAddr,
        payload: &[u8],
        now: Millis,
    ) -> Option<Route> {
        let live = self.ends > now;
        let [near, far] = match &mut self.sides {
            [a, b] if side == 0 => [a, b],
            [a, b] => [b, a],
        };
        // What an unproven source sends does not count against the member whose slot it names.
        near.bound(now).filter(|binding| binding.from == from)?;
        let length = payload.len() as u64;
        let quota = self.quota_left.map(|left| left.checked_sub(length));
        let passes = live
            && !payload.is_empty()
            && quota != Some(None)
            && (is_cheap(payload) || near.handshakes.take(HANDSHAKES, now));
        let Some(to) = far.bound(now).filter(|_| passes) else {
            near.dropped += 1;
            return None;
        };
        let route = Route { slot: far.config.slot, to: to.from, via: to.via };
        near.packets += 1;
        near.bytes += length;
        self.quota_left = quota.flatten();
        Some(route)
    }

    pub fn status(&self, id: &str, now: Millis) -> SessionStatus {
        SessionStatus {
            id: id.to_owned(),
            left_ms: self.ends.saturating_sub(now),
            quota_left: self.quota_left,
            sides: [0, 1].map(|side| self.sides[side].status(now)),
        }
    }
}

impl Side {
    fn new(config: SideConfig, now: Millis) -> Self {
        Self {
            config,
            binding: None,
            counter: 0,
            handshakes: Bucket::full(HANDSHAKES, now),
            renewals: Bucket::full(RENEWALS, now),
            packets: 0,
            bytes: 0,
            dropped: 0,
        }
    }

    fn bound(&self, now: Millis) -> Option<&Binding> {
        self.binding.as_ref().filter(|binding| binding.until > now)
    }

    fn status(&self, now: Millis) -> SideStatus {
        SideStatus {
            slot: self.config.slot,
            bound: self.bound(now).map(|binding| binding.from),
            packets: self.packets,
            bytes: self.bytes,
            dropped: self.dropped,
        }
    }
}

impl Drop for SideConfig {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// Data and probes inside a session, which cost the receiver one AEAD; everything else is limited.
fn is_cheap(payload: &[u8]) -> bool {
    matches!(payload, [4, 0, 0, 0, ..] | [0x81, b'R', b'W', b'K', ..])
}
