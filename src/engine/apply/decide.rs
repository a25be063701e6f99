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
    fn members<'a>(&'a self, sandbox: &'a SandboxRecord) -> Vec<&'a Name> {
        let mut members = Vec::new();
        for Container { record, .. } in &self.containers {
            if record.sandbox.as_ref() == Some(&sandbox.name) {
                members.push(&record.name);
            }
        }
        if sandbox.bare && self.container(&sandbox.name).is_none() {
            members.push(&sandbox.name);
        }
        members
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
    /// Sandboxes that go.
    going: Vec<Going>,
}

/// A sandbox that goes.
struct Going {
    sandbox: Name,
    /// The line because of which; none where something is removed.
    because: Option<usize>,
    /// That, in words for its members.
    why: String,
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
        // What a run that was killed has just begun, its monitor may still hold: it goes before anything is looked at.
        for item in items {
            if self.store.is_under_way(&item.name).map_err(nowhere)? {
                self.wait_for(&item.name, run).map_err(nowhere)?;
            }
        }
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
        let mut containers = Vec::new();
        for subject in self.containers(run)? {
            if let Subject::Container(container) = subject {
                containers.push(*container);
            }
        }
        Ok(Now {
            networks,
            sandboxes,
            containers,
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
        let mut removed = Vec::new();
        for Container { record, .. } in &self.now.containers {
            if ours(&record.applied) && !named(false, &record.name) {
                removed.push((Noun::Container, record.name.clone()));
            }
        }
        for sandbox in &self.now.sandboxes {
            if sandbox.bare && ours(&sandbox.applied) && !named(false, &sandbox.name) {
                removed.push((Noun::Sandbox, sandbox.name.clone()));
            }
        }
        for network in &self.now.networks {
            if ours(&network.applied) && !named(true, &network.name) {
                removed.push((Noun::Network, network.name.clone()));
            }
        }
        self.removed = removed;
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
        for (noun, name) in &self.removed {
            if *noun == Noun::Network {
                gone.push((name.clone(), None));
            }
        }
        for (network, because) in gone {
            let what = if because.is_some() { "differs" } else { "goes" };
            for sandbox in &self.now.sandboxes {
                let endpoint = sandbox.endpoint.as_ref();
                if endpoint.is_some_and(|endpoint| endpoint.network == network) {
                    self.going.push(Going {
                        sandbox: sandbox.name.clone(),
                        because,
                        why: format!("its network {network} {what}"),
                    });
                }
            }
        }
    }

    fn goes(&self, sandbox: &Name) -> bool {
        self.going.iter().any(|going| going.sandbox == *sandbox)
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
                self.going.push(Going {
                    sandbox: item.name.clone(),
                    because: Some(at),
                    why: format!("sandbox {} differs", item.name),
                });
            }
        }
        let act = match &item.asked {
            Asked::Container(spec, start) => {
                let image = image::find(&self.engine.places.images, &spec.image)
                    .map_err(|error| error.of("image"))?;
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
        for going in &self.going {
            let Some(sandbox) = self.now.sandbox(&going.sandbox) else {
                continue;
            };
            let members = self.now.members(sandbox);
            for member in &members {
                let mut items = self.items.iter();
                let item =
                    items.position(|item| item.name == **member && item.noun() != Noun::Network);
                let Some(item) = item else {
                    let mut removed = self.removed.iter();
                    if removed.any(|(noun, name)| *noun != Noun::Network && name == *member) {
                        continue;
                    }
                    let why = &going.why;
                    return Err((
                        going.because,
                        Error::new(format_args!(
                            "{member}, which no line names, cannot stay as it is: {why}"
                        )),
                    ));
                };
                // Alone it goes when its turn comes.
                self.first[item] |= members.len() > 1 || going.because != Some(item);
                if !matches!(self.acts[item], Some(Act::Again(_))) {
                    self.acts[item] = Some(Act::Again(going.why.clone()));
                }
            }
        }
        Ok(())
    }

    fn steps(self, order: &[usize]) -> Vec<Step> {
        let mut steps = Vec::new();
        for (noun, name) in self.removed {
            steps.push(Step {
                act: Act::Remove,
                noun,
                name,
                item: None,
                first: true,
            });
        }
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
