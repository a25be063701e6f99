//! `rename`: a container, and the sandbox that it is the first member of, get another name; nothing that runs notices.
//!
//! The name is in the paths of records and of the pin, in the records of those who share the sandbox, and in leases. The
//! intent claims the old name and the new one. The namespace is pinned under both, then all files change under `lock`,
//! then the old pin goes; each step looks at what is done already, so that a renaming whose owner died is completed.

use crate::engine::find::conflict;
use crate::engine::plan::Plan;
use crate::engine::record::{ContainerRecord, SandboxRecord};
use crate::engine::store::{Intent, IntentFile, Lease, Locked, Verb};
use crate::engine::view::Subject;
use crate::engine::{Engine, Run, hosts};
use crate::error::{Error, Result};
use crate::kernel::netns;
use crate::types::{Id, Name};

impl Engine {
    /// Gives a container, or a sandbox that was created alone, another name.
    ///
    /// # Errors
    /// A name that is taken; a sandbox that only other members keep.
    pub fn rename(&self, reference: &str, new: &Name, run: &mut Run) -> Result<()> {
        let file = loop {
            let locked = self.store.lock()?;
            let found = self.find_under(&locked, reference)?;
            let (name, container) = match &found {
                Subject::Container(found) => (found.record.name.clone(), Some(&*found.record)),
                Subject::Sandbox(sandbox, _) if sandbox.bare => (sandbox.name.clone(), None),
                Subject::Sandbox(sandbox, _) => {
                    return Err(Error::new(format_args!(
                        "sandbox {} lives on for its other members, and has no container to rename",
                        sandbox.name
                    )));
                }
            };
            if name == *new {
                return Err(Error::new(format_args!(
                    "Renaming a container with the same name as its current name: {name}"
                )));
            }
            // Who is at the sandbox that it is a member of looks for the member by its name.
            let sandbox = container
                .and_then(|record| record.sandbox.as_ref())
                .filter(|_| !run.dry_run);
            let names = [&name, new, sandbox.unwrap_or(new)];
            if let Some(busy) = self.store.busy_of(&names)? {
                drop(locked);
                self.wait_for(busy, run)?;
                continue;
            }
            let intent = self.renaming_of(&name, container, new)?;
            if run.dry_run {
                drop(locked);
                self.pins(&intent).iter().for_each(|plan| plan.say(run.say));
                return Ok(());
            }
            break self.store.begin(intent)?;
        };
        let name = file.intent.name.clone();
        let renamed = self.complete_renaming(file, run);
        self.completed(renamed, &name, run)
    }

    /// The caller holds `lock`.
    fn renaming_of(
        &self,
        name: &Name,
        container: Option<&ContainerRecord>,
        new: &Name,
    ) -> Result<Intent> {
        let sandbox = self.store.read::<SandboxRecord>(name)?;
        self.refuse_taken_name(new)?;
        if let Some(other) = self.store.read::<SandboxRecord>(new)? {
            return Err(conflict(new, &format!("sandbox \"{}\"", other.id)));
        }
        // Where another member's sandbox has the name, only the container moves.
        let own = container.is_none_or(|record| record.sandbox.as_ref() == Some(name));
        let sandbox = sandbox.filter(|_| own);
        if sandbox.is_some() {
            netns::check_pin(name)?;
            netns::refuse_taken_pin(new)?;
        }
        let mut intent = self.intent(Verb::Rename, name);
        intent.container = container.map(|record| record.id);
        intent.sandbox = sandbox.map(|sandbox| sandbox.name.clone());
        intent.to = Some(new.clone());
        Ok(intent)
    }

    /// What is done to the pins before the files change, and after.
    fn pins(&self, intent: &Intent) -> [Plan; 2] {
        let mut plans = [Plan::new(), Plan::new()];
        if let (Some(name), Some(to)) = (&intent.sandbox, &intent.to) {
            let (name, to) = (name.clone(), to.clone());
            plans[1].push(netns::Unpin { name: name.clone() });
            plans[0].push(netns::Repin { name, to });
        }
        plans
    }

    /// Also what scavenging does with an intent to rename whose owner died.
    pub(super) fn complete_renaming(&self, file: IntentFile, run: &mut Run) -> Result<()> {
        let intent = &file.intent;
        let Some(new) = intent.to.clone() else {
            return self.store.lock_and_end(file);
        };
        let [before, after] = self.pins(intent);
        // Moved already, and its old pin gone: the owner died just before the end.
        let moved = intent
            .sandbox
            .as_ref()
            .is_some_and(|name| netns::is_moved(name, &new));
        if !moved && let Err(error) = self.execute(&before, run) {
            self.store.lock_and_end(file)?;
            return Err(error);
        }
        let locked = loop {
            let locked = self.store.lock()?;
            match self.busy_member(intent)? {
                None => break locked,
                Some(member) => {
                    drop(locked);
                    self.wait_for(&member, run)?;
                }
            }
        };
        if let Some(old) = &intent.sandbox {
            self.move_sandbox(&locked, old, &new)?;
        }
        if let Some(id) = &intent.container {
            self.move_container(&locked, intent, id, &new)?;
        }
        // The others on its network find it by its new name.
        if intent.sandbox.is_some()
            && let Some(sandbox) = self.store.read::<SandboxRecord>(&new)?
        {
            hosts::renew(&self.store, &locked, &sandbox)?;
        }
        drop(locked);
        self.teardown(&after, run)?;
        self.store.lock_and_end(file)
    }

    /// A member that something is being done to with a record in hand which names the sandbox as it was.
    fn busy_member(&self, intent: &Intent) -> Result<Option<Name>> {
        let Some(old) = &intent.sandbox else {
            return Ok(None);
        };
        let sandbox = self.store.read::<SandboxRecord>(old)?;
        let members = sandbox.iter().flat_map(|sandbox| &sandbox.members);
        for member in members {
            if *member != intent.name && self.store.is_under_way(member)? {
                return Ok(Some(member.clone()));
            }
        }
        Ok(None)
    }

    fn move_sandbox(&self, locked: &Locked, old: &Name, new: &Name) -> Result<()> {
        let (from, to) = (format!("sandboxes/{old}"), format!("sandboxes/{new}"));
        if self.store.root.exists(&from)? {
            self.store.root.rename(&from, &to)?;
        }
        let Some(mut record) = self.store.read::<SandboxRecord>(new)? else {
            return Ok(());
        };
        let renamed = |name: &mut Name| {
            if name == old {
                *name = new.clone();
            }
        };
        renamed(&mut record.name);
        record.members.iter_mut().for_each(renamed);
        record
            .ports
            .iter_mut()
            .for_each(|port| renamed(&mut port.member));
        self.store.write_sandbox(locked, &record)?;
        if record.bare {
            self.move_id(locked, &record.id, new)?;
        }
        for member in record.members.iter().filter(|member| *member != new) {
            if let Some(mut record) = self.store.read::<ContainerRecord>(member)?
                && record.sandbox.as_ref() == Some(old)
            {
                record.sandbox = Some(new.clone());
                self.store.write_container(locked, &record)?;
            }
        }
        let lease = Lease::Held {
            id: record.id,
            sandbox: new.clone(),
        };
        self.store.lease_addresses(locked, &record, &lease)?;
        for port in &record.ports {
            self.store.free_port(locked, &port.mapping, &record.id)?;
            self.store.lease_port(locked, &port.mapping, &lease)?;
        }
        Ok(())
    }

    fn move_container(&self, locked: &Locked, intent: &Intent, id: &Id, new: &Name) -> Result<()> {
        let old = &intent.name;
        let (from, to) = (format!("containers/{old}"), format!("containers/{new}"));
        if self.store.root.exists(&from)? {
            self.store.root.rename(&from, &to)?;
        }
        let Some(mut record) = self.store.read::<ContainerRecord>(new)? else {
            return Ok(());
        };
        record.name = new.clone();
        match &record.sandbox {
            Some(sandbox) if intent.sandbox.as_ref() == Some(sandbox) => {
                record.sandbox = Some(new.clone());
            }
            // Another's sandbox: there it is a member under its new name.
            Some(sandbox) if sandbox != new => {
                if let Some(mut sandbox) = self.store.read::<SandboxRecord>(sandbox)? {
                    let ports = sandbox.ports_of(old);
                    sandbox.set_ports(old, &[]);
                    sandbox.set_ports(new, &ports);
                    sandbox
                        .members
                        .retain(|member| member != old && member != new);
                    sandbox.members.push(new.clone());
                    self.store.write_sandbox(locked, &sandbox)?;
                }
            }
            _ => {}
        }
        self.store.write_container(locked, &record)?;
        self.move_id(locked, id, new)
    }

    fn move_id(&self, locked: &Locked, id: &Id, new: &Name) -> Result<()> {
        self.store.forget_id(id)?;
        self.store.write_id(locked, id, new)
    }
}
