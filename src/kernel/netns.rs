//! Pinned network namespaces: `/run/netns/NAME`, where `ip netns` keeps its own.

use super::snapshot::{Inside, Snapshot};
use super::sockets::Sockets;
use super::{Channel, Holds, Op, Operation};
use crate::error::{Error, Result};
use crate::sys::netns::{self, NetNs};
use crate::types::Name;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where pins are, as iproute2 has it (NETNS_RUN_DIR in include/namespace.h).
pub const DIRECTORY: &str = "/run/netns";

/// The pin of a sandbox.
pub fn pin_path(sandbox: &Name) -> PathBuf {
    Path::new(DIRECTORY).join(sandbox.as_str())
}

/// Refuses a name whose pin exists: nobody's but its maker's to touch.
pub fn refuse_taken_pin(sandbox: &Name) -> Result<()> {
    let path = pin_path(sandbox);
    match netns::is_pin(&path) {
        None => Ok(()),
        Some(_) => Err(Error::new(format_args!(
            "cannot make the sandbox {sandbox}: no record names what is at {}, and it may be of another state directory; `ip netns delete {sandbox}` removes it",
            path.display()
        ))),
    }
}

/// Checks that a sandbox's pin is there and is a namespace.
pub fn check_pin(sandbox: &Name) -> Result<()> {
    let path = pin_path(sandbox);
    match netns::is_pin(&path) {
        Some(true) => Ok(()),
        Some(false) => Err(Error::new(format_args!(
            "the sandbox {sandbox} is broken: {} is no network namespace any more; `netcell reconcile` makes it again",
            path.display()
        ))),
        None => Err(Error::new(format_args!(
            "the sandbox {sandbox} is broken: its pin {} is gone; `netcell reconcile` makes it again",
            path.display()
        ))),
    }
}

/// Whether a pin that was given another name is there under that one alone: its old name may still be an empty file. That
/// one cannot be looked at (ENOMEM) does not say so.
pub fn is_moved(from: &Name, to: &Name) -> bool {
    match netns::is_pin(&pin_path(from)) {
        None => true,
        Some(false) => netns::is_pin(&pin_path(to)) == Some(true),
        Some(true) => false,
    }
}

/// Makes a namespace and pins it.
#[derive(Debug, Clone)]
pub struct Pin {
    /// The sandbox.
    pub name: Name,
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ip netns add {}", self.name)
    }
}

impl Operation for Pin {
    fn channel(&self) -> Channel {
        Channel::Syscall
    }

    fn act(&self, sockets: &mut Sockets) -> Result<()> {
        let path = pin_path(&self.name);
        prepare()?;
        sockets.create_and_pin(&self.name, &path)
    }

    fn holds(&self, now: &Snapshot) -> Holds {
        match now.inside {
            Inside::Gone => Holds::No,
            Inside::Unseen | Inside::Seen(_) => Holds::Yes,
        }
    }

    fn inverse(&self) -> Option<Op> {
        Some(
            Unpin {
                name: self.name.clone(),
            }
            .into(),
        )
    }
}

/// The first pin of this boot; or somebody made the directory alone, and no pin would reach other namespaces.
fn prepare() -> Result<()> {
    let directory = Path::new(DIRECTORY);
    match netns::is_mount_point(directory) {
        true => Ok(()),
        false => netns::prepare_pin_directory(directory),
    }
}

/// Pins the namespace that a process is in, where the sandbox's own pin is gone.
#[derive(Debug, Clone)]
pub struct PinOf {
    /// The sandbox.
    pub name: Name,
    /// A process of one of its members.
    pub pid: u32,
}

impl fmt::Display for PinOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ip netns attach {} {}", self.name, self.pid)
    }
}

impl Operation for PinOf {
    fn channel(&self) -> Channel {
        Channel::Syscall
    }

    fn act(&self, _: &mut Sockets) -> Result<()> {
        prepare()?;
        netns::pin_of(self.pid, &pin_path(&self.name))
    }
}

/// Takes a pin away; with the last reference to the namespace go all its links.
#[derive(Debug, Clone)]
pub struct Unpin {
    /// The sandbox.
    pub name: Name,
}

impl fmt::Display for Unpin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ip netns delete {}", self.name)
    }
}

impl Operation for Unpin {
    fn channel(&self) -> Channel {
        Channel::Syscall
    }

    fn act(&self, sockets: &mut Sockets) -> Result<()> {
        sockets.leave(&self.name);
        netns::unpin(&pin_path(&self.name))
    }
}

/// Pins a sandbox's namespace under another name, too.
#[derive(Debug, Clone)]
pub struct Repin {
    /// The sandbox, as it is named.
    pub name: Name,
    /// As it is to be named.
    pub to: Name,
}

impl fmt::Display for Repin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (pin_path(&self.name), pin_path(&self.to));
        let (from, to) = (from.display(), to.display());
        write!(f, "touch {to} && mount --bind {from} {to}")
    }
}

impl Operation for Repin {
    fn channel(&self) -> Channel {
        Channel::Syscall
    }

    fn act(&self, _: &mut Sockets) -> Result<()> {
        netns::repin(&pin_path(&self.name), &pin_path(&self.to))
    }

    fn inverse(&self) -> Option<Op> {
        Some(
            Unpin {
                name: self.to.clone(),
            }
            .into(),
        )
    }
}

/// Opens a sandbox's namespace by its pin.
pub fn open(sandbox: &Name) -> Result<NetNs> {
    NetNs::open(&pin_path(sandbox))
}
