//! Interfaces and addresses by rtnetlink, without the `ip` program, and families of generic netlink.

mod address;
mod generic;
mod make;
pub(crate) mod message;
mod route;
mod watch;

pub use generic::Generic;
pub use route::Way;
pub use watch::{LinkState, LinkWatch};

use super::fd::{check, set_option};
use message::{Answer, Request, attribute};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use zeroize::Zeroizing;

// linux/if_link.h, linux/if_addr.h, linux/netlink.h: part of the kernel's contract with user space.
const IFLA_MTU: u16 = 4;
const IFLA_TXQLEN: u16 = 13;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_GSO_MAX_SEGS: u16 = 40;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_MODE_NONE: u8 = 1;
const NLA_F_NESTED: u16 = 1 << 15;
const NETLINK_CAP_ACK: libc::c_int = 10;
const NETLINK_EXT_ACK: libc::c_int = 11;

/// The kernel fills at most 32 KiB at once.
const ANSWER_BYTES: usize = 32 << 10;

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

impl Netlink {
    pub fn open() -> io::Result<Self> {
        Self::open_protocol(libc::NETLINK_ROUTE)
    }

    fn open_protocol(protocol: libc::c_int) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: socket takes plain integers; what it returns is ours alone once checked.
        let fd =
            unsafe { OwnedFd::from_raw_fd(check(libc::socket(libc::AF_NETLINK, kind, protocol))?) };
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

    /// Sends everything of one family that has no better route out by the link.
    pub fn add_default_route(&mut self, link: u32, v6: bool) -> io::Result<()> {
        let (family, scope) = if v6 {
            (libc::AF_INET6, libc::RT_SCOPE_UNIVERSE)
        } else {
            (libc::AF_INET, libc::RT_SCOPE_LINK) // there is no gateway
        };
        // `struct rtmsg`: family, length of destination and source, service, table, who made it, scope, type, flags.
        let (table, maker, kind) = (libc::RT_TABLE_MAIN, libc::RTPROT_STATIC, libc::RTN_UNICAST);
        let fixed = [family as u8, 0, 0, 0, table, maker, scope, kind, 0, 0, 0, 0];
        let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        let request = Request::new(libc::RTM_NEWROUTE, flags, &fixed);
        let request = request.attribute(libc::RTA_OIF, &link.to_ne_bytes());
        self.ask(request, "the default route cannot be set")
    }

    /// Sends one request and reads its acknowledgement.
    fn ask(&mut self, request: Request, sentence: &str) -> io::Result<()> {
        self.exchange(request, |_| ())?.map_err(|(code, words)| explain(code, &words, sentence))
    }

    /// Sends one request, shows what it answers, and gives back how it ended: error number and the kernel's own words.
    fn exchange(
        &mut self,
        request: Request,
        mut show: impl FnMut(&[u8]),
    ) -> io::Result<Result<(), (i32, String)>> {
        self.sequence = self.sequence.wrapping_add(1);
        // Keys may pass in both.
        let bytes = Zeroizing::new(request.finish(self.sequence));
        // SAFETY: readable bytes of the length told.
        let sent =
            unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
        check(sent.min(0) as libc::c_int)?;
        let mut buffer = Zeroizing::new(vec![0u8; ANSWER_BYTES]);
        let mut inconsistent = false;
        loop {
            // SAFETY: writable bytes of the length told.
            let got = unsafe {
                libc::recv(
                    self.fd.as_raw_fd(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    libc::MSG_TRUNC,
                )
            };
            check(got.min(0) as libc::c_int)?;
            if got as usize > buffer.len() {
                return Err(io::Error::other("the kernel's answer is longer than expected"));
            }
            for answer in message::answers(&buffer[..got as usize], self.sequence) {
                match answer {
                    Answer::Content(bytes) => show(bytes),
                    Answer::Inconsistent => inconsistent = true,
                    Answer::End(Ok(())) if inconsistent => {
                        return Ok(Err((libc::EINTR, String::new())));
                    }
                    Answer::End(result) => return Ok(result),
                }
            }
        }
    }
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
