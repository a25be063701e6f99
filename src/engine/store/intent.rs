//! Intents: what is under way, so that whoever finds it left behind can undo or complete it.
//!
//! An intent is written as a temporary file, flocked by its owner and then renamed into place; the flock on that
//! descriptor lives as long as the owner. Facts learnt later (the child's pid) are appended by one write each. A
//! removal of the last member covers two names, the member's and its sandbox's, a renaming the old and the new one: a
//! second, hard link to the same file.

use super::Store;
use crate::engine::record::{SandboxRecord, VERSION};
use crate::error::{Errno, Error, Result};
use crate::sys::lock::{self, Hold};
use crate::types::json::{self, json_object, json_words};
use crate::types::{Id, Name, PortMapping};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::OFlags;
use std::io::{Read, Seek};
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
    /// [`VERSION`].
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
    pub whole: Option<SandboxRecord>,
    /// The name that it is to have.
    pub to: Option<Name>,
    /// The ports of `name` that the sandbox had before; with `whole` they are in there.
    pub ports_before: Vec<PortMapping>,
    /// The ports of `name` that the sandbox has after.
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

/// A process that was made for an operation.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    /// Its pid on the host.
    pub pid: u32,
    /// Its start time in clock ticks since boot, field 22 of /proc/PID/stat.
    pub start: u64,
}
json_object!(Process { pid, start });

impl Intent {
    /// The names in intents/ that this operation claims.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        let second = match (&self.verb, &self.whole) {
            (Verb::Remove, Some(sandbox)) if sandbox.name != self.name => Some(&sandbox.name),
            _ => self.to.as_ref(),
        };
        std::iter::once(&self.name).chain(second)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let mut intent: Intent = json::from_slice(lines.next()?.as_bytes()).ok()?;
        intent.processes = lines
            .map_while(|line| json::from_slice(line.as_bytes()).ok())
            .collect();
        Some(intent)
    }
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
        match rustix::io::write(&self.fd, line.as_bytes()) {
            Ok(n) if n == line.len() => {
                self.intent.processes.push(process);
                Ok(())
            }
            Ok(_) => Err(failed(Errno::NOSPC)),
            Err(errno) => Err(failed(errno)),
        }
    }
}

impl Store {
    /// Puts an intent in place; the caller holds `lock` and found none of this name there.
    pub fn begin(&self, intent: Intent) -> Result<IntentFile> {
        let name = format!("intents/{}", intent.name);
        let temporary = format!("intents/{UNPLACED}{}", intent.name);
        let fd = self.root.write_temporary(&temporary, &intent)?;
        let placed = self.place(&fd, &intent, &temporary, &name);
        if placed.is_err() {
            self.root.unlink(&temporary).ok();
        }
        placed.map(|()| IntentFile { fd, intent })
    }

    fn place(&self, fd: &OwnedFd, intent: &Intent, temporary: &str, name: &str) -> Result<()> {
        if !lock::try_lock(fd, Hold::Exclusive)
            .map_err(|errno| self.root.error("lock", temporary, errno))?
        {
            return Err(self.root.error("lock", temporary, Errno::BUSY));
        }
        self.root.rename(temporary, name)?;
        for other in intent.names().skip(1) {
            self.root.link(name, &format!("intents/{other}"))?;
        }
        Ok(())
    }

    /// Ends an operation: its intent goes, with all its names. The caller holds `lock`.
    pub fn end(&self, file: IntentFile) -> Result<()> {
        // Its own name last: while that is there, whoever finds it can finish this.
        let names: Vec<_> = file.intent.names().cloned().collect();
        for name in names.iter().rev() {
            let path = format!("intents/{name}");
            if self.root.still_names(&path, file.fd.as_fd()) {
                self.root.unlink(&path)?;
            }
        }
        Ok(())
    }

    /// Whether an operation on this name is under way, or was left behind.
    pub fn is_under_way(&self, name: &Name) -> bool {
        self.root.exists(&format!("intents/{name}"))
    }

    /// All that is under way. The caller holds `lock`.
    ///
    /// # Errors
    /// One that cannot be read.
    pub fn under_way(&self) -> Result<Vec<Intent>> {
        let mut found = Vec::new();
        for name in self.root.names("intents")? {
            let path = format!("intents/{name}");
            // Gone meanwhile: its owner has ended it.
            if let Some(text) = self.root.read(&path)? {
                let intent = Intent::parse(&String::from_utf8_lossy(&text));
                let broken = || {
                    let path = self.path(&path);
                    Error::new(format!("cannot understand {}", path.display()))
                };
                found.push(intent.ok_or_else(broken)?);
            }
        }
        Ok(found)
    }

    /// Whether what is under way on this name is a removal, after which the name is free.
    pub fn is_removal(&self, name: &Name) -> Result<bool> {
        let text = self
            .root
            .read(&format!("intents/{name}"))?
            .unwrap_or_default();
        Ok(Intent::parse(&String::from_utf8_lossy(&text))
            .is_some_and(|intent| intent.verb == Verb::Remove))
    }

    /// Whether the operation on this name ends, or what is left of its dead owner lets go, within `patience`.
    pub fn ends_within(&self, name: &Name, patience: Duration) -> Result<bool> {
        let Some(fd) = self
            .root
            .open_file(&format!("intents/{name}"), OFlags::RDONLY)?
        else {
            return Ok(true);
        };
        Ok(lock::lock(&fd, Hold::Exclusive, patience, "an operation").is_ok())
    }

    /// Waits, without `lock`, until the operation on this name has ended or its owner has died.
    pub fn wait_for(&self, name: &Name) -> Result<()> {
        let path = format!("intents/{name}");
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

    /// The intents whose owner is dead, each now flocked by this process.
    pub fn abandoned(&self) -> Result<Vec<IntentFile>> {
        let mut found = Vec::new();
        let (unplaced, placed): (Vec<_>, Vec<_>) = self
            .root
            .names("intents")?
            .into_iter()
            .partition(|name| name.starts_with(UNPLACED));
        for name in placed {
            found.extend(self.take_abandoned(&format!("intents/{name}"))?);
        }
        if !unplaced.is_empty() {
            // They are written under `lock`: whose writer does not hold it any more is dead, and had made nothing yet.
            let _locked = self.lock()?;
            for name in unplaced {
                self.root.unlink(&format!("intents/{name}"))?;
            }
        }
        Ok(found)
    }

    fn take_abandoned(&self, path: &str) -> Result<Option<IntentFile>> {
        let Some(fd) = self.root.open_file(path, OFlags::RDWR | OFlags::NONBLOCK)? else {
            return Ok(None);
        };
        let mine = lock::try_lock(&fd, Hold::Exclusive)
            .map_err(|errno| self.root.error("lock", path, errno))?;
        if !mine || !self.root.still_names(path, fd.as_fd()) {
            return Ok(None);
        }
        let mut text = String::new();
        let mut file = std::fs::File::from(fd);
        let read = file.read_to_string(&mut text);
        match (read, Intent::parse(&text)) {
            (Ok(_), Some(intent)) if intent.version == VERSION && intent.boot == self.boot => {
                file.seek(std::io::SeekFrom::End(0)).ok();
                Ok(Some(IntentFile {
                    fd: file.into(),
                    intent,
                }))
            }
            // Of another boot, whose objects are gone, or nothing that netcell wrote.
            _ => self.root.unlink(path).map(|()| None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_ignored() {
        let intent = r#"{"version":1,"boot":"b","host":1,"verb":"start","name":"web","container":null,"generation":2,"sandbox":null,"whole":null,"ports_before":[],"ports_after":[]}"#;
        let text = format!("{intent}\n{{\"pid\":7,\"start\":9}}\n{{\"pid\":8,\"st");
        let parsed = Intent::parse(&text).expect("an intent");
        assert_eq!(parsed.processes.len(), 1);
        assert_eq!(parsed.processes[0].pid, 7);
        assert!(
            Intent::parse(intent).is_none(),
            "a first line without its end is torn too"
        );
    }
}
