//! STUN (RFC 8489): the binding request and its answer, and nothing else. The server answers with the source it saw,
//! never with more bytes than came: a client pads its request (PADDING, RFC 5780) to make room for the answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Every message starts with 20 bytes, the magic cookie among them.
pub const HEADER_LENGTH: usize = 20;
/// Longer ones are refused unread.
pub const MAX_LENGTH: usize = 1_280;

/// The magic cookie, four bytes behind the beginning in network order.
pub const MAGIC: u32 = 0x2112_A442;
const FINGERPRINT_XOR: u32 = 0x5354_554E;

const REQUEST: u16 = 0x0001;
const SUCCESS: u16 = 0x0101;
const ERROR: u16 = 0x0111;

const MAPPED_ADDRESS: u16 = 0x0001;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PADDING: u16 = 0x0026;
const FINGERPRINT: u16 = 0x8028;
/// Comprehension-required attributes that a request may carry and that change nothing in a public answer: USERNAME,
/// MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256, USERHASH, PRIORITY, USE-CANDIDATE, PADDING (RFC 8489 § 18.3, RFC 8445).
const HARMLESS: [u16; 7] = [0x0006, 0x0008, 0x001C, 0x001E, 0x0024, 0x0025, PADDING];

/// Twelve bytes that tie an answer to its request.
pub type Transaction = [u8; 12];

/// Whether a datagram looks like STUN: the two top bits are zero, the magic cookie stands, the length fits.
/// Cheap, for telling it from WireGuard on the same socket.
pub fn is_stun(datagram: &[u8]) -> bool {
    Header::read(datagram).is_some()
}

/// The transaction of a binding answer and what it says: our address as the server sees it, or its error code.
pub fn read_answer(datagram: &[u8]) -> Option<(Transaction, Result<SocketAddr, u16>)> {
    let header = Header::read(datagram)?;
    let message = Attributes::verified(datagram, header.transaction)?;
    match header.kind {
        SUCCESS => {
            let address = message.mapped.or(message.plainly_mapped)?;
            Some((header.transaction, Ok(address)))
        }
        ERROR => Some((header.transaction, Err(message.error?))),
        _ => None,
    }
}

/// A binding request of at least `length` bytes (rounded up to a multiple of four, at most `MAX_LENGTH`).
pub fn write_request(transaction: Transaction, length: usize) -> Vec<u8> {
    let mut writer = Writer::new(REQUEST, transaction);
    let room = length.min(MAX_LENGTH).saturating_sub(HEADER_LENGTH + 4);
    if length > HEADER_LENGTH {
        writer.attribute(PADDING, &vec![0; room.next_multiple_of(4)]);
    }
    writer.finish(false)
}

/// The server's answer to a datagram from `source`, if it deserves one: a binding request, well-formed, and long
/// enough that the answer is not longer.
pub fn answer(datagram: &[u8], source: SocketAddr) -> Option<Vec<u8>> {
    let header = Header::read(datagram).filter(|header| header.kind == REQUEST)?;
    let request = Attributes::verified(datagram, header.transaction)?;
    let reply = if request.unknown.is_empty() {
        let mut writer = Writer::new(SUCCESS, header.transaction);
        writer.attribute(XOR_MAPPED_ADDRESS, &xored(source, &header.transaction));
        writer
    } else {
        let mut writer = Writer::new(ERROR, header.transaction);
        writer.attribute(ERROR_CODE, &[0, 0, 4, 20]);
        let unknown: Vec<u8> = request.unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
        writer.attribute(UNKNOWN_ATTRIBUTES, &unknown);
        writer
    };
    let reply = reply.finish(request.has_fingerprint);
    (reply.len() <= datagram.len()).then_some(reply)
}

struct Header {
    kind: u16,
    transaction: Transaction,
}

impl Header {
    fn read(datagram: &[u8]) -> Option<Self> {
        let [k0, k1, l0, l1, m0, m1, m2, m3, transaction @ ..] = datagram.first_chunk::<20>()?;
        let kind = u16::from_be_bytes([*k0, *k1]);
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        let sound = kind & 0xC000 == 0
            && length.is_multiple_of(4)
            && HEADER_LENGTH + length == datagram.len()
            && datagram.len() <= MAX_LENGTH
            && u32::from_be_bytes([*m0, *m1, *m2, *m3]) == MAGIC;
        sound.then_some(Self { kind, transaction: *transaction })
    }
}

/// What we read of a message's attributes.
#[derive(Default)]
struct Attributes {
    mapped: Option<SocketAddr>,
    plainly_mapped: Option<SocketAddr>,
    error: Option<u16>,
    unknown: Vec<u16>,
    has_fingerprint: bool,
}

impl Attributes {
    /// Reads them all. Nothing comes of a message that ends in the middle of one or whose fingerprint is wrong.
    fn verified(datagram: &[u8], transaction: Transaction) -> Option<Self> {
        let mut found = Self::default();
        let mut at = HEADER_LENGTH;
        while at < datagram.len() {
            let [k0, k1, l0, l1] = *datagram.get(at..)?.first_chunk()?;
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            let value = datagram.get(at + 4..at + 4 + length)?;
            let kind = u16::from_be_bytes([k0, k1]);
            if kind == FINGERPRINT {
                let told = u32::from_be_bytes(value.try_into().ok()?);
                // It is the last attribute, and covers all before itself (RFC 8489 § 14.7).
                let right =
                    at + 8 == datagram.len() && told == crc32(&datagram[..at]) ^ FINGERPRINT_XOR;
                found.has_fingerprint = right.then_some(true)?;
            } else {
                found.take(kind, value, &transaction);
            }
            at += 4 + length.next_multiple_of(4);
        }
        Some(found)
    }

    fn take(&mut self, kind: u16, value: &[u8], transaction: &Transaction) {
        match kind {
            XOR_MAPPED_ADDRESS => self.mapped = self.mapped.or(unxored(value, transaction)),
            MAPPED_ADDRESS => self.plainly_mapped = self.plainly_mapped.or(plain(value)),
            ERROR_CODE => {
                if let [_, _, class, number, ..] = value {
                    self.error = Some(u16::from(class & 7) * 100 + u16::from(*number));
                }
            }
            0x8000.. => {} // comprehension-optional
            kind if HARMLESS.contains(&kind) => {}
            kind => self.unknown.push(kind),
        }
    }
}

/// Family, port and address, each word hidden under the cookie and the transaction (RFC 8489 § 14.2).
fn xored(address: SocketAddr, transaction: &Transaction) -> Vec<u8> {
    let mask = mask(transaction);
    let (family, ip) = match address.ip().to_canonical() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let [p0, p1] = address.port().to_be_bytes();
    let mut value = vec![0, family, p0 ^ mask[0], p1 ^ mask[1]];
    value.extend(ip.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    value
}

fn unxored(value: &[u8], transaction: &Transaction) -> Option<SocketAddr> {
    let mask = mask(transaction);
    let mut clear = value.to_vec();
    for (byte, mask) in clear.get_mut(2..4)?.iter_mut().zip(mask) {
        *byte ^= mask;
    }
    for (byte, mask) in clear[4..].iter_mut().zip(mask) {
        *byte ^= mask;
    }
    plain(&clear)
}

fn plain(value: &[u8]) -> Option<SocketAddr> {
    let ([_, family, p0, p1], ip) = value.split_first_chunk()?;
    let ip: IpAddr = match family {
        1 => Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?).into(),
        2 => Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes([*p0, *p1])))
}

fn mask(transaction: &Transaction) -> [u8; 16] {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC.to_be_bytes());
    mask[4..].copy_from_slice(transaction);
    mask
}

struct Writer(Vec<u8>);

impl Writer {
    fn new(kind: u16, transaction: Transaction) -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(MAGIC.to_be_bytes());
        bytes.extend(transaction);
        Self(bytes)
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.0.extend(kind.to_be_bytes());
        self.0.extend((value.len() as u16).to_be_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self.set_length(0);
    }

    /// The header's length counts what follows it, `more` that is still to come included.
    fn set_length(&mut self, more: usize) {
        let length = (self.0.len() - HEADER_LENGTH + more) as u16;
        self.0[2..4].copy_from_slice(&length.to_be_bytes());
    }

    fn finish(mut self, with_fingerprint: bool) -> Vec<u8> {
        if with_fingerprint {
            self.set_length(8); // the sum covers the length with the fingerprint in it
            let sum = crc32(&self.0) ^ FINGERPRINT_XOR;
            self.attribute(FINGERPRINT, &sum.to_be_bytes());
        }
        self.0
    }
}

/// CRC-32 of ITU V.42, bit by bit: a few hundred bytes a second at most.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
#[path = "stun_tests.rs"]
mod tests;
