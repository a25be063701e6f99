//! Kills one process of a command at one of its system calls, so that a crash can be had at every point and again.
//!
//! A process is named by its birth: the command, its first child (netcell's monitor), that one's first child (the
//! container's). Each is traced by PTRACE_SEIZE, which stops nobody that is not told to, and its calls are counted at
//! their entry (PTRACE_GET_SYSCALL_INFO, the same on every architecture). At the wanted count exactly that process gets
//! SIGKILL; then the others are let go and run on as if never traced. A process that executes the container's own
//! program is let go as well: what that does is not netcell's.
#![allow(unsafe_code, reason = "ptrace has no safe form")]

use super::boxes::BINARY;
use super::command::{line_of, netcell_command, step};
use super::sys::{self, Ended, Pid};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

/// How long nothing may happen until a command whose first process has ended counts as settled.
const QUIET: Duration = Duration::from_millis(60);
/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(45);

/// A process by its birth: `[]` is the command, `[0]` its first child, `[0, 1]` that one's second.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Role(pub Vec<usize>);

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("command"),
            [0] => f.write_str("monitor"),
            [0, 0] => f.write_str("child"),
            birth => write!(f, "process {birth:?}"),
        }
    }
}

/// What was seen of a traced command.
#[derive(Debug, Default)]
pub struct Trace {
    /// The numbers of the system calls of each process, in order.
    pub calls: BTreeMap<Role, Vec<u64>>,
    /// Whether the point was reached and the process killed.
    pub killed: bool,
    /// How the command ended.
    pub ended: Option<Ended>,
    /// What it printed.
    pub output: String,
}

/// Where to kill.
#[derive(Clone, Debug)]
pub struct Point {
    pub role: Role,
    /// 0 is the first system call after the program was executed.
    pub index: usize,
}

/// Runs a netcell command to its end and counts.
pub fn record(arguments: &[&str]) -> Trace {
    Tracer::start(&netcell_command(arguments), None).follow()
}

/// Runs a netcell command and kills one of its processes at one system call.
pub fn kill_at(arguments: &[&str], point: &Point) -> Trace {
    Tracer::start(&netcell_command(arguments), Some(point.clone())).follow()
}

/// As [`kill_at`] and [`record`], for any program: the harness tests itself with it.
pub fn trace(command: &Command, point: Option<Point>) -> Trace {
    Tracer::start(command, point).follow()
}

struct Traced {
    role: Role,
    children: usize,
}

struct Tracer {
    line: String,
    programs: Vec<String>,
    root: Pid,
    traced: BTreeMap<Pid, Traced>,
    point: Option<Point>,
    output: File,
    trace: Trace,
    started: Instant,
}

impl Tracer {
    fn start(command: &Command, point: Option<Point>) -> Self {
        let line = line_of(command);
        let output = step("make a file", sys::memfd("output of a traced command"));
        let image = Image::of(command);
        let (ready, mut go) = step("make a pipe", sys::pipe());
        step("block SIGCHLD", sys::block_sigchld(true));
        let root = step("fork", sys::fork(|| image.execute(&output, ready)));
        let options = libc::PTRACE_O_TRACESYSGOOD
            | libc::PTRACE_O_TRACEFORK
            | libc::PTRACE_O_TRACEVFORK
            | libc::PTRACE_O_TRACECLONE
            | libc::PTRACE_O_TRACEEXEC
            | libc::PTRACE_O_EXITKILL;
        step(
            "trace a process",
            ptrace(libc::PTRACE_SEIZE, root, options as usize),
        );
        step("let the process go on", go.write_all(b"g"));
        let first = Traced {
            role: Role::default(),
            children: 0,
        };
        Tracer {
            line,
            programs: vec![image.program(), BINARY.to_owned()],
            root,
            traced: BTreeMap::from([(root, first)]),
            point,
            output,
            trace: Trace::default(),
            started: Instant::now(),
        }
    }

    fn follow(mut self) -> Trace {
        let mut last = Instant::now();
        while !self.traced.is_empty() && !self.trace.killed {
            if self.step_all() {
                last = Instant::now();
                continue;
            }
            if self.trace.ended.is_some() && last.elapsed() > QUIET {
                break;
            }
            assert!(self.started.elapsed() < PATIENCE, "{}: no end", self.line);
            sys::child_or_timeout(Duration::from_millis(20));
        }
        self.let_all_go();
        self.wait_for_the_command();
        step("unblock SIGCHLD", sys::block_sigchld(false));
        step("rewind", self.output.rewind());
        let mut text = Vec::new();
        step("read what was printed", self.output.read_to_end(&mut text));
        self.trace.output = String::from_utf8_lossy(&text).into_owned();
        self.trace
    }

    /// Handles one stop of each process that has stopped; whether any had.
    fn step_all(&mut self) -> bool {
        let mut any = false;
        let pids: Vec<Pid> = self.traced.keys().copied().collect();
        for pid in pids {
            if let Some(stop) = wait_for(pid, false) {
                any = true;
                self.handle(pid, stop);
            }
            if self.trace.killed {
                return true;
            }
        }
        any
    }

    fn handle(&mut self, pid: Pid, stop: Stop) {
        match stop {
            Stop::Ended(ended) => self.ended(pid, ended),
            Stop::Born => {
                self.born(pid);
                go_on(pid, 0);
            }
            Stop::Executed if !self.is_ours(pid) => {
                let_go(pid);
                self.traced.remove(&pid);
            }
            Stop::Executed | Stop::Event => go_on(pid, 0),
            Stop::Group => drop(ptrace(libc::PTRACE_LISTEN, pid, 0)),
            Stop::Signal(signal) => go_on(pid, signal),
            Stop::Call => self.call(pid),
        }
    }

    fn call(&mut self, pid: Pid) {
        if let Some(number) = entered_call(pid) {
            let role = self.traced[&pid].role.clone();
            let calls = self.trace.calls.entry(role.clone()).or_default();
            calls.push(number);
            let here = Point {
                role,
                index: calls.len() - 1,
            };
            let wanted = self.point.as_ref();
            if wanted.is_some_and(|wanted| wanted.role == here.role && wanted.index == here.index) {
                step("kill", sys::kill(pid, libc::SIGKILL));
                self.trace.killed = true;
                while let Some(stop) = wait_for(pid, true) {
                    if let Stop::Ended(ended) = stop {
                        self.ended(pid, ended);
                        return;
                    }
                }
            }
        }
        go_on(pid, 0);
    }

    /// A child of `pid` that the kernel has attached to this tracer already.
    fn born(&mut self, pid: Pid) {
        let Ok(child) = event_message(pid) else {
            return;
        };
        let Some(parent) = self.traced.get_mut(&pid) else {
            return;
        };
        let mut role = parent.role.clone();
        role.0.push(parent.children);
        parent.children += 1;
        self.traced.insert(child, Traced { role, children: 0 });
    }

    fn ended(&mut self, pid: Pid, ended: Ended) {
        self.traced.remove(&pid);
        if pid == self.root {
            self.trace.ended = Some(ended);
        }
    }

    /// Whether a process still runs netcell: the binary, or the sealed copy that it executes itself from.
    fn is_ours(&self, pid: Pid) -> bool {
        let Ok(program) = fs::read_link(format!("/proc/{pid}/exe")) else {
            return false;
        };
        let program = program.to_string_lossy();
        self.programs.iter().any(|ours| *ours == program) || program.contains("memfd:")
    }

    /// Detaches from everybody; a process has to be stopped for that.
    fn let_all_go(&mut self) {
        while let Some((&pid, _)) = self.traced.first_key_value() {
            if ptrace(libc::PTRACE_INTERRUPT, pid, 0).is_ok()
                && let Some(stop) = wait_for(pid, true)
            {
                match stop {
                    Stop::Ended(ended) => {
                        self.ended(pid, ended);
                        continue;
                    }
                    Stop::Born => self.born(pid),
                    Stop::Signal(signal) => drop(sys::kill(pid, signal)),
                    _ => {}
                }
                let_go(pid);
            }
            self.traced.remove(&pid);
        }
    }

    fn wait_for_the_command(&mut self) {
        while self.trace.ended.is_none() {
            match wait_for(self.root, false) {
                Some(Stop::Ended(ended)) => self.trace.ended = Some(ended),
                _ if self.started.elapsed() > PATIENCE => {
                    drop(sys::kill(self.root, libc::SIGKILL));
                    panic!("{}: no end after {:?} was killed", self.line, self.point);
                }
                _ => sys::child_or_timeout(Duration::from_millis(5)),
            }
        }
    }
}

/// Why a traced process has stopped (ptrace(2), "Stopped states").
enum Stop {
    Ended(Ended),
    Born,
    Executed,
    Event,
    Group,
    Call,
    Signal(i32),
}

/// The next stop of a process; none when it runs on, or is no longer there.
fn wait_for(pid: Pid, hang: bool) -> Option<Stop> {
    let flags = libc::__WALL | if hang { 0 } else { libc::WNOHANG };
    let mut status = 0;
    // SAFETY: status is a valid place for the answer.
    if unsafe { libc::waitpid(pid, &mut status, flags) } != pid {
        return None;
    }
    if libc::WIFEXITED(status) {
        return Some(Stop::Ended(Ended::Code(libc::WEXITSTATUS(status))));
    }
    if libc::WIFSIGNALED(status) {
        return Some(Stop::Ended(Ended::Signal(libc::WTERMSIG(status))));
    }
    let signal = libc::WSTOPSIG(status);
    Some(match status >> 16 {
        libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => Stop::Born,
        libc::PTRACE_EVENT_EXEC => Stop::Executed,
        libc::PTRACE_EVENT_STOP if signal != libc::SIGTRAP => Stop::Group,
        0 if signal == libc::SIGTRAP | 0x80 => Stop::Call,
        0 => Stop::Signal(signal),
        _ => Stop::Event,
    })
}

fn ptrace(request: libc::c_uint, pid: Pid, data: usize) -> io::Result<()> {
    // SAFETY: only requests whose data is a number come here.
    match unsafe { libc::ptrace(request, pid, null_mut::<libc::c_void>(), data) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// A process that is killed meanwhile is waited for like any other, so that a failure here says nothing.
fn go_on(pid: Pid, signal: i32) {
    let _ = ptrace(libc::PTRACE_SYSCALL, pid, signal as usize);
}

fn let_go(pid: Pid) {
    let _ = ptrace(libc::PTRACE_DETACH, pid, 0);
}

fn event_message(pid: Pid) -> io::Result<Pid> {
    let mut message: libc::c_ulong = 0;
    let place = (&raw mut message) as usize;
    // PTRACE_GETEVENTMSG writes an unsigned long to the address in data.
    ptrace(libc::PTRACE_GETEVENTMSG, pid, place)?;
    Pid::try_from(message).map_err(io::Error::other)
}

/// The number of the call that a process is about to make; none when it comes back from one.
fn entered_call(pid: Pid) -> Option<u64> {
    // struct ptrace_syscall_info: op (one byte), three of padding, arch (4), ip (8), sp (8), then for an entry nr (8).
    const PTRACE_GET_SYSCALL_INFO: libc::c_uint = 0x420e;
    const ENTRY: u64 = 1;
    let mut info = [0_u64; 11];
    // SAFETY: the kernel writes at most the size it is given.
    let got = unsafe {
        libc::ptrace(
            PTRACE_GET_SYSCALL_INFO,
            pid,
            size_of_val(&info),
            info.as_mut_ptr(),
        )
    };
    (got > 0 && info[0].to_le() & 0xff == ENTRY).then_some(info[3])
}

/// A program with its arguments and environment, ready to be executed without another allocation.
struct Image {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Image {
    fn of(command: &Command) -> Self {
        let text = |bytes: &[u8]| CString::new(bytes).expect("no NUL in a command");
        let mut environment: BTreeMap<_, _> = std::env::vars_os().collect();
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => environment.insert(name.to_owned(), value.to_owned()),
                None => environment.remove(name),
            };
        }
        let program = text(command.get_program().as_bytes());
        let arguments = command.get_args().map(|argument| text(argument.as_bytes()));
        Image {
            arguments: std::iter::once(program.clone()).chain(arguments).collect(),
            environment: environment
                .iter()
                .map(|(name, value)| text(&[name.as_bytes(), b"=", value.as_bytes()].concat()))
                .collect(),
            program,
        }
    }

    fn program(&self) -> String {
        let program = self.program.to_string_lossy().into_owned();
        fs::canonicalize(&program).map_or(program, |path| path.to_string_lossy().into_owned())
    }

    /// In the forked process: waits to be traced, then becomes the program.
    fn execute(&self, output: &File, mut ready: File) -> i32 {
        let vector = |texts: &[CString]| {
            let pointers = texts.iter().map(|text| text.as_ptr());
            pointers.chain([std::ptr::null()]).collect::<Vec<_>>()
        };
        let (arguments, environment) = (vector(&self.arguments), vector(&self.environment));
        let prepared = sys::block_sigchld(false)
            .and_then(|()| sys::dup_to(output, 1))
            .and_then(|()| sys::dup_to(output, 2))
            .and_then(|()| ready.read_exact(&mut [0]));
        if prepared.is_ok() {
            // SAFETY: NUL-terminated strings in arrays that end with a null pointer.
            unsafe {
                libc::execve(
                    self.program.as_ptr(),
                    arguments.as_ptr(),
                    environment.as_ptr(),
                )
            };
        }
        eprintln!("cannot execute: {}", io::Error::last_os_error());
        127
    }
}
