//! Networks: the bridge, the rules and the forwarding that their sandboxes share.
//!
//! What is shared is made idempotently and is never in a sandbox's undo. A network's lock is held shared by whoever
//! uses the network and alone by whoever makes or removes it; a lease, reserved under the shared lock, keeps it.

mod decide;
mod share;

pub(super) use decide::forwarding;

use crate::engine::plan::Plan;
use crate::engine::record::{ContainerRecord, NetworkRecord, SandboxRecord};
use crate::engine::spec::NetworkSpec;
use crate::engine::store::Lease;
use crate::engine::view::Network;
use crate::engine::{Engine, Run, Silence, firewall};
use crate::error::{Errno, Error, Result};
use crate::kernel::link;
use crate::sys::lock::Hold;
use crate::types::{Id, Name};
use rustix::fd::OwnedFd;

/// The network of a container that asks for none; it is made on its first use.
pub const DEFAULT: &str = "bridge";

/// Names that mean something else than a network of netcell's.
const PREDEFINED: [&str; 4] = [DEFAULT, "host", "none", "default"];

/// Links without an uplink to take it from have Ethernet's MTU, in bytes.
const MTU: u32 = 1500;

/// Whether this is the name of the default network.
pub fn is_default(name: &Name) -> bool {
    name.as_str() == DEFAULT
}

/// A network in use: it cannot be removed while this lives.
pub struct InUse {
    /// Its record.
    pub record: Box<NetworkRecord>,
    /// Its lock, held shared; none in a dry run of its first use.
    _lock: Option<OwnedFd>,
    /// What a dry run of its first use has to say.
    pub first_use: Plan,
}

impl Engine {
    /// Every network, by name.
    pub fn networks(&self, run: &mut Run) -> Result<Vec<Network>> {
        let broken = &mut |error: Error| run.say.note(&error);
        let sandboxes = self.store.read_all::<SandboxRecord>(broken)?;
        let records = self.store.read_all::<NetworkRecord>(broken)?;
        Ok(records
            .into_iter()
            .map(|record| self.with_users(Box::new(record), &sandboxes))
            .collect())
    }

    /// Docker's predefined networks that are always there: their ids, names and drivers. `bridge` may not be made yet.
    pub fn predefined(&self) -> [(Id, &'static str, &'static str); 3] {
        [(DEFAULT, "bridge"), ("host", "host"), ("none", "null")]
            .map(|(name, driver)| (self.predefined_id(name), name, driver))
    }

    fn predefined_id(&self, name: &str) -> Id {
        Id::derived(&[&self.store.boot, name])
    }

    /// A network by name, id or unique id prefix.
    ///
    /// # Errors
    /// `network X not found`.
    pub fn network(&self, reference: &str) -> Result<Network> {
        let record = self
            .network_record(reference)?
            .ok_or_else(|| not_found(reference))?;
        let sandboxes = self.store.read_all::<SandboxRecord>(&mut |_| {})?;
        Ok(self.with_users(record, &sandboxes))
    }

    /// Creates a network.
    pub fn network_create(&self, spec: &NetworkSpec, run: &mut Run) -> Result<Id> {
        let name = &spec.name;
        refuse_predefined(name)?;
        let exists = || Error::new(format_args!("network with name {name} already exists"));
        if run.dry_run {
            if self.store.read::<NetworkRecord>(name)?.is_some() {
                return Err(exists());
            }
            self.refuse_without_record(name)?;
            let record = self.decide_network(spec)?;
            self.shared(&record)?.say(run.say);
            return Ok(record.id);
        }
        let _lock = self.claim(name)?.ok_or_else(exists)?;
        self.bring_into_being(spec, run).map(|record| record.id)
    }

    /// Removes a network and its bridge.
    ///
    /// # Errors
    /// Refused while sandboxes are on it, naming them.
    pub fn network_remove(&self, reference: &str, run: &mut Run) -> Result<()> {
        if PREDEFINED[1..].contains(&reference) {
            return Err(Error::new(format_args!(
                "{reference} is a pre-defined network and cannot be removed"
            )));
        }
        let Some(record) = self.network_record(reference)? else {
            self.clear_up_network(reference)?;
            return Err(not_found(reference));
        };
        if run.dry_run {
            self.refuse_while_used(&record)?;
            unshare(&record).say(run.say);
            return Ok(());
        }
        let _lock = self
            .store
            .lock_network(&record.name, Hold::Exclusive)
            .map_err(|error| gone_meanwhile(error, reference))?;
        {
            let _locked = self.store.lock()?;
            self.refuse_while_used(&record)?;
        }
        let gone = self.bury_links(&record.name)?.chain(unshare(&record));
        let removed = self
            .teardown(&gone, run)
            .and_then(|()| self.forget_network(&record.name));
        match removed {
            // Its record goes first: then the rest is what a killed removal leaves, too.
            Err(_) if self.store.read::<NetworkRecord>(&record.name)?.is_none() => {
                self.forget_network(&record.name)
            }
            Err(error) => {
                let run = &mut Run {
                    say: &mut Silence,
                    dry_run: false,
                };
                self.ensure(&record, run).map_err(|_| error.clone())?;
                Err(error)
            }
            removed => removed,
        }
    }

    /// Whether there is such a network.
    pub fn has_network(&self, reference: &str) -> Result<bool> {
        Ok(self.network_record(reference)?.is_some())
    }

    /// Removes every network but the default one that nobody uses: their names.
    pub fn network_prune(&self, run: &mut Run) -> Result<Vec<Name>> {
        let mut gone = Vec::new();
        for record in self.store.read_all::<NetworkRecord>(&mut |_| {})? {
            if is_default(&record.name) || self.refuse_while_used(&record).is_err() {
                continue;
            }
            match self.network_remove(record.name.as_str(), run) {
                Ok(()) => gone.push(record.name.clone()),
                // Somebody has just begun to use it.
                Err(_) if self.refuse_while_used(&record).is_err() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(gone)
    }

    /// Takes a network into use, making the default one on its first use, after `preflight`.
    pub(super) fn use_network(
        &self,
        reference: &str,
        preflight: &dyn Fn() -> Result<()>,
        run: &mut Run,
    ) -> Result<InUse> {
        let mut name = reference.parse::<Name>();
        loop {
            // Locked before it is read: it cannot be removed, or removed and made again, in between.
            if let Ok(name) = &name {
                match self.store.lock_network(name, Hold::Shared) {
                    Err(error) if error.is(Errno::NOENT) => {}
                    lock => {
                        let lock = lock?;
                        if let Some(record) = self.store.read::<NetworkRecord>(name)? {
                            return Ok(InUse {
                                record,
                                _lock: Some(lock),
                                first_use: Plan::new(),
                            });
                        }
                    }
                }
            }
            if reference != DEFAULT {
                match self.network_record(reference)? {
                    Some(record) => name = Ok(record.name.clone()),
                    None => return Err(not_found(reference)),
                }
                continue;
            }
            let name = self.default_name()?;
            preflight()?;
            if run.dry_run {
                self.refuse_without_record(&name)?;
                let record = self.decide_network(&NetworkSpec::named(name))?;
                let first_use = self.shared(&record)?;
                return Ok(InUse {
                    record,
                    _lock: None,
                    first_use,
                });
            }
            if let Some(_lock) = self.claim(&name)? {
                self.bring_into_being(&NetworkSpec::named(name), run)?;
            }
        }
    }

    /// A name for a network that does not exist, held by its lock, alone; none when it exists after all.
    fn claim(&self, name: &Name) -> Result<Option<OwnedFd>> {
        loop {
            self.store.root.make(&format!("networks/{name}"))?;
            let lock = match self.store.lock_network(name, Hold::Exclusive) {
                Err(error) if error.is(Errno::NOENT) => continue,
                lock => lock?,
            };
            if self.store.read::<NetworkRecord>(name)?.is_some() {
                return Ok(None);
            }
            self.refuse_without_record(name)?;
            return Ok(Some(lock));
        }
    }

    /// Refuses to make a network that has lost its record while sandboxes are on it: their addresses are theirs, and the bridge.
    fn refuse_without_record(&self, name: &Name) -> Result<()> {
        let users = self.users_of(name)?;
        if users.is_empty() {
            return Ok(());
        }
        let path = self.store.path(&format!("networks/{name}/record.json"));
        Err(Error::new(format_args!(
            "network {name} has lost its record, {}: it can be made again when `netcell rm -f` has removed {users}",
            path.display()
        )))
    }

    /// Decides, writes and makes a network whose lock is held alone.
    fn bring_into_being(&self, spec: &NetworkSpec, run: &mut Run) -> Result<Box<NetworkRecord>> {
        let decided = self
            .guard(run)
            .and_then(|unguarded| self.write_decided(spec, unguarded));
        let made = decided.and_then(|record| match self.ensure(&record, run) {
            Ok(()) => Ok(record),
            Err(error) => {
                let gone = unshare(&record);
                self.teardown(&gone, run).ok();
                Err(error)
            }
        });
        if made.is_err() {
            self.forget_network(&spec.name)?;
        }
        made
    }

    fn with_users(&self, record: Box<NetworkRecord>, sandboxes: &[SandboxRecord]) -> Network {
        let on_it = |s: &&SandboxRecord| {
            s.endpoint
                .as_ref()
                .is_some_and(|endpoint| endpoint.network_id == record.id)
        };
        let users = sandboxes
            .iter()
            .filter(on_it)
            .map(|sandbox| (self.first_id(sandbox), sandbox.clone()))
            .collect();
        Network { record, users }
    }

    /// The id of a sandbox's first container, by which Docker lists it; its own where there is none.
    fn first_id(&self, sandbox: &SandboxRecord) -> Id {
        let container = self
            .store
            .read::<ContainerRecord>(&sandbox.name)
            .ok()
            .flatten();
        container.map_or(sandbox.id, |container| container.id)
    }

    /// The names of the sandboxes that are on a network; of one whose lease cannot be read its address.
    fn users_of(&self, network: &Name) -> Result<String> {
        let mut users = Vec::new();
        for address in self.store.address_leases(network)? {
            match self.store.address_lease(network, address) {
                Ok(Some(Lease::Held { sandbox, .. })) => users.push(sandbox.to_string()),
                Ok(_) => {}
                Err(_) => users.push(address.to_string()),
            }
        }
        users.sort_unstable();
        // An address of each IP version is one user.
        users.dedup();
        Ok(users.join(" "))
    }

    fn refuse_while_used(&self, record: &NetworkRecord) -> Result<()> {
        let users = self.users_of(&record.name)?.replace(' ', ", ");
        if users.is_empty() {
            return Ok(());
        }
        Err(Error::new(format_args!(
            "error while removing network: network {} has active endpoints: {users}",
            record.name
        )))
    }

    /// Clears away what a creation that was killed before its record left of a network's directory.
    pub(super) fn clear_up_network(&self, reference: &str) -> Result<()> {
        if let Ok(name) = reference.parse::<Name>()
            && self.store.root.exists(&format!("networks/{name}"))?
            && let Some(_lock) = self.claim(&name)?
        {
            self.forget_network(&name)?;
        }
        Ok(())
    }

    /// The plan that deletes the links of sandboxes that went a moment ago.
    fn bury_links(&self, network: &Name) -> Result<Plan> {
        let mut plan = Plan::new();
        for address in self.store.address_leases(network)? {
            if let Some(Lease::Tombstone { link, .. }) =
                self.store.address_lease(network, address)?
            {
                plan.push(link::DelLink::veth(link));
            }
        }
        Ok(plan)
    }

    fn forget_network(&self, name: &Name) -> Result<()> {
        let _locked = self.store.lock()?;
        self.store
            .root
            .unlink(&format!("networks/{name}/record.json"))?;
        for below in ["leases", "hosts"] {
            self.store
                .root
                .remove_with_files(&format!("networks/{name}/{below}"))?;
        }
        self.store
            .root
            .remove_with_files(&format!("networks/{name}"))
    }

    pub(super) fn network_record(&self, reference: &str) -> Result<Option<Box<NetworkRecord>>> {
        if let Ok(name) = reference.parse::<Name>()
            && let Some(record) = self.store.read(&name)?
        {
            return Ok(Some(record));
        }
        if reference.is_empty() || !reference.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let mut found = self.store.read_all::<NetworkRecord>(&mut |_| {})?;
        found.retain(|record| record.id.to_string().starts_with(reference));
        match found.len() {
            0 | 1 => Ok(found.pop().map(Box::new)),
            _ => Err(Error::new(format_args!(
                "network {reference} is ambiguous ({} matches found based on ID prefix)",
                found.len()
            ))),
        }
    }

    fn default_name(&self) -> Result<Name> {
        DEFAULT.parse()
    }
}

/// Nobody makes what is always there.
pub(super) fn refuse_predefined(name: &Name) -> Result<()> {
    match PREDEFINED.contains(&name.as_str()) {
        true => Err(Error::new(format_args!(
            "operation is not permitted on predefined {name} network"
        ))),
        false => Ok(()),
    }
}

/// The plan that takes away what a network's sandboxes shared.
fn unshare(record: &NetworkRecord) -> Plan {
    firewall::remove_network(record).chain(Plan::of(link::DelLink::bridge(
        record.link.clone(),
        record.mac,
    )))
}

pub(super) fn not_found(reference: &str) -> Error {
    Error::new(format_args!("network {reference} not found"))
}

fn gone_meanwhile(error: Error, reference: &str) -> Error {
    if error.is(Errno::NOENT) {
        not_found(reference)
    } else {
        error
    }
}
