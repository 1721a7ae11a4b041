//! Netlink messages: requests, and what is read from answers.

const HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;
const INTERFACE: u8 = 0; // AF_UNSPEC
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSGERR_ATTR_MSG: u16 = 1;

/// A request being written: header, fixed part, attributes.
pub struct Request(Vec<u8>);

impl Request {
    pub fn new(kind: u16, flags: libc::c_int, fixed: &[u8]) -> Self {
        let flags = (flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(fixed);
        Self(bytes)
    }

    /// `struct ifinfomsg`: which link, and which of its flags become what.
    pub fn link(index: u32, flags: u32, mask: u32) -> Self {
        let mut fixed = vec![INTERFACE, 0, 0, 0];
        for word in [index, flags, mask] {
            fixed.extend_from_slice(&word.to_ne_bytes());
        }
        Self::new(libc::RTM_NEWLINK, 0, &fixed)
    }

    /// Asks how a link is.
    pub fn asking(index: u32) -> Self {
        let mut request = Self::link(index, 0, 0);
        request.0[4..6].copy_from_slice(&libc::RTM_GETLINK.to_ne_bytes());
        request
    }

    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend_from_slice(&attribute(kind, value));
        self
    }

    /// Further attributes, written already.
    pub fn attributes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The bytes to be sent, under that number.
    pub fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }
}

/// Length, kind, value, and zeros up to a multiple of four.
pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = (ATTRIBUTE_HEADER + value.len()) as u16;
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Kind and value of each, up to what makes no sense.
pub fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let [a, b, c, d, ..] = *rest else { return None };
        let length = u16::from_ne_bytes([a, b]) as usize;
        let value = rest.get(ATTRIBUTE_HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((u16::from_ne_bytes([c, d]), value))
    })
}

/// One message of an answer.
pub enum Answer<'a> {
    /// What was asked for, behind its header.
    Content(&'a [u8]),
    /// The same, but what is told has changed since the telling began.
    Inconsistent,
    /// All is said: done, or error number and the kernel's own words.
    End(Result<(), (i32, String)>),
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// The messages in `bytes` that answer the request of that number. Others, and what is cut, are passed over.
pub fn answers(mut bytes: &[u8], sequence: u32) -> impl Iterator<Item = Answer<'_>> {
    std::iter::from_fn(move || {
        while let Some(length) = word(bytes, 0) {
            let message = bytes.get(HEADER..length as usize)?;
            let (kind, number) = (word(bytes, 4)?, word(bytes, 8)?);
            let (kind, flags) = header_halves(kind);
            bytes = bytes.get((length as usize).next_multiple_of(4)..).unwrap_or(&[]);
            match kind {
                _ if number != sequence => {}
                NLMSG_ERROR => return Some(Answer::End(acknowledgement(message)?)),
                NLMSG_DONE if inconsistent(flags) => {
                    return Some(Answer::End(Err((libc::EINTR, String::new()))));
                }
                NLMSG_DONE => return Some(Answer::End(done(message)?)),
                _ if inconsistent(flags) => return Some(Answer::Inconsistent),
                _ => return Some(Answer::Content(message)),
            }
        }
        None
    })
}

/// Type and flags, which stand side by side.
fn header_halves(word: u32) -> (u16, libc::c_int) {
    let bytes = word.to_ne_bytes();
    let half = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
    (half(0), half(2).into())
}

fn inconsistent(flags: libc::c_int) -> bool {
    flags & libc::NLM_F_DUMP_INTR != 0
}

/// The end of a list, with an error number (0: none).
fn done(message: &[u8]) -> Option<Result<(), (i32, String)>> {
    let code = word(message, 0)?.wrapping_neg() as i32;
    Some(if code == 0 { Ok(()) } else { Err((code, String::new())) })
}

/// Error number (0: none), the request's header, and attributes of which one is a text.
fn acknowledgement(message: &[u8]) -> Option<Result<(), (i32, String)>> {
    let code = word(message, 0)?.wrapping_neg() as i32;
    if code == 0 {
        return Some(Ok(()));
    }
    let words = attributes(message.get(4 + HEADER..).unwrap_or(&[]))
        .filter(|(kind, _)| *kind == NLMSGERR_ATTR_MSG)
        .map(|(_, value)| String::from_utf8_lossy(value).trim_end_matches('\0').to_string())
        .last()
        .unwrap_or_default();
    Some(Err((code, words)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_kernels_own_words_are_found() {
        let request = Request::new(16, 0, &[]).finish(7);
        let mut message = 22i32.wrapping_neg().to_ne_bytes().to_vec();
        message.extend(&request);
        message.extend(attribute(9, &[1, 2, 3]));
        message.extend(attribute(NLMSGERR_ATTR_MSG, b"mtu less than device minimum\0"));
        let mut bytes = Request::new(NLMSG_ERROR, 0, &message).finish(7);
        bytes.extend(Request::new(NLMSG_ERROR, 0, &[0; 20]).finish(8));
        let ends = |sequence| {
            let found = answers(&bytes, sequence).map(|answer| match answer {
                Answer::End(end) => end,
                _ => panic!("no content was sent"),
            });
            found.collect::<Vec<_>>()
        };
        assert_eq!(ends(7), [Err((22, "mtu less than device minimum".to_string()))]);
        assert_eq!(ends(8), [Ok(())]);
        assert_eq!(ends(9), []);
    }

    #[test]
    fn a_list_ends_and_tells_whether_it_is_one() {
        let message = |kind, flags, content: &[u8]| {
            let mut bytes = Request::new(kind, flags, content).finish(7);
            bytes[6..8].copy_from_slice(&(flags as u16).to_ne_bytes());
            bytes
        };
        let list = |flags| {
            [message(40, libc::NLM_F_MULTI, &[1; 4]), message(NLMSG_DONE, flags, &[0; 4])].concat()
        };
        let tell = |bytes: &[u8]| {
            let told = answers(bytes, 7).map(|answer| match answer {
                Answer::Content(content) => format!("{content:?}"),
                Answer::Inconsistent => "inconsistent".to_owned(),
                Answer::End(end) => format!("{end:?}"),
            });
            told.collect::<Vec<_>>()
        };
        assert_eq!(tell(&list(libc::NLM_F_MULTI)), ["[1, 1, 1, 1]", "Ok(())"]);
        let [content, end] = &tell(&list(libc::NLM_F_DUMP_INTR))[..] else { panic!("two answers") };
        assert_eq!(
            (content.as_str(), end.contains(&libc::EINTR.to_string())),
            ("[1, 1, 1, 1]", true)
        );
        assert_eq!(tell(&message(40, libc::NLM_F_DUMP_INTR, &[1])), ["inconsistent"]);
        let refused = (-libc::ENODEV).to_ne_bytes();
        assert_eq!(
            tell(&message(NLMSG_DONE, 0, &refused)),
            [format!("Err(({}, \"\"))", libc::ENODEV)]
        );
    }

    proptest! {
        #[test]
        fn arbitrary_answers_do_not_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), short: bool) {
            if short && bytes.len() > 16 {
                bytes[1..4].fill(0);
                bytes[4..12].copy_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0]);
            }
            answers(&bytes, 0).for_each(drop);
        }
    }
}
