//! Descriptors that go from one process or thread to another.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

const FD_BYTES: u32 = size_of::<RawFd>() as u32;
/// What each end of a frames pair may have on the way: some sixty super-frames where the machine allows it.
const PAIR_BUFFER: libc::c_int = 4 << 20;

/// Turns the kernel's -1 into the error it stands for.
pub(super) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Sets one option of a socket. `T` is the plain C type that the option takes.
pub(super) fn set_option<T: Copy>(
    fd: &impl AsRawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    let value: *const T = value;
    // SAFETY: the value is `length` readable bytes for as long as the call lasts.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.cast(), length) }).map(drop)
}

/// Asks for buffers of `bytes` each way. Root may go past the machine's limit; everybody else gets what the limit leaves.
pub(super) fn set_buffers(fd: &impl AsRawFd, bytes: libc::c_int) -> io::Result<()> {
    for (force, plain) in
        [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)]
    {
        set_option(fd, libc::SOL_SOCKET, force, &bytes)
            .or_else(|_| set_option(fd, libc::SOL_SOCKET, plain, &bytes))?;
    }
    Ok(())
}

/// Makes reads and writes return at once instead of waiting.
pub fn set_nonblocking(fd: &impl AsFd) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: F_GETFL and F_SETFL take and give plain integers.
    let flags = check(unsafe { libc::fcntl(fd, libc::F_GETFL) })?;
    // SAFETY: as above.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) }).map(drop)
}

/// Two connected ends that keep message boundaries, close-on-exec, not blocking, with large buffers: the frames
/// descriptor of a netstack. A full end answers `WouldBlock`.
pub fn seqpacket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: socketpair writes two descriptors into an array of two.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) })?;
    // SAFETY: both descriptors are new and nobody else's.
    let pair = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
    set_buffers(&pair.0, PAIR_BUFFER)?;
    set_buffers(&pair.1, PAIR_BUFFER)?;
    Ok(pair)
}

/// Sends `bytes` (at least one) over a unix socket, with a duplicate of `fd` (SCM_RIGHTS).
/// On a stream socket keep `bytes` small, as they could be sent in part; then this fails with `WriteZero`.
pub fn send_fd(socket: &impl AsFd, bytes: &[u8], fd: &impl AsFd) -> io::Result<()> {
    if bytes.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a descriptor needs a byte to ride on",
        ));
    }
    let mut iovec = libc::iovec { iov_base: bytes.as_ptr() as *mut _, iov_len: bytes.len() };
    let mut control = [0u64; 3]; // CMSG_SPACE(4) = 24 bytes, aligned as cmsghdr wants it
    // SAFETY: msghdr is plain old data, and all zeros is a valid value of it.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = &mut iovec;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of::<[u64; 3]>() as _;
    // SAFETY: the control buffer is aligned and has room for one header and one descriptor.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(FD_BYTES) as _;
        libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(fd.as_fd().as_raw_fd());
    }
    // SAFETY: every pointer in the message outlives the call, and sendmsg only reads there.
    let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &message, libc::MSG_NOSIGNAL) };
    check(sent.min(0) as libc::c_int)?;
    if sent as usize != bytes.len() {
        return Err(io::Error::new(io::ErrorKind::WriteZero, "the message was sent in part"));
    }
    Ok(())
}

/// Receives what [`send_fd`] sent: the count of bytes (0 at the end of the stream) and the descriptor, close-on-exec, if
/// one came. Descriptors beyond the first are closed. A blocking socket waits; another one fails with `WouldBlock`.
pub fn recv_fd(socket: &impl AsFd, bytes: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut iovec = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut control = [0u64; 8]; // room for more descriptors than one, so that a surplus can be closed
    // SAFETY: msghdr is plain old data, and all zeros is a valid value of it.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = &mut iovec;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of::<[u64; 8]>() as _;
    let raw = socket.as_fd().as_raw_fd();
    let got = loop {
        // SAFETY: the buffers that the message points to are ours, and outlive the call.
        let got = unsafe { libc::recvmsg(raw, &mut message, libc::MSG_CMSG_CLOEXEC) };
        match check(got.min(0) as libc::c_int) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        break got as usize;
    };
    let mut received = Vec::new();
    // SAFETY: the kernel has filled the control buffer and set its length; CMSG_* stay inside of it. Every descriptor
    // of SCM_RIGHTS is new and ours alone.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let length = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(header).cast::<RawFd>();
                for i in 0..length / size_of::<RawFd>() {
                    received.push(OwnedFd::from_raw_fd(data.add(i).read_unaligned()));
                }
            }
            header = libc::CMSG_NXTHDR(&message, header);
        }
    }
    received.truncate(1);
    Ok((got, received.pop()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_descriptor_arrives_with_its_message_and_works() {
        let (here, there) = UnixStream::pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        send_fd(&here, b"tun", &writer).unwrap();
        drop(writer);
        let mut bytes = [0; 16];
        let (count, fd) = recv_fd(&there, &mut bytes).unwrap();
        assert_eq!(&bytes[..count], b"tun");
        File::from(fd.unwrap()).write_all(b"through the copy").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap(); // ends: no other writer is open
        assert_eq!(text, "through the copy");
    }

    #[test]
    fn a_message_without_a_descriptor_and_the_end_are_told_apart() {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(b"x").unwrap();
        let mut bytes = [0; 16];
        assert!(matches!(recv_fd(&there, &mut bytes), Ok((1, None))));
        drop(here);
        assert!(matches!(recv_fd(&there, &mut bytes), Ok((0, None))));
    }

    #[test]
    fn a_pair_does_not_wait_and_takes_whole_super_frames() {
        let (here, there) = seqpacket_pair().unwrap();
        let (mut here, mut there) = (File::from(here), File::from(there));
        let mut slab = vec![0; 70_000];
        let empty = there.read(&mut slab).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(here.write(&[7; 65_545]).unwrap(), 65_545);
        assert_eq!(here.write(&[8; 10]).unwrap(), 10);
        assert_eq!(there.read(&mut slab).unwrap(), 65_545);
        assert_eq!(there.read(&mut slab).unwrap(), 10);
    }
}
