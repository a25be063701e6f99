//! The command's side of `run` and `start`: fork the monitor, wait until the child is ready, release it.

use super::attach::{self, Attended, Line, Session, Until};
use super::child::{self, Task};
use super::lines::{self, Attach, Mine};
use super::log::Writer;
use super::monitor::{Hook, Monitor};
use super::pipe::pipe;
use super::report::{Report, Reports};
use super::{ChildSpec, door, gate};
use crate::engine::Say;
use crate::engine::record::Process;
use crate::engine::spec::{Places, Stay};
use crate::error::{Error, Result, exit};
use crate::sys::{handover, process};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::stdio::stdout;
use std::path::Path;

/// What a container is started with besides its own configuration.
pub struct Spawn<'a> {
    /// The container's `exit` file, new and empty, opened for writing, and locked (flock, exclusive); it stays so until the
    /// monitor ends.
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
    started: Option<Process>,
}

/// A container whose program has begun.
#[derive(Debug)]
pub struct Running {
    monitor: Pid,
    process: Process,
    mine: Mine,
    signals: Option<OwnedFd>,
}

fn os(what: &'static str) -> impl Fn(Errno) -> Error {
    move |errno| Error::os(what, errno)
}

/// Begins a container: its monitor and its first process exist or soon will, and set themselves up.
///
/// The sandbox's pin has to be there; the rest of the sandbox can be built meanwhile. Every descriptor of the caller's
/// is closed in both, locks among them.
pub fn spawn(spec: &ChildSpec, how: Spawn<'_>) -> Result<Spawned> {
    let log = match how.log_max {
        0 => None,
        max => Some(Writer::open(how.log_dir, max)?),
    };
    let (gate, my_gate) = pipe()?;
    let (reports, report) = pipe()?;
    let (lines, mine) = if spec.program.terminal.is_some() {
        lines::terminal(how.attach)?
    } else {
        lines::pipes(how.attach)?
    };
    let monitor = Monitor {
        gate,
        report,
        task: child::task(&Task::Run(Box::new(spec.clone())))?,
        lines,
        door: door::open(how.log_dir)?,
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
                Some(Report::Started(process)) => self.started = Some(process),
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

    /// PID 1 of the container; known after [`wait`](Spawned::wait).
    pub fn process(&self) -> Process {
        self.started.unwrap_or(Process { pid: 0, start: 0 })
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
            let _ = gate::say(&gate, gate::DISMISSAL);
            return Err(error);
        }
        self.monitor = None;
        Ok(Running {
            monitor,
            process: self.process(),
            mine: std::mem::take(&mut self.mine),
            signals,
        })
    }

    fn begin(&mut self, gate: &OwnedFd) -> Result<()> {
        gate::say(gate, gate::RELEASE).map_err(|_| died())?;
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
            target: attach::target(self.process, stay),
            stdin,
            outputs: self
                .mine
                .output
                .into_iter()
                .map(|output| (output, line.is_some().then(stdout)))
                .collect(),
            signals,
            leave: attach::leave(stay, line.is_some()),
            line,
        };
        attach::done(session.run()?)
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
        let started = Report::Started(Process { pid: 7, start: 9 });
        assert!(hears(&[started.clone(), Report::Ready]));
        assert!(hears(&[Report::Ready, started.clone()]));
        assert!(!hears(&[Report::Ready]));
        assert!(!hears(&[started]));
    }
}
