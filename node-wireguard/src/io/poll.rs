//! The wait: epoll with tokens, and a waker for other threads.

use super::fd::check;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

const CAPACITY: usize = 64;

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    Read,
    Write,
    Both,
    /// Both, told once each time that it changes (edge-triggered): read and write until `WouldBlock`.
    Edges,
    /// Only the other side's end and errors, which are always reported.
    Nothing,
}

impl Interest {
    fn bits(self) -> u32 {
        (match self {
            Self::Read => libc::EPOLLIN,
            Self::Write => libc::EPOLLOUT,
            Self::Both => libc::EPOLLIN | libc::EPOLLOUT,
            Self::Edges => libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET,
            Self::Nothing => 0,
        }) as u32
    }
}

/// A descriptor that can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it was registered under.
    pub token: u64,
    pub readable: bool,
    pub writable: bool,
    /// The other side is gone or the descriptor is in error: read it to learn which.
    pub closed: bool,
}

/// Room for the events of one wait; reused from wait to wait.
pub struct Events {
    buffer: [libc::epoll_event; CAPACITY],
    count: usize,
}

impl Events {
    pub fn new() -> Self {
        Self { buffer: [libc::epoll_event { events: 0, u64: 0 }; CAPACITY], count: 0 }
    }

    pub fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.buffer[..self.count].iter().map(|event| {
            let has = |bits: libc::c_int| event.events & bits as u32 != 0;
            Event {
                token: event.u64,
                readable: has(libc::EPOLLIN),
                writable: has(libc::EPOLLOUT),
                closed: has(libc::EPOLLHUP | libc::EPOLLERR),
            }
        })
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

/// An epoll descriptor, level-triggered unless asked otherwise. It does not own what is registered: closing that removes it.
pub struct Poller(OwnedFd);

impl Poller {
    pub fn new() -> io::Result<Self> {
        // SAFETY: epoll_create1 takes a plain integer; what it returns is ours alone once checked.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) }))
    }

    /// Registers `fd` under `token`.
    pub fn add(&self, fd: &impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, interest)
    }

    /// Changes token or interest of a registered `fd`.
    pub fn modify(&self, fd: &impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, interest)
    }

    pub fn remove(&self, fd: &impl AsFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, Interest::Nothing)
    }

    fn control(
        &self,
        what: libc::c_int,
        fd: &impl AsFd,
        token: u64,
        interest: Interest,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest.bits(), u64: token };
        let fd = fd.as_fd().as_raw_fd();
        // SAFETY: the event outlives the call, which copies it.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), what, fd, &mut event) }).map(drop)
    }

    /// Sleeps until something can go on or the time is over (`None`: for ever). A signal ends the wait without events.
    /// The time is rounded up to milliseconds, so that a timer that is due has passed.
    pub fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout
            .map_or(-1, |wait| wait.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32);
        events.count = 0;
        // SAFETY: the buffer has room for the events asked for.
        let count = unsafe {
            libc::epoll_wait(
                self.0.as_raw_fd(),
                events.buffer.as_mut_ptr(),
                CAPACITY as i32,
                timeout,
            )
        };
        match check(count) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
            Ok(count) => {
                events.count = count as usize;
                Ok(())
            }
        }
    }
}

impl AsRawFd for Poller {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// An eventfd: any thread wakes the one that polls it. Share it in an `Arc`.
pub struct Waker(OwnedFd);

impl Waker {
    pub fn new() -> io::Result<Self> {
        let flags = libc::EFD_NONBLOCK | libc::EFD_CLOEXEC;
        // SAFETY: eventfd takes plain integers; what it returns is ours alone once checked.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(check(libc::eventfd(0, flags))?) }))
    }

    /// Makes the descriptor readable until [`Waker::clear`]. Never waits.
    pub fn wake(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight readable bytes. The only failure is a full counter, and then it is readable already.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Takes the wake-ups so far. Clear first, then look at what the other thread left: so none is lost.
    pub fn clear(&self) {
        let mut count = [0u8; 8];
        // SAFETY: eight writable bytes. The only failure is that nobody has woken.
        unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_waker_ends_the_wait_of_another_thread_until_it_is_cleared() {
        let (poller, waker, mut events) =
            (Poller::new().unwrap(), Arc::new(Waker::new().unwrap()), Events::new());
        poller.add(&*waker, 7, Interest::Read).unwrap();
        let other = Arc::clone(&waker);
        let thread = std::thread::spawn(move || other.wake());
        poller.wait(&mut events, None).unwrap();
        thread.join().unwrap();
        let seen: Vec<Event> = events.iter().collect();
        assert_eq!(seen, [Event { token: 7, readable: true, writable: false, closed: false }]);
        waker.clear();
        poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
        assert_eq!(events.iter().count(), 0);
    }

    #[test]
    fn the_end_of_a_registered_pair_is_reported() {
        let (here, there) = crate::io::fd::seqpacket_pair().unwrap();
        let (poller, mut events) = (Poller::new().unwrap(), Events::new());
        poller.add(&here, 1, Interest::Read).unwrap();
        drop(there);
        poller.wait(&mut events, None).unwrap();
        assert!(events.iter().any(|event| event.token == 1 && event.closed));
        poller.remove(&here).unwrap();
        poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
        assert_eq!(events.iter().count(), 0);
    }
}
