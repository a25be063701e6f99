//! Records of containers, sandboxes and networks: written, read, found by name, id or unique id prefix.

use super::{Locked, Store};
use crate::engine::record::{ContainerRecord, NetworkRecord, SandboxRecord, VERSION};
use crate::error::{Error, Result};
use crate::types::json::{self, Json};
use crate::types::tree::parse;
use crate::types::{Id, Name};
use rustix::fd::OwnedFd;
use std::fmt::Display;

/// What the three kinds of record have in common.
pub trait Record: Json {
    /// The directory of its kind.
    const DIRECTORY: &'static str;
    /// The boot that wrote it.
    fn boot(&self) -> &str;
}

macro_rules! record {
    ($type:ty, $directory:literal) => {
        impl Record for $type {
            const DIRECTORY: &'static str = $directory;
            fn boot(&self) -> &str {
                &self.boot
            }
        }
    };
}
record!(ContainerRecord, "containers");
record!(SandboxRecord, "sandboxes");
record!(NetworkRecord, "networks");

/// What begins with its version, from JSON: of a newer one nothing else is looked at.
pub(super) fn from_slice<T: Json>(text: &[u8]) -> Result<T, String> {
    let mut record = T::blank();
    fill_from(&mut record, text)?;
    Ok(record)
}

fn fill_from(record: &mut dyn Json, text: &[u8]) -> Result<(), String> {
    let tree = parse(text)?;
    match json::field::<u32>(&tree, "version") {
        Ok(newer) if newer > VERSION => Err(format!(
            "a newer netcell wrote it (format {newer}, and this one knows {VERSION}): use that one"
        )),
        Ok(_) => record.fill(&tree).map_err(|wrong| wrong.to_string()),
        Err(wrong) => Err(wrong.to_string()),
    }
}

fn path_of(kind: &str, name: &Name) -> String {
    format!("{kind}/{name}/record.json")
}

fn forwarding_note(key: &str) -> &'static str {
    if key.contains("ipv6") {
        "forwarding6"
    } else {
        "forwarding"
    }
}

/// Behind the name of an `exit` file that has not got it yet.
const NEW: &str = ".new";

/// Where a container's `exit` file is.
pub fn exit_of(container: &Name) -> String {
    format!("containers/{container}/exit")
}

impl Store {
    /// A record by its object's name: none when there is none, or it is of another boot.
    ///
    /// # Errors
    /// A file that is truncated, foreign or of a newer netcell is an error that names its path.
    pub fn read<R: Record>(&self, name: &Name) -> Result<Option<Box<R>>> {
        let path = path_of(R::DIRECTORY, name);
        let mut record = Box::new(R::blank());
        let is_there = self.read_into(&mut *record, &path)?;
        Ok((is_there && record.boot() == self.boot).then_some(record))
    }

    fn read_into(&self, record: &mut dyn Json, path: &str) -> Result<bool> {
        let Some(text) = self.root.read(path)? else {
            return Ok(false);
        };
        fill_from(record, &text).map_err(|why| self.root.not_understood(path, &why))?;
        Ok(true)
    }

    /// All records of a kind, by name; what cannot be read is handed to `broken`, and never hides the others.
    pub fn read_all<R: Record>(&self, broken: &mut dyn FnMut(Error)) -> Result<Vec<R>> {
        let mut records = Vec::new();
        for name in &self.names_of(R::DIRECTORY)? {
            match self.read(name) {
                Ok(record) => records.extend(record.map(|record| *record)),
                Err(error) => broken(error),
            }
        }
        Ok(records)
    }

    /// The names that a directory has something of, in their order.
    pub fn names_of(&self, kind: &str) -> Result<Vec<Name>> {
        let mut names = self.root.names(kind)?;
        names.sort_unstable();
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// The commit: a container's record is renamed into place.
    pub fn write_container(&self, _: &Locked, record: &ContainerRecord) -> Result<()> {
        self.write(&record.name, record)
    }

    /// A sandbox's record; for a bare sandbox it is the commit.
    pub fn write_sandbox(&self, _: &Locked, record: &SandboxRecord) -> Result<()> {
        self.write(&record.name, record)
    }

    /// A network's record. The caller holds the network's lock alone.
    pub fn write_network(&self, record: &NetworkRecord) -> Result<()> {
        self.write(&record.name, record)
    }

    fn write<R: Record>(&self, name: &Name, record: &R) -> Result<()> {
        self.root.write_json(&path_of(R::DIRECTORY, name), record)
    }

    /// Notes that netcell itself is about to turn this sysctl of forwarding on; it stays on, and noted, when the network
    /// goes.
    pub fn note_forwarding(&self, key: &str) -> Result<()> {
        self.root.write_in_place(
            forwarding_note(key),
            &format!("netcell turned {} on\n", key.replace('/', ".")),
        )
    }

    /// Whether netcell itself turned this sysctl of forwarding on.
    pub fn turned_forwarding_on(&self, key: &str) -> Result<bool> {
        self.root.exists(forwarding_note(key))
    }

    /// The name that a full id belongs to.
    pub fn name_of(&self, id: &str) -> Option<Name> {
        self.root.readlink(&format!("ids/{id}"))?.parse().ok()
    }

    /// The names whose id begins with this.
    pub fn names_of_prefix(&self, prefix: &str) -> Result<Vec<Name>> {
        if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(|b| b.is_ascii_hexdigit())
        {
            return Ok(Vec::new());
        }
        let prefix = prefix.to_ascii_lowercase();
        let ids = self.root.names("ids")?;
        Ok(ids
            .iter()
            .filter(|id| id.starts_with(&prefix))
            .filter_map(|id| self.name_of(id))
            .collect())
    }

    /// Makes an id lead to its name.
    pub fn write_id(&self, _: &Locked, id: &Id, name: &Name) -> Result<()> {
        self.root.symlink(name.as_str(), &format!("ids/{id}"))
    }

    /// Makes an id lead nowhere.
    pub fn forget_id(&self, id: &dyn Display) -> Result<()> {
        self.root.unlink(&format!("ids/{id}"))
    }

    /// Forgets a container: its record first, which is the commit of its removal.
    pub fn remove_container(&self, _: &Locked, name: &Name, id: &Id) -> Result<()> {
        self.root
            .unlink(&path_of(ContainerRecord::DIRECTORY, name))?;
        self.root.remove_with_files(&format!("containers/{name}"))?;
        self.forget_id(id)
    }

    /// Forgets what is left of a container whose record somebody has taken away: its directory, and the id of its name.
    pub fn remove_lost(&self, _: &Locked, name: &Name) -> Result<()> {
        for id in &self.root.names("ids")? {
            if self.name_of(id).as_ref() == Some(name) {
                self.forget_id(id)?;
            }
        }
        self.root.remove_with_files(&format!("containers/{name}"))
    }

    /// Forgets a sandbox.
    pub fn remove_sandbox(&self, _: &Locked, name: &Name, id: &Id) -> Result<()> {
        self.root.unlink(&path_of(SandboxRecord::DIRECTORY, name))?;
        self.root.remove_with_files(&format!("sandboxes/{name}"))?;
        self.forget_id(id)
    }

    /// A fresh `exit` file, for a start, locked (flock, exclusive). It has its name only when the start is committed: until
    /// then the earlier one says how the container ended.
    pub fn new_exit(&self, container: &Name) -> Result<OwnedFd> {
        let temporary = exit_of(container) + NEW;
        let exit = self.root.create_again(&temporary)?;
        self.root.lock_unseen(&exit, &temporary)?;
        Ok(exit)
    }

    /// Gives it its name, before the record is written that has the start. Who waits for an earlier one keeps that one.
    pub fn name_exit(&self, _: &Locked, container: &Name) -> Result<()> {
        let path = exit_of(container);
        self.root.rename(&(path.clone() + NEW), &path)
    }

    /// Takes it away, of a start that has failed.
    pub fn drop_exit(&self, container: &Name) -> Result<()> {
        self.root.unlink(&(exit_of(container) + NEW))
    }

    /// Writes one of a sandbox's derived files in place, so that bind mounts of it see the new text.
    pub fn write_derived(&self, sandbox: &Name, file: &str, text: &str) -> Result<()> {
        self.root
            .write_in_place(&format!("sandboxes/{sandbox}/{file}"), text)
    }
}
