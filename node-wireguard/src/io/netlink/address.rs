//! Addresses of links.

use super::message::Request;
use super::{Netlink, explain};
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

// linux/if_addr.h, linux/rtnetlink.h
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_F_NODAD: u8 = 2;
pub(super) const RTA_DST: u16 = 1;

/// How long an address may take until packets to it arrive.
const SETTLE: Duration = Duration::from_secs(2);
const SETTLE_STEP: Duration = Duration::from_millis(1);

impl Netlink {
    /// Adds one address with the length of its prefix, which becomes a route. IPv6 without duplicate detection.
    pub fn add_address(&mut self, link: u32, address: IpAddr, prefix: u8) -> io::Result<()> {
        let (family, bits, flags) = match address {
            IpAddr::V4(_) => (libc::AF_INET, 32, 0),
            IpAddr::V6(_) => (libc::AF_INET6, 128, IFA_F_NODAD),
        };
        if prefix > bits {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{address}/{prefix} is no prefix"),
            ));
        }
        let mut fixed = vec![family as u8, prefix, flags, libc::RT_SCOPE_UNIVERSE];
        fixed.extend_from_slice(&link.to_ne_bytes());
        let octets = octets(address);
        let request =
            Request::new(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_REPLACE, &fixed);
        let request = request.attribute(IFA_LOCAL, &octets).attribute(IFA_ADDRESS, &octets);
        self.ask(request, &format!("the address {address}/{prefix} cannot be set"))
    }

    /// Adds all addresses, and gives back those of IPv6 that a machine with IPv6 switched off refuses, as long as another
    /// address is there.
    pub fn add_addresses(
        &mut self,
        link: u32,
        addresses: &[(IpAddr, u8)],
    ) -> io::Result<Vec<IpAddr>> {
        let mut skipped = Vec::new();
        for &(address, prefix) in addresses {
            let others = skipped.len() + 1 < addresses.len();
            match self.add_address(link, address, prefix) {
                Err(error) if address.is_ipv6() && ipv6_is_off(&error) && others => {
                    skipped.push(address);
                }
                other => other?,
            }
        }
        Ok(skipped)
    }

    /// Waits until packets to these addresses come in: the kernel makes the routes of IPv6 in the background, and drops what
    /// arrives before. Gives up in silence after two seconds.
    pub fn settle(&mut self, addresses: impl Iterator<Item = IpAddr>) -> io::Result<()> {
        let until = Instant::now() + SETTLE;
        for address in addresses.filter(IpAddr::is_ipv6) {
            while !self.is_local(address)? && Instant::now() < until {
                std::thread::sleep(SETTLE_STEP);
            }
        }
        Ok(())
    }

    /// Whether packets to this IPv6 address are for this machine.
    fn is_local(&mut self, address: IpAddr) -> io::Result<bool> {
        let fixed = [libc::AF_INET6 as u8, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]; // struct rtmsg
        let request =
            Request::new(libc::RTM_GETROUTE, 0, &fixed).attribute(RTA_DST, &octets(address));
        let mut local = false;
        match self.exchange(request, |route| local |= route.get(7) == Some(&libc::RTN_LOCAL))? {
            Ok(()) => Ok(local),
            Err((libc::ENETUNREACH | libc::EHOSTUNREACH, _)) => Ok(false),
            Err((code, words)) => Err(explain(code, &words, "the kernel does not tell its routes")),
        }
    }
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// EACCES (IPv6 disabled on the device) and EOPNOTSUPP (not in this kernel); EPERM would be our own lack of rights, but
/// reads the same, so it counts only where the MTU could be set before.
fn ipv6_is_off(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported)
}
