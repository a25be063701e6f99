//! Ending containers, many at once: `stop`, `kill`, `wait`, and what `rm -f` and `restart` do first.
//!
//! Everyone is signalled before anyone is waited for, so that many take as long as the slowest of them. Each has an
//! answer of its own, in order.

use crate::engine::find::Held;
use crate::engine::lifecycle::{self, handle};
use crate::engine::process::Handle;
use crate::engine::repair::DEATH;
use crate::engine::view::{Container, Status, Subject};
use crate::engine::{Engine, Run};
use crate::error::{Error, Result};
use crate::types::Id;
use rustix::fd::OwnedFd;
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// How long a container may take to stop before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// A container that was asked to end.
struct Ending {
    container: Container,
    /// If it ran.
    alive: Option<Alive>,
    /// How long it may take.
    grace: Duration,
}

/// A container that runs.
struct Alive {
    /// PID 1.
    process: Handle,
    /// Its `exit` file, opened while it ran: who starts it again has another.
    exit: Option<OwnedFd>,
}

impl Engine {
    /// Ends containers: their stop signal, then after `grace`, or what they are set to, SIGKILL. Who does not run is fine.
    /// `watch` hears, before it is waited for, whose turn it is.
    pub fn stop(
        &self,
        references: &[String],
        grace: Option<Duration>,
        watch: &mut dyn FnMut(usize),
        run: &mut Run,
    ) -> Vec<Result<()>> {
        let mut asked = Vec::with_capacity(references.len());
        for reference in references {
            asked.push(self.ask_to_end(reference, grace, run));
        }
        if run.dry_run {
            return each(asked, |ending| {
                say_wait(&ending, run);
                Ok(())
            });
        }
        let began = Instant::now();
        for (at, asked) in asked.iter_mut().enumerate() {
            watch(at);
            if let Ok(Ending {
                alive: Some(alive),
                grace,
                ..
            }) = asked
                && !alive.process.wait(grace.saturating_sub(began.elapsed()))
            {
                match alive.process.kill() {
                    Ok(()) => say_signal(&alive.process, Signal::KILL.as_raw(), run),
                    Err(error) => *asked = Err(error),
                }
            }
        }
        each(asked, |ending| {
            self.see_end(&ending.container, ending.alive)
        })
    }

    /// Waits until the process of a container that was killed is gone, and its end is written down.
    fn see_end(&self, container: &Container, alive: Option<Alive>) -> Result<()> {
        let Some(alive) = alive else {
            return Ok(());
        };
        alive.process.wait(DEATH);
        match &alive.exit {
            Some(exit) => lifecycle::wait_for_monitor(&container.record.name, exit),
            None => Ok(()),
        }
    }

    fn alive(&self, id: &Id) -> Result<(Container, Option<Alive>)> {
        // First: where the process that is known still runs after that, the file is that one's.
        let Held {
            container, exit, ..
        } = self.hold(&id.to_string())?;
        let process = handle(&container)?;
        Ok((container, process.map(|process| Alive { process, exit })))
    }

    fn ask_to_end(
        &self,
        reference: &str,
        grace: Option<Duration>,
        run: &mut Run,
    ) -> Result<Ending> {
        let mut container = self.find_container(reference)?;
        if !run.dry_run {
            container = self.note_stopped(container)?;
        }
        let (container, alive) = self.alive(&container.record.id)?;
        let settings = container.record.settings();
        let signal = settings
            .stop_signal
            .and_then(|signal| signal.try_into().ok());
        let timeout = settings
            .stop_timeout
            .map(|seconds| Duration::from_secs(seconds.into()));
        if let Some(alive) = &alive {
            send(&alive.process, signal.unwrap_or(Signal::TERM.as_raw()), run)?;
        }
        Ok(Ending {
            alive,
            grace: grace.or(timeout).unwrap_or(GRACE),
            container,
        })
    }

    /// Sends a signal to the PID 1 of each container; after SIGKILL, waits until they have ended.
    ///
    /// # Errors
    /// A container that is not running.
    pub fn kill(&self, references: &[String], signal: i32, run: &mut Run) -> Vec<Result<()>> {
        let mut all = Vec::with_capacity(references.len());
        for reference in references {
            all.push(self.send_to(reference, signal, run).map_err(|error| {
                Error::new(format_args!("Cannot kill container: {reference}: {error}"))
            }));
        }
        let ends = signal == Signal::KILL.as_raw() && !run.dry_run;
        each(all, |(container, alive)| {
            self.see_end(&container, alive.filter(|_| ends))
        })
    }

    fn send_to(
        &self,
        reference: &str,
        signal: i32,
        run: &mut Run,
    ) -> Result<(Container, Option<Alive>)> {
        let container = self.find_container(reference)?;
        let (container, waited) = match run.dry_run {
            true => (container, false),
            false => self.meant_to_end(container, signal)?,
        };
        let (container, alive) = self.alive(&container.record.id)?;
        match &alive {
            Some(alive) => send(&alive.process, signal, run)?,
            // What waited for its next start waits no longer.
            None if waited => {}
            None => {
                let id = container.record.id;
                return Err(Error::new(format_args!("Container {id} is not running")));
            }
        }
        Ok((container, alive))
    }

    /// The container after a signal that asks it to end: it is not started again by itself. And whether it waited for
    /// that.
    fn meant_to_end(&self, container: Container, signal: i32) -> Result<(Container, bool)> {
        let stop_signal = container.record.settings().stop_signal;
        let ends = [Signal::KILL.as_raw(), Signal::TERM.as_raw()].contains(&signal)
            || stop_signal == u32::try_from(signal).ok();
        if !ends {
            return Ok((container, false));
        }
        let waited = container.status == Status::Restarting;
        Ok((self.note_stopped(container)?, waited))
    }

    /// Kills those that are about to be removed one after the other, so that nobody's death is waited for alone. Who
    /// removes himself at his end is left to his own removal.
    pub fn doom(&self, references: &[String]) {
        for reference in references {
            if let Ok(Subject::Container(container)) = self.find(reference)
                && !container.record.auto_remove
                && let Ok(container) = self.note_stopped(*container)
                && let Ok(Some(process)) = handle(&container)
            {
                process.kill().ok();
            }
        }
    }

    /// Waits until each container's process has ended, and says its exit code, in order. The status survives the
    /// container's removal: all are found before the first is waited for.
    pub fn wait(
        &self,
        references: &[String],
        said: &mut dyn FnMut(Result<u8>) -> Result<()>,
    ) -> Result<()> {
        let mut all = Vec::with_capacity(references.len());
        for reference in references {
            all.push(self.hold(reference));
        }
        for found in all {
            said(found.and_then(|held| self.exit_code(&held.container, held.exit)))?;
        }
        Ok(())
    }

    fn exit_code(&self, container: &Container, exit: Option<OwnedFd>) -> Result<u8> {
        match (container.status, container.exit, exit) {
            (Status::Exited | Status::Restarting, Some(exit), _) => Ok(exit.code),
            (Status::Running, _, exit) => self.wait_for_end(container, exit.as_ref()),
            _ => {
                let failure = container.record.failure.as_ref();
                Ok(failure.map_or(0, |failure| failure.code))
            }
        }
    }

    /// Ends containers as [`Engine::stop`] does, and starts them again.
    ///
    /// # Errors
    /// One that is removed at its end: it would be gone before it could start again.
    pub fn restart(
        &self,
        references: &[String],
        grace: Option<Duration>,
        watch: &mut dyn FnMut(usize),
        run: &mut Run,
    ) -> Vec<Result<()>> {
        let refused = |reference: &String| {
            let container = self.find_container(reference)?;
            match container.record.auto_remove && container.status == Status::Running {
                true => Err(Error::new(format_args!(
                    "cannot restart {reference}: it was made with --rm, and goes when it stops"
                ))),
                false => Ok(()),
            }
        };
        let (mut all, mut stopping) = (Vec::new(), Vec::new());
        for reference in references {
            let asked = refused(reference);
            if asked.is_ok() {
                stopping.push(reference.clone());
            }
            all.push(asked);
        }
        let stopped = self.stop(&stopping, grace, watch, run);
        let mut stopped = stopping.iter().zip(stopped);
        for asked in &mut all {
            if asked.is_ok()
                && let Some((reference, stopped)) = stopped.next()
            {
                *asked = stopped.and_then(|()| self.start_stopped(reference, run));
            }
        }
        all
    }

    fn start_stopped(&self, reference: &str, run: &mut Run) -> Result<()> {
        match run.dry_run {
            true => self.say_start(&self.find_container(reference)?.record, true, run),
            false => drop(self.start(reference, None, run)?),
        }
        Ok(())
    }
}

/// What comes of each that went well so far.
fn each<T>(all: Vec<Result<T>>, mut then: impl FnMut(T) -> Result<()>) -> Vec<Result<()>> {
    let mut done = Vec::with_capacity(all.len());
    for one in all {
        done.push(one.and_then(&mut then));
    }
    done
}

/// Sends a signal, or says so.
fn send(process: &Handle, signal: i32, run: &mut Run) -> Result<()> {
    if !run.dry_run {
        process.signal(signal)?;
    }
    say_signal(process, signal, run);
    Ok(())
}

fn say_signal(process: &Handle, signal: i32, run: &mut Run) {
    let pid = process.pid();
    run.say.operation(&format_args!("kill -{signal} {pid}"));
}

/// Says how long somebody is waited for, and what then. timeout(1) takes 0 for no limit.
fn say_wait(ending: &Ending, run: &mut Run) {
    let Some(pid) = ending.alive.as_ref().map(|alive| alive.process.pid()) else {
        return;
    };
    let seconds = ending.grace.as_secs();
    let wait = match seconds {
        0 => String::new(),
        seconds => format!(
            "timeout {seconds} sh -c 'while kill -0 {pid}; do sleep 0.1; done' 2>/dev/null || "
        ),
    };
    run.say
        .operation(&format_args!("{wait}kill -9 {pid} 2>/dev/null || true"));
}
