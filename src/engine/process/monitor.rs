//! The monitor: the parent of a container's first process, for as long as that lives.
//!
//! It holds the `exit` file locked, keeps the output, hands it on to a foreground `run`, and when the process has ended
//! and everything it wrote is kept, writes the exit status by one pwrite and removes the container if that was asked.
//! It ends early, and the container with it, when the command dies before the release. Killed itself, it takes nothing
//! along: the container's ends of the pipes are open for reading, too, so that a write does not fail for want of a
//! reader; what is written then fills the pipe (64 KiB), and is lost.

use super::child::{self, Handed};
use super::log::{Stream, Writer};
use super::report::{Report, Reporter};
use super::spawn;
use crate::engine::record::{Exit, UnixNanos};
use crate::error::{Error, exit};
use crate::sys::memory::Slack;
use crate::sys::{fd, process, signal};
use crate::types::json;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes read from a pipe at once.
const CHUNK: usize = 4096;

/// How long nothing has to happen before memory is let go of.
const QUIET: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// What the monitor is born with.
pub(super) struct Monitor {
    /// Reading end of the gate that the command holds.
    pub gate: OwnedFd,
    /// Where it and the child report to.
    pub report: OwnedFd,
    /// The child's task.
    pub task: OwnedFd,
    /// The child's stdio.
    pub stdio: [OwnedFd; 3],
    /// The writing end of the child's stdin, where nobody else holds it: it must not end.
    pub stdin: Option<OwnedFd>,
    /// Reading ends of the child's outputs.
    pub outputs: [OwnedFd; 2],
    /// The `exit` file, locked.
    pub exit_file: OwnedFd,
    /// The log, unless nothing is to be kept.
    pub log: Option<Writer>,
    /// Whether the output goes to the command's own stdout and stderr, too.
    pub foreground: bool,
    /// What is done last: `--rm`.
    pub hook: Option<super::Hook>,
    /// What is kept open until it ends.
    pub held: Option<OwnedFd>,
}

/// One output of the container.
struct Output {
    pipe: Option<OwnedFd>,
    stream: Stream,
    to: Option<BorrowedFd<'static>>,
}

/// What a monitor watches once the child exists.
struct Watch {
    child: Pid,
    pidfd: OwnedFd,
    gate: Option<OwnedFd>,
    /// Until the child's program has begun.
    child_gate: Option<OwnedFd>,
    released: bool,
    outputs: [Output; 2],
    log: Option<Writer>,
    /// What can be let go of while nothing happens; known once the program has begun.
    slack: Option<Slack>,
}

/// How it ended.
enum End {
    /// The program ran and ended.
    Exited(u8),
    /// It never began: the command knows why.
    Never,
}

impl Monitor {
    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        [&self.gate, &self.report, &self.task, &self.exit_file]
            .into_iter()
            .chain(&self.stdio)
            .chain(&self.outputs)
            .chain(&self.stdin)
            .chain(&self.held)
            .chain(self.log.iter().flat_map(Writer::descriptors))
            .map(AsFd::as_fd)
            .collect()
    }

    /// The whole of the monitor: its exit code is the container's.
    pub fn run(self) -> u8 {
        // First of all the command's ends of the gates, whose death would not be seen otherwise, and its locks.
        fd::close_from(3, &self.descriptors());
        signal::Set::all().block();
        // A session of its own: the terminal's signals are the command's business.
        let _ = rustix::process::setsid();
        let report = Reporter(self.report);
        let started = rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::STREAM,
            rustix::net::SocketFlags::CLOEXEC,
            None,
        )
        .and_then(|(mine, theirs)| {
            let stdio = [
                self.stdio[0].as_fd(),
                self.stdio[1].as_fd(),
                self.stdio[2].as_fd(),
            ];
            let handed = Handed {
                task: self.task.as_fd(),
                report: report.0.as_fd(),
                last: theirs.as_fd(),
            };
            let child = process::clone(process::CONTAINER_NAMESPACES, || {
                child::become_child(stdio, &handed)
            })?;
            let pidfd = rustix::process::pidfd_open(child, PidfdFlags::empty())?;
            Ok((child, pidfd, process::start_time(child)?, mine))
        });
        let (child, pidfd, start, child_gate) = match started {
            Ok(started) => started,
            Err(errno) => {
                let what =
                    "make the container's namespaces (CONFIG_PID_NS, CONFIG_UTS_NS, CONFIG_IPC_NS)";
                report.fail(&Error::os(what, errno));
                return exit::RUN;
            }
        };
        let pid = child.as_raw_nonzero().get() as u32;
        report.send(&Report::Started { pid, start });
        drop((report, self.task, self.stdio));
        let to = |fd| self.foreground.then_some(fd);
        let [out, err] = self.outputs;
        let output = |pipe, stream, to| Output {
            pipe: Some(pipe),
            stream,
            to,
        };
        let watch = Watch {
            child,
            pidfd,
            gate: Some(self.gate),
            child_gate: Some(child_gate),
            released: false,
            outputs: [
                output(out, Stream::Stdout, to(rustix::stdio::stdout())),
                output(err, Stream::Stderr, to(rustix::stdio::stderr())),
            ],
            log: self.log,
            slack: None,
        };
        watch.settle(&self.exit_file, [&self.stdin, &self.held], self.foreground);
        let end = watch.follow();
        let End::Exited(code) = end else {
            return exit::RUN;
        };
        let status = Exit { code, at: now() };
        let _ = rustix::io::pwrite(&self.exit_file, json::to_text(&status).as_bytes(), 0);
        if let Some(hook) = self.hook {
            // Waiting for a lock ends by an alarm.
            signal::Set::all()
                .without(&[Signal::ALARM.as_raw()])
                .block();
            // It may close every descriptor at its end: none is closed again after it.
            drop((self.stdin, self.held));
            let _locked = self.exit_file.into_raw_fd();
            hook(status);
        }
        code
    }
}

/// Nanoseconds since 1970.
fn now() -> UnixNanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| d.as_nanos() as u64)
}

impl Watch {
    /// Lets go of everything inherited that is not the monitor's: descriptors, the working directory, memory.
    fn settle(&self, exit_file: &OwnedFd, others: [&Option<OwnedFd>; 2], foreground: bool) {
        let mut keep = vec![exit_file.as_fd(), self.pidfd.as_fd()];
        keep.extend(self.gate.iter().chain(&self.child_gate).map(AsFd::as_fd));
        keep.extend(
            self.outputs
                .iter()
                .filter_map(|o| o.pipe.as_ref())
                .map(AsFd::as_fd),
        );
        keep.extend(others.into_iter().flatten().map(AsFd::as_fd));
        keep.extend(
            self.log
                .iter()
                .flat_map(Writer::descriptors)
                .map(AsFd::as_fd),
        );
        if foreground {
            keep.extend([rustix::stdio::stdout(), rustix::stdio::stderr()]);
        }
        fd::close_from(0, &keep);
        // The numbers of stdio belong to nothing else, whatever is opened later.
        while let Ok(null) = spawn::null() {
            if null.as_raw_fd() > 2 {
                break;
            }
            let _ = null.into_raw_fd();
        }
        let _ = rustix::process::chdir("/");
        for output in self.outputs.iter().filter_map(|o| o.pipe.as_ref()) {
            let _ = rustix::io::ioctl_fionbio(output, true);
        }
    }

    fn follow(mut self) -> End {
        loop {
            let mut polled = [const { None }; 5];
            let watched = [
                self.gate.as_ref(),
                self.child_gate.as_ref().filter(|_| self.released),
                self.outputs[0].pipe.as_ref(),
                self.outputs[1].pipe.as_ref(),
                Some(&self.pidfd),
            ];
            let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(5);
            for (slot, fd) in polled.iter_mut().zip(watched) {
                if let Some(fd) = fd {
                    *slot = Some(fds.len());
                    fds.push(PollFd::new(fd, PollFlags::IN));
                }
            }
            let quiet = self.slack.as_ref().map(|_| QUIET);
            match poll(&mut fds, quiet.as_ref()) {
                // Nothing for a while: it may be long until the next, and nobody pays for it meanwhile.
                Ok(0) => {
                    if let Some(slack) = &self.slack {
                        slack.let_go([Self::follow as *const (), poll as *const ()]);
                    }
                    let _ = poll(&mut fds, None);
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return self.ended(),
            }
            let ready = polled.map(|slot| slot.is_some_and(|i| !fds[i].revents().is_empty()));
            drop(fds);
            if ready[0] && !self.release() {
                let _ = process::signal(&self.pidfd, Signal::KILL.as_raw());
                let _ = process::wait(self.child);
                return End::Never;
            }
            if ready[1] {
                if self.never_began() {
                    let _ = process::wait(self.child);
                    return End::Never;
                }
                // The program has begun: what follows is mostly sleep.
                self.slack = Slack::find();
            }
            for i in 0..2 {
                if ready[2 + i] {
                    self.pump(i);
                }
            }
            if ready[4] {
                return self.ended();
            }
        }
    }

    /// The command's byte goes on to the child; false when the command is gone instead.
    fn release(&mut self) -> bool {
        let Some(gate) = self.gate.take() else {
            return true;
        };
        let byte = rustix::io::read(&gate, &mut [0]);
        if byte == Err(Errno::INTR) {
            self.gate = Some(gate);
            return true;
        }
        self.released = true;
        let child = self.child_gate.as_ref();
        byte == Ok(1) && child.is_some_and(|gate| rustix::io::write(gate, b"G").is_ok())
    }

    /// Whether the child says that it could not execute the program; the end of the gate says that it could.
    fn never_began(&mut self) -> bool {
        let gate = self.child_gate.take();
        gate.is_some_and(|gate| rustix::io::read(gate, &mut [0]) == Ok(1))
    }

    /// Reads once what an output has; false when there is nothing more for now.
    fn pump(&mut self, which: usize) -> bool {
        let output = &mut self.outputs[which];
        let Some(pipe) = &output.pipe else {
            return false;
        };
        let mut chunk = [0; CHUNK];
        match rustix::io::read(pipe, &mut chunk) {
            Ok(0) => output.pipe = None,
            Ok(n) => {
                if let Some(log) = &mut self.log {
                    log.keep(output.stream, now(), &chunk[..n]);
                }
                if output.to.is_some_and(|to| !write_all(to, &chunk[..n])) {
                    output.to = None;
                }
                return true;
            }
            Err(Errno::INTR) => return true,
            Err(Errno::AGAIN) => {}
            Err(_) => output.pipe = None,
        }
        false
    }

    /// The first process has ended, and with it, before it could be waited for, all others: what they wrote is there.
    fn ended(mut self) -> End {
        let never = self.released && self.never_began();
        let before = self.gate.is_some();
        let code = process::wait(self.child).unwrap_or(exit::RUN);
        for which in 0..2 {
            while self.pump(which) {}
        }
        if before || never {
            return End::Never;
        }
        End::Exited(code)
    }
}

/// Writes all of it; false when nobody takes it any more.
pub(super) fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            // Somebody made the terminal non-blocking for all who share it.
            Err(Errno::AGAIN) => {
                let mut room = [PollFd::from_borrowed_fd(to, PollFlags::OUT)];
                let _ = poll(&mut room, None);
            }
            Err(_) => return false,
        }
    }
    true
}
