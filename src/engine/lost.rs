//! What has lost its record because somebody has taken the file away: a container, or the sandbox that containers name. It is
//! said by path, and can be removed.
//!
//! What a sandbox had is found again in the leases, which name it, and in the kernel: behind its pin, and around the processes
//! that live in it, are the other ends of its link. A pin of its name may by now be somebody else's: it is the sandbox's
//! if a member lives behind it, or the end of a pair of netcell's is there that has an address leased to it. What runs of a
//! container is known by its monitor, which has files of its directory open, and without one by its /etc/hostname.

use crate::engine::prune::is_port;
use crate::engine::record::{
    ContainerRecord, Endpoint, NetworkRecord, Process, SandboxPort, SandboxRecord, VERSION,
};
use crate::engine::store::Locked;
use crate::engine::view::Subject;
use crate::engine::{Engine, find, process::Handle};
use crate::error::{Error, Result};
use crate::kernel::elements::key_of;
use crate::kernel::netns::pin_path;
use crate::kernel::nft::Element;
use crate::kernel::owner;
use crate::kernel::snapshot::{Link, Snapshot};
use crate::sys::netns::{NetNs, is_pin};
use crate::sys::{file, process, random};
use crate::types::json::Json;
use crate::types::{Cidr, IfName, Name};
use rustix::fs::{readlink, stat};
use rustix::process::Pid;
use std::net::IpAddr;

/// What the kernel has of something that has lost its record; looked at before `lock` is taken.
pub(super) struct Traces {
    host: Snapshot,
    /// The namespaces of the sandbox, each with whether a member lives in it.
    insides: Vec<(bool, Snapshot)>,
    /// The first processes of the container.
    pub processes: Vec<Process>,
}

impl Engine {
    /// The name of the container that a reference means, if it has lost its record; with what was found instead. The caller
    /// holds `lock`.
    pub(super) fn lost_name(
        &self,
        found: Option<&Subject>,
        reference: &str,
    ) -> Result<Option<Name>> {
        let (sandbox, name) = match found {
            Some(Subject::Container(_)) => return Ok(None),
            Some(Subject::Sandbox(sandbox, _)) => (Some(&**sandbox), Some(sandbox.name.clone())),
            None => {
                let by_name = reference.strip_prefix('/').unwrap_or(reference);
                let name = self.store.name_of(reference).or(by_name.parse().ok());
                (None, name)
            }
        };
        match name {
            Some(name) if self.is_lost(sandbox, &name)? => Ok(Some(name)),
            _ => Ok(None),
        }
    }

    /// Whether a container has lost its record: none can be read, but the sandbox of its name has it as a member, or, where
    /// there is none, its directory is there; and nobody is at it.
    pub(super) fn is_lost(&self, sandbox: Option<&SandboxRecord>, name: &Name) -> Result<bool> {
        let (root, home) = (&self.store.root, format!("containers/{name}"));
        let was_there = match sandbox {
            Some(sandbox) => !sandbox.bare && sandbox.members.contains(name),
            None => root.exists(&home)? && !root.exists(&(home + "/record.json"))?,
        };
        Ok(was_there && !self.store.is_under_way(name)?)
    }

    /// The sentence of a container that has lost its record.
    pub(super) fn lost_container(&self, name: &Name) -> Error {
        let runs = self.processes_of(name).is_ok_and(|all| !all.is_empty());
        let also = if runs { ", and still runs" } else { "" };
        self.lost(name, ("its record", "containers", name), also)
    }

    fn lost(&self, container: &Name, (what, kind, name): (&str, &str, &Name), also: &str) -> Error {
        let path = self.store.path(&format!("{kind}/{name}/record.json"));
        Error::new(format_args!(
            "container {container} has lost {what}, {}{also}: `netcell rm -f {container}` removes what is left",
            path.display()
        ))
    }

    /// The sentence of a container whose sandbox has no record, though nobody is at either of them.
    fn lost_sandbox(&self, record: &ContainerRecord) -> Result<Option<Error>> {
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
        let what = ("the record of its sandbox", "sandboxes", sandbox);
        Ok(still.then(|| self.lost(&record.name, what, "")))
    }

    /// Why what a reference means has no sandbox: a record is lost, or nothing is meant.
    pub(super) fn without_sandbox(&self, reference: &str) -> Error {
        let why = match self.look(reference) {
            Ok(Some(Subject::Container(container))) => self.lost_sandbox(&container.record),
            found => found.map(|_| None),
        };
        why.unwrap_or_else(Some)
            .unwrap_or_else(|| find::no_such(reference))
    }

    /// What has lost its record of all that there is: a name that is to be left alone, with its sentence.
    pub(super) fn losses(
        &self,
        locked: Option<&Locked>,
        containers: &[ContainerRecord],
        sandboxes: &[SandboxRecord],
    ) -> Result<Vec<(Name, Error)>> {
        let mut lost = Vec::new();
        for container in containers {
            if let Some(name) = &container.sandbox
                && !sandboxes.iter().any(|sandbox| sandbox.name == *name)
                && let Some(error) = self.lost_sandbox(container)?
            {
                lost.push((name.clone(), error));
            }
        }
        let mut names = self.store.root.names("containers")?;
        names.extend(sandboxes.iter().map(|sandbox| sandbox.name.to_string()));
        names.retain(|name| !containers.iter().any(|c| c.name.as_str() == name));
        names.sort_unstable();
        names.dedup();
        // What is about to come or to go has no record, either.
        let _locked = match locked {
            None if !names.is_empty() => self.store.lock().ok(),
            _ => None,
        };
        for name in names.iter().filter_map(|name| name.parse().ok()) {
            // One that cannot be read is there.
            if let Ok(None) = self.store.read::<ContainerRecord>(&name)
                && let Ok(sandbox) = self.store.read::<SandboxRecord>(&name)
                && self.is_lost(sandbox.as_deref(), &name)?
            {
                let error = self.lost_container(&name);
                lost.push((name, error));
            }
        }
        Ok(lost)
    }

    /// The first processes of a container that has no record.
    pub(super) fn processes_of(&self, container: &Name) -> Result<Vec<Process>> {
        let space = |pid: Pid| readlink(format!("/proc/{}/ns/pid", pid.as_raw_pid()), Vec::new());
        let own = space(rustix::process::getpid()).ok();
        let all = self.store.path("containers/").display().to_string();
        let home = format!("{all}{container}/");
        let hostname = format!("sandboxes/{container}/hostname");
        let hostname = stat(self.store.path(&hostname)).ok();
        if hostname.is_none() && stat(&home).is_err() {
            return Ok(Vec::new());
        }
        let recorded = self.store.read_all::<ContainerRecord>(&mut |_| {})?;
        let mut found = Vec::new();
        let names = file::names("/proc").unwrap_or_default();
        for number in names.iter().filter_map(|name| name.to_str()?.parse().ok()) {
            let Some(pid) = Pid::from_raw(number) else {
                continue;
            };
            let (Ok(start), Ok(Some(parent))) = (process::start_time(pid), process::parent(pid))
            else {
                continue;
            };
            if space(pid).is_ok_and(|its| Some(its) == own) || space(parent).ok() != own {
                continue;
            }
            let holds = |begin: &str| owner::holds(parent.as_raw_pid(), begin.as_bytes());
            let is_own = match holds(&all) {
                true => holds(&home),
                false => {
                    let its = stat(format!("/proc/{number}/root/etc/hostname")).ok();
                    let file = |file: &rustix::fs::Stat| (file.st_dev, file.st_ino);
                    its.is_some() && its.as_ref().map(file) == hostname.as_ref().map(file)
                }
            };
            let process = Process {
                pid: number as u32,
                start,
            };
            let is_anothers = |record: &ContainerRecord| {
                let start = record.start.as_ref();
                start.is_some_and(|start| start.process() == process)
            };
            if is_own && !recorded.iter().any(is_anothers) {
                found.push(process);
            }
        }
        Ok(found)
    }

    /// The namespaces that the members of a sandbox live in.
    fn lived_in(&self, sandbox: &Name) -> Result<Vec<NetNs>> {
        let mut processes = self.processes_of(sandbox)?;
        for container in self.store.read_all::<ContainerRecord>(&mut |_| {})? {
            if container.sandbox.as_ref() == Some(sandbox)
                && let Some(start) = &container.start
                && Handle::open(start.process())?.is_some()
            {
                processes.push(start.process());
            }
        }
        // It may have ended since.
        let namespaces = processes.iter().filter_map(|one| NetNs::of(one.pid).ok());
        Ok(namespaces.collect())
    }

    /// What is in the namespaces of a sandbox without a record, each with whether a member lives in it.
    pub(super) fn insides(&self, sandbox: &Name) -> Result<Vec<(bool, Snapshot)>> {
        let lived_in = self.lived_in(sandbox)?;
        let mut namespaces: Vec<_> = lived_in.iter().map(|its| (true, its)).collect();
        let pin = pin_path(sandbox);
        let pinned = match is_pin(&pin) {
            Some(true) => Some(NetNs::open(&pin)?),
            _ => None,
        };
        namespaces.extend(pinned.iter().map(|its| (false, its)));
        let mut insides = Vec::new();
        for (lived_in, namespace) in namespaces {
            let mut route = self.sockets().route_of(namespace)?;
            insides.push((lived_in, Snapshot::of(&mut route)?));
        }
        Ok(insides)
    }

    /// What the kernel has of a container that has lost its record, or that of its sandbox.
    pub(super) fn traces(&self, container: &Name, sandbox: &Name) -> Result<Traces> {
        Ok(Traces {
            processes: self.processes_of(container)?,
            insides: self.insides(sandbox)?,
            host: Snapshot::of_host_whole(&mut self.sockets())?,
        })
    }

    /// As much of a lost record as the removal of its sandbox needs. The caller holds `lock`.
    ///
    /// # Errors
    /// A container whose record cannot be read: it may be a member, too.
    pub(super) fn find_again(&self, name: &Name, traces: &Traces) -> Result<Box<SandboxRecord>> {
        let mut broken = Ok(());
        let mut containers = self
            .store
            .read_all::<ContainerRecord>(&mut |error| broken = Err(error))?;
        broken?;
        containers.retain(|container| container.sandbox.as_ref() == Some(name));
        let mut sandbox = Box::new(SandboxRecord {
            version: VERSION,
            boot: self.store.boot.clone(),
            name: name.clone(),
            members: containers.into_iter().map(|one| one.name).collect(),
            ..Json::blank()
        });
        let mut leased = self.store.addresses_of(name)?;
        let ports = self.store.ports_of(name)?;
        let ids = leased.iter().map(|(_, _, id)| id);
        if let Some(id) = ids.chain(ports.iter().map(|(_, id)| id)).next() {
            sandbox.id = *id;
        }
        leased.retain(|(_, _, id)| *id == sandbox.id);
        if let Some((network, ..)) = leased.first() {
            let prefix = |addr: &IpAddr| if addr.is_ipv4() { 32 } else { 128 };
            let addresses = leased.iter().map(|(_, addr, _)| Cidr {
                addr: *addr,
                prefix: prefix(addr),
            });
            let addresses: Vec<_> = addresses.collect();
            sandbox.endpoint = Some(self.endpoint_again(network.clone(), addresses, traces)?);
        }
        for (mut mapping, id) in ports {
            if id == sandbox.id {
                let elements = traces.host.elements.as_ref();
                let behind = elements.and_then(|elements| elements.port_behind(&mapping));
                mapping.container_port = behind.unwrap_or_default();
                let member = name.clone();
                sandbox.ports.push(SandboxPort { mapping, member });
            }
        }
        Ok(sandbox)
    }

    fn endpoint_again(
        &self,
        network: Name,
        addresses: Vec<Cidr>,
        traces: &Traces,
    ) -> Result<Endpoint> {
        let host = &traces.host;
        let sandboxes = self.store.read_all::<SandboxRecord>(&mut |_| {})?;
        let is_anothers = |link: &Link| {
            let mut endpoints = sandboxes.iter().filter_map(|s| s.endpoint.as_ref());
            endpoints.any(|endpoint| endpoint.link.as_str() == link.name)
        };
        let mut ends = Vec::new();
        for (lived_in, inside) in &traces.insides {
            let own = inside.links.iter();
            ends.extend(own.filter(|end| *lived_in || has_one_of(inside, end, &addresses)));
        }
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
            addresses,
            unguarded: record.is_some_and(|record| record.unguarded),
            allow_spoof: of_ports.iter().any(|(_, element)| element.name() == free),
            link,
            ifname: IfName::lo(),
            ..Json::blank()
        })
    }

    /// Whether the pin of a sandbox's name is its own, or none is there: of one that was found again it may be somebody else's.
    pub(super) fn has_own_pin(&self, sandbox: &SandboxRecord) -> Result<bool> {
        let pin = pin_path(&sandbox.name);
        // What was made has a time.
        if sandbox.created != 0 || is_pin(&pin) != Some(true) {
            return Ok(true);
        }
        let pinned = NetNs::open(&pin)?;
        let lived_in = self.lived_in(&sandbox.name)?;
        if lived_in.iter().any(|its| its.inode() == pinned.inode()) {
            return Ok(true);
        }
        let inside = Snapshot::of(&mut self.sockets().route_of(&pinned)?)?;
        Ok(inside.links.iter().any(|end| {
            let mut endpoint = sandbox.endpoint.iter();
            endpoint.any(|own| Some(own.mac) == end.mac && has_one_of(&inside, end, &own.addresses))
        }))
    }
}

fn has_one_of(inside: &Snapshot, end: &Link, addresses: &[Cidr]) -> bool {
    let is_one = |addr: IpAddr| addresses.iter().any(|one| one.addr == addr);
    let mut all = inside.addresses.iter();
    all.any(|its| its.link == end.index && is_one(its.address.addr))
}
