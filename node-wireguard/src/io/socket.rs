//! Sockets step by step: made in one namespace, bound or connected from another. std does all the steps at once.

use super::fd::{check, set_option};
use std::io;
use std::mem::{size_of, zeroed};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// What a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Tcp,
    Udp,
    /// Raw ICMP or ICMPv6. Needs CAP_NET_RAW in the namespace.
    Icmp,
}

/// A new socket of the calling thread's network namespace, close-on-exec and not blocking. IPv6 ones speak only IPv6.
pub fn socket(kind: Kind, v6: bool) -> io::Result<OwnedFd> {
    let family = if v6 { libc::AF_INET6 } else { libc::AF_INET };
    let (style, protocol) = match (kind, v6) {
        (Kind::Tcp, _) => (libc::SOCK_STREAM, 0),
        (Kind::Udp, _) => (libc::SOCK_DGRAM, 0),
        (Kind::Icmp, false) => (libc::SOCK_RAW, libc::IPPROTO_ICMP),
        (Kind::Icmp, true) => (libc::SOCK_RAW, libc::IPPROTO_ICMPV6),
    };
    let style = style | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: socket takes plain integers; what it returns is ours alone once checked.
    let fd = unsafe { OwnedFd::from_raw_fd(check(libc::socket(family, style, protocol))?) };
    if v6 && kind != Kind::Icmp {
        set_option(&fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &1i32)?;
    }
    Ok(fd)
}

/// The kernel's form of an address, and its length.
fn name(address: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: sockaddr_storage is plain old data, and all zeros is a valid value of it.
    let mut storage: libc::sockaddr_storage = unsafe { zeroed() };
    let length = match address {
        SocketAddr::V4(address) => {
            let name = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
                sin_zero: [0; 8],
            };
            // SAFETY: sockaddr_storage is as large and as aligned as every kind of address.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in>().write(name) };
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(address) => {
            let name = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: address.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                sin6_scope_id: address.scope_id(),
            };
            // SAFETY: sockaddr_storage is as large and as aligned as every kind of address.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in6>().write(name) };
            size_of::<libc::sockaddr_in6>()
        }
    };
    (storage, length as libc::socklen_t)
}

/// Ties it to one device: packets that came by another are not for it, whatever their addresses say.
pub fn tie_to_device(fd: &OwnedFd, device: &str) -> io::Result<()> {
    let mut name = [0u8; libc::IFNAMSIZ];
    let room = name.get_mut(..device.len()).filter(|room| room.len() < libc::IFNAMSIZ);
    room.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(device.as_bytes());
    set_option(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, &name)
}

/// Binds it, for TCP past connections that rest.
pub fn bind(fd: &OwnedFd, kind: Kind, address: SocketAddr) -> io::Result<()> {
    if kind == Kind::Tcp {
        set_option(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, &1i32)?;
    }
    let (name, length) = name(address);
    // SAFETY: the address is `length` readable bytes of its kind.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const name).cast(), length) }).map(drop)
}

/// Makes a bound TCP socket accept, with so many waiting.
pub fn listen(fd: &OwnedFd, backlog: u16) -> io::Result<()> {
    // SAFETY: listen takes plain integers.
    check(unsafe { libc::listen(fd.as_raw_fd(), backlog.into()) }).map(drop)
}

/// Connects it within `timeout`.
pub fn connect(fd: &OwnedFd, address: SocketAddr, timeout: Duration) -> io::Result<()> {
    let (name, length) = name(address);
    // SAFETY: the address is `length` readable bytes of its kind.
    let started = check(unsafe { libc::connect(fd.as_raw_fd(), (&raw const name).cast(), length) });
    match started {
        Ok(_) => return Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    if !wait(fd, libc::POLLOUT, Some(timeout))? {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let (mut code, mut length) = (0i32, size_of::<i32>() as libc::socklen_t);
    // SAFETY: SO_ERROR writes one C int, whose size is told.
    check(unsafe {
        let value = (&raw mut code).cast();
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ERROR, value, &mut length)
    })?;
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

/// Waits until it can be read or its other side is gone; `false` when the time is over first. No timeout: for ever.
pub fn wait_readable(fd: &impl AsFd, timeout: Option<Duration>) -> io::Result<bool> {
    wait(fd, libc::POLLIN, timeout)
}

fn wait(fd: &impl AsFd, events: libc::c_short, timeout: Option<Duration>) -> io::Result<bool> {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let wait = left
            .map_or(-1, |left| left.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32);
        let mut poll = libc::pollfd { fd: fd.as_fd().as_raw_fd(), events, revents: 0 };
        // SAFETY: one pollfd, which outlives the call.
        match check(unsafe { libc::poll(&mut poll, 1, wait) }) {
            Ok(0) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                return Ok(false);
            }
            Ok(0) => {}
            Ok(_) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn a_socket_made_step_by_step_connects_or_says_why_not() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(local).unwrap();
            let address = listener.local_addr().unwrap();
            let fd = socket(Kind::Tcp, address.is_ipv6()).unwrap();
            connect(&fd, address, Duration::from_secs(5)).unwrap();
            drop(listener);
            let fd = socket(Kind::Tcp, address.is_ipv6()).unwrap();
            let refused = connect(&fd, address, Duration::from_secs(5)).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        }
    }

    #[test]
    fn a_bound_datagram_socket_receives_and_the_wait_ends() {
        let fd = socket(Kind::Udp, false).unwrap();
        bind(&fd, Kind::Udp, "127.0.0.1:0".parse().unwrap()).unwrap();
        assert!(!wait_readable(&fd, Some(Duration::ZERO)).unwrap());
        let socket = UdpSocket::from(fd);
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        assert!(wait_readable(&socket, None).unwrap());
        assert_eq!(socket.recv_from(&mut [0; 8]).unwrap(), (1, sender.local_addr().unwrap()));
    }
}
