//! A cheap view of an IP packet: who, to whom, which ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMPV6: u8 = 58;

/// Extension headers looked through before a packet is given up.
const EXTENSIONS: usize = 8;

/// Which part of a datagram a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    Whole,
    /// Holds the transport header.
    First {
        id: u32,
    },
    Later {
        id: u32,
    },
}

/// What the transport header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp {
        source: u16,
        destination: u16,
        flags: u8,
    },
    Udp {
        source: u16,
        destination: u16,
    },
    Icmp {
        kind: u8,
        code: u8,
    },
    /// Another protocol, or a later fragment: no ports to be seen.
    Other,
}

/// One packet as the filter, the clamp and the flow hash see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketView {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// The transport protocol, behind IPv6 extension headers.
    pub protocol: u8,
    pub fragment: Fragment,
    pub transport: Transport,
    /// Offset of the transport header.
    pub l4: usize,
    /// Length by the IP header; never more than the bytes given to [`PacketView::parse`].
    pub length: usize,
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The packet's length by its own header, without the padding behind it. Nothing if the bytes are no IP packet or are cut.
pub fn ip_length(bytes: &[u8]) -> Option<usize> {
    declared_length(bytes).filter(|&length| length <= bytes.len())
}

fn declared_length(bytes: &[u8]) -> Option<usize> {
    match bytes.first()? >> 4 {
        4 if bytes.len() >= 20 => {
            let header = (bytes[0] & 0xf) as usize * 4;
            let length = u16::from_be_bytes([bytes[2], bytes[3]]) as usize;
            (header >= 20 && length >= header).then_some(length)
        }
        6 if bytes.len() >= 40 => Some(40 + u16::from_be_bytes([bytes[4], bytes[5]]) as usize),
        _ => None,
    }
}

/// The source address, if the bytes can be an IP packet.
pub fn source(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.first()? >> 4 {
        4 => Some(Ipv4Addr::from(array::<4>(bytes, 12)?).into()),
        6 => Some(Ipv6Addr::from(array::<16>(bytes, 8)?).into()),
        _ => None,
    }
}

/// The destination address, if the bytes can be an IP packet.
pub fn destination(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.first()? >> 4 {
        4 => Some(Ipv4Addr::from(array::<4>(bytes, 16)?).into()),
        6 => Some(Ipv6Addr::from(array::<16>(bytes, 24)?).into()),
        _ => None,
    }
}

impl PacketView {
    /// Reads a packet, padding behind it allowed. Nothing if it is cut, makes no sense, or hides its transport header behind
    /// a tiny fragment or more than eight extension headers.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let length = ip_length(bytes)?;
        Self::read(bytes.get(..length)?, length, false)
    }

    /// Reads the start of a packet that an ICMP error quotes: cut, but with at least eight bytes of its transport header.
    pub fn parse_quoted(bytes: &[u8]) -> Option<Self> {
        let length = declared_length(bytes)?;
        Self::read(bytes.get(..length).unwrap_or(bytes), length.min(bytes.len()), true)
    }

    fn read(bytes: &[u8], length: usize, quoted: bool) -> Option<Self> {
        let (source, destination) = (source(bytes)?, destination(bytes)?);
        let (protocol, l4, fragment) =
            if source.is_ipv4() { Self::walk_v4(bytes)? } else { Self::walk_v6(bytes)? };
        let transport = match fragment {
            Fragment::Later { .. } => Transport::Other,
            _ => Self::transport(bytes.get(l4..)?, protocol, source.is_ipv6(), quoted)?,
        };
        Some(Self { source, destination, protocol, fragment, transport, l4, length })
    }

    fn walk_v4(bytes: &[u8]) -> Option<(u8, usize, Fragment)> {
        let (l4, protocol) = ((bytes[0] & 0xf) as usize * 4, bytes[9]);
        let [id, place] = [4, 6].map(|at| u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        let fragment =
            fragment(id as u32, (place & 0x1fff) as usize * 8, place & 0x2000 != 0, protocol)?;
        Some((protocol, l4, fragment))
    }

    fn walk_v6(bytes: &[u8]) -> Option<(u8, usize, Fragment)> {
        let (mut next, mut at, mut part) = (bytes[6], 40, Fragment::Whole);
        for _ in 0..=EXTENSIONS {
            let length = match next {
                0 | 43 | 60 | 135 | 139 | 140 => (array::<2>(bytes, at)?[1] as usize + 1) * 8,
                51 => (array::<2>(bytes, at)?[1] as usize + 2) * 4,
                44 => {
                    let header = array::<8>(bytes, at)?;
                    let place = u16::from_be_bytes([header[2], header[3]]);
                    let id = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
                    part = fragment(id, (place & 0xfff8) as usize, place & 1 != 0, header[0])?;
                    if let Fragment::Later { .. } = part {
                        return Some((header[0], at + 8, part));
                    }
                    8
                }
                _ => return Some((next, at, part)),
            };
            next = *bytes.get(at)?;
            at += length;
        }
        None
    }

    fn transport(l4: &[u8], protocol: u8, v6: bool, quoted: bool) -> Option<Transport> {
        let word = |at: usize| Some(u16::from_be_bytes(array(l4, at)?));
        match protocol {
            TCP if quoted => {
                Some(Transport::Tcp { source: word(0)?, destination: word(2)?, flags: 0 })
            }
            TCP if l4.len() >= 20 => {
                Some(Transport::Tcp { source: word(0)?, destination: word(2)?, flags: l4[13] })
            }
            UDP if l4.len() >= 8 => {
                Some(Transport::Udp { source: word(0)?, destination: word(2)? })
            }
            ICMP if !v6 && l4.len() >= 8 => Some(Transport::Icmp { kind: l4[0], code: l4[1] }),
            ICMPV6 if v6 && l4.len() >= 4 => Some(Transport::Icmp { kind: l4[0], code: l4[1] }),
            TCP | UDP => None,
            ICMP if !v6 => None,
            ICMPV6 if v6 => None,
            _ => Some(Transport::Other),
        }
    }
}

/// A later fragment that could lie over the transport header is refused (RFC 3128).
fn fragment(id: u32, offset: usize, more: bool, protocol: u8) -> Option<Fragment> {
    match (offset, more) {
        (0, false) => Some(Fragment::Whole),
        (0, true) => Some(Fragment::First { id }),
        (1..20, _) if protocol == TCP => None,
        _ => Some(Fragment::Later { id }),
    }
}
