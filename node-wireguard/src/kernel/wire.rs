//! Numbers of linux/wireguard.h, and addresses as the kernel writes them.

use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

pub const FAMILY: &str = "wireguard";
pub const GET_DEVICE: u8 = 0;
pub const SET_DEVICE: u8 = 1;

pub mod device {
    pub const IFINDEX: u16 = 1;
    pub const PRIVATE_KEY: u16 = 3;
    pub const PUBLIC_KEY: u16 = 4;
    pub const FLAGS: u16 = 5;
    pub const LISTEN_PORT: u16 = 6;
    pub const FWMARK: u16 = 7;
    pub const PEERS: u16 = 8;
    pub const REPLACE_PEERS: u32 = 1;
}

pub mod peer {
    pub const PUBLIC_KEY: u16 = 1;
    pub const PRESHARED_KEY: u16 = 2;
    pub const FLAGS: u16 = 3;
    pub const ENDPOINT: u16 = 4;
    pub const KEEPALIVE: u16 = 5;
    pub const LAST_HANDSHAKE: u16 = 6;
    pub const RX_BYTES: u16 = 7;
    pub const TX_BYTES: u16 = 8;
    pub const ALLOWED_IPS: u16 = 9;
    pub const REMOVE: u32 = 1;
    pub const REPLACE_ALLOWED_IPS: u32 = 2;
    pub const UPDATE_ONLY: u32 = 4;
}

pub mod allowed_ip {
    pub const FAMILY: u16 = 1;
    pub const ADDRESS: u16 = 2;
    pub const PREFIX: u16 = 3;
}

/// A nested attribute says so in its type, and may say its byte order; the rest is the type itself.
pub const NESTED: u16 = 1 << 15;
pub const TYPE: u16 = (1 << 14) - 1;

/// `struct sockaddr_in` or `sockaddr_in6`.
pub fn socket_address_bytes(address: SocketAddr) -> Vec<u8> {
    match address {
        SocketAddr::V4(v4) => {
            let family = (libc::AF_INET as u16).to_ne_bytes();
            [&family[..], &v4.port().to_be_bytes(), &v4.ip().octets(), &[0; 8]].concat()
        }
        SocketAddr::V6(v6) => {
            let family = (libc::AF_INET6 as u16).to_ne_bytes();
            let (flow, scope) = (v6.flowinfo().to_ne_bytes(), v6.scope_id().to_ne_bytes());
            let octets = v6.ip().octets();
            [&family[..], &v6.port().to_be_bytes(), &flow, &octets, &scope].concat()
        }
    }
}

/// The same, read; nothing for another family or length.
pub fn socket_address(bytes: &[u8]) -> Option<SocketAddr> {
    let (family, rest) = bytes.split_first_chunk()?;
    let (port, rest) = rest.split_first_chunk()?;
    let port = u16::from_be_bytes(*port);
    match (u16::from_ne_bytes(*family).into(), rest.len()) {
        (libc::AF_INET, 12) => {
            let octets: [u8; 4] = *rest.first_chunk()?;
            Some(SocketAddrV4::new(octets.into(), port).into())
        }
        (libc::AF_INET6, 24) => {
            let (flow, rest) = rest.split_first_chunk()?;
            let (octets, scope): (&[u8; 16], _) = rest.split_first_chunk()?;
            let scope = u32::from_ne_bytes(scope.try_into().ok()?);
            let flow = u32::from_ne_bytes(*flow);
            Some(SocketAddrV6::new((*octets).into(), port, flow, scope).into())
        }
        _ => None,
    }
}

/// An address of a family; nothing for another one, or another length.
pub fn ip_address(family: u16, octets: &[u8]) -> Option<IpAddr> {
    match libc::c_int::from(family) {
        libc::AF_INET => Some(IpAddr::from(<[u8; 4]>::try_from(octets).ok()?)),
        libc::AF_INET6 => Some(IpAddr::from(<[u8; 16]>::try_from(octets).ok()?)),
        _ => None,
    }
}
