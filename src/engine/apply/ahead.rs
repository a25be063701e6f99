//! What can be refused before anything is done: names, references, subnets, addresses and ports that cannot be.

use super::decide::{Decision, nowhere};
use super::{Act, Asked, At, Item, Noun};
use crate::engine::ports::{
    Claim, Families, host_ends, host_publishes_nothing, mappings, refuse_unpublishable,
};
use crate::engine::record::NetworkRecord;
use crate::engine::spec::NetworkMode;
use crate::engine::target::Target;
use crate::engine::view::Subject;
use crate::engine::{Engine, container, network};
use crate::error::{Error, Result};
use crate::kernel::snapshot::Snapshot;
use crate::types::{Name, PortIndex, PortMapping};
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
                let error = Error::new(format_args!("{} is in a line before this one", item.name));
                return Err((Some(at), error.of("--name")));
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
                    let error = Error::new(format_args!("{} would join itself", item.name));
                    return Err((Some(at), error.of("--network")));
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
                network::refuse_predefined(&spec.name).map_err(|error| error.of("--name"))?;
                None
            }
            Asked::Sandbox(spec) => spec.hostname.as_ref(),
            Asked::Container(spec, _) => spec.hostname.as_ref(),
        };
        hostname
            .map_or(Ok(()), |name| container::check_hostname(name))
            .map_err(|error| error.of("--hostname"))?;
        self.check_mode(items, item)
            .map_err(|error| error.of("--network"))
    }

    /// The network that a line is to be on, or what it joins, has to be there, or in a line.
    fn check_mode(&self, items: &[Item], item: &Item) -> Result<()> {
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
            Some(NetworkMode::Container(reference)) => match &self.find(reference)? {
                Subject::Container(container) => container.record.sandbox.clone(),
                Subject::Sandbox(sandbox, _) => Some(sandbox.name.clone()),
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
        let mut fixed = Fixed::default();
        let mut addresses: Vec<(&str, IpAddr)> = Vec::new();
        for (at, item) in self.items.iter().enumerate() {
            let on = self.network_of(item, networks);
            let here = |error| (Some(at), error);
            addresses_ahead(item, on, &mut addresses).map_err(here)?;
            if matches!(
                self.acts.get(at),
                Some(Some(Act::Make | Act::Again(_) | Act::Ports))
            ) {
                self.ports_ahead(item, on, &free).map_err(here)?;
            }
            fixed.add(at, item, on);
        }
        fixed.refuse_twice(self.items)
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
            Some((noun, name)) => {
                let error = Error::new(format_args!(
                    "{noun} {name}, which {} needs, is named by no line any more, and --prune removes it",
                    item.name
                ));
                Err(error.of("--network"))
            }
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
                records.push(*decided.map_err(|error| (Some(at), error))?);
            }
        }
        self.now.networks = records;
        Ok(())
    }

    /// The network that a line's sandbox will be on.
    fn network_of<'n>(&self, item: &Item, networks: &'n [NetworkRecord]) -> On<'n> {
        let mut item = item;
        while let Some((_, next)) = owner(self.items, item) {
            item = next;
        }
        let name = match item.mode() {
            Some(NetworkMode::None) => return On::None,
            Some(NetworkMode::Network(reference)) => match self.network_name(reference) {
                Some(name) => name.clone(),
                None => return On::Default,
            },
            Some(NetworkMode::Container(reference)) => {
                let subject = self.engine.look_up(reference).ok().flatten();
                let sandbox = match &subject {
                    Some(Subject::Container(container)) if container.record.sandbox.is_none() => {
                        return On::Host;
                    }
                    subject => subject.as_ref().and_then(Subject::sandbox),
                };
                match sandbox.map(|sandbox| &sandbox.endpoint) {
                    Some(Some(endpoint)) => endpoint.network.clone(),
                    Some(None) => return On::None,
                    None => return On::Elsewhere,
                }
            }
            Some(NetworkMode::Host) => return On::Host,
            None => return On::Elsewhere,
        };
        let network = networks.iter().find(|network| network.name == name);
        network.map_or(On::Elsewhere, On::Network)
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

    /// Refuses ports that another has who stays, or a program of the host's, and those that are in each other's way.
    fn ports_ahead(&self, item: &Item, on: On, free: &[PortMapping]) -> Result<()> {
        let specs = item.publish();
        if specs.is_empty() || matches!(on, On::Elsewhere) {
            return Ok(());
        }
        match on {
            On::Host => Err(host_publishes_nothing(&specs[0])),
            On::None | On::Network(_) => refuse_unpublishable(specs, on.network()),
            On::Default | On::Elsewhere => Ok(()),
        }
        .map_err(|error| error.nth("--publish", 0))?;
        let _locked = self.engine.store.lock()?;
        let decide = |count: usize| {
            let decided = self.engine.decide_ports(&Claim {
                name: &item.name,
                specs: specs.get(..count).unwrap_or(specs),
                own: free,
                families: on.families(),
            });
            decided.map(drop)
        };
        decide(specs.len()).map_err(|error| {
            let at_fault = (0..specs.len()).find(|number| decide(number + 1).is_err());
            error.nth("--publish", at_fault.unwrap_or_default())
        })
    }
}

/// Where a line's sandbox will be.
#[derive(Clone, Copy)]
enum On<'n> {
    Network(&'n NetworkRecord),
    /// The default network, which is not made yet.
    Default,
    None,
    Host,
    /// In one that goes.
    Elsewhere,
}

impl<'n> On<'n> {
    fn network(self) -> Option<&'n NetworkRecord> {
        match self {
            On::Network(network) => Some(network),
            _ => None,
        }
    }

    fn families(self) -> Families {
        match self {
            On::Network(network) => Families::of_network(network),
            // It will have IPv4 alone.
            On::Default => Families {
                ipv4: true,
                ipv6: false,
            },
            On::None | On::Host | On::Elsewhere => Families::default(),
        }
    }
}

/// Refuses addresses that the network has not, and that a line before has.
fn addresses_ahead<'n>(
    item: &Item,
    on: On<'n>,
    addresses: &mut Vec<(&'n str, IpAddr)>,
) -> Result<()> {
    for address in item.endpoint().iter().flat_map(|asked| asked.addresses()) {
        let wrong = |sentence: std::fmt::Arguments| {
            Error::new(sentence).of(match address.is_ipv4() {
                true => "--ip",
                false => "--ip6",
            })
        };
        let network = on.network();
        let part = network.and_then(|network| network.subnet(address.is_ipv4()));
        let name = network.map_or("none", |network| network.name.as_str());
        // The default network's subnet is decided when it is made.
        if !matches!(on, On::Default) && !part.is_some_and(|part| part.subnet.contains(address)) {
            return Err(wrong(format_args!(
                "no configured subnet contains IP address {address}: it is not one of network {name}"
            )));
        }
        if addresses.contains(&(name, address)) {
            return Err(wrong(format_args!(
                "the address {address} is in a line before this one"
            )));
        }
        addresses.push((name, address));
    }
    Ok(())
}

/// The fixed ports of all lines, and the line and the number of the option that asks for each.
#[derive(Default)]
struct Fixed {
    ports: Vec<PortMapping>,
    asked: Vec<(usize, usize)>,
}

impl Fixed {
    fn add(&mut self, at: usize, item: &Item, on: On) {
        for (number, spec) in item.publish().iter().enumerate() {
            // What cannot be had at all is refused elsewhere.
            let ends = host_ends(spec, on.families()).unwrap_or_default();
            for host_port in spec.fixed().iter().flat_map(crate::types::Ports::iter) {
                let more = mappings(spec, &ends, host_port, spec.container.first);
                self.ports.extend(more);
            }
            self.asked.resize(self.ports.len(), (at, number));
        }
    }

    /// Refuses a port of the host's that a line before has, or that a line has twice.
    fn refuse_twice(&self, items: &[Item]) -> Result<(), At> {
        let index = PortIndex::of(&self.ports);
        for (port, &asked) in self.ports.iter().zip(&self.asked) {
            for (place, other) in index.near(port) {
                let before = self.asked[*place];
                if before < asked && other.collides_with(port) {
                    let (at, number) = asked;
                    let error = Error::new(format_args!(
                        "cannot publish {} of {}: {} has port {} before",
                        items[at].publish()[number],
                        items[at].name,
                        items[before.0].name,
                        port.host_port
                    ));
                    return Err((Some(at), error.nth("--publish", number)));
                }
            }
        }
        Ok(())
    }
}
