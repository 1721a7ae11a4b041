//! Families of generic netlink: what parts of the kernel that are no network interface speak.

use super::Netlink;
use super::message::{Request, attributes};
use std::io;

// linux/genetlink.h
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const VERSION: u8 = 1;
/// `struct genlmsghdr`.
const FIXED: usize = 4;
/// How often a list is asked for again that changed while it was told.
const ATTEMPTS: usize = 16;

/// A netlink socket for one family.
pub struct Generic {
    netlink: Netlink,
    family: u16,
}

impl Generic {
    /// Nothing where the kernel has no such family, and no module for it that it may load.
    pub fn open(family: &str) -> io::Result<Option<Self>> {
        let mut netlink = Netlink::open_protocol(libc::NETLINK_GENERIC)?;
        let name = [family.as_bytes(), &[0]].concat();
        let request = Request::new(GENL_ID_CTRL, 0, &[CTRL_CMD_GETFAMILY, VERSION, 0, 0]);
        let mut id = None;
        let asked = request.attribute(CTRL_ATTR_FAMILY_NAME, &name);
        match netlink.exchange(asked, |answer| id = family_id(answer).or(id))? {
            Ok(()) => Ok(id.map(|family| Self { netlink, family })),
            Err((libc::ENOENT, _)) => Ok(None),
            Err((code, words)) => Err(plain(code, words)),
        }
    }

    /// Sends a command with its attributes and waits until it is done.
    pub fn call(&mut self, command: u8, attributes: &[u8]) -> io::Result<()> {
        let request = self.request(command, 0, attributes);
        self.netlink.exchange(request, |_| ())?.map_err(|(code, words)| plain(code, words))
    }

    /// Asks for a list. Each message's attributes are shown in their order, to what `start` makes; from the beginning when
    /// the list changed meanwhile.
    pub fn list<T>(
        &mut self,
        command: u8,
        attributes: &[u8],
        start: impl Fn() -> T,
        show: impl Fn(&mut T, &[u8]),
    ) -> io::Result<T> {
        for _ in 0..ATTEMPTS {
            let mut told = start();
            let request = self.request(command, libc::NLM_F_DUMP, attributes);
            let read = |content: &[u8]| show(&mut told, content.get(FIXED..).unwrap_or(&[]));
            match self.netlink.exchange(request, read)? {
                Ok(()) => return Ok(told),
                Err((libc::EINTR, _)) => {}
                Err((code, words)) => return Err(plain(code, words)),
            }
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "it changes faster than it can be read"))
    }

    fn request(&self, command: u8, flags: libc::c_int, attributes: &[u8]) -> Request {
        Request::new(self.family, flags, &[command, VERSION, 0, 0]).attributes(attributes)
    }
}

fn family_id(answer: &[u8]) -> Option<u16> {
    let found = attributes(answer.get(FIXED..)?).find(|(kind, _)| *kind == CTRL_ATTR_FAMILY_ID)?;
    Some(u16::from_ne_bytes(found.1.try_into().ok()?))
}

/// Keeps the number where the kernel has no words of its own.
fn plain(code: i32, words: String) -> io::Error {
    let error = io::Error::from_raw_os_error(code);
    match code {
        libc::EPERM => io::Error::new(error.kind(), "that needs root or CAP_NET_ADMIN"),
        _ if words.is_empty() => error,
        _ => io::Error::new(error.kind(), words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_family_that_is_always_there_lists_itself_and_an_unknown_one_is_none() {
        let mut control = Generic::open("nlctrl").unwrap().unwrap();
        assert_eq!(control.family, GENL_ID_CTRL);
        let add = |ids: &mut Vec<u16>, attributes: &[u8]| {
            ids.extend(family_id(&[&[0; FIXED], attributes].concat()));
        };
        let ids = control.list(CTRL_CMD_GETFAMILY, &[], Vec::new, add).unwrap();
        assert!(ids.contains(&GENL_ID_CTRL), "{ids:?}");
        assert!(Generic::open("no-such-family").unwrap().is_none());
        let refused = control.call(CTRL_CMD_GETFAMILY, &[]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{refused}");
    }

    proptest! {
        #[test]
        fn arbitrary_answers_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            family_id(&bytes);
        }
    }
}
