//! `reconcile`: what somebody flushed, deleted or changed of what netcell made is made again.
//!
//! Nothing here describes what a network or a sandbox is: for each the plan that makes it is built by the functions that
//! `create` uses, what holds by a snapshot of the kernel is left out, and the rest is done. What cannot be done is said in
//! a sentence, and hinders nothing else.
//!
//! One at a time, by a lock of its own. A network is mended under its lock, held alone, a sandbox under an intent; what
//! another command is at is left to it. Both are looked at a second time, when nobody else can change them.

mod sandbox;

use crate::engine::record::{ContainerRecord, NetworkRecord, SandboxRecord};
use crate::engine::view::Status;
use crate::engine::{Engine, Run, derived, find, network, process};
use crate::error::{Errno, Error, Result};
use crate::kernel::snapshot::Snapshot;
use crate::sys::lock::Hold;
use crate::types::Name;
use crate::types::json::json_object;

/// What `reconcile` did.
#[derive(Debug, Default)]
pub struct Reconciled {
    /// The networks of which something was made again.
    pub networks: Vec<Name>,
    /// The sandboxes of which something was made again.
    pub sandboxes: Vec<Name>,
    /// The sandboxes that another command is at.
    pub skipped: Vec<Name>,
    /// What could not be done, and why.
    pub errors: Vec<String>,
}
json_object!(Reconciled {
    networks,
    sandboxes,
    skipped,
    errors
});

impl Reconciled {
    /// Whether anything was made again.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && self.sandboxes.is_empty()
    }

    /// One broken file may be in the way of many.
    fn fail(&mut self, error: &Error, run: &mut Run) {
        let error = error.to_string();
        if !self.errors.contains(&error) {
            run.say.note(&error);
            self.errors.push(error);
        }
    }
}

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// All, and who drops what is forwarded.
    Whole,
    /// The host, and of the sandboxes only those whose link or pin is not well: what their members change in there is left
    /// to them.
    Host,
}

impl Engine {
    /// Makes again what is missing of all networks and sandboxes.
    pub fn reconcile(&self, depth: Depth, run: &mut Run) -> Result<Reconciled> {
        let _alone = match run.dry_run {
            true => None,
            false => Some(self.store.lock_reconcile()?),
        };
        let mut done = Reconciled::default();
        let host = self.reconcile_networks(&mut done, run)?;
        self.reconcile_sandboxes((host, depth), &mut done, run)?;
        if !run.dry_run {
            self.reconcile_files(&mut done, run)?;
        }
        // Nobody hears the watcher's repairs.
        if depth == Depth::Whole {
            match self.who_drops() {
                Ok(drops) => drops.iter().for_each(|sentence| run.say.note(sentence)),
                Err(error) => done.fail(&error, run),
            }
        }
        Ok(done)
    }

    /// The records of a kind; those that cannot be read are said.
    fn all<R: crate::engine::store::Record>(
        &self,
        done: &mut Reconciled,
        run: &mut Run,
    ) -> Result<Vec<R>> {
        let mut broken = Vec::new();
        let records = self.store.read_all(&mut |error| broken.push(error))?;
        broken.iter().for_each(|error| done.fail(error, run));
        Ok(records)
    }

    fn reconcile_networks(&self, done: &mut Reconciled, run: &mut Run) -> Result<Snapshot> {
        let mut host = Snapshot::of_host_whole(&mut self.sockets())?;
        for record in &self.all::<NetworkRecord>(done, run)? {
            match self.reconcile_network(record, &mut host, run) {
                Ok(true) => done.networks.push(record.name.clone()),
                Ok(false) => {}
                Err(error) => done.fail(&error, run),
            }
        }
        match done.networks.is_empty() || run.dry_run {
            true => Ok(host),
            false => Snapshot::of_host_whole(&mut self.sockets()),
        }
    }

    /// Makes again what is missing of a network: whether anything was.
    fn reconcile_network(
        &self,
        record: &NetworkRecord,
        host: &mut Snapshot,
        run: &mut Run,
    ) -> Result<bool> {
        let missing = |record: &NetworkRecord, host: &Snapshot| {
            // Where forwarding cannot be turned on the rest is made all the same.
            let forwarding = network::forwarding(record, host);
            let keys = forwarding.as_ref().map_or(Vec::new(), Vec::clone);
            let all = self.shared_all(record, host, keys)?;
            let plan = all.without_what_holds(host).map_err(|error| {
                Error::new(format_args!("cannot mend network {}: {error}", record.name))
            });
            plan.map(|plan| (plan, forwarding.map(drop)))
        };
        let (plan, refused) = missing(record, host)?;
        if plan.is_empty() {
            return refused.map(|()| false);
        }
        if run.dry_run {
            plan.say(run.say);
            host.assume_tables();
            return refused.map(|()| true);
        }
        let _lock = match self.store.lock_network(&record.name, Hold::Exclusive) {
            // Removed meanwhile.
            Err(error) if error.is(Errno::NOENT) => return Ok(false),
            lock => lock?,
        };
        let Some(record) = self.store.read::<NetworkRecord>(&record.name)? else {
            return Ok(false);
        };
        let now = Snapshot::of_host_whole(&mut self.sockets())?;
        let (plan, refused) = missing(&record, &now)?;
        self.make_shared(&record, &plan, run)?;
        refused.map(|()| !plan.is_empty())
    }

    /// What the members of sandboxes find in /etc, as it is now, also where it was taken away from a container.
    fn reconcile_files(&self, done: &mut Reconciled, run: &mut Run) -> Result<()> {
        for sandbox in &self.all::<SandboxRecord>(done, run)? {
            if self.is_busy(sandbox)? {
                continue;
            }
            match self.mend_files(sandbox) {
                Ok(true) if !done.sandboxes.contains(&sandbox.name) => {
                    done.sandboxes.push(sandbox.name.clone());
                }
                Ok(_) => {}
                Err(error) => done.fail(&error.sandbox(sandbox.name.as_str()), run),
            }
        }
        Ok(())
    }

    fn mend_files(&self, sandbox: &SandboxRecord) -> Result<bool> {
        let mut changed = derived::mend(&self.store, sandbox)?;
        let etc = self.etc_files(Some(&sandbox.name));
        for container in self.running_in(sandbox)? {
            changed |= process::rebind(&container, &etc)?;
        }
        Ok(changed)
    }

    /// The containers that run in a sandbox.
    fn running_in(&self, sandbox: &SandboxRecord) -> Result<Vec<ContainerRecord>> {
        let mut running = Vec::new();
        for member in &sandbox.members {
            if let Some(record) = self.store.read::<ContainerRecord>(member)?
                && record.sandbox.as_ref() == Some(&sandbox.name)
                && find::status(&self.store, &record)?.0 == Status::Running
            {
                running.push(*record);
            }
        }
        Ok(running)
    }

    /// Whether another command is at a sandbox, by its name or by that of a member.
    fn is_busy(&self, sandbox: &SandboxRecord) -> Result<bool> {
        for name in &sandbox.members {
            if self.store.is_under_way(name)? {
                return Ok(true);
            }
        }
        self.store.is_under_way(&sandbox.name)
    }
}
