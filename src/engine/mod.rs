//! Rung 3: decides and does. What is asked, and what is read of the host, becomes a plan; one executor runs it.
//!
//! The engine never prints, never reads the environment and never sees the command line: what it has to say goes
//! through [`Say`], what it was asked arrives as the types of [`spec`].

pub mod apply;
mod attend;
mod container;
mod create;
mod derived;
mod end;
pub mod execute;
pub mod files;
mod find;
mod firewall;
mod hosts;
mod image;
pub mod info;
mod inside;
mod ipam;
mod lifecycle;
mod logs;
mod lost;
mod make;
mod names;
mod network;
pub mod plan;
mod ports;
pub mod process;
mod prune;
mod publish;
mod reaper;
mod reconcile;
pub mod record;
mod remove;
mod rename;
mod repair;
mod reserve;
mod respawn;
pub mod restart;
mod sandbox;
pub mod settings;
pub mod show;
pub mod spec;
mod store;
mod target;
pub mod view;
pub mod watch;

pub use create::Ran;
pub use network::is_default as network_is_default;
pub use process::log;
pub use reaper::Leaving;
pub use reconcile::{Depth, Reconciled};
#[cfg(any(test, fuzzing))]
pub use store::fuzz;

use crate::error::Result;
use crate::sys::release;
use crate::types::Name;
use execute::Sockets;
use plan::Plan;
use record::SandboxRecord;
use spec::Places;
use std::cell::{RefCell, RefMut};
use std::fmt::Display;
use store::{Intent, Store, Verb};

/// Where the engine says what it does.
pub trait Say {
    /// One operation, as the `ip`, `nft` or `mount` line that does the same, after it was done (or planned).
    fn operation(&mut self, line: &dyn Display);
    /// One sentence the user should know though nothing failed.
    fn note(&mut self, sentence: &dyn Display);
    /// Whether operations are listened to: a container's mounts are only said to who wants to hear them.
    fn wants_operations(&self) -> bool {
        true
    }
}

/// How one command is to be carried out.
pub struct Run<'a> {
    /// Who hears of it.
    pub say: &'a mut dyn Say,
    /// Say the plan and change nothing.
    pub dry_run: bool,
}

/// Says nothing to nobody.
pub(crate) struct Silence;

impl Say for Silence {
    fn operation(&mut self, _: &dyn Display) {}
    fn note(&mut self, _: &dyn Display) {}
    fn wants_operations(&self) -> bool {
        false
    }
}

/// What the age of the kernel may have to do with its refusals: none where it is as new as netcell needs it.
pub fn too_old() -> Option<&'static str> {
    (!release::at_least(5, 10))
        .then_some("this kernel is older than Linux 5.10, which netcell needs")
}

/// netcell on one host, for one command.
pub struct Engine {
    store: Store,
    sockets: RefCell<Sockets>,
    leaving: RefCell<Leaving>,
    /// What a dry run has said that it would make.
    said: RefCell<Option<SandboxRecord>>,
    /// What this command has already said of interrupted operations.
    noted: RefCell<Vec<String>>,
    places: Places,
    /// The inode of the network namespace that is the host's.
    host: u64,
}

impl Engine {
    /// Opens the state directory and repairs what a crash left half-made.
    ///
    /// # Errors
    /// No privilege, or a state directory that cannot be trusted.
    pub fn open(places: &Places, run: &mut Run) -> Result<Self> {
        let mut sockets = Sockets::new();
        let host = sockets.home()?.inode();
        let engine = Engine {
            store: Store::open(places)?,
            sockets: sockets.into(),
            leaving: RefCell::default(),
            said: RefCell::default(),
            noted: RefCell::default(),
            places: places.clone(),
            host,
        };
        if !run.dry_run {
            engine.scavenge(run)?;
        }
        Ok(engine)
    }

    /// What this command is about to do to an object, before anything is said of that.
    fn intent(&self, verb: Verb, name: &Name) -> Intent {
        Intent {
            version: record::VERSION,
            boot: self.store.boot.clone(),
            host: self.host,
            verb,
            name: name.clone(),
            container: None,
            generation: 0,
            sandbox: None,
            whole: None,
            to: None,
            ports_before: Vec::new(),
            ports_after: Vec::new(),
            processes: Vec::new(),
        }
    }

    /// Runs a plan; after a failure nothing of it is left.
    fn execute(&self, plan: &Plan, run: &mut Run) -> Result<()> {
        execute::execute(plan, &mut self.sockets(), run.say)
    }

    /// Runs a plan that takes something down: it goes on after a failure and reports the first.
    fn teardown(&self, plan: &Plan, run: &mut Run) -> Result<()> {
        execute::teardown(plan, &mut self.sockets(), run.say)
    }

    /// The sockets that this command talks to the kernel through.
    fn sockets(&self) -> RefMut<'_, Sockets> {
        self.sockets.borrow_mut()
    }

    /// The links that this command's removals left to the kernel, to be seen off at its very end.
    pub fn leaving(&self) -> Leaving {
        self.leaving.take()
    }
}
