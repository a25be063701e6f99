//! Mounts: the operations that a container's root file system is built of.
//!
//! Each is done by the container's own first process in its own mount namespace, in order, before anything foreign
//! runs there. A place inside an image is opened beneath the image's root ([`At::Within`]): whatever symbolic links
//! the image holds, nothing of the host is mounted over, made or removed. A mount is made detached and put on the
//! open place. The `Display` of each is the `mount`, `mkdir`, `ln` or `pivot_root` line that does the same.

use crate::error::{Error, Result};
use crate::sys::mount::{self, Attr, Propagation, Value};
use crate::sys::path::{self, Links};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
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
    fn open(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
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
    fn parent(&self) -> Result<(OwnedFd, &Path), Errno> {
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

/// What one of the host's devices gets. Read-only: it can be written to as a device, but its node is the host's, and
/// its owner and mode stay out of the container's reach.
const DEVICE: Attr = Attr::MOUNT_ATTR_RDONLY
    .union(Attr::MOUNT_ATTR_NOSUID)
    .union(Attr::MOUNT_ATTR_NOEXEC);

/// The attributes as mount(8) spells them, after `rw` or `ro`.
struct Spelt(Attr);

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
fn refused(action: &dyn Display, errno: Errno) -> Error {
    let error = Error::os(action, errno);
    match errno {
        Errno::NODEV => error.because("the kernel has no such file system"),
        Errno::LOOP => error.because("the image has a symbolic link in its place"),
        Errno::ROFS => error.because("the image lacks it, and cannot be written"),
        _ => error,
    }
}

/// Puts a copy of a mount on a place with these attributes set and cleared.
fn put(copy: OwnedFd, place: OwnedFd, on: Attr, off: Attr) -> Result<(), Errno> {
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
        write!(f, "mount -t {} -o {}", self.kind, Spelt(self.attr))?;
        for (key, value) in self.options {
            match *value {
                "" => write!(f, ",{key}")?,
                value => write!(f, ",{key}={value}")?,
            }
        }
        write!(f, " {} {}", self.kind, self.at)
    }
}

/// A directory, where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Its place.
    pub at: At,
    /// Its permissions.
    pub mode: u32,
}

impl Step for Directory {
    fn act(&self) -> Result<()> {
        let made = self.at.parent().and_then(|(dir, name)| {
            rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(self.mode))?;
            // Once more, past the umask.
            let made = rustix::fs::openat(
                dir,
                name,
                OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            rustix::fs::fchmod(made, Mode::from_raw_mode(self.mode))
        });
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

/// An image under a writable layer: `STAGE/root`, with what is written going to the tmpfs on STAGE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// The image's directory, which is never written.
    pub image: PathBuf,
    /// A directory with an empty tmpfs on it.
    pub stage: PathBuf,
    /// Whether overlayfs has to keep its marks in `user.` attributes: in a user namespace it may not use its own.
    pub user: bool,
}

impl Overlay {
    fn build(&self) -> Result<(), Errno> {
        let image = path::directory(&self.image)?;
        let stage = path::directory(&self.stage)?;
        for name in ["upper", "work", "root"] {
            rustix::fs::mkdirat(&stage, name, Mode::from_raw_mode(0o755))?;
        }
        // By descriptor: an image's path may be long, and may hold the colons and commas that separate options.
        let lower = mount::of(image.as_fd());
        let upper = format!("{}/upper", mount::of(stage.as_fd()));
        let work = format!("{}/work", mount::of(stage.as_fd()));
        let mut options = vec![
            ("lowerdir", Value::Text(&lower)),
            ("upperdir", Value::Text(&upper)),
            ("workdir", Value::Text(&work)),
        ];
        if self.user {
            options.push(("userxattr", Value::Flag));
        } else {
            // An image's own attributes must not redirect a look-up (overlayfs.rst, "Metadata only copy up").
            options.push(("metacopy", Value::Text("off")));
            options.push(("redirect_dir", Value::Text("nofollow")));
        }
        let place = path::directory(self.stage.join("root"))?;
        let root = mount::filesystem("overlay", options, Attr::MOUNT_ATTR_NODEV)?;
        mount::attach(root, place)
    }
}

impl Step for Overlay {
    fn act(&self) -> Result<()> {
        self.build().map_err(|e| {
            refused(
                &format_args!("overlay the image {}", self.image.display()),
                e,
            )
        })
    }
}

impl Display for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = self.stage.display();
        let marks = if self.user {
            "userxattr"
        } else {
            "metacopy=off,redirect_dir=nofollow"
        };
        write!(
            f,
            "mkdir {stage}/upper {stage}/work {stage}/root && mount -t overlay -o nodev,lowerdir={},upperdir={stage}/upper,workdir={stage}/work,{marks} overlay {stage}/root",
            self.image.display()
        )
    }
}

/// An image as it is, read-only: `STAGE/root`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOnlyImage {
    /// The image's directory.
    pub image: PathBuf,
    /// A directory with a tmpfs on it.
    pub stage: PathBuf,
}

impl Step for ReadOnlyImage {
    fn act(&self) -> Result<()> {
        let attr = Attr::MOUNT_ATTR_RDONLY | Attr::MOUNT_ATTR_NODEV;
        let build = || {
            let image = path::directory(&self.image)?;
            let stage = path::directory(&self.stage)?;
            match rustix::fs::mkdirat(&stage, "root", Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
            let place = path::directory(self.stage.join("root"))?;
            // In a user namespace a directory with mounts below it can only be had with them (EINVAL, mount(2)).
            let copy = mount::copy(&image, false).or_else(|_| mount::copy(&image, true))?;
            put(copy, place, attr, Attr::empty())
        };
        build().map_err(|e| refused(&format_args!("bind the image {}", self.image.display()), e))
    }
}

impl Display for ReadOnlyImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (image, stage) = (self.image.display(), self.stage.display());
        write!(
            f,
            "mkdir -p {stage}/root && mount -o bind,ro,nodev {image} {stage}/root"
        )
    }
}

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
        let target = self.root.join("etc").join(self.name);
        write!(
            f,
            "mount -o bind,{} {} {}",
            Spelt(INERT),
            self.source.display(),
            target.display()
        )
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
    pub fn renew(self) -> Result<()> {
        let renew = || {
            let place = path::place(format!("/etc/{}", self.name))?;
            if same_file(&rustix::fs::fstat(&place)?, &self.stat) {
                return Ok(());
            }
            put(self.copy, place, INERT, Attr::empty())
        };
        renew().map_err(|e| Error::os(format_args!("bind /etc/{}", self.name), e))
    }
}

/// A path of /proc or /sys, where the kernel has it, that is to show nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask(pub At);

impl Mask {
    fn cover(&self) -> Result<(), Errno> {
        let place = match self.0.open(OFlags::NOFOLLOW) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            other => other?,
        };
        let stat = rustix::fs::fstat(&place)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let options = [("nr_inodes", Value::Text("1"))];
            mount::attach(mount::filesystem("tmpfs", options, INERT)?, place)
        } else {
            let null = mount::copy(path::place("/dev/null")?, false)?;
            put(null, place, DEVICE, Attr::MOUNT_ATTR_NODEV)
        }
    }
}

impl Step for Mask {
    fn act(&self) -> Result<()> {
        self.cover()
            .map_err(|e| refused(&format_args!("mask {}", self.0), e))
    }
}

impl Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = &self.0;
        write!(
            f,
            "if [ -d {at} ]; then mount -t tmpfs -o {},nr_inodes=1 tmpfs {at}; elif [ -e {at} ]; then mount -o bind,{},dev /dev/null {at}; fi",
            Spelt(INERT),
            Spelt(DEVICE)
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
            "while umount -l {at} 2>/dev/null; do :; done; mount -t tmpfs -o {},nr_inodes=1,mode=700 tmpfs {at}",
            Spelt(INERT)
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
        f.write_str("mount -o remount,bind,nodev=recursive /")
    }
}

/// Adds an attribute to every mount that a path leads to, for kernels before 5.12: the attributes it has stay.
fn one_by_one(add: Attr) -> Result<(), Errno> {
    for (point, attr) in mount_table()?.lines().filter_map(mount_line) {
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

/// Mount point and attributes of a line of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
fn mount_line(line: &str) -> Option<(PathBuf, Attr)> {
    let mut fields = line.split(' ').skip(4);
    let (point, options) = (fields.next()?, fields.next()?);
    let attr = options.split(',').map(|option| match option {
        "ro" => Attr::MOUNT_ATTR_RDONLY,
        "nosuid" => Attr::MOUNT_ATTR_NOSUID,
        "nodev" => Attr::MOUNT_ATTR_NODEV,
        "noexec" => Attr::MOUNT_ATTR_NOEXEC,
        "noatime" => Attr::MOUNT_ATTR_NOATIME,
        "nodiratime" => Attr::MOUNT_ATTR_NODIRATIME,
        _ => Attr::empty(),
    });
    Some((unescape(point), attr.collect()))
}

/// Space, tab, newline and backslash are written as a backslash and three octal digits.
fn unescape(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let digits = text.get(i + 1..i + 4).filter(|_| bytes[i] == b'\\');
        match digits.and_then(|d| u8::from_str_radix(d, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                i += 4;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(out))
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

/// Makes a mount the root, and lets go of the host's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pivot {
    /// The new root.
    pub root: PathBuf,
}

impl Step for Pivot {
    fn act(&self) -> Result<()> {
        let pivot = || {
            let root = path::directory(&self.root)?;
            match mount::pivot(&root) {
                Err(Errno::INVAL) => mount::switch(root, &beneath_root(&mount_table()?)),
                other => other,
            }
        };
        pivot().map_err(|e| Error::os(format_args!("make {} the root", self.root.display()), e))
    }
}

fn mount_table() -> Result<String, Errno> {
    std::fs::read_to_string("/proc/self/mountinfo")
        .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
}

/// The mount points of the mounts that lie directly on the root's, relative to it: the others lie on these.
fn beneath_root(table: &str) -> Vec<PathBuf> {
    let numbers = |line: &'_ str| {
        let mut fields = line.split(' ');
        Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
    };
    let lines = || {
        table
            .lines()
            .filter_map(|line| Some((numbers(line)?, mount_line(line)?.0)))
    };
    let root = lines().find(|(_, point)| point == Path::new("/"));
    let Some(((root, _), _)) = root else {
        return Vec::new();
    };
    lines()
        .filter(|((_, parent), _)| *parent == root)
        .filter_map(|(_, point)| Some(point.strip_prefix("/").ok()?.to_owned()))
        .filter(|point| !point.as_os_str().is_empty())
        .collect()
}

impl Display for Pivot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cd {} && pivot_root . . && umount -l .",
            self.root.display()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_gives_place_and_attributes() {
        let line = r"36 35 98:0 /mnt1 /mnt\040two rw,noatime,nosuid master:1 - ext3 /dev/root rw,errors=continue";
        let (place, attr) = mount_line(line).unwrap();
        assert_eq!(place, Path::new("/mnt two"));
        assert_eq!(attr, Attr::MOUNT_ATTR_NOATIME | Attr::MOUNT_ATTR_NOSUID);
        assert!(mount_line("36 35 98:0 /").is_none());
    }

    #[test]
    fn the_mounts_on_the_root_are_told_from_those_on_them() {
        let table = "1 1 0:2 / / rw - rootfs none rw\n\
                     21 1 0:20 / /proc rw - proc proc rw\n\
                     22 1 0:21 / /run rw - tmpfs tmpfs rw\n\
                     23 22 0:22 / /run/netns rw - tmpfs tmpfs rw\n";
        assert_eq!(beneath_root(table), [Path::new("proc"), Path::new("run")]);
    }

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
