//! A container's record: what it is, what it is set to, what has become of it.

use super::{Process, UnixNanos};
use crate::engine::settings::Settings;
use crate::engine::spec::Image;
use crate::types::json::json_object;
use crate::types::{Id, Labels, Name, PortMapping};

/// `containers/NAME/record.json`.
#[derive(Debug, Clone)]
pub struct ContainerRecord {
    /// [`VERSION`](super::VERSION).
    pub version: u32,
    /// /proc/sys/kernel/random/boot_id of the boot that wrote it.
    pub boot: String,
    /// Counts the changing operations on this container; intents name it.
    pub generation: u32,
    /// The container's id.
    pub id: Id,
    /// The container's name.
    pub name: Name,
    /// The sandbox it is a member of; none with `--network host`.
    pub sandbox: Option<Name>,
    /// The network mode as Docker's HostConfig.NetworkMode says it: `bridge`, `none`, `host`, a network's name, `container:<id>`.
    pub network_mode: String,
    /// The ports it asked for itself.
    pub publish: Vec<PortMapping>,
    /// Its root filesystem.
    pub image: Image,
    /// Program and arguments.
    pub command: Vec<String>,
    /// The whole environment, in order.
    pub env: Vec<String>,
    /// Working directory; the root when absent.
    pub workdir: Option<String>,
    /// `USER[:GROUP]` as typed.
    pub user: Option<String>,
    /// The UTS host name.
    pub hostname: String,
    /// When it was created.
    pub created: UnixNanos,
    /// Remove it when its process ends.
    pub auto_remove: bool,
    /// Whether its stdin was kept open.
    pub interactive: bool,
    /// Whether it has a terminal.
    pub terminal: bool,
    /// The most the log may keep, in bytes.
    pub log_max: u64,
    /// What its user has called it, beside its name.
    pub labels: Labels,
    /// What else it is set to; none for nothing.
    pub settings: Option<Settings>,
    /// The file of `apply` that it came from; none for one made by hand.
    pub applied: Option<String>,
    /// What its restart policy has come to; none before its first end, or a start by hand.
    pub again: Option<Again>,
    /// Its last start; none while it has never run.
    pub start: Option<Start>,
    /// Why the last start failed to execute the command, if it did.
    pub failure: Option<Failure>,
}
json_object!(ContainerRecord {
    version,
    boot,
    generation,
    id,
    name,
    sandbox,
    network_mode,
    publish,
    image,
    command,
    env,
    workdir,
    user,
    hostname,
    created,
    auto_remove,
    interactive,
    terminal,
    log_max,
    labels,
    settings,
    applied,
    again,
    start,
    failure
});

impl ContainerRecord {
    /// What else it is set to.
    pub fn settings(&self) -> &Settings {
        self.settings.as_ref().unwrap_or(Settings::NONE)
    }
}

/// One start of a container.
#[derive(Debug, Clone)]
pub struct Start {
    /// When.
    pub at: UnixNanos,
    /// PID 1 of the container, as the host numbers it.
    pub pid: u32,
    /// Its start time in clock ticks since boot (field 22 of /proc/PID/stat, proc(5)): tells a reused pid.
    pub pid_start: u64,
    /// The monitor's pid.
    pub monitor: u32,
    /// The `run` that stays with it, until it ends or leaves it on purpose.
    pub foreground: Option<Process>,
}
json_object!(Start {
    at,
    pid,
    pid_start,
    monitor,
    foreground
});

impl Start {
    /// PID 1 of the container.
    pub fn process(&self) -> Process {
        Process {
            pid: self.pid,
            start: self.pid_start,
        }
    }
}

/// Starts by a policy.
#[derive(Debug, Clone, Default)]
pub struct Again {
    /// How many there were since the last one by hand.
    pub count: u32,
    /// The pause before the last one, in nanoseconds.
    pub pause: u64,
    /// When the next one is due, while it is waited for.
    pub due: Option<UnixNanos>,
    /// The user wants no more of them.
    pub stopped: bool,
}
json_object!(Again {
    count,
    pause,
    due,
    stopped
});

/// A start whose command could not be executed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// 126 or 127.
    pub code: u8,
    /// The sentence.
    pub text: String,
}
json_object!(Failure { code, text });

/// How a container's process ended: the content of its `exit` file.
#[derive(Debug, Clone, Copy)]
pub struct Exit {
    /// The exit status, or 128 plus the signal.
    pub code: u8,
    /// When.
    pub at: UnixNanos,
}
json_object!(Exit { code, at });
