//! flock(2) with an end to the waiting, and the name of who holds it.
//!
//! A lock belongs to the open file description: it ends with the last descriptor of it, in whichever process. Every
//! forked child therefore closes the lock descriptors it inherited before it does anything else.

use crate::error::{Errno, Error, Result};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{FlockOperation, fstat, major, minor};
use rustix::io::retry_on_intr;
use std::time::Duration;

/// How to hold a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Together with other shared holders.
    Shared,
    /// Alone.
    Exclusive,
}

/// Takes the lock if nobody holds it against us: false when somebody does.
pub fn try_lock(fd: impl AsFd, hold: Hold) -> rustix::io::Result<bool> {
    let operation = match hold {
        Hold::Shared => FlockOperation::NonBlockingLockShared,
        Hold::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    let fd = fd.as_fd();
    match retry_on_intr(|| rustix::fs::flock(fd, operation)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Takes the lock, waiting in the kernel's own queue for at most `patience`.
///
/// # Errors
/// After that, a sentence that names the lock (`what`) and the process that holds it, found in /proc/locks (proc(5)).
pub fn lock(fd: impl AsFd, hold: Hold, patience: Duration, what: &str) -> Result<()> {
    let fd = fd.as_fd();
    let failed = |errno| Error::os(format_args!("lock {what}"), errno);
    if try_lock(fd, hold).map_err(failed)? {
        return Ok(());
    }
    let operation = match hold {
        Hold::Shared => FlockOperation::LockShared,
        Hold::Exclusive => FlockOperation::LockExclusive,
    };
    let alarm = Alarm::after(patience);
    loop {
        match rustix::fs::flock(fd, operation) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) if alarm.rang() => {
                let holder = holder(fd).map_or_else(
                    || "another process".to_owned(),
                    |pid| format!("process {pid}"),
                );
                return Err(Error::new(format_args!(
                    "cannot lock {what}: {holder} has held it for {} seconds",
                    patience.as_secs()
                )));
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
}

/// The process that holds a flock on the same file, from /proc/locks.
fn holder(fd: BorrowedFd<'_>) -> Option<u32> {
    let stat = fstat(fd).ok()?;
    let file = format!(
        "{:02x}:{:02x}:{}",
        major(stat.st_dev),
        minor(stat.st_dev),
        stat.st_ino
    );
    let locks = super::file::text("/proc/locks").ok()?;
    locks
        .lines()
        .filter(|line| line.contains("FLOCK") && !line.contains("->"))
        .find_map(|line| {
            let mut words = line.split_whitespace();
            let pid = words.nth(4)?;
            (words.next()? == file).then(|| pid.parse().ok())?
        })
}

/// An interval timer whose SIGALRM interrupts a blocking call; it rings again every 10 ms, so that a signal which
/// arrives just before the call blocks is not the last one.
struct Alarm {
    end: std::time::Instant,
}

impl Alarm {
    fn after(patience: Duration) -> Self {
        extern "C" fn nothing(_: libc::c_int) {}
        // SAFETY: all zeroes are a valid sigaction: no flags, an empty mask, the default action.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = nothing as *const () as usize;
        // SAFETY: the handler does nothing at all, so it is async-signal-safe; `action` lives over the call. Without
        // SA_RESTART the interrupted flock returns EINTR.
        unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) };
        set_timer(patience, Duration::from_millis(10));
        Alarm {
            end: std::time::Instant::now() + patience,
        }
    }

    fn rang(&self) -> bool {
        std::time::Instant::now() >= self.end
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        set_timer(Duration::ZERO, Duration::ZERO);
    }
}

fn set_timer(first: Duration, then: Duration) {
    // The widths of timeval's fields differ between targets: an inferred `as` fits each.
    let time = |d: Duration| libc::timeval {
        tv_sec: d.as_secs() as _,
        tv_usec: d.subsec_micros() as _,
    };
    let timer = libc::itimerval {
        it_interval: time(then),
        it_value: time(first),
    };
    // SAFETY: `timer` lives over the call, and a null old value is allowed (setitimer(2)).
    unsafe {
        libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
    }
}
