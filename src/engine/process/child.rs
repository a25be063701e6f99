//! The process that becomes a container's program: `netcell:child`, netcell executed again from a sealed copy.
//!
//! It begins with six descriptors and no environment: stdio, its task in memory, the pipe that it reports through,
//! and the gate that releases it. Whatever fails is reported as a sentence and an exit code, and it ends.

use super::report::{Report, Reporter};
use super::{ChildSpec, EtcFiles, Program, gate, init, line, program, rootfs, users};
use crate::engine::record::Process;
use crate::error::{Errno, Error, Result, exit};
use crate::sys::netns::NetNs;
use crate::sys::process::CLONE_PARENT;
use crate::sys::{fd, file, limits, memfd, process, signal};
use crate::types::json::{self, Json, Object, Wrong, json_object};
use crate::types::tree::Value;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::Mode;
use std::ffi::CString;

/// `argv[0]` of the re-executed process: `main` calls [`main`] when it sees it.
pub const NAME: &str = "netcell:child";

/// The number of the first descriptor after stdio; the others follow in the order of [`Handed`].
const FIRST: i32 = 3;

/// What the child is to do.
#[derive(Debug)]
pub(super) enum Task {
    /// Build a container and become its first process.
    Run(Box<ChildSpec>),
    /// Enter a container and become one more process of it.
    Enter(Box<EnterSpec>),
}

impl Json for Task {
    fn write(&self, out: &mut String) {
        let mut object = Object::new(out);
        match self {
            Task::Run(spec) => object.field("run", spec),
            Task::Enter(spec) => object.field("enter", spec),
        }
        .end();
    }

    fn blank() -> Self {
        Task::Enter(Json::blank())
    }

    fn fill(&mut self, value: &Value) -> Result<(), Wrong> {
        *self = match value.get("run") {
            Some(_) => Task::Run(json::field(value, "run")?),
            None => Task::Enter(json::field(value, "enter")?),
        };
        Ok(())
    }
}

/// What a process that enters a container has to know.
#[derive(Debug)]
pub(super) struct EnterSpec {
    /// What it becomes.
    pub program: Program,
    /// The sandbox's files, where the container's root is the host's own: there they may have been replaced.
    pub renew: Option<EtcFiles>,
}
json_object!(EnterSpec { program, renew });

/// What is handed to the child besides its stdio.
pub(super) struct Handed<'a> {
    /// The [`Task`], as JSON in memory.
    pub task: BorrowedFd<'a>,
    /// Where it reports to.
    pub report: BorrowedFd<'a>,
    /// `run`: its end of the gate; `exec`: the container's pidfd.
    pub last: BorrowedFd<'a>,
}

/// Puts a task into memory, from where the child reads it.
pub(super) fn task(task: &Task) -> Result<OwnedFd> {
    memfd::message("task", json::to_text(task).as_bytes())
        .map_err(|e| Error::os("hand over the container's configuration", e))
}

/// Executes netcell again as the child: what a process does that has just been forked. Returns only on failure.
pub(super) fn become_child(stdio: [BorrowedFd<'_>; 3], handed: &Handed<'_>) -> u8 {
    let [stdin, stdout, stderr] = stdio;
    let all = [
        stdin,
        stdout,
        stderr,
        handed.task,
        handed.report,
        handed.last,
    ];
    let failed = |errno| Error::os("execute netcell's own copy for the container", errno);
    if let Err(errno) = fd::place(&all) {
        Reporter(handed.report).fail(&failed(errno));
        return exit::RUN;
    }
    // From here on the numbers are the child's, and every other descriptor of this process is closed.
    let errno = match memfd::own_program() {
        Err(errno) => errno,
        Ok(copy) => {
            let name = CString::new(NAME).unwrap_or_default();
            process::execve_fd(copy.as_fd(), &[name], &[])
        }
    };
    if let Ok(report) = process::inherited(FIRST + 1) {
        Reporter(report).fail(&failed(errno));
    }
    exit::RUN
}

/// The whole of the child; the exit code is seen only when it could not become the program.
pub fn main() -> u8 {
    let inherited = || -> Result<_, Errno> {
        let task = process::inherited(FIRST)?;
        let report = process::inherited(FIRST + 1)?;
        let last = process::inherited(FIRST + 2)?;
        fd::close_on_exec(report.as_fd())?;
        fd::close_on_exec(last.as_fd())?;
        Ok((task, Reporter(report), last))
    };
    let Ok((task, report, last)) = inherited() else {
        return exit::RUN;
    };
    let mut report = Some(report);
    let error = match start(task, &mut report, last) {
        Ok(code) => return code,
        Err(error) => error,
    };
    if let Some(report) = report {
        report.fail(&error);
    }
    error.exit_code().unwrap_or(exit::RUN)
}

fn start(task: OwnedFd, report: &mut Option<Reporter<OwnedFd>>, last: OwnedFd) -> Result<u8> {
    program::hide()?;
    signal::reset();
    rustix::process::umask(Mode::from_raw_mode(0o022));
    process::leave_session_keyring();
    let text = file::rest(task.as_fd(), usize::MAX).map_err(|e| {
        Error::new(format_args!(
            "cannot read the container's configuration: {e}"
        ))
    })?;
    // Neither an init nor the program is to find it open.
    drop(task);
    match json::from_slice(&text) {
        Ok(Task::Run(spec)) => run(&spec, report, last),
        Ok(Task::Enter(spec)) => match report {
            Some(report) => enter(&spec, report, last),
            None => Ok(exit::RUN),
        },
        Err(e) => Err(Error::new(format_args!(
            "cannot read the container's configuration: {e}"
        ))),
    }
}

/// Builds the container around this process, waits for the release, and becomes the program.
fn run(spec: &ChildSpec, reports: &mut Option<Reporter<OwnedFd>>, gate: OwnedFd) -> Result<u8> {
    let Some(report) = reports else {
        return Ok(exit::RUN);
    };
    new_session()?;
    rustix::system::sethostname(spec.program.hostname.as_bytes()).map_err(|e| {
        Error::os(
            format_args!("set the host name {}", spec.program.hostname),
            e,
        )
    })?;
    if let Some(pin) = &spec.netns {
        NetNs::open(pin)?
            .enter()
            .map_err(|e| Error::os(format_args!("enter the sandbox at {}", pin.display()), e))?;
    }
    let mut said = |step: &dyn crate::kernel::mount::Step| {
        if spec.verbose {
            report.send(&Report::Line(step.to_string()));
        }
    };
    rootfs::build(&rootfs::plan(spec), &mut said, &mut |note| {
        report.note(note)
    })?;
    let user = users::lookup(&spec.program)?;
    for limit in &spec.program.limits {
        limits::set(limit).map_err(|e| Error::os("set a resource limit (--ulimit)", e))?;
    }
    program::make_directory(spec.program.cwd.as_deref());
    match spec.program.terminal {
        Some(size) => line::make(&user, size, &gate)?,
        None => program::own_stdio(&user)?,
    }
    program::become_user(&user, &spec.program)?;
    program::enter_directory(spec.program.cwd.as_deref())?;
    report.send(&Report::Ready);
    if gate::hear(&gate).is_none() {
        return Ok(exit::RUN);
    }
    report.send(&Report::Going);
    let become_program = || {
        let error = match spec.program.terminal.map(|_| line::control()) {
            Some(Err(error)) => error,
            Some(Ok(())) | None => program::execute(&spec.program, &user.home),
        };
        // The monitor is told, too: a program that never began has no exit status, and nothing is removed for it.
        let _ = gate::say(&gate, gate::FAILURE);
        error
    };
    if !spec.settings().init {
        return Err(become_program());
    }
    let init = init::begin(|| {
        let error = match new_session() {
            Ok(()) => become_program(),
            Err(error) => error,
        };
        report.fail(&error);
        error.exit_code().unwrap_or(exit::RUN)
    })?;
    // Both end for those who wait when the program closes them, too, by being executed.
    drop(gate);
    *reports = None;
    Ok(init.run())
}

/// Enters a container whose pidfd this is, and becomes one more process in it.
///
/// A PID namespace is entered by children only, so a sibling is cloned: the command that waits is its parent, too.
fn enter(spec: &EnterSpec, report: &Reporter<OwnedFd>, container: OwnedFd) -> Result<u8> {
    let program = &spec.program;
    let held = spec.renew.as_ref().map(EtcFiles::hold);
    process::enter_container(&container).map_err(|errno| match errno {
        Errno::SRCH => Error::new("the container has ended"),
        errno => Error::os("enter the container's namespaces", errno),
    })?;
    drop(container);
    let inside = move || {
        let go = move || -> Result<()> {
            new_session()?;
            for file in held.into_iter().flatten() {
                file.renew()?;
            }
            limits::take(&program.limits);
            let user = users::lookup(program).map_err(|e| e.exit(exit::CANNOT_EXECUTE))?;
            match program.terminal {
                Some(_) => {
                    line::own(&user);
                    line::control()?;
                }
                None => program::own_stdio(&user)?,
            }
            program::become_user(&user, program)?;
            program::enter_directory(program.cwd.as_deref())?;
            report.send(&Report::Going);
            Err(program::execute(program, &user.home))
        };
        match go() {
            Ok(()) => exit::RUN,
            Err(error) => {
                report.fail(&error);
                error.exit_code().unwrap_or(exit::RUN)
            }
        }
    };
    let pid = process::clone(CLONE_PARENT, inside)
        .map_err(|e| Error::os("start a process in the container", e))?;
    let pid = pid.as_raw_nonzero().get() as u32;
    report.send(&Report::Started(Process { pid, start: 0 }));
    Ok(0)
}

fn new_session() -> Result<()> {
    match rustix::process::setsid() {
        // It leads a process group, and so a session, already.
        Ok(_) | Err(Errno::PERM) => Ok(()),
        Err(errno) => Err(Error::os("begin a session", errno)),
    }
}
