//! The clock that everything runs by: it never goes back, and goes on while the machine sleeps.

/// Microseconds since the machine was started (`CLOCK_BOOTTIME`).
pub fn boottime_us() -> u64 {
    microseconds_of(libc::CLOCK_BOOTTIME)
}

/// Microseconds that the calling thread has run (`CLOCK_THREAD_CPUTIME_ID`).
pub fn thread_us() -> u64 {
    microseconds_of(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn microseconds_of(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime writes one timespec, which outlives the call; both clocks exist since Linux 2.6.39.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_does_not_go_back() {
        let first = super::boottime_us();
        assert!(first > 0 && super::boottime_us() >= first);
    }
}
