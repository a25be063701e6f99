//! How soon after a repair the next one may begin.

use super::{FAILED, REPAIRED, SKIPPED};
use crate::sys::time;
use crate::types::json::json_object;
use std::time::{Duration, Instant};

/// What finds nothing to do takes a tenth of the time at most, but holds nobody up for long.
const SHARE: u32 = 9;
const LONGEST_REST: Duration = Duration::from_millis(400);

/// So many repairs follow each other at once; then each pause is twice the last.
const FEW: u32 = 4;
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// A repair so long after the last pause is the first of its row.
const QUIET: Duration = Duration::from_secs(2);

/// What another command is at is looked at again after this, what failed at first, and then ever later; so often at most.
const SOON: Duration = Duration::from_millis(200);
const TRIES: u32 = 30;

/// When the next repair may begin, and why.
pub(super) struct Pace {
    /// Not before this.
    pub next: Instant,
    /// Repairs in a row.
    row: u32,
    last: Option<Instant>,
    pause: Duration,
    tries: u32,
}

/// What `watch/trouble` says.
#[derive(Debug)]
pub(super) struct Trouble {
    /// Until when, in nanoseconds since boot.
    until: u64,
    pub sentence: String,
}
json_object!(Trouble { until, sentence });

impl Trouble {
    /// Whether it still is so.
    pub fn lasts(&self) -> bool {
        time::since_boot() < self.until
    }
}

impl Pace {
    pub fn new() -> Self {
        Pace {
            next: Instant::now(),
            row: 0,
            last: None,
            pause: Duration::ZERO,
            tries: 0,
        }
    }

    /// After a repair that ended with this code and took so long: whether another one is wanted.
    pub fn after(&mut self, code: u8, took: Duration, now: Instant) -> bool {
        if code & REPAIRED != 0 {
            let calm = QUIET + self.pause;
            let follows = self
                .last
                .is_some_and(|last| now.duration_since(last) < calm);
            self.row = if follows { self.row + 1 } else { 1 };
            self.pause = match self.row > FEW {
                true => (self.pause * 2).clamp(FIRST, LONGEST),
                false => Duration::ZERO,
            };
            self.last = Some(now);
        }
        let rest = (took * SHARE).min(LONGEST_REST);
        self.tries = match code & (FAILED | SKIPPED) {
            0 => 0,
            _ => self.tries + 1,
        };
        let again = match code {
            // What fails once may go well later; what always fails is tried ever less often.
            code if code & FAILED != 0 => LONGEST.min(SOON * (1 << self.tries.min(10)) / 2),
            code if code & SKIPPED != 0 => SOON,
            _ => Duration::ZERO,
        };
        self.next = now + self.pause.max(rest).max(again);
        (1..TRIES).contains(&self.tries)
    }

    /// What to say of a repair that is one of many in a row.
    pub fn trouble(&self, by: &str) -> Option<Trouble> {
        if self.pause.is_zero() {
            return None;
        }
        let (row, pause) = (self.row, self.pause.as_secs());
        Some(Trouble {
            until: time::since_boot() + self.pause.as_nanos() as u64,
            sentence: format!(
                "the watcher waits {pause} s before it mends again: {row} times in a row {by} has taken away what it had made again"
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repairs_in_a_row_are_paused_ever_longer_and_a_quiet_time_ends_the_row() {
        let mut pace = Pace::new();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert!(!pace.after(REPAIRED, Duration::ZERO, now));
            pauses.push(pace.next.duration_since(now).as_secs());
            now = pace.next + Duration::from_millis(200);
        }
        assert_eq!(pauses, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(pace.trouble("nft").is_some_and(|trouble| trouble.lasts()));
        now += QUIET + LONGEST;
        pace.after(REPAIRED, Duration::ZERO, now);
        assert_eq!(pace.next, now);
        assert!(pace.trouble("nft").is_none());
    }

    #[test]
    fn what_finds_nothing_takes_a_tenth_of_the_time_and_what_is_skipped_is_wanted_again() {
        let mut pace = Pace::new();
        let now = Instant::now();
        assert!(!pace.after(0, Duration::from_millis(10), now));
        assert_eq!(pace.next.duration_since(now), Duration::from_millis(90));
        pace.after(0, Duration::from_secs(1), now);
        assert_eq!(pace.next.duration_since(now), LONGEST_REST);
        let wanted = (0..100).filter(|_| pace.after(SKIPPED, Duration::ZERO, now));
        assert_eq!(wanted.count() as u32, TRIES - 1);
    }
}
