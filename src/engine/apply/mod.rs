//! `apply`: makes what runs what a file asks for. First all is decided, and refused where it can be; then it is done.
//!
//! What is as asked is left alone. What differs is made again: a container in its sandbox where the sandbox is as asked,
//! else sandbox and all; ports alone change while it runs. What has to go before something else can be made again (the
//! sandboxes of a network, the members of a sandbox) goes first. A step that fails does not keep the others from being
//! done, except those that need it.

mod ahead;
mod compare;
mod decide;

use crate::engine::find::by_name;
use crate::engine::spec::{ContainerSpec, EndpointSpec, NetworkMode, NetworkSpec, SandboxSpec};
use crate::engine::{Engine, Run};
use crate::error::{Error, Result};
use crate::types::{Name, PortSpec};
use std::fmt;

/// What a line asks for.
#[derive(Debug)]
pub enum Asked {
    /// A network.
    Network(Box<NetworkSpec>),
    /// A sandbox alone.
    Sandbox(Box<SandboxSpec>),
    /// A container; `run` asks for its process, too.
    Container(Box<ContainerSpec>, bool),
}

/// A line.
#[derive(Debug)]
pub struct Item {
    /// What it asks for is to have this name.
    pub name: Name,
    /// What it asks for.
    pub asked: Asked,
}

impl Item {
    fn noun(&self) -> Noun {
        match self.asked {
            Asked::Network(_) => Noun::Network,
            Asked::Sandbox(_) => Noun::Sandbox,
            Asked::Container(..) => Noun::Container,
        }
    }

    /// The network that it is to be on, or whose sandbox it is to join; none for a network.
    fn mode(&self) -> Option<&NetworkMode> {
        match &self.asked {
            Asked::Network(_) => None,
            Asked::Sandbox(spec) => Some(&spec.network),
            Asked::Container(spec, _) => Some(&spec.network),
        }
    }

    fn endpoint(&self) -> Option<&EndpointSpec> {
        match &self.asked {
            Asked::Network(_) => None,
            Asked::Sandbox(spec) => Some(&spec.endpoint),
            Asked::Container(spec, _) => Some(&spec.endpoint),
        }
    }

    fn publish(&self) -> &[PortSpec] {
        match &self.asked {
            Asked::Network(_) => &[],
            Asked::Sandbox(spec) => &spec.publish,
            Asked::Container(spec, _) => &spec.publish,
        }
    }
}

/// An error, and the line that it is about, counted from 0.
pub type At = (Option<usize>, Error);

/// What is to be done to something.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Act {
    Make,
    /// It goes and is made anew, because of this.
    Again(String),
    /// Its ports change.
    Ports,
    Start,
    Remove,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Noun {
    Network,
    Sandbox,
    Container,
}

/// One step of what is to be done; its text says it.
#[derive(Debug)]
pub struct Step {
    act: Act,
    noun: Noun,
    name: Name,
    /// The line that asks for it, counted from 0; none for what no line names.
    pub item: Option<usize>,
    /// It has to go before anything is made.
    first: bool,
}

impl fmt::Display for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Noun::Network => "network",
            Noun::Sandbox => "sandbox",
            Noun::Container => "container",
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (noun, name) = (self.noun, &self.name);
        match &self.act {
            Act::Make => write!(f, "+ {noun} {name}"),
            Act::Again(why) => write!(f, "~ {noun} {name}: {why}"),
            Act::Ports => write!(f, "> {noun} {name}: its ports change"),
            Act::Start => write!(f, "> {noun} {name}: it starts"),
            Act::Remove => write!(f, "- {noun} {name}"),
        }
    }
}

/// Hears of each step when it is done, or why it is not.
pub type Heard<'a> = &'a mut dyn FnMut(&Step, Result<()>) -> Result<()>;

impl Engine {
    /// Holds off other runs of `apply` until what is returned is dropped.
    pub fn alone(&self) -> Result<impl Sized + use<>> {
        self.store.lock_apply()
    }

    /// Carries out what was decided. `heard` is told of each step, in the order in which they end.
    ///
    /// # Errors
    /// Those of `heard`.
    pub fn carry_out(
        &self,
        items: &mut [Item],
        steps: &[Step],
        run: &mut Run,
        heard: Heard,
    ) -> Result<()> {
        let mut failed: Vec<&Step> = Vec::new();
        for step in steps {
            self.keep_address(items, steps, step)?;
        }
        let early = |step: &&Step| step.act == Act::Remove || step.first;
        let (networks, others): (Vec<&Step>, Vec<&Step>) = steps
            .iter()
            .filter(early)
            .partition(|step| step.noun == Noun::Network);
        self.end(&others, run);
        for step in others.into_iter().chain(networks) {
            match self.take_away(step, run) {
                Ok(()) if step.act != Act::Remove => {}
                Ok(()) => heard(step, Ok(()))?,
                Err(error) => {
                    failed.push(step);
                    heard(step, Err(error))?;
                }
            }
        }
        for step in steps {
            let Some(item) = step.item.and_then(|at| items.get(at)) else {
                continue;
            };
            if failed.iter().any(|other| std::ptr::eq(*other, step)) {
                continue;
            }
            let done = match failed.iter().find(|other| needs(item, other)) {
                Some(other) => Err(Error::new(format_args!(
                    "{} {} needs {} {}",
                    step.noun, step.name, other.noun, other.name
                ))),
                None => self.carry_out_one(item, step, run),
            };
            if done.is_err() {
                failed.push(step);
            }
            heard(step, done)?;
        }
        Ok(())
    }

    /// What is made again asks for the addresses that it has now.
    fn keep_address(&self, items: &mut [Item], steps: &[Step], step: &Step) -> Result<()> {
        let item = step.item.and_then(|at| items.get_mut(at));
        let (Act::Again(_), Some(item)) = (&step.act, item) else {
            return Ok(());
        };
        let network_goes = |other: &Step| other.noun == Noun::Network && needs(item, other);
        if steps.iter().any(network_goes) {
            return Ok(());
        }
        let (mode, endpoint) = match &mut item.asked {
            Asked::Network(_) => return Ok(()),
            Asked::Sandbox(spec) => (&spec.network, &mut spec.endpoint),
            Asked::Container(spec, _) => (&spec.network, &mut spec.endpoint),
        };
        *endpoint = self.with_address_of(&item.name, mode, endpoint)?;
        Ok(())
    }

    fn carry_out_one(&self, item: &Item, step: &Step, run: &mut Run) -> Result<()> {
        match &step.act {
            Act::Start => return self.start(&by_name(&item.name), None, run).map(drop),
            Act::Ports => return self.set_ports(&item.name, item.publish(), run),
            Act::Again(_) if !step.first => {
                self.end(&[step], run);
                self.take_away(step, run)?;
            }
            _ => {}
        }
        match &item.asked {
            Asked::Network(spec) => self.network_create(spec, run).map(drop),
            Asked::Sandbox(spec) => self.create_sandbox(spec, run).map(drop),
            Asked::Container(spec, true) => self.run(spec, None, run).map(drop),
            Asked::Container(spec, false) => self.create(spec, run).map(drop),
        }
    }

    /// Asks all their processes to end, and waits as `stop` does.
    fn end(&self, steps: &[&Step], run: &mut Run) {
        let names: Vec<_> = steps.iter().map(|step| by_name(&step.name)).collect();
        // One that has no process, or is gone by now, is as good.
        drop(self.stop(&names, None, &mut |_| {}, run));
    }

    /// Removes what may have gone by itself meanwhile.
    fn take_away(&self, step: &Step, run: &mut Run) -> Result<()> {
        if step.noun == Noun::Network {
            return self.network_remove(step.name.as_str(), run);
        }
        let name = by_name(&step.name);
        match self.remove(&name, true, run) {
            Err(_) if self.look_up(&name)?.is_none() => Ok(()),
            removed => removed,
        }
    }
}

/// Whether a line cannot be carried out without what another step was to make.
fn needs(item: &Item, other: &Step) -> bool {
    other.act != Act::Remove
        && match item.mode() {
            Some(NetworkMode::Network(network)) => {
                other.noun == Noun::Network && network == other.name.as_str()
            }
            Some(NetworkMode::Container(owner)) => {
                other.noun != Noun::Network && owner == other.name.as_str()
            }
            _ => false,
        }
}
