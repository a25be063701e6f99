//! A command's stdin on its way to a program.

use super::escape::Escape;
use crate::types::DetachKeys;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;

/// Bytes read at once.
const CHUNK: usize = 8192;

/// Stdin on its way.
pub(super) struct Feed {
    pipe: OwnedFd,
    bytes: Vec<u8>,
    escape: Option<Escape>,
}

/// What became of stdin.
pub(super) enum Fed {
    /// It goes on.
    On(Feed),
    /// It has ended, or nobody reads it any more.
    End,
    /// The keys that detach were in it.
    Detached,
}

impl Feed {
    /// To the writing end of a pipe, or to a terminal, where these keys detach.
    pub fn new(pipe: OwnedFd, keys: Option<&DetachKeys>) -> Self {
        // A container that does not read must not keep signals and output waiting.
        let _ = rustix::io::ioctl_fionbio(&pipe, true);
        Feed {
            pipe,
            bytes: Vec::new(),
            escape: keys.map(Escape::new),
        }
    }

    /// Waits for stdin while nothing is on its way, else for room.
    pub fn poll(&self) -> PollFd<'_> {
        if self.bytes.is_empty() {
            PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN)
        } else {
            PollFd::new(&self.pipe, PollFlags::OUT)
        }
    }

    /// Moves what can be moved; at stdin's end, or when nobody reads it any more, the pipe is closed.
    pub fn step(mut self) -> Fed {
        if self.bytes.is_empty() {
            let mut chunk = [0; CHUNK];
            let typed = match rustix::io::read(rustix::stdio::stdin(), &mut chunk) {
                Ok(0) => return Fed::End,
                Ok(n) => &chunk[..n],
                Err(Errno::INTR | Errno::AGAIN) => return Fed::On(self),
                Err(_) => return Fed::End,
            };
            match &mut self.escape {
                None => self.bytes.extend_from_slice(typed),
                Some(escape) => {
                    if escape.pass(typed, &mut self.bytes) {
                        return Fed::Detached;
                    }
                }
            }
        }
        match rustix::io::write(self.pipe.as_fd(), &self.bytes) {
            Ok(n) => {
                self.bytes.drain(..n);
                Fed::On(self)
            }
            Err(Errno::INTR | Errno::AGAIN) => Fed::On(self),
            Err(_) => Fed::End,
        }
    }
}
