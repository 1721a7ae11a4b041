//! A process that goes on by itself, and the signals that end it.

use super::fd::check;
use std::fs::OpenOptions;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Leaves the terminal and the group of who started us. Fails for the leader of a group, which a child process is not.
pub fn leave_session() -> io::Result<()> {
    // SAFETY: setsid takes nothing and gives a plain integer.
    check(unsafe { libc::setsid() }).map(drop)
}

/// Puts /dev/null in the place of standard input, output and, unless it is kept, error, so that nobody waits for their end.
pub fn let_go_of_streams(keep_error: bool) -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let streams = [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO];
    for stream in &streams[..if keep_error { 2 } else { 3 }] {
        // SAFETY: both are open descriptors; who holds the standard streams finds another file behind the same number.
        check(unsafe { libc::dup2(null.as_raw_fd(), *stream) })?;
    }
    Ok(())
}

/// SIGINT, SIGTERM and SIGHUP as a descriptor instead of an end in mid-sentence.
pub struct EndSignals(OwnedFd);

impl EndSignals {
    /// To be called before other threads are started, which inherit that they do not get these signals.
    pub fn take() -> io::Result<Self> {
        // SAFETY: sigset_t is plain old data; all three calls work on it while it lives.
        let set = unsafe {
            let mut set = zeroed();
            libc::sigemptyset(&mut set);
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
                libc::sigaddset(&mut set, signal);
            }
            check(libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()))?;
            set
        };
        // SAFETY: the set is read during the call; what it returns is ours alone once checked.
        let fd =
            unsafe { check(libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))? };
        // SAFETY: as above.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The signal that has come, if one has.
    pub fn next(&self) -> Option<u32> {
        // SAFETY: plain old data, all zeros is a valid value of it.
        let mut info: libc::signalfd_siginfo = unsafe { zeroed() };
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: as many writable bytes as are asked for.
        let got = unsafe { libc::read(self.0.as_raw_fd(), (&raw mut info).cast(), size) };
        (got == size as isize).then_some(info.ssi_signo)
    }
}

impl AsFd for EndSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
