//! `rm`: an intent to remove is completed, never undone.

use crate::engine::find::{self, no_such};
use crate::engine::lost::Traces;
use crate::engine::plan::Plan;
use crate::engine::process::Handle;
use crate::engine::record::{ContainerRecord, SandboxRecord};
use crate::engine::repair::DEATH;
use crate::engine::sandbox;
use crate::engine::store::{Intent, IntentFile, Locked, Store, Verb};
use crate::engine::view::{Status, Subject};
use crate::engine::{Engine, Run, hosts};
use crate::error::{Errno, Error, Result};
use crate::kernel::netns;
use crate::types::{Id, Name};

/// What is to be removed.
enum Whom<'a> {
    /// What a reference means.
    Means(&'a str),
    /// What has this name and this id.
    Is(&'a Name, &'a Id),
}

/// What is decided of a removal.
enum Decided {
    /// A record is lost, and what the kernel has of this sandbox has to be looked at first.
    Look(Name),
    /// This is removed, when the operation on that name has ended.
    Remove(Box<Intent>, Option<Name>),
}

impl Engine {
    /// Removes a container, or a sandbox that was created alone; the sandbox goes with its last member.
    ///
    /// # Errors
    /// A running container without `force`; a sandbox that only other members keep.
    pub fn remove(&self, reference: &str, force: bool, run: &mut Run) -> Result<()> {
        self.remove_it(&Whom::Means(reference), force, run)
    }

    /// Removes what has this name and this id, and nothing that got the name later.
    pub(super) fn remove_exactly(
        &self,
        name: &Name,
        id: &Id,
        force: bool,
        run: &mut Run,
    ) -> Result<()> {
        self.remove_it(&Whom::Is(name, id), force, run)
    }

    fn remove_it(&self, whom: &Whom, force: bool, run: &mut Run) -> Result<()> {
        let mut traces = None;
        let file = loop {
            let locked = self.store.lock()?;
            let found = match *whom {
                Whom::Is(name, id) => Ok((name.clone(), Some(*id))),
                Whom::Means(reference) => self.removable(reference),
            };
            let busy = match (&found, whom) {
                (Ok((name, _)), _) => Some(name.clone()),
                // Being made, or left half-made by a command that has just died: when that is settled there is an answer.
                (Err(_), Whom::Means(reference)) => reference.parse().ok(),
                _ => None,
            };
            if let Some(name) = busy
                && self.store.is_under_way(&name)?
            {
                drop(locked);
                self.wait_for(&name, run)?;
                continue;
            }
            let (name, id) = found?;
            let (intent, busy) = match self.removal_of((&name, id), force, traces.as_ref())? {
                Decided::Look(sandbox) => {
                    drop(locked);
                    traces = Some(self.traces(&name, &sandbox)?);
                    continue;
                }
                Decided::Remove(intent, busy) => (*intent, busy),
            };
            // What a dry run says is how things stand.
            if let Some(busy) = busy
                && !run.dry_run
            {
                drop(locked);
                self.wait_for(&busy, run)?;
                continue;
            }
            if run.dry_run {
                drop(locked);
                for process in &intent.processes {
                    run.say.operation(&format_args!("kill -9 {}", process.pid));
                }
                self.removal_plan(&intent, run)?.say(run.say);
                if let Some(sandbox) = &intent.whole {
                    sandbox::forget(sandbox).say(run.say);
                }
                return Ok(());
            }
            break match self.store.begin(intent.clone()) {
                Err(error) if error.is(Errno::NOSPC) => {
                    self.store.make_room(&locked, &intent);
                    self.store.begin(intent)?
                }
                begun => begun?,
            };
        };
        let name = file.intent.name.clone();
        let removed = self.complete_removal(file, hosts::leave, run);
        self.completed(removed, &name, run)
    }

    /// The name of what can be removed, and its id where it has a record. The caller holds `lock`.
    fn removable(&self, reference: &str) -> Result<(Name, Option<Id>)> {
        let found = self.look(reference)?;
        if let Some(name) = self.lost_name(found.as_ref(), reference)? {
            return Ok((name, None));
        }
        match &found.ok_or_else(|| no_such(reference))? {
            Subject::Container(container) => {
                let record = &container.record;
                Ok((record.name.clone(), Some(record.id)))
            }
            Subject::Sandbox(sandbox, _) => {
                let members = match sandbox.bare {
                    true => Vec::new(),
                    false => find::members(&self.store, sandbox)?,
                };
                // Where somebody has taken the records of its members away there is none.
                if members.is_empty() {
                    return Ok((sandbox.name.clone(), Some(sandbox.id)));
                }
                let members: Vec<_> = members.iter().map(Name::as_str).collect();
                Err(Error::new(format_args!(
                    "sandbox {} lives on for {}: it goes with its last member",
                    sandbox.name,
                    members.join(", ")
                )))
            }
        }
    }

    /// What is to be removed with a name, and whose operation has to end before that can be told; a container that has lost its
    /// record has no id. The caller holds `lock`.
    // Rarely needed, and larger where it is inlined.
    #[inline(never)]
    fn removal_of(
        &self,
        (name, id): (&Name, Option<Id>),
        force: bool,
        traces: Option<&Traces>,
    ) -> Result<Decided> {
        let container = self
            .store
            .read::<ContainerRecord>(name)?
            .filter(|record| Some(record.id) == id);
        let own = match (&container, id) {
            (Some(record), _) => record.sandbox.clone(),
            (None, Some(_)) => Some(name.clone()),
            (None, None) => Some(self.sandbox_of_lost(name)?),
        };
        let mut sandbox = match &own {
            Some(own) => self.store.read::<SandboxRecord>(own)?,
            None => None,
        };
        if let Some(own) = own
            && (id.is_none() || container.is_some() && sandbox.is_none())
        {
            let Some(traces) = traces else {
                return Ok(Decided::Look(own));
            };
            sandbox = sandbox.or_else(|| Some(traces.sandbox.clone()));
        }
        let alone = |sandbox: &SandboxRecord| -> Result<bool> {
            Ok(Some(sandbox.id) == id
                && (sandbox.bare || find::members(&self.store, sandbox)?.is_empty()))
        };
        if container.is_none() && id.is_some() && !sandbox.as_deref().map_or(Ok(false), alone)? {
            return Err(no_such(name.as_str()));
        }
        let mut intent = self.intent(Verb::Remove, name);
        if let Some(record) = &container {
            let status = find::status(&self.store, record)?.0;
            let running = matches!(status, Status::Running | Status::Restarting);
            if running && !force {
                let id = record.id;
                return Err(Error::new(format_args!(
                    "You cannot remove a running container {id}. Stop the container before attempting removal or force remove"
                )));
            }
            intent.container = id;
            if let Some(start) = &record.start {
                intent.processes.push(start.process());
            }
        } else if let (None, Some(traces)) = (id, traces) {
            if !force && !traces.processes.is_empty() {
                return Err(self.lost_container(name));
            }
            intent.processes.clone_from(&traces.processes);
        }
        let mut busy = None;
        if let Some(sandbox) = sandbox {
            intent.sandbox = Some(sandbox.name.clone());
            // Who is at the sandbox itself may be about to make its ports again, and the only other member may be about to
            // go, too, or not to come after all: then the sandbox goes with this one.
            let other = self.other_member(&sandbox, name)?;
            let others: &[&Name] = match &other {
                Some(other) => &[&sandbox.name, other],
                None => &[&sandbox.name],
            };
            busy = self.store.busy_of(others)?.cloned();
            if other.is_none() {
                intent.whole = Some(sandbox);
            } else {
                intent.ports_before = sandbox.ports_of(name);
                // The first member's ports belong to the sandbox: they stay until it goes or is taken over.
                if sandbox.name == *name {
                    intent.ports_after = intent.ports_before.clone();
                }
            }
        }
        Ok(Decided::Remove(Box::new(intent), busy))
    }

    /// The sandbox that a container without a record is a member of: its own, or the one that names it.
    pub(super) fn sandbox_of_lost(&self, name: &Name) -> Result<Name> {
        let sandboxes = self.store.read_all::<SandboxRecord>(&mut |_| {})?;
        let own = sandboxes.iter().find(|its| its.members.contains(name));
        Ok(own.map_or(name, |sandbox| &sandbox.name).clone())
    }

    /// Kills, takes down, forgets. Also what scavenging does with an intent to remove whose owner died.
    ///
    /// `forget` makes the others on its network find its sandbox no longer.
    pub(super) fn complete_removal(
        &self,
        file: IntentFile,
        forget: fn(&Store, &Locked, &SandboxRecord) -> Result<()>,
        run: &mut Run,
    ) -> Result<()> {
        let intent = &file.intent;
        // Before its members die: one that was found again is known by them.
        let plan = self.removal_plan(intent, run)?;
        let is_lost = self.is_of_lost(intent)?;
        self.end_processes(intent, is_lost)?;
        self.teardown(&plan, run)
            .map_err(|error| error.sandbox(intent.name.as_str()))?;
        if let Some(sandbox) = &intent.whole {
            sandbox::forget(sandbox).say(run.say);
            self.leaving.borrow_mut().push(sandbox);
        }
        {
            let locked = self.store.lock()?;
            if let Some(id) = &intent.container {
                self.store.remove_container(&locked, &intent.name, id)?;
            } else if is_lost {
                self.store.remove_lost(&locked, &intent.name)?;
            }
            match (&intent.whole, &intent.sandbox) {
                (Some(sandbox), _) => {
                    self.free_leases(&locked, sandbox)?;
                    self.store
                        .remove_sandbox(&locked, &sandbox.name, &sandbox.id)?;
                    if let Err(error) = forget(&self.store, &locked, sandbox) {
                        // It is gone all the same. Its intent stays: the next command writes the others' names anew.
                        run.say.note(&error);
                        return Ok(());
                    }
                }
                (None, Some(sandbox)) => self.leave(&locked, sandbox, intent)?,
                (None, None) => {}
            }
            self.store.end(file)?;
        }
        Ok(())
    }

    /// Whether what is removed is a container without a record.
    fn is_of_lost(&self, intent: &Intent) -> Result<bool> {
        if intent.container.is_some() {
            return Ok(false);
        }
        let is_alone = |sandbox: &SandboxRecord| sandbox.bare && sandbox.name == intent.name;
        Ok(match (&intent.whole, &intent.sandbox) {
            (Some(whole), _) => !is_alone(whole),
            (None, Some(sandbox)) => {
                let sandbox = self.store.read::<SandboxRecord>(sandbox)?;
                !sandbox.as_deref().is_some_and(is_alone)
            }
            (None, None) => true,
        })
    }

    /// PID 1's death takes every process of its namespace along.
    fn end_processes(&self, intent: &Intent, is_lost: bool) -> Result<()> {
        // The record's start, when there is one: an intent that was read back has no processes of its own.
        let recorded = match &intent.container {
            Some(id) => self
                .store
                .read::<ContainerRecord>(&intent.name)?
                .filter(|record| record.id == *id),
            None => None,
        };
        let start = recorded.as_ref().and_then(|record| record.start.as_ref());
        let mut processes = Vec::from_iter(start.map(|start| start.process()));
        if is_lost {
            processes = self.processes_of(&intent.name)?;
        }
        for process in processes {
            if let Some(process) = Handle::open(process)? {
                process.kill()?;
                process.wait(DEATH);
            }
        }
        Ok(())
    }

    fn removal_plan(&self, intent: &Intent, run: &mut Run) -> Result<Plan> {
        match (&intent.whole, &intent.sandbox) {
            (Some(sandbox), _) => {
                let (name, own) = (&sandbox.name, self.has_own_pin(sandbox)?);
                if !own {
                    run.say.note(&format_args!(
                        "left {} alone: nothing proves that it is the namespace of sandbox {name}; `ip netns delete {name}` removes it",
                        netns::pin_path(name).display()
                    ));
                }
                Ok(sandbox::unmake(sandbox, own))
            }
            (None, Some(name)) => {
                let sandbox = self.store.read::<SandboxRecord>(name)?;
                let (before, after) = (&intent.ports_before, &intent.ports_after);
                let plan = sandbox.map(|sandbox| sandbox::change(&sandbox, before, after));
                Ok(plan.unwrap_or_default())
            }
            (None, None) => Ok(Plan::new()),
        }
    }

    /// A member leaves a sandbox that others keep.
    fn leave(&self, locked: &Locked, sandbox: &Name, intent: &Intent) -> Result<()> {
        let Some(mut record) = self.store.read::<SandboxRecord>(sandbox)? else {
            return Ok(());
        };
        let ports: (&[_], &[_]) = (&intent.ports_before, &intent.ports_after);
        self.store.free_ports(locked, ports, &record.id)?;
        record.set_ports(&intent.name, &intent.ports_after);
        record.members.retain(|member| *member != intent.name);
        if record.name == intent.name && record.bare {
            record.bare = false;
            self.store.forget_id(&record.id)?;
        }
        self.store.write_sandbox(locked, &record)
    }
}
