//! Sysctls under /proc/sys/net, of the host or of a sandbox: a file there belongs to the namespace of the process that
//! opens it (proc_sys(5)).

use super::snapshot::Snapshot;
use super::sockets::Sockets;
use super::{Channel, Holds, Op, Operation, Place};
use crate::error::{Errno, Error, Result};
use rustix::fs::{Mode, OFlags, open};
use std::fmt;

/// IPv4 forwarding: the one global thing that netcell changes.
pub const FORWARDING: &str = "net/ipv4/ip_forward";

/// The value of a sysctl of the namespace that this process is in; none when the kernel has no such sysctl.
pub fn read(key: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/sys/{key}")).ok()?;
    Some(text.trim_end().to_owned())
}

/// Sets a sysctl.
#[derive(Debug, Clone)]
pub struct Set {
    place: Place,
    key: String,
    value: String,
}

impl Set {
    /// A sysctl by its path below /proc/sys.
    pub fn new(place: Place, key: &str, value: &str) -> Self {
        Set {
            place,
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }

    /// Whether this turns IPv4 forwarding on.
    pub fn is_forwarding(&self) -> bool {
        self.place == Place::Host && self.key == FORWARDING
    }

    fn write(&self) -> Result<()> {
        let path = format!("/proc/sys/{}", self.key);
        let failed = |errno| {
            Error::os(
                format_args!("set {} to {}", self.key.replace('/', "."), self.value),
                errno,
            )
        };
        let fd = match open(
            path.as_str(),
            OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::empty(),
        ) {
            Ok(fd) => fd,
            // A kernel without IPv6 has nothing that could be open to its advertisements.
            Err(Errno::NOENT) if self.key.starts_with("net/ipv6/") => return Ok(()),
            // Read-only /proc/sys is fatal only where the value is not there already.
            Err(errno) if read(&self.key).as_deref() != Some(self.value.as_str()) => {
                return Err(failed(errno));
            }
            Err(_) => return Ok(()),
        };
        rustix::io::write(&fd, self.value.as_bytes())
            .map(drop)
            .map_err(failed)
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Place::Sandbox(name) = &self.place {
            write!(f, "ip netns exec {name} ")?;
        }
        // A slash in an interface's name is a dot of the key, so the key keeps its slashes, which sysctl(8) takes too.
        write!(f, "sysctl -qw '{}={}'", self.key, self.value)
    }
}

impl Operation for Set {
    fn channel(&self) -> Channel {
        Channel::Syscall
    }

    fn act(&self, sockets: &mut Sockets) -> Result<()> {
        match &self.place {
            Place::Host => self.write(),
            Place::Sandbox(name) => sockets.namespace(name)?.within(|| self.write())?,
        }
    }

    fn inverse(&self) -> Option<Op> {
        // Forwarding may be somebody's by the time this is undone, and the rest goes with its link or namespace.
        None
    }

    fn holds(&self, _: &Snapshot) -> Holds {
        match (&self.place, read(&self.key)) {
            (Place::Host, Some(value)) if value == self.value => Holds::Yes,
            (Place::Host, None)
                if self.key.starts_with("net/ipv6/")
                    && !std::path::Path::new("/proc/sys/net/ipv6").exists() =>
            {
                Holds::Yes
            }
            _ => Holds::No,
        }
    }
}
