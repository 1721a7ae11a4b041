//! Programs that the kernel runs on what comes to a socket, before anybody is woken (classic BPF; the kernel's
//! `Documentation/networking/filter.rst`).

use crate::io::fd::{check, set_option};
use std::io;
use std::mem::{size_of, size_of_val};
use std::os::fd::AsRawFd;

pub use libc::sock_filter as Instruction;

/// Where the dropped ones are among the words of SO_MEMINFO (`SK_MEMINFO_DROPS`), which are nine.
const DROPPED: usize = 8;

/// Gives the kernel a program of at most 4,096 instructions, as this option of the socket.
pub fn attach(fd: &impl AsRawFd, option: libc::c_int, program: &[Instruction]) -> io::Result<()> {
    let len = program.len().try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
    // The kernel only reads there.
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    set_option(fd, libc::SOL_SOCKET, option, &program)
}

pub fn detach(fd: &impl AsRawFd) -> io::Result<()> {
    set_option(fd, libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &0i32)
}

/// Datagrams that the kernel has dropped at this socket since it was made, by its program or for want of room; the count
/// begins anew at 2^32.
pub fn dropped(fd: &impl AsRawFd) -> io::Result<u32> {
    let mut words = [0u32; DROPPED + 1];
    let mut length = size_of_val(&words) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into the words, which any bytes are valid for.
    check(unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            (&raw mut words).cast(),
            &mut length,
        )
    })?;
    match length as usize / size_of::<u32>() {
        ..=DROPPED => Err(io::ErrorKind::Unsupported.into()), // before Linux 4.12
        _ => Ok(words[DROPPED]),
    }
}
