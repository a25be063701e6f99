//! Staying with a process of a container: signals and stdin go to it, output comes from it.

use super::monitor::write_all;
use crate::error::{Error, Result};
use crate::sys::{process, signal};
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

/// Signals that are not handed on: faults of this process, its own job control and bookkeeping (as Docker's sig-proxy).
const OWN: [i32; 12] = [
    Signal::ALARM.as_raw(),
    Signal::SEGV.as_raw(),
    Signal::BUS.as_raw(),
    Signal::ILL.as_raw(),
    Signal::FPE.as_raw(),
    Signal::TRAP.as_raw(),
    Signal::SYS.as_raw(),
    Signal::CHILD.as_raw(),
    Signal::PIPE.as_raw(),
    Signal::URG.as_raw(),
    Signal::TTIN.as_raw(),
    Signal::TTOU.as_raw(),
];

/// Bytes moved at once.
const CHUNK: usize = 8192;

/// From now on the signals that are to be handed on wait in a descriptor.
pub(super) fn take_signals() -> Result<OwnedFd> {
    let set = signal::Set::all().without(&OWN);
    let descriptor = set
        .descriptor()
        .map_err(|e| Error::os("receive signals", e))?;
    set.block();
    Ok(descriptor)
}

/// How the process that was watched ended.
pub(super) enum Ended {
    /// With this exit code.
    Exited(u8),
    /// By this signal.
    Killed(i32),
}

/// What a command stays with.
pub(super) struct Session {
    /// Its child, whose end it waits for: a monitor, or the process itself.
    pub child: Pid,
    /// Who gets its signals.
    pub target: Option<OwnedFd>,
    /// Who gets its stdin.
    pub stdin: Option<OwnedFd>,
    /// What it writes to its own stdout or stderr.
    pub outputs: Vec<(OwnedFd, BorrowedFd<'static>)>,
    /// From [`take_signals`].
    pub signals: OwnedFd,
}

/// Stdin on its way.
struct Feed {
    pipe: OwnedFd,
    bytes: Vec<u8>,
}

impl Session {
    /// Until the child has ended and its output has been written.
    pub fn run(self) -> Result<Ended> {
        let Session {
            child,
            target,
            stdin,
            mut outputs,
            signals,
        } = self;
        let os = |e| Error::os("wait for the container", e);
        let pidfd = rustix::process::pidfd_open(child, PidfdFlags::empty()).map_err(os)?;
        let mut feed = stdin.map(Feed::new);
        for (pipe, _) in &outputs {
            rustix::io::ioctl_fionbio(pipe, true).map_err(os)?;
        }
        loop {
            let mut fds = vec![
                PollFd::new(&pidfd, PollFlags::IN),
                PollFd::new(&signals, PollFlags::IN),
            ];
            fds.extend(
                outputs
                    .iter()
                    .map(|(pipe, _)| PollFd::new(pipe, PollFlags::IN)),
            );
            fds.extend(feed.iter().map(Feed::poll));
            match rustix::event::poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(os(errno)),
            }
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            drop(fds);
            if ready[1] {
                forward(&signals, target.as_ref());
            }
            if feed.is_some() && ready.last() == Some(&true) {
                feed = feed.and_then(Feed::step);
            }
            let mut ready_output = ready[2..].iter();
            outputs.retain(|(pipe, to)| {
                ready_output.next() != Some(&true) || pump(pipe, *to) != Pumped::End
            });
            if ready[0] {
                for (pipe, to) in &outputs {
                    while pump(pipe, *to) == Pumped::Some {}
                }
                return ended(child).map_err(os);
            }
        }
    }
}

fn ended(child: Pid) -> Result<Ended, Errno> {
    let status = process::wait_status(child)?;
    Ok(match status {
        Ok(code) => Ended::Exited(code),
        Err(signal) => Ended::Killed(signal),
    })
}

fn forward(signals: &OwnedFd, target: Option<&OwnedFd>) {
    while let Some(number) = signal::next(signals) {
        if let Some(target) = target {
            // Gone, or not allowed: its end, if it has ended, is seen elsewhere.
            let _ = process::signal(target, number);
        }
    }
}

#[derive(PartialEq, Eq)]
enum Pumped {
    Some,
    Nothing,
    End,
}

/// Moves once what a pipe has. When nobody takes it any more the writer must still not be blocked: it is thrown away.
fn pump(pipe: &OwnedFd, to: BorrowedFd<'_>) -> Pumped {
    let mut chunk = [0; CHUNK];
    match rustix::io::read(pipe, &mut chunk) {
        Ok(0) => Pumped::End,
        Ok(n) => {
            write_all(to, &chunk[..n]);
            Pumped::Some
        }
        Err(Errno::AGAIN) => Pumped::Nothing,
        Err(Errno::INTR) => Pumped::Some,
        Err(_) => Pumped::End,
    }
}

impl Feed {
    fn new(pipe: OwnedFd) -> Self {
        // A container that does not read must not keep signals and output waiting.
        let _ = rustix::io::ioctl_fionbio(&pipe, true);
        Feed {
            pipe,
            bytes: Vec::new(),
        }
    }

    /// Waits for stdin while nothing is on its way, else for room.
    fn poll(&self) -> PollFd<'_> {
        if self.bytes.is_empty() {
            PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN)
        } else {
            PollFd::new(&self.pipe, PollFlags::OUT)
        }
    }

    /// Moves what can be moved; none when stdin has ended or nobody reads it any more, which closes the pipe.
    fn step(mut self) -> Option<Self> {
        if self.bytes.is_empty() {
            let mut chunk = [0; CHUNK];
            match rustix::io::read(rustix::stdio::stdin(), &mut chunk) {
                Ok(0) => return None,
                Ok(n) => self.bytes.extend_from_slice(&chunk[..n]),
                Err(Errno::INTR | Errno::AGAIN) => return Some(self),
                Err(_) => return None,
            }
        }
        match rustix::io::write(self.pipe.as_fd(), &self.bytes) {
            Ok(n) => {
                self.bytes.drain(..n);
                Some(self)
            }
            Err(Errno::INTR | Errno::AGAIN) => Some(self),
            Err(_) => None,
        }
    }
}
