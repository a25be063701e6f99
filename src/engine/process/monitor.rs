//! The monitor: the parent of a container's first process, for as long as that lives.
//!
//! It holds the `exit` file locked, keeps the output, hands it on to a foreground `run`, and when the process has ended
//! and everything it wrote is kept, writes the exit status by one pwrite and removes the container if that was asked.
//! It ends early, and the container with it, when the command dies before the release. Killed itself, it takes nothing
//! along: the container's ends of the pipes are open for reading, too, so that a write does not fail for want of a
//! reader; what is written then fills the pipe (64 KiB), and is lost.

use super::child::{self, Handed};
use super::lines::{Lines, Output};
use super::log::Writer;
use super::report::{Report, Reporter};
use super::{door, gate, pipe};
use crate::engine::Silence;
use crate::engine::record::{Exit, Process};
use crate::engine::spec::Places;
use crate::engine::watch::Watcher;
use crate::error::{Error, exit};
use crate::sys::memory::Slack;
use crate::sys::{fd, handover, process, signal, time};
use crate::types::json;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::time::Duration;

/// Bytes read from a pipe at once.
const CHUNK: usize = 4096;

/// How long nothing has to happen before memory is let go of.
const QUIET: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// How long to wait when the kernel had no memory for poll(2).
const SHORT_OF_MEMORY: Duration = Duration::from_millis(50);

/// What a monitor does last, after the exit status is written and before its lock is free: `--rm`.
///
/// It runs in the monitor, where every descriptor that was open before is closed: it opens what it needs.
pub type Hook = Box<dyn FnOnce(Exit)>;

/// What the monitor is born with.
pub(super) struct Monitor {
    /// Reading end of the gate that the command holds: it releases the child, and takes that back if it fails after all.
    pub gate: OwnedFd,
    /// Where it and the child report to.
    pub report: OwnedFd,
    /// The child's task.
    pub task: OwnedFd,
    /// What leads to and from the child.
    pub lines: Lines,
    /// Where those who attach knock.
    pub door: OwnedFd,
    /// The `exit` file, locked.
    pub exit_file: OwnedFd,
    /// The log, unless nothing is to be kept.
    pub log: Option<Writer>,
    /// What is done last: `--rm`.
    pub hook: Option<Hook>,
    /// What is kept open until it ends.
    pub held: Option<OwnedFd>,
    /// Whose objects it watches over when it is elected.
    pub places: Places,
}

/// What a monitor watches once the child exists.
struct Watch {
    child: Pid,
    pidfd: OwnedFd,
    /// Until the command has gone its way.
    gate: Option<OwnedFd>,
    /// Until the child's program has begun.
    child_gate: Option<OwnedFd>,
    released: bool,
    /// Whether the child is still to send a terminal's master, which then is the first output's pipe.
    expects_terminal: bool,
    terminal: bool,
    line: Option<OwnedFd>,
    stdin: Option<OwnedFd>,
    door: OwnedFd,
    outputs: [Output; 2],
    log: Option<Writer>,
    /// What can be let go of while nothing happens; known once the program has begun.
    slack: Option<Slack>,
    /// Stands for election once the program has begun.
    watcher: Option<Watcher>,
    places: Places,
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
        [
            &self.gate,
            &self.report,
            &self.task,
            &self.exit_file,
            &self.door,
        ]
        .into_iter()
        .chain(self.lines.descriptors())
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
        let mut lines = self.lines;
        let started = begin(&self.task, &lines, &report);
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
        report.send(&Report::Started(Process { pid, start }));
        let outputs = lines.take_outputs();
        drop((report, self.task, lines.stdio));
        let watch = Watch {
            child,
            pidfd,
            gate: Some(self.gate),
            child_gate: Some(child_gate),
            released: false,
            expects_terminal: lines.terminal,
            terminal: lines.terminal,
            line: lines.line,
            stdin: lines.stdin,
            door: self.door,
            outputs,
            log: self.log,
            slack: None,
            watcher: None,
            places: self.places,
        };
        watch.settle(&self.exit_file, self.held.as_ref());
        let end = watch.follow();
        let End::Exited(code) = end else {
            return exit::RUN;
        };
        let status = Exit {
            code,
            at: time::now(),
        };
        let _ = fd::write_all(&self.exit_file, json::to_text(&status).as_bytes(), Some(0));
        if let Some(hook) = self.hook {
            // Waiting for a lock ends by an alarm.
            signal::Set::all()
                .without(&[Signal::ALARM.as_raw()])
                .block();
            // It may close every descriptor at its end: none is closed again after it.
            drop(self.held);
            let _locked = self.exit_file.into_raw_fd();
            hook(status);
        }
        code
    }
}

/// Makes the child: its pid, its pidfd, when it began, and this end of its gate.
fn begin(
    task: &OwnedFd,
    lines: &Lines,
    report: &Reporter<OwnedFd>,
) -> Result<(Pid, OwnedFd, u64, OwnedFd), Errno> {
    let (mine, theirs) = handover::pair()?;
    let [stdin, stdout, stderr] = &lines.stdio;
    let stdio = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let handed = Handed {
        task: task.as_fd(),
        report: report.0.as_fd(),
        last: theirs.as_fd(),
    };
    let child = process::clone(process::CONTAINER_NAMESPACES, || {
        child::become_child(stdio, &handed)
    })?;
    let pidfd = rustix::process::pidfd_open(child, PidfdFlags::empty())?;
    Ok((child, pidfd, process::start_time(child)?, mine))
}

impl Watch {
    /// Lets go of everything inherited that is not the monitor's: descriptors, the working directory, memory.
    fn settle(&self, exit_file: &OwnedFd, held: Option<&OwnedFd>) {
        let mut keep = vec![exit_file.as_fd(), self.pidfd.as_fd(), self.door.as_fd()];
        let some = [&self.gate, &self.child_gate, &self.line, &self.stdin];
        keep.extend(some.into_iter().flatten().map(AsFd::as_fd));
        keep.extend(held.map(AsFd::as_fd));
        for output in &self.outputs {
            let ends = output.pipe.iter().chain(&output.own).chain(&output.to);
            keep.extend(ends.map(AsFd::as_fd));
        }
        let log = self.log.iter().flat_map(Writer::descriptors);
        keep.extend(log.map(AsFd::as_fd));
        fd::close_from(0, &keep);
        // The numbers of stdio belong to nothing else, whatever is opened later.
        while let Ok(null) = pipe::null() {
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
            let mut polled = [const { None }; 6];
            let hears_child = self.released || self.expects_terminal;
            let watched = [
                self.gate.as_ref(),
                self.child_gate.as_ref().filter(|_| hears_child),
                self.outputs[0].pipe.as_ref(),
                self.outputs[1].pipe.as_ref(),
                Some(&self.pidfd),
                Some(&self.door),
            ];
            let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(9);
            for (slot, fd) in polled.iter_mut().zip(watched) {
                if let Some(fd) = fd {
                    *slot = Some(fds.len());
                    fds.push(PollFd::new(fd, PollFlags::IN));
                }
            }
            let watcher = self.watcher.as_ref();
            let others = watcher.into_iter().flat_map(Watcher::descriptors);
            fds.extend(others.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            let quiet = self.slack.as_ref().map(|_| QUIET);
            let due = watcher.and_then(Watcher::due);
            let due = due.and_then(|due| Timespec::try_from(due).ok());
            let is_soon = due.is_some_and(|due| quiet.is_none_or(|quiet| due < quiet));
            match poll(&mut fds, if is_soon { &due } else { &quiet }.as_ref()) {
                Ok(0) if is_soon => {}
                // Nothing for a while: it may be long until the next, and nobody pays for it meanwhile.
                Ok(0) => {
                    if let Some(slack) = &self.slack {
                        slack.let_go([Self::follow as *const (), poll as *const ()]);
                    }
                    let _ = retry_on_intr(|| poll(&mut fds, due.as_ref()));
                }
                Ok(_) | Err(Errno::INTR) => {}
                // ENOMEM, which passes: there is nobody else who would keep the container.
                Err(_) => time::sleep(SHORT_OF_MEMORY),
            }
            let ready = polled.map(|slot| slot.is_some_and(|i| !fds[i].revents().is_empty()));
            drop(fds);
            if ready[0] && !self.hear_command() {
                let _ = process::signal(&self.pidfd, Signal::KILL.as_raw());
                // Where that was refused, the end of its gate ends a child that still waits for its release.
                self.child_gate = None;
                let _ = process::wait(self.child);
                return End::Never;
            }
            if ready[1] && self.expects_terminal {
                self.take_terminal();
            } else if ready[1] {
                if self.never_began() {
                    let _ = process::wait(self.child);
                    return End::Never;
                }
                // The program has begun: what follows is mostly sleep.
                self.slack = Slack::find();
                self.watcher = Watcher::stand(&self.places);
            }
            if let Some(watcher) = &mut self.watcher {
                watcher.step(&mut Silence);
            }
            for i in 0..2 {
                if ready[2 + i] {
                    self.pump(i);
                }
            }
            if ready[5] {
                self.admit();
            }
            if ready[4] {
                return self.ended();
            }
        }
    }

    /// The command's release goes on to the child; false when the command is gone instead, or takes it back.
    fn hear_command(&mut self) -> bool {
        let Some(gate) = &self.gate else {
            return true;
        };
        let word = gate::hear(gate);
        if self.released {
            self.gate = None;
            return word.is_none();
        }
        self.released = word == Some(gate::RELEASE);
        let child = self.child_gate.as_ref();
        self.released && child.is_some_and(|child| gate::say(child, gate::RELEASE).is_ok())
    }

    /// The terminal's master comes from the child, and goes on to the command.
    fn take_terminal(&mut self) {
        self.expects_terminal = false;
        let gate = self.child_gate.as_ref();
        let received = gate.map(|gate| handover::receive(gate, false));
        if let Some(Ok((Some(_), mut fds))) = received
            && let Some(master) = fds.pop()
        {
            let _ = rustix::io::ioctl_fionbio(&master, true);
            if let Some(line) = self.line.take() {
                let _ = handover::send(line, gate::TERMINAL, &[master.as_fd()]);
            }
            self.outputs[0].pipe = Some(master);
        }
    }

    /// Somebody attaches; those who have left are forgotten.
    fn admit(&mut self) {
        for output in &mut self.outputs {
            output.to.retain(pipe::is_read);
        }
        let [out, err] = &mut self.outputs;
        let terminal = out.pipe.as_ref().filter(|_| self.terminal);
        let visitors = out.to.len().max(err.to.len());
        if let Some([to_out, to_err]) =
            door::admit(&self.door, visitors, terminal, self.stdin.as_ref())
        {
            out.to.push(to_out);
            err.to.push(to_err);
        }
    }

    /// Whether the child says that it could not execute the program; the end of the gate says that it could.
    fn never_began(&mut self) -> bool {
        let gate = self.child_gate.take();
        gate.is_some_and(|gate| gate::hear(&gate).is_some())
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
                    log.keep(output.stream, time::now(), &chunk[..n]);
                }
                let write = |to: &OwnedFd| pipe::write_all(to.as_fd(), &chunk[..n]);
                output.to.retain(|to| write(to).is_ok());
                // What has no room there is thrown away.
                let broken = output.own.as_ref().and_then(|own| write(own).err());
                if broken == Some(Errno::PIPE) {
                    // Nobody is left whom the command could stay for; once it has gone neither output is its own.
                    self.outputs.iter_mut().for_each(|output| output.own = None);
                    let line = self.line.take();
                    let _ = line.map(|line| pipe::write_all(line.as_fd(), b"."));
                }
                return true;
            }
            Err(Errno::INTR) => return true,
            Err(Errno::AGAIN) => {}
            // EIO: nobody has the terminal open any more (pty(7)).
            Err(_) => output.pipe = None,
        }
        false
    }

    /// The first process has ended, and with it, before it could be waited for, all others: what they wrote is there.
    fn ended(mut self) -> End {
        let began = self.released && !self.never_began();
        let code = process::wait(self.child).unwrap_or(exit::RUN);
        for which in 0..2 {
            while self.pump(which) {}
        }
        // One that dies just before it executes its program has begun if the command says so.
        if began && self.hear_command() {
            return End::Exited(code);
        }
        End::Never
    }
}
