//! What has lost its record because somebody has taken the file away: a container, or the sandbox that containers name. It is
//! said by path, and can be removed.
//!
//! What a sandbox had is found again in the leases, which name it, and in the kernel: behind its pin, and around the processes
//! that live in it, are the other ends of its link. A pin of its name may by now be somebody else's: it is the sandbox's
//! if a member lives behind it, or the end of a pair of netcell's is there that has an address leased to it. What runs of a
//! container is known by its monitor, which has files of its directory open, and without one by its /etc/hostname.

use crate::engine::prune::is_stray_port;
use crate::engine::record::{
    ContainerRecord, Endpoint, NetworkRecord, Process, SandboxPort, SandboxRecord, VERSION,
};
use crate::engine::store::Locked;
use crate::engine::view::Subject;
use crate::engine::{Engine, find, process::Handle};
use crate::error::{Errno, Error, Result};
use crate::kernel::elements::key_of;
use crate::kernel::netns::pin_path;
use crate::kernel::nft::Element;
use crate::kernel::owner;
use crate::kernel::snapshot::{Link, Snapshot};
use crate::sys::netns::{NetNs, is_pin};
use crate::sys::path::{self, Links};
use crate::sys::{file, process, random};
use crate::types::json::Json;
use crate::types::{Cidr, IfName, Name};
use rustix::fd::OwnedFd;
use rustix::fs::{OFlags, fstat};
use rustix::process::Pid;
use std::net::IpAddr;

/// What leases and kernel have of something that has lost its record; looked at before `lock` is taken.
pub(super) struct Traces {
    /// As much of the sandbox's record as its removal needs.
    pub sandbox: Box<SandboxRecord>,
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
                let name = match self.store.names_of_prefix(reference)?.as_slice() {
                    [name] => Some(name.clone()),
                    _ => by_name.parse().ok(),
                };
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
        let has = |name: &str| {
            let found = containers.binary_search_by(|one| one.name.as_str().cmp(name));
            found.is_ok()
        };
        let mut names = self.store.root.names("containers")?;
        names.retain(|name| !has(name));
        for sandbox in sandboxes.iter().filter(|sandbox| !sandbox.bare) {
            let name = sandbox.name.as_str();
            if !has(name) && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
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
        // As the kernel says it of what is open: without links on the way.
        let Ok(all) = file::resolved(&self.store.path("containers")) else {
            return Ok(Vec::new());
        };
        let all = format!("{}/", all.display());
        let home = format!("{all}{container}/");
        let hostname = format!("sandboxes/{}/hostname", self.sandbox_of_lost(container)?);
        let hostname = identity(path::place(self.store.path(&hostname)));
        if hostname.is_none() && !file::exists(home.as_ref()) {
            return Ok(Vec::new());
        }
        let recorded = self.store.read_all::<ContainerRecord>(&mut |_| {})?;
        let mut found = Vec::new();
        let names = file::names("/proc").unwrap_or_default();
        for number in names.iter().filter_map(|name| name.to_str()?.parse().ok()) {
            let Some(pid) = Pid::from_raw(number) else {
                continue;
            };
            let (Ok(start), Ok(Some(parent)), true) = (
                process::start_time(pid),
                process::parent(pid),
                process::is_first_within(pid),
            ) else {
                continue;
            };
            let holds = |begin: &str| owner::holds(parent.as_raw_pid(), begin.as_bytes());
            let is_own = match holds(&all) {
                true => holds(&home),
                false => {
                    // Whoever is in there may have planted a link.
                    let root = path::directory(format!("/proc/{number}/root"));
                    let its = root.and_then(|root| {
                        path::beneath(root, "etc/hostname", OFlags::PATH, Links::Follow)
                    });
                    hostname.is_some() && identity(its) == hostname
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

    /// What is in the namespaces of a sandbox without a record: in those that members live in, and behind the pin of its name.
    /// And whether that pin is its own, or none is there: the end there of a pair of netcell's, with one of these addresses,
    /// says so.
    pub(super) fn insides(
        &self,
        sandbox: &Name,
        addresses: &[Cidr],
    ) -> Result<(bool, Vec<Snapshot>)> {
        let mut processes = self.processes_of(sandbox)?;
        for container in &self.store.read_all::<ContainerRecord>(&mut |_| {})? {
            if container.sandbox.as_ref() == Some(sandbox)
                && let Some(start) = &container.start
                && Handle::open(start.process())?.is_some()
            {
                processes.push(start.process());
            }
        }
        // It may have ended since.
        let spaces = processes.iter().filter_map(|one| NetNs::of(one.pid).ok());
        let mut spaces: Vec<_> = spaces.filter(|its| its.inode() != self.host).collect();
        let (path, mut own) = (pin_path(sandbox), true);
        if is_pin(&path) == Some(true) {
            let pinned = NetNs::open(&path)?;
            own = spaces.iter().any(|its| its.inode() == pinned.inode());
            spaces.push(pinned);
        }
        let mut insides = Vec::new();
        for space in &spaces {
            let mut route = self.sockets().route_of(space)?;
            insides.push(Snapshot::of(&mut route)?);
        }
        // The pin's is the last.
        if let (false, Some(inside)) = (own, insides.last()) {
            own = self.has_one_of(inside, addresses)?;
        }
        Ok((own, insides))
    }

    /// Whether the end of a pair of netcell's that no record has is in here with one of these addresses.
    fn has_one_of(&self, inside: &Snapshot, addresses: &[Cidr]) -> Result<bool> {
        let sandboxes = self.store.read_all::<SandboxRecord>(&mut |_| {})?;
        let host = Snapshot::of_host(&mut self.sockets())?;
        let is_end = |index: u32| {
            let mut ends = inside.links.iter().filter(|end| end.index == index);
            ends.any(|end| pair_of(&host, end, &sandboxes).is_some())
        };
        let has = |addr: &IpAddr| addresses.iter().any(|one| one.addr == *addr);
        let mut all = inside.addresses.iter();
        Ok(all.any(|its| has(&its.address.addr) && is_end(its.link)))
    }

    /// Whether the pin of a sandbox's name is its own, or none is there: of one that was found again it may be somebody else's.
    pub(super) fn has_own_pin(&self, sandbox: &SandboxRecord) -> Result<bool> {
        // What was made has a time.
        Ok(sandbox.created != 0 || self.insides(&sandbox.name, sandbox.addresses())?.0)
    }

    /// What leases and kernel have of a container that has lost its record, or that of its sandbox.
    ///
    /// # Errors
    /// A container whose record cannot be read: it may be a member, too.
    // Rarely needed, and larger where it is inlined.
    #[inline(never)]
    pub(super) fn traces(&self, container: &Name, name: &Name) -> Result<Traces> {
        let mut broken = Ok(());
        let containers = self
            .store
            .read_all::<ContainerRecord>(&mut |error| broken = Err(error))?;
        broken?;
        let members = containers
            .iter()
            .filter(|one| one.sandbox.as_ref() == Some(name));
        let mut sandbox = Box::new(SandboxRecord {
            version: VERSION,
            boot: self.store.boot.clone(),
            name: name.clone(),
            members: members.map(|one| one.name.clone()).collect(),
            ..Json::blank()
        });
        let host = Snapshot::of_host_whole(&mut self.sockets())?;
        let mut leased = self.store.addresses_of(name)?;
        let ports = self.store.ports_of(name)?;
        let first = leased.first().map(|(_, _, id)| *id);
        if let Some(id) = first.or(ports.first().map(|(_, id)| *id)) {
            sandbox.id = id;
        }
        leased.retain(|(_, _, id)| *id == sandbox.id);
        if let Some((network, ..)) = leased.first() {
            // What its subnet is nobody asks who removes it.
            let addresses = leased.iter().map(|(_, addr, _)| Cidr {
                addr: *addr,
                prefix: 0,
            });
            let addresses = addresses.collect();
            sandbox.endpoint = Some(self.endpoint_again(name, network, addresses, &host)?);
        }
        for (mut mapping, id) in ports {
            if id == sandbox.id {
                let elements = host.elements.as_ref();
                let behind = elements.and_then(|elements| elements.port_behind(&mapping));
                mapping.container_port = behind.unwrap_or_default();
                let member = name.clone();
                sandbox.ports.push(SandboxPort { mapping, member });
            }
        }
        let processes = self.processes_of(container)?;
        Ok(Traces { sandbox, processes })
    }

    fn endpoint_again(
        &self,
        sandbox: &Name,
        network: &Name,
        addresses: Vec<Cidr>,
        host: &Snapshot,
    ) -> Result<Endpoint> {
        let sandboxes = self.store.read_all::<SandboxRecord>(&mut |_| {})?;
        let (own, mut insides) = self.insides(sandbox, &addresses)?;
        if !own {
            insides.pop();
        }
        let mut ends = insides.iter().flat_map(|inside| &inside.links);
        let pair = ends.find_map(|end| {
            let link = pair_of(host, end, &sandboxes)?;
            Some((link.name.parse().ok()?, end.mac?))
        });
        // Where nobody holds its namespace the kernel has taken its link away.
        let (link, mac) = match pair {
            Some(pair) => pair,
            None => (random::link()?, Json::blank()),
        };
        let record = self.store.read::<NetworkRecord>(network)?;
        let free = key_of(&Element::Free(link.clone()));
        let elements = host.elements.as_ref();
        let of_ports = elements.map_or(Vec::new(), |elements| elements.of_ports());
        Ok(Endpoint {
            network_id: record.as_ref().map_or(Json::blank(), |record| record.id),
            network: network.clone(),
            mac,
            addresses,
            unguarded: record.is_some_and(|record| record.unguarded),
            allow_spoof: of_ports.iter().any(|(_, element)| element.name() == free),
            link,
            ifname: IfName::lo(),
            ..Json::blank()
        })
    }
}

/// What tells a file from all others.
fn identity(file: Result<OwnedFd, Errno>) -> Option<(u64, u64)> {
    let found = fstat(file.ok()?).ok()?;
    Some((found.st_dev, found.st_ino))
}

/// The host's end of the pair whose other end this is, if netcell made it and it is of none of these sandboxes.
fn pair_of<'h>(host: &'h Snapshot, end: &Link, sandboxes: &[SandboxRecord]) -> Option<&'h Link> {
    let mut links = host.links.iter();
    links.find(|link| {
        end.peer == Some(link.index)
            && link.peer == Some(end.index)
            && is_stray_port(link, sandboxes)
    })
}
