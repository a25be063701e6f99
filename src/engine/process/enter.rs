//! `exec`: one more process in a running container.

use super::attach::{self, Attended, Ended, Line, Session, Until};
use super::child::{self, EnterSpec, Handed, Task};
use super::pipe::{null, pipe};
use super::program;
use super::report::{Report, Reports};
use super::{EtcFiles, Program, line};
use crate::engine::record::{ContainerRecord, Process};
use crate::engine::spec::ExecSpec;
use crate::error::{Errno, Error, Result, exit};
use crate::sys::{limits, process, terminal};
use crate::types::DetachKeys;
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{Pid, PidfdFlags};
use std::path::Path;

/// Runs a command in a running container: how it ended, or 0 at once with `detach`.
///
/// It has the container's namespaces, root, user, capabilities and limits. The caller's stdio is handed on through
/// pipes or a terminal of the container's, its signals go to the command. Errors carry 126 or 127 where the command cannot be executed.
pub fn enter(record: &ContainerRecord, etc: &EtcFiles, spec: &ExecSpec) -> Result<Attended> {
    let not_running = || Error::new(format_args!("Container {} is not running", record.id));
    let start = record.start.as_ref().ok_or_else(not_running)?;
    let first = start.process();
    let pid = first.number().ok_or_else(not_running)?;
    let container = first.open().map_err(|errno| match errno {
        Errno::SRCH => not_running(),
        errno => Error::os(
            format_args!("open the process of container {}", record.name),
            errno,
        ),
    })?;
    let task = child::task(&Task::Enter(Box::new(enter_spec(record, etc, spec, pid))))?;
    let (reports, report) = pipe()?;
    let mut mine = Ends::default();
    let stdio = match spec.terminal {
        true => mine.terminal(first, spec)?,
        false => mine.stdio(spec)?,
    };
    let signals = match spec.detach {
        true => None,
        false => Some(attach::take_signals()?),
    };
    let between = process::fork(|| {
        let stdio = [stdio[0].as_fd(), stdio[1].as_fd(), stdio[2].as_fd()];
        let handed = Handed {
            task: task.as_fd(),
            report: report.as_fd(),
            last: container.as_fd(),
        };
        child::become_child(stdio, &handed)
    })
    .map_err(|e| Error::os("fork", e))?;
    drop((report, stdio, task, container));
    let begun = begin(Reports::new(reports));
    let _ = process::wait(between);
    let child = begun?;
    let Some(signals) = signals else {
        mine.line.iter().try_for_each(line::keep)?;
        return Ok(Attended::Exited(0));
    };
    stay(child, mine, signals, &spec.keys)
}

/// What the process between has to know.
fn enter_spec(record: &ContainerRecord, etc: &EtcFiles, spec: &ExecSpec, pid: Pid) -> EnterSpec {
    let mut env = record.env.clone();
    for entry in &spec.env {
        program::set(&mut env, entry.clone());
    }
    EnterSpec {
        program: Program {
            argv: spec.command.clone(),
            env,
            cwd: spec.workdir.clone().or_else(|| record.workdir.clone()),
            user: spec.user.clone().or_else(|| record.user.clone()),
            hostname: record.hostname.clone(),
            terminal: spec.terminal.then(|| terminal::size().unwrap_or_default()),
            capabilities: record.settings().capabilities(),
            new_privileges: record.settings().privileged,
            groups: record.settings().groups.clone(),
            limits: limits::of(pid),
        },
        renew: (record.image.root == Path::new("/")).then(|| etc.clone()),
    }
}

/// Stays with the command until it has ended, or the user has left it.
fn stay(child: Pid, mine: Ends, signals: OwnedFd, keys: &DetachKeys) -> Result<Attended> {
    let kept = mine
        .line
        .as_ref()
        .and_then(|master| master.try_clone().ok());
    let line = mine.line.map(|master| Line { master, keys });
    let session = Session {
        until: Until::Child(child),
        target: rustix::process::pidfd_open(child, PidfdFlags::empty()).ok(),
        stdin: mine.stdin,
        outputs: mine.outputs,
        signals,
        leave: if line.is_some() { attach::BREAK } else { &[] },
        line,
    };
    Ok(match session.run()? {
        Ended::Detached => {
            kept.iter().try_for_each(line::keep)?;
            Attended::Detached
        }
        Ended::Exited(code) => Attended::Exited(code),
        Ended::Killed(signal) | Ended::Left(signal) => {
            Attended::Exited(128u8.wrapping_add(signal as u8))
        }
        Ended::Silent => Attended::Ended,
    })
}

/// Reads reports until the command has begun, or has not.
fn begin(mut reports: Reports) -> Result<Pid> {
    let (mut child, mut going, mut failed) = (None, false, None);
    // To the end: the process between may report after the one that it made.
    while let Some(report) = reports.next()? {
        match report {
            Report::Started(process) => child = process.number(),
            Report::Going => going = true,
            // 125 is `run`'s: of exec's failures only those of the command itself have a code of their own.
            Report::Failed(exit::RUN, text) => failed = Some(Error::new(text)),
            Report::Failed(code, text) => failed = Some(Error::new(text).exit(code)),
            Report::Note(_) | Report::Line(_) | Report::Ready => {}
        }
    }
    match (failed, child, going) {
        (Some(error), child, _) => {
            child.map(process::wait);
            Err(error)
        }
        (None, Some(child), true) => Ok(child),
        (None, child, _) => {
            child.map(process::wait);
            Err(Error::new(
                "the command's process ended before the command began",
            ))
        }
    }
}

/// The command's ends of the pipes.
#[derive(Default)]
struct Ends {
    stdin: Option<OwnedFd>,
    outputs: Vec<(OwnedFd, Option<rustix::fd::BorrowedFd<'static>>)>,
    /// A terminal's master.
    line: Option<OwnedFd>,
}

impl Ends {
    /// As [`stdio`](Ends::stdio), a terminal of the container's.
    fn terminal(&mut self, process: Process, spec: &ExecSpec) -> Result<[OwnedFd; 3]> {
        let os = |_| Error::os("open a terminal in the container", Errno::MFILE);
        let (master, slave) = line::inside(process, terminal::size().unwrap_or_default())?;
        if !spec.detach {
            let output = master.try_clone().map_err(os)?;
            self.outputs.push((output, Some(rustix::stdio::stdout())));
            if spec.interactive {
                self.stdin = Some(master.try_clone().map_err(os)?);
            }
        }
        self.line = Some(master);
        let again = || slave.try_clone().map_err(os);
        Ok([again()?, again()?, slave])
    }

    /// The stdio of the process inside; the other ends stay here.
    fn stdio(&mut self, spec: &ExecSpec) -> Result<[OwnedFd; 3]> {
        let stdin = if spec.interactive && !spec.detach {
            let (read, write) = pipe()?;
            self.stdin = Some(write);
            read
        } else {
            null()?
        };
        if spec.detach {
            return Ok([stdin, null()?, null()?]);
        }
        // They break with this process: nobody else ever reads them.
        let ((out, child_out), (err, child_err)) = (pipe()?, pipe()?);
        self.outputs.push((out, Some(rustix::stdio::stdout())));
        self.outputs.push((err, Some(rustix::stdio::stderr())));
        Ok([stdin, child_out, child_err])
    }
}
