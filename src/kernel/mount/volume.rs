//! What a container's user wants to see in it: files and directories of the host's, file systems in memory.

use super::{Attr, Below, Spelt, Step, refused};
use crate::error::{Error, Result};
use crate::sys::file;
use crate::sys::mount::{self, Value};
use crate::sys::path::{self, Links};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fmt::{self, Display};
use std::path::{Component, Path, PathBuf};

/// Why there is no place for a mount on the host's root.
const NO_PLACE: &str = "there is no such place, and none is made in the host's own root";

/// Opens the place for a mount as a process would whose root this is, and makes what is missing of it.
///
/// Symbolic links are followed within the root, wherever an image or a volume has them: none leads out of it. What is
/// made lies in the container's upper layer, or in a volume that was mounted before.
fn place(root: &Path, destination: &str, directory: bool) -> Result<OwnedFd, Errno> {
    let host = root == Path::new("/");
    let root = path::directory(root)?;
    let whole = Path::new(destination.trim_start_matches('/'));
    let open = |path: &Path| path::beneath(&root, path, OFlags::PATH, Links::Follow);
    match open(whole) {
        // The host's own root has no upper layer: it is not changed for a container.
        Err(Errno::NOENT) if !host => {}
        other => return other,
    }
    let mut parent = path::beneath(&root, ".", OFlags::PATH, Links::Follow)?;
    let mut path = PathBuf::new();
    for component in whole.components() {
        let Component::Normal(name) = component else {
            continue;
        };
        path.push(name);
        let made = if directory || path != whole {
            rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))
        } else {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644)).map(drop)
        };
        match made {
            Ok(()) | Err(Errno::EXIST) => parent = open(&path)?,
            Err(errno) => return Err(errno),
        }
    }
    Ok(parent)
}

fn is_directory(fd: &OwnedFd) -> Result<bool, Errno> {
    let mode = rustix::fs::fstat(fd)?.st_mode;
    Ok(FileType::from_raw_mode(mode) == FileType::Directory)
}

/// A file or directory of the host's, with all that is mounted below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Where it is on the host; a directory is made where there is nothing.
    pub source: PathBuf,
    /// The root that it appears in, a path of the host.
    pub root: PathBuf,
    /// Where in there.
    pub destination: String,
    /// The attributes of all of it.
    pub attr: Attr,
}

impl Bind {
    fn bind(&self) -> Result<(), Errno> {
        let source = match path::place(&self.source) {
            Err(Errno::NOENT) => {
                file::make_all(&self.source)?;
                path::place(&self.source)
            }
            other => other,
        }?;
        let directory = is_directory(&source)?;
        let copy = mount::copy(source, true)?;
        let place = place(&self.root, &self.destination, directory)?;
        if is_directory(&place)? != directory {
            return Err(Errno::NOTDIR);
        }
        match mount::set(&copy, self.attr, Attr::empty(), true) {
            Ok(()) => mount::attach(copy, place),
            // Before 5.12 only an attached mount can be changed, and not those below it.
            Err(Errno::NOSYS) => {
                mount::attach(&copy, place)?;
                mount::remount(copy.as_fd(), self.attr)
            }
            Err(errno) => Err(errno),
        }
    }
}

impl Step for Bind {
    fn act(&self) -> Result<()> {
        self.bind().map_err(|errno| {
            let (source, at) = (self.source.display(), &self.destination);
            let error = refused(&format_args!("mount {source} on {at}"), errno);
            match errno {
                Errno::NOTDIR => error.because("one is a directory and the other is not"),
                Errno::NOENT if self.root == Path::new("/") => error.because(NO_PLACE),
                _ => error,
            }
        })
    }
}

impl Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.source.display();
        let at = self.root.join(self.destination.trim_start_matches('/'));
        let at = at.display();
        write!(
            f,
            "[ -e {source} ] || mkdir -p {source}; if [ -d {source} ]; then mkdir -p {at}; else mkdir -p $(dirname {at}) && touch {at}; fi; mount -o rbind {source} {at}"
        )?;
        if self.attr.is_empty() {
            return Ok(());
        }
        write!(f, "; {}", Below(&at, Spelt(self.attr)))
    }
}

/// A file system in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// The root that it appears in, a path of the host.
    pub root: PathBuf,
    /// Where in there.
    pub destination: String,
    /// Its own options, as in `size=64m`.
    pub options: Vec<String>,
    /// The mount's attributes.
    pub attr: Attr,
}

impl Step for Memory {
    fn act(&self) -> Result<()> {
        let options = self
            .options
            .iter()
            .map(|option| match option.split_once('=') {
                Some((key, value)) => (key, Value::Text(value)),
                None => (option.as_str(), Value::Flag),
            });
        place(&self.root, &self.destination, true)
            .and_then(|place| mount::attach(mount::filesystem("tmpfs", options, self.attr)?, place))
            .map_err(|errno| {
                let at = &self.destination;
                let error = refused(&format_args!("mount a tmpfs on {at}"), errno);
                match errno {
                    Errno::NOENT if self.root == Path::new("/") => error.because(NO_PLACE),
                    _ => error,
                }
            })
    }
}

impl Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.root.join(self.destination.trim_start_matches('/'));
        let at = at.display();
        write!(f, "mkdir -p {at} && mount -t tmpfs -o {}", Spelt(self.attr))?;
        self.options
            .iter()
            .try_for_each(|option| write!(f, ",{option}"))?;
        write!(f, " tmpfs {at}")
    }
}

/// Nothing on the mount that a root lies on can be written any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOnlyRoot {
    /// The root, a path of the host.
    pub root: PathBuf,
    /// What it is besides.
    pub attr: Attr,
    /// All mounts below it, too.
    pub recursive: bool,
}

impl Step for ReadOnlyRoot {
    fn act(&self) -> Result<()> {
        let attr = Attr::MOUNT_ATTR_RDONLY;
        let set = || {
            let root = path::directory(&self.root)?;
            match mount::set(&root, attr, Attr::empty(), self.recursive) {
                Err(Errno::NOSYS) => mount::remount(root.as_fd(), attr | self.attr),
                other => other,
            }
        };
        set().map_err(|e| Error::os("make the root read-only", e))
    }
}

impl Display for ReadOnlyRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attr = Spelt(self.attr | Attr::MOUNT_ATTR_RDONLY);
        match self.recursive {
            true => Below(&"", attr).fmt(f),
            false => write!(f, "mount -o remount,bind,{attr} {}", self.root.display()),
        }
    }
}

/// A node in a container's /dev for each of the host's devices that it has not got yet: of a privileged one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostDevices {
    /// The root whose /dev it is, a path of the host.
    pub root: PathBuf,
}

/// What of the host's /dev is not for others: each container has its own.
const OWN: [&str; 5] = ["pts", "ptmx", "shm", "mqueue", "console"];

impl HostDevices {
    fn copy(&self, from: &Path, to: &Path) -> Result<(), Errno> {
        for name in file::names(from)? {
            if to == self.root.join("dev") && OWN.iter().any(|own| name == *own) {
                continue;
            }
            let (from, to) = (from.join(&name), to.join(&name));
            let Ok(stat) = rustix::fs::lstat(&from) else {
                continue;
            };
            let mode = Mode::from_raw_mode(stat.st_mode);
            let kind = FileType::from_raw_mode(stat.st_mode);
            let made = match kind {
                FileType::Directory => match rustix::fs::mkdir(&to, mode) {
                    Ok(()) | Err(Errno::EXIST) => self.copy(&from, &to),
                    Err(errno) => Err(errno),
                },
                FileType::CharacterDevice | FileType::BlockDevice => {
                    let cwd = rustix::fs::CWD;
                    rustix::fs::mknodat(cwd, &to, kind, mode, stat.st_rdev)
                }
                _ => Ok(()),
            };
            match made {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}

impl Step for HostDevices {
    fn act(&self) -> Result<()> {
        self.copy(Path::new("/dev"), &self.root.join("dev"))
            .map_err(|e| Error::os("make the host's devices in the container's /dev", e))
    }
}

impl Display for HostDevices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dev = self.root.join("dev");
        write!(
            f,
            "(cd /dev && find . -path ./pts -prune -o -path ./shm -prune -o -path ./mqueue -prune -o '(' -type b -o -type c ')' ! -name console ! -name ptmx -print | cpio -pdm {})",
            dev.display()
        )
    }
}
