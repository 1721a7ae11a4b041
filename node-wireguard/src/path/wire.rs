//! What a probe says. The same 48 bytes ask and answer, so that an answer is never longer than what asked for it.
//!
//! Under a session: `[0x81 'RWK'][receiver's session index u32][counter u64]` and the sealed body. Before one:
//! `[0x82 'RWK'][hint u32][nonce 24]` and, sealed, a TAI64N and the body. All numbers are little endian.

use super::Micros;

/// First bytes of every message of ours; the low bits of the first say which.
pub const MAGIC: [u8; 3] = *b"RWK";
/// Carries any other message between two peers by a forwarder.
pub const FORWARD: u8 = 0x80;
pub const SESSION_PROBE: u8 = 0x81;
pub const HELLO_PROBE: u8 = 0x82;

/// Bytes of a probe's body without padding.
pub const BODY: usize = 48;
/// Bytes before the body of a probe under a session, and behind it.
pub const SESSION_HEADER: usize = 16;
pub const TAG: usize = 16;
/// Bytes before the sealed part of a probe before a session.
pub const HELLO_HEADER: usize = 32;
pub const TIMESTAMP: usize = 12;
/// Bytes that a forwarder's header adds.
pub const FORWARD_HEADER: usize = 8;

/// Eight bytes in front of a message of ours.
pub fn header(kind: u8, id: u32) -> [u8; 8] {
    let id = id.to_le_bytes();
    [kind, MAGIC[0], MAGIC[1], MAGIC[2], id[0], id[1], id[2], id[3]]
}

/// The kind and the id of a message of ours.
pub fn parse_header(message: &[u8]) -> Option<(u8, u32)> {
    let head: &[u8; 8] = message.first_chunk()?;
    let ours = head[0] & 0x80 != 0 && head[1..4] == MAGIC;
    ours.then(|| (head[0], u32::from_le_bytes([head[4], head[5], head[6], head[7]])))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Request,
    /// Answers the request that was `dwell` microseconds with the one who answers.
    Reply {
        dwell: u32,
    },
}

/// One probe. A reply repeats `path`, `sent` and `size` of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    pub kind: Kind,
    /// The asking end's name for the path.
    pub path: u32,
    /// When the request left, by the asking end's clock.
    pub sent: Micros,
    /// Bytes of UDP payload of the request, as it left and as it came.
    pub size: u16,
    /// Whether the end speaking here has a session that it can send under: one that has restarted has none.
    pub session: bool,
    /// Data messages that the end speaking here has sent on this path, and received with the highest counter among them;
    /// none if it knows no such path.
    pub counts: Option<Counts>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub sent: u64,
    pub received: u64,
    pub highest: u64,
}

impl Probe {
    pub fn encode(&self) -> [u8; BODY] {
        let mut body = [0; BODY];
        let (kind, dwell) = match self.kind {
            Kind::Request => (1, 0),
            Kind::Reply { dwell } => (2, dwell),
        };
        (body[0], body[1]) = (kind, u8::from(self.counts.is_some()) | u8::from(self.session) << 1);
        body[2..4].copy_from_slice(&self.size.to_le_bytes());
        body[4..8].copy_from_slice(&self.path.to_le_bytes());
        body[8..16].copy_from_slice(&self.sent.to_le_bytes());
        body[16..20].copy_from_slice(&dwell.to_le_bytes());
        let counts = self.counts.unwrap_or_default();
        for (to, count) in
            body[24..].chunks_exact_mut(8).zip([counts.sent, counts.received, counts.highest])
        {
            to.copy_from_slice(&count.to_le_bytes());
        }
        body
    }

    /// Reads a body. What follows it is padding and may be anything.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let body: &[u8; BODY] = bytes.first_chunk()?;
        let word =
            |at: usize| u32::from_le_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
        let long = |at: usize| word(at) as u64 | (word(at + 4) as u64) << 32;
        let kind = match body[0] {
            1 => Kind::Request,
            2 => Kind::Reply { dwell: word(16) },
            _ => return None,
        };
        if body[1] > 3 {
            return None;
        }
        let counts = Counts { sent: long(24), received: long(32), highest: long(40) };
        let counts = (body[1] & 1 != 0).then_some(counts);
        let session = body[1] & 2 != 0;
        let size = u16::from_le_bytes([body[2], body[3]]);
        Some(Self { kind, path: word(4), sent: long(8), size, session, counts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts() -> impl Strategy<Value = Option<Counts>> {
        let some = any::<(u64, u64, u64)>().prop_map(|(sent, received, highest)| Counts {
            sent,
            received,
            highest,
        });
        proptest::option::of(some)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            dwell in any::<Option<u32>>(), path: u32, sent: u64, size: u16, session: bool, counts in counts(), padding in 0..64usize,
        ) {
            let kind = dwell.map_or(Kind::Request, |dwell| Kind::Reply { dwell });
            let probe = Probe { kind, path, sent, size, session, counts };
            let mut bytes = probe.encode().to_vec();
            bytes.resize(BODY + padding, 0xaa);
            prop_assert_eq!(Probe::parse(&bytes), Some(probe));
        }

        #[test]
        fn anything_else_is_refused_and_nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = parse_header(&bytes);
            if let Some(probe) = Probe::parse(&bytes) {
                prop_assert!(bytes.len() >= BODY && (bytes[0] == 1 || bytes[0] == 2) && bytes[1] < 4);
                prop_assert_eq!(Probe::parse(&probe.encode()), Some(probe));
            }
        }
    }

    #[test]
    fn a_header_of_ours_is_none_of_wireguard() {
        for kind in [FORWARD, SESSION_PROBE, HELLO_PROBE] {
            let bytes = header(kind, 7);
            assert_eq!(parse_header(&bytes), Some((kind, 7)));
            assert!(
                !(1..=4).contains(&u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            );
        }
        assert_eq!(parse_header(&[4, 0, 0, 0, 1, 2, 3, 4]), None);
        assert_eq!(parse_header(b"\x80RWK123"), None);
    }
}
