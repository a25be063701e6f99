//! How a sandbox comes to stand for a new member: reserve, act, commit, release.
//!
//! All but the commit is one call, [`Engine::make`]; who asked for it commits what it made, or unmakes it.

use crate::engine::network::InUse;
use crate::engine::plan::Plan;
use crate::engine::ports::{Claim, Families, host_publishes_nothing};
use crate::engine::record::{ContainerRecord, SandboxRecord};
use crate::engine::reserve::{Change, Wanted};
use crate::engine::sandbox::{self, HostFacts};
use crate::engine::spec::EndpointSpec;
use crate::engine::store::{Intent, IntentFile, Locked};
use crate::engine::target::Target;
use crate::engine::{Engine, Run, find, hosts};
use crate::error::{Error, Result};
use crate::kernel::{link, netns, sysctl};
use crate::types::{Name, PortMapping};
use std::time::Duration;

/// How long an operation on the name that is asked for is waited for before that is a conflict.
const MOMENT: Duration = Duration::from_millis(200);

/// A container or sandbox that stands in the kernel and in files, all but its commit.
pub(super) struct Made {
    /// The intent, still held.
    pub intent: IntentFile,
    /// What was done to the sandbox.
    pub change: Change,
    /// The network's lock, held until the end.
    network: Option<InUse>,
}

enum Decided {
    /// An operation on this name has to end first.
    Wait(Name),
    /// An operation on the very name that is asked for is under way.
    Busy,
    Change(Box<Change>),
}

impl Engine {
    /// Reserves and acts: afterwards everything stands but the commit. None in a dry run, which only says the plan.
    pub(super) fn make(
        &self,
        wanted: &Wanted,
        target: &Target,
        run: &mut Run,
    ) -> Result<Option<Made>> {
        let network = match target {
            Target::Own(Some(reference)) => {
                let preflight = || self.preflight(wanted);
                Some(self.use_network(reference, &preflight, run)?)
            }
            _ => None,
        };
        let change = loop {
            let locked = self.store.lock()?;
            match self.decide(wanted, target, network.as_ref())? {
                Decided::Wait(name) => {
                    drop(locked);
                    self.wait_for(&name, run)?;
                }
                Decided::Busy => {
                    drop(locked);
                    // Just begun, or its owner has just died: a moment later the answer is a better one.
                    if !self.store.ends_within(&wanted.name, MOMENT)? {
                        return Err(find::conflict(&wanted.name, "another operation"));
                    }
                    self.wait_for(&wanted.name, run)?;
                }
                Decided::Change(change) if run.dry_run => {
                    drop(locked);
                    if let Some(network) = &network {
                        network.first_use.say(run.say);
                    }
                    burial(&change).say(run.say);
                    self.plan(&change, network.as_ref())?.say(run.say);
                    *self.said.borrow_mut() = change.sandbox().cloned();
                    return Ok(None);
                }
                Decided::Change(change) => {
                    let intent = self.claim_change(&locked, wanted, &change)?;
                    break Made {
                        intent,
                        change: *change,
                        network,
                    };
                }
            }
        };
        match self.act(&change, run) {
            Ok(()) => Ok(Some(change)),
            Err(error) => {
                self.give_back(change)?;
                Err(error.sandbox(wanted.name.as_str()))
            }
        }
    }

    /// What would be refused anyway is refused before a network is made for it.
    fn preflight(&self, wanted: &Wanted) -> Result<()> {
        let _locked = self.store.lock()?;
        self.refuse_taken_name(&wanted.name)?;
        netns::refuse_taken_pin(&wanted.name)?;
        // The default network has IPv4 alone.
        let families = Families {
            ipv4: true,
            ipv6: false,
        };
        self.decide_ports(&Claim {
            name: &wanted.name,
            specs: wanted.publish,
            own: &[],
            families,
        })
        .map(drop)
    }

    fn decide(&self, wanted: &Wanted, target: &Target, network: Option<&InUse>) -> Result<Decided> {
        let under_way = self.store.is_under_way(&wanted.name)?;
        let lives_on = self.store.read::<SandboxRecord>(&wanted.name)?;
        // A removal that is under way makes way: its name is free when it ends. A repair says nothing of whose name it is.
        // Anything else is Docker's conflict.
        if under_way && self.store.makes_way(&wanted.name)? {
            return Ok(Decided::Wait(wanted.name.clone()));
        }
        if under_way {
            return Ok(Decided::Busy);
        }
        self.refuse_taken_name(&wanted.name)?;
        let change = match target {
            Target::Host if *wanted.endpoint != EndpointSpec::default() => {
                return Err(Error::new(
                    "conflicting options: addresses and MACs of the host's own network are not netcell's to choose",
                ));
            }
            Target::Host => match wanted.publish {
                [] => Change::Nothing,
                [port, ..] => return Err(host_publishes_nothing(port)),
            },
            Target::Of(joined) => {
                let owner = self.name_now(joined)?;
                if self.store.is_under_way(&owner)? {
                    return Ok(Decided::Wait(owner));
                }
                match self.store.read::<SandboxRecord>(&owner)? {
                    Some(sandbox) => self.decide_join(wanted, sandbox)?,
                    None => return Err(self.without_sandbox(&joined.reference)),
                }
            }
            Target::Own(_) => match lives_on {
                // A container takes over what another has left; a sandbox alone would be the one that is there.
                Some(sandbox) if wanted.container.is_none() => {
                    return Err(find::conflict(
                        &wanted.name,
                        &format!("sandbox \"{}\"", sandbox.id),
                    ));
                }
                Some(sandbox) => self.decide_take_over(
                    wanted,
                    sandbox,
                    network.map(|network| &network.record.name),
                )?,
                None => self.decide_make(wanted, network)?,
            },
        };
        Ok(Decided::Change(Box::new(change)))
    }

    fn plan(&self, change: &Change, network: Option<&InUse>) -> Result<Plan> {
        Ok(match change {
            Change::Nothing => Plan::new(),
            Change::Make { sandbox, .. } => {
                let network = network.map(|network| &*network.record);
                sandbox::make(sandbox, network, host_facts(sandbox))
            }
            Change::Join { sandbox } => sandbox::change(sandbox, &[], &newest_ports(sandbox)),
            Change::TakeOver { sandbox, old } => {
                sandbox::change(sandbox, old, &newest_ports(sandbox))
            }
        })
    }

    fn act(&self, made: &Made, run: &mut Run) -> Result<()> {
        let network = made.network.as_ref();
        let plan = self.plan(&made.change, network)?;
        let fresh = network.filter(|_| matches!(made.change, Change::Make { .. }));
        if let Some(network) = fresh
            && !self.is_there(&network.record)?
        {
            self.ensure(&network.record, run)?;
        }
        self.teardown(&burial(&made.change), run)?;
        self.execute(&plan, run)
    }

    /// Frees what an operation claimed after its plan was undone.
    fn give_back(&self, made: Made) -> Result<()> {
        let locked = self.store.lock()?;
        self.free_claims(&locked, &made.intent.intent)?;
        self.store.end(made.intent)
    }

    /// Undoes what stands, after an error that came later than the plan.
    pub(super) fn unmake(&self, made: Made, run: &mut Run) -> Result<()> {
        self.undo(&made.intent.intent, run)?;
        self.give_back(made)
    }

    /// The commit.
    pub(super) fn commit(
        &self,
        made: &Made,
        record: &ContainerRecord,
        run: &mut Run,
    ) -> Result<()> {
        let locked = self.store.lock()?;
        self.write_commit(&locked, made, record)?;
        let store = &self.store;
        let named = match &made.change {
            Change::Make { sandbox, .. } => hosts::enter(store, &locked, sandbox, record.id),
            Change::TakeOver { sandbox, .. } => hosts::renew(store, &locked, sandbox),
            Change::Join { .. } | Change::Nothing => Ok(()),
        };
        note(named, run);
        Ok(())
    }

    /// The end of the operation: its intent goes, and its network's lock.
    pub(super) fn finish(&self, made: Made) {
        self.is_over(made.intent);
    }

    /// Ends an operation that is committed or undone. What of this cannot be done the next command does.
    pub(super) fn is_over(&self, file: IntentFile) {
        let locked = self.store.lock();
        (locked.and_then(|locked| self.end_committed(&locked, file))).ok();
    }

    /// Ends an operation that is committed: the leases of the ports that have made way to others are free.
    pub(super) fn end_committed(&self, locked: &Locked, file: IntentFile) -> Result<()> {
        self.free_withdrawn(locked, &file.intent)?;
        self.store.end(file)
    }

    /// Frees the leases of the ports that a member had before a change that is committed, and has no more.
    pub(super) fn free_withdrawn(&self, locked: &Locked, intent: &Intent) -> Result<()> {
        let ports: (&[_], &[_]) = (&intent.ports_before, &intent.ports_after);
        if let Some(name) = intent.sandbox.as_ref().filter(|_| !ports.0.is_empty())
            && let Some(sandbox) = self.store.read::<SandboxRecord>(name)?
        {
            self.store.free_ports(locked, ports, &sandbox.id)?;
        }
        Ok(())
    }

    fn write_commit(&self, locked: &Locked, made: &Made, record: &ContainerRecord) -> Result<()> {
        match &made.change {
            Change::Nothing => {}
            Change::Make { sandbox, .. } => self.store.write_sandbox(locked, sandbox)?,
            // Others may have joined or left meanwhile: only this member's part is written anew.
            Change::Join { sandbox } | Change::TakeOver { sandbox, .. } => {
                let mut now = self
                    .store
                    .read::<SandboxRecord>(&sandbox.name)?
                    .ok_or_else(|| find::no_such(sandbox.name.as_str()))?;
                now.set_ports(&record.name, &record.publish);
                if !now.members.contains(&record.name) {
                    now.members.push(record.name.clone());
                }
                self.store.write_sandbox(locked, &now)?;
            }
        }
        if record.start.is_some() {
            self.store.name_exit(locked, &record.name)?;
        }
        self.store.write_container(locked, record)
    }
}

/// The ports of the member that was added last.
fn newest_ports(sandbox: &SandboxRecord) -> Vec<PortMapping> {
    sandbox
        .members
        .last()
        .map(|member| sandbox.ports_of(member))
        .unwrap_or_default()
}

/// The plan that deletes a link which still holds the address; it may go by itself at any moment, and that is as good.
fn burial(change: &Change) -> Plan {
    let mut plan = Plan::new();
    if let Change::Make { bury, .. } = change {
        bury.iter()
            .for_each(|link| plan.push(link::DelLink::veth(link.clone())));
    }
    plan
}

/// What of the host decides how a sandbox is made, now.
pub(super) fn host_facts(sandbox: &SandboxRecord) -> HostFacts {
    let called = |tables: &str| {
        let value = sysctl::read(&format!("net/bridge/bridge-nf-call-{tables}"));
        value.is_some_and(|value| value == "1")
    };
    let mut addresses = sandbox.addresses().iter();
    let ipv6 = addresses.any(|address| address.addr.is_ipv6());
    HostFacts {
        bridge_netfilter: called("iptables") || ipv6 && called("ip6tables"),
    }
}

/// What is committed stays so, though the others may not find it by name before the next change on their network.
pub(super) fn note(named: Result<()>, run: &mut Run) {
    if let Err(error) = named {
        run.say.note(&error);
    }
}
