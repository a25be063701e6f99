//! Staying with a container that runs: `attach`, `start -a`, and the foreground of `run`.

use crate::engine::find::Held;
use crate::engine::process::{Attended, Running, visit};
use crate::engine::record::ContainerRecord;
use crate::engine::spec::Stay;
use crate::engine::view::Status;
use crate::engine::{Engine, Run};
use crate::error::{Error, Result};
use rustix::fd::AsFd;

/// What Docker says when the keys that detach were pressed.
pub(super) const DETACHED: &str = "read escape sequence";

impl Engine {
    /// Stays with a running container until it ends or the user leaves: its exit code, or 0.
    ///
    /// # Errors
    /// A container that does not run.
    pub fn attach(&self, reference: &str, stay: &Stay, run: &mut Run) -> Result<u8> {
        // The status survives the removal of a `--rm` container.
        let Held {
            container,
            home,
            exit,
        } = self.hold(reference)?;
        let record = &container.record;
        let start = record
            .start
            .as_ref()
            .filter(|_| container.status == Status::Running);
        let Some(start) = start else {
            return Err(Error::new(
                "You cannot attach to a stopped container, start it first",
            ));
        };
        let stay = &Stay {
            stdin: stay.stdin && record.interactive,
            ..stay.clone()
        };
        let attended = visit(home.as_fd(), start.process(), stay)?;
        let end = || self.wait_for_end(&container, exit.as_ref());
        self.attended(attended, end, run)
    }

    /// Stays with a container that this command has started.
    pub(super) fn attend(&self, running: Running, stay: &Stay, run: &mut Run) -> Result<u8> {
        let attended = running.attend(stay)?;
        self.attended(attended, || Ok(0), run)
    }

    /// The same, with one that it has made.
    pub(super) fn stay(
        &self,
        running: Running,
        record: &ContainerRecord,
        stay: &Stay,
        run: &mut Run,
    ) -> Result<u8> {
        let attended = running.attend(stay)?;
        if matches!(attended, Attended::Detached) {
            self.note_left(record)?;
        }
        self.attended(attended, || Ok(0), run)
    }

    fn attended(
        &self,
        attended: Attended,
        end: impl FnOnce() -> Result<u8>,
        run: &mut Run,
    ) -> Result<u8> {
        match attended {
            Attended::Exited(code) => Ok(code),
            Attended::Ended => end(),
            Attended::Detached => {
                run.say.note(&DETACHED);
                Ok(0)
            }
        }
    }
}
