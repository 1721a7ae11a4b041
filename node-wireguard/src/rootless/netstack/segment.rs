//! A TCP segment's header, read and changed in place.

use crate::packet::PacketView;

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;

const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;

/// Is `a` behind `b` in the sequence space?
pub fn after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

/// The fields of a header that decide anything here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub sequence: u32,
    pub acknowledged: u32,
    pub flags: u8,
    pub window: u16,
    /// Where the TCP header begins, and how many bytes of payload follow it.
    pub l4: usize,
    pub header: usize,
    pub payload: usize,
}

impl Segment {
    pub fn parse(packet: &PacketView, bytes: &[u8]) -> Option<Self> {
        let tcp = bytes.get(packet.l4..packet.length)?;
        let fixed = tcp.get(..20)?;
        let word = |at: usize| {
            u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]])
        };
        let header = usize::from(fixed[12] >> 4) * 4;
        if header < 20 || header > tcp.len() {
            return None;
        }
        Some(Self {
            sequence: word(4),
            acknowledged: word(8),
            flags: fixed[13],
            window: u16::from_be_bytes([fixed[14], fixed[15]]),
            l4: packet.l4,
            header,
            payload: tcp.len() - header,
        })
    }

    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// What the segment takes of the sequence space.
    pub fn length(&self) -> u32 {
        self.payload as u32 + u32::from(self.has(SYN)) + u32::from(self.has(FIN))
    }

    pub fn set_window(&mut self, bytes: &mut [u8], window: u16) {
        self.window = window;
        if let Some(field) = bytes.get_mut(self.l4 + 14..self.l4 + 16) {
            field.copy_from_slice(&window.to_be_bytes());
        }
    }

    /// The shift that a SYN announces; nothing when it announces none.
    pub fn window_scale(&self, bytes: &[u8]) -> Option<u8> {
        let at = self.option(bytes, WINDOW_SCALE, 3)?;
        bytes.get(at + 2).map(|shift| (*shift).min(14)) // RFC 7323 §2.3
    }

    /// The largest segment that a SYN announces; 536 when it announces none (RFC 9293 §3.7.1).
    pub fn maximum(&self, bytes: &[u8]) -> u16 {
        let at = self.option(bytes, MSS, 4);
        let value = at.and_then(|at| Some([*bytes.get(at + 2)?, *bytes.get(at + 3)?]));
        match value.map(u16::from_be_bytes) {
            None | Some(0) => 536,
            Some(value) => value,
        }
    }

    /// Lowers the MSS of a SYN to `most`.
    pub fn clamp_maximum(&self, bytes: &mut [u8], most: u16) {
        let Some(at) = self.option(bytes, MSS, 4) else { return };
        if self.maximum(bytes) > most
            && let Some(field) = bytes.get_mut(at + 2..at + 4)
        {
            field.copy_from_slice(&most.to_be_bytes());
        }
    }

    /// Where an option of that kind and length begins.
    fn option(&self, bytes: &[u8], kind: u8, length: u8) -> Option<usize> {
        let (mut at, end) = (self.l4 + 20, self.l4 + self.header);
        while at < end {
            match *bytes.get(at)? {
                END => return None,
                NOP => at += 1,
                found => {
                    let size = *bytes.get(at + 1)?;
                    if found == kind && size == length && at + usize::from(size) <= end {
                        return Some(at);
                    }
                    at += usize::from(size.max(2));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn syn(options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 40];
        (bytes[0], bytes[9], bytes[33]) = (0x45, 6, SYN);
        bytes[32] = ((20 + options.len()) as u8 / 4) << 4;
        bytes.extend_from_slice(options);
        bytes[3] = bytes.len() as u8;
        bytes
    }

    fn parse(bytes: &[u8]) -> Segment {
        Segment::parse(&PacketView::parse(bytes).unwrap(), bytes).unwrap()
    }

    #[test]
    fn the_options_of_a_syn_are_found_behind_others() {
        let mut bytes = syn(&[4, 2, 1, 3, 3, 7, 2, 4, 5, 180, 1, 0]);
        let segment = parse(&bytes);
        assert_eq!((segment.window_scale(&bytes), segment.maximum(&bytes)), (Some(7), 1460));
        segment.clamp_maximum(&mut bytes, 1368);
        assert_eq!(segment.maximum(&bytes), 1368);
        segment.clamp_maximum(&mut bytes, 1400);
        assert_eq!(segment.maximum(&bytes), 1368);
        assert_eq!(parse(&syn(&[])).maximum(&syn(&[])), 536);
    }

    proptest! {
        #[test]
        fn options_of_any_bytes_end(options in prop::collection::vec(any::<u8>(), 0..10)) {
            let options: Vec<u8> = options.iter().flat_map(|byte| [*byte; 4]).collect();
            let mut bytes = syn(&options);
            let segment = parse(&bytes);
            segment.window_scale(&bytes);
            segment.clamp_maximum(&mut bytes, 1000);
        }

        #[test]
        fn the_order_of_sequence_numbers_wraps(start in any::<u32>(), step in 1u32..1 << 30) {
            prop_assert!(after(start.wrapping_add(step), start));
            prop_assert!(!after(start, start.wrapping_add(step)));
            prop_assert!(!after(start, start));
        }
    }
}
