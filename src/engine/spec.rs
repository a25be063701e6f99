//! What is asked of the engine: parsed by a face, complete, and not validated again below.

use crate::types::json::json_object;
use crate::types::{Cidr, Name, PortMapping};
use std::path::PathBuf;

/// Where netcell keeps its things; a face fills it from options and the environment.
#[derive(Debug, Clone)]
pub struct Places {
    /// Records, leases, intents: `/run/netcell`.
    pub state: PathBuf,
    /// Root filesystems by name: `/var/lib/netcell/images`.
    pub images: PathBuf,
}

/// The network a sandbox is to have, as `--network` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkMode {
    /// A namespace with `lo` alone.
    None,
    /// No namespace of its own.
    Host,
    /// The sandbox of another container, by name, id or unique id prefix.
    Container(String),
    /// A network by name, id or unique id prefix; `bridge` is made on first use.
    Network(String),
}

/// A container to create, and with `run` to start.
#[derive(Debug, Clone)]
pub struct ContainerSpec {
    /// Its name; generated when absent.
    pub name: Option<Name>,
    /// The image as typed: a name under the image directory, or a path with a slash; `/` is the host's own root.
    pub image: String,
    /// The program and its arguments; empty only for `run` without a command and a bare `create`.
    pub command: Vec<String>,
    /// `KEY=VALUE` entries, in order, added to netcell's defaults.
    pub env: Vec<String>,
    /// The working directory inside; the root when absent.
    pub workdir: Option<String>,
    /// `USER[:GROUP]`, names or numbers; root when absent.
    pub user: Option<String>,
    /// The UTS host name; the short id when absent.
    pub hostname: Option<String>,
    /// The network.
    pub network: NetworkMode,
    /// Ports to publish.
    pub publish: Vec<PortMapping>,
    /// Remove the container when its process ends.
    pub auto_remove: bool,
    /// Keep stdin open.
    pub interactive: bool,
    /// The most that the log may keep, in bytes, in two files together.
    pub log_max: u64,
}

/// A sandbox to create without any container.
#[derive(Debug, Clone)]
pub struct SandboxSpec {
    /// Its name; generated when absent.
    pub name: Option<Name>,
    /// The host name its files say; the name when absent.
    pub hostname: Option<String>,
    /// The network; host and container modes are refused.
    pub network: NetworkMode,
    /// Ports to publish.
    pub publish: Vec<PortMapping>,
}

/// A command to run in a container or a bare sandbox.
#[derive(Debug, Clone)]
pub struct ExecSpec {
    /// The program and its arguments; never empty.
    pub command: Vec<String>,
    /// `KEY=VALUE` entries added to the container's own.
    pub env: Vec<String>,
    /// The working directory; the container's when absent.
    pub workdir: Option<String>,
    /// `USER[:GROUP]`; the container's when absent.
    pub user: Option<String>,
    /// Hand stdin on.
    pub interactive: bool,
    /// Return at once, without its output.
    pub detach: bool,
    /// The caller's own environment, `KEY=VALUE`: what a command in a bare sandbox has.
    pub caller_env: Vec<String>,
}

/// A network to create.
#[derive(Debug, Clone)]
pub struct NetworkSpec {
    /// Its name.
    pub name: Name,
    /// Its IPv4 subnet; the first free pool when absent.
    pub subnet: Option<Cidr>,
}

/// An image: a root filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// As it was typed, for lists.
    pub name: String,
    /// The directory; `/` is the host's own root.
    pub root: PathBuf,
}
json_object!(Image { name, root });
