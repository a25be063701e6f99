//! `exec`: one more process in a running container, or the caller's own in a sandbox without one.

use super::attach::{self, Ended, Line, Session, Until};
use super::child::{self, EnterSpec, Handed, Task};
use super::program;
use super::report::{Report, Reports};
use super::spawn::{null, output_pipe};
use super::{Attended, EtcFiles, Program, line, users};
use crate::engine::record::ContainerRecord;
use crate::engine::spec::ExecSpec;
use crate::error::{Errno, Error, Result, exit};
use crate::kernel::mount::{At, EtcFile, Filesystem, INERT, Keep, Step};
use crate::sys::mount::Propagation;
use crate::sys::netns::NetNs;
use crate::sys::{limits, process, signal, terminal};
use rustix::fd::{AsFd, OwnedFd};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags};
use std::path::Path;

/// Runs a command in a running container: how it ended, or 0 at once with `detach`.
///
/// It has the container's namespaces, root, user, capabilities and limits. The caller's stdio is handed on through
/// pipes or a terminal of the container's, its signals go to the command. Errors carry 126 or 127 where the command cannot be executed.
pub fn enter(record: &ContainerRecord, etc: &EtcFiles, spec: &ExecSpec) -> Result<Attended> {
    let not_running = || Error::new(format_args!("Container {} is not running", record.id));
    let start = record.start.as_ref().ok_or_else(not_running)?;
    let pid = pid_of(start.pid).ok_or_else(not_running)?;
    let container = process::pidfd(pid, start.pid_start).map_err(|errno| match errno {
        Errno::SRCH => not_running(),
        errno => Error::os(
            format_args!("open the process of container {}", record.name),
            errno,
        ),
    })?;
    let mut env = record.env.clone();
    for entry in &spec.env {
        program::set(&mut env, entry.clone());
    }
    let task = child::task(&Task::Enter(Box::new(EnterSpec {
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
    })))?;
    let pipe =
        || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|e| Error::os("make a pipe", e));
    let (reports, report) = pipe()?;
    let mut mine = Ends::default();
    let stdio = match spec.terminal {
        true => mine.terminal((pid, start.pid_start), spec)?,
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
    let kept = mine
        .line
        .as_ref()
        .and_then(|master| master.try_clone().ok());
    let line = mine.line.map(|master| Line {
        master,
        keys: &spec.keys,
    });
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

/// Binds a sandbox's files over those in /etc of a running container with the host's own root again, where a file that was
/// renamed over one took the mount away: whether that was so.
pub fn rebind(record: &ContainerRecord, etc: &EtcFiles) -> Result<bool> {
    const WAS: u8 = 2;
    let failed = |errno| {
        Error::os(
            format_args!("bind files in container {}", record.name),
            errno,
        )
    };
    let Some(start) = record
        .start
        .as_ref()
        .filter(|_| record.image.root == Path::new("/"))
    else {
        return Ok(false);
    };
    let pid = pid_of(start.pid).ok_or_else(|| failed(Errno::SRCH))?;
    let container = process::pidfd(pid, start.pid_start).map_err(failed)?;
    let files = etc.hold();
    let child = process::fork(|| {
        if process::enter_container(container).is_err() {
            return 1;
        }
        let renewed: Vec<_> = files.into_iter().map(|file| file.renew()).collect();
        match renewed.iter().any(Result::is_err) {
            true => 1,
            false if renewed.iter().flatten().any(|was| *was) => WAS,
            false => 0,
        }
    })
    .map_err(failed)?;
    match process::wait(child).map_err(failed)? {
        0 => Ok(false),
        WAS => Ok(true),
        _ => Err(failed(Errno::PERM)),
    }
}

/// A pid as a record or a report has it; none where no process can have it.
fn pid_of(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// Reads reports until the command has begun, or has not.
fn begin(mut reports: Reports) -> Result<Pid> {
    let (mut child, mut going, mut failed) = (None, false, None);
    // To the end: the process between may report after the one that it made.
    while let Some(report) = reports.next()? {
        match report {
            Report::Started { pid, .. } => child = pid_of(pid),
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
    outputs: Vec<(OwnedFd, rustix::fd::BorrowedFd<'static>)>,
    /// A terminal's master.
    line: Option<OwnedFd>,
}

impl Ends {
    /// As [`stdio`](Ends::stdio), a terminal of the container's.
    fn terminal(&mut self, (pid, start): (Pid, u64), spec: &ExecSpec) -> Result<[OwnedFd; 3]> {
        let os = |_| Error::os("open a terminal in the container", Errno::MFILE);
        let (master, slave) = line::inside(pid, start, terminal::size().unwrap_or_default())?;
        if !spec.detach {
            let output = master.try_clone().map_err(os)?;
            self.outputs.push((output, rustix::stdio::stdout()));
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
            let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)
                .map_err(|e| Error::os("make a pipe", e))?;
            self.stdin = Some(write);
            read
        } else {
            null()?
        };
        if spec.detach {
            return Ok([stdin, null()?, null()?]);
        }
        let (out, child_out) = output_pipe()?;
        let (err, child_err) = output_pipe()?;
        self.outputs.push((out, rustix::stdio::stdout()));
        self.outputs.push((err, rustix::stdio::stderr()));
        Ok([stdin, child_out, child_err])
    }
}

/// A sandbox to run a command in with the caller's own root and privileges.
#[derive(Debug, Clone, Copy)]
pub struct Bare<'a> {
    /// The sandbox's pin.
    pub netns: &'a Path,
    /// Its files, which cover the host's.
    pub etc: &'a EtcFiles,
    /// The caller's environment, `KEY=VALUE`.
    pub env: &'a [String],
}

/// Runs a command in a sandbox without a container, as `ip netns exec` does: with the caller's root and privileges,
/// the sandbox's network namespace, a /sys that shows it, and its hosts and resolv.conf in /etc.
///
/// Returns only with an error, or 0 with `detach`: the command takes the caller's place.
pub fn enter_bare(sandbox: &Bare<'_>, spec: &ExecSpec) -> Result<u8> {
    if !spec.detach {
        return Err(become_command(sandbox, spec));
    }
    let (reports, report) =
        rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|e| Error::os("make a pipe", e))?;
    let null = null()?;
    let report = super::report::Reporter(report);
    let child = process::fork(|| {
        let _ = rustix::process::setsid();
        let stdio = [null.as_fd(), null.as_fd(), null.as_fd(), report.0.as_fd()];
        let error = match crate::sys::fd::place(&stdio) {
            Ok(()) => match process::inherited(3) {
                Ok(fd) => {
                    let _ = crate::sys::fd::close_on_exec(fd.as_fd());
                    let error = become_command(sandbox, spec);
                    super::report::Reporter(fd).fail(&error);
                    return exit::RUN;
                }
                Err(errno) => errno,
            },
            Err(errno) => errno,
        };
        report.fail(&Error::os("start the command", error));
        exit::RUN
    })
    .map_err(|e| Error::os("fork", e))?;
    drop(report);
    match Reports::new(reports).next()? {
        Some(Report::Failed(code, text)) => {
            let _ = process::wait(child);
            let error = Error::new(text);
            Err(if code == exit::RUN {
                error
            } else {
                error.exit(code)
            })
        }
        _ => Ok(0),
    }
}

fn become_command(sandbox: &Bare<'_>, spec: &ExecSpec) -> Error {
    let enter = || -> Result<()> {
        process::unshare_mounts().map_err(|e| Error::os("take a mount namespace", e))?;
        Keep(Propagation::Slave).act()?;
        let at = sandbox.netns.display();
        NetNs::open(sandbox.netns)?
            .enter()
            .map_err(|e| Error::os(format_args!("enter the sandbox at {at}"), e))?;
        // What a caller without /sys or the two files has not, its command has not, either.
        let _ = Filesystem {
            kind: "sysfs",
            options: &[],
            at: At::Host("/sys".into()),
            attr: INERT - crate::sys::mount::Attr::MOUNT_ATTR_RDONLY,
        }
        .act();
        // The host name is the caller's, so /etc/hostname is, too.
        let files = sandbox.etc.named().into_iter();
        for (name, source) in files.filter(|(name, _)| *name != "hostname") {
            let _ = EtcFile {
                source: source.clone(),
                root: "/".into(),
                name,
            }
            .act();
        }
        if let Some(user) = &spec.user {
            program::switch_user(&users::named(user)?)?;
        }
        match &spec.workdir {
            Some(cwd) => program::enter_directory(Some(cwd)),
            None => Ok(()),
        }
    };
    if let Err(error) = enter() {
        return error;
    }
    let mut env = sandbox.env.to_vec();
    for entry in &spec.env {
        program::set(&mut env, entry.clone());
    }
    signal::reset();
    program::execute_with(&spec.command, &env)
}
