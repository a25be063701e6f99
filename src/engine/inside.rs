//! Looking and going inside: `exec`, `logs`, `show`.

use crate::engine::attend::DETACHED;
use crate::engine::process::{Attended, Bare, enter, enter_bare, log};
use crate::engine::show::{self, NamespaceView};
use crate::engine::spec::ExecSpec;
use crate::engine::view::Subject;
use crate::engine::{Engine, Run, derived};
use crate::error::{Error, Result, exit};
use crate::kernel::{Place, netns};
use std::io::Write;

impl Engine {
    /// Runs a command in a container, or as `ip netns exec` in a sandbox without one: its exit code.
    ///
    /// # Errors
    /// A container that does not run; 126 and 127 where the command cannot be executed or is not there.
    pub fn exec(&self, reference: &str, spec: &ExecSpec, run: &mut Run) -> Result<u8> {
        match self.find(reference)? {
            Subject::Container(container) => {
                let etc = self.etc_files(container.record.sandbox.as_ref());
                Ok(match enter(&container.record, &etc, spec)? {
                    Attended::Exited(code) => code,
                    Attended::Ended | Attended::Detached => {
                        run.say.note(&DETACHED);
                        0
                    }
                })
            }
            Subject::Sandbox(sandbox, _) if spec.terminal && spec.detach => {
                Err(Error::new(format!(
                    "{} is a sandbox without a process of its own: a detached command in it has no terminal",
                    sandbox.name
                )))
            }
            // On a terminal, that is the caller's.
            Subject::Sandbox(sandbox, _) => {
                netns::check_pin(&sandbox.name)?;
                derived::write(&self.store, &sandbox)?;
                let pin = netns::pin_path(&sandbox.name);
                let etc = self.etc_files(Some(&sandbox.name));
                enter_bare(
                    &Bare {
                        netns: &pin,
                        etc: &etc,
                        env: &spec.caller_env,
                    },
                    spec,
                )
            }
        }
    }

    /// Writes what a container has written, as far as it was kept.
    pub fn logs(&self, reference: &str, out: &mut dyn Write, err: &mut dyn Write) -> Result<()> {
        let name = self.find_container(reference)?.record.name;
        let directory = self.store.path(&format!("containers/{name}"));
        let mut failed = None;
        log::Reader::new(&directory).read(&mut |entry| {
            if failed.is_none() {
                let written = match entry.stream {
                    log::Stream::Stdout => out.write_all(entry.bytes),
                    log::Stream::Stderr => err.write_all(entry.bytes),
                };
                failed = written.err();
            }
        })?;
        match failed {
            // Nobody reads on: that is theirs to decide.
            Some(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Error::new(format!("cannot write the log: {e}")).exit(exit::FAILURE))
            }
            _ => Ok(()),
        }
    }

    /// The links, addresses, routes and listening sockets of a container's or sandbox's namespace, or of the host's.
    pub fn show(&self, reference: Option<&str>) -> Result<NamespaceView> {
        let place = match reference {
            None => Place::Host,
            Some(reference) => match self.find(reference)? {
                Subject::Container(container) => {
                    container.record.sandbox.map_or(Place::Host, Place::Sandbox)
                }
                Subject::Sandbox(sandbox, _) => Place::Sandbox(sandbox.name.clone()),
            },
        };
        if let Place::Sandbox(name) = &place {
            netns::check_pin(name)?;
        }
        show::view(&place, &mut self.sockets())
            .map_err(|error| error.sandbox(reference.unwrap_or("of the host")))
    }
}
