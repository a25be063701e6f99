//! The two clocks: wall time for people, and time since boot for what must not jump.

use rustix::time::{ClockId, clock_gettime};

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
