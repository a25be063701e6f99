//! `--restart`: what a monitor decides when its container has ended, and the process that starts it again.
//!
//! A monitor ends with its container, whatever the policy: whoever waits for the end is told of it. Before it goes it
//! notes when the next start is due, and leaves a process behind that executes netcell anew, sleeps until then, and
//! starts the container, unless the note is gone by then: `stop`, `start` and `rm` take it away.

use crate::engine::record::{Again, ContainerRecord, Exit, UnixNanos};
use crate::engine::settings::{Restart, When};
use crate::engine::spec::Places;
use crate::engine::view::Container;
use crate::engine::{Engine, Run, Silence};
use crate::error::Result;
use crate::sys::{fd, process, signal, time};
use crate::types::Id;
use rustix::fd::AsFd;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// `argv[0]` of the process that waits: `main` calls [`main`] when it sees it.
pub const NAME: &str = "netcell:again";

/// Docker's back-off: the first pause, the longest, and the run after which it begins anew, in nanoseconds.
const FIRST: u64 = 100_000_000;
const LONGEST: u64 = 60_000_000_000;
const LONG_RUN: u64 = 10_000_000_000;

/// How much later than due a start may be until it counts as forgotten: whoever waited for it must have died.
pub(super) const LATE: u64 = 10_000_000_000;

/// When a container that has ended is started again; none if it is not.
fn next(policy: Restart, again: &Again, exit: Exit, began: UnixNanos) -> Option<Again> {
    let wanted = match policy.when {
        When::Always | When::UnlessStopped => true,
        When::OnFailure => exit.code != 0 && (policy.most == 0 || again.count < policy.most),
    };
    if again.stopped || !wanted {
        return None;
    }
    let pause = match again.pause {
        _ if exit.at.saturating_sub(began) >= LONG_RUN => FIRST,
        0 => FIRST,
        pause => (pause * 2).min(LONGEST),
    };
    Some(Again {
        count: again.count + 1,
        pause,
        due: Some(time::now() + pause),
        stopped: false,
    })
}

/// What the monitor of a container with a policy does last. It has nobody to tell an error to.
pub(super) fn after(places: &Places, id: &Id, exit: Exit) {
    let run = &mut Run {
        say: &mut Silence,
        dry_run: false,
    };
    let due = Engine::open(places, run).and_then(|engine| engine.note_next(id, exit));
    if let Ok(Some((due, pause))) = due {
        leave_behind(places, id, due, pause);
    }
}

/// Leaves the process behind that waits: netcell anew, with none of this one's memory and descriptors.
fn leave_behind(places: &Places, id: &Id, due: UnixNanos, pause: u64) {
    let _ = process::fork(|| {
        let [id, due, pause] = [id.to_string(), due.to_string(), pause.to_string()];
        anew(&[
            NAME.as_bytes(),
            places.state.as_os_str().as_bytes(),
            places.images.as_os_str().as_bytes(),
            id.as_bytes(),
            due.as_bytes(),
            pause.as_bytes(),
        ])
    });
}

/// Executes netcell anew with these words: what a process does that has just been forked. Returns only on failure.
pub(super) fn anew(words: &[&[u8]]) -> u8 {
    let _ = rustix::process::setsid();
    let Ok(null) = crate::sys::path::null() else {
        return 1;
    };
    let null = null.as_fd();
    if fd::place(&[null, null, null]).is_err() {
        return 1;
    }
    let words = words.iter().filter_map(|word| CString::new(*word).ok());
    process::execve(c"/proc/self/exe", &words.collect::<Vec<_>>(), &[]);
    1
}

/// Where things are, by the first two words that such a process got.
pub(super) fn places(words: &mut impl Iterator<Item = OsString>) -> Option<Places> {
    Some(Places {
        state: words.next()?.into(),
        images: words.next()?.into(),
    })
}

/// The whole of the process that waits: `words` are what [`leave_behind`] gave it, without the first.
pub fn main(mut words: impl Iterator<Item = OsString>) -> u8 {
    signal::reset();
    signal::ignore_broken_pipes();
    let Some(places) = places(&mut words) else {
        return 1;
    };
    let mut text = || words.next()?.into_string().ok();
    let (Some(id), Some(due), Some(pause)) = (text(), text(), text()) else {
        return 1;
    };
    let (Ok(due), Ok(pause)) = (due.parse(), pause.parse()) else {
        return 1;
    };
    time::sleep(Duration::from_nanos(pause));
    let run = &mut Run {
        say: &mut Silence,
        dry_run: false,
    };
    let started = Engine::open(&places, run).and_then(|engine| engine.start_due(&id, due, run));
    u8::from(started.is_err())
}

impl Engine {
    /// Notes when a container whose monitor this process is, and which has ended, is due again: then, and in how long.
    fn note_next(&self, id: &Id, exit: Exit) -> Result<Option<(UnixNanos, u64)>> {
        let locked = self.store.lock()?;
        let Some(mut record) = self.record_of(id)? else {
            return Ok(None);
        };
        let (Some(policy), Some(start)) = (record.settings().restart, &record.start) else {
            return Ok(None);
        };
        let last = record.again.clone().unwrap_or_default();
        let next = next(policy, &last, exit, start.at);
        // Another start may have begun already, of which this is not the monitor.
        if start.monitor != std::process::id() {
            return Ok(None);
        }
        let Some(next) = next else {
            return Ok(None);
        };
        let noted = next.due.map(|due| (due, next.pause));
        record.again = Some(next);
        self.store.write_container(&locked, &record)?;
        Ok(noted)
    }

    fn record_of(&self, id: &Id) -> Result<Option<Box<ContainerRecord>>> {
        let Some(name) = self.store.name_of(&id.to_string()) else {
            return Ok(None);
        };
        let record = self.store.read::<ContainerRecord>(&name)?;
        Ok(record.filter(|record| record.id == *id))
    }

    /// Starts a container again if it still is to be started then.
    fn start_due(&self, id: &str, due: UnixNanos, run: &mut Run) -> Result<()> {
        let is_due = |record: &ContainerRecord| {
            let again = record.again.as_ref();
            record.id.to_string() == id && again.is_some_and(|again| again.due == Some(due))
        };
        if self
            .find_container(id)
            .is_ok_and(|found| is_due(&found.record))
        {
            self.start_if(id, &is_due, None, run)?;
        }
        Ok(())
    }

    /// Takes note that a container's user wants it stopped, before it is: it is not started again by itself. The
    /// container as it is then.
    pub(super) fn note_stopped(&self, container: Container) -> Result<Container> {
        if container.record.settings().restart.is_none() {
            return Ok(container);
        }
        let id = container.record.id;
        loop {
            let locked = self.store.lock()?;
            let Some(mut record) = self.record_of(&id)? else {
                break;
            };
            // Being started by its policy just now: when that is done there is a process to stop.
            if self.store.is_under_way(&record.name)? {
                drop(locked);
                self.store.wait_for(&record.name)?;
                // What nobody is at any more, and cannot be settled from here, would be waited for again and again.
                self.store.refuse_left(&record.name)?;
                continue;
            }
            let again = record.again.get_or_insert_default();
            again.stopped = true;
            again.due = None;
            self.store.write_container(&locked, &record)?;
            break;
        }
        self.find_container(&id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(policy: Restart, code: u8, seconds: u64, times: usize) -> Vec<u64> {
        let exit = Exit {
            code,
            at: seconds * 1_000_000_000,
        };
        let mut again = Again::default();
        let mut pauses = Vec::new();
        for _ in 0..times {
            match next(policy, &again, exit, 0) {
                Some(next) => again = next,
                None => break,
            }
            pauses.push(again.pause / 1_000_000);
        }
        pauses
    }

    #[test]
    fn the_pause_doubles_up_to_a_minute_and_begins_anew_after_a_long_run() {
        let always = Restart {
            when: When::Always,
            most: 0,
        };
        let all = pauses(always, 0, 1, 12);
        assert_eq!(all[..5], [100, 200, 400, 800, 1600]);
        assert_eq!(all[10..], [60_000, 60_000]);
        assert_eq!(pauses(always, 1, 10, 3), [100, 100, 100]);
    }

    #[test]
    fn on_failure_means_so_often_and_only_then() {
        let policy = |most| Restart {
            when: When::OnFailure,
            most,
        };
        assert_eq!(pauses(policy(3), 1, 1, 9).len(), 3);
        assert_eq!(pauses(policy(0), 1, 1, 9).len(), 9);
        assert_eq!(pauses(policy(3), 0, 1, 9).len(), 0);
    }
}
