//! The ten bytes in front of every message of a TUN.

/// Length of the header in bytes.
pub const VNET: usize = 10;

/// The checksum field holds the sum of the pseudo header only; somebody has to finish it.
pub const NEEDS_CSUM: u8 = 1;
pub const GSO_NONE: u8 = 0;
pub const GSO_TCPV4: u8 = 1;
pub const GSO_TCPV6: u8 = 4;
pub const GSO_UDP_L4: u8 = 5;
pub const GSO_ECN: u8 = 0x80;

/// `virtio_net_hdr`, in host byte order. All zeros: one packet, whole, its checksum as it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vnet {
    pub flags: u8,
    pub gso: u8,
    /// Length of all headers. Not to be trusted: wrong for forwarded frames.
    pub header: u16,
    /// Payload bytes of a segment.
    pub size: u16,
    /// Where the checksum begins: the transport header.
    pub csum_start: u16,
    /// Where the checksum goes, counted from there: 16 for TCP, 6 for UDP.
    pub csum_offset: u16,
}

impl Vnet {
    /// Reads the header at the start of a message; nothing if that is shorter.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_ne_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        let (flags, gso) = (*bytes.first()?, *bytes.get(1)?);
        let [header, size, csum_start, csum_offset] = [word(2)?, word(4)?, word(6)?, word(8)?];
        Some(Self { flags, gso, header, size, csum_start, csum_offset })
    }

    pub fn bytes(&self) -> [u8; VNET] {
        let mut bytes = [self.flags, self.gso, 0, 0, 0, 0, 0, 0, 0, 0];
        let words = [self.header, self.size, self.csum_start, self.csum_offset];
        for (to, word) in bytes[2..].chunks_exact_mut(2).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}
