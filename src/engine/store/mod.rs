//! The state directory: who exists, who holds what, and what is under way.
//!
//! ```text
//! boot                                   the boot that all of this is of
//! lock                                   held for file work only, never across netlink, fork or wait
//! intents/NAME                           an operation under way on the object NAME, flocked by its owner
//! containers/NAME/record.json exit log attach   ids/ID -> NAME
//! sandboxes/NAME/record.json hosts hostname resolv.conf
//! networks/NAME/record.json lock leases/ADDRESS hosts/LENGTH-HASH
//! ports/PROTO-PORT/ADDRESS               a published port's lease
//! ```
//!
//! It all lives on /run, is written without fsync and believed only within the boot that wrote it. Reserve, act,
//! commit, release: the order of every changing operation is in src/README.md.

mod file;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod intent;
mod lease;
mod records;

pub use file::Directory;
pub use intent::{Intent, IntentFile, Verb};
pub use lease::{Lease, port_path};
pub use records::{Record, exit_of};

use crate::engine::record::{ContainerRecord, NetworkRecord, SandboxRecord};
use crate::engine::spec::Places;
use crate::error::{Errno, Error, Result};
use crate::sys::lock::{self, Hold};
use crate::types::Name;
use rustix::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

/// How long a command waits for another before it says who holds it up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The state directory of one boot.
pub struct Store {
    /// Its descriptor, and its path for messages.
    pub root: Directory,
    /// This boot's id: records of another one are nobody's.
    pub boot: String,
}

/// `lock`, held: the right to change files in the state directory. Dropping it lets go.
pub struct Locked {
    _descriptor: OwnedFd,
}

impl Store {
    /// Opens the state directory, making it (0700) on the first use of a boot.
    ///
    /// # Errors
    /// A directory that belongs to somebody else or is open to others is refused: its content would be trusted.
    pub fn open(places: &Places) -> Result<Self> {
        let boot = crate::sys::file::text("/proc/sys/kernel/random/boot_id").map_err(|e| {
            Error::new(format_args!(
                "cannot read /proc/sys/kernel/random/boot_id: {e} (is /proc mounted?)"
            ))
        })?;
        let boot = boot.trim_end().to_owned();
        let root = match Directory::open(&places.state) {
            Err(error) if error.is(Errno::NOENT) => Directory::create_all(&places.state)?,
            opened => opened?,
        };
        root.check_private()?;
        let store = Store { root, boot };
        if !store.is_of_this_boot()? {
            let _locked = store.lock()?;
            store.discard_other_boots()?;
        }
        Ok(store)
    }

    fn is_of_this_boot(&self) -> Result<bool> {
        let boot = self.root.read("boot")?;
        Ok(boot.is_some_and(|boot| boot == self.boot.as_bytes()))
    }

    /// What an earlier boot left where /run is kept over it: its kernel objects are gone, and its leases lead nowhere.
    fn discard_other_boots(&self) -> Result<()> {
        // Another command may have been first.
        if self.is_of_this_boot()? {
            return Ok(());
        }
        // Where records are of this boot it is the note of it that is broken, and not all else that is old.
        if !self.has_records() {
            for name in &self.root.names(".")? {
                if name != "lock" {
                    self.root.remove_tree(name)?;
                }
            }
        }
        self.root.write_in_place("boot", &self.boot)
    }

    fn has_records(&self) -> bool {
        fn any<R: Record>(store: &Store) -> bool {
            let all = store.read_all::<R>(&mut |_| {});
            all.is_ok_and(|records| !records.is_empty())
        }
        any::<NetworkRecord>(self) || any::<SandboxRecord>(self) || any::<ContainerRecord>(self)
    }

    /// The path of something in the state directory, for messages and for files that a container is shown.
    pub fn path(&self, below: &str) -> PathBuf {
        self.root.path.join(below)
    }

    /// Takes `lock`.
    pub fn lock(&self) -> Result<Locked> {
        let _descriptor =
            self.locked_file("lock", Hold::Exclusive, "the state directory's lock")?;
        Ok(Locked { _descriptor })
    }

    /// Takes a network's lock: shared to use it, exclusive to make or remove what its users share.
    ///
    /// # Errors
    /// ENOENT when the network's directory is gone.
    pub fn lock_network(&self, name: &Name, hold: Hold) -> Result<OwnedFd> {
        self.locked_file(
            &format!("networks/{name}/lock"),
            hold,
            &format!("network {name}"),
        )
    }

    /// Takes the lock of `apply`, before all others: of two at once one waits.
    pub fn lock_apply(&self) -> Result<OwnedFd> {
        self.root.make("apply")?;
        self.locked_file("apply/lock", Hold::Exclusive, "another apply")
    }

    /// Takes the lock of the one `reconcile` that may be under way.
    pub fn lock_reconcile(&self) -> Result<OwnedFd> {
        self.locked_file("reconcile", Hold::Exclusive, "reconcile")
    }

    /// Opens and locks a file; when it was unlinked or replaced while waiting, once more.
    fn locked_file(&self, path: &str, hold: Hold, what: &str) -> Result<OwnedFd> {
        loop {
            let fd = self.root.open_lock(path)?;
            lock::lock(&fd, hold, PATIENCE, what)?;
            if self.root.still_names(path, fd.as_fd()) {
                return Ok(fd);
            }
        }
    }
}
