//! The pipes between a container and whoever gets what it writes.

use crate::error::{Error, Result};
use crate::sys::fd::is_ready;
use crate::sys::path;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

/// A pipe: its reading end, and its writing end.
pub(super) fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|e| Error::os("make a pipe", e))
}

/// A pipe for one of a container's outputs: its reading end, and an end for the container that can be read, too.
///
/// With that the pipe has a reader for as long as the container holds it: should the monitor be killed, a write waits
/// when the pipe is full instead of killing the writer by SIGPIPE (pipe(7)).
pub(super) fn output_pipe() -> Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe()?;
    let path = format!("/proc/self/fd/{}", write.as_raw_fd());
    let both = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    Ok((read, both.unwrap_or(write)))
}

/// What stands where a pipe would, for who reads and writes nothing.
pub(super) fn null() -> Result<OwnedFd> {
    path::null().map_err(|e| Error::os("open /dev/null", e))
}

/// Writes all of it; an error when nobody takes it any more: EPIPE where a pipe has no reader.
pub(super) fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            // Somebody made the terminal non-blocking for all who share it.
            Err(Errno::AGAIN) => {
                let mut room = [PollFd::from_borrowed_fd(to, PollFlags::OUT)];
                let _ = poll(&mut room, None);
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Whether somebody still reads from a pipe.
pub(super) fn is_read(pipe: &OwnedFd) -> bool {
    !is_ready(pipe.as_fd(), PollFlags::empty())
}
