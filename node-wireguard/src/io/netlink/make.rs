//! Links that are made and removed.

use super::message::{Request, attribute};
use super::{IFLA_MTU, NLA_F_NESTED, Netlink, explain};
use std::io;

// linux/if_link.h
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;

impl Netlink {
    /// Makes a link of a kind, which is still down. `Unsupported` where the kernel has no such kind.
    pub fn make(&mut self, name: &str, kind: &str, mtu: u16) -> io::Result<u32> {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let info = attribute(IFLA_INFO_KIND, kind.as_bytes());
        let request = Request::new(libc::RTM_NEWLINK, flags, &[0; 16]) // struct ifinfomsg
            .attribute(IFLA_IFNAME, &[name.as_bytes(), &[0]].concat())
            .attribute(IFLA_MTU, &u32::from(mtu).to_ne_bytes())
            .attribute(IFLA_LINKINFO | NLA_F_NESTED, &info);
        match self.exchange(request, |_| ())? {
            Ok(()) => self.index(name),
            Err((libc::EOPNOTSUPP, words)) => {
                Err(io::Error::new(io::ErrorKind::Unsupported, words))
            }
            Err((libc::EEXIST, _)) => {
                let why = format!(
                    "there is an interface {name} already; `ip link delete {name}` removes it"
                );
                Err(io::Error::new(io::ErrorKind::AlreadyExists, why))
            }
            Err((code, words)) => Err(explain(code, &words, "the interface cannot be made")),
        }
    }

    /// Removes a link. That it is gone already is no error.
    pub fn remove(&mut self, link: u32) -> io::Result<()> {
        let mut fixed = [0; 16];
        fixed[4..8].copy_from_slice(&link.to_ne_bytes());
        match self.exchange(Request::new(libc::RTM_DELLINK, 0, &fixed), |_| ())? {
            Ok(()) | Err((libc::ENODEV, _)) => Ok(()),
            Err((code, words)) => Err(explain(code, &words, "the interface cannot be removed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::namespace::in_empty_network;

    #[test]
    fn a_link_is_made_once_and_removed_for_good() {
        let name = "io::netlink::make::tests::a_link_is_made_once_and_removed_for_good";
        in_empty_network(name, || {
            let mut netlink = Netlink::open().unwrap();
            let link = netlink.make("bridge7", "bridge", 1400).unwrap();
            assert_eq!(netlink.index("bridge7").unwrap(), link);
            let again = netlink.make("bridge7", "bridge", 1400).unwrap_err();
            assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
            netlink.remove(link).unwrap();
            netlink.remove(link).unwrap();
            assert!(netlink.index("bridge7").is_err());
            let unknown = netlink.make("none7", "no-such-kind", 1400).unwrap_err();
            assert_eq!(unknown.kind(), io::ErrorKind::Unsupported, "{unknown}");
        });
    }
}
