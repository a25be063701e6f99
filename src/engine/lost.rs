//! A sandbox whose record somebody has taken away while containers name it: it is said by path, and can be removed.
//!
//! What it had is found again in the leases, which name it, and in the kernel: behind its pin, and around the processes that
//! live in it, are the other ends of its link.

use crate::engine::prune::is_port;
use crate::engine::record::{
    ContainerRecord, Endpoint, NetworkRecord, SandboxPort, SandboxRecord, VERSION,
};
use crate::engine::{Engine, process::Handle};
use crate::error::{Error, Result};
use crate::kernel::elements::key_of;
use crate::kernel::netns::pin_path;
use crate::kernel::nft::Element;
use crate::kernel::snapshot::{Link, Snapshot};
use crate::sys::netns::{NetNs, is_pin};
use crate::sys::random;
use crate::types::json::Json;
use crate::types::{Cidr, IfName, Name};
use std::net::IpAddr;

impl Engine {
    /// The sentence of a container whose sandbox has no record, though nobody is at either of them.
    pub(super) fn lost_sandbox(&self, record: &ContainerRecord) -> Result<Option<Error>> {
        let Some(sandbox) = &record.sandbox else {
            return Ok(None);
        };
        // One that cannot be read is there.
        let gone = matches!(self.store.read::<SandboxRecord>(sandbox), Ok(None));
        if !gone || self.store.busy_of(&[&record.name, sandbox])?.is_some() {
            return Ok(None);
        }
        // Removed or renamed since its record was read it says something else by now.
        let now = self.store.read::<ContainerRecord>(&record.name)?;
        let still = now.is_some_and(|now| now.id == record.id && now.sandbox == record.sandbox);
        let path = self.store.path(&format!("sandboxes/{sandbox}/record.json"));
        Ok(still.then(|| {
            Error::new(format_args!(
                "container {} has lost the record of its sandbox, {}: `netcell rm -f {0}` removes what is left",
                record.name,
                path.display()
            ))
        }))
    }

    /// The ends of pairs in the namespace of a sandbox: behind its pin, and around its processes.
    pub(super) fn ends_inside(
        &self,
        sandbox: &Name,
        containers: &[ContainerRecord],
    ) -> Result<Vec<Link>> {
        let pin = pin_path(sandbox);
        let mut namespaces = Vec::new();
        if is_pin(&pin) == Some(true) {
            namespaces.push(NetNs::open(&pin)?);
        }
        for container in containers {
            if container.sandbox.as_ref() == Some(sandbox)
                && let Some(start) = &container.start
                && Handle::open(start.process())?.is_some()
            {
                // It may have ended since.
                namespaces.extend(NetNs::of(start.pid));
            }
        }
        let mut ends = Vec::new();
        for namespace in &namespaces {
            let mut route = self.sockets().route_of(namespace)?;
            ends.extend(Snapshot::of(&mut route)?.links);
        }
        ends.retain(|link| link.peer.is_some());
        Ok(ends)
    }

    /// As much of a lost record as the removal of its sandbox needs. The caller holds `lock`.
    ///
    /// # Errors
    /// A container whose record cannot be read: it may be a member, too.
    pub(super) fn find_again(&self, name: &Name) -> Result<Box<SandboxRecord>> {
        let mut broken = Ok(());
        let mut containers = self
            .store
            .read_all::<ContainerRecord>(&mut |error| broken = Err(error))?;
        broken?;
        containers.retain(|container| container.sandbox.as_ref() == Some(name));
        let host = Snapshot::of_host_whole(&mut self.sockets())?;
        let mut sandbox = Box::new(SandboxRecord {
            version: VERSION,
            boot: self.store.boot.clone(),
            name: name.clone(),
            ..Json::blank()
        });
        let mut leased = self.store.addresses_of(name)?;
        if let Some((network, _, id)) = leased.first() {
            let (network, id) = (network.clone(), *id);
            leased.retain(|(_, _, owner)| *owner == id);
            sandbox.id = id;
            let ends = self.ends_inside(name, &containers)?;
            let mut endpoint = self.endpoint_again(network, &ends, &host)?;
            let prefix = |addr: &IpAddr| if addr.is_ipv4() { 32 } else { 128 };
            let addresses = leased.iter().map(|(_, addr, _)| Cidr {
                addr: *addr,
                prefix: prefix(addr),
            });
            endpoint.addresses = addresses.collect();
            sandbox.endpoint = Some(endpoint);
        }
        for (mut mapping, id) in self.store.ports_of(name)? {
            if id == sandbox.id {
                let elements = host.elements.as_ref();
                let behind = elements.and_then(|elements| elements.port_behind(&mapping));
                mapping.container_port = behind.unwrap_or_default();
                sandbox.ports.push(SandboxPort {
                    mapping,
                    member: name.clone(),
                });
            }
        }
        sandbox.members = containers.into_iter().map(|one| one.name).collect();
        Ok(sandbox)
    }

    fn endpoint_again(&self, network: Name, ends: &[Link], host: &Snapshot) -> Result<Endpoint> {
        let sandboxes = self.store.read_all::<SandboxRecord>(&mut |_| {})?;
        let is_anothers = |link: &Link| {
            let mut endpoints = sandboxes.iter().filter_map(|s| s.endpoint.as_ref());
            endpoints.any(|endpoint| endpoint.link.as_str() == link.name)
        };
        let mut pairs = ends.iter().filter_map(|end| {
            let mut links = host.links.iter().filter(|link| is_port(link));
            let link = links.find(|link| {
                end.peer == Some(link.index) && link.peer == Some(end.index) && !is_anothers(link)
            });
            Some((link?.name.parse::<IfName>().ok()?, end.mac?))
        });
        // Where nobody holds its namespace the kernel has taken its link away.
        let (link, mac) = match pairs.next() {
            Some(pair) => pair,
            None => (random::link()?, Json::blank()),
        };
        let record = self.store.read::<NetworkRecord>(&network)?;
        let free = key_of(&Element::Free(link.clone()));
        let elements = host.elements.as_ref();
        let of_ports = elements.map_or(Vec::new(), |elements| elements.of_ports());
        Ok(Endpoint {
            network_id: record.as_ref().map_or(Json::blank(), |record| record.id),
            network,
            mac,
            unguarded: record.is_some_and(|record| record.unguarded),
            allow_spoof: of_ports.iter().any(|(_, element)| element.name() == free),
            link,
            ifname: IfName::lo(),
            ..Json::blank()
        })
    }
}
