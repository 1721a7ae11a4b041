//! What has arrived, several coalesced datagrams a call.

use super::name::Name;
use super::{Received, SLOT, SLOTS};
use crate::io::fd::check;
use std::io;
use std::mem::{size_of, size_of_val, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

const CONTROL_WORDS: usize = 16; // 128 bytes: UDP_GRO takes 24, the larger PKTINFO 40

/// Fills slots of `arena` with what has arrived, and says how many of them.
pub fn receive(
    fd: BorrowedFd<'_>,
    arena: &mut [u8],
    into: &mut [Received; SLOTS],
) -> io::Result<usize> {
    let mut control = [[0u64; CONTROL_WORDS]; SLOTS];
    let mut names = [Name::default(); SLOTS];
    // SAFETY: iovec and mmsghdr are plain old data, and all zeros is a valid value of both.
    let (mut iovecs, mut messages): ([libc::iovec; SLOTS], [libc::mmsghdr; SLOTS]) =
        unsafe { (zeroed(), zeroed()) };
    let mut slots = 0;
    for (i, slot) in arena.chunks_exact_mut(SLOT).take(SLOTS).enumerate() {
        iovecs[i] = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: SLOT };
        let header = &mut messages[i].msg_hdr;
        header.msg_name = (&raw mut names[i]).cast();
        header.msg_namelen = size_of::<Name>() as libc::socklen_t;
        header.msg_iov = &mut iovecs[i];
        header.msg_iovlen = 1;
        header.msg_control = control[i].as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control[i]) as _;
        slots = i + 1;
    }
    if slots == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the arena holds no slot"));
    }
    let list = messages.as_mut_ptr();
    // SAFETY: `slots` messages, each with its own slot, name and control buffer, which all outlive the call.
    let got = unsafe { libc::recvmmsg(fd.as_raw_fd(), list, slots as _, 0, std::ptr::null_mut()) };
    let got = match check(got) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
        {
            return Ok(0);
        }
        other => other? as usize,
    };
    for ((message, name), received) in messages.iter().zip(&names).zip(into).take(got) {
        *received = read_header(message, name);
    }
    Ok(got)
}

fn read_header(message: &libc::mmsghdr, name: &Name) -> Received {
    let mut received = Received::default();
    let (Some(from), 0) = (name.address(), message.msg_hdr.msg_flags & libc::MSG_TRUNC) else {
        return received; // nobody's, or cut: as if empty
    };
    let length = message.msg_len as usize;
    (received.from, received.length, received.stride) = (from, length, length.max(1));
    // SAFETY: the kernel has filled the control buffer and set its length, and CMSG_* stay inside of it. The types are
    // those that the kernel writes for these options: UDP_GRO a C int.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&message.msg_hdr);
        while !header.is_null() {
            let data = libc::CMSG_DATA(header);
            match ((*header).cmsg_level, (*header).cmsg_type) {
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    received.stride = data.cast::<libc::c_int>().read_unaligned().max(1) as usize;
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    // `spec_dst` is ours even when the datagram was a broadcast.
                    received.to =
                        Some(IpAddr::from(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes())));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    received.to = Some(IpAddr::from(Ipv6Addr::from(info.ipi6_addr.s6_addr)));
                }
                _ => {}
            }
            header = libc::CMSG_NXTHDR(&message.msg_hdr, header);
        }
    }
    received
}
