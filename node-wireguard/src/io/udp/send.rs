//! One batch to one destination: in one segmented call, or datagram by datagram.

use super::name::{Name, scope_of, v4_of, v6_of};
use super::{BATCH_MESSAGES, Destination};
use crate::io::batch::Messages;
use crate::io::fd::check;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

const CONTROL_WORDS: usize = 8; // UDP_SEGMENT takes 24 bytes, the larger PKTINFO 40

/// The most parts of one call: a prefix before each message.
const PARTS: usize = 2 * BATCH_MESSAGES;

/// What all datagrams of a batch have in common.
struct Envelope {
    name: Name,
    name_length: libc::socklen_t,
    control: [u64; CONTROL_WORDS], // aligned as cmsghdr wants it
    control_length: usize,
}

impl Envelope {
    fn new(to: &Destination, segment: Option<u16>) -> Self {
        let (name, name_length) = Name::of(to.remote);
        let mut envelope =
            Self { name, name_length, control: [0; CONTROL_WORDS], control_length: 0 };
        if let Some(size) = segment {
            envelope.push(libc::SOL_UDP, libc::UDP_SEGMENT, size);
        }
        match to.source {
            Some(IpAddr::V4(source)) => {
                let any = libc::in_addr { s_addr: 0 };
                let info =
                    libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: v4_of(source), ipi_addr: any };
                envelope.push(libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            Some(IpAddr::V6(source)) => {
                let info = libc::in6_pktinfo {
                    ipi6_addr: v6_of(source),
                    ipi6_ifindex: scope_of(to.remote),
                };
                envelope.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
            None => {}
        }
        envelope
    }

    /// Adds a control message. `T` is plain old data.
    fn push<T: Copy>(&mut self, level: libc::c_int, kind: libc::c_int, value: T) {
        let size = size_of::<T>() as libc::c_uint;
        // SAFETY: CMSG_SPACE and CMSG_LEN only compute.
        let (space, length) = unsafe { (libc::CMSG_SPACE(size) as usize, libc::CMSG_LEN(size)) };
        assert!(self.control_length + space <= size_of::<[u64; CONTROL_WORDS]>());
        // SAFETY: the header begins at a multiple of eight in an aligned buffer, and it and its value end inside, by the
        // line above.
        unsafe {
            let header =
                self.control.as_mut_ptr().byte_add(self.control_length).cast::<libc::cmsghdr>();
            (*header).cmsg_level = level;
            (*header).cmsg_type = kind;
            (*header).cmsg_len = length as _;
            libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
        }
        self.control_length += space;
    }

    /// The header for a message of these parts. It points into `self` and `parts`, and the kernel only reads there.
    fn message(&self, parts: &[libc::iovec]) -> libc::msghdr {
        // SAFETY: msghdr is plain old data, and all zeros is a valid value of it.
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_name = (&raw const self.name) as *mut _;
        message.msg_namelen = self.name_length;
        message.msg_iov = parts.as_ptr() as *mut _;
        message.msg_iovlen = parts.len() as _;
        if self.control_length > 0 {
            message.msg_control = self.control.as_ptr() as *mut _;
            message.msg_controllen = self.control_length as _;
        }
        message
    }
}

fn part(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr() as *mut _, iov_len: bytes.len() }
}

const NO_PART: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };

/// All in one part where they lie as they are to leave, else prefix and message by turns; the count of parts.
fn lay(parts: &mut [libc::iovec; PARTS], batch: Messages<'_>, to: &Destination) -> usize {
    if let Some(laid) = batch.as_laid(to.prefix.as_ref()) {
        parts[0] = part(laid);
        return 1;
    }
    let mut count = 0;
    for (pair, message) in parts.chunks_exact_mut(2).zip(batch.iter()) {
        pair.copy_from_slice(&[
            to.prefix.as_ref().map_or(NO_PART, |prefix| part(prefix)),
            part(message),
        ]);
        count += 2;
    }
    count
}

/// One call; the kernel or the network card cuts it up. At most `BATCH_MESSAGES` messages and `BATCH_BYTES` bytes.
pub fn segmented(fd: BorrowedFd<'_>, batch: Messages<'_>, to: &Destination) -> io::Result<()> {
    let mut parts = [NO_PART; PARTS];
    let count = lay(&mut parts, batch, to);
    let size = batch.stride + to.prefix.map_or(0, |prefix| prefix.len());
    let envelope =
        Envelope::new(to, Some(u16::try_from(size).map_err(|_| io::ErrorKind::InvalidInput)?));
    let message = envelope.message(&parts[..count]);
    // SAFETY: every pointer in the message outlives the call, and sendmsg only reads there.
    let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), &message, libc::MSG_NOSIGNAL) };
    check(sent.min(0) as libc::c_int).map(drop)
}

/// One datagram a message, in one `sendmmsg` if all goes well. At most `BATCH_MESSAGES` messages.
pub fn singly(fd: BorrowedFd<'_>, batch: Messages<'_>, to: &Destination) -> io::Result<()> {
    let envelope = Envelope::new(to, None);
    let mut parts = [[NO_PART; 2]; BATCH_MESSAGES];
    // SAFETY: mmsghdr is plain old data, and all zeros is a valid value of it.
    let mut messages: [libc::mmsghdr; BATCH_MESSAGES] = unsafe { zeroed() };
    let mut count = 0;
    for (message, (parts, bytes)) in messages.iter_mut().zip(parts.iter_mut().zip(batch.iter())) {
        *parts = [to.prefix.as_ref().map_or(NO_PART, |prefix| part(prefix)), part(bytes)];
        message.msg_hdr = envelope.message(if to.prefix.is_some() { parts } else { &parts[1..] });
        count += 1;
    }
    let mut rest = &mut messages[..count];
    while !rest.is_empty() {
        // SAFETY: `rest.len()` headers, and every pointer in them outlives the call; only the sent lengths are written.
        let sent = unsafe {
            libc::sendmmsg(fd.as_raw_fd(), rest.as_mut_ptr(), rest.len() as _, libc::MSG_NOSIGNAL)
        };
        // Sent in part: the next call begins with the datagram that failed and says why.
        rest = &mut rest[check(sent)?.max(1) as usize..];
    }
    Ok(())
}
