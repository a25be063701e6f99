//! Intents: what is under way, so that whoever finds it left behind can undo or complete it.
//!
//! An intent is written as a temporary file, flocked by its owner and then renamed into place; the flock on that
//! descriptor lives as long as the owner. Facts learnt later (the child's pid) are appended by one write each. A
//! removal of the last member covers two names, the member's and its sandbox's, a renaming the old and the new one: a
//! second, hard link to the same file.

use super::{Locked, Store, records};
use crate::engine::log;
use crate::engine::record::{Process, SandboxRecord};
use crate::error::{Error, Result};
use crate::sys::fd::write_all;
use crate::sys::lock::{self, Hold};
use crate::types::json::{self, json_object, json_words};
use crate::types::{Id, Name, PortMapping};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::OFlags;
use std::fmt::Display;
use std::time::Duration;

/// Begins the name of an intent that is not in place yet; no object's name begins so.
const UNPLACED: char = '.';

/// What an intent is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Make a container, or a sandbox alone; undone unless its record is there.
    Create,
    /// Start a container that exists; undone unless its record has the intent's generation.
    Start,
    /// Change the ports of a member; undone unless its sandbox has those that come after.
    Publish,
    /// Remove; always completed.
    Remove,
    /// Give another name; always completed.
    Rename,
    /// Make again what a sandbox that is committed lacks; nothing is undone.
    Repair,
}

json_words!(Verb {
    Create = "create",
    Start = "start",
    Publish = "publish",
    Remove = "remove",
    Rename = "rename",
    Repair = "repair"
});

/// The first line of an intent.
#[derive(Debug, Clone)]
pub struct Intent {
    /// `VERSION` of the records.
    pub version: u32,
    /// The boot in which it was begun.
    pub boot: String,
    /// The network namespace that is the host's to its owner: inode on nsfs.
    pub host: u64,
    /// What is under way.
    pub verb: Verb,
    /// The object: a container's name, or a bare sandbox's.
    pub name: Name,
    /// The container's id; none for a bare sandbox.
    pub container: Option<Id>,
    /// The generation that the committed record will have.
    pub generation: u32,
    /// The sandbox that `name` is, or was, a member of.
    pub sandbox: Option<Name>,
    /// The sandbox that is being made or removed with it, whole: the names and MACs of its links, its leases.
    pub whole: Option<Box<SandboxRecord>>,
    /// The name that it is to have.
    pub to: Option<Name>,
    /// The ports of `name` that the sandbox had before; with `whole` they are in there.
    pub ports_before: Vec<PortMapping>,
    /// The ports of `name` that the sandbox has after; with `whole` they are in there, too.
    pub ports_after: Vec<PortMapping>,
    /// The processes made so far; appended, one JSON object a line.
    pub processes: Vec<Process>,
}
json_object!(Intent {
    version,
    boot,
    host,
    verb,
    name,
    container,
    generation,
    sandbox,
    whole,
    to,
    ports_before,
    ports_after; processes
});

impl Intent {
    /// The names in intents/ that this operation claims.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        let second = match (&self.verb, &self.whole) {
            (Verb::Remove, Some(sandbox)) if sandbox.name != self.name => Some(&sandbox.name),
            _ => self.to.as_ref(),
        };
        std::iter::once(&self.name).chain(second)
    }

    /// Of a whole first line; a torn last one is ignored.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let mut lines = text
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| line.ends_with(b"\n"));
        let first = lines.next().ok_or("it is cut off")?;
        let mut intent: Intent = records::from_slice(first)?;
        intent.processes = lines
            .map_while(|line| json::from_slice(line).ok())
            .collect();
        Ok(intent)
    }
}

fn path_of(name: &dyn Display) -> String {
    format!("intents/{name}")
}

/// An intent's file, flocked by this process.
pub struct IntentFile {
    fd: OwnedFd,
    /// What it says.
    pub intent: Intent,
}

impl IntentFile {
    /// Appends a process; what was made must be known before it can go on without us.
    pub fn note_process(&mut self, process: Process) -> Result<()> {
        let failed = |errno| {
            Error::os(
                format_args!("write the intent of {}", self.intent.name),
                errno,
            )
        };
        let line = json::to_text(&process) + "\n";
        // The offset stands at the end: the file was written through this very descriptor.
        write_all(&self.fd, line.as_bytes(), None).map_err(failed)?;
        self.intent.processes.push(process);
        Ok(())
    }
}

impl Store {
    /// Puts an intent in place; the caller holds `lock` and found none of this name there.
    pub fn begin(&self, intent: Intent) -> Result<IntentFile> {
        let name = path_of(&intent.name);
        let temporary = path_of(&format_args!("{UNPLACED}{}", intent.name));
        let fd = self.root.write_temporary(&temporary, &intent)?;
        let file = IntentFile { fd, intent };
        if let Err(error) = self.place(&file, &temporary, &name) {
            self.root.unlink(&temporary).ok();
            // One of two names may be in place.
            self.end(file).ok();
            return Err(error);
        }
        Ok(file)
    }

    /// Makes room for the intent of a removal, where a full file system has none, by what goes with it anyway and is not
    /// needed to find it by name: else nothing could ever be removed from a full one.
    pub fn make_room(&self, _: &Locked, intent: &Intent) {
        let sandbox = intent.whole.as_ref();
        let ids = sandbox.map(|sandbox| sandbox.id).into_iter();
        for id in ids.chain(intent.container) {
            self.forget_id(&id).ok();
        }
        for file in ["hosts", "hostname", "resolv.conf"] {
            sandbox.map(|whole| {
                self.root
                    .unlink(&format!("sandboxes/{}/{file}", whole.name))
            });
        }
        if intent.container.is_some() {
            for file in [log::CURRENT, log::PREVIOUS] {
                self.root
                    .unlink(&format!("containers/{}/{file}", intent.name))
                    .ok();
            }
        }
    }

    fn place(&self, file: &IntentFile, temporary: &str, name: &str) -> Result<()> {
        self.root.lock_unseen(&file.fd, temporary)?;
        self.root.rename(temporary, name)?;
        for other in file.intent.names().skip(1) {
            self.root.link(name, &path_of(other))?;
        }
        Ok(())
    }

    /// Ends an operation: its intent goes, with all its names. The caller holds `lock`.
    pub fn end(&self, file: IntentFile) -> Result<()> {
        // Its own name last: while that is there, whoever finds it can finish this.
        let names: Vec<_> = file.intent.names().cloned().collect();
        for name in names.iter().rev() {
            let path = path_of(name);
            if self.root.still_names(&path, file.fd.as_fd()) {
                self.root.unlink(&path)?;
            }
        }
        Ok(())
    }

    /// The same under `lock`, which is taken for it.
    pub fn lock_and_end(&self, file: IntentFile) -> Result<()> {
        let _locked = self.lock()?;
        self.end(file)
    }

    /// Whether an operation on this name is under way, or was left behind.
    pub fn is_under_way(&self, name: &Name) -> Result<bool> {
        self.root.exists(&path_of(name))
    }

    /// The first of these names on which an operation is under way.
    pub fn busy_of<'n>(&self, names: &[&'n Name]) -> Result<Option<&'n Name>> {
        for name in names {
            if self.is_under_way(name)? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// All that is under way. The caller holds `lock`.
    ///
    /// # Errors
    /// One that cannot be read.
    pub fn under_way(&self) -> Result<Vec<Intent>> {
        let mut found = Vec::new();
        for name in &self.root.names("intents")? {
            let path = path_of(name);
            // Gone meanwhile: its owner has ended it.
            if let Some(text) = self.root.read(&path)? {
                let intent = Intent::parse(&text);
                found.push(intent.map_err(|why| self.root.not_understood(&path, &why))?);
            }
        }
        Ok(found)
    }

    /// Whether what is under way on this name is of nobody who wants to have the name: a removal or a repair.
    pub fn makes_way(&self, name: &Name) -> Result<bool> {
        let text = self.root.read(&path_of(name))?.unwrap_or_default();
        let intent = Intent::parse(&text);
        Ok(intent.is_ok_and(|intent| matches!(intent.verb, Verb::Remove | Verb::Repair)))
    }

    /// Refuses a name whose operation was interrupted and is still there though all that could be settled was: waiting for
    /// it would never end.
    pub fn refuse_left(&self, name: &Name) -> Result<()> {
        let path = path_of(name);
        let Some(fd) = self.root.open_file(&path, OFlags::RDONLY)? else {
            return Ok(());
        };
        // Whoever puts one in place has locked it before; whoever settles one holds the lock until it is gone.
        let left = lock::try_lock(&fd, Hold::Exclusive)
            .map_err(|errno| self.root.error("lock", &path, errno))?
            && self.root.still_names(&path, fd.as_fd());
        if !left {
            return Ok(());
        }
        Err(Error::new(format_args!(
            "cannot clear up after an interrupted operation on {name} from here: {} says what it was to make; remove that file when nothing of it is left",
            self.path(&path).display()
        )))
    }

    /// Refuses what a dry run cannot tell: whether the operation of an owner who has died is undone or completed, which other
    /// commands see to.
    ///
    /// # Errors
    /// That, with the name.
    pub fn refuse_interrupted(&self, name: &Name) -> Result<()> {
        if !self.is_under_way(name)? {
            return Ok(());
        }
        Err(Error::new(format_args!(
            "cannot say what would be done: an operation on {name} was interrupted, and the next command that is no dry run settles it"
        )))
    }

    /// Whether the operation on this name ends, or what is left of its dead owner lets go, within `patience`.
    pub fn ends_within(&self, name: &Name, patience: Duration) -> Result<bool> {
        let Some(fd) = self.root.open_file(&path_of(name), OFlags::RDONLY)? else {
            return Ok(true);
        };
        Ok(lock::lock(&fd, Hold::Exclusive, patience, "an operation").is_ok())
    }

    /// Waits, without `lock`, until the operation on this name has ended or its owner has died.
    pub fn wait_for(&self, name: &Name) -> Result<()> {
        let path = path_of(name);
        let Some(fd) = self.root.open_file(&path, OFlags::RDONLY)? else {
            return Ok(());
        };
        lock::lock(
            &fd,
            Hold::Exclusive,
            super::PATIENCE,
            &format!("{name}: an operation on it is under way"),
        )
    }

    /// The names of all that is under way, or was left behind.
    pub fn names_under_way(&self) -> Result<Vec<String>> {
        let (unplaced, placed): (Vec<_>, Vec<_>) = self
            .root
            .names("intents")?
            .into_iter()
            .partition(|name| name.starts_with(UNPLACED));
        if !unplaced.is_empty() {
            // They are written under `lock`: whose writer does not hold it any more is dead, and had made nothing yet.
            let _locked = self.lock()?;
            for name in unplaced {
                self.root.unlink(&path_of(&name))?;
            }
        }
        Ok(placed)
    }

    /// The intent of this name, now flocked by this process, if its owner is dead. One of two names is taken by its own.
    ///
    /// # Errors
    /// One that cannot be read: it stays where it is.
    pub fn take_abandoned(&self, name: &str) -> Result<Option<IntentFile>> {
        let path = &path_of(&name);
        let Some(fd) = self.root.open_file(path, OFlags::RDWR | OFlags::NONBLOCK)? else {
            return Ok(None);
        };
        let mine = lock::try_lock(&fd, Hold::Exclusive)
            .map_err(|errno| self.root.error("lock", path, errno))?;
        if !mine || !self.root.still_names(path, fd.as_fd()) {
            return Ok(None);
        }
        let text = self.root.read_from(&fd, path)?;
        let intent = Intent::parse(&text).map_err(|why| self.root.not_understood(path, &why))?;
        if intent.boot != self.boot {
            // Its objects are gone.
            return self.root.unlink(path).map(|()| None);
        }
        if intent.name.as_str() != name && self.is_under_way(&intent.name)? {
            return Ok(None);
        }
        Ok(Some(IntentFile { fd, intent }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_ignored() {
        let intent = r#"{"version":1,"boot":"b","host":1,"verb":"start","name":"web","container":null,"generation":2,"sandbox":null,"whole":null,"ports_before":[],"ports_after":[]}"#;
        let text = format!("{intent}\n{{\"pid\":7,\"start\":9}}\n{{\"pid\":8,\"st");
        let parsed = Intent::parse(text.as_bytes()).expect("an intent");
        assert_eq!(parsed.processes.len(), 1);
        assert_eq!(parsed.processes[0].pid, 7);
        assert!(
            Intent::parse(intent.as_bytes()).is_err(),
            "a first line without its end is torn too"
        );
    }
}
