//! What the engine answers when it is asked about something: records joined with what the kernel says now.

use crate::engine::record::{ContainerRecord, Exit, NetworkRecord, SandboxRecord};
use crate::engine::spec::Image;
use crate::error::{Error, Result};
use crate::types::Id;
use std::path::PathBuf;

/// Whether a container's process exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It has never run, or its last start could not execute the command.
    Created,
    /// PID 1 of the container is alive.
    Running,
    /// It has ended, and is about to be started again by its restart policy.
    Restarting,
    /// It has ended.
    Exited,
}

/// A container as it is now.
#[derive(Debug, Clone)]
pub struct Container {
    /// Its record.
    pub record: Box<ContainerRecord>,
    /// The sandbox it is a member of; none with `--network host`.
    pub sandbox: Option<Box<SandboxRecord>>,
    /// What its process does.
    pub status: Status,
    /// How it ended, when it has.
    pub exit: Option<Exit>,
    /// Where its files are.
    pub files: Files,
}

impl Container {
    /// PID 1 as the host numbers it; 0 while nothing runs.
    pub fn pid(&self) -> u32 {
        match (&self.record.start, self.status) {
            (Some(start), Status::Running) => start.pid,
            _ => 0,
        }
    }

    /// The image.
    pub fn image(&self) -> &Image {
        &self.record.image
    }
}

/// Paths that `inspect` names.
#[derive(Debug, Clone)]
pub struct Files {
    /// `/run/netns/NAME`; none with `--network host`.
    pub pin: Option<PathBuf>,
    /// The sandbox's /etc/hosts.
    pub hosts: PathBuf,
    /// The sandbox's /etc/hostname.
    pub hostname: PathBuf,
    /// The sandbox's /etc/resolv.conf.
    pub resolv: PathBuf,
    /// The current log file.
    pub log: PathBuf,
}

/// What a name, an id or a unique id prefix stands for.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A container, which is looked for first.
    Container(Box<Container>),
    /// A sandbox: one created alone, or one whose first container is gone.
    Sandbox(Box<SandboxRecord>, Files),
}

impl Subject {
    /// Its id.
    pub fn id(&self) -> Id {
        match self {
            Subject::Container(container) => container.record.id,
            Subject::Sandbox(sandbox, _) => sandbox.id,
        }
    }

    /// The sandbox that it is, or is in; none with `--network host`.
    pub fn sandbox(&self) -> Option<&SandboxRecord> {
        match self {
            Subject::Container(container) => container.sandbox.as_deref(),
            Subject::Sandbox(sandbox, _) => Some(sandbox),
        }
    }

    /// The container that it is.
    ///
    /// # Errors
    /// A sandbox without one.
    pub fn container(self) -> Result<Container> {
        match self {
            Subject::Container(container) => Ok(*container),
            Subject::Sandbox(sandbox, _) => Err(Error::new(format_args!(
                "{} is a sandbox without a process of its own",
                sandbox.name
            ))),
        }
    }
}

/// A network and who is on it.
#[derive(Debug, Clone)]
pub struct Network {
    /// Its record.
    pub record: Box<NetworkRecord>,
    /// The sandboxes that have an endpoint on it, by name, each with the id of its first container, or its own.
    pub users: Vec<(Id, SandboxRecord)>,
}
