//! Mounts: the operations that a container's root file system is built of.
//!
//! Each is done by the container's own first process in its own mount namespace, in order, before anything foreign
//! runs there. A place inside an image is opened beneath the image's root ([`At::Within`]): whatever symbolic links
//! the image holds, nothing of the host is mounted over, made or removed. A mount is made detached and put on the
//! open place. The `Display` of each is the `mount`, `mkdir`, `ln` or `pivot_root` line that does the same.

mod etc;
mod root;
mod shield;
mod table;
mod volume;

pub use etc::{EtcFile, Held};
pub use root::{Overlay, Pivot, ReadOnlyImage};
pub use shield::{Blank, Cover, Device, HostSysfs, Mask, NoDevices, ReadOnly};
pub use volume::{Bind, HostDevices, Memory, ReadOnlyRoot};

use crate::error::{Error, Result};
use crate::sys::mount::{self, Attr, Propagation, Value};
use crate::sys::path::{self, Links};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

/// One step: it can be done, and said.
pub trait Step: Display {
    /// Does it in the calling process's mount namespace.
    fn act(&self) -> Result<()>;
}

/// Where an operation takes place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// A path of the host, whose symbolic links are the administrator's.
    Host(PathBuf),
    /// A path inside an image's root; a symbolic link on it is an error.
    Within {
        /// The root, a path of the host.
        root: PathBuf,
        /// The path beneath it, without a leading slash.
        path: &'static str,
    },
}

impl At {
    pub(super) fn open(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        match self {
            At::Host(path) => {
                rustix::fs::open(path, flags | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            }
            At::Within { root, path } => path::beneath(
                path::directory(root)?,
                path,
                flags | OFlags::PATH,
                Links::Refuse,
            ),
        }
    }

    /// The directory it is in, and its last component.
    pub(super) fn parent(&self) -> Result<(OwnedFd, &Path), Errno> {
        let whole: &Path = match self {
            At::Host(path) => path,
            At::Within { path, .. } => Path::new(path),
        };
        let name = Path::new(whole.file_name().ok_or(Errno::INVAL)?);
        let parent = whole.parent().unwrap_or(Path::new(""));
        let dir = match self {
            At::Host(_) => path::directory(parent)?,
            At::Within { root, .. } if parent.as_os_str().is_empty() => path::directory(root)?,
            At::Within { root, .. } => path::beneath(
                path::directory(root)?,
                parent,
                OFlags::PATH | OFlags::DIRECTORY,
                Links::Refuse,
            )?,
        };
        Ok((dir, name))
    }
}

impl Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Host(path) => path.display().fmt(f),
            At::Within { root, path } => root.join(path).display().fmt(f),
        }
    }
}

/// Read-only, no set-user-id, no devices, no execution: what a file that is only to be read gets.
pub const INERT: Attr = Attr::MOUNT_ATTR_RDONLY
    .union(Attr::MOUNT_ATTR_NOSUID)
    .union(Attr::MOUNT_ATTR_NODEV)
    .union(Attr::MOUNT_ATTR_NOEXEC);

/// The attributes as mount(8) spells them, after `rw` or `ro`.
pub(super) struct Spelt(pub(super) Attr);

impl Display for Spelt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.contains(Attr::MOUNT_ATTR_RDONLY) {
            "ro"
        } else {
            "rw"
        })?;
        [
            (Attr::MOUNT_ATTR_NOSUID, ",nosuid"),
            (Attr::MOUNT_ATTR_NODEV, ",nodev"),
            (Attr::MOUNT_ATTR_NOEXEC, ",noexec"),
        ]
        .into_iter()
        .filter(|(attr, _)| self.0.contains(*attr))
        .try_for_each(|(_, text)| f.write_str(text))
    }
}

/// Errors of a mount that mislead, in words.
pub(super) fn refused(action: &dyn Display, errno: Errno) -> Error {
    let error = Error::os(action, errno);
    match errno {
        Errno::NODEV => error.because("the kernel has no such file system"),
        Errno::LOOP => error.because("the image has a symbolic link in its place"),
        Errno::ROFS => error.because("the image lacks it, and cannot be written"),
        _ => error,
    }
}

/// Puts a copy of a mount on a place with these attributes set and cleared.
pub(super) fn put(copy: OwnedFd, place: OwnedFd, on: Attr, off: Attr) -> Result<(), Errno> {
    match mount::set(&copy, on, off, false) {
        Ok(()) => mount::attach(copy, place),
        // Before 5.12 only an attached mount can be changed: for a moment it is what it was on the host.
        Err(Errno::NOSYS) => {
            mount::attach(&copy, place)?;
            mount::remount(copy.as_fd(), on)
        }
        Err(errno) => Err(errno),
    }
}

/// What happens in this mount namespace stays in it; whether what happens on the host comes into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep(pub Propagation);

impl Step for Keep {
    fn act(&self) -> Result<()> {
        mount::propagate(self.0).map_err(|e| Error::os("keep mounts to a namespace", e))
    }
}

impl Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Propagation::Private => "mount --make-rprivate /",
            Propagation::Slave => "mount --make-rslave /",
        })
    }
}

/// A new file system on an existing directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filesystem {
    /// Its type: `tmpfs`, `proc`.
    pub kind: &'static str,
    /// Its options; an empty value is a flag.
    pub options: &'static [(&'static str, &'static str)],
    /// The directory.
    pub at: At,
    /// The mount's attributes.
    pub attr: Attr,
}

impl Step for Filesystem {
    fn act(&self) -> Result<()> {
        let options = self.options.iter().map(|&(key, value)| match value {
            "" => (key, Value::Flag),
            text => (key, Value::Text(text)),
        });
        self.at
            .open(OFlags::DIRECTORY)
            .and_then(|place| {
                mount::attach(mount::filesystem(self.kind, options, self.attr)?, place)
            })
            .map_err(|e| refused(&format_args!("mount {} on {}", self.kind, self.at), e))
    }
}

impl Display for Filesystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let writable = self.attr - Attr::MOUNT_ATTR_RDONLY;
        write!(f, "mount -t {} -o {}", self.kind, Spelt(writable))?;
        for (key, value) in self.options {
            match *value {
                "" => write!(f, ",{key}")?,
                value => write!(f, ",{key}={value}")?,
            }
        }
        write!(f, " {} {}", self.kind, self.at)?;
        Sealed(self.attr, &self.at).fmt(f)
    }
}

/// The line that gives options to a mount and to all below it, beside those that each has: mount_setattr(2) with
/// AT_RECURSIVE, which mount(8) has since util-linux 2.39 only, and busybox not at all.
pub(super) struct Below<'a, T>(pub(super) &'a dyn Display, pub(super) T);

impl<T: Display> Display for Below<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, options) = (self.0, &self.1);
        write!(
            f,
            "while read -r _ _ _ _ at old _; do case $at in '{at}'|'{at}'/*) mount -o remount,bind,$old,{options} \"$(printf %b \"$at\")\" || true;; esac; done </proc/self/mountinfo"
        )
    }
}

/// The line that makes a new mount read-only, and not its file system with it, as mount(8) would.
pub(super) struct Sealed<'a>(pub(super) Attr, pub(super) &'a dyn Display);

impl Display for Sealed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.contains(Attr::MOUNT_ATTR_RDONLY) {
            true => write!(f, " && mount -o remount,bind,{} {}", Spelt(self.0), self.1),
            false => Ok(()),
        }
    }
}

/// A directory, where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Its place.
    pub at: At,
    /// Its permissions, less the umask.
    pub mode: u32,
}

impl Step for Directory {
    fn act(&self) -> Result<()> {
        let mode = Mode::from_raw_mode(self.mode);
        let made = self
            .at
            .parent()
            .and_then(|(dir, name)| rustix::fs::mkdirat(dir, name, mode));
        match made {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(refused(
                &format_args!("make the directory {}", self.at),
                errno,
            )),
        }
    }
}

impl Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mkdir -p -m {:o} {}", self.mode, self.at)
    }
}

/// A symbolic link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symlink {
    /// Its place.
    pub at: At,
    /// What it says.
    pub to: &'static str,
}

impl Step for Symlink {
    fn act(&self) -> Result<()> {
        self.at
            .parent()
            .and_then(|(dir, name)| rustix::fs::symlinkat(self.to, dir, name))
            .map_err(|e| refused(&format_args!("link {} to {}", self.at, self.to), e))
    }
}

impl Display for Symlink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ln -s {} {}", self.to, self.at)
    }
}

/// Moves a mount and all on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Where it is.
    pub from: PathBuf,
    /// Where it goes.
    pub to: PathBuf,
}

impl Step for Move {
    fn act(&self) -> Result<()> {
        path::directory(&self.from)
            .and_then(|from| mount::attach(from, path::directory(&self.to)?))
            .map_err(|e| Error::os(self, e))
    }
}

impl Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "mount --move {} {}",
            self.from.display(),
            self.to.display()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_said_as_the_lines_that_do_the_same() {
        let at = At::Within {
            root: "/s/root".into(),
            path: "dev/shm",
        };
        let step = Filesystem {
            kind: "tmpfs",
            options: &[("mode", "1777"), ("size", "64m")],
            at,
            attr: Attr::MOUNT_ATTR_NOSUID | Attr::MOUNT_ATTR_NODEV,
        };
        assert_eq!(
            step.to_string(),
            "mount -t tmpfs -o rw,nosuid,nodev,mode=1777,size=64m tmpfs /s/root/dev/shm"
        );
    }
}
