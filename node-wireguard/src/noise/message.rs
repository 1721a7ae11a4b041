//! The four messages (paper, 5.4): their layout, read and written at fixed places. All integers are little endian.

use super::NoiseError;
use crate::crypto::TAG;

/// Length of a handshake initiation, type 1, in bytes.
pub const INITIATION: usize = 148;
/// Length of a handshake response, type 2, in bytes.
pub const RESPONSE: usize = 92;
/// Length of a cookie reply, type 3, in bytes.
pub const COOKIE_REPLY: usize = 64;
/// Length of the header of a data message, type 4, in bytes: type, receiver, counter.
pub const DATA_HEADER: usize = 16;
/// What a data message adds to its (padded) packet.
pub const DATA_OVERHEAD: usize = DATA_HEADER + TAG;
/// Length of the two MACs at the end of types 1 and 2.
pub(super) const MACS: usize = 32;

/// The first word of each.
pub const TYPE_INITIATION: u32 = 1;
pub const TYPE_RESPONSE: u32 = 2;
pub const TYPE_COOKIE_REPLY: u32 = 3;
pub const TYPE_DATA: u32 = 4;

/// What a datagram is, by its first word and its length alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A handshake from the peer whose index is `sender`.
    Initiation { sender: u32 },
    /// The answer to our initiation with the index `receiver`.
    Response { sender: u32, receiver: u32 },
    /// A cookie for the message that we sent with the index `receiver`.
    CookieReply { receiver: u32 },
    /// A sealed packet for our session `receiver`.
    Data { receiver: u32, counter: u64 },
}

impl Kind {
    /// Reads the header. `None` for everything that is no WireGuard message, also by its length.
    pub fn of(datagram: &[u8]) -> Option<Self> {
        let kind = match (word(datagram, 0)?, datagram.len()) {
            (TYPE_DATA, DATA_OVERHEAD..) => Self::Data {
                receiver: word(datagram, 4)?,
                counter: u64::from_le_bytes(bytes(datagram, 8)?),
            },
            (TYPE_INITIATION, INITIATION) => Self::Initiation { sender: word(datagram, 4)? },
            (TYPE_RESPONSE, RESPONSE) => {
                Self::Response { sender: word(datagram, 4)?, receiver: word(datagram, 8)? }
            }
            (TYPE_COOKIE_REPLY, COOKIE_REPLY) => Self::CookieReply { receiver: word(datagram, 4)? },
            _ => return None,
        };
        Some(kind)
    }
}

/// Length to which a packet is padded: the next multiple of 16, but never beyond the MTU (kernel,
/// `calculate_skb_padding`). An empty packet stays empty.
pub fn padded(length: usize, mtu: usize) -> usize {
    length.next_multiple_of(16).min(mtu.max(length))
}

/// An initiation by its fields.
pub(super) struct Initiation {
    pub sender: u32,
    pub ephemeral: [u8; 32],
    pub sealed_static: [u8; 48],
    pub sealed_timestamp: [u8; 28],
}

impl Initiation {
    pub fn parse(message: &[u8]) -> Result<Self, NoiseError> {
        expect(message, TYPE_INITIATION, INITIATION)?;
        Ok(Self {
            sender: field(message, 4).map(u32::from_le_bytes)?,
            ephemeral: field(message, 8)?,
            sealed_static: field(message, 40)?,
            sealed_timestamp: field(message, 88)?,
        })
    }

    /// The message with room for its MACs.
    pub fn write(&self) -> [u8; INITIATION] {
        let mut message = [0; INITIATION];
        message[..4].copy_from_slice(&TYPE_INITIATION.to_le_bytes());
        message[4..8].copy_from_slice(&self.sender.to_le_bytes());
        message[8..40].copy_from_slice(&self.ephemeral);
        message[40..88].copy_from_slice(&self.sealed_static);
        message[88..116].copy_from_slice(&self.sealed_timestamp);
        message
    }
}

/// A response by its fields.
pub(super) struct Response {
    pub sender: u32,
    pub receiver: u32,
    pub ephemeral: [u8; 32],
    pub sealed_nothing: [u8; TAG],
}

impl Response {
    pub fn parse(message: &[u8]) -> Result<Self, NoiseError> {
        expect(message, TYPE_RESPONSE, RESPONSE)?;
        Ok(Self {
            sender: field(message, 4).map(u32::from_le_bytes)?,
            receiver: field(message, 8).map(u32::from_le_bytes)?,
            ephemeral: field(message, 12)?,
            sealed_nothing: field(message, 44)?,
        })
    }

    /// The message with room for its MACs.
    pub fn write(&self) -> [u8; RESPONSE] {
        let mut message = [0; RESPONSE];
        message[..4].copy_from_slice(&TYPE_RESPONSE.to_le_bytes());
        message[4..8].copy_from_slice(&self.sender.to_le_bytes());
        message[8..12].copy_from_slice(&self.receiver.to_le_bytes());
        message[12..44].copy_from_slice(&self.ephemeral);
        message[44..60].copy_from_slice(&self.sealed_nothing);
        message
    }
}

/// A cookie reply by its fields.
pub(super) struct CookieReply {
    pub receiver: u32,
    pub nonce: [u8; 24],
    pub sealed_cookie: [u8; 16],
    pub tag: [u8; TAG],
}

impl CookieReply {
    pub fn parse(message: &[u8]) -> Result<Self, NoiseError> {
        expect(message, TYPE_COOKIE_REPLY, COOKIE_REPLY)?;
        Ok(Self {
            receiver: field(message, 4).map(u32::from_le_bytes)?,
            nonce: field(message, 8)?,
            sealed_cookie: field(message, 32)?,
            tag: field(message, 48)?,
        })
    }

    pub fn write(&self) -> [u8; COOKIE_REPLY] {
        let mut message = [0; COOKIE_REPLY];
        message[..4].copy_from_slice(&TYPE_COOKIE_REPLY.to_le_bytes());
        message[4..8].copy_from_slice(&self.receiver.to_le_bytes());
        message[8..32].copy_from_slice(&self.nonce);
        message[32..48].copy_from_slice(&self.sealed_cookie);
        message[48..].copy_from_slice(&self.tag);
        message
    }
}

fn expect(message: &[u8], kind: u32, length: usize) -> Result<(), NoiseError> {
    let fits = message.len() == length && word(message, 0) == Some(kind);
    fits.then_some(()).ok_or(NoiseError::Malformed)
}

fn field<const N: usize>(message: &[u8], at: usize) -> Result<[u8; N], NoiseError> {
    bytes(message, at).ok_or(NoiseError::Malformed)
}

fn bytes<const N: usize>(message: &[u8], at: usize) -> Option<[u8; N]> {
    message.get(at..at + N)?.try_into().ok()
}

fn word(message: &[u8], at: usize) -> Option<u32> {
    bytes(message, at).map(u32::from_le_bytes)
}
