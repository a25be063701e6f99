//! Looking and going inside: `exec`, `show`.

use crate::engine::attend::DETACHED;
use crate::engine::process::{Attended, Bare, enter, enter_bare};
use crate::engine::show::{self, NamespaceView};
use crate::engine::spec::ExecSpec;
use crate::engine::view::Subject;
use crate::engine::{Engine, Run, derived, find};
use crate::error::{Error, Result};
use crate::kernel::{Place, netns};

impl Engine {
    /// Runs a command in a container, or as `ip netns exec` in a sandbox without one: its exit code.
    ///
    /// # Errors
    /// A container that does not run; 126 and 127 where the command cannot be executed or is not there.
    pub fn exec(&self, reference: &str, spec: &ExecSpec, run: &mut Run) -> Result<u8> {
        // A sandbox's namespace is found by its name. Who cannot lock does not rename, either.
        let locked = self.store.lock().ok();
        match self
            .look_closely(reference)?
            .ok_or_else(|| find::no_such(reference))?
        {
            Subject::Container(container) => {
                drop(locked);
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
                Err(Error::new(format_args!(
                    "{} is a sandbox without a process of its own: a detached command in it has no terminal",
                    sandbox.name
                )))
            }
            // On a terminal, that is the caller's.
            Subject::Sandbox(sandbox, _) => {
                netns::check_pin(&sandbox.name)?;
                let netns = netns::open(&sandbox.name)?;
                drop(locked);
                derived::write(&self.store, &sandbox)?;
                let etc = self.etc_files(Some(&sandbox.name));
                enter_bare(
                    &Bare {
                        netns: &netns,
                        name: &sandbox.name,
                        etc: &etc,
                        env: &spec.caller_env,
                    },
                    spec,
                )
            }
        }
    }

    /// The links, addresses, routes and listening sockets of a container's or sandbox's namespace, or of the host's.
    pub fn show(&self, reference: Option<&str>) -> Result<NamespaceView> {
        let place = match reference {
            None => Place::Host,
            Some(reference) => match &self.find(reference)? {
                Subject::Container(container) => {
                    let sandbox = container.record.sandbox.clone();
                    sandbox.map_or(Place::Host, Place::Sandbox)
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
