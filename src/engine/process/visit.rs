//! Coming to a container that runs, through its door: `attach`.

use super::attach::{self, Attended, Line, Session, Until, take_signals};
use super::door;
use super::pipe::pipe;
use crate::engine::record::Process;
use crate::engine::spec::Stay;
use crate::error::{Errno, Error, Result};
use crate::sys::handover;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::BorrowedFd;
use rustix::stdio;

/// How long the monitor may take to answer: another visitor whose terminal stands still keeps it, and the container.
const PATIENCE: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

/// Stays with a container that runs until its monitor has ended, or the user leaves.
///
/// # Errors
/// A container that does not run, or one with too many visitors.
pub fn visit(directory: BorrowedFd, process: Process, stay: &Stay) -> Result<Attended> {
    let os = |e| Error::os("attach to the container", e);
    let signals = take_signals()?;
    let ((out, their_out), (err, their_err)) = (pipe()?, pipe()?);
    let (answer, their_answer) = handover::pair().map_err(os)?;
    let stopped = || match process.open() {
        // It has outlived whoever opens the door.
        Ok(_) => unwatched("attach to the container"),
        Err(_) => Error::new("You cannot attach to a stopped container, start it first"),
    };
    let brought = [&their_out, &their_err, &their_answer];
    door::knock(directory, brought).map_err(|errno| match errno {
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
        (Some(door::TERMINAL), Some(master)) => {
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
        (Some(door::FULL), _) => return Err(busy("too many are attached")),
        (Some(_), input) => (input.filter(|_| stay.stdin), None),
        (None, _) => return Err(stopped()),
    };
    let session = Session {
        until: Until::Silence,
        target: attach::target(process, stay),
        stdin,
        outputs: vec![(out, Some(stdio::stdout())), (err, Some(stdio::stderr()))],
        signals,
        leave: attach::leave(stay, line.is_some()),
        line,
    };
    attach::done(session.run()?)
}

/// What cannot be done with a container that runs on without its monitor.
pub fn unwatched(action: &str) -> Error {
    Error::new(format_args!(
        "cannot {action}: its monitor was killed, and what it writes is lost until `netcell restart` gives it one again"
    ))
}
