//! Socket addresses as the kernel writes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Room for a `sockaddr_in` or a `sockaddr_in6`, which the family at its start tells apart.
#[derive(Clone, Copy)]
#[repr(C)]
pub union Name {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl Default for Name {
    fn default() -> Self {
        // SAFETY: all variants are plain old data, and all zeros is a valid value of each.
        unsafe { std::mem::zeroed() }
    }
}

impl Name {
    /// The kernel's form, and its length in bytes.
    pub fn of(address: SocketAddr) -> (Self, libc::socklen_t) {
        let mut name = Self::default();
        let length = match address {
            SocketAddr::V4(address) => {
                name.v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: address.port().to_be(),
                    sin_addr: v4_of(*address.ip()),
                    sin_zero: [0; 8],
                };
                size_of::<libc::sockaddr_in>()
            }
            SocketAddr::V6(address) => {
                name.v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: address.flowinfo(),
                    sin6_addr: v6_of(*address.ip()),
                    sin6_scope_id: address.scope_id(),
                };
                size_of::<libc::sockaddr_in6>()
            }
        };
        (name, length as libc::socklen_t)
    }

    /// Back again; nothing if it is of another family.
    pub fn address(&self) -> Option<SocketAddr> {
        // SAFETY: every variant starts with the family; all bytes are initialised and any value of them is valid.
        match unsafe { self.family } as libc::c_int {
            libc::AF_INET => {
                // SAFETY: as above.
                let v4 = unsafe { self.v4 };
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddr::from((ip, u16::from_be(v4.sin_port))))
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let v6 = unsafe { self.v6 };
                let (ip, port) = (Ipv6Addr::from(v6.sin6_addr.s6_addr), u16::from_be(v6.sin6_port));
                Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

pub fn v4_of(address: Ipv4Addr) -> libc::in_addr {
    libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) }
}

pub fn v6_of(address: Ipv6Addr) -> libc::in6_addr {
    libc::in6_addr { s6_addr: address.octets() }
}

/// The scope that a link-local remote belongs to, else 0.
pub fn scope_of(remote: SocketAddr) -> u32 {
    match (remote, remote.ip()) {
        (SocketAddr::V6(remote), IpAddr::V6(ip)) if ip.is_unicast_link_local() => remote.scope_id(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_as_it_went() {
        for text in ["192.0.2.7:51820", "[2001:db8::7]:1", "[fe80::1%3]:65535"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Name::of(address).0.address(), Some(address));
        }
        assert_eq!(Name::default().address(), None);
    }
}
