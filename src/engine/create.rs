//! `create` and `run`, of a container or of a sandbox alone.

use crate::engine::container::check_hostname;
use crate::engine::make::note;
use crate::engine::reserve::Wanted;
use crate::engine::spec::{ContainerSpec, SandboxSpec, Stay};
use crate::engine::target::Target;
use crate::engine::{Engine, Run, hosts, image, sandbox};
use crate::error::Result;
use crate::sys::random;
use crate::types::{Id, Name};

/// What `run` did.
pub struct Ran {
    /// The container's id.
    pub id: Id,
    /// The exit code; none when it was detached.
    pub exit: Option<u8>,
}

impl Engine {
    /// Whether there is such an image.
    pub fn check_image(&self, name: &str) -> Result<()> {
        image::find(&self.places.images, name).map(drop)
    }

    /// Creates a container without starting it.
    pub fn create(&self, spec: &ContainerSpec, run: &mut Run) -> Result<Id> {
        let (Some(made), record) = self.make_container(spec, &spec.endpoint, run)? else {
            return random::id();
        };
        if let Err(error) = self.commit(&made, &record, run) {
            self.unmake(made, run)?;
            return Err(error);
        }
        self.finish(made);
        Ok(record.id)
    }

    /// Creates a container and runs it: in the foreground until it ends or the user leaves, or detached.
    pub fn run(&self, spec: &ContainerSpec, stay: Option<&Stay>, run: &mut Run) -> Result<Ran> {
        let again = self.clear_respawned(spec, stay, run)?;
        let endpoint = again.as_ref().unwrap_or(&spec.endpoint);
        let (made, record) = self.make_container(spec, endpoint, run)?;
        let Some(made) = made else {
            self.say_start(&record, stay.is_none(), run);
            if record.auto_remove && stay.is_some() {
                self.say_end(Some(&record.name), run);
            }
            return Ok(Ran {
                id: record.id,
                exit: None,
            });
        };
        self.start_made(made, record, stay, run)
    }

    /// Says how the sandbox goes again that a dry run has just said, if that is this one's own.
    pub fn say_end(&self, of: Option<&Name>, run: &mut Run) {
        let said = self.said.take();
        if let Some(sandbox) = said.filter(|sandbox| of.is_none_or(|of| *of == sandbox.name)) {
            sandbox::unmake(&sandbox, true).say(run.say);
            sandbox::forget(&sandbox).say(run.say);
        }
    }

    /// Creates a sandbox alone.
    pub fn create_sandbox(&self, spec: &SandboxSpec, run: &mut Run) -> Result<Id> {
        let target = Target::alone(&spec.network)?;
        let name = self.name_for(spec.name.as_ref())?;
        let hostname = spec.hostname.clone().unwrap_or_else(|| name.to_string());
        check_hostname(&hostname)?;
        let wanted = Wanted {
            name,
            container: None,
            hostname,
            names: &spec.names,
            publish: &spec.publish,
            endpoint: &spec.endpoint,
            applied: spec.applied.as_deref(),
        };
        let Some(made) = self.make(&wanted, &target, run)? else {
            return random::id();
        };
        let Some(sandbox) = made.change.sandbox().cloned() else {
            return random::id();
        };
        let locked = self.store.lock()?;
        if let Err(error) = self.store.write_sandbox(&locked, &sandbox) {
            drop(locked);
            self.unmake(made, run)?;
            return Err(error);
        }
        let named = hosts::enter(&self.store, &locked, &sandbox, sandbox.id);
        note(named, run);
        // What is committed stays so; where its intent cannot go, the next command takes it away.
        self.store.end(made.intent).ok();
        Ok(sandbox.id)
    }
}
