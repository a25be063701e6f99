//! Coming to a container that runs: `attach`.
//!
//! The monitor has a door, a socket in the container's directory. A visitor sends three descriptors through it: two
//! pipes for the output, and a socket for the answer, which is the other end of the container's stdin or terminal. So the
//! monitor only ever writes, as it does to the log: what a visitor types goes to the container directly. When a visitor
//! leaves, however that happens, writing to the pipes fails, and they are forgotten.

use super::attach::{Line, Session, Until, take_signals};
use super::spawn::{done, pipe};
use super::{Attended, attach};
use crate::engine::spec::Stay;
use crate::error::{Errno, Error, Result};
use crate::sys::{handover, path, process};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::process::Pid;
use rustix::stdio;
use std::path::Path;

/// The door's name in the container's directory.
pub const DOOR: &str = "attach";

/// The most visitors at a time: each is two descriptors of the monitor's.
const MOST: usize = 16;

/// How long the monitor may take to answer: another visitor whose terminal stands still keeps it, and the container.
const PATIENCE: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

/// What the answer says: a terminal, stdin, or nothing to write to.
const TERMINAL: u8 = b'T';
const STDIN: u8 = b'I';
const NOTHING: u8 = b'-';
const FULL: u8 = b'F';

/// Opens the door of a container that is about to be started; what an earlier start left there goes.
pub(super) fn door(directory: &Path) -> Result<OwnedFd> {
    let open = || {
        let dir = path::directory(directory)?;
        match rustix::fs::unlinkat(&dir, DOOR, rustix::fs::AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => handover::door(dir.as_fd(), DOOR),
            Err(errno) => Err(errno),
        }
    };
    open().map_err(|e| Error::os(format_args!("make {}/{DOOR}", directory.display()), e))
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

/// Whether somebody still reads from a pipe.
pub(super) fn is_read(pipe: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pipe, PollFlags::empty())];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|failed| failed == 0)
}

/// A process that is stayed with: its pid, and when it began.
pub type Process = (u32, u64);

/// Stays with a container that runs until its monitor has ended, or the user leaves.
///
/// # Errors
/// A container that does not run, or one with too many visitors.
pub fn visit(directory: &Path, (pid, start): Process, stay: &Stay) -> Result<Attended> {
    let os = |e| Error::os("attach to the container", e);
    let signals = take_signals()?;
    let ((out, their_out), (err, their_err)) = (pipe()?, pipe()?);
    let (answer, their_answer) = handover::pair().map_err(os)?;
    let knock = || {
        let dir = path::directory(directory)?;
        let door = handover::knock(dir.as_fd(), DOOR)?;
        let fds = [&their_out, &their_err, &their_answer].map(AsFd::as_fd);
        handover::send(door, b'A', &fds)
    };
    let stopped = || Error::new("You cannot attach to a stopped container, start it first");
    knock().map_err(|errno| match errno {
        Errno::CONNREFUSED | Errno::NOENT => stopped(),
        errno => os(errno),
    })?;
    drop((their_out, their_err, their_answer));
    let busy = |why| Error::new(format_args!("cannot attach to the container: {why}"));
    let mut fds = [PollFd::new(&answer, PollFlags::IN)];
    if !poll(&mut fds, Some(&PATIENCE)).is_ok_and(|ready| ready > 0) {
        return Err(busy("somebody who is attached takes none of its output"));
    }
    let (byte, mut fds) = handover::receive(&answer, true).map_err(os)?;
    let input = fds.pop();
    let (stdin, line) = match (byte, input) {
        (Some(TERMINAL), Some(master)) => {
            let line = Line {
                master,
                keys: &stay.keys,
            };
            line.redraw();
            let stdin = match stay.stdin {
                true => Some(line.master.try_clone().map_err(|_| os(Errno::MFILE))?),
                false => None,
            };
            (stdin, Some(line))
        }
        (Some(FULL), _) => return Err(busy("too many are attached")),
        (Some(_), input) => (input.filter(|_| stay.stdin), None),
        (None, _) => return Err(stopped()),
    };
    let session = Session {
        until: Until::Silence,
        target: target((pid, start), stay),
        stdin,
        outputs: vec![(out, stdio::stdout()), (err, stdio::stderr())],
        signals,
        leave: attach::leave(stay, line.is_some()),
        line,
    };
    done(session.run()?)
}

/// Who gets the signals of a command that stays with a container's process.
pub(super) fn target((pid, start): Process, stay: &Stay) -> Option<OwnedFd> {
    // Ended already: then there is nobody to send signals to.
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    process::pidfd(pid, start).ok().filter(|_| stay.proxy)
}
