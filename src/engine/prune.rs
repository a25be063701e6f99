//! `prune`: what netcell made and nobody has a record of any more, neither committed nor under way, is taken away.
//!
//! The kernel is looked at first, the records after it and under `lock`: what was made before the first look stands in a
//! record or an intent by the second, or is nobody's. A port that a record had before the first look is left to whoever takes
//! it out of both, for it may be published again by then. A link is netcell's when its group, its kind and the MAC that follows from
//! its name say so, a bridge when its MAC follows from an address of its own, an element when it names such a link, or leads
//! into a network that is known. What is behind a pin that no record names is somebody's, be it of another state
//! directory; what cannot be read may be anybody's. Neither is touched.

use crate::engine::plan::Plan;
use crate::engine::record::{ContainerRecord, NetworkRecord, SandboxRecord};
use crate::engine::store::{Intent, Lease, Locked};
use crate::engine::{Engine, Run};
use crate::error::{Error, Result};
use crate::kernel::elements::key_of;
use crate::kernel::nft::Element;
use crate::kernel::snapshot::{Link, Snapshot};
use crate::kernel::{Op, link, netns};
use crate::sys::file;
use crate::types::{Id, IfName, Mac, Name};
use std::net::IpAddr;

/// All that a record or an intent speaks for.
#[derive(Default)]
struct Known {
    networks: Vec<NetworkRecord>,
    containers: Vec<ContainerRecord>,
    /// Those of the records and those of the intents.
    sandboxes: Vec<SandboxRecord>,
    /// The names of what is under way.
    busy: Vec<Name>,
    /// Containers that have lost their record, and sandboxes that have while containers name them.
    lost: Vec<Name>,
}

impl Known {
    fn has_link(&self, name: &IfName) -> bool {
        has_link(&self.sandboxes, name)
    }

    fn has_bridge(&self, name: &IfName) -> bool {
        self.networks.iter().any(|network| network.link == *name)
    }

    fn has_subnet_of(&self, address: IpAddr) -> bool {
        let mut networks = self.networks.iter();
        networks.any(|network| {
            network
                .subnets
                .iter()
                .any(|part| part.subnet.contains(address))
        })
    }

    fn has_sandbox(&self, id: &Id) -> bool {
        self.sandboxes.iter().any(|sandbox| sandbox.id == *id)
    }

    /// Whether a name is spoken for by something else than a record of its own.
    fn is_busy(&self, name: &Name) -> bool {
        self.busy.contains(name) || self.lost.contains(name)
    }

    fn has_lease(&self, lease: &Lease) -> bool {
        match lease {
            Lease::Held { id, sandbox } => self.has_sandbox(id) || self.is_busy(sandbox),
            Lease::Tombstone { link, .. } => link::exists(link),
        }
    }

    /// Whether another command is at a sandbox: its ports may be about to change.
    fn is_at(&self, sandbox: &SandboxRecord) -> bool {
        self.is_busy(&sandbox.name) || sandbox.members.iter().any(|name| self.is_busy(name))
    }
}

impl Engine {
    /// Takes away what is nobody's: what it was, a line each.
    ///
    /// # Errors
    /// A record or an intent that cannot be read: what it speaks for cannot be told from what is nobody's.
    pub fn prune(&self, run: &mut Run) -> Result<Vec<String>> {
        let before = self.store.read_all::<SandboxRecord>(&mut |_| {})?;
        let host = Snapshot::of_host_whole(&mut self.sockets())?;
        let mut links = host.links.iter();
        let pinned = match links.any(|link| is_stray_port(link, &before)) {
            true => self.behind_other_pins(&before)?,
            false => Vec::new(),
        };
        let (plan, mut gone, networks) = {
            let locked = self.store.lock()?;
            let known = self.known(&locked, run)?;
            let plan = strays((&host, &before), &pinned, &known, run);
            let files = self.stray_files(&known)?;
            for path in &files {
                self.drop_file(&locked, path, run)?;
            }
            let paths = files
                .iter()
                .map(|path| self.store.path(path).display().to_string());
            (
                plan,
                paths.collect::<Vec<_>>(),
                self.networks_without_record(&known)?,
            )
        };
        for network in networks {
            let path = format!("networks/{network}");
            if !run.dry_run {
                self.clear_up_network(network.as_str())?;
            }
            // It may have been about to get its record.
            if run.dry_run || !self.store.root.exists(&path)? {
                let path = self.store.path(&path).display().to_string();
                run.say.operation(&format_args!("rm -r {path}"));
                gone.push(path);
            }
        }
        let said = |op: &Op| {
            let line = op.to_string();
            let line = line.replacen("nft delete ", "", 1);
            line.replacen("ip link delete ", "link ", 1)
        };
        gone.extend(plan.operations().map(said));
        match run.dry_run {
            true => plan.say(run.say),
            false => self.teardown(&plan, run)?,
        }
        Ok(gone)
    }

    // Rarely needed, and larger where it is inlined.
    #[inline(never)]
    fn known(&self, locked: &Locked, run: &mut Run) -> Result<Known> {
        let mut broken = None;
        let mut failed = |error| broken = Some(error);
        let mut known = Known {
            networks: self.store.read_all(&mut failed)?,
            containers: self.store.read_all(&mut failed)?,
            sandboxes: self.store.read_all(&mut failed)?,
            ..Known::default()
        };
        let unsure = |error: &Error| {
            let why = error.to_string();
            match self.has_noted(&why) {
                true => Error::new("cannot tell what is nobody's while it cannot be read"),
                false => Error::new(format_args!("cannot tell what is nobody's: {why}")),
            }
        };
        if let Some(error) = broken {
            return Err(unsure(&error));
        }
        for intent in self.store.under_way().map_err(|error| unsure(&error))? {
            let Intent { sandbox, whole, .. } = &intent;
            known.busy.extend(intent.names().chain(sandbox).cloned());
            known.sandboxes.extend(whole.as_deref().cloned());
        }
        for (name, lost) in self.losses(Some(locked), &known.containers, &known.sandboxes)? {
            run.say.note(&lost);
            known.lost.push(name);
        }
        Ok(known)
    }

    /// The host's ends of the pairs in namespaces that the pin of none of these sandboxes leads to, each with its pin; those of
    /// sandboxes without a record also where only their members live in them.
    // Rarely needed, and larger where it is inlined.
    #[inline(never)]
    fn behind_other_pins(&self, but: &[SandboxRecord]) -> Result<Vec<(u32, Name)>> {
        let containers = self.store.read_all::<ContainerRecord>(&mut |_| {})?;
        let lost = containers.iter().filter_map(|one| one.sandbox.clone());
        let pins = file::names(netns::DIRECTORY).unwrap_or_default();
        let pins = pins.iter().filter_map(|name| name.to_str()?.parse().ok());
        let mut found: Vec<(u32, Name)> = Vec::new();
        for name in lost.chain(pins) {
            let mut known = but.iter().map(|sandbox| &sandbox.name);
            if known.any(|known| *known == name) || found.iter().any(|(_, seen)| *seen == name) {
                continue;
            }
            for inside in self.insides(&name, &[])?.1 {
                let ends = inside.links.iter().filter_map(|link| link.peer);
                found.extend(ends.map(|end| (end, name.clone())));
            }
        }
        Ok(found)
    }

    /// What of the state directory nobody speaks for, as paths in it. The caller holds `lock`.
    fn stray_files(&self, known: &Known) -> Result<Vec<String>> {
        let root = &self.store.root;
        let mut paths = Vec::new();
        let has = |kind: &str, name: &Name| match kind {
            "containers" => known.containers.iter().any(|record| record.name == *name),
            _ => known.sandboxes.iter().any(|record| record.name == *name),
        };
        for kind in ["containers", "sandboxes"] {
            for name in &root.names(kind)? {
                let path = format!("{kind}/{name}");
                let parsed = name.parse::<Name>();
                let is_known = parsed.is_ok_and(|name| has(kind, &name) || known.is_busy(&name));
                if !is_known {
                    paths.push(path);
                }
            }
        }
        for id in &root.names("ids")? {
            let name = self.store.name_of(id);
            let is = |own: Id| own.to_string() == *id;
            let is_known = known.containers.iter().any(|record| is(record.id))
                || known.sandboxes.iter().any(|sandbox| is(sandbox.id))
                || name.is_some_and(|name| known.is_busy(&name));
            if !is_known {
                paths.push(format!("ids/{id}"));
            }
        }
        for network in &root.names("networks")? {
            self.stray_leases(&format!("networks/{network}/leases"), known, &mut paths)?;
        }
        for port in &root.names("ports")? {
            self.stray_leases(&format!("ports/{port}"), known, &mut paths)?;
        }
        Ok(paths)
    }

    fn stray_leases(&self, directory: &str, known: &Known, paths: &mut Vec<String>) -> Result<()> {
        for name in &self.store.root.names(directory)? {
            let path = format!("{directory}/{name}");
            // Torn by a full file system, when nobody had it yet; or foreign.
            let lease = self.store.root.read_json::<Lease>(&path).unwrap_or(None);
            // Whoever was to rename it is dead.
            if name.ends_with(".new") || lease.is_some_and(|lease| !known.has_lease(&lease)) {
                paths.push(path);
            }
        }
        Ok(())
    }

    fn networks_without_record(&self, known: &Known) -> Result<Vec<Name>> {
        let names = self.store.root.names("networks")?;
        let names = names.iter().filter_map(|name| name.parse::<Name>().ok());
        let mut found = Vec::new();
        for name in names {
            let mut spoken_for = known.networks.iter().any(|network| network.name == name);
            // A sandbox that is on it keeps its leases, and whose one is that cannot be read nobody knows.
            for address in self.store.address_leases(&name)? {
                spoken_for |= match self.store.address_lease(&name, address) {
                    Ok(Some(lease @ Lease::Held { .. })) => known.has_lease(&lease),
                    lease => lease.is_err(),
                };
            }
            if !spoken_for {
                found.push(name);
            }
        }
        Ok(found)
    }

    fn drop_file(&self, _: &Locked, path: &str, run: &mut Run) -> Result<()> {
        run.say
            .operation(&format_args!("rm -r {}", self.store.path(path).display()));
        if run.dry_run {
            return Ok(());
        }
        self.store.root.remove_tree(path)?;
        match path
            .strip_prefix("ports/")
            .and_then(|port| port.split_once('/'))
        {
            Some((port, _)) => self.store.root.remove_empty(&format!("ports/{port}")),
            None => Ok(()),
        }
    }
}

/// The plan that takes away what the kernel has and nobody speaks for; with the host as it was, and the sandboxes as they
/// were before.
fn strays(
    (host, before): (&Snapshot, &[SandboxRecord]),
    pinned: &[(u32, Name)],
    known: &Known,
    run: &mut Run,
) -> Plan {
    let mut plan = Plan::new();
    let mut gone: Vec<&str> = Vec::new();
    let links = host.links.iter();
    for link in links.filter(|link| is_stray_port(link, &known.sandboxes)) {
        if let Some((_, pin)) = pinned.iter().find(|(peer, _)| *peer == link.index) {
            if known.lost.contains(pin) {
                continue;
            }
            run.say.note(&format_args!(
                "left {} alone: no record names the sandbox at {}, and it may be of another state directory; `ip netns delete {pin}` removes it",
                link.name,
                netns::pin_path(pin).display()
            ));
        } else if let (Ok(name), Some(mac)) = (link.name.parse(), link.mac) {
            plan.push(link::DelLink::bridge(name, mac));
            gone.push(&link.name);
        }
    }
    for link in &host.links {
        if !is_stray_bridge(link, host, known) {
            continue;
        }
        let mut links = host.links.iter();
        let unused =
            links.all(|port| port.master != Some(link.index) || gone.contains(&port.name.as_str()));
        if let (true, Ok(name), Some(mac)) = (unused, link.name.parse(), link.mac) {
            plan.push(link::DelLink::bridge(name, mac));
            gone.push(&link.name);
        }
    }
    plan.extend(stray_elements((host, before), known, &gone));
    plan
}

/// Whether a link is the host's end of a pair that netcell made.
fn is_port(link: &Link) -> bool {
    link.kind.as_deref() == Some("veth")
        && link.group == link::GROUP
        && link.mac.is_some()
        && link.mac == Mac::of_link(&link.name)
}

/// Whether a link is the host's end of a pair that netcell made, and of none of these sandboxes.
pub(super) fn is_stray_port(link: &Link, sandboxes: &[SandboxRecord]) -> bool {
    is_port(link)
        && link
            .name
            .parse()
            .is_ok_and(|name| !has_link(sandboxes, &name))
}

fn has_link(sandboxes: &[SandboxRecord], name: &IfName) -> bool {
    let mut endpoints = sandboxes
        .iter()
        .filter_map(|sandbox| sandbox.endpoint.as_ref());
    endpoints.any(|endpoint| endpoint.link == *name)
}

/// Whether a link is a bridge that netcell made, and of no network.
fn is_stray_bridge(link: &Link, host: &Snapshot, known: &Known) -> bool {
    let mut addresses = host.addresses.iter();
    link.kind.as_deref() == Some("bridge")
        && link.group == link::GROUP
        && addresses
            .any(|own| own.link == link.index && link.mac == Some(Mac::of(own.address.addr)))
        && link.name.parse().is_ok_and(|name| !known.has_bridge(&name))
}

/// The plan that takes out elements that name what is gone, or is about to be, and ports that lead to no sandbox of a network.
fn stray_elements(
    (host, before): (&Snapshot, &[SandboxRecord]),
    known: &Known,
    gone: &[&str],
) -> Plan {
    let mut plan = Plan::new();
    let Some(elements) = &host.elements else {
        return plan;
    };
    let is_there = |name: &IfName| host.link(name).is_some() && !gone.contains(&name.as_str());
    for (port, drop) in elements.of_ports() {
        let own = Mac::of_link(port.as_str()).is_some();
        if own && !known.has_link(&port) && !is_there(&port) {
            plan.push(drop);
        }
    }
    for (bridge, drop) in elements.of_bridges() {
        let own = bridge.as_str().starts_with("netcell");
        if own && !known.has_bridge(&bridge) && !is_there(&bridge) {
            plan.push(drop);
        }
    }
    let mut ports: Vec<Vec<u8>> = Vec::new();
    for sandbox in known.sandboxes.iter().chain(before) {
        for port in &sandbox.ports {
            let mapping = port.mapping.clone();
            if let Some(to) = sandbox.target(mapping.host_ip) {
                ports.push(key_of(&Element::Publish { mapping, to }));
            }
        }
    }
    ports.sort_unstable();
    for (to, drop) in elements.published() {
        let mut sandboxes = known.sandboxes.iter();
        let in_work = match sandboxes.find(|one| one.addresses().iter().any(|own| own.addr == to)) {
            Some(sandbox) => known.is_at(sandbox),
            // Of what has lost its record it may be, with or without its lease.
            None => !known.lost.is_empty(),
        };
        if known.has_subnet_of(to) && !in_work && ports.binary_search(&drop.name()).is_err() {
            plan.push(drop);
        }
    }
    plan
}
