//! Reading a container's log, and following it to the container's end.

use crate::engine::Engine;
use crate::engine::find;
use crate::engine::process::log::{Entry, Reader};
use crate::engine::record::{ContainerRecord, UnixNanos};
use crate::engine::view::Status;
use crate::error::{Errno, Error, Result};
use crate::sys::time;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::process::{Pid, PidfdFlags};
use std::path::Path;
use std::time::Duration;

/// How often is looked where the kernel tells nobody (CONFIG_INOTIFY_USER).
const BLIND: Duration = Duration::from_millis(100);

impl Engine {
    /// Hands the entries of a container's log to `sink`, oldest first; none says that there are no more for now. Until
    /// `sink` has had enough, or, with `follow`, until the container has ended or `until` is over.
    pub fn logs(
        &self,
        reference: &str,
        follow: bool,
        until: Option<UnixNanos>,
        sink: &mut dyn FnMut(Option<Entry<'_>>) -> Result<bool>,
    ) -> Result<()> {
        let record = self.find_container(reference)?.record;
        let directory = self.store.path(&format!("containers/{}", record.name));
        let watch = follow.then(|| watch(&directory)).transpose()?.flatten();
        let mut reader = Reader::new(&directory);
        loop {
            // Before the log is read: what was written before the end is in there.
            let monitor = self.monitor_of(&record)?;
            let mut go_on = Ok(true);
            reader.read(&mut |entry| {
                if let Ok(true) = go_on {
                    go_on = sink(Some(entry));
                }
            })?;
            let over = until.is_some_and(|until| until < time::now());
            if !go_on? || !sink(None)? || !follow || over {
                return Ok(());
            }
            match monitor {
                Some(monitor) => wait(watch.as_ref(), &monitor, until),
                None => return Ok(()),
            }
        }
    }

    /// The monitor of a container that runs, and is still the one that it was.
    fn monitor_of(&self, record: &ContainerRecord) -> Result<Option<OwnedFd>> {
        let now = self.store.read::<ContainerRecord>(&record.name)?;
        let Some(now) = now.filter(|now| now.id == record.id) else {
            return Ok(None);
        };
        let monitor = now
            .start
            .as_ref()
            .and_then(|start| Pid::from_raw(start.monitor.cast_signed()));
        let monitor =
            monitor.and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
        let running = find::status(&self.store, &now)?.0 == Status::Running;
        Ok(monitor.filter(|_| running))
    }
}

/// Hears of what is written in a container's directory: to its log, and at the end to `exit`.
fn watch(directory: &Path) -> Result<Option<OwnedFd>> {
    let watch = match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
        Ok(watch) => watch,
        Err(Errno::NOSYS) => return Ok(None),
        Err(errno) => return Err(Error::os("watch a log", errno)),
    };
    let events =
        WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF;
    inotify::add_watch(&watch, directory, events)
        .map_err(|errno| Error::os(format_args!("watch {}", directory.display()), errno))?;
    Ok(Some(watch))
}

/// Until something is written, the monitor ends, or time is up.
fn wait(watch: Option<&OwnedFd>, monitor: &OwnedFd, until: Option<UnixNanos>) {
    let left = until
        .map(|until| Duration::from_nanos(until.saturating_sub(time::now()).saturating_add(1)));
    let left = match watch {
        None => Some(left.map_or(BLIND, |left| left.min(BLIND))),
        Some(_) => left,
    };
    let left = left.and_then(|left| Timespec::try_from(left).ok());
    let mut fds = vec![PollFd::new(monitor, PollFlags::IN)];
    fds.extend(watch.map(|watch| PollFd::new(watch, PollFlags::IN)));
    // Whatever it is, the log is read again.
    let _ = poll(&mut fds, left.as_ref());
    if let Some(watch) = watch {
        while rustix::io::read(watch, &mut [0; 4096]).is_ok_and(|read| read > 0) {}
    }
}
