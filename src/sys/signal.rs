//! Signals: dispositions, masks, and a descriptor to read them from.

use crate::sys::last_errno;
use rustix::fd::{FromRawFd, OwnedFd};
use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::ptr;

/// The highest signal number, SIGRTMAX as the kernel counts (`_NSIG`).
const LAST: i32 = 64;

/// A set of signals.
#[derive(Clone, Copy)]
pub struct Set(libc::sigset_t);

impl Set {
    /// Every signal.
    pub fn all() -> Self {
        let mut set = MaybeUninit::zeroed();
        // SAFETY: sigfillset(3) initialises the set that it is given.
        unsafe { libc::sigfillset(set.as_mut_ptr()) };
        // SAFETY: initialised by the line above; all zeroes would be a valid empty set, too.
        Set(unsafe { set.assume_init() })
    }

    /// The set without these signals.
    pub fn without(mut self, signals: &[i32]) -> Self {
        for &signal in signals {
            // SAFETY: the set is initialised; an invalid number is refused with EINVAL.
            unsafe { libc::sigdelset(&raw mut self.0, signal) };
        }
        self
    }

    /// Blocks the set, and no other signal.
    pub fn block(&self) {
        // SAFETY: the set is initialised, and the old mask is not asked for.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }

    /// A descriptor that these signals, blocked, are read from. See signalfd(2).
    pub fn descriptor(&self) -> Result<OwnedFd, Errno> {
        // SAFETY: the set is initialised; -1 asks for a new descriptor.
        match unsafe {
            libc::signalfd(
                -1,
                &raw const self.0,
                libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
            )
        } {
            -1 => Err(last_errno()),
            // SAFETY: a new descriptor that nobody else owns.
            fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        }
    }
}

/// The number of the next signal that waits in a [`Set::descriptor`].
pub fn next(descriptor: &OwnedFd) -> Option<i32> {
    // struct signalfd_siginfo is 128 bytes and begins with ssi_signo, in the machine's byte order.
    let mut info = [0u8; 128];
    match rustix::io::read(descriptor, &mut info) {
        Ok(128) => Some(i32::from_ne_bytes([info[0], info[1], info[2], info[3]])),
        _ => None,
    }
}

/// Gives every signal its default action and blocks none: what a program expects at its start.
///
/// For a process that is about to exec, which by itself gives up handlers, but not what is ignored (execve(2)).
pub fn reset() {
    let ignored = super::file::text("/proc/self/status").map_or(u64::MAX, |s| ignored(&s));
    for signal in (1..=LAST).filter(|signal| ignored >> (signal - 1) & 1 != 0) {
        // SAFETY: SIG_DFL runs none of our code; KILL, STOP and the C library's own are refused with EINVAL.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let mut none = MaybeUninit::zeroed();
    // SAFETY: sigemptyset(3) initialises the set that it is given.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: initialised by the line above, and the old mask is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut()) };
}

/// As std has it from a program's start: a pipe that nobody reads is an error of write(2), EPIPE, and no death.
pub fn ignore_broken_pipes() {
    // SAFETY: SIG_IGN runs none of our code.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// The mask of ignored signals in the text of /proc/PID/status (proc_pid_status(5)); all, where it is not there.
fn ignored(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status() {
        let status = "Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored(status), 1 << 12 | 1);
        assert_eq!(ignored("Name:\tx\n"), u64::MAX);
    }
}
