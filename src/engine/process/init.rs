//! `--init`: a first process that is not the program. It hands signals on to that, reaps what nobody waits for, and
//! ends as the program does, with which everything else in its PID namespace ends, too (pid_namespaces(7)).

use crate::error::{Error, Result};
use crate::sys::{process, signal};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

/// The program, of which the calling process is the init from now on.
pub(super) struct Init {
    program: Pid,
    pidfd: OwnedFd,
    signals: OwnedFd,
}

/// Begins a child that runs `program`, which only returns when it could not become what it is to be.
pub(super) fn begin(program: impl FnOnce() -> u8) -> Result<Init> {
    let begin = || {
        let all = signal::Set::all();
        all.block();
        let signals = all.descriptor()?;
        let program = process::fork(|| {
            signal::reset();
            program()
        })?;
        let pidfd = rustix::process::pidfd_open(program, PidfdFlags::empty())?;
        let _ = rustix::thread::set_name(c"init");
        Ok(Init {
            program,
            pidfd,
            signals,
        })
    };
    begin().map_err(|e| Error::os("start the program under an init", e))
}

impl Init {
    /// Until the program has ended: its exit code, or 128 plus its signal.
    pub fn run(self) -> u8 {
        loop {
            let _ = poll(&mut [PollFd::new(&self.signals, PollFlags::IN)], None);
            while let Some(number) = signal::next(&self.signals) {
                if number != Signal::CHILD.as_raw() {
                    hand_on(&self.pidfd, number);
                }
            }
            if let Some(code) = reap(self.program) {
                return code;
            }
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
