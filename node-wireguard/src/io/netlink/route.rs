//! Which way packets go.

use super::address::{RTA_DST, octets};
use super::message::{Request, attributes};
use super::{Netlink, explain};
use std::io;
use std::net::IpAddr;

const IFLA_MTU: u16 = 4;
/// Of `struct rtmsg` and `struct ifinfomsg`: attributes stand behind them.
const ROUTE: usize = 12;
const LINK: usize = 16;
/// Devices without a link layer (linux/if_arp.h): TUNs, the kernel's WireGuard.
const ARPHRD_NONE: u16 = 0xfffe;

/// What packets to an address leave this machine by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The number of the interface.
    pub device: u32,
    /// Its MTU in bytes, if it leads into a tunnel.
    pub tunnel_mtu: Option<u16>,
}

impl Netlink {
    /// The way of a packet with that mark to an address; none without a route.
    pub fn way_out(&mut self, to: IpAddr, mark: u32) -> io::Result<Option<Way>> {
        let (family, bits) = if to.is_ipv6() { (libc::AF_INET6, 128) } else { (libc::AF_INET, 32) };
        let fixed = [family as u8, bits, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]; // struct rtmsg
        let request = Request::new(libc::RTM_GETROUTE, 0, &fixed)
            .attribute(RTA_DST, &octets(to))
            .attribute(libc::RTA_MARK, &mark.to_ne_bytes());
        let mut device = None;
        match self.exchange(request, |route| device = out_interface(route).or(device))? {
            Ok(()) => {}
            Err((libc::ENETUNREACH | libc::EHOSTUNREACH, _)) => {}
            Err((code, words)) => return Err(explain(code, &words, "the kernel tells no routes")),
        }
        let Some(device) = device else { return Ok(None) };
        let mut tunnel_mtu = None;
        let link = |link: &[u8]| tunnel_mtu = mtu_of_tunnel(link).or(tunnel_mtu);
        // A device that has just gone is none that would lead anywhere.
        let _ = self.exchange(Request::asking(device), link)?;
        Ok(Some(Way { device, tunnel_mtu }))
    }
}

/// Of a route that the kernel tells.
pub(super) fn out_interface(route: &[u8]) -> Option<u32> {
    let (_, index) = attributes(route.get(ROUTE..)?).find(|(kind, _)| *kind == libc::RTA_OIF)?;
    Some(u32::from_ne_bytes(index.try_into().ok()?))
}

/// Of a link that the kernel tells: its type stands at byte 2.
pub(super) fn mtu_of_tunnel(link: &[u8]) -> Option<u16> {
    let kind = u16::from_ne_bytes(link.get(2..4)?.try_into().ok()?);
    let (_, mtu) = attributes(link.get(LINK..)?).find(|(kind, _)| *kind == IFLA_MTU)?;
    let mtu = u32::from_ne_bytes(mtu.try_into().ok()?);
    (kind == ARPHRD_NONE).then_some(mtu.min(u16::MAX.into()) as u16)
}
