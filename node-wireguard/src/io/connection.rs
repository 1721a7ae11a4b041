//! A stream socket, TCP or unix, that never waits.

use super::fd::{check, set_nonblocking};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// A connected stream socket. Reads and writes answer `WouldBlock` instead of waiting.
pub struct Connection(OwnedFd);

impl Connection {
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        set_nonblocking(&fd)?;
        Ok(Self(fd))
    }

    /// A second descriptor of somebody else's connection: closing one leaves the other as it is.
    ///
    /// # Errors
    /// `fd` is no open descriptor, or there are too many.
    pub fn duplicate(fd: RawFd) -> io::Result<Self> {
        // SAFETY: F_DUPFD_CLOEXEC takes plain integers, whatever they are.
        let copy = check(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) })?;
        // SAFETY: the copy is new and nobody else's.
        Self::new(unsafe { OwnedFd::from_raw_fd(copy) })
    }

    /// 0 is the end: the other side says no more.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the buffer is as many writable bytes.
        let got =
            unsafe { libc::recv(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        count(got)
    }

    /// Writes what there is room for. Who has closed its end is an error here, not a signal.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let fd = self.0.as_raw_fd();
        // SAFETY: the bytes are readable for as long as the call lasts.
        let put = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
        count(put)
    }

    /// Says that no more comes from here; what was written still arrives.
    pub fn finish(&self) -> io::Result<()> {
        // SAFETY: shutdown takes plain integers.
        check(unsafe { libc::shutdown(self.0.as_raw_fd(), libc::SHUT_WR) }).map(drop)
    }

    /// The error that the connection has come to, if it has; asking takes it away.
    pub fn take_error(&self) -> io::Result<()> {
        let mut code: libc::c_int = 0;
        let mut length = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: code and length are writable and as large as they say.
        check(unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ERROR,
                (&raw mut code).cast(),
                &mut length,
            )
        })?;
        if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Two connected unix stream sockets, close-on-exec, not blocking.
pub fn stream_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (here, there) = std::os::unix::net::UnixStream::pair()?;
    here.set_nonblocking(true)?;
    there.set_nonblocking(true)?;
    Ok((here.into(), there.into()))
}

fn count(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    #[test]
    fn a_duplicate_says_the_end_for_both_and_does_not_wait() {
        let (here, there) = stream_pair().unwrap();
        let copy = Connection::duplicate(here.as_raw_fd()).unwrap();
        let there = Connection::new(there).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(copy.read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(copy.write(b"rope").unwrap(), 4);
        copy.finish().unwrap();
        assert_eq!(there.read(&mut buffer).unwrap(), 4);
        assert_eq!(there.read(&mut buffer).unwrap(), 0);
        assert_eq!(there.write(b"walk").unwrap(), 4);
        drop(copy);
        assert_eq!(Connection::new(here).unwrap().read(&mut buffer).unwrap(), 4);
    }

    #[test]
    fn writing_to_one_who_has_left_is_an_error_and_no_signal() {
        let (here, there) = stream_pair().unwrap();
        drop(there);
        let error = Connection::new(here).unwrap().write(b"x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }

    #[test]
    fn what_is_no_descriptor_is_refused() {
        assert!(Connection::duplicate(-1).is_err());
        assert!(Connection::duplicate(1_000_000).is_err());
    }
}
