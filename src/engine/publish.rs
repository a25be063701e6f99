//! `publish` and `unpublish`: the ports of a sandbox that lives, brought or taken away by any of its members.
//!
//! The ports of one member change from one list to another. The intent has both, so that a death in between is undone;
//! the commit is the sandbox's record, and a container's own list follows it.

use crate::engine::make::note;
use crate::engine::record::{ContainerRecord, SandboxPort, SandboxRecord};
use crate::engine::store::{Intent, IntentFile, Lease, Locked, Verb};
use crate::engine::view::Subject;
use crate::engine::{Engine, Run, find, ports, sandbox};
use crate::error::{Error, Result};
use crate::types::{Id, Name, PortMapping, PortSpec};

/// A member, and the sandbox whose ports it brings.
struct Member {
    name: Name,
    /// The container that it is; none for a sandbox of which its first container has left, or that never had one.
    container: Option<Id>,
    sandbox: Box<SandboxRecord>,
}

/// Whose ports change, as things stand under `lock`; none where there is nobody left.
type Whose<'a> = &'a dyn Fn(&Locked) -> Result<Option<Member>>;

/// What a member's ports become.
type Become<'a> = &'a dyn Fn(&Member, &[PortMapping]) -> Result<Vec<PortMapping>>;

/// Whose ports have changed, its sandbox as it was, and its ports before and after.
type Changed = (Member, Vec<PortMapping>, Vec<PortMapping>);

impl Engine {
    /// Publishes more ports of a sandbox, as brought by one of its members: the new mappings.
    ///
    /// # Errors
    /// Ports that cannot be had; a container on the host's own network.
    pub fn publish(
        &self,
        reference: &str,
        specs: &[PortSpec],
        run: &mut Run,
    ) -> Result<Vec<PortMapping>> {
        let changed = self.change_ports(
            &|locked| self.member(locked, reference).map(Some),
            &|member, before| {
                let mut after = before.to_vec();
                after.extend(self.more_ports(&member.sandbox, (&member.name, specs), &[])?);
                Ok(after)
            },
            run,
        )?;
        let new = changed.map(|(_, before, mut after)| after.split_off(before.len()));
        Ok(new.unwrap_or_default())
    }

    /// Withdraws ports of a sandbox, whichever member brought them.
    ///
    /// # Errors
    /// Ports of which none is published; then nothing is changed.
    pub fn unpublish(&self, reference: &str, specs: &[PortSpec], run: &mut Run) -> Result<()> {
        let goes = |port: &PortMapping| specs.iter().any(|spec| spec.means(port));
        let mut done: Vec<Name> = Vec::new();
        let mut last: Option<Box<SandboxRecord>> = None;
        loop {
            let whose = |locked: &Locked| {
                let now = match &last {
                    None => Some(self.member(locked, reference)?.sandbox),
                    Some(last) => self.sandbox_now(last)?,
                };
                let Some(sandbox) = now else { return Ok(None) };
                let means =
                    |spec: &PortSpec| sandbox.ports.iter().any(|port| spec.means(&port.mapping));
                if let Some(spec) = specs.iter().find(|spec| done.is_empty() && !means(spec)) {
                    return Err(Error::new(format_args!(
                        "No public port '{spec}' published for {reference}"
                    )));
                }
                // One member after the other: who has another name by now is met under that one.
                let mut going = sandbox.ports.iter().filter(|port| goes(&port.mapping));
                let next = going.find(|port| !done.contains(&port.member));
                let Some(name) = next.map(|port| port.member.clone()) else {
                    return Ok(None);
                };
                let container = self.store.read::<ContainerRecord>(&name)?;
                let container =
                    container.filter(|record| record.sandbox.as_ref() == Some(&sandbox.name));
                Ok(Some(Member {
                    name,
                    container: container.map(|record| record.id),
                    sandbox,
                }))
            };
            let rest = |_: &Member, before: &[PortMapping]| {
                Ok(before.iter().filter(|port| !goes(port)).cloned().collect())
            };
            match self.change_ports(&whose, &rest, run)? {
                Some((member, ..)) => {
                    done.push(member.name);
                    let left =
                        |port: &SandboxPort| goes(&port.mapping) && !done.contains(&port.member);
                    // Another look could fail though all is done.
                    if !member.sandbox.ports.iter().any(left) {
                        return Ok(());
                    }
                    last = Some(member.sandbox);
                }
                None => return Ok(()),
            }
        }
    }

    /// Makes a member's ports those that are asked for, in one change: what it has of them stays as it is.
    pub(super) fn set_ports(&self, name: &Name, specs: &[PortSpec], run: &mut Run) -> Result<()> {
        let become_ = |member: &Member, before: &[PortMapping]| {
            let (mut after, missing) = ports_as_asked(specs, before);
            let going = PortMapping::not_in(before, &after, PortMapping::to_string);
            match self.more_ports(&member.sandbox, (name, &missing), &going) {
                Ok(more) => after.extend(more),
                // What a pool has given makes way where it has to.
                Err(_) => after = self.more_ports(&member.sandbox, (name, specs), before)?,
            }
            Ok(after)
        };
        let whose = |locked: &Locked| self.member(locked, &find::by_name(name)).map(Some);
        self.change_ports(&whose, &become_, run).map(drop)
    }

    /// The member that a reference means.
    fn member(&self, locked: &Locked, reference: &str) -> Result<Member> {
        match self.find_under(locked, reference)? {
            Subject::Sandbox(sandbox, _) => Ok(Member {
                name: sandbox.name.clone(),
                container: None,
                sandbox,
            }),
            Subject::Container(container) => match container.sandbox {
                Some(sandbox) => Ok(Member {
                    name: container.record.name,
                    container: Some(container.record.id),
                    sandbox,
                }),
                // Somebody has taken its sandbox's record away.
                None if container.record.sandbox.is_some() => Err(self.without_sandbox(reference)),
                None => Err(Error::new(format_args!(
                    "cannot publish ports of {reference}: it uses the host's own network"
                ))),
            },
        }
    }

    /// Changes the ports of one member.
    fn change_ports(
        &self,
        whose: Whose,
        become_: Become,
        run: &mut Run,
    ) -> Result<Option<Changed>> {
        let (file, plan, member) = loop {
            let locked = self.store.lock()?;
            let Some(member) = whose(&locked)? else {
                return Ok(None);
            };
            let (name, sandbox) = (&member.name, &member.sandbox);
            if let Some(busy) = self.store.busy_of(&[name, &sandbox.name])? {
                drop(locked);
                self.wait_for(busy, run)?;
                continue;
            }
            let before = sandbox.ports_of(name);
            let after = become_(&member, &before)?;
            ports::refuse_too_many(sandbox.ports.len() - before.len() + after.len())?;
            let plan = sandbox::change(sandbox, &before, &after);
            if run.dry_run {
                drop(locked);
                plan.say(run.say);
                return Ok(Some((member, before, after)));
            }
            let mut intent = self.intent(Verb::Publish, name);
            intent.container = member.container;
            intent.sandbox = Some(sandbox.name.clone());
            intent.ports_before = before;
            intent.ports_after = after;
            let file = self.store.begin(intent)?;
            if let Err(error) = self.lease_more(&locked, &file.intent, sandbox) {
                self.give_ports_back(&locked, file, &sandbox.id)?;
                return Err(error);
            }
            break (file, plan, member);
        };
        let (before, after) = (
            file.intent.ports_before.clone(),
            file.intent.ports_after.clone(),
        );
        let done = self.execute(&plan, run);
        let done = done.map(|()| self.commit_ports(&member, &after));
        if let Ok(Err(_)) = &done {
            // What leads in keeps its lease: it stays under way until it is taken back.
            let back = sandbox::change(&member.sandbox, &after, &before);
            (self.teardown(&back, run)).map_err(|error| error.sandbox(member.name.as_str()))?;
        }
        match done.and_then(|done| done) {
            Ok(locked) => {
                // What comes after the commit the next command can do as well.
                let settled = self.settle_ports(&locked, file);
                drop(locked);
                note(self.completed(settled, &member.name, run), run);
                Ok(Some((member, before, after)))
            }
            Err(error) => {
                let locked = self.store.lock()?;
                self.give_ports_back(&locked, file, &member.sandbox.id)?;
                Err(error.sandbox(member.name.as_str()))
            }
        }
    }

    fn commit_ports(&self, member: &Member, after: &[PortMapping]) -> Result<Locked> {
        let locked = self.store.lock()?;
        // Others may have joined or left meanwhile; it has its name as long as something is under way on a member.
        let sandbox = self.store.read::<SandboxRecord>(&member.sandbox.name)?;
        let mut sandbox = sandbox.ok_or_else(|| find::no_such(member.name.as_str()))?;
        sandbox.set_ports(&member.name, after);
        self.store.write_sandbox(&locked, &sandbox)?;
        Ok(locked)
    }

    /// A sandbox as it is by now, perhaps under another name. The caller holds `lock`.
    fn sandbox_now(&self, was: &SandboxRecord) -> Result<Option<Box<SandboxRecord>>> {
        let now = self.store.read::<SandboxRecord>(&was.name)?;
        if let Some(now) = now.filter(|now| now.id == was.id) {
            return Ok(Some(now));
        }
        let mut all = self.store.read_all::<SandboxRecord>(&mut |_| {})?;
        all.retain(|now| now.id == was.id);
        Ok(all.pop().map(Box::new))
    }

    fn lease_more(&self, locked: &Locked, intent: &Intent, sandbox: &SandboxRecord) -> Result<()> {
        let lease = Lease::Held {
            id: sandbox.id,
            sandbox: sandbox.name.clone(),
        };
        let ports: (&[_], &[_]) = (&intent.ports_after, &intent.ports_before);
        self.store.lease_ports(locked, ports, &lease)
    }

    /// Whether a change of ports was committed: its sandbox's record has what comes after.
    pub(super) fn has_ports(&self, intent: &Intent) -> Result<bool> {
        let Some(name) = &intent.sandbox else {
            return Ok(false);
        };
        let sandbox = self.store.read::<SandboxRecord>(name)?;
        Ok(sandbox.is_some_and(|sandbox| sandbox.ports_of(&intent.name) == intent.ports_after))
    }

    /// Ends a change of ports that is committed: a container's own list follows.
    pub(super) fn settle_ports(&self, locked: &Locked, file: IntentFile) -> Result<()> {
        let intent = &file.intent;
        if let Some(mut record) = self.store.read::<ContainerRecord>(&intent.name)?
            && Some(record.id) == intent.container
        {
            record.publish = intent.ports_after.clone();
            self.store.write_container(locked, &record)?;
        }
        self.end_committed(locked, file)
    }

    /// Ends a change of ports that is undone in the kernel.
    pub(super) fn give_ports_back(
        &self,
        locked: &Locked,
        file: IntentFile,
        owner: &Id,
    ) -> Result<()> {
        let ports: (&[_], &[_]) = (&file.intent.ports_after, &file.intent.ports_before);
        self.store.free_ports(locked, ports, owner)?;
        self.store.end(file)
    }
}

/// Whether a member's ports are those that are asked for.
pub(super) fn has_ports_as_asked(specs: &[PortSpec], ports: &[PortMapping]) -> bool {
    let (kept, missing) = ports_as_asked(specs, ports);
    missing.is_empty() && kept.len() == ports.len()
}

/// Those of a member's ports that are asked for, and what is asked for that it has not got.
fn ports_as_asked(specs: &[PortSpec], ports: &[PortMapping]) -> (Vec<PortMapping>, Vec<PortSpec>) {
    let mut kept = ports.to_vec();
    kept.retain(|port| specs.iter().any(|spec| spec.asks_for(port)));
    let mut missing = Vec::new();
    for spec in specs {
        let mut has = vec![false; spec.container.count()];
        for port in ports.iter().filter(|port| spec.asks_for(port)) {
            has[usize::from(port.container_port - spec.container.first)] = true;
        }
        let mut at = 0;
        for row in has.chunk_by(|one, next| one == next) {
            if row.contains(&false) {
                missing.push(spec.part(at, row.len() as u16));
            }
            at += row.len() as u16;
        }
    }
    (kept, missing)
}
