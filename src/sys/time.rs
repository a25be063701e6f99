//! The two clocks: wall time for people, and time since boot for what must not jump.

use rustix::thread::{NanosleepRelativeResult, nanosleep};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::Duration;

/// Nanoseconds since 1970, UTC (CLOCK_REALTIME, clock_gettime(2)); a device without a clock battery starts at 0.
pub fn now() -> u64 {
    nanos(ClockId::Realtime)
}

/// Nanoseconds since boot, suspended time included (CLOCK_BOOTTIME).
pub fn since_boot() -> u64 {
    nanos(ClockId::Boottime)
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
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
