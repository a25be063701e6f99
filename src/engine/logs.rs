//! Reading a container's log, and following it to the container's end.

use crate::engine::Engine;
use crate::engine::find::Held;
use crate::engine::process::log::{Entry, Reader};
use crate::engine::process::{Handle, unwatched};
use crate::engine::record::UnixNanos;
use crate::engine::store::Directory;
use crate::engine::view::Container;
use crate::error::{Errno, Error, Result};
use crate::sys::fd::is_ready;
use crate::sys::lock::{self, Hold};
use crate::sys::time;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::process::{Pid, PidfdFlags};
use std::time::Duration;

/// How often is looked where the kernel tells nobody (CONFIG_INOTIFY_USER).
const BLIND: Duration = Duration::from_millis(100);

impl Engine {
    /// Hands the entries of a container's log to `sink`, oldest first; none says that there are no more for now. Until
    /// `sink` has had enough, or, with `follow`, until the container has ended or `until` is over.
    ///
    /// # Errors
    /// A container to follow that runs on without its monitor: nobody writes its log.
    pub fn logs(
        &self,
        reference: &str,
        follow: bool,
        until: Option<UnixNanos>,
        sink: &mut dyn FnMut(Option<Entry<'_>>) -> Result<bool>,
    ) -> Result<()> {
        let Held {
            container,
            home,
            exit,
        } = self.hold(reference)?;
        let watch = follow.then(|| watch(&home)).transpose()?.flatten();
        let monitor = monitor_of(&container, exit).filter(|_| follow);
        let mut reader = Reader::new(&home);
        loop {
            // Before the log is read: what was written before the end is in there.
            let monitor = monitor.as_ref();
            let monitor = monitor.filter(|monitor| !is_ready(monitor.as_fd(), PollFlags::IN));
            let mut go_on = Ok(true);
            reader.read(&mut |entry| {
                if let Ok(true) = go_on {
                    go_on = sink(Some(entry));
                }
            })?;
            let over = until.is_some_and(|until| until < time::now());
            if !go_on? || !sink(None)? || over {
                return Ok(());
            }
            match monitor {
                Some(monitor) => wait(watch.as_ref(), monitor, until),
                None if follow && outlives_its_monitor(&container) => {
                    return Err(unwatched("follow the container's log"));
                }
                None => return Ok(()),
            }
        }
    }
}

/// The monitor of a container that runs.
fn monitor_of(container: &Container, exit: Option<OwnedFd>) -> Option<OwnedFd> {
    let start = container.record.start.as_ref()?;
    let pid = Pid::from_raw(start.monitor.cast_signed())?;
    let monitor = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // It holds the lock for life. Who does so after its number was looked up has it still, and no other process.
    let lives = lock::try_lock(exit?, Hold::Shared) == Ok(false);
    lives.then_some(monitor)
}

/// Whether a container runs whose monitor does not: that waits for its first process before it ends.
fn outlives_its_monitor(container: &Container) -> bool {
    let start = container.record.start.as_ref();
    start.is_some_and(|start| Handle::open(start.process()).is_ok_and(|first| first.is_some()))
}

/// Hears of what is written in a container's directory: to its log, and at the end to `exit`.
fn watch(home: &Directory) -> Result<Option<OwnedFd>> {
    let watch = match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
        Ok(watch) => watch,
        Err(Errno::NOSYS) => return Ok(None),
        Err(errno) => return Err(Error::os("watch a log", errno)),
    };
    let events =
        WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF;
    let directory = format!("/proc/self/fd/{}", home.as_fd().as_raw_fd());
    inotify::add_watch(&watch, directory, events)
        .map_err(|errno| home.error("watch", "", errno))?;
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
