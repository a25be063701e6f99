//! What is to be done so that all is as the lines ask for it.

use super::compare::{self, Attachment};
use super::{Act, Asked, At, Item, Noun, Step};
use crate::engine::record::{NetworkRecord, SandboxRecord};
use crate::engine::spec::{ContainerSpec, NetworkMode};
use crate::engine::view::{Container, Status, Subject};
use crate::engine::{Engine, Run, image, publish};
use crate::error::{Error, Result};
use crate::types::Name;

/// What there is.
pub(super) struct Now {
    pub networks: Vec<NetworkRecord>,
    pub sandboxes: Vec<SandboxRecord>,
    pub containers: Vec<Container>,
}

impl Now {
    pub fn network(&self, name: &Name) -> Option<&NetworkRecord> {
        self.networks.iter().find(|network| network.name == *name)
    }

    pub fn sandbox(&self, name: &Name) -> Option<&SandboxRecord> {
        self.sandboxes.iter().find(|sandbox| sandbox.name == *name)
    }

    pub fn container(&self, name: &Name) -> Option<&Container> {
        self.containers.iter().find(|c| c.record.name == *name)
    }

    /// Those that keep a sandbox.
    fn members<'a>(&'a self, sandbox: &'a SandboxRecord) -> impl Iterator<Item = &'a Name> {
        let containers = self.containers.iter().map(|container| &container.record);
        let joined = containers.filter(|record| record.sandbox.as_ref() == Some(&sandbox.name));
        let alone = sandbox.bare && self.container(&sandbox.name).is_none();
        joined
            .map(|record| &record.name)
            .chain(alone.then_some(&sandbox.name))
    }
}

/// The decision as far as it has come.
pub(super) struct Decision<'a> {
    pub engine: &'a Engine,
    pub items: &'a [Item],
    pub now: Now,
    /// For each line what is to be done; none where nothing is.
    pub acts: Vec<Option<Act>>,
    /// For each line whether what there is has to go before anything is made.
    first: Vec<bool>,
    /// What no line names any more.
    pub removed: Vec<(Noun, Name)>,
    /// Sandboxes that go, and the line because of which.
    going: Vec<(Name, Option<usize>)>,
}

impl Engine {
    /// The steps from what there is to what the lines ask for, in an order in which they can be done. With `prune` what
    /// came from that file and is named by no line goes.
    ///
    /// # Errors
    /// What cannot be, with the line that asks for it.
    pub fn difference(
        &self,
        items: &[Item],
        prune: Option<&str>,
        run: &mut Run,
    ) -> Result<Vec<Step>, At> {
        let order = self.order(items)?;
        let mut decision = Decision {
            engine: self,
            items,
            now: self.now(run).map_err(nowhere)?,
            acts: vec![None; items.len()],
            first: vec![false; items.len()],
            removed: Vec::new(),
            going: Vec::new(),
        };
        if let Some(file) = prune {
            decision.prune(file);
        }
        decision.networks();
        for at in &order {
            decision.member(*at).map_err(|error| (Some(*at), error))?;
        }
        decision.members_of_what_goes()?;
        decision.ahead()?;
        Ok(decision.steps(&order))
    }

    fn now(&self, run: &mut Run) -> Result<Now> {
        let networks = self.store.read_all(&mut |error| run.say.note(&error))?;
        let sandboxes = self.store.read_all(&mut |_| {})?;
        let of_container = |subject| match subject {
            Subject::Container(container) => Some(*container),
            Subject::Sandbox(..) => None,
        };
        let subjects = self.containers(run)?.into_iter();
        Ok(Now {
            networks,
            sandboxes,
            containers: subjects.filter_map(of_container).collect(),
        })
    }
}

pub(super) fn nowhere(error: Error) -> At {
    (None, error)
}

impl Decision<'_> {
    fn prune(&mut self, file: &str) {
        let ours = |applied: &Option<String>| applied.as_deref() == Some(file);
        let named = |is_network: bool, name: &Name| {
            let mut items = self.items.iter();
            items.any(|item| item.name == *name && (item.noun() == Noun::Network) == is_network)
        };
        let containers = self
            .now
            .containers
            .iter()
            .map(|container| &container.record);
        let containers = containers.filter(|r| ours(&r.applied) && !named(false, &r.name));
        let alone = self.now.sandboxes.iter().filter(|s| s.bare);
        let alone = alone.filter(|s| ours(&s.applied) && !named(false, &s.name));
        let networks = self.now.networks.iter();
        let networks = networks.filter(|n| ours(&n.applied) && !named(true, &n.name));
        self.removed = containers
            .map(|record| (Noun::Container, record.name.clone()))
            .chain(alone.map(|sandbox| (Noun::Sandbox, sandbox.name.clone())))
            .chain(networks.map(|network| (Noun::Network, network.name.clone())))
            .collect();
    }

    /// Networks, and the sandboxes that go with those that go.
    fn networks(&mut self) {
        let mut gone: Vec<(Name, Option<usize>)> = Vec::new();
        for (at, item) in self.items.iter().enumerate() {
            let Asked::Network(spec) = &item.asked else {
                continue;
            };
            match self.now.network(&item.name) {
                None => self.acts[at] = Some(Act::Make),
                Some(now) => {
                    let differs = compare::network(spec, now);
                    if !differs.is_empty() {
                        self.acts[at] = Some(Act::Again(words(&differs)));
                        self.first[at] = true;
                        gone.push((item.name.clone(), Some(at)));
                    }
                }
            }
        }
        let removed = self.removed.iter();
        let removed = removed.filter(|(noun, _)| *noun == Noun::Network);
        gone.extend(removed.map(|(_, name)| (name.clone(), None)));
        for (network, at) in gone {
            for sandbox in &self.now.sandboxes {
                let endpoint = sandbox.endpoint.as_ref();
                if endpoint.is_some_and(|endpoint| endpoint.network == network) {
                    self.going.push((sandbox.name.clone(), at));
                }
            }
        }
    }

    fn goes(&self, sandbox: &Name) -> bool {
        self.going.iter().any(|(going, _)| going == sandbox)
    }

    /// What is to be done for a line that asks for a sandbox or a container.
    fn member(&mut self, at: usize) -> Result<()> {
        let Some(item) = self.items.get(at) else {
            return Ok(());
        };
        let joins = match item.mode() {
            Some(NetworkMode::Container(_)) => self.engine.sandbox_for(self.items, item)?,
            _ => None,
        };
        let mut why = Vec::new();
        if let Some(now) = self.now.sandbox(&item.name).filter(|_| joins.is_none()) {
            let other_kind = now.bare != matches!(item.asked, Asked::Sandbox(_));
            why = match self.attachment(item)? {
                Some(_) if other_kind => vec!["kind"],
                Some(asked) => compare::sandbox(&asked, now),
                None => vec!["network"],
            };
            if !why.is_empty() && !self.goes(&item.name) {
                self.going.push((item.name.clone(), Some(at)));
            }
        }
        let act = match &item.asked {
            Asked::Container(spec, start) => {
                let image = image::find(&self.engine.places.images, &spec.image)?;
                let now = self.now.container(&item.name);
                now.map(|now| self.container((spec, &image), *start, joins.as_ref(), (now, why)))
            }
            _ => self
                .now
                .sandbox(&item.name)
                .map(|now| match why.is_empty() {
                    false => Some(Act::Again(words(&why))),
                    true => self.ports(item, &now.ports_of(&item.name)),
                }),
        };
        let alone = self.now.sandbox(&item.name).is_some_and(|now| now.bare);
        let taken = alone || self.now.container(&item.name).is_some();
        self.acts[at] = act.unwrap_or_else(|| {
            Some(match taken {
                true => Act::Again("kind differs".into()),
                false => Act::Make,
            })
        });
        Ok(())
    }

    fn container(
        &self,
        (spec, image): (&ContainerSpec, &crate::engine::spec::Image),
        start: bool,
        joins: Option<&Name>,
        (now, mut why): (&Container, compare::Differs),
    ) -> Option<Act> {
        let own = !matches!(spec.network, NetworkMode::Host | NetworkMode::Container(_));
        let record = &now.record;
        let wanted = joins.or(own.then_some(&record.name));
        if record.sandbox.as_ref() != wanted && !why.contains(&"network") {
            why.push("network");
        }
        why.extend(compare::container(spec, image, own, record));
        let ended = record.auto_remove && now.status == Status::Exited;
        if !why.is_empty() {
            return Some(Act::Again(words(&why)));
        }
        if ended {
            return Some(Act::Again("it has ended".into()));
        }
        let ports = now
            .sandbox
            .as_ref()
            .map(|sandbox| sandbox.ports_of(&record.name));
        let idle = matches!(now.status, Status::Created | Status::Exited);
        if !publish::has_ports_as_asked(&spec.publish, &ports.unwrap_or_default()) {
            // A start has its ports already.
            return Some(match start && idle {
                true => Act::Again("ports differ".into()),
                false => Act::Ports,
            });
        }
        (start && idle).then_some(Act::Start)
    }

    fn ports(&self, item: &Item, now: &[crate::types::PortMapping]) -> Option<Act> {
        (!publish::has_ports_as_asked(item.publish(), now)).then_some(Act::Ports)
    }

    /// What a line asks of its own sandbox; none where it asks for none of its own.
    fn attachment<'b>(&'b self, item: &'b Item) -> Result<Option<Attachment<'b>>> {
        let (mode, hostname, names, endpoint) = match &item.asked {
            Asked::Network(_) => return Ok(None),
            Asked::Sandbox(spec) => {
                let hostname = spec.hostname.as_deref().unwrap_or(item.name.as_str());
                (&spec.network, Some(hostname), &spec.names, &spec.endpoint)
            }
            Asked::Container(spec, _) => (
                &spec.network,
                spec.hostname.as_deref(),
                &spec.names,
                &spec.endpoint,
            ),
        };
        let network = match mode {
            NetworkMode::Host | NetworkMode::Container(_) => return Ok(None),
            NetworkMode::None => None,
            NetworkMode::Network(reference) => {
                let name = self.network_name(reference);
                Some(name.map_or(reference.as_str(), Name::as_str))
            }
        };
        Ok(Some(Attachment {
            network,
            hostname,
            names,
            endpoint,
        }))
    }

    /// The name of the network that a reference means: a line's, or one that is there.
    pub fn network_name(&self, reference: &str) -> Option<&Name> {
        let mut items = self
            .items
            .iter()
            .filter(|item| item.noun() == Noun::Network);
        let named = items.find(|item| item.name.as_str() == reference);
        let by_id = || {
            let mut networks = self.now.networks.iter();
            networks.find(|network| {
                network.name.as_str() == reference || network.id.to_string().starts_with(reference)
            })
        };
        named
            .map(|item| &item.name)
            .or_else(|| by_id().map(|network| &network.name))
    }

    /// Who keeps a sandbox that goes has to go first, and be made again.
    fn members_of_what_goes(&mut self) -> Result<(), At> {
        let mut at = 0;
        while let Some((name, because)) = self.going.get(at).cloned() {
            at += 1;
            let Some(sandbox) = self.now.sandbox(&name) else {
                continue;
            };
            let members: Vec<Name> = self.now.members(sandbox).cloned().collect();
            let network = sandbox
                .endpoint
                .as_ref()
                .map(|endpoint| endpoint.network.clone());
            for member in &members {
                let item = self
                    .items
                    .iter()
                    .position(|item| item.name == *member && item.noun() != Noun::Network);
                let pruned = self
                    .removed
                    .iter()
                    .any(|(noun, removed)| *noun != Noun::Network && removed == member);
                match item {
                    Some(item) => {
                        // Alone it goes when its turn comes.
                        self.first[item] |= members.len() > 1 || because != Some(item);
                        if !matches!(self.acts[item], Some(Act::Again(_))) {
                            let why = self.why_it_goes(&name, network.as_ref());
                            self.acts[item] = Some(Act::Again(why));
                        }
                    }
                    None if pruned => {}
                    None => {
                        let why = self.why_it_goes(&name, network.as_ref());
                        return Err((
                            because,
                            Error::new(format!(
                                "{member}, which no line names, cannot stay as it is: {why}"
                            )),
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    fn why_it_goes(&self, sandbox: &Name, network: Option<&Name>) -> String {
        let of_network = |name: &&Name| {
            let again = |(item, act): (&Item, &Option<Act>)| {
                item.noun() == Noun::Network && item.name == **name && act.is_some()
            };
            self.items.iter().zip(&self.acts).any(again)
                || self.removed.contains(&(Noun::Network, (*name).clone()))
        };
        match network.filter(of_network) {
            Some(network)
                if self
                    .network_name(network.as_str())
                    .is_some_and(|name| !self.removed.contains(&(Noun::Network, name.clone()))) =>
            {
                format!("its network {network} differs")
            }
            Some(network) => format!("its network {network} goes"),
            None => format!("sandbox {sandbox} differs"),
        }
    }

    fn steps(self, order: &[usize]) -> Vec<Step> {
        let mut steps: Vec<_> = self
            .removed
            .into_iter()
            .map(|(noun, name)| Step {
                act: Act::Remove,
                noun,
                name,
                item: None,
                first: true,
            })
            .collect();
        let networks = self.items.iter().enumerate();
        let networks = networks.filter(|(_, item)| item.noun() == Noun::Network);
        for at in networks.map(|(at, _)| at).chain(order.iter().copied()) {
            if let (Some(item), Some(Some(act))) = (self.items.get(at), self.acts.get(at)) {
                steps.push(Step {
                    act: act.clone(),
                    noun: item.noun(),
                    name: item.name.clone(),
                    item: Some(at),
                    first: matches!(act, Act::Again(_)) && self.first.get(at) == Some(&true),
                });
            }
        }
        steps
    }
}

/// `image and command differ`.
fn words(differs: &[&str]) -> String {
    match differs {
        [one] => format!("{one} differs"),
        [rest @ .., last] => format!("{} and {last} differ", rest.join(", ")),
        [] => String::new(),
    }
}
