//! Inside the TLS a stream travels in segments: length (4 bytes, big endian), bytes; length 0 is its end. So an end that
//! anybody on the way can forge (a bare FIN) is never taken for the stream's own.

pub const PREFIX: usize = 4;
/// The segment that ends a direction.
pub const END: [u8; PREFIX] = [0; PREFIX];
/// Longest segment that is accepted; none of it is held back.
const MOST: usize = 16 << 20;

/// Takes the prefixes out of one direction, wherever the chunks are cut.
#[derive(Default)]
pub struct Segments {
    left: usize,
    prefix: [u8; PREFIX],
    got: usize,
    ended: bool,
}

impl Segments {
    /// The end was read: nothing may follow.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Appends the stream's own bytes of `chunk` to `plain`.
    ///
    /// # Errors
    /// A length over the limit, or bytes after the end; the reader is then of no more use.
    pub fn read(&mut self, mut chunk: &[u8], plain: &mut Vec<u8>) -> Result<(), &'static str> {
        while !chunk.is_empty() {
            if self.ended {
                return Err("bytes came after the end of the stream");
            }
            if self.left > 0 {
                let (run, rest) = chunk.split_at(self.left.min(chunk.len()));
                plain.extend_from_slice(run);
                self.left -= run.len();
                chunk = rest;
                continue;
            }
            let (part, rest) = chunk.split_at((PREFIX - self.got).min(chunk.len()));
            self.prefix[self.got..self.got + part.len()].copy_from_slice(part);
            self.got += part.len();
            chunk = rest;
            if self.got == PREFIX {
                self.got = 0;
                self.left = u32::from_be_bytes(self.prefix) as usize;
                self.ended = self.left == 0;
                if self.left > MOST {
                    return Err("a segment is over its limit");
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_framed_comes_back_however_it_is_cut(
            segments in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..20),
            cuts in prop::collection::vec(1..97usize, 1..50),
        ) {
            let mut framed = Vec::new();
            for segment in &segments {
                framed.extend((segment.len() as u32).to_be_bytes());
                framed.extend(segment);
            }
            framed.extend(END);
            let (mut reader, mut plain) = (Segments::default(), Vec::new());
            let (mut rest, mut cut) = (&framed[..], cuts.iter().cycle());
            while !rest.is_empty() {
                prop_assert!(!reader.ended());
                let (chunk, after) = rest.split_at((*cut.next().unwrap()).min(rest.len()));
                reader.read(chunk, &mut plain).unwrap();
                rest = after;
            }
            prop_assert!(reader.ended());
            prop_assert_eq!(plain, segments.concat());
            prop_assert!(reader.read(b"x", &mut Vec::new()).is_err());
        }

        #[test]
        fn no_input_gives_more_than_it_holds(input in prop::collection::vec(any::<u8>(), 0..4096)) {
            let (mut reader, mut plain) = (Segments::default(), Vec::new());
            let _ = reader.read(&input, &mut plain);
            prop_assert!(plain.len() <= input.len());
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused_by_its_prefix_alone() {
        for length in [MOST as u32 + 1, u32::MAX, 1 << 31] {
            let mut reader = Segments::default();
            assert!(reader.read(&length.to_be_bytes(), &mut Vec::new()).is_err());
        }
        let most = (MOST as u32).to_be_bytes();
        assert!(Segments::default().read(&most, &mut Vec::new()).is_ok());
    }
}
