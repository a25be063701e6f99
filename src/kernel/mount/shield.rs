//! What of the host a container gets to see, and what of it stays out of its reach.

use super::{At, Attr, Below, INERT, Sealed, Spelt, Step, put, refused, table};
use crate::error::{Error, Result};
use crate::sys::mount::{self, Value};
use crate::sys::path;
use rustix::fd::AsFd;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fmt::{self, Display};
use std::path::PathBuf;

/// What one of the host's devices gets. Read-only: it can be written to as a device, but its node is the host's, and
/// its owner and mode stay out of the container's reach.
const DEVICE: Attr = Attr::MOUNT_ATTR_RDONLY
    .union(Attr::MOUNT_ATTR_NOSUID)
    .union(Attr::MOUNT_ATTR_NOEXEC);

/// One of the host's devices, on a file of its name; never a node of the container's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The host's node.
    pub source: &'static str,
    /// The file, which is made.
    pub at: At,
}

impl Step for Device {
    fn act(&self) -> Result<()> {
        let bind = || {
            let source = path::place(self.source)?;
            let (dir, name) = self.at.parent()?;
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            let place = rustix::fs::openat(&dir, name, flags, Mode::from_raw_mode(0o666))?;
            // A device on a mount that refuses devices would be of no use.
            put(
                mount::copy(source, false)?,
                place,
                DEVICE,
                Attr::MOUNT_ATTR_NODEV,
            )
        };
        bind().map_err(|e| refused(&format_args!("bind the device {}", self.source), e))
    }
}

impl Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, at) = (self.source, &self.at);
        write!(
            f,
            "touch {at} && mount -o bind,{},dev {source} {at}",
            Spelt(DEVICE)
        )
    }
}

/// An empty file, to be put over others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blank(pub PathBuf);

impl Step for Blank {
    fn act(&self) -> Result<()> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::open(&self.0, flags, Mode::from_raw_mode(0o444))
            .map(drop)
            .map_err(|e| Error::os(format_args!("make the file {}", self.0.display()), e))
    }
}

impl Display for Blank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "touch {}", self.0.display())
    }
}

/// A path of /proc or /sys, where the kernel has it, that is to show nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// The path.
    pub at: At,
    /// The [`Blank`] that covers it if it is a file; a directory is covered by an empty one.
    pub blank: PathBuf,
}

impl Mask {
    fn cover(&self) -> Result<(), Errno> {
        let place = match self.at.open(OFlags::NOFOLLOW) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            other => other?,
        };
        let stat = rustix::fs::fstat(&place)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let options = [("nr_inodes", Value::Text("1"))];
            mount::attach(mount::filesystem("tmpfs", options, INERT)?, place)
        } else {
            let blank = mount::copy(path::place(&self.blank)?, false)?;
            put(blank, place, INERT, Attr::empty())
        }
    }
}

impl Step for Mask {
    fn act(&self) -> Result<()> {
        self.cover()
            .map_err(|e| refused(&format_args!("mask {}", self.at), e))
    }
}

impl Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, blank) = (&self.at, self.blank.display());
        let (writable, sealed) = (Spelt(INERT - Attr::MOUNT_ATTR_RDONLY), Sealed(INERT, at));
        let inert = Spelt(INERT);
        write!(
            f,
            "if [ -d {at} ]; then mount -t tmpfs -o {writable},nr_inodes=1 tmpfs {at}{sealed}; elif [ -e {at} ]; then mount -o bind,{inert} {blank} {at}; fi"
        )
    }
}

/// A path of /proc, where the kernel has it, that is only to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOnly(pub At);

impl Step for ReadOnly {
    fn act(&self) -> Result<()> {
        let bind = || {
            let place = match self.0.open(OFlags::NOFOLLOW) {
                Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
                other => other?,
            };
            put(mount::copy(&place, false)?, place, INERT, Attr::empty())
        };
        bind().map_err(|e| refused(&format_args!("make {} read-only", self.0), e))
    }
}

impl Display for ReadOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = &self.0;
        write!(
            f,
            "if [ -e {at} ]; then mount -o bind,{} {at} {at}; fi",
            Spelt(INERT)
        )
    }
}

/// The host's /sys with all below it, read-only, where a fresh one is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSysfs(pub At);

impl Step for HostSysfs {
    fn act(&self) -> Result<()> {
        let bind = || {
            let place = self.0.open(OFlags::DIRECTORY)?;
            let copy = mount::copy(path::directory("/sys")?, true)?;
            mount::set(&copy, INERT, Attr::empty(), true)?;
            mount::attach(copy, place)
        };
        bind().map_err(|e| refused(&format_args!("bind /sys on {}", self.0), e))
    }
}

impl Display for HostSysfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "mount -o rbind,ro=recursive,nosuid=recursive,nodev=recursive,noexec=recursive /sys {}",
            self.0
        )
    }
}

/// An empty, unwritable directory in the place of one of the host's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cover(pub PathBuf);

impl Cover {
    fn cover(&self) -> Result<(), Errno> {
        // A copy of another sandbox's pin would keep that sandbox's links alive for as long as this namespace lives.
        while mount::detach(&self.0).is_ok() {}
        let place = match path::directory(&self.0) {
            Err(Errno::NOENT) => return Ok(()),
            place => place?,
        };
        let options = [
            ("nr_inodes", Value::Text("1")),
            ("mode", Value::Text("700")),
        ];
        mount::attach(mount::filesystem("tmpfs", options, INERT)?, place)
    }
}

impl Step for Cover {
    fn act(&self) -> Result<()> {
        self.cover()
            .map_err(|e| Error::os(format_args!("cover {}", self.0.display()), e))
    }
}

impl Display for Cover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.0.display();
        write!(
            f,
            "while umount -l {at} 2>/dev/null; do :; done; mount -t tmpfs -o {},nr_inodes=1,mode=700 tmpfs {at}{}",
            Spelt(INERT - Attr::MOUNT_ATTR_RDONLY),
            Sealed(INERT, &at)
        )
    }
}

/// No device node of the host's root, on any of its mounts, can be opened in this namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoDevices;

impl Step for NoDevices {
    fn act(&self) -> Result<()> {
        let nodev = Attr::MOUNT_ATTR_NODEV;
        let set = || match mount::set(path::directory("/")?, nodev, Attr::empty(), true) {
            Err(Errno::NOSYS) => one_by_one(nodev),
            other => other,
        };
        set().map_err(|e| Error::os("close the host's device nodes to the container", e))
    }
}

impl Display for NoDevices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Below(&"", "nodev").fmt(f)
    }
}

/// Adds an attribute to every mount that a path leads to, for kernels before 5.12: the attributes it has stay.
fn one_by_one(add: Attr) -> Result<(), Errno> {
    for (point, attr) in table::read()?.lines().filter_map(table::parse) {
        // One that another covers, or that lies beneath a directory closed to us, is out of reach for all.
        if let Ok(place) = path::directory(&point).or_else(|_| path::place(&point)) {
            match mount::remount(place.as_fd(), attr | add) {
                Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(())
}
