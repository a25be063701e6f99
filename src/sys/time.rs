//! The two clocks: wall time for people, and time since boot for what must not jump.

use rustix::thread::{NanosleepRelativeResult, nanosleep};
use rustix::time::Timespec;
use std::ffi::{c_int, c_long};
use std::time::Duration;

/// clock_gettime(2) with 64 bits for the seconds, everywhere: Linux 5.1's clock_gettime64 where a word has 32. The calls since
/// then have the same numbers on all architectures, from a base of each one's own.
const CLOCK_GETTIME: c_long = match cfg!(target_pointer_width = "64") {
    true => libc::SYS_clock_gettime,
    false => libc::SYS_clone3 - (435 - 403),
};

/// Nanoseconds since 1970, UTC (CLOCK_REALTIME, clock_gettime(2)); a device without a clock battery starts at 0.
pub fn now() -> u64 {
    nanos(libc::CLOCK_REALTIME)
}

/// Nanoseconds since boot, suspended time included (CLOCK_BOOTTIME).
pub fn since_boot() -> u64 {
    nanos(libc::CLOCK_BOOTTIME)
}

/// Asked of the kernel itself: to find and read the page that answers quicker (vdso(7)) is a kilobyte of program.
fn nanos(clock: c_int) -> u64 {
    // struct __kernel_timespec of include/uapi/linux/time_types.h: seconds and nanoseconds.
    let mut time = [0_i64; 2];
    // SAFETY: the array has room for what the kernel writes, and lives over the call.
    unsafe { libc::syscall(CLOCK_GETTIME, clock, time.as_mut_ptr()) };
    let [seconds, nanos] = time.map(|part| u64::try_from(part).unwrap_or(0));
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Waits for so long, whatever signals are handled meanwhile. See nanosleep(2).
pub fn sleep(time: Duration) {
    let mut left = Timespec::try_from(time);
    while let Ok(time) = left {
        match nanosleep(&time) {
            NanosleepRelativeResult::Interrupted(rest) => left = Ok(rest),
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn the_clocks_are_the_kernels() {
        let before = SystemTime::UNIX_EPOCH
            .elapsed()
            .expect("after 1970")
            .as_nanos();
        let now = u128::from(now());
        let after = SystemTime::UNIX_EPOCH
            .elapsed()
            .expect("after 1970")
            .as_nanos();
        assert!((before..=after).contains(&now), "{before} {now} {after}");
        let uptime = || {
            let uptime = std::fs::read_to_string("/proc/uptime").expect("an uptime");
            let seconds = uptime.split(' ').next().and_then(|up| up.parse().ok());
            seconds.expect("seconds")
        };
        let before: f64 = uptime();
        let since_boot = since_boot() as f64 / 1e9;
        // Hundredths, cut off.
        let after = uptime() + 0.01;
        assert!(
            (before..=after).contains(&since_boot),
            "{before} {since_boot} {after}"
        );
    }
}
