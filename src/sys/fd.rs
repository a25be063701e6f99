//! File descriptors: which ones a process keeps, and at which numbers.

use crate::sys::last_errno;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::io::{Errno, FdFlags};

/// Above every number that [`place`] gives out.
const HIGH: i32 = 10;

/// Closes every descriptor from `first` on, except `keep`. See close_range(2), Linux 5.9.
///
/// For a process that has just been forked or is about to exec: it closes numbers, whoever owns them.
pub fn close_from(first: i32, keep: &[BorrowedFd<'_>]) {
    let mut keep: Vec<i32> = keep.iter().map(AsRawFd::as_raw_fd).collect();
    keep.sort_unstable();
    let mut from = first;
    for fd in keep.into_iter().filter(|&fd| fd >= first) {
        if fd > from {
            close_between(from, fd - 1);
        }
        from = fd + 1;
    }
    close_between(from, i32::MAX);
}

fn close_between(first: i32, last: i32) {
    // SAFETY: integers only; the numbers are given up by the caller's contract.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if done == 0 {
        return;
    }
    // Behind an old seccomp filter or an emulator: one by one, as far as any is open.
    let mut open: Vec<i32> = match super::file::names("/proc/self/fd") {
        Ok(names) => names
            .iter()
            .filter_map(|name| name.to_str()?.parse().ok())
            .collect(),
        Err(_) => (first..last.min(1024)).collect(),
    };
    open.retain(|fd| (first..=last).contains(fd));
    for fd in open {
        // SAFETY: as above.
        unsafe { libc::close(fd) };
    }
}

/// Puts `fds` at the numbers 0, 1, 2 … without close-on-exec and closes every other descriptor.
///
/// For a process that is about to exec: whatever owned the numbers before is overwritten.
pub fn place(fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    // First all of them up, so that none is overwritten before it is placed.
    let mut high = Vec::with_capacity(fds.len());
    for fd in fds {
        // SAFETY: fcntl(2) with integers; the new number is closed below.
        match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, HIGH) } {
            -1 => return Err(last_errno()),
            number => high.push(number),
        }
    }
    for (number, from) in (0i32..).zip(&high) {
        // SAFETY: dup2(2) with integers; by this function's contract nothing else uses the number any more.
        if unsafe { libc::dup2(*from, number) } < 0 {
            return Err(last_errno());
        }
    }
    close_from(fds.len() as i32, &[]);
    Ok(())
}

/// Writes all of it: at the descriptor's own offset, or at `at`. See write(2).
///
/// # Errors
/// A write that is cut short is gone on with, and what stopped it has an errno then.
pub fn write_all(fd: impl AsFd, mut bytes: &[u8], mut at: Option<u64>) -> Result<(), Errno> {
    let fd = fd.as_fd();
    while !bytes.is_empty() {
        let written = match at {
            Some(at) => rustix::io::pwrite(fd, bytes, at),
            None => rustix::io::write(fd, bytes),
        };
        match written {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(n) => {
                bytes = &bytes[n..];
                at = at.map(|at| at + n as u64);
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Reads a file from `at` on into all of `bytes`, or to its end: how much was read.
pub fn read_at(fd: impl AsFd, bytes: &mut [u8], at: u64) -> Result<usize, Errno> {
    let (fd, mut read) = (fd.as_fd(), 0);
    while read < bytes.len() {
        match rustix::io::pread(fd, &mut bytes[read..], at + read as u64) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(read)
}

/// Sets close-on-exec.
pub fn close_on_exec(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC)
}
/// Whether one of these events, an error or a hang-up is there now. See poll(2).
pub fn is_ready(fd: BorrowedFd<'_>, events: PollFlags) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, events)];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}
