//! Interfaces and addresses by rtnetlink, without the `ip` program.

use super::fd::{check, set_option};
use std::ffi::CString;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const NLMSG_HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;
const INTERFACE: u8 = 0; // AF_UNSPEC

// linux/if_link.h, linux/netlink.h: these are part of the kernel's contract with user space.
const IFLA_MTU: u16 = 4;
const IFLA_TXQLEN: u16 = 13;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_GSO_MAX_SEGS: u16 = 40;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_MODE_NONE: u8 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_F_NODAD: u8 = 2;
const NLA_F_NESTED: u16 = 1 << 15;
const NLMSG_ERROR: u16 = 2;
const NLMSGERR_ATTR_MSG: u16 = 1;
const NETLINK_CAP_ACK: libc::c_int = 10;
const NETLINK_EXT_ACK: libc::c_int = 11;

/// What a link is set to.
#[derive(Clone, Copy, Debug)]
pub struct LinkConfig {
    /// In bytes; IPv6 needs at least 1,280.
    pub mtu: u16,
    /// Packets that may wait in the device.
    pub queue_length: u32,
    /// The most segments of one super-frame.
    pub gso_segments: u32,
}

/// A netlink socket of the network namespace that the calling thread was in when it was opened.
pub struct Netlink {
    fd: OwnedFd,
    sequence: u32,
}

/// A request being written: header, fixed part, attributes.
struct Request(Vec<u8>);

impl Request {
    fn new(kind: u16, flags: libc::c_int, fixed: &[u8]) -> Self {
        let flags = (flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        let mut bytes = vec![0; NLMSG_HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(fixed);
        Self(bytes)
    }

    /// `struct ifinfomsg`: which link, and which of its flags become what.
    fn link(index: u32, flags: u32, mask: u32) -> Self {
        let mut fixed = vec![INTERFACE, 0, 0, 0];
        for word in [index, flags, mask] {
            fixed.extend_from_slice(&word.to_ne_bytes());
        }
        Self::new(libc::RTM_NEWLINK, 0, &fixed)
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend_from_slice(&attribute(kind, value));
        self
    }
}

/// Length, kind, value, and zeros up to a multiple of four.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = (ATTRIBUTE_HEADER + value.len()) as u16;
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

impl Netlink {
    pub fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: socket takes plain integers; what it returns is ours alone once checked.
        let fd = unsafe {
            OwnedFd::from_raw_fd(check(libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE))?)
        };
        // Only for the text of an error: an old kernel may refuse.
        let _ = set_option(&fd, libc::SOL_NETLINK, NETLINK_CAP_ACK, &1i32);
        let _ = set_option(&fd, libc::SOL_NETLINK, NETLINK_EXT_ACK, &1i32);
        let patience = libc::timeval { tv_sec: 5, tv_usec: 0 };
        set_option(&fd, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &patience)?;
        Ok(Self { fd, sequence: 0 })
    }

    /// The number of the interface of that name.
    pub fn index(&self, name: &str) -> io::Result<u32> {
        let text = CString::new(name).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: a C string that outlives the call.
        match unsafe { libc::if_nametoindex(text.as_ptr()) } {
            0 => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("there is no interface {name}"),
            )),
            index => Ok(index),
        }
    }

    /// Sets MTU and queue; where the kernel can, the length of super-frames, and that the interface makes up no IPv6
    /// address of its own.
    pub fn configure(&mut self, link: u32, config: &LinkConfig) -> io::Result<()> {
        let mtu = (config.mtu as u32).to_ne_bytes();
        let request = Request::link(link, 0, 0).attribute(IFLA_MTU, &mtu);
        let request = request.attribute(IFLA_TXQLEN, &config.queue_length.to_ne_bytes());
        self.ask(request, "the interface's MTU cannot be set")?;
        let segments = Request::link(link, 0, 0)
            .attribute(IFLA_GSO_MAX_SEGS, &config.gso_segments.to_ne_bytes());
        let mode = attribute(IFLA_INET6_ADDR_GEN_MODE, &[ADDR_GEN_MODE_NONE]);
        let families = attribute(libc::AF_INET6 as u16 | NLA_F_NESTED, &mode);
        let quiet = Request::link(link, 0, 0).attribute(IFLA_AF_SPEC | NLA_F_NESTED, &families);
        for optional in [segments, quiet] {
            let _ = self.ask(optional, ""); // costs speed or a few useless packets, nothing else
        }
        Ok(())
    }

    /// Brings the link up.
    pub fn up(&mut self, link: u32) -> io::Result<()> {
        let up = libc::IFF_UP as u32;
        self.ask(Request::link(link, up, up), "the interface cannot be brought up")
    }

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
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
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
            match self.add_address(link, address, prefix) {
                Err(error)
                    if address.is_ipv6()
                        && ipv6_is_off(&error)
                        && skipped.len() + 1 < addresses.len() =>
                {
                    skipped.push(address);
                }
                other => other?,
            }
        }
        Ok(skipped)
    }

    /// Sends one request and reads its acknowledgement.
    fn ask(&mut self, Request(mut bytes): Request, sentence: &str) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
        // SAFETY: readable bytes of the length told.
        let sent =
            unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
        check(sent.min(0) as libc::c_int)?;
        let mut answer = [0u8; 4096];
        loop {
            // SAFETY: writable bytes of the length told.
            let got = unsafe {
                libc::recv(self.fd.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0)
            };
            check(got.min(0) as libc::c_int)?;
            if let Some(result) = acknowledgement(&answer[..got as usize], self.sequence) {
                return result.map_err(|(code, why)| explain(code, &why, sentence));
            }
        }
    }
}

/// Reads an acknowledgement: error number and the kernel's own words. Nothing if it answers another request.
fn acknowledgement(bytes: &[u8], sequence: u32) -> Option<Result<(), (i32, String)>> {
    let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let kind = word(4)? as u16;
    if word(8)? != sequence || kind != NLMSG_ERROR {
        return None;
    }
    let code = word(NLMSG_HEADER)?.wrapping_neg() as i32;
    if code == 0 {
        return Some(Ok(()));
    }
    let mut rest = bytes.get(NLMSG_HEADER + 4 + NLMSG_HEADER..).unwrap_or(&[]);
    let mut words = String::new();
    while let [a, b, c, d, ..] = *rest {
        let (length, kind) = (u16::from_ne_bytes([a, b]) as usize, u16::from_ne_bytes([c, d]));
        let Some(value) = rest.get(ATTRIBUTE_HEADER..length) else { break };
        if kind == NLMSGERR_ATTR_MSG {
            words = String::from_utf8_lossy(value).trim_end_matches('\0').to_string();
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    Some(Err((code, words)))
}

fn explain(code: i32, words: &str, sentence: &str) -> io::Error {
    let error = io::Error::from_raw_os_error(code);
    let why = match code {
        libc::EPERM => "that needs root or CAP_NET_ADMIN".to_string(),
        _ if words.is_empty() => error.to_string(),
        _ => words.to_string(),
    };
    io::Error::new(error.kind(), format!("{sentence}: {why}"))
}

/// EACCES (IPv6 disabled on the device) and EOPNOTSUPP (not in this kernel); EPERM would be our own lack of rights, but
/// reads the same, so it counts only where the MTU could be set before.
fn ipv6_is_off(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported)
}
