//! Staying with a process of a container: signals and stdin go to it, output comes from it.
//!
//! With a terminal between the two the caller's own is raw meanwhile: each key goes through as it is, but for those that
//! detach, and changes of its size are handed on. Whatever ends the session, the mode before comes back with it.

use super::feed::{Fed, Feed};
use super::pipe::write_all;
use crate::engine::record::Process;
use crate::engine::spec::Stay;
use crate::error::{Error, Result, exit};
use crate::sys::pty::Size;
use crate::sys::terminal::{self, Raw};
use crate::sys::{process, pty, signal};
use crate::types::DetachKeys;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{BorrowedFd, OwnedFd};
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

/// The caller's terminal is gone: there is nobody to stay for.
const GONE: &[i32] = &[Signal::HUP.as_raw()];

/// What ends a command that hands no signals on; and an `exec` on a terminal: its line is its own, and breaks with it,
/// which the program inside is told by SIGHUP.
pub(super) const BREAK: &[i32] = &[
    Signal::HUP.as_raw(),
    Signal::INT.as_raw(),
    Signal::QUIT.as_raw(),
    Signal::TERM.as_raw(),
];

/// Bytes moved at once.
const CHUNK: usize = 8192;

/// How often an output is read once the child has ended: all that a pipe (1 MiB, /proc/sys/fs/pipe-max-size) or a terminal
/// had room for by then. A process that the child has left behind may write without end.
const LAST: u32 = 256;

/// From now on the signals that are to be handed on wait in a descriptor.
pub(super) fn take_signals() -> Result<OwnedFd> {
    let set = signal::Set::all().without(&OWN);
    let descriptor = set
        .descriptor()
        .map_err(|e| Error::os("receive signals", e))?;
    set.block();
    Ok(descriptor)
}

/// The signals that end a session with a container.
pub(super) fn leave(stay: &Stay, line: bool) -> &'static [i32] {
    match (stay.proxy, line) {
        (false, _) => BREAK,
        (true, true) => GONE,
        (true, false) => &[],
    }
}

/// Who gets the signals of a command that stays with a container's process.
pub(super) fn target(of: Process, stay: &Stay) -> Option<OwnedFd> {
    // Ended already: then there is nobody to send signals to.
    of.open().ok().filter(|_| stay.proxy)
}

/// How a session ended.
pub(super) enum Ended {
    /// The process exited with this code.
    Exited(u8),
    /// The process was killed by this signal.
    Killed(i32),
    /// Nothing more is to be expected from the outputs of a process that is not this one's child.
    Silent,
    /// The keys for it were pressed.
    Detached,
    /// This process was told to go by this signal.
    Left(i32),
}

/// How staying with a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attended {
    /// With this exit code: the container's, or 128 plus the signal that made this process leave it.
    Exited(u8),
    /// The keys that detach were pressed: it runs on.
    Detached,
    /// It has ended; its `exit` file says how.
    Ended,
}

/// What the end of a session with a container means.
pub(super) fn done(ended: Ended) -> Result<Attended> {
    match ended {
        Ended::Exited(code) => Ok(Attended::Exited(code)),
        Ended::Left(signal) => Ok(Attended::Exited(128u8.wrapping_add(signal as u8))),
        Ended::Detached => Ok(Attended::Detached),
        Ended::Silent => Ok(Attended::Ended),
        Ended::Killed(_) => Err(Error::new(
            "the container's monitor was killed: the container runs on, its output is lost",
        )
        .exit(exit::RUN)),
    }
}

/// What a session ends with.
pub(super) enum Until {
    /// The end of a child of this process: a monitor, or the process itself.
    Child(Pid),
    /// The end of all outputs.
    Silence,
}

/// The terminal between the caller's own and the program.
pub(super) struct Line<'a> {
    /// Its end out here.
    pub master: OwnedFd,
    /// What detaches from it.
    pub keys: &'a DetachKeys,
}

/// What a command stays with.
pub(super) struct Session<'a> {
    /// What ends it.
    pub until: Until,
    /// Who gets its signals.
    pub target: Option<OwnedFd>,
    /// Who gets its stdin; with a line, a second descriptor of that.
    pub stdin: Option<OwnedFd>,
    /// What it writes to its own stdout or stderr; to none where a byte says that another could write there no more.
    pub outputs: Vec<(OwnedFd, Option<BorrowedFd<'static>>)>,
    /// From [`take_signals`].
    pub signals: OwnedFd,
    /// The signals that end the session.
    pub leave: &'static [i32],
    /// The terminal, if there is one.
    pub line: Option<Line<'a>>,
}

/// What a session can go on with.
struct Ready {
    signals: bool,
    stdin: bool,
    ended: bool,
    outputs: Vec<bool>,
}

impl Session<'_> {
    /// Until the child has ended and its output has been written, or the user has left, or nobody reads the output: then as if
    /// this process, too, had died of SIGPIPE.
    pub fn run(mut self) -> Result<Ended> {
        let os = |e| Error::os("wait for the container", e);
        let pidfd = match self.until {
            Until::Child(child) => {
                Some(rustix::process::pidfd_open(child, PidfdFlags::empty()).map_err(os)?)
            }
            Until::Silence => None,
        };
        // Dropped on every way out of here.
        let raw = match (&self.line, &self.stdin) {
            (Some(_), Some(_)) => Raw::take().map_err(|e| Error::os("make the terminal raw", e))?,
            _ => None,
        };
        let keys = self.line.as_ref().map(|line| line.keys);
        let mut feed = self.stdin.take().map(|pipe| Feed::new(pipe, keys));
        for (pipe, _) in &self.outputs {
            rustix::io::ioctl_fionbio(pipe, true).map_err(os)?;
        }
        loop {
            if pidfd.is_none() && self.outputs.is_empty() {
                return Ok(Ended::Silent);
            }
            let ready = self.wait(feed.as_ref(), pidfd.as_ref()).map_err(os)?;
            if ready.signals
                && let Some(signal) = self.hear(raw.as_ref())
            {
                return Ok(Ended::Left(signal));
            }
            if ready.stdin {
                feed = match feed.map(Feed::step) {
                    Some(Fed::On(feed)) => Some(feed),
                    Some(Fed::Detached) => return Ok(Ended::Detached),
                    Some(Fed::End) | None => None,
                };
            }
            let mut outputs = ready.outputs.into_iter();
            let mut broken = false;
            self.outputs.retain(|(pipe, to)| {
                let pumped = match outputs.next() {
                    Some(true) => pump(pipe, *to),
                    _ => Pumped::Nothing,
                };
                broken |= pumped == Pumped::Broken;
                pumped != Pumped::End
            });
            if broken {
                return Ok(Ended::Left(Signal::PIPE.as_raw()));
            }
            if let Until::Child(child) = self.until
                && ready.ended
            {
                for (pipe, to) in &self.outputs {
                    (0..LAST).any(|_| pump(pipe, *to) != Pumped::Some);
                }
                return ended(child).map_err(os);
            }
        }
    }

    /// Waits until something is to be done.
    fn wait(&self, feed: Option<&Feed>, pidfd: Option<&OwnedFd>) -> Result<Ready, Errno> {
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
        let stdin = feed.map(|feed| {
            fds.push(feed.poll());
            fds.len() - 1
        });
        let end = pidfd.map(|pidfd| {
            fds.push(PollFd::new(pidfd, PollFlags::IN));
            fds.len() - 1
        });
        let first = fds.len();
        let outputs = self.outputs.iter();
        fds.extend(outputs.map(|(pipe, _)| PollFd::new(pipe, PollFlags::IN)));
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        let mut ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let outputs = ready.split_off(first);
        let is = |at: Option<usize>| at.is_some_and(|at| ready[at]);
        Ok(Ready {
            signals: ready[0],
            stdin: is(stdin),
            ended: is(end),
            outputs,
        })
    }

    /// Hands signals on; one that ends the session, if there was one.
    fn hear(&self, raw: Option<&Raw>) -> Option<i32> {
        let mut left = None;
        while let Some(number) = signal::next(&self.signals) {
            if let Some(line) = &self.line
                && number == Signal::WINCH.as_raw()
            {
                line.resize();
                continue;
            }
            left = left.or(self.leave.iter().copied().find(|leave| *leave == number));
            if number == Signal::CONT.as_raw() {
                raw.inspect(|raw| raw.again());
            }
            if let Some(target) = &self.target {
                // Gone, or not allowed: its end, if it has ended, is seen elsewhere.
                let _ = process::signal(target, number);
            }
        }
        left
    }
}

impl Line<'_> {
    /// Gives it the size of the caller's terminal.
    pub fn resize(&self) {
        if let Some(size) = terminal::size() {
            let _ = pty::resize(&self.master, size);
        }
    }

    /// Makes a program that draws the whole screen draw it again: it does so when the size changes.
    pub fn redraw(&self) {
        if let Some(size) = terminal::size() {
            let rows = size.rows.saturating_add(1);
            let _ = pty::resize(&self.master, Size { rows, ..size });
            let _ = pty::resize(&self.master, size);
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

#[derive(PartialEq, Eq)]
enum Pumped {
    Some,
    Nothing,
    End,
    /// Nobody reads what is written.
    Broken,
}

/// Moves once what a pipe has. What cannot be written (a full disk) is thrown away: the writer must not be blocked.
fn pump(pipe: &OwnedFd, to: Option<BorrowedFd<'_>>) -> Pumped {
    let mut chunk = [0; CHUNK];
    match rustix::io::read(pipe, &mut chunk) {
        Ok(0) => Pumped::End,
        Ok(n) => match to.map(|to| write_all(to, &chunk[..n])) {
            None | Some(Err(Errno::PIPE)) => Pumped::Broken,
            Some(_) => Pumped::Some,
        },
        Err(Errno::AGAIN) => Pumped::Nothing,
        Err(Errno::INTR) => Pumped::Some,
        // A terminal's other end is closed (EIO, pty(7)).
        Err(_) => Pumped::End,
    }
}
