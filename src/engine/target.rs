//! Which sandbox a new object is to have, and what that is called by now.

use crate::engine::record::SandboxRecord;
use crate::engine::spec::NetworkMode;
use crate::engine::view::Subject;
use crate::engine::{Engine, find};
use crate::error::{Error, Result};
use crate::types::{Id, Name};

/// Which sandbox a new object is to have.
pub(super) enum Target {
    /// The host's own network.
    Host,
    /// Its own, on this network.
    Own(Option<String>),
    /// Another's.
    Of(Joined),
}

/// Whose sandbox is joined, as it was found: until it is, it or the sandbox may get another name, and another theirs.
pub(super) struct Joined {
    /// As it was asked for.
    pub reference: String,
    /// The container that was meant, or the sandbox.
    pub member: Id,
    /// The name of the sandbox, which had this id if it could be seen.
    pub name: Name,
    pub sandbox: Option<Id>,
}

impl Target {
    /// The one of a sandbox alone, which is a network namespace of its own.
    pub(super) fn alone(mode: &NetworkMode) -> Result<Self> {
        let of_another = |mode: &str| {
            Err(Error::new(format_args!(
                "conflicting options: a sandbox alone is a network namespace, and --network {mode} asks for another's"
            )))
        };
        match mode {
            NetworkMode::None => Ok(Target::Own(None)),
            NetworkMode::Network(network) => Ok(Target::Own(Some(network.clone()))),
            NetworkMode::Host => of_another("host"),
            NetworkMode::Container(reference) => of_another(&format!("container:{reference}")),
        }
    }
}

impl Engine {
    /// Which sandbox is asked for, and how HostConfig.NetworkMode says it.
    pub(super) fn target(&self, mode: &NetworkMode) -> Result<(Target, String)> {
        Ok(match mode {
            NetworkMode::Host => (Target::Host, "host".into()),
            NetworkMode::None => (Target::Own(None), "none".into()),
            NetworkMode::Network(network) => (Target::Own(Some(network.clone())), network.clone()),
            NetworkMode::Container(reference) => {
                let (member, sandbox) = match &self.find(reference)? {
                    Subject::Container(container) => {
                        let id = container.sandbox.as_ref().map(|sandbox| sandbox.id);
                        let name = container.record.sandbox.clone();
                        (container.record.id, name.map(|name| (name, id)))
                    }
                    Subject::Sandbox(sandbox, _) => {
                        let name = sandbox.name.clone();
                        (sandbox.id, Some((name, Some(sandbox.id))))
                    }
                };
                let target = sandbox.map_or(Target::Host, |(name, sandbox)| {
                    Target::Of(Joined {
                        reference: reference.clone(),
                        member,
                        name,
                        sandbox,
                    })
                });
                (target, format!("container:{member}"))
            }
        })
    }

    /// The name that a sandbox which is to be joined has by now. The caller holds `lock`.
    pub(super) fn name_now(&self, joined: &Joined) -> Result<Name> {
        let now = self.store.read::<SandboxRecord>(&joined.name)?;
        if now.is_some_and(|now| Some(now.id) == joined.sandbox) {
            return Ok(joined.name.clone());
        }
        let gone = || find::no_such(&joined.reference);
        match &self.look(&joined.member.to_string())? {
            Some(Subject::Container(container)) => {
                container.record.sandbox.clone().ok_or_else(gone)
            }
            Some(Subject::Sandbox(sandbox, _)) => Ok(sandbox.name.clone()),
            None => Err(gone()),
        }
    }
}
