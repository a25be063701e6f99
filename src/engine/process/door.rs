//! A container's door, at which those who come later knock: a socket in its directory, of its monitor's.
//!
//! A visitor sends three descriptors through it: two pipes for the output, and a socket for the answer, which is the other
//! end of the container's stdin or terminal. So the monitor only ever writes, as it does to the log: what a visitor types goes
//! to the container directly. When a visitor leaves, however that happens, writing to the pipes fails, and they are forgotten.

use crate::error::{Errno, Error, Result};
use crate::sys::{handover, path};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The door's name in the container's directory.
const DOOR: &str = "attach";

/// The most visitors at a time: each is two descriptors of the monitor's.
const MOST: usize = 16;

/// What the answer says: a terminal, stdin, or nothing to write to.
pub(super) const TERMINAL: u8 = b'T';
const STDIN: u8 = b'I';
const NOTHING: u8 = b'-';
pub(super) const FULL: u8 = b'F';

/// Opens the door of a container that is about to be started; what an earlier start left there goes.
pub(super) fn open(directory: &Path) -> Result<OwnedFd> {
    let make = || {
        let dir = path::directory(directory)?;
        match rustix::fs::unlinkat(&dir, DOOR, rustix::fs::AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => handover::door(dir.as_fd(), DOOR),
            Err(errno) => Err(errno),
        }
    };
    make().map_err(|e| Error::os(format_args!("make {}/{DOOR}", directory.display()), e))
}

/// Stands at the door of a container with what a visitor brings; ECONNREFUSED or ENOENT where nobody is behind it.
pub(super) fn knock(directory: BorrowedFd, brought: [&OwnedFd; 3]) -> Result<(), Errno> {
    let door = handover::knock(directory, DOOR)?;
    handover::send(door, b'A', &brought.map(AsFd::as_fd))
}

/// Lets in whoever stands at the door: the pipes for their outputs, if they come in.
pub(super) fn admit(
    door: &OwnedFd,
    visitors: usize,
    terminal: Option<&OwnedFd>,
    stdin: Option<&OwnedFd>,
) -> Option<[OwnedFd; 2]> {
    let (_, fds) = handover::receive(door, false).ok()?;
    let [out, err, answer] = <[OwnedFd; 3]>::try_from(fds).ok()?;
    if visitors >= MOST {
        handover::send(&answer, FULL, &[]).ok()?;
        return None;
    }
    let (byte, fd) = match (terminal, stdin) {
        (Some(terminal), _) => (TERMINAL, Some(terminal.as_fd())),
        (None, Some(stdin)) => (STDIN, Some(stdin.as_fd())),
        (None, None) => (NOTHING, None),
    };
    let fds: &[BorrowedFd<'_>] = fd.as_slice();
    handover::send(&answer, byte, fds).ok()?;
    Some([out, err])
}
