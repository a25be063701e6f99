//! A process of a container by descriptor: no later process of the same number can stand behind it.

use crate::engine::record::Process;
use crate::error::{Errno, Error, Result};
use crate::sys::process;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, Signal};
use std::time::{Duration, Instant};

impl Process {
    /// Its number; none where no process can have it.
    pub(super) fn number(self) -> Option<Pid> {
        i32::try_from(self.pid).ok().and_then(Pid::from_raw)
    }

    /// Its descriptor (pidfd_open(2)); ESRCH when it has ended.
    pub(super) fn open(self) -> Result<OwnedFd, Errno> {
        process::pidfd(self.number().ok_or(Errno::SRCH)?, self.start)
    }
}

/// A process that was alive when this was opened.
pub struct Handle {
    fd: OwnedFd,
    pid: Pid,
}

impl Handle {
    /// Opens it; none when it has ended.
    ///
    /// # Errors
    /// That it cannot be opened (EMFILE, ENOMEM) does not say that it has ended.
    pub fn open(process: Process) -> Result<Option<Self>> {
        let Some(pid) = process.number() else {
            return Ok(None);
        };
        match process.open() {
            Ok(fd) => {
                let handle = Handle { fd, pid };
                // A zombie still has its pid, and has ended all the same.
                Ok((!handle.wait(Duration::ZERO)).then_some(handle))
            }
            Err(Errno::SRCH | Errno::INVAL) => Ok(None),
            Err(errno) => {
                let pid = pid.as_raw_nonzero();
                Err(Error::os(format_args!("open process {pid}"), errno))
            }
        }
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) -> Result<()> {
        match process::signal(&self.fd, signal) {
            // Ended meanwhile, which is what most signals are for.
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(Error::os(format_args!("send signal {signal}"), errno)),
        }
    }

    /// Sends SIGKILL.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL.as_raw())
    }

    /// Waits until it has ended, at most so long: whether it has.
    pub fn wait(&self, patience: Duration) -> bool {
        let end = Instant::now().checked_add(patience);
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            match poll(
                &mut [PollFd::new(&self.fd, PollFlags::IN)],
                timeout.as_ref(),
            ) {
                Ok(ready) => return ready > 0,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }
}
