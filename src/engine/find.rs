//! Finding: by full id, exact name, with or without a slash before it, or unique id prefix, and what the thing found is doing
//! now.

use crate::engine::Engine;
use crate::engine::Run;
use crate::engine::process::{Handle, log};
use crate::engine::record::{ContainerRecord, Exit, SandboxRecord};
use crate::engine::restart::LATE;
use crate::engine::store::{Directory, Locked, Store, exit_of};
use crate::engine::view::{Container, Files, Status, Subject};
use crate::error::{Error, Result};
use crate::kernel::netns::pin_path;
use crate::sys::fd::read_at;
use crate::sys::lock::{self, Hold};
use crate::sys::time;
use crate::types::{Name, json};
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;

/// A container with what stays its own though it gets another name, or is removed.
pub(super) struct Held {
    pub container: Container,
    /// Its directory.
    pub home: Directory,
    /// Its `exit` file, of its last start: who starts it again has another.
    pub exit: Option<OwnedFd>,
}

impl Engine {
    /// The container or sandbox that a reference means.
    ///
    /// # Errors
    /// `No such container: X`, and a prefix that several ids begin with.
    pub fn find(&self, reference: &str) -> Result<Subject> {
        self.look_up(reference)?.ok_or_else(|| no_such(reference))
    }

    /// The container or sandbox that a reference means, if there is one.
    ///
    /// # Errors
    /// A prefix that several ids begin with.
    pub fn look_up(&self, reference: &str) -> Result<Option<Subject>> {
        let found = self.look(reference)?;
        let is_whole = match &found {
            Some(Subject::Container(found)) => {
                found.sandbox.is_some() || found.record.sandbox.is_none()
            }
            Some(Subject::Sandbox(sandbox, _)) => sandbox.bare,
            None => false,
        };
        if is_whole {
            return Ok(found);
        }
        // It may just be given another name, and is in neither place whole. Who cannot lock does not rename, either.
        let _locked = self.store.lock().ok();
        self.look_closely(reference)
    }

    /// The same for who holds `lock`.
    ///
    /// # Errors
    /// As there, and a container that has lost its record.
    pub(super) fn look_closely(&self, reference: &str) -> Result<Option<Subject>> {
        let found = self.look(reference)?;
        match self.lost_name(found.as_ref(), reference)? {
            Some(lost) => Err(self.lost_container(&lost)),
            None => Ok(found),
        }
    }

    /// The same as [`Engine::find`] for who holds `lock`: it has its name until that is let go, or as long as an intent is on
    /// it.
    pub(super) fn find_under(&self, _: &Locked, reference: &str) -> Result<Subject> {
        self.look_closely(reference)?
            .ok_or_else(|| no_such(reference))
    }

    /// The container or sandbox that a reference means; none also where its names do not fit together, as for a moment
    /// while it is given another one.
    pub(super) fn look(&self, reference: &str) -> Result<Option<Subject>> {
        let by_name = reference.strip_prefix('/');
        let name = match self.store.name_of(reference) {
            Some(name) => name,
            None => match by_name.unwrap_or(reference).parse::<Name>() {
                Ok(name) if by_name.is_some() || self.is_known(&name)? => {
                    return self.subject(&name);
                }
                _ => match self.store.names_of_prefix(reference)?.as_slice() {
                    [name] => name.clone(),
                    [] => return self.without_link(reference),
                    _ => {
                        return Err(Error::new(format_args!(
                            "Multiple IDs found with provided prefix: {reference}"
                        )));
                    }
                },
            },
        };
        let prefix = reference.to_ascii_lowercase();
        let found = self.subject(&name)?;
        Ok(found.filter(|found| found.id().to_string().starts_with(&prefix)))
    }

    /// The container of this id, where the link from there to its name is lost.
    // Rarely needed, and larger where it is inlined.
    #[inline(never)]
    fn without_link(&self, id: &str) -> Result<Option<Subject>> {
        if id.len() == 64 {
            for record in &self.store.read_all::<ContainerRecord>(&mut |_| {})? {
                if record.id.to_string() == id {
                    return self.subject(&record.name);
                }
            }
        }
        Ok(None)
    }

    /// The container that a reference means.
    ///
    /// # Errors
    /// As [`Engine::find`], and for a sandbox without a container a sentence that says what it is.
    pub fn find_container(&self, reference: &str) -> Result<Container> {
        self.find(reference)?.container()
    }

    /// The same, and its files.
    pub(super) fn hold(&self, reference: &str) -> Result<Held> {
        // Who cannot lock does not rename, either.
        let _locked = self.store.lock().ok();
        let container = self
            .look_closely(reference)?
            .ok_or_else(|| no_such(reference))?;
        let container = container.container()?;
        let name = &container.record.name;
        let path = format!("containers/{name}");
        let exit = exit_of(name);
        Ok(Held {
            exit: self.store.root.open_file(&exit, OFlags::RDONLY)?,
            home: Directory::open(&self.store.path(&path))?,
            container,
        })
    }

    /// Every container, and every sandbox that has none of its own name, by name.
    pub fn containers(&self, run: &mut Run) -> Result<Vec<Subject>> {
        let broken = &mut |error: Error| run.say.note(&error);
        let containers = self.store.read_all::<ContainerRecord>(broken)?;
        let sandboxes = self.store.read_all::<SandboxRecord>(broken)?;
        for (_, lost) in self.losses(None, &containers, &sandboxes)? {
            broken(lost);
        }
        let alone = sandboxes
            .iter()
            .filter(|s| s.bare && !containers.iter().any(|c| c.name == s.name));
        let alone: Vec<_> = alone
            .map(|s| Subject::Sandbox(Box::new(s.clone()), self.files(&s.name, Some(s))))
            .collect();
        let mut subjects = Vec::with_capacity(containers.len() + alone.len());
        for record in containers {
            let sandbox = record
                .sandbox
                .as_ref()
                .and_then(|name| sandboxes.iter().find(|s| s.name == *name));
            let sandbox = sandbox.map(|sandbox| Box::new(sandbox.clone()));
            match self.container(Box::new(record), sandbox) {
                Ok(container) => subjects.push(Subject::Container(Box::new(container))),
                Err(error) => broken(error),
            }
        }
        subjects.extend(alone);
        Ok(subjects)
    }

    fn is_known(&self, name: &Name) -> Result<bool> {
        let record = |kind| {
            self.store
                .root
                .exists(&format!("{kind}/{name}/record.json"))
        };
        Ok(record("containers")? || record("sandboxes")?)
    }

    fn subject(&self, name: &Name) -> Result<Option<Subject>> {
        if let Some(record) = self.store.read::<ContainerRecord>(name)? {
            let sandbox = match &record.sandbox {
                Some(sandbox) => self.store.read::<SandboxRecord>(sandbox)?,
                None => None,
            };
            let sandbox = sandbox.filter(|sandbox| sandbox.members.contains(name));
            return Ok(Some(Subject::Container(Box::new(
                self.container(record, sandbox)?,
            ))));
        }
        let sandbox = self.store.read::<SandboxRecord>(name)?;
        Ok(sandbox.map(|sandbox| {
            let files = self.files(name, Some(&sandbox));
            Subject::Sandbox(sandbox, files)
        }))
    }

    fn container(
        &self,
        record: Box<ContainerRecord>,
        sandbox: Option<Box<SandboxRecord>>,
    ) -> Result<Container> {
        let (status, exit) = status(&self.store, &record)?;
        let files = self.files(&record.name, sandbox.as_deref());
        Ok(Container {
            record,
            sandbox,
            status,
            exit,
            files,
        })
    }

    fn files(&self, container: &Name, sandbox: Option<&SandboxRecord>) -> Files {
        let derived = |file: &str| match sandbox {
            Some(sandbox) => self
                .store
                .path(&format!("sandboxes/{}/{file}", sandbox.name)),
            None => std::path::PathBuf::from(format!("/etc/{file}")),
        };
        Files {
            pin: sandbox.map(|sandbox| pin_path(&sandbox.name)),
            hosts: derived("hosts"),
            hostname: derived("hostname"),
            resolv: derived("resolv.conf"),
            log: self
                .store
                .path(&format!("containers/{container}/{}", log::CURRENT)),
        }
    }
}

/// The exit code of a container whose monitor died before it: SIGKILL's, the likeliest end.
pub const LOST: u8 = 137;

/// The reference that means this name alone, and no id that begins so: Docker's, too.
pub fn by_name(name: &Name) -> String {
    format!("/{name}")
}

/// Docker's sentence for a reference that means nothing.
pub fn no_such(reference: &str) -> Error {
    Error::new(format_args!("No such container: {reference}"))
}

/// What a container's process does. The monitor holds the `exit` file's lock for life and writes it at the end; where
/// it died before that, PID 1 itself is asked.
pub fn status(store: &Store, record: &ContainerRecord) -> Result<(Status, Option<Exit>)> {
    let Some(start) = &record.start else {
        return Ok((Status::Created, None));
    };
    if record.failure.is_some() {
        return Ok((Status::Created, None));
    }
    let path = exit_of(&record.name);
    if let Some(exit) = read_exit(store, &path)? {
        return Ok((ended(record), Some(exit)));
    }
    if let Some(fd) = store.root.open_file(&path, OFlags::RDONLY)? {
        let free = lock::try_lock(&fd, Hold::Shared)
            .map_err(|errno| store.root.error("lock", &path, errno))?;
        if !free {
            return Ok((Status::Running, None));
        }
        // It may have been written between the first look and the lock.
        if let Some(exit) = read_exit(store, &path)? {
            return Ok((ended(record), Some(exit)));
        }
    }
    if Handle::open(start.process())?.is_some() {
        return Ok((Status::Running, None));
    }
    Ok((
        Status::Exited,
        Some(Exit {
            code: LOST,
            at: start.at,
        }),
    ))
}

/// What a container whose process has ended is doing.
fn ended(record: &ContainerRecord) -> Status {
    let due = record.again.as_ref().and_then(|again| again.due);
    match due {
        Some(due) if time::now() < due.saturating_add(LATE) => Status::Restarting,
        _ => Status::Exited,
    }
}

/// The end of a container as its `exit` file has it, once its lock is free.
pub fn exit_in(exit: &OwnedFd) -> Option<Exit> {
    let mut bytes = [0; 256];
    let length = read_at(exit, &mut bytes, 0).ok()?;
    json::from_slice(bytes.get(..length)?).ok()
}

fn read_exit(store: &Store, path: &str) -> Result<Option<Exit>> {
    match store.root.read(path)? {
        Some(bytes) if !bytes.is_empty() => Ok(json::from_slice(&bytes).ok()),
        _ => Ok(None),
    }
}

/// Those of a sandbox's possible members that really are: their record names it, or is lost, or an operation that may yet
/// commit such a record is under way. The caller holds `lock`.
pub fn members(store: &Store, sandbox: &SandboxRecord) -> Result<Vec<Name>> {
    let mut members = Vec::with_capacity(sandbox.members.len());
    for name in &sandbox.members {
        let names_it = match store.read::<ContainerRecord>(name) {
            Ok(Some(record)) => record.sandbox.as_ref() == Some(&sandbox.name),
            Ok(None) => store.root.exists(&format!("containers/{name}"))?,
            // Unreadable is not gone: what it may use must stay.
            Err(_) => true,
        };
        if names_it || store.is_under_way(name)? {
            members.push(name.clone());
        }
    }
    Ok(members)
}

/// Docker's sentence for a name that is taken.
pub fn conflict(name: &Name, holder: &str) -> Error {
    Error::new(format_args!(
        "Conflict. The container name \"/{name}\" is already in use by {holder}. You have to remove (or rename) that container to be able to reuse that name."
    ))
}
