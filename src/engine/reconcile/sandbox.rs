//! Sandboxes: each is looked at inside and out, and what it lacks is made again.

use super::{Depth, Reconciled};
use crate::engine::make::host_facts;
use crate::engine::plan::Plan;
use crate::engine::record::{ContainerRecord, NetworkRecord, SandboxRecord};
use crate::engine::store::{Intent, IntentFile, Verb};
use crate::engine::{Engine, Run, sandbox};
use crate::error::{Errno, Error, Result};
use crate::kernel::snapshot::{Inside, Snapshot};
use crate::kernel::{link, netns};
use crate::sys::netns::{NetNs, is_pin};
use crate::types::Name;

/// So many sandboxes are mended at once at most: an intent of each is open meanwhile.
const AT_ONCE: usize = 128;

impl Engine {
    pub(super) fn reconcile_sandboxes(
        &self,
        (mut host, depth): (Snapshot, Depth),
        done: &mut Reconciled,
        run: &mut Run,
    ) -> Result<()> {
        let networks = self.store.read_all::<NetworkRecord>(&mut |_| {})?;
        let mut broken = Vec::new();
        let sandboxes = self.all::<SandboxRecord>(done, run)?;
        // Nothing that the watcher could mend.
        if depth == Depth::Whole {
            let containers = self.all::<ContainerRecord>(done, run)?;
            for (_, lost) in self.losses(None, &containers, &sandboxes)? {
                done.fail(&lost, run);
            }
        }
        for sandbox in &sandboxes {
            say_idle_ports(sandbox, &host, run);
            if self.is_busy(sandbox)? {
                done.skipped.push(sandbox.name.clone());
                continue;
            }
            match self.lacks(sandbox, &networks, &mut host, depth) {
                Ok(plan) if plan.is_empty() => {}
                Ok(plan) if run.dry_run => {
                    plan.say(run.say);
                    done.sandboxes.push(sandbox.name.clone());
                }
                Ok(_) => broken.push(sandbox.clone()),
                Err(error) => done.fail(&error.sandbox(sandbox.name.as_str()), run),
            }
        }
        for some in broken.chunks(AT_ONCE) {
            self.mend_sandboxes(some, (&networks, depth), done, run)?;
        }
        Ok(())
    }

    /// Makes good what the sandboxes on a network lack of what is shared, after the network itself was.
    pub(in crate::engine) fn mend_on(&self, network: &NetworkRecord, run: &mut Run) -> Result<()> {
        if self.store.address_leases(&network.name)?.is_empty() {
            return Ok(());
        }
        let mut sandboxes = self.store.read_all::<SandboxRecord>(&mut |_| {})?;
        sandboxes.retain(|sandbox| {
            let mut endpoints = sandbox.endpoint.iter();
            endpoints.any(|endpoint| endpoint.network_id == network.id)
        });
        let how = (std::slice::from_ref(network), Depth::Host);
        let mut sandboxes = sandboxes.chunks(AT_ONCE);
        sandboxes
            .try_for_each(|some| self.mend_sandboxes(some, how, &mut Reconciled::default(), run))
    }

    /// Mends sandboxes under intents: now nobody else changes them, and what they lack is asked once more.
    fn mend_sandboxes(
        &self,
        broken: &[SandboxRecord],
        (networks, depth): (&[NetworkRecord], Depth),
        done: &mut Reconciled,
        run: &mut Run,
    ) -> Result<()> {
        let mut held: Vec<(IntentFile, Box<SandboxRecord>)> = Vec::with_capacity(broken.len());
        {
            let _locked = self.store.lock()?;
            for sandbox in broken {
                match self.store.read::<SandboxRecord>(&sandbox.name)? {
                    Some(now) if now.id == sandbox.id && !self.is_busy(&now)? => {
                        held.push((self.store.begin(self.intent_to_repair(&now))?, now));
                    }
                    Some(now) => done.skipped.push(now.name.clone()),
                    None => {}
                }
            }
        }
        let looked = Snapshot::of_host_whole(&mut self.sockets());
        let mended = looked.map(|mut host| {
            for (_, sandbox) in &held {
                let mut mend = || {
                    let plan = self.lacks(sandbox, networks, &mut host, depth)?;
                    self.execute(&plan, run)?;
                    Ok::<_, Error>(plan.is_empty())
                };
                let mended = mend().or_else(|error| match error.is(Errno::NODEV) {
                    // What was left of an earlier namespace has just gone by itself.
                    true => mend(),
                    false => Err(error),
                });
                match mended {
                    Ok(true) => {}
                    Ok(false) => done.sandboxes.push(sandbox.name.clone()),
                    Err(error) => done.fail(&error.sandbox(sandbox.name.as_str()), run),
                }
            }
        });
        let _locked = self.store.lock()?;
        held.into_iter()
            .try_for_each(|(file, _)| self.store.end(file))?;
        mended
    }

    fn intent_to_repair(&self, sandbox: &SandboxRecord) -> Intent {
        let mut intent = self.intent(Verb::Repair, &sandbox.name);
        intent.sandbox = Some(sandbox.name.clone());
        intent
    }

    /// The plan for what a sandbox lacks; leaves in `host` what its namespace looks like.
    ///
    /// # Errors
    /// What is in the place of something of its own and is not netcell's.
    fn lacks(
        &self,
        sandbox: &SandboxRecord,
        networks: &[NetworkRecord],
        host: &mut Snapshot,
        depth: Depth,
    ) -> Result<Plan> {
        let network = match &sandbox.endpoint {
            Some(endpoint) => {
                let mut networks = networks.iter();
                let found = networks.find(|network| network.id == endpoint.network_id);
                if found.is_none() {
                    return Err(self.without_network(sandbox, &endpoint.network));
                }
                found
            }
            None => None,
        };
        let first = match depth {
            Depth::Host if is_well(sandbox, host) => {
                host.inside = Inside::Unseen;
                Plan::new()
            }
            _ => self.look_inside(sandbox, host)?,
        };
        let all = sandbox::make(sandbox, network, host_facts(sandbox));
        Ok(first.chain(all.without_what_holds(host)?))
    }

    /// Why there is no record of the network that a sandbox is on.
    fn without_network(&self, sandbox: &SandboxRecord, network: &Name) -> Error {
        if let Err(broken) = self.store.read::<NetworkRecord>(network) {
            return broken;
        }
        let path = self.store.path(&format!("networks/{network}/record.json"));
        Error::new(format_args!(
            "the record of network {network}, which sandbox {} is on, is gone: {}",
            sandbox.name,
            path.display()
        ))
        .sandbox("")
    }

    /// Looks into a sandbox's namespace. The plan that comes first where its pin is gone: it is pinned again by a process that
    /// lives in it; where nobody does, what is left of it makes way for a new one.
    fn look_inside(&self, sandbox: &SandboxRecord, host: &mut Snapshot) -> Result<Plan> {
        let name = &sandbox.name;
        let path = netns::pin_path(name);
        let running = self.running_in(sandbox)?;
        let process = running.iter().find_map(|record| record.start.as_ref());
        let lives_in = process.map(|start| NetNs::of(start.pid).map(|its| (start.pid, its)));
        let mut first = Plan::new();
        let namespace = match (is_pin(&path), lives_in.transpose()?) {
            (Some(true), lives_in) => {
                let pinned = netns::open(name)?;
                if lives_in.is_some_and(|(_, its)| its.inode() != pinned.inode()) {
                    return Err(Error::new(format_args!(
                        "cannot mend what is behind {}: it is another namespace than that of the processes",
                        path.display()
                    )));
                }
                pinned
            }
            (_, Some((pid, its))) => {
                let name = name.clone();
                first.push(netns::PinOf { name, pid });
                its
            }
            (there, None) => {
                if there.is_some() {
                    first.push(netns::Unpin { name: name.clone() });
                }
                let links = sandbox.endpoint.iter().map(|endpoint| &endpoint.link);
                for left in links {
                    if host.link(left).is_some() {
                        first.push(link::DelLink::veth(left.clone()));
                    }
                    host.links.retain(|link| link.name != left.as_str());
                }
                host.inside = Inside::Gone;
                return Ok(first);
            }
        };
        let mut route = self.sockets().route_of(&namespace)?;
        host.inside = Inside::Seen(Box::new(Snapshot::of(&mut route)?));
        Ok(first)
    }
}

/// Says which ports are published at an address that the host has no more: nothing that netcell could make again.
fn say_idle_ports(sandbox: &SandboxRecord, host: &Snapshot, run: &mut Run) {
    for port in sandbox.ports.iter().map(|port| &port.mapping) {
        let at = port.host_ip;
        let mut own = host.addresses.iter().map(|address| address.address.addr);
        if !at.is_unspecified() && !at.is_loopback() && !own.any(|address| address == at) {
            run.say.note(&format_args!(
                "port {port} of sandbox {} waits for its address: no link of the host has {at}",
                sandbox.name
            ));
        }
    }
}

/// Whether a sandbox looks well from outside: its pin is there, and its link has a carrier, which it has while both ends are
/// up.
fn is_well(sandbox: &SandboxRecord, host: &Snapshot) -> bool {
    let mut links = sandbox
        .endpoint
        .iter()
        .map(|endpoint| host.link(&endpoint.link));
    is_pin(&netns::pin_path(&sandbox.name)) == Some(true)
        && links.all(|link| link.is_some_and(|link| link.is_up() && link.is_running()))
}
