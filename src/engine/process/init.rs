//! `--init`: a first process that is not the program. It hands signals on to that, reaps what nobody waits for, and
//! ends as the program does, with which everything else in its PID namespace ends, too (pid_namespaces(7)).

use crate::error::{Errno, Error, Result};
use crate::sys::{fd, process, signal};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

/// Runs `program`, which only returns when it could not become what it is to be, in a child of this process.
///
/// Returns only with an error; else the process ends here. Nothing but stdio stays open in it.
pub(super) fn run(program: impl FnOnce() -> u8) -> Error {
    match start(program) {
        Ok(code) => process::exit_now(code),
        Err(errno) => Error::os("start the program under an init", errno),
    }
}

fn start(program: impl FnOnce() -> u8) -> Result<u8, Errno> {
    let all = signal::Set::all();
    all.block();
    let child = process::fork(|| {
        signal::reset();
        program()
    })?;
    let pidfd = rustix::process::pidfd_open(child, PidfdFlags::empty())?;
    let signals = all.descriptor()?;
    // The command waits for the end of the pipe that the program closes by being executed.
    fd::close_from(3, &[pidfd.as_fd(), signals.as_fd()]);
    let _ = rustix::thread::set_name(c"init");
    loop {
        let _ = poll(&mut [PollFd::new(&signals, PollFlags::IN)], None);
        while let Some(number) = signal::next(&signals) {
            if number != Signal::CHILD.as_raw() {
                hand_on(&pidfd, number);
            }
        }
        if let Some(code) = reap(child) {
            return Ok(code);
        }
    }
}

fn hand_on(program: &OwnedFd, number: i32) {
    // It may have ended just now.
    let _ = process::signal(program, number);
}

/// Takes note of all that have ended: the program's exit code, or 128 plus its signal, if it is among them.
fn reap(program: Pid) -> Option<u8> {
    let mut code = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid == program {
            let killed = status.terminating_signal().map(|signal| 128 + signal);
            code = status
                .exit_status()
                .or(killed)
                .map(|code| (code & 0xff) as u8);
        }
    }
    code
}
