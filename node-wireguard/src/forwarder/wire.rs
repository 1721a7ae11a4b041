//! The forwarder's messages. Each starts with `[0x80 | type][R][W][K][slot u32 LE]`, which no WireGuard message and no
//! STUN message does. Numbers are little-endian, as in WireGuard.
//!
//! ```text
//! forward  80 slot | any WireGuard message or probe
//! request  84 slot | nonce 16 | zeros to 64
//! cookie   85 slot | nonce 16 | cookie 16 | source 18 | zeros to 64
//! confirm  86 slot | nonce 16 | counter 8 | cookie 16 | mac 16        = 64
//! verdict  87 slot | nonce 16 | verdict 1 | zeros 3 | seconds 4 | mac 16 = 48
//! ```
//!
//! What comes from a source that has proven nothing is 64 bytes long, and its answer never longer.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Bytes in front of a forwarded message.
pub const HEADER_LENGTH: usize = 8;
/// Length of every message that a binding member sends.
pub const BIND_LENGTH: usize = 64;

pub(super) const VERDICT_LENGTH: usize = 48;
pub(super) const SOURCE_LENGTH: usize = 18;

pub(super) type Nonce = [u8; 16];
pub(super) type Cookie = [u8; 16];
pub(super) type Mac = [u8; 16];
pub(super) type BindMessage = [u8; BIND_LENGTH];

/// What a message of the forwarder's family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Forward = 0x80,
    Request = 0x84,
    Cookie = 0x85,
    Confirm = 0x86,
    Verdict = 0x87,
}

/// Why a forwarder refuses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// The forwarder has no session with this slot (any more, or not yet).
    UnknownSlot = 1,
    /// The cookie is too old or belongs to another source: ask for a new one.
    StaleCookie = 2,
    /// The MAC does not fit the session's secret.
    WrongProof = 3,
    /// The counter has not risen: a replay, or a clock that was set back.
    StaleCounter = 4,
    /// The session has passed its end.
    Expired = 5,
    /// The session has used up its bytes.
    QuotaSpent = 6,
}

impl Refusal {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::UnknownSlot,
            2 => Self::StaleCookie,
            3 => Self::WrongProof,
            4 => Self::StaleCounter,
            5 => Self::Expired,
            6 => Self::QuotaSpent,
            _ => return None,
        })
    }
}

/// The eight bytes that go in front of a message.
pub fn header(kind: Kind, slot: u32) -> [u8; HEADER_LENGTH] {
    let [a, b, c, d] = slot.to_le_bytes();
    [kind as u8, b'R', b'W', b'K', a, b, c, d]
}

/// Splits a message of the forwarder's family into its kind, its slot and what follows.
pub(super) fn open(datagram: &[u8]) -> Option<(Kind, u32, &[u8])> {
    let (head, rest) = datagram.split_first_chunk::<HEADER_LENGTH>()?;
    let [kind, b'R', b'W', b'K', slot @ ..] = *head else { return None };
    let kind = match kind {
        0x80 => Kind::Forward,
        0x84 => Kind::Request,
        0x85 => Kind::Cookie,
        0x86 => Kind::Confirm,
        0x87 => Kind::Verdict,
        _ => return None,
    };
    Some((kind, u32::from_le_bytes(slot), rest))
}

/// The slot of a forwarded message and the message itself; nothing if it is not one.
pub fn slot_of(datagram: &[u8]) -> Option<(u32, &[u8])> {
    match open(datagram)? {
        (Kind::Forward, slot, payload) => Some((slot, payload)),
        _ => None,
    }
}

/// Whether a datagram belongs to the bind exchange: the device gives these to its bind clients.
pub fn is_bind(datagram: &[u8]) -> bool {
    open(datagram).is_some_and(|(kind, ..)| kind != Kind::Forward)
}

/// An address as the MACs see it: IPv4 mapped into IPv6, then the port.
pub(super) fn source_bytes(source: SocketAddr) -> [u8; SOURCE_LENGTH] {
    let ip: Ipv6Addr = match source.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut bytes = [0; SOURCE_LENGTH];
    bytes[..16].copy_from_slice(&ip.octets());
    bytes[16..].copy_from_slice(&source.port().to_le_bytes());
    bytes
}

/// The parts of a confirm message that its MAC covers, beside the source.
pub(super) struct Confirm {
    pub nonce: Nonce,
    pub counter: u64,
    pub cookie: Cookie,
    pub mac: Mac,
}

pub(super) struct Verdict {
    pub nonce: Nonce,
    /// Seconds that the session still lasts, or why not.
    pub outcome: Result<u32, Refusal>,
    pub mac: Mac,
}

pub(super) fn write_request(slot: u32, nonce: &Nonce) -> BindMessage {
    compose(header(Kind::Request, slot), [nonce])
}

pub(super) fn write_cookie(
    slot: u32,
    nonce: &Nonce,
    cookie: &Cookie,
    source: SocketAddr,
) -> BindMessage {
    compose(header(Kind::Cookie, slot), [nonce.as_slice(), cookie, &source_bytes(source)])
}

pub(super) fn write_confirm(slot: u32, confirm: &Confirm) -> BindMessage {
    let Confirm { nonce, counter, cookie, mac } = confirm;
    compose(
        header(Kind::Confirm, slot),
        [nonce.as_slice(), &counter.to_le_bytes(), cookie.as_slice(), mac.as_slice()],
    )
}

pub(super) fn write_verdict(slot: u32, verdict: &Verdict) -> [u8; VERDICT_LENGTH] {
    let (code, seconds) = match verdict.outcome {
        Ok(seconds) => (0, seconds),
        Err(refusal) => (refusal as u8, 0),
    };
    compose(
        header(Kind::Verdict, slot),
        [
            verdict.nonce.as_slice(),
            &[code, 0, 0, 0],
            &seconds.to_le_bytes(),
            verdict.mac.as_slice(),
        ],
    )
}

/// The nonce of a request, if its length is right.
pub(super) fn read_request(rest: &[u8]) -> Option<Nonce> {
    let rest: &[u8; BIND_LENGTH - HEADER_LENGTH] = rest.try_into().ok()?;
    rest.first_chunk().copied()
}

/// Nonce, cookie and our source as the forwarder sees it.
pub(super) fn read_cookie(rest: &[u8]) -> Option<(Nonce, Cookie, [u8; SOURCE_LENGTH])> {
    let rest: &[u8; BIND_LENGTH - HEADER_LENGTH] = rest.try_into().ok()?;
    let (nonce, rest) = rest.split_first_chunk()?;
    let (cookie, rest) = rest.split_first_chunk()?;
    Some((*nonce, *cookie, *rest.first_chunk()?))
}

pub(super) fn read_confirm(rest: &[u8]) -> Option<Confirm> {
    let rest: &[u8; BIND_LENGTH - HEADER_LENGTH] = rest.try_into().ok()?;
    let (nonce, rest) = rest.split_first_chunk()?;
    let (counter, rest) = rest.split_first_chunk()?;
    let (cookie, mac) = rest.split_first_chunk()?;
    let counter = u64::from_le_bytes(*counter);
    Some(Confirm { nonce: *nonce, counter, cookie: *cookie, mac: *mac.first_chunk()? })
}

pub(super) fn read_verdict(rest: &[u8]) -> Option<Verdict> {
    let rest: &[u8; VERDICT_LENGTH - HEADER_LENGTH] = rest.try_into().ok()?;
    let (nonce, rest) = rest.split_first_chunk()?;
    let (code, rest) = rest.split_first_chunk::<4>()?;
    let (seconds, mac) = rest.split_first_chunk()?;
    let outcome = match code[0] {
        0 => Ok(u32::from_le_bytes(*seconds)),
        byte => Err(Refusal::from_byte(byte)?),
    };
    Some(Verdict { nonce: *nonce, outcome, mac: *mac.first_chunk()? })
}

/// Header and parts one after the other; what is left stays zero.
fn compose<const N: usize, const P: usize>(
    head: [u8; HEADER_LENGTH],
    parts: [&[u8]; P],
) -> [u8; N] {
    let mut message = [0; N];
    message[..HEADER_LENGTH].copy_from_slice(&head);
    let mut at = HEADER_LENGTH;
    for part in parts {
        message[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    message
}
