//! Sysctls under /proc/sys/net, of the host or of a sandbox: a file there belongs to the namespace of the process that
//! opens it (proc_sys(5)).

use super::mount::Step;
use super::snapshot::Snapshot;
use super::sockets::Sockets;
use super::{Channel, Holds, Operation, Place};
use crate::error::{Errno, Error, Result};
use crate::sys::fd::write_all;
use crate::sys::file;
use crate::sys::path::{self, Links};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, StatVfsMountFlags, open, statvfs};
use rustix::io::retry_on_intr;
use std::fmt;
use std::path::PathBuf;

/// IPv4 forwarding: the one global thing that netcell changes.
pub const FORWARDING: &str = "net/ipv4/ip_forward";

/// IPv6 forwarding.
pub const FORWARDING6: &str = "net/ipv6/conf/all/forwarding";

/// Which groups may send pings without CAP_NET_RAW (icmp(7)).
pub const PING_GROUPS: &str = "net/ipv4/ping_group_range";

/// What begins the keys that a kernel without IPv6 does not have.
const IPV6: &str = "net/ipv6/";

/// The value of a sysctl of the namespace that this process is in; none when the kernel has no such sysctl.
pub fn read(key: &str) -> Option<String> {
    let text = file::text(format!("/proc/sys/{key}")).ok()?;
    Some(text.trim_end().to_owned())
}

/// Whether no sysctl of the host can be set: /proc/sys is mounted read-only, as container engines do it.
pub fn is_sealed() -> bool {
    statvfs("/proc/sys").is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// The link of a default IPv6 route that the kernel itself learnt by a router advertisement, and would throw away when
/// forwarding is turned on (rt6_purge_dflt_routers in net/ipv6/route.c): not where its accept_ra is 2.
pub fn learnt_default_route() -> Option<String> {
    // RTF_DEFAULT and RTF_ADDRCONF (linux/ipv6_route.h); the columns are those of rt6_seq_show.
    const LEARNT: u32 = 0x0001_0000 | 0x0004_0000;
    let text = file::text("/proc/thread-self/net/ipv6_route").ok()?;
    let mut links = text.lines().filter_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let flags = u32::from_str_radix(words.get(8)?, 16).ok()?;
        let link = words.get(9)?;
        (words.get(1)? == &"00" && flags & LEARNT == LEARNT).then(|| (*link).to_owned())
    });
    links.find(|link| read(&format!("net/ipv6/conf/{link}/accept_ra")).as_deref() != Some("2"))
}

/// Sets a sysctl of one place.
#[derive(Debug, Clone)]
pub struct Set {
    place: Place,
    key: String,
    value: &'static str,
}

impl Set {
    /// One sysctl by its path below /proc/sys.
    pub fn one(place: Place, key: impl Into<String>, value: &'static str) -> Self {
        Set {
            place,
            key: key.into(),
            value,
        }
    }

    /// Whether this turns the forwarding of IPv4 or of IPv6 on.
    pub fn is_forwarding(&self) -> Option<&'static str> {
        let keys = [FORWARDING, FORWARDING6];
        keys.into_iter()
            .find(|key| self.place == Place::Host && self.key == *key)
    }
}

fn write(key: &str, value: &str) -> Result<()> {
    let opened = open(
        format!("/proc/sys/{key}"),
        OFlags::WRONLY | OFlags::CLOEXEC,
        Mode::empty(),
    );
    write_to(opened, key, value)
}

fn write_to(opened: Result<OwnedFd, Errno>, key: &str, value: &str) -> Result<()> {
    let failed = |errno| {
        let error = Error::os(
            format_args!("set {} to {value}", key.replace('/', ".")),
            errno,
        );
        match errno {
            Errno::ROFS => error.because("/proc/sys is mounted read-only"),
            _ => error,
        }
    };
    let fd = match opened {
        Ok(fd) => fd,
        // A kernel without IPv6 has nothing that could be open to its advertisements.
        Err(Errno::NOENT) if key.starts_with(IPV6) => return Ok(()),
        // Read-only /proc/sys is fatal only where the value is not there already.
        Err(errno) if read(key).as_deref() != Some(value) => return Err(failed(errno)),
        Err(_) => return Ok(()),
    };
    match write_all(&fd, value.as_bytes(), None) {
        Ok(()) => Ok(()),
        // In a user namespace not every group is mapped: pings without CAP_NET_RAW stay ruled out there, as in Docker.
        Err(Errno::INVAL) if key == PING_GROUPS => Ok(()),
        Err(errno) => Err(failed(errno)),
    }
}

/// A sysctl of the network namespace that a container's first process is in, which it sets through its own, new /proc.
///
/// Never through the host's: there the first look at a namespace's files walks over those of every other namespace
/// (proc_sys_compare in fs/proc/proc_sysctl.c), half a microsecond each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// The root that /proc is mounted in.
    pub root: PathBuf,
    /// Its path below /proc/sys.
    pub key: &'static str,
    /// The kernel's value for a new namespace: what another member of the sandbox has changed stays.
    pub from: &'static str,
    /// The value it gets.
    pub to: &'static str,
}

impl Step for Inside {
    fn act(&self) -> Result<()> {
        let path = format!("proc/sys/{}", self.key);
        let open = |flags| path::beneath(path::directory(&self.root)?, &path, flags, Links::Refuse);
        let mut now = [0; 32];
        let length = open(OFlags::RDONLY)
            .and_then(|fd| retry_on_intr(|| rustix::io::read(&fd, &mut now[..])));
        let now = std::str::from_utf8(&now[..length.unwrap_or(0)]).unwrap_or_default();
        if length.is_ok() && now.trim_end() != self.from {
            return Ok(());
        }
        write_to(open(OFlags::WRONLY), self.key, self.to)
    }
}

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.root.join("proc/sys").join(self.key);
        let (path, from, to) = (path.display(), self.from, self.to);
        write!(
            f,
            "[ \"$(cat {path})\" != '{from}' ] || echo '{to}' >{path} || true"
        )
    }
}

/// A sysctl of a container's namespaces that its user asked for, set in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The root that /proc is mounted in.
    pub root: PathBuf,
    /// Its path below /proc/sys.
    pub key: String,
    /// The value it gets.
    pub value: String,
}

impl Step for Asked {
    fn act(&self) -> Result<()> {
        let path = format!("proc/sys/{}", self.key);
        let set = || {
            let root = path::directory(&self.root)?;
            let fd = path::beneath(root, &path, OFlags::WRONLY, Links::Refuse)?;
            write_all(fd, self.value.as_bytes(), None)
        };
        let key = self.key.replace('/', ".");
        set().map_err(|errno| {
            let error = Error::os(format_args!("set {key} to {}", self.value), errno);
            match errno {
                Errno::NOENT => error.because("this kernel has no such sysctl"),
                _ => error,
            }
        })
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.root.join("proc/sys").join(&self.key);
        write!(f, "echo '{}' >{}", self.value, path.display())
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Set { place, key, value } = self;
        if let Place::Sandbox(name) = place {
            write!(f, "ip netns exec {name} ")?;
        }
        // A dot in an interface's name would end the key's part: sysctl(8) takes slashes too.
        write!(f, "sysctl -qw '{key}={value}'")
    }
}

impl Operation for Set {
    fn channel(&self) -> Channel {
        Channel::Syscall
    }

    fn act(&self, sockets: &mut Sockets) -> Result<()> {
        match &self.place {
            Place::Host => write(&self.key, self.value),
            Place::Sandbox(name) => sockets.within(name, || write(&self.key, self.value))?,
        }
    }

    // No inverse: forwarding may be somebody's by the time this is undone, and the rest goes with its link or namespace.

    fn holds(&self, now: &Snapshot) -> Holds {
        if self.place != Place::Host {
            // Not looked at, which costs as much as there are namespaces (proc_sys_compare in fs/proc/proc_sysctl.c): it was
            // set when its link was made, or the namespace was.
            let of = self.key.split('/').nth(3).unwrap_or_default();
            return now.holds_at(&self.place, |now| {
                of == "default" || now.links.iter().any(|link| link.name == of)
            });
        }
        let holds = match read(&self.key) {
            Some(now) => now == self.value,
            None => self.key.starts_with(IPV6) && !file::exists("/proc/sys/net/ipv6".as_ref()),
        };
        if holds { Holds::Yes } else { Holds::No }
    }
}
