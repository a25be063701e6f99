//! Kills one process of a command at one of its system calls, or has that call fail, so that a crash and an error can be
//! had at every point and again.
//!
//! A process is named by its birth: the command, its first child (netcell's monitor), that one's first child (the
//! container's). Each is traced by PTRACE_SEIZE, which stops nobody that is not told to, and its calls are counted at
//! their entry (PTRACE_GET_SYSCALL_INFO, the same on every architecture). At the wanted count exactly that process gets
//! SIGKILL, or the call an errno without having been tried; then the others are let go and run on as if never traced,
//! unless later calls are to fail, too. Or the process is held there while another command runs. A process that executes the
//! container's own program is let go as well: what that does is not netcell's.
#![allow(unsafe_code, reason = "ptrace has no safe form")]

use super::boxes::BINARY;
use super::command::{netcell_command, step};
pub use super::fault::{Call, Fault};
use super::fault::{name, registers};
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
    /// The system calls of each process, in order.
    pub calls: BTreeMap<Role, Vec<Call>>,
    /// Whether the point was reached: the process killed, or its call failed.
    pub reached: bool,
    /// How the command ended; none when it did not within its time, and was killed.
    pub ended: Option<Ended>,
    /// What it printed on stdout, and behind it on stderr.
    pub output: String,
    /// What it printed on stderr.
    pub errors: String,
    /// The call that was reached, in words.
    pub place: String,
}

/// Where something happens, and what.
#[derive(Clone, Debug)]
pub struct Point {
    pub role: Role,
    /// 0 is the first system call after the program was executed; with `of`, the first such call.
    pub index: usize,
    /// Only calls of this number are counted: what a run does besides, which is not always the same, shifts nothing.
    pub of: Option<u64>,
    pub fault: Fault,
}

/// Runs a netcell command to its end and counts.
pub fn record(arguments: &[&str]) -> Trace {
    Tracer::start(&netcell_command(arguments), None).follow()
}

/// Runs a netcell command, one of whose processes is killed or gets an error at one system call.
pub fn fault_at(arguments: &[&str], point: &Point) -> Trace {
    Tracer::start(&netcell_command(arguments), Some(point.clone())).follow()
}

/// As [`fault_at`] and [`record`], for any program: the harness tests itself with it.
pub fn trace(command: &Command, point: Option<Point>) -> Trace {
    Tracer::start(command, point).follow()
}

/// As [`trace`]; `meanwhile` hears of each process that is stopped and is about to be let go.
pub fn trace_and(command: &Command, point: Point, meanwhile: fn(&Role, Pid)) -> Trace {
    let mut tracer = Tracer::start(command, Some(point));
    tracer.meanwhile = meanwhile;
    tracer.follow()
}

/// Runs a netcell command, whose first process is held as it is about to make its call number `index` of a kind, while
/// something else happens; then it goes on.
pub fn hold_at(
    arguments: &[&str],
    (number, index): (libc::c_long, usize),
    meanwhile: &mut dyn FnMut(),
) -> Trace {
    let point = Point {
        role: Role::default(),
        index,
        of: u64::try_from(number).ok(),
        fault: Fault::Kill,
    };
    let mut tracer = Tracer::start(&netcell_command(arguments), Some(point));
    tracer.holds = true;
    tracer.go();
    if tracer.trace.reached {
        meanwhile();
        tracer.let_go(tracer.root);
    }
    tracer.end()
}

struct Traced {
    role: Role,
    children: usize,
    /// Until its program's own `main`: what fails before is the loader's to say.
    starting: bool,
    /// The count that a shortened call had asked for, to be put back at its exit.
    count: Option<u64>,
    /// How many calls it has made, by their number.
    made: BTreeMap<u64, usize>,
}

impl Traced {
    fn new(role: Role, starting: bool) -> Self {
        Traced {
            role,
            children: 0,
            starting,
            count: None,
            made: BTreeMap::new(),
        }
    }
}

struct Tracer {
    programs: Vec<String>,
    root: Pid,
    traced: BTreeMap<Pid, Traced>,
    point: Option<Point>,
    /// The call of the point, once it has failed for good.
    failing: Option<Call>,
    /// Whether nothing is left to be done to the command.
    done: bool,
    /// Whether who reaches the point is only held there.
    holds: bool,
    meanwhile: fn(&Role, Pid),
    stdout: File,
    stderr: File,
    trace: Trace,
    started: Instant,
}

impl Tracer {
    fn start(command: &Command, point: Option<Point>) -> Self {
        let stdout = step("make a file", sys::memfd("output of a traced command"));
        let stderr = step("make a file", sys::memfd("errors of a traced command"));
        let image = Image::of(command);
        let (ready, mut go) = step("make a pipe", sys::pipe());
        step("block SIGCHLD", sys::block_sigchld(true));
        let root = step(
            "fork",
            sys::fork(|| image.execute([&stdout, &stderr], ready)),
        );
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
        let first = Traced::new(Role::default(), true);
        Tracer {
            programs: vec![image.program(), BINARY.to_owned()],
            root,
            traced: BTreeMap::from([(root, first)]),
            point,
            failing: None,
            done: false,
            holds: false,
            meanwhile: |_, _| (),
            stdout,
            stderr,
            trace: Trace::default(),
            started: Instant::now(),
        }
    }

    fn follow(mut self) -> Trace {
        self.go();
        self.end()
    }

    /// Up to where nothing is left to be done.
    fn go(&mut self) {
        let mut last = Instant::now();
        while !self.traced.is_empty() && !self.done {
            if self.step_all() {
                last = Instant::now();
                continue;
            }
            if self.trace.ended.is_some() && last.elapsed() > QUIET {
                break;
            }
            if self.started.elapsed() > PATIENCE {
                break;
            }
            sys::child_or_timeout(Duration::from_millis(20));
        }
    }

    fn end(mut self) -> Trace {
        self.let_all_go();
        self.wait_for_the_command();
        step("unblock SIGCHLD", sys::block_sigchld(false));
        let [out, errors] = [&mut self.stdout, &mut self.stderr].map(printed);
        self.trace.output.push_str(&(out + &errors));
        self.trace.errors = errors;
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
            if self.done {
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
            Stop::Executed if !self.is_ours(pid) => self.let_go(pid),
            Stop::Executed => {
                if let Some(traced) = self.traced.get_mut(&pid) {
                    traced.starting = true;
                }
                go_on(pid, 0);
            }
            Stop::Event => go_on(pid, 0),
            Stop::Group => drop(ptrace(libc::PTRACE_LISTEN, pid, 0)),
            Stop::Signal(signal) => go_on(pid, signal),
            Stop::Call => self.call(pid),
        }
    }

    fn call(&mut self, pid: Pid) {
        match entered_call(pid) {
            Some(call) => self.entered(pid, call),
            None => self.left(pid),
        }
    }

    fn entered(&mut self, pid: Pid, call: Call) {
        let Some(traced) = self.traced.get_mut(&pid) else {
            return;
        };
        // The first thing that netcell does itself is to look at 0, 1 and 2 (src/sys/start.rs).
        traced.starting &= !call.is(libc::SYS_fcntl);
        let runtime = traced.starting;
        let nth = *traced.made.get(&call.number).unwrap_or(&0);
        traced.made.insert(call.number, nth + 1);
        let calls = self.trace.calls.entry(traced.role.clone()).or_default();
        let index = calls.len();
        calls.push(Call {
            nth,
            runtime,
            ..call.clone()
        });
        let wanted = self.point.as_ref().filter(|point| {
            let here = match point.of {
                None => index,
                Some(number) if number == call.number => nth,
                Some(_) => return false,
            };
            point.role == traced.role && here == point.index
        });
        let fault = match (&self.failing, wanted) {
            (None, Some(point)) => Some(point.fault),
            (Some(first), _) => match self.point.as_ref().map(|point| point.fault) {
                Some(Fault::FailOn(errno)) if call.fails_with(first, errno) => {
                    Some(Fault::FailOn(errno))
                }
                _ => None,
            },
            _ => None,
        };
        match fault {
            None => go_on(pid, 0),
            Some(fault) => self.act(pid, fault, &call),
        }
    }

    fn act(&mut self, pid: Pid, fault: Fault, call: &Call) {
        if !self.trace.reached {
            self.trace.reached = true;
            self.trace.place = place_of(pid, call);
        }
        if self.holds {
            self.done = true;
            return;
        }
        match fault {
            Fault::Kill => {
                step("kill", sys::kill(pid, libc::SIGKILL));
                self.done = true;
                while let Some(stop) = wait_for(pid, true) {
                    if let Stop::Ended(ended) = stop {
                        self.ended(pid, ended);
                        return;
                    }
                }
            }
            Fault::Fail(errno) | Fault::FailOn(errno) => {
                step("skip a call", registers::skip(pid));
                go_on(pid, 0);
                match wait_for(pid, true) {
                    Some(Stop::Ended(ended)) => return self.ended(pid, ended),
                    _ => step("have a call fail", registers::answer(pid, errno)),
                }
                self.done = fault == Fault::Fail(errno);
                self.failing.get_or_insert_with(|| call.clone());
            }
            Fault::Short => {
                let count = call.arguments[2];
                step("shorten a call", registers::set_count(pid, count / 2));
                if let Some(traced) = self.traced.get_mut(&pid) {
                    traced.count = Some(count);
                }
            }
        }
        go_on(pid, 0);
    }

    fn left(&mut self, pid: Pid) {
        if let Some(count) = self
            .traced
            .get_mut(&pid)
            .and_then(|traced| traced.count.take())
        {
            // To the process the register is as it left it.
            step("put a count back", registers::set_count(pid, count));
            self.done = true;
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
        self.traced.insert(child, Traced::new(role, false));
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

    /// Detaches from everybody; a process has to be stopped for that. The youngest first: the first process of a PID
    /// namespace ends only when all others in it have been waited for (pid_namespaces(7)).
    fn let_all_go(&mut self) {
        while let Some((&pid, traced)) = self.traced.last_key_value() {
            let role = traced.role.clone();
            // Who is dying cannot be stopped, and has an end to be waited for.
            let _ = ptrace(libc::PTRACE_INTERRUPT, pid, 0);
            match wait_for(pid, true) {
                None => drop(self.traced.remove(&pid)),
                Some(Stop::Ended(ended)) => self.ended(pid, ended),
                Some(stop) => {
                    match stop {
                        Stop::Born => self.born(pid),
                        Stop::Signal(signal) => drop(sys::kill(pid, signal)),
                        _ => {}
                    }
                    (self.meanwhile)(&role, pid);
                    self.let_go(pid);
                }
            }
        }
    }

    /// Detaches from a process that is stopped. One that is killed in its stop, as a monitor kills its child when the
    /// command is dead, cannot be detached from any more and is still this tracer's to wait for: forgotten, it would be a
    /// zombie that its own parent waits for in vain (ptrace(2)).
    fn let_go(&mut self, pid: Pid) {
        if ptrace(libc::PTRACE_DETACH, pid, 0).is_ok() {
            self.traced.remove(&pid);
        }
    }

    fn wait_for_the_command(&mut self) {
        while self.trace.ended.is_none() {
            match wait_for(self.root, false) {
                Some(Stop::Ended(ended)) => self.trace.ended = Some(ended),
                _ if self.started.elapsed() > PATIENCE => {
                    for line in super::oracle::descendants(self.root) {
                        self.trace.output.push_str(&format!("{line}\n"));
                    }
                    drop(sys::kill(self.root, libc::SIGKILL));
                    return;
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

fn event_message(pid: Pid) -> io::Result<Pid> {
    let mut message: libc::c_ulong = 0;
    let place = (&raw mut message) as usize;
    // PTRACE_GETEVENTMSG writes an unsigned long to the address in data.
    ptrace(libc::PTRACE_GETEVENTMSG, pid, place)?;
    Pid::try_from(message).map_err(io::Error::other)
}

/// The call that a process is about to make; none when it comes back from one.
fn entered_call(pid: Pid) -> Option<Call> {
    // struct ptrace_syscall_info: op (one byte), three of padding, arch (4), ip (8), sp (8), then for an entry nr (8) and
    // six arguments (8 each).
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
    let entry = got > 0 && info[0].to_le() & 0xff == ENTRY;
    entry.then(|| {
        let mut call = Call {
            number: info[3],
            arguments: [info[4], info[5], info[6], info[7], info[8], info[9]],
            ..Call::default()
        };
        if call.has_a_count() {
            let link = fs::read_link(format!("/proc/{pid}/fd/{}", call.arguments[0]));
            call.leads_to = link.map_or_else(
                |_| String::new(),
                |link| link.to_string_lossy().into_owned(),
            );
        }
        call
    })
}

/// A call with its path or what its descriptor leads to, for a story.
fn place_of(pid: Pid, call: &Call) -> String {
    let text = |address: u64| {
        use std::os::unix::fs::FileExt;
        let mut bytes = [0; 128];
        let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
        let length = memory.read_at(&mut bytes, address).ok()?;
        let end = bytes[..length].iter().position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    };
    let below =
        call.is(libc::SYS_openat) || call.is(libc::SYS_mkdirat) || call.is(libc::SYS_unlinkat);
    let path = if below || call.is(libc::SYS_renameat) || call.is(libc::SYS_newfstatat) {
        text(call.arguments[1]).unwrap_or_default()
    } else {
        call.leads_to.clone()
    };
    format!("{}({path})", name(call.number))
}

fn printed(file: &mut File) -> String {
    step("rewind", file.rewind());
    let mut text = Vec::new();
    step("read what was printed", file.read_to_end(&mut text));
    String::from_utf8_lossy(&text).into_owned()
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
    fn execute(&self, [stdout, stderr]: [&File; 2], mut ready: File) -> i32 {
        let vector = |texts: &[CString]| {
            let pointers = texts.iter().map(|text| text.as_ptr());
            pointers.chain([std::ptr::null()]).collect::<Vec<_>>()
        };
        let (arguments, environment) = (vector(&self.arguments), vector(&self.environment));
        let prepared = sys::block_sigchld(false)
            .and_then(|()| sys::dup_to(stdout, 1))
            .and_then(|()| sys::dup_to(stderr, 2))
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
