//! The command's side of `run` and `start`: fork the monitor, wait until the child is ready, release it.

use super::attach::{self, Ended, Line, Session, Until};
use super::child::{self, Task};
use super::lines::Lines;
use super::log::Writer;
use super::monitor::{DISMISSAL, Monitor, RELEASE};
use super::report::{Report, Reports};
use super::{ChildSpec, visit};
use crate::engine::Say;
use crate::engine::record::Exit;
use crate::engine::spec::{Places, Stay};
use crate::error::{Error, Result, exit};
use crate::sys::lock::{self, Hold};
use crate::sys::{fd, handover, path, process};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::Pid;
use rustix::stdio::stdout;
use std::path::Path;

/// What the monitor does last, after the exit status is written and before its lock is free: `--rm`.
///
/// It runs in the monitor, where every descriptor that was open before is closed: it opens what it needs.
pub type Hook = Box<dyn FnOnce(Exit)>;

/// What a container's stdin is; on a terminal it is that, and this says who writes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdin {
    /// /dev/null.
    Null,
    /// Open and silent, until somebody attaches.
    Kept,
    /// Fed from the command's.
    Fed,
}

/// Who gets the output, and what stdin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attach {
    /// The command stays.
    pub output: bool,
    /// Which outputs it gets then, besides the log: stdout, stderr.
    pub streams: [bool; 2],
    /// What stdin is.
    pub stdin: Stdin,
}

/// What a container is started with besides its own configuration.
pub struct Spawn<'a> {
    /// The container's `exit` file, new and empty, opened for writing. It is locked here (flock, exclusive), and stays
    /// so until the monitor ends.
    pub exit_file: OwnedFd,
    /// The directory for its log.
    pub log_dir: &'a Path,
    /// The most that the log may hold, in bytes; 0 keeps none.
    pub log_max: u64,
    /// Who gets the output.
    pub attach: Attach,
    /// What is done after its end.
    pub hook: Option<Hook>,
    /// What the monitor keeps open until it ends.
    pub held: Option<OwnedFd>,
    /// Whose objects it watches over when it is elected.
    pub places: Places,
}

/// A container that is being set up. Dropped before its [release](Spawned::release), it is killed.
#[derive(Debug)]
pub struct Spawned {
    monitor: Option<Pid>,
    gate: Option<OwnedFd>,
    reports: Reports,
    mine: Mine,
    foreground: bool,
    started: Option<(u32, u64)>,
}

/// The command's ends of what leads to a container.
#[derive(Debug, Default)]
struct Mine {
    /// Its stdin, where that is fed.
    stdin: Option<OwnedFd>,
    /// What the monitor writes its output to; without a terminal it writes to the command's own descriptors.
    output: Option<OwnedFd>,
    /// Where the monitor sends the terminal's master.
    line: Option<OwnedFd>,
}

/// A container whose program has begun.
#[derive(Debug)]
pub struct Running {
    monitor: Pid,
    pid: u32,
    pid_start: u64,
    mine: Mine,
    signals: Option<OwnedFd>,
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

fn os(what: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| Error::os(what, errno)
}

pub(super) fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(os("make a pipe"))
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

pub(super) fn null() -> Result<OwnedFd> {
    path::null().map_err(os("open /dev/null"))
}

/// Begins a container: its monitor and its first process exist or soon will, and set themselves up.
///
/// The sandbox's pin has to be there; the rest of the sandbox can be built meanwhile. Every descriptor of the caller's
/// is closed in both, locks among them.
pub fn spawn(spec: &ChildSpec, how: Spawn<'_>) -> Result<Spawned> {
    match lock::try_lock(&how.exit_file, Hold::Exclusive) {
        Ok(true) => {}
        Ok(false) => return Err(os("lock the container's exit file")(Errno::WOULDBLOCK)),
        Err(errno) => return Err(os("lock the container's exit file")(errno)),
    }
    let log = match how.log_max {
        0 => None,
        max => Some(Writer::open(how.log_dir, max)?),
    };
    let (gate, my_gate) = pipe()?;
    let (reports, report) = pipe()?;
    let (lines, mine) = if spec.program.terminal.is_some() {
        terminal(how.attach)?
    } else {
        pipes(how.attach)?
    };
    let monitor = Monitor {
        gate,
        report,
        task: child::task(&Task::Run(Box::new(spec.clone())))?,
        lines,
        door: visit::door(how.log_dir)?,
        exit_file: how.exit_file,
        log,
        hook: how.hook,
        held: how.held,
        places: how.places,
    };
    // The command's frames, with all their buffers, are not the monitor's.
    let pid = process::fork_apart(Box::new(move || monitor.run()))
        .map_err(os("fork the container's monitor"))?;
    Ok(Spawned {
        monitor: Some(pid),
        gate: Some(my_gate),
        reports: Reports::new(reports),
        mine,
        foreground: how.attach.output,
        started: None,
    })
}

/// Stdio of pipes and /dev/null.
fn pipes(attach: Attach) -> Result<(Lines, Mine)> {
    let (out, child_out) = output_pipe()?;
    let (err, child_err) = output_pipe()?;
    let (child_in, my_in) = match attach.stdin {
        Stdin::Null => (null()?, None),
        Stdin::Kept | Stdin::Fed => {
            let (read, write) = pipe()?;
            (read, Some(write))
        }
    };
    let fed = attach.stdin == Stdin::Fed;
    let (stdin, kept) = if fed { (my_in, None) } else { (None, my_in) };
    let lines = Lines {
        stdio: [child_in, child_out, child_err],
        stdin: kept,
        outputs: [Some(out), Some(err)],
        foreground: attach.streams.map(|stream| stream && attach.output),
        terminal: false,
        visitor: None,
        line: None,
    };
    let mine = Mine {
        stdin,
        ..Mine::default()
    };
    Ok((lines, mine))
}

/// A terminal that the child will make; until then its stdio lead nowhere. The command gets the output through a pipe,
/// which breaks when it goes: then nobody writes to a terminal that somebody else uses by now.
fn terminal(attach: Attach) -> Result<(Lines, Mine)> {
    let mut lines = Lines {
        stdio: [null()?, null()?, null()?],
        stdin: None,
        outputs: [None, None],
        foreground: [false; 2],
        terminal: true,
        visitor: None,
        line: None,
    };
    let mut mine = Mine::default();
    if attach.output {
        let (output, theirs) = pipe()?;
        let (line, their_line) = handover::pair().map_err(os("make a socket"))?;
        lines.visitor = Some(theirs);
        lines.line = Some(their_line);
        mine = Mine {
            stdin: None,
            output: Some(output),
            line: Some(line),
        };
    }
    Ok((lines, mine))
}

impl Spawned {
    /// Waits until the container is set up; it then waits to be released.
    ///
    /// Its notes and, if asked for, its mounts are said. An error carries the exit code for the user's mistakes (125).
    pub fn wait(&mut self, say: &mut dyn Say) -> Result<()> {
        let mut ready = false;
        // The monitor and the child write to the same pipe, and on a busy machine the child may be first. Without a
        // word from the monitor it is gone: then the child goes, too, and the pipe ends.
        while !(ready && self.started.is_some()) {
            match self.reports.next()? {
                Some(Report::Started { pid, start }) => self.started = Some((pid, start)),
                Some(Report::Note(text)) => say.note(&text),
                Some(Report::Line(text)) => say.operation(&text),
                Some(Report::Ready) => ready = true,
                Some(Report::Going) => {}
                Some(Report::Failed(code, text)) => return Err(Error::new(text).exit(code)),
                None => return Err(died()),
            }
        }
        Ok(())
    }

    /// PID 1 of the container as the host numbers it; known after [`wait`](Spawned::wait).
    pub fn pid(&self) -> u32 {
        self.started.map_or(0, |(pid, _)| pid)
    }

    /// Its start time, in clock ticks since boot.
    pub fn pid_start(&self) -> u64 {
        self.started.map_or(0, |(_, start)| start)
    }

    /// The monitor's pid.
    pub fn monitor(&self) -> u32 {
        self.monitor
            .map_or(0, |pid| pid.as_raw_nonzero().get() as u32)
    }

    /// Lets the program begin, and waits until it has.
    ///
    /// Errors: what Docker says of a program that cannot be executed (exit code 126) or is not there (127). Monitor
    /// and child are gone then, and the `exit` file is empty.
    pub fn release(mut self) -> Result<Running> {
        let (Some(gate), Some(monitor)) = (self.gate.take(), self.monitor) else {
            return Err(died());
        };
        // From here on a signal is the container's.
        let signals = match self.foreground {
            true => Some(attach::take_signals()?),
            false => None,
        };
        if let Err(error) = self.begin(&gate) {
            // The monitor is to think the same: what it does at a container's end would wait for this command.
            let _ = fd::write_all(&gate, &DISMISSAL, None);
            return Err(error);
        }
        self.monitor = None;
        Ok(Running {
            monitor,
            pid: self.pid(),
            pid_start: self.pid_start(),
            mine: std::mem::take(&mut self.mine),
            signals,
        })
    }

    fn begin(&mut self, gate: &OwnedFd) -> Result<()> {
        fd::write_all(gate, &RELEASE, None).map_err(|_| died())?;
        let mut going = false;
        loop {
            match self.reports.next()? {
                Some(Report::Going) => going = true,
                Some(Report::Failed(code, text)) => return Err(Error::new(text).exit(code)),
                Some(_) => {}
                None if going => return Ok(()),
                None => return Err(died()),
            }
        }
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        self.gate = None;
        // It ends at once; then nothing of it is left, and the exit file is free.
        if let Some(monitor) = self.monitor.take() {
            let _ = process::wait(monitor);
        }
    }
}

fn died() -> Error {
    Error::new("the container's process ended before its program began").exit(exit::RUN)
}

impl Running {
    /// Stays with a container in the foreground until its monitor has ended, `--rm` included, or the user leaves.
    ///
    /// Signals that the command gets go to PID 1, its stdin to the container's, if that was asked. For a detached
    /// container there is nothing to stay for: drop this.
    pub fn attend(self, stay: &Stay) -> Result<Attended> {
        let Some(signals) = self.signals else {
            return Ok(Attended::Exited(0));
        };
        let line = match &self.mine.line {
            Some(socket) => Some(line(socket, stay)?),
            None => None,
        };
        let stdin = match &line {
            Some(line) if stay.stdin => line.master.try_clone().ok(),
            _ => self.mine.stdin,
        };
        let session = Session {
            until: Until::Child(self.monitor),
            target: visit::target((self.pid, self.pid_start), stay),
            stdin,
            outputs: self
                .mine
                .output
                .into_iter()
                .map(|output| (output, stdout()))
                .collect(),
            signals,
            leave: attach::leave(stay, line.is_some()),
            line,
        };
        done(session.run()?)
    }
}

/// The terminal of a container, which its monitor has from the child.
fn line<'a>(socket: &OwnedFd, stay: &'a Stay) -> Result<Line<'a>> {
    let (_, mut fds) = handover::receive(socket, true).map_err(os("take the terminal"))?;
    let master = fds.pop().ok_or_else(died)?;
    let line = Line {
        master,
        keys: &stay.keys,
    };
    // It may have changed since the container was asked for.
    line.resize();
    Ok(line)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Silence;
    use crate::engine::process::report::Reporter;

    /// What a command hears whose container reports this, and then is gone.
    fn hears(reports: &[Report]) -> bool {
        let (read, write) = pipe().expect("a pipe");
        let reporter = Reporter(write);
        reports.iter().for_each(|report| reporter.send(report));
        drop(reporter);
        let mut spawned = Spawned {
            monitor: None,
            gate: None,
            reports: Reports::new(read),
            mine: Mine::default(),
            foreground: false,
            started: None,
        };
        spawned.wait(&mut Silence).is_ok()
    }

    #[test]
    fn monitor_and_child_may_report_in_any_order_but_both_have_to() {
        let started = Report::Started { pid: 7, start: 9 };
        assert!(hears(&[started.clone(), Report::Ready]));
        assert!(hears(&[Report::Ready, started.clone()]));
        assert!(!hears(&[Report::Ready]));
        assert!(!hears(&[started]));
    }
}
