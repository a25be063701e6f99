//! A foreground `run --rm` under an init that respawns it: the next start clears away what one that died left behind.
//!
//! Such a container is there for its command alone: who stays with it, and removes it at its end. Killed by SIGKILL, the
//! command leaves it running; so does its monitor, which would have removed it, and its name would be taken for good. A
//! command that lives is no such case, nor one that has left its container on purpose.

use crate::engine::process::Handle;
use crate::engine::record::{ContainerRecord, Process, SandboxRecord};
use crate::engine::spec::{ContainerSpec, EndpointSpec, NetworkMode, Stay};
use crate::engine::{Engine, Run};
use crate::error::Result;
use crate::sys::process;
use crate::types::Name;
use std::net::IpAddr;

/// This process, as a record names it.
pub(super) fn this() -> Option<Process> {
    let pid = rustix::process::getpid();
    Some(Process {
        pid: std::process::id(),
        start: process::start_time(pid).ok()?,
    })
}

impl Engine {
    /// Removes a container of the name that is asked for, if the command that stayed with it has died: then how what is
    /// made in its place is to be attached, with its addresses.
    pub(super) fn clear_respawned(
        &self,
        spec: &ContainerSpec,
        stay: Option<&Stay>,
        run: &mut Run,
    ) -> Result<Option<EndpointSpec>> {
        let asked = spec.name.as_ref();
        let Some(name) = asked.filter(|_| spec.auto_remove && stay.is_some() && !run.dry_run)
        else {
            return Ok(None);
        };
        let Some(record) = self.store.read::<ContainerRecord>(name)? else {
            return Ok(None);
        };
        let stayed = record.start.as_ref().and_then(|start| start.foreground);
        let Some(stayed) = stayed.filter(|_| record.auto_remove) else {
            return Ok(None);
        };
        if Handle::open(stayed)?.is_some() {
            return Ok(None);
        }
        let endpoint = self.with_address_of(name, &spec.network, &spec.endpoint)?;
        run.say.note(&format_args!(
            "the command that stayed with container {name} has died: the container is removed, and made again"
        ));
        match self.remove_exactly(name, &record.id, true, run) {
            // Its monitor, or another start, was quicker.
            Err(_) if self.look_up(&record.id.to_string())?.is_none() => {}
            removed => removed?,
        }
        Ok(Some(endpoint))
    }

    /// What is asked of an attachment, with the addresses of the sandbox that has the name now, where others are not
    /// asked for and the network is the same: what is made again at once would get another one, because the link of
    /// the one that goes still holds its own for a moment.
    pub(super) fn with_address_of(
        &self,
        name: &Name,
        mode: &NetworkMode,
        asked: &EndpointSpec,
    ) -> Result<EndpointSpec> {
        let mut asked = asked.clone();
        let NetworkMode::Network(reference) = mode else {
            return Ok(asked);
        };
        let now = self.store.read::<SandboxRecord>(name)?;
        let network = self.network_record(reference)?;
        let endpoint = now.as_ref().and_then(|now| now.endpoint.as_ref());
        if let (Some(endpoint), Some(network)) = (endpoint, &network)
            && endpoint.network == network.name
        {
            for address in &endpoint.addresses {
                match address.addr {
                    IpAddr::V4(address) => asked.ip = asked.ip.or(Some(address)),
                    IpAddr::V6(address) => asked.ip6 = asked.ip6.or(Some(address)),
                }
            }
        }
        Ok(asked)
    }

    /// Takes note that the command which stayed with a container has left it on purpose.
    pub(super) fn note_left(&self, left: &ContainerRecord) -> Result<()> {
        let locked = self.store.lock()?;
        match self.store.read::<ContainerRecord>(&left.name)? {
            Some(mut record) if record.id == left.id => {
                if let Some(start) = &mut record.start {
                    start.foreground = None;
                }
                self.store.write_container(&locked, &record)
            }
            // It has ended meanwhile, and is gone.
            _ => Ok(()),
        }
    }
}
