//! What becomes of one link, and whether routes may have changed.

use super::Netlink;
use super::message::{Request, attributes};
use crate::io::fd::check;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const IFLA_MTU: u16 = 4;
/// Links, and the routes and rules of both families (linux/rtnetlink.h).
const GROUPS: u32 = 0x1 | 0x40 | 0x80 | 0x400 | 0x4_0000;
/// `struct ifinfomsg`.
const FIXED: usize = 16;

/// A link at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkState {
    pub up: bool,
    /// Bytes.
    pub mtu: u16,
}

/// Is readable when some link or route of this network namespace may have changed.
pub struct LinkWatch {
    link: u32,
    asking: Netlink,
    heard: OwnedFd,
}

impl LinkWatch {
    /// Watches from now on.
    pub fn open(name: &str) -> io::Result<Self> {
        let asking = Netlink::open()?;
        let link = asking.index(name)?;
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: socket takes plain integers; what it returns is ours alone once checked.
        let heard = unsafe {
            OwnedFd::from_raw_fd(check(libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE))?)
        };
        // SAFETY: sockaddr_nl is plain old data, and all zeros is a valid value of it.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        address.nl_groups = GROUPS;
        let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: the address is of the length told.
        check(unsafe { libc::bind(heard.as_raw_fd(), (&raw const address).cast(), length) })?;
        Ok(Self { link, asking, heard })
    }

    /// Takes the news, and asks how the link is now; nothing when it is gone.
    pub fn state(&mut self) -> io::Result<Option<LinkState>> {
        let mut news = [0u8; 4096];
        loop {
            // SAFETY: writable bytes of the length told. What they say is asked for below; a full queue says the same.
            let got = unsafe {
                libc::recv(self.heard.as_raw_fd(), news.as_mut_ptr().cast(), news.len(), 0)
            };
            match check(got.min(0) as libc::c_int) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => drop(other?),
            }
        }
        let request = Request::asking(self.link);
        let mut state = None;
        match self.asking.exchange(request, |answer| state = parse(answer).or(state))? {
            Ok(()) => Ok(state),
            Err((libc::ENODEV, _)) => Ok(None),
            Err((code, _)) => Err(io::Error::from_raw_os_error(code)),
        }
    }
}

impl AsFd for LinkWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.heard.as_fd()
    }
}

/// Flags stand at byte 8 of `struct ifinfomsg`.
fn parse(answer: &[u8]) -> Option<LinkState> {
    let flags = u32::from_ne_bytes(answer.get(8..12)?.try_into().ok()?);
    let mtu = attributes(answer.get(FIXED..)?).find(|(kind, _)| *kind == IFLA_MTU)?.1;
    let mtu = u32::from_ne_bytes(mtu.try_into().ok()?);
    Some(LinkState { up: flags & libc::IFF_UP as u32 != 0, mtu: mtu.min(u16::MAX.into()) as u16 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::namespace::in_empty_network;
    use proptest::prelude::*;

    #[test]
    fn a_link_that_goes_up_and_away_is_seen() {
        let name = "io::netlink::watch::tests::a_link_that_goes_up_and_away_is_seen";
        in_empty_network(name, || {
            let mut watch = LinkWatch::open("lo").unwrap();
            let before = watch.state().unwrap().unwrap();
            assert!(!before.up);
            Netlink::open().unwrap().up(watch.link).unwrap();
            assert!(crate::io::socket::wait_readable(&watch, None).unwrap());
            assert_eq!(watch.state().unwrap(), Some(LinkState { up: true, ..before }));
            // An address brings a route, and the watch hears of it.
            Netlink::open()
                .unwrap()
                .add_address(watch.link, "10.1.2.3".parse().unwrap(), 24)
                .unwrap();
            assert!(crate::io::socket::wait_readable(&watch, None).unwrap());
            let way = |to: &str| Netlink::open().unwrap().way_out(to.parse().unwrap(), 0).unwrap();
            let device = way("10.1.2.9").map(|way| (way.device, way.tunnel_mtu));
            assert_eq!((device, way("10.9.9.9")), (Some((watch.link, None)), None));
            watch.link = 4711;
            assert_eq!(watch.state().unwrap(), None);
        });
    }

    proptest! {
        #[test]
        fn arbitrary_answers_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            parse(&bytes);
            super::super::route::out_interface(&bytes);
            super::super::route::mtu_of_tunnel(&bytes);
        }
    }
}
