//! Reserve: under `lock`, decide what an operation is to make, claim it, and write down what to undo.
//!
//! Nothing is made here but files. Everything that is claimed stands in the intent first, so that a death at any point
//! leaves an intent from which the rest can be freed.

use crate::engine::network::InUse;
use crate::engine::ports::{Claim, Families, refuse_too_many, refuse_unpublishable};
use crate::engine::record::{
    ContainerRecord, Endpoint, Names, NetworkRecord, SandboxRecord, VERSION,
};
use crate::engine::spec::EndpointSpec;
use crate::engine::store::{Intent, IntentFile, Lease, Locked, Verb};
use crate::engine::{Engine, find, hosts, ipam, names, sandbox};
use crate::error::{Error, Result};
use crate::kernel::{link, netns};
use crate::sys::{random, time};
use crate::types::{Id, IfName, Mac, Name, PortMapping, PortSpec};
use std::net::IpAddr;

/// What is asked of a sandbox, from a container's or a bare sandbox's specification.
pub struct Wanted<'a> {
    /// The object's name.
    pub name: Name,
    /// The container's id; none for a bare sandbox.
    pub container: Option<Id>,
    /// The sandbox's host name.
    pub hostname: String,
    /// What it is called and what it finds by name.
    pub names: &'a Names,
    /// The ports to publish.
    pub publish: &'a [PortSpec],
    /// What the sandbox's attachment is to be.
    pub endpoint: &'a EndpointSpec,
    /// The file of `apply` that a sandbox alone comes from.
    pub applied: Option<&'a str>,
}

/// What an operation does to the sandbox of its object.
pub enum Change {
    /// No sandbox: the host's own network.
    Nothing,
    /// A new one.
    Make {
        /// The new sandbox.
        sandbox: Box<SandboxRecord>,
        /// Links that still hold its addresses and have to be deleted by force.
        bury: Vec<IfName>,
    },
    /// Another member joins, with its ports.
    Join {
        /// The sandbox as it will be.
        sandbox: Box<SandboxRecord>,
    },
    /// A sandbox that lives on without its first container gets a new one of the same name.
    TakeOver {
        /// The sandbox as it will be.
        sandbox: Box<SandboxRecord>,
        /// The old container's ports.
        old: Vec<PortMapping>,
    },
}

impl Change {
    /// The sandbox as it will be.
    pub fn sandbox(&self) -> Option<&SandboxRecord> {
        match self {
            Change::Nothing => None,
            Change::Make { sandbox, .. }
            | Change::Join { sandbox }
            | Change::TakeOver { sandbox, .. } => Some(sandbox),
        }
    }
}

impl Engine {
    /// A name for a new object: the one asked for, or a generated one that nothing has.
    pub(super) fn name_for(&self, asked: Option<&Name>) -> Result<Name> {
        if let Some(name) = asked {
            return Ok(name.clone());
        }
        loop {
            let name = names::generate()?;
            let taken = |kind: &str| self.store.root.exists(&format!("{kind}/{name}"));
            if !taken("containers")? && !taken("sandboxes")? && !self.store.is_under_way(&name)? {
                return Ok(name);
            }
        }
    }

    /// Docker's conflict, when a container or a sandbox alone has this name; or the sentence of a container that has lost its
    /// record. The caller holds `lock`.
    pub(super) fn refuse_taken_name(&self, name: &Name) -> Result<()> {
        if let Some(record) = self.store.read::<ContainerRecord>(name)? {
            return Err(find::conflict(
                name,
                &format!("container \"{}\"", record.id),
            ));
        }
        match self.store.read::<SandboxRecord>(name)? {
            Some(sandbox) if sandbox.bare => {
                Err(find::conflict(name, &format!("sandbox \"{}\"", sandbox.id)))
            }
            found if self.is_lost(found.as_deref(), name)? => Err(self.lost_container(name)),
            _ => Ok(()),
        }
    }

    /// Decides on a new sandbox. The caller holds `lock`.
    pub(super) fn decide_make(&self, wanted: &Wanted, network: Option<&InUse>) -> Result<Change> {
        netns::refuse_taken_pin(&wanted.name)?;
        refuse_unpublishable(wanted.publish, network.map(|network| &*network.record))?;
        let (endpoint, bury) = match network {
            Some(network) => self
                .decide_endpoint(wanted, network)
                .map(|(endpoint, bury)| (Some(endpoint), bury))?,
            None if *wanted.endpoint != EndpointSpec::default() => {
                return Err(Error::new(
                    "conflicting options: a sandbox on network none has no address and no MAC to choose",
                ));
            }
            None => (None, Vec::new()),
        };
        hosts::refuse_without_network(wanted.names, endpoint.as_ref())?;
        let ports = self.decide_ports(&Claim {
            name: &wanted.name,
            specs: wanted.publish,
            own: &[],
            families: Families::of(endpoint.as_ref()),
        })?;
        let mut sandbox = Box::new(SandboxRecord {
            version: VERSION,
            boot: self.store.boot.clone(),
            id: random::id()?,
            name: wanted.name.clone(),
            bare: wanted.container.is_none(),
            hostname: wanted.hostname.clone(),
            created: time::now(),
            endpoint,
            names: wanted.names.clone(),
            ports: Vec::new(),
            members: wanted
                .container
                .iter()
                .map(|_| wanted.name.clone())
                .collect(),
            applied: wanted.applied.map(str::to_owned),
        });
        sandbox.set_ports(&wanted.name, &ports);
        Ok(Change::Make { sandbox, bury })
    }

    fn decide_endpoint(&self, wanted: &Wanted, network: &InUse) -> Result<(Endpoint, Vec<IfName>)> {
        let (record, asked) = (&network.record, wanted.endpoint);
        let asker = ipam::Asker {
            store: &self.store,
            network: record,
            sandbox: &wanted.name,
            is_gone: &|link| !link::exists(link),
        };
        let (mut addresses, mut bury) = (Vec::with_capacity(2), Vec::new());
        for (ipv4, asked) in [
            (true, asked.ip.map(IpAddr::V4)),
            (false, asked.ip6.map(IpAddr::V6)),
        ] {
            let choice = match (asked, record.subnet(ipv4)) {
                (Some(address), _) => asker.take(address)?,
                (None, Some(part)) => asker.choose(part)?,
                (None, None) => continue,
            };
            addresses.push(choice.address);
            bury.extend(choice.bury);
        }
        let of_address = addresses.first().map(|address| Mac::of(address.addr));
        let endpoint = Endpoint {
            id: random::id()?,
            network: record.name.clone(),
            network_id: record.id,
            ifname: "eth0".parse()?,
            link: random::link()?,
            mac: asked.mac.or(of_address).unwrap_or(record.mac),
            gateways: match record.internal {
                true => Vec::new(),
                false => record.subnets.iter().map(|part| part.gateway).collect(),
            },
            addresses,
            mtu: record.mtu,
            unguarded: record.unguarded,
            allow_spoof: asked.allow_spoof,
            asked: asked.addresses(),
        };
        Ok((endpoint, bury))
    }

    /// Decides on joining a sandbox. The caller holds `lock`.
    pub(super) fn decide_join(
        &self,
        wanted: &Wanted,
        sandbox: Box<SandboxRecord>,
    ) -> Result<Change> {
        if *wanted.endpoint != EndpointSpec::default() {
            return Err(Error::new(
                "conflicting options: addresses and MACs are the joined sandbox's, and it has them already",
            ));
        }
        let old = sandbox.ports_of(&wanted.name);
        let ports = self.ports_for(wanted, &sandbox, &old)?;
        // Who has the sandbox's name is its first member again: the ports of the one before it make way, as in a take-over.
        let again = sandbox.name == wanted.name;
        let sandbox = with_member(sandbox, wanted, &ports);
        Ok(match again {
            true => Change::TakeOver { sandbox, old },
            false => Change::Join { sandbox },
        })
    }

    /// Decides on taking a sandbox over. The caller holds `lock`.
    ///
    /// # Errors
    /// Names the option that differs from the sandbox's.
    pub(super) fn decide_take_over(
        &self,
        wanted: &Wanted,
        sandbox: Box<SandboxRecord>,
        network: Option<&Name>,
    ) -> Result<Change> {
        let name = &sandbox.name;
        let has = sandbox.endpoint.as_ref().map(|endpoint| &endpoint.network);
        if has != network {
            let say = |network: Option<&Name>| network.map_or("none", Name::as_str).to_owned();
            return Err(Error::new(format_args!(
                "sandbox {name} lives on with its other members on network {}, and a container that takes it over cannot ask for network {}",
                say(has),
                say(network)
            )));
        }
        if wanted.hostname != sandbox.hostname
            && wanted
                .container
                .is_some_and(|id| id.short() != wanted.hostname)
        {
            return Err(Error::new(format_args!(
                "sandbox {name} lives on with its other members under the host name {}, and a container that takes it over cannot ask for {}",
                sandbox.hostname, wanted.hostname
            )));
        }
        hosts::refuse_other_names(wanted.names, &sandbox)?;
        refuse_other_endpoint(&sandbox, wanted.endpoint)?;
        let old = sandbox.ports_of(&wanted.name);
        let ports = self.ports_for(wanted, &sandbox, &old)?;
        Ok(Change::TakeOver {
            sandbox: with_member(sandbox, wanted, &ports),
            old,
        })
    }

    /// Decides on the ports that somebody brings to a sandbox that is there.
    fn ports_for(
        &self,
        wanted: &Wanted,
        sandbox: &SandboxRecord,
        own: &[PortMapping],
    ) -> Result<Vec<PortMapping>> {
        let ports = self.more_ports(sandbox, (&wanted.name, wanted.publish), own)?;
        refuse_too_many(sandbox.ports.len() - own.len() + ports.len())?;
        Ok(ports)
    }

    /// Decides on ports of a member, besides or instead of its own. The caller holds `lock`.
    pub(super) fn more_ports(
        &self,
        sandbox: &SandboxRecord,
        (name, specs): (&Name, &[PortSpec]),
        own: &[PortMapping],
    ) -> Result<Vec<PortMapping>> {
        let network = match &sandbox.endpoint {
            Some(endpoint) => self.store.read::<NetworkRecord>(&endpoint.network)?,
            None => None,
        };
        refuse_unpublishable(specs, network.as_deref())?;
        self.decide_ports(&Claim {
            name,
            specs,
            own,
            families: Families::of(sandbox.endpoint.as_ref()),
        })
    }

    /// Claims what was decided: the intent, then the leases and the names. On an error all is freed again.
    pub(super) fn claim_change(
        &self,
        locked: &Locked,
        wanted: &Wanted,
        change: &Change,
    ) -> Result<IntentFile> {
        let file = self.store.begin(self.intent_of(wanted, change))?;
        match self.write_claims(locked, &file.intent, change) {
            Ok(()) => Ok(file),
            Err(error) => {
                self.free_claims(locked, &file.intent)?;
                self.store.end(file)?;
                Err(error)
            }
        }
    }

    fn intent_of(&self, wanted: &Wanted, change: &Change) -> Intent {
        let mut intent = self.intent(Verb::Create, &wanted.name);
        intent.container = wanted.container;
        intent.generation = 1;
        if let Some(sandbox) = change.sandbox() {
            intent.sandbox = Some(sandbox.name.clone());
        }
        match change {
            Change::Make { sandbox, .. } => intent.whole = Some(sandbox.clone()),
            Change::TakeOver { sandbox, old } => {
                intent.ports_before = old.clone();
                intent.ports_after = sandbox.ports_of(&wanted.name);
            }
            Change::Join { sandbox } => intent.ports_after = sandbox.ports_of(&wanted.name),
            Change::Nothing => {}
        }
        intent
    }

    fn write_claims(&self, locked: &Locked, intent: &Intent, change: &Change) -> Result<()> {
        let store = &self.store;
        if let Some(id) = &intent.container {
            store.root.make(&format!("containers/{}", intent.name))?;
            store.write_id(locked, id, &intent.name)?;
        }
        let Some(sandbox) = change.sandbox() else {
            return Ok(());
        };
        let lease = Lease::Held {
            id: sandbox.id,
            sandbox: sandbox.name.clone(),
        };
        let ports = sandbox.ports_of(&intent.name);
        store.lease_ports(locked, (&ports, &intent.ports_before), &lease)?;
        match change {
            Change::Make { sandbox, .. } => {
                store.root.make(&format!("sandboxes/{}", sandbox.name))?;
                store.lease_addresses(locked, sandbox, &lease)?;
                if sandbox.bare {
                    store.write_id(locked, &sandbox.id, &sandbox.name)?;
                }
                Ok(())
            }
            // A member that may yet be counts at once: the sandbox must not go while it is being made.
            Change::Join { .. } => self.note_member(locked, &sandbox.name, &intent.name),
            Change::TakeOver { .. } | Change::Nothing => Ok(()),
        }
    }

    fn note_member(&self, locked: &Locked, sandbox: &Name, member: &Name) -> Result<()> {
        match self.store.read::<SandboxRecord>(sandbox)? {
            Some(mut record) if !record.members.contains(member) => {
                record.members.push(member.clone());
                self.store.write_sandbox(locked, &record)
            }
            _ => Ok(()),
        }
    }

    /// Frees everything that an intent claimed and that no committed record has. The caller holds `lock`, and what the
    /// kernel had of it is gone.
    pub(super) fn free_claims(&self, locked: &Locked, intent: &Intent) -> Result<()> {
        let store = &self.store;
        if let Some(whole) = &intent.whole {
            self.free_leases(locked, whole)?;
            store.remove_sandbox(locked, &whole.name, &whole.id)?;
            hosts::leave(store, locked, whole)?;
        } else if let Some(name) = &intent.sandbox
            && let Some(mut sandbox) = store.read::<SandboxRecord>(name)?
        {
            let ports: (&[_], &[_]) = (&intent.ports_after, &intent.ports_before);
            store.free_ports(locked, ports, &sandbox.id)?;
            // Back to what it was before: its members, and the ports of this one.
            sandbox.members.retain(|member| *member != intent.name);
            sandbox.set_ports(&intent.name, &intent.ports_before);
            store.write_sandbox(locked, &sandbox)?;
        }
        if let Some(id) = &intent.container {
            store.remove_container(locked, &intent.name, id)?;
        }
        Ok(())
    }

    /// Frees a sandbox's ports and its address; the address keeps a tombstone while its link may still be there.
    pub(super) fn free_leases(&self, locked: &Locked, sandbox: &SandboxRecord) -> Result<()> {
        for port in &sandbox.ports {
            self.store.free_port(locked, &port.mapping, &sandbox.id)?;
        }
        let Some(endpoint) = &sandbox.endpoint else {
            return Ok(());
        };
        let still_there = link::exists(&endpoint.link);
        for address in &endpoint.addresses {
            let tombstone = still_there.then(|| Lease::Tombstone {
                link: endpoint.link.clone(),
                since: time::since_boot(),
            });
            let lease = (&endpoint.network, address.addr);
            self.store
                .free_address(locked, lease, &sandbox.id, tombstone)?;
        }
        Ok(())
    }

    /// A member that a sandbox has besides this one, if any; one on which something is under way only if there is no other.
    /// The caller holds `lock`.
    pub(super) fn other_member(&self, sandbox: &SandboxRecord, but: &Name) -> Result<Option<Name>> {
        let mut other = (sandbox.bare && sandbox.name != *but).then(|| sandbox.name.clone());
        for member in find::members(&self.store, sandbox)? {
            if member == *but {
                continue;
            }
            if !self.store.is_under_way(&member)? {
                return Ok(Some(member));
            }
            other = other.or(Some(member));
        }
        Ok(other)
    }
}

fn with_member(
    mut sandbox: Box<SandboxRecord>,
    wanted: &Wanted,
    ports: &[PortMapping],
) -> Box<SandboxRecord> {
    sandbox.set_ports(&wanted.name, ports);
    sandbox.members.retain(|member| *member != wanted.name);
    sandbox.members.push(wanted.name.clone());
    sandbox
}

/// Whoever takes a sandbox over may leave its attachment alone, or ask for what it has.
fn refuse_other_endpoint(sandbox: &SandboxRecord, asked: &EndpointSpec) -> Result<()> {
    match sandbox::other_endpoint(sandbox, asked) {
        None => Ok(()),
        Some(differs) => Err(Error::new(format_args!(
            "sandbox {} lives on with its other members, and a container that takes it over cannot ask for {differs}",
            sandbox.name
        ))),
    }
}
