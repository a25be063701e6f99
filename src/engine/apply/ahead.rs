//! What can be refused before anything is done: names, references, subnets, addresses and ports that cannot be.

use super::decide::{Decision, nowhere};
use super::{Act, Asked, At, Item, Noun};
use crate::engine::ports::{Claim, Families, refuse_unpublishable};
use crate::engine::record::NetworkRecord;
use crate::engine::spec::NetworkMode;
use crate::engine::target::Target;
use crate::engine::view::Subject;
use crate::engine::{Engine, container, network};
use crate::error::{Error, Result};
use crate::kernel::snapshot::Snapshot;
use crate::types::{Name, PortMapping};
use std::net::IpAddr;

impl Engine {
    /// The lines that ask for sandboxes and containers, each behind the one whose sandbox it joins.
    ///
    /// # Errors
    /// Two lines with the same name, what is not there, and those that join each other.
    pub(super) fn order(&self, items: &[Item]) -> Result<Vec<usize>, At> {
        let is_network = |item: &Item| item.noun() == Noun::Network;
        for (at, item) in items.iter().enumerate() {
            let mut before = items.iter().take(at);
            if before.any(|other| other.name == item.name && is_network(other) == is_network(item))
            {
                return Err((
                    Some(at),
                    Error::new(format_args!("{} is in a line before this one", item.name)),
                ));
            }
            self.check_alone(items, item)
                .map_err(|error| (Some(at), error))?;
        }
        let mut order: Vec<usize> = Vec::with_capacity(items.len());
        let mut placed = vec![false; items.len()];
        for (at, first) in items.iter().enumerate() {
            let (mut chain, mut next) = (Vec::new(), Some((at, first)));
            while let Some((at, item)) = next {
                if chain.contains(&at) {
                    return Err((
                        Some(at),
                        Error::new(format_args!("{} would join itself", item.name)),
                    ));
                }
                if placed.get(at) != Some(&false) || is_network(item) {
                    break;
                }
                chain.push(at);
                next = owner(items, item);
            }
            for at in chain.into_iter().rev() {
                placed[at] = true;
                order.push(at);
            }
        }
        Ok(order)
    }

    /// What is wrong with a line whatever there is besides what it refers to.
    fn check_alone(&self, items: &[Item], item: &Item) -> Result<()> {
        let hostname = match &item.asked {
            Asked::Network(spec) => {
                network::refuse_predefined(&spec.name)?;
                None
            }
            Asked::Sandbox(spec) => spec.hostname.as_ref(),
            Asked::Container(spec, _) => spec.hostname.as_ref(),
        };
        hostname.map_or(Ok(()), |name| container::check_hostname(name))?;
        let in_file = |noun: bool, reference: &str| {
            let mut items = items.iter();
            items.any(|other| {
                other.name.as_str() == reference && (other.noun() == Noun::Network) == noun
            })
        };
        if let Some(mode) = item.mode().filter(|_| item.noun() == Noun::Sandbox) {
            Target::alone(mode)?;
        }
        match item.mode() {
            Some(NetworkMode::Network(reference)) => {
                let known = in_file(true, reference)
                    || reference == network::DEFAULT
                    || self.network_record(reference)?.is_some();
                known
                    .then_some(())
                    .ok_or_else(|| network::not_found(reference))
            }
            Some(NetworkMode::Container(reference)) if !in_file(false, reference) => {
                self.find(reference).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// The sandbox that a line which joins another's will be in; none for the host's own network.
    pub(super) fn sandbox_for(&self, items: &[Item], item: &Item) -> Result<Option<Name>> {
        let mut item = item;
        while let Some((_, next)) = owner(items, item) {
            item = next;
        }
        Ok(match item.mode() {
            Some(NetworkMode::Host) => None,
            Some(NetworkMode::Container(reference)) => match self.find(reference)? {
                Subject::Container(container) => container.record.sandbox,
                Subject::Sandbox(sandbox, _) => Some(sandbox.name),
            },
            _ => Some(item.name.clone()),
        })
    }
}

/// The line whose sandbox a line joins; none where it joins none of a line.
fn owner<'a>(items: &'a [Item], item: &Item) -> Option<(usize, &'a Item)> {
    let Some(NetworkMode::Container(owner)) = item.mode() else {
        return None;
    };
    let mut items = items.iter().enumerate();
    items.find(|(_, other)| other.noun() != Noun::Network && other.name.as_str() == owner)
}

impl Decision<'_> {
    /// Refuses what could not be made.
    pub fn ahead(&mut self) -> Result<(), At> {
        for (at, item) in self.items.iter().enumerate() {
            self.refuse_removed(item)
                .map_err(|error| (Some(at), error))?;
        }
        self.networks_to_be()?;
        let networks = &self.now.networks;
        let free = self.ports_to_be_free();
        let mut fixed: Vec<(&Name, PortMapping)> = Vec::new();
        let mut addresses: Vec<(&str, IpAddr)> = Vec::new();
        for (at, item) in self.items.iter().enumerate() {
            let network = self.network_of(item, networks);
            let here = |error| (Some(at), error);
            if let Some(endpoint) = item.endpoint() {
                for address in endpoint.addresses() {
                    let network = network.map(|n| (n.name.as_str(), n.subnet(address.is_ipv4())));
                    let (name, part) = network.unwrap_or(("none", None));
                    if !part.is_some_and(|part| part.subnet.contains(address)) {
                        return Err(here(Error::new(format_args!(
                            "no configured subnet contains IP address {address}: it is not one of network {name}"
                        ))));
                    }
                    if addresses.contains(&(name, address)) {
                        return Err(here(Error::new(format_args!(
                            "the address {address} is in a line before this one"
                        ))));
                    }
                    addresses.push((name, address));
                }
            }
            if matches!(
                self.acts.get(at),
                Some(Some(Act::Make | Act::Again(_) | Act::Ports))
            ) {
                self.ports_ahead(item, network, &free).map_err(here)?;
            }
            self.refuse_twice(item, network, &mut fixed).map_err(here)?;
        }
        Ok(())
    }

    /// A line cannot need what goes because no line names it.
    fn refuse_removed(&self, item: &Item) -> Result<()> {
        let (name, is_network) = match item.mode() {
            Some(NetworkMode::Network(reference)) => {
                (self.network_name(reference).map(Name::to_string), true)
            }
            Some(NetworkMode::Container(reference)) => (Some(reference.clone()), false),
            _ => (None, false),
        };
        let mut removed = self.removed.iter();
        let gone = removed.find(|(noun, removed)| {
            (*noun == Noun::Network) == is_network && Some(removed.as_str()) == name.as_deref()
        });
        match gone {
            Some((noun, name)) => Err(Error::new(format_args!(
                "{noun} {name}, which {} needs, is named by no line any more, and --prune removes it",
                item.name
            ))),
            None => Ok(()),
        }
    }

    /// From now on the networks are those that there will be.
    fn networks_to_be(&mut self) -> Result<(), At> {
        let (mut records, mut going) = (Vec::new(), Vec::new());
        for record in std::mem::take(&mut self.now.networks) {
            let mut items = self.items.iter().zip(&self.acts);
            let again = items.any(|(item, act)| {
                act.is_some() && item.noun() == Noun::Network && item.name == record.name
            });
            let mut removed = self.removed.iter();
            match again
                || removed.any(|(noun, name)| *noun == Noun::Network && *name == record.name)
            {
                true => going.push(record.link),
                false => records.push(record),
            }
        }
        let mut host = None;
        for (at, item) in self.items.iter().enumerate() {
            let (Asked::Network(spec), Some(Some(_))) = (&item.asked, self.acts.get(at)) else {
                continue;
            };
            if host.is_none() {
                let mut now = Snapshot::of_host(&mut self.engine.sockets()).map_err(nowhere)?;
                going.iter().for_each(|link| now.without(link));
                host = Some(now);
            }
            if let Some(host) = &host {
                let decided = self.engine.decide_beside(&records, host, spec);
                records.push(decided.map_err(|error| (Some(at), error))?);
            }
        }
        self.now.networks = records;
        Ok(())
    }

    /// The network that a line's sandbox will be on, where that is known.
    fn network_of<'n>(
        &self,
        item: &Item,
        networks: &'n [NetworkRecord],
    ) -> Option<&'n NetworkRecord> {
        let mut item = item;
        while let Some((_, next)) = owner(self.items, item) {
            item = next;
        }
        let name = match item.mode()? {
            NetworkMode::Network(reference) => self.network_name(reference)?,
            NetworkMode::Container(reference) => {
                let sandbox = self.engine.look_up(reference).ok()??;
                let sandbox = match &sandbox {
                    Subject::Container(container) => container.sandbox.as_deref(),
                    Subject::Sandbox(sandbox, _) => Some(&**sandbox),
                };
                let name = &sandbox?.endpoint.as_ref()?.network;
                return networks.iter().find(|network| network.name == *name);
            }
            _ => return None,
        };
        networks.iter().find(|network| network.name == *name)
    }

    /// The ports of those that go or change: whoever is made may have them.
    fn ports_to_be_free(&self) -> Vec<PortMapping> {
        let goes = |name: &Name| {
            let mut items = self.items.iter().zip(&self.acts);
            items.any(|(item, act)| {
                item.noun() != Noun::Network
                    && item.name == *name
                    && matches!(act, Some(Act::Again(_) | Act::Ports | Act::Make))
            }) || self
                .removed
                .iter()
                .any(|(noun, removed)| *noun != Noun::Network && removed == name)
        };
        let mut free = Vec::new();
        for sandbox in &self.now.sandboxes {
            for port in &sandbox.ports {
                if goes(&port.member) {
                    free.push(port.mapping.clone());
                }
            }
        }
        free
    }

    /// Refuses ports that another has who stays, or a program of the host's.
    fn ports_ahead(
        &self,
        item: &Item,
        network: Option<&NetworkRecord>,
        free: &[PortMapping],
    ) -> Result<()> {
        if item.publish().is_empty() {
            return Ok(());
        }
        // The default network is not made yet, or the sandbox is another's.
        if !matches!(item.mode(), Some(NetworkMode::None)) && network.is_none() {
            return Ok(());
        }
        refuse_unpublishable(item.publish(), network)?;
        let has = |ipv4| network.is_some_and(|network| network.subnet(ipv4).is_some());
        let _locked = self.engine.store.lock()?;
        let decided = self.engine.decide_ports(&Claim {
            name: &item.name,
            specs: item.publish(),
            own: free,
            families: Families {
                ipv4: has(true),
                ipv6: has(false),
            },
        });
        decided.map(drop)
    }

    /// Refuses a port of the host's that a line before has.
    fn refuse_twice<'n>(
        &self,
        item: &'n Item,
        network: Option<&NetworkRecord>,
        fixed: &mut Vec<(&'n Name, PortMapping)>,
    ) -> Result<()> {
        let ipv6 = network.is_some_and(|network| network.subnet(true).is_none());
        for spec in item.publish() {
            let any = crate::types::any(match ipv6 {
                true => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
                false => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
            });
            for host_port in spec.fixed().iter().flat_map(crate::types::Ports::iter) {
                let port = PortMapping {
                    proto: spec.proto,
                    host_ip: spec.host_ip.unwrap_or(any),
                    host_port,
                    container_port: spec.container.first,
                    on: spec.on.clone(),
                    from: spec.from,
                };
                let mut others = fixed.iter().filter(|(name, _)| **name != item.name);
                if let Some((name, _)) = others.find(|(_, other)| other.collides_with(&port)) {
                    return Err(Error::new(format_args!(
                        "cannot publish {spec} of {}: {name} has port {host_port} in a line before this one",
                        item.name
                    )));
                }
                fixed.push((&item.name, port));
            }
        }
        Ok(())
    }
}
