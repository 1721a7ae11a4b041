//! The clock that everything runs by: it never goes back, and goes on while the machine sleeps.

/// Microseconds since the machine was started (`CLOCK_BOOTTIME`).
pub fn boottime_us() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime writes one timespec, which outlives the call; the clock exists since Linux 2.6.39.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut time) };
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
