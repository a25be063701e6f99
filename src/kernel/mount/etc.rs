//! A sandbox's files in its members' /etc.

use super::{Attr, INERT, Spelt, Step, put};
use crate::error::{Error, Result};
use crate::sys::mount;
use crate::sys::path::{self, Links};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

/// A file of the sandbox, inert, over one in the container's /etc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcFile {
    /// The sandbox's file.
    pub source: PathBuf,
    /// The root, a path of the host; `/` for the host's own.
    pub root: PathBuf,
    /// `hosts`, `hostname` or `resolv.conf`.
    pub name: &'static str,
}

impl EtcFile {
    /// In an image the link or whatever else is there gives way to a file in the upper layer, so nothing is followed;
    /// where the root cannot be written (a read-only image, or the host's own) the link is followed inside the root.
    fn place(&self) -> Result<OwnedFd, Errno> {
        let root = path::directory(&self.root)?;
        let whole = format!("etc/{}", self.name);
        let there = OFlags::PATH;
        if self.root == Path::new("/") {
            return path::beneath(root, whole, there, Links::Follow);
        }
        match rustix::fs::mkdirat(&root, "etc", Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST | Errno::ROFS) => {}
            Err(errno) => return Err(errno),
        }
        let etc = path::beneath(&root, "etc", there | OFlags::DIRECTORY, Links::Follow)?;
        let found = rustix::fs::statat(&etc, self.name, AtFlags::SYMLINK_NOFOLLOW)
            .map(|stat| FileType::from_raw_mode(stat.st_mode));
        if found == Ok(FileType::RegularFile) {
            let flags = there | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            return rustix::fs::openat(etc, self.name, flags, Mode::empty());
        }
        if found.is_ok() {
            match rustix::fs::unlinkat(&etc, self.name, AtFlags::empty()) {
                Ok(()) => {}
                Err(Errno::ROFS) => return path::beneath(root, whole, there, Links::Follow),
                Err(errno) => return Err(errno),
            }
        }
        let make = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(etc, self.name, make, Mode::from_raw_mode(0o644))
    }
}

impl Step for EtcFile {
    fn act(&self) -> Result<()> {
        let bind = || {
            let source = mount::copy(path::place(&self.source)?, false)?;
            put(source, self.place()?, INERT, Attr::empty())
        };
        bind().map_err(|e| Error::os(format_args!("bind /etc/{}", self.name), e))
    }
}

impl Display for EtcFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let etc = self.root.join("etc");
        let (target, source) = (etc.join(self.name), self.source.display());
        let (etc, target) = (etc.display(), target.display());
        if self.root != Path::new("/") {
            write!(
                f,
                "mkdir -p {etc}; [ ! -L {target} ] || rm {target}; touch {target}; "
            )?;
        }
        write!(f, "mount -o bind,{} {source} {target}", Spelt(INERT))
    }
}

/// One of a sandbox's files, held to be put into a mount namespace where its path is not known.
pub struct Held {
    name: &'static str,
    copy: OwnedFd,
    stat: Stat,
}

fn same_file(a: &Stat, b: &Stat) -> bool {
    a.st_dev == b.st_dev && a.st_ino == b.st_ino
}

impl Held {
    /// Holds a file, before the other namespace is entered.
    pub fn take(source: &Path, name: &'static str) -> Result<Self> {
        let take = || {
            let source = path::place(source)?;
            let stat = rustix::fs::fstat(&source)?;
            let copy = mount::copy(source, false)?;
            Ok(Held { name, copy, stat })
        };
        take().map_err(|e| Error::os(format_args!("open {}", source.display()), e))
    }

    /// Puts it over /etc/NAME of the namespace that was entered, unless it is there.
    ///
    /// On the host's own root a file renamed over /etc/resolv.conf takes the mount away (rename(2), since Linux 3.18).
    /// Whether it was not there.
    pub fn renew(self) -> Result<bool> {
        let renew = || {
            let place = path::place(format!("/etc/{}", self.name))?;
            if same_file(&rustix::fs::fstat(&place)?, &self.stat) {
                return Ok(false);
            }
            put(self.copy, place, INERT, Attr::empty()).map(|()| true)
        };
        renew().map_err(|e| Error::os(format_args!("bind /etc/{}", self.name), e))
    }
}
