//! Scavenging: what a dead command left under way is undone, or, for a removal, completed.
//!
//! It runs at the start of every command that takes `lock`, and costs as much as there are operations in flight. An
//! intent is held by its flock while it is settled, so two commands never settle the same one.

use crate::engine::process::Handle;
use crate::engine::record::{ContainerRecord, SandboxRecord};
use crate::engine::sandbox;
use crate::engine::store::{Intent, IntentFile, Verb};
use crate::engine::{Engine, Run, hosts};
use crate::error::Result;
use crate::sys::time;
use crate::types::Name;
use std::fmt::Display;
use std::time::Duration;

/// How long PID 1 may take to die of SIGKILL before its sandbox goes anyway: a stopped `exec` parent can hold it up.
pub(super) const DEATH: Duration = Duration::from_secs(2);

/// How often, and how long after each other, an interrupted operation is tried to be settled that others hold.
const LOOKS: (u32, Duration) = (5, Duration::from_millis(10));

impl Engine {
    /// Settles every intent whose owner is dead, and returns which it took in hand. One that cannot be settled is said, and
    /// hinders nothing else.
    pub(super) fn scavenge(&self, run: &mut Run) -> Result<Vec<String>> {
        let mut taken = Vec::new();
        // One by one: a renaming waits for what is under way on its members, and would wait for this very process.
        for name in self.store.names_under_way()? {
            let file = match self.store.take_abandoned(&name) {
                Ok(Some(file)) => file,
                Ok(None) => continue,
                Err(error) => {
                    self.note_once(&error, run);
                    taken.push(name);
                    continue;
                }
            };
            taken.push(name);
            let name = file.intent.name.clone();
            if let Err(error) = self.settle(file, run) {
                let why = format_args!(
                    "cannot clear up after an interrupted operation on {name}: {error}"
                );
                self.note_once(&why, run);
            }
        }
        Ok(taken)
    }

    /// Says it, unless this command has said it before.
    fn note_once(&self, sentence: &dyn Display, run: &mut Run) {
        let sentence = sentence.to_string();
        if !self.has_noted(&sentence) {
            run.say.note(&sentence);
            self.noted.borrow_mut().push(sentence);
        }
    }

    /// Whether this was said of interrupted operations.
    pub(super) fn has_noted(&self, sentence: &String) -> bool {
        self.noted.borrow().contains(sentence)
    }

    /// Waits until the operation on a name has ended; what its owner left by dying is settled.
    ///
    /// # Errors
    /// What cannot be settled, or not from here.
    pub(super) fn wait_for(&self, name: &Name, run: &mut Run) -> Result<()> {
        self.store.wait_for(name)?;
        if run.dry_run {
            return self.store.refuse_interrupted(name);
        }
        for _ in 1..LOOKS.0 {
            let taken = self.scavenge(run)?;
            let left = self.store.refuse_left(name);
            // Others who wait for a dead owner's intent, too, hold it for a moment, in which nobody can settle it.
            if left.is_ok() || taken.iter().any(|taken| taken == name.as_str()) {
                return left;
            }
            time::sleep(LOOKS.1);
        }
        self.scavenge(run)?;
        self.store.refuse_left(name)
    }

    /// After a failure: what it left under way, because to undo it failed, too, is settled as the next command would.
    pub fn clear_up(&self, run: &mut Run) {
        if !run.dry_run
            && let Err(error) = self.scavenge(run)
        {
            run.say.note(&error);
        }
    }

    /// The outcome of what is always completed, never undone: after a failure it is tried once more.
    pub(super) fn completed(&self, done: Result<()>, name: &Name, run: &mut Run) -> Result<()> {
        let Err(error) = done else {
            return Ok(());
        };
        let is_left = || self.store.is_under_way(name).unwrap_or(true);
        if is_left() && self.scavenge(run).is_ok() && !is_left() {
            return Ok(());
        }
        Err(error)
    }

    fn settle(&self, file: IntentFile, run: &mut Run) -> Result<()> {
        if file.intent.host != self.host {
            // Begun in another network namespace, whose links and rules cannot be reached from here.
            return Ok(());
        }
        match file.intent.verb {
            Verb::Remove => self.complete_removal(file, hosts::renew, run),
            Verb::Rename => self.complete_renaming(file, run),
            Verb::Repair => self.store.lock_and_end(file),
            Verb::Create | Verb::Start if self.is_committed(&file.intent)? => {
                let locked = self.store.lock()?;
                // It may have died before the others could find it by name.
                if let Some(name) = &file.intent.sandbox
                    && let Some(sandbox) = self.store.read::<SandboxRecord>(name)?
                {
                    hosts::renew(&self.store, &locked, &sandbox)?;
                }
                self.end_committed(&locked, file)
            }
            Verb::Publish => {
                if self.has_ports(&file.intent)? {
                    return self.settle_ports(&self.store.lock()?, file);
                }
                self.undo(&file.intent, run)?;
                let locked = self.store.lock()?;
                let name = file.intent.sandbox.as_ref().unwrap_or(&file.intent.name);
                match self.store.read::<SandboxRecord>(name)? {
                    Some(sandbox) => self.give_ports_back(&locked, file, &sandbox.id),
                    None => self.store.end(file),
                }
            }
            Verb::Start => {
                kill(&file.intent);
                self.store.drop_exit(&file.intent.name)?;
                self.store.lock_and_end(file)
            }
            Verb::Create => {
                kill(&file.intent);
                self.undo(&file.intent, run)?;
                let locked = self.store.lock()?;
                self.free_claims(&locked, &file.intent)?;
                self.store.end(file)
            }
        }
    }

    fn is_committed(&self, intent: &Intent) -> Result<bool> {
        match &intent.container {
            Some(id) => {
                let record = self.store.read::<ContainerRecord>(&intent.name)?;
                Ok(record.is_some_and(|record| {
                    record.id == *id && record.generation >= intent.generation
                }))
            }
            None => {
                let record = self.store.read::<SandboxRecord>(&intent.name)?;
                Ok(record.is_some_and(|record| {
                    intent
                        .whole
                        .as_ref()
                        .is_some_and(|whole| whole.id == record.id)
                }))
            }
        }
    }

    /// Takes back what an operation that never committed did to the kernel.
    pub(super) fn undo(&self, intent: &Intent, run: &mut Run) -> Result<()> {
        let plan = match (&intent.whole, &intent.sandbox) {
            (Some(whole), _) => sandbox::undo(whole),
            (None, Some(name)) => match self.store.read::<SandboxRecord>(name)? {
                Some(sandbox) => {
                    sandbox::change(&sandbox, &intent.ports_after, &intent.ports_before)
                }
                None => return Ok(()),
            },
            (None, None) => return Ok(()),
        };
        self.teardown(&plan, run)
    }
}

/// Kills what an operation had made; each process dies with its maker anyway, this only makes it certain.
fn kill(intent: &Intent) {
    for &made in &intent.processes {
        if let Ok(Some(process)) = Handle::open(made) {
            process.kill().ok();
            process.wait(DEATH);
        }
    }
}
