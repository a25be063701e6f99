//! A container's record from what was asked for: its sandbox, its host name, its environment.

use crate::engine::make::Made;
use crate::engine::record::{ContainerRecord, SandboxRecord, VERSION};
use crate::engine::reserve::Wanted;
use crate::engine::spec::{ContainerSpec, EndpointSpec};
use crate::engine::target::Target;
use crate::engine::{Engine, Run, image};
use crate::error::{Error, Result};
use crate::sys::{random, time};
use crate::types::Id;

/// The host name of the UTS namespace holds this many bytes (uname(2), __NEW_UTS_LEN).
const HOSTNAME_MAX: usize = 64;

impl Engine {
    /// Makes all that a container is but its commit, attached to its network as `endpoint` says: none in a dry run, which only says the plan.
    pub(super) fn make_container(
        &self,
        spec: &ContainerSpec,
        endpoint: &EndpointSpec,
        run: &mut Run,
    ) -> Result<(Option<Made>, ContainerRecord)> {
        let image = image::find(&self.places.images, &spec.image)?;
        let id = random::id()?;
        let name = self.name_for(spec.name.as_ref())?;
        let (target, network_mode) = self.target(&spec.network)?;
        let hostname = self.hostname(spec, &id, &target)?;
        let wanted = Wanted {
            name: name.clone(),
            container: Some(id),
            hostname: hostname.clone(),
            names: &spec.names,
            publish: &spec.publish,
            endpoint,
            applied: None,
        };
        let made = self.make(&wanted, &target, run)?;
        let made_in = made.as_ref().and_then(|made| made.change.sandbox());
        let publish = made_in.map(|sandbox| sandbox.ports_of(&name));
        let sandbox = match (&target, made_in) {
            (Target::Host, _) => None,
            (_, Some(sandbox)) => Some(sandbox.name.clone()),
            (Target::Of(joined), None) => Some(joined.name.clone()),
            (Target::Own(_), None) => Some(name.clone()),
        };
        let record = ContainerRecord {
            version: VERSION,
            boot: self.store.boot.clone(),
            generation: 1,
            id,
            name,
            sandbox,
            network_mode,
            publish: publish.unwrap_or_default(),
            image,
            command: spec.command.clone(),
            env: environment(&spec.env, &hostname),
            workdir: spec.workdir.clone(),
            user: spec.user.clone(),
            hostname,
            created: time::now(),
            auto_remove: spec.auto_remove,
            interactive: spec.interactive,
            terminal: spec.terminal,
            log_max: spec.log_max,
            labels: spec.labels.clone(),
            settings: spec.settings.clone(),
            applied: spec.applied.clone(),
            again: None,
            start: None,
            failure: None,
        };
        Ok((made, record))
    }

    fn hostname(&self, spec: &ContainerSpec, id: &Id, target: &Target) -> Result<String> {
        let hostname = match (&spec.hostname, target) {
            (Some(hostname), _) => hostname.clone(),
            (None, Target::Own(_)) => id.short(),
            // A member has its sandbox's host name: they share the file that says it.
            (None, Target::Of(joined)) => match self.store.read::<SandboxRecord>(&joined.name)? {
                Some(sandbox) => sandbox.hostname,
                None => id.short(),
            },
            (None, Target::Host) => rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
        };
        check_hostname(&hostname)?;
        Ok(hostname)
    }
}

pub(super) fn check_hostname(hostname: &str) -> Result<()> {
    let length = hostname.len();
    let fits = (1..=HOSTNAME_MAX).contains(&length);
    if fits
        && hostname
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        && !hostname.starts_with('-')
    {
        return Ok(());
    }
    Err(Error::new(format_args!(
        "invalid hostname ({hostname}): 1 to {HOSTNAME_MAX} letters, digits, '-', '.' and '_' are allowed"
    )))
}

/// Docker's environment: PATH and HOSTNAME, then what was asked for; the later of two values of one name holds.
pub(super) fn environment(asked: &[String], hostname: &str) -> Vec<String> {
    let mut env = vec![
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        format!("HOSTNAME={hostname}"),
    ];
    for entry in asked {
        let key = entry.split('=').next().unwrap_or_default();
        env.retain(|old| old.split('=').next() != Some(key));
        env.push(entry.clone());
    }
    env
}
