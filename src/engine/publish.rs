//! `publish` and `unpublish`: the ports of a sandbox that lives, brought or taken away by any of its members.
//!
//! The ports of one member change from one list to another. The intent has both, so that a death in between is undone;
//! the commit is the sandbox's record, and a container's own list follows it.

use crate::engine::record::{ContainerRecord, SandboxRecord};
use crate::engine::store::{Intent, IntentFile, Lease, Locked, Verb};
use crate::engine::view::Subject;
use crate::engine::{Engine, Run, find, sandbox};
use crate::error::{Error, Result};
use crate::types::{Id, Name, PortMapping, PortSpec};

/// What a member's ports become.
type Become<'a> = &'a dyn Fn(&SandboxRecord, &[PortMapping]) -> Result<Vec<PortMapping>>;

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
        let (member, _) = self.member(reference)?;
        let (before, after) = self.change_ports(
            (&member, None),
            &|sandbox, before| {
                let mut after = before.to_vec();
                after.extend(self.more_ports(sandbox, (&member, specs), &[])?);
                Ok(after)
            },
            run,
        )?;
        Ok(after.get(before.len()..).unwrap_or_default().to_vec())
    }

    /// Withdraws ports of a sandbox, whichever member brought them.
    ///
    /// # Errors
    /// Ports of which none is published; then nothing is changed.
    pub fn unpublish(&self, reference: &str, specs: &[PortSpec], run: &mut Run) -> Result<()> {
        let goes = |port: &PortMapping| specs.iter().any(|spec| spec.means(port));
        let mut withdrawn = false;
        'anew: loop {
            let (_, sandbox) = self.member(reference)?;
            let means =
                |spec: &PortSpec| sandbox.ports.iter().any(|port| spec.means(&port.mapping));
            if let Some(spec) = specs.iter().find(|spec| !withdrawn && !means(spec)) {
                return Err(Error::new(format_args!(
                    "No public port '{spec}' published for {reference}"
                )));
            }
            let going = sandbox.ports.iter().filter(|port| goes(&port.mapping));
            let mut members: Vec<_> = going.map(|port| port.member.clone()).collect();
            members.sort_unstable();
            members.dedup();
            for member in members {
                let rest = |now: &SandboxRecord, before: &[PortMapping]| {
                    // Elsewhere by now it has other ports.
                    let stays = |port: &&PortMapping| now.id != sandbox.id || !goes(port);
                    Ok(before.iter().filter(stays).cloned().collect())
                };
                let own = (sandbox.name == member).then_some(&sandbox.name);
                if let Err(error) = self.change_ports((&member, own), &rest, run) {
                    let (_, now) = self.member(reference)?;
                    if now.ports_of(&member) == sandbox.ports_of(&member) {
                        return Err(error);
                    }
                    // Removed meanwhile, or known by another name.
                    continue 'anew;
                }
                withdrawn = true;
            }
            return Ok(());
        }
    }

    /// Makes a member's ports those that are asked for, in one change: what it has of them stays as it is.
    pub(super) fn set_ports(&self, member: &Name, specs: &[PortSpec], run: &mut Run) -> Result<()> {
        let become_ = |sandbox: &SandboxRecord, before: &[PortMapping]| {
            let (mut after, missing) = ports_as_asked(specs, before);
            after.extend(self.more_ports(sandbox, (member, &missing), before)?);
            Ok(after)
        };
        self.change_ports((member, None), &become_, run).map(drop)
    }

    /// The member that a reference means, and its sandbox.
    fn member(&self, reference: &str) -> Result<(Name, Box<SandboxRecord>)> {
        match self.find(reference)? {
            Subject::Sandbox(sandbox, _) => Ok((sandbox.name.clone(), sandbox)),
            Subject::Container(container) => match container.sandbox {
                Some(sandbox) => Ok((container.record.name, sandbox)),
                // Removed since its container was found.
                None if container.record.sandbox.is_some() => Err(find::no_such(reference)),
                None => Err(Error::new(format_args!(
                    "cannot publish ports of {reference}: it uses the host's own network"
                ))),
            },
        }
    }

    /// Changes the ports of one member: those before, and those after. `own` as for [`Engine::sandbox_of`].
    fn change_ports(
        &self,
        (member, own): (&Name, Option<&Name>),
        become_: Become,
        run: &mut Run,
    ) -> Result<(Vec<PortMapping>, Vec<PortMapping>)> {
        let (file, plan) = loop {
            let locked = self.store.lock()?;
            let (container, sandbox) = self.sandbox_of(member, own)?;
            if let Some(name) = self.store.busy_of(&[member, &sandbox.name])? {
                drop(locked);
                self.wait_for(name, run)?;
                continue;
            }
            let before = sandbox.ports_of(member);
            let after = become_(&sandbox, &before)?;
            let plan = sandbox::change(&sandbox, &before, &after);
            if run.dry_run {
                drop(locked);
                plan.say(run.say);
                return Ok((before, after));
            }
            let mut intent = self.intent(Verb::Publish, member);
            intent.container = container;
            intent.sandbox = Some(sandbox.name.clone());
            intent.ports_before = before;
            intent.ports_after = after;
            let file = self.store.begin(intent)?;
            if let Err(error) = self.lease_more(&locked, &file.intent, &sandbox) {
                self.settle_ports(&locked, file, false)?;
                return Err(error);
            }
            break (file, plan);
        };
        let (before, after) = (
            file.intent.ports_before.clone(),
            file.intent.ports_after.clone(),
        );
        let done = self.execute(&plan, run);
        let locked = self.store.lock()?;
        if let Err(error) = done {
            self.settle_ports(&locked, file, false)?;
            return Err(error.sandbox(member.as_str()));
        }
        let (_, mut sandbox) = self.sandbox_of(member, own)?;
        sandbox.set_ports(member, &after);
        self.store.write_sandbox(&locked, &sandbox)?;
        // That was the commit: what comes after it, the next command can do as well.
        let settled = self.settle_ports(&locked, file, true);
        drop(locked);
        self.completed(settled, member, run)?;
        Ok((before, after))
    }

    /// A member's container, if it is one, and its sandbox. The caller holds `lock`.
    ///
    /// A sandbox that lives on has ports of its own name, while a container of that name may be in another's: `own` is that
    /// sandbox, where its ports are meant.
    fn sandbox_of(
        &self,
        member: &Name,
        own: Option<&Name>,
    ) -> Result<(Option<Id>, Box<SandboxRecord>)> {
        let container = self.store.read::<ContainerRecord>(member)?;
        let container = container
            .filter(|container| own.is_none_or(|own| container.sandbox.as_ref() == Some(own)));
        let name = container
            .as_ref()
            .and_then(|container| container.sandbox.as_ref());
        let sandbox = self.store.read::<SandboxRecord>(name.unwrap_or(member))?;
        let sandbox = sandbox.ok_or_else(|| find::no_such(member.as_str()))?;
        Ok((container.map(|container| container.id), sandbox))
    }

    fn lease_more(&self, locked: &Locked, intent: &Intent, sandbox: &SandboxRecord) -> Result<()> {
        let lease = Lease::Held {
            id: sandbox.id,
            sandbox: sandbox.name.clone(),
        };
        PortMapping::host_ends_not_in(&intent.ports_after, &intent.ports_before)
            .try_for_each(|port| self.store.lease_port(locked, port, &lease))
    }

    /// Whether a change of ports was committed: its sandbox's record has what comes after.
    pub(super) fn has_ports(&self, intent: &Intent) -> Result<bool> {
        let Some(name) = &intent.sandbox else {
            return Ok(false);
        };
        let sandbox = self.store.read::<SandboxRecord>(name)?;
        Ok(sandbox.is_some_and(|sandbox| sandbox.ports_of(&intent.name) == intent.ports_after))
    }

    /// Ends a change of ports, committed or undone: the leases of those that are gone are free.
    pub(super) fn settle_ports(
        &self,
        locked: &Locked,
        file: IntentFile,
        committed: bool,
    ) -> Result<()> {
        let intent = &file.intent;
        let (mut gone, mut kept) = (&intent.ports_after, &intent.ports_before);
        if committed {
            std::mem::swap(&mut gone, &mut kept);
        }
        if let Some(name) = &intent.sandbox
            && let Some(sandbox) = self.store.read::<SandboxRecord>(name)?
        {
            for port in PortMapping::host_ends_not_in(gone, kept) {
                self.store.free_port(locked, port, &sandbox.id)?;
            }
        }
        if committed
            && let Some(mut record) = self.store.read::<ContainerRecord>(&intent.name)?
            && Some(record.id) == intent.container
        {
            record.publish = kept.clone();
            self.store.write_container(locked, &record)?;
        }
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
    let kept = ports
        .iter()
        .filter(|port| specs.iter().any(|spec| spec.asks_for(port)));
    let missing = specs.iter().filter(|spec| {
        let has = |port: u16| {
            let mut asked = ports.iter().filter(|have| spec.asks_for(have));
            asked.any(|have| have.container_port == port)
        };
        !spec.container.iter().all(has)
    });
    (kept.cloned().collect(), missing.cloned().collect())
}
