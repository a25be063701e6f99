//! Network namespaces: made, pinned, entered for a moment.
//!
//! The process changes its own network namespace only inside [`NetNs::within`] and [`create_and_pin`], and always comes
//! back; it has one thread. A socket opened meanwhile stays bound to the namespace it was opened in (namespaces(7)).

use crate::error::{Errno, Error, Result};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, AtFlags, CWD, Mode, OFlags, StatxAttributes, StatxFlags};
use rustix::mount::{self, MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use std::path::Path;
use std::time::Duration;

/// What statfs(2) calls nsfs (linux/magic.h).
const NSFS_MAGIC: u64 = 0x6e73_6673;

const OWN: &str = "/proc/self/ns/net";

/// A reference that keeps a network namespace alive.
#[derive(Debug)]
pub struct NetNs {
    fd: OwnedFd,
    inode: u64,
}

impl NetNs {
    /// The namespace that this process is in.
    pub fn current() -> Result<Self> {
        // Under /proc/PID/ns are links that only the kernel follows.
        Self::opened(Path::new(OWN), OFlags::RDONLY | OFlags::CLOEXEC)
    }

    /// The namespace that a process is in.
    pub fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/ns/net");
        Self::opened(Path::new(&path), OFlags::RDONLY | OFlags::CLOEXEC)
    }

    /// The namespace that a file stands for; a symbolic link is refused.
    ///
    /// # Errors
    /// The file is missing, or is no namespace (not on nsfs).
    pub fn open(path: &Path) -> Result<Self> {
        Self::opened(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW)
    }

    fn opened(path: &Path, flags: OFlags) -> Result<Self> {
        let failed = |errno| {
            Error::os(
                format_args!("open the network namespace {}", path.display()),
                errno,
            )
        };
        let fd = fs::open(path, flags, Mode::empty()).map_err(failed)?;
        if !is_nsfs(fd.as_fd()) {
            return Err(Error::new(format_args!(
                "{} is no network namespace",
                path.display()
            )));
        }
        let inode = fs::fstat(&fd).map_err(failed)?.st_ino;
        Ok(NetNs { fd, inode })
    }

    /// Its identity among all namespaces of this boot.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Does something inside, and comes back.
    /// `back` is the namespace that this process is in.
    pub fn within<T>(&self, back: &NetNs, act: impl FnOnce() -> T) -> Result<T> {
        self.enter()
            .map_err(|errno| Error::os("enter a network namespace", errno))?;
        let done = act();
        back.return_to();
        Ok(done)
    }

    /// Moves this process into the namespace for good: for a child on its way to a command.
    pub fn enter(&self) -> rustix::io::Result<()> {
        move_into_link_name_space(self.fd.as_fd(), Some(LinkNameSpaceType::Network))
    }

    fn return_to(&self) {
        // Memory may be short for a moment.
        for _ in 0..100 {
            if self.enter().is_ok() {
                return;
            }
            super::time::sleep(Duration::from_millis(1));
        }
        // Whatever came next would be done to the wrong host: nothing may come next.
        std::process::abort();
    }
}

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn is_nsfs(fd: BorrowedFd<'_>) -> bool {
    // The field's type differs between targets; the magic fits each.
    fs::fstatfs(fd).is_ok_and(|stat| stat.f_type as u64 & 0xffff_ffff == NSFS_MAGIC)
}

/// Makes a network namespace, pins it at `path`, which must not exist, and runs `inside` there before coming `back` to
/// the namespace that this process is in.
///
/// # Errors
/// EEXIST for a taken path; after any other error the path is gone again.
pub fn create_and_pin<T>(
    path: &Path,
    back: &NetNs,
    inside: impl FnOnce() -> Result<T>,
) -> Result<(NetNs, T)> {
    let failed = |errno| {
        Error::os(
            format_args!("pin a network namespace at {}", path.display()),
            errno,
        )
    };
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    drop(fs::open(path, flags, Mode::empty()).map_err(failed)?);
    let made = make_at(path, back, inside);
    if made.is_err() {
        mount::unmount(path, UnmountFlags::DETACH).ok();
        fs::unlink(path).ok();
    }
    made
}

fn make_at<T>(path: &Path, back: &NetNs, inside: impl FnOnce() -> Result<T>) -> Result<(NetNs, T)> {
    // SAFETY: of what unshare can change only the network namespace is named: no memory or descriptor table is touched.
    let unshared = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) };
    unshared.map_err(|errno| match errno {
        Errno::INVAL => Error::os("make a network namespace", errno)
            .because("this kernel has none (CONFIG_NET_NS)"),
        errno => Error::os("make a network namespace", errno),
    })?;
    let pinned = mount::mount_bind(OWN, path)
        .map_err(|errno| {
            Error::os(
                format_args!("pin a network namespace at {}", path.display()),
                errno,
            )
        })
        .and_then(|()| Ok((NetNs::current()?, inside()?)));
    back.return_to();
    pinned
}

/// Leaves for new network and mount namespaces, in which nothing can go wrong: for a process that soon ends. Who is not
/// root takes a user namespace, too. See unshare(2).
pub fn leave_for_new_ones() -> rustix::io::Result<()> {
    let leave = |flags| {
        // SAFETY: of what unshare can change only namespaces are named: no memory or descriptor table is touched.
        unsafe { rustix::thread::unshare_unsafe(flags) }
    };
    let both = UnshareFlags::NEWNET | UnshareFlags::NEWNS;
    match leave(both) {
        Err(Errno::PERM) => leave(both | UnshareFlags::NEWUSER),
        left => left,
    }
}

/// Pins the namespace that `from` pins at `to` as well. Where that is done already, nothing is.
///
/// # Errors
/// A file at `to` that is no pin of the same namespace.
pub fn repin(from: &Path, to: &Path) -> Result<()> {
    pin_at(&NetNs::open(from)?, from, to)
}

/// Pins the namespace that a process is in, as [`repin`] does.
///
/// # Errors
/// As there.
pub fn pin_of(pid: u32, to: &Path) -> Result<()> {
    let from = format!("/proc/{pid}/ns/net");
    pin_at(&NetNs::of(pid)?, Path::new(&from), to)
}

fn pin_at(namespace: &NetNs, from: &Path, to: &Path) -> Result<()> {
    let failed = |errno| {
        let (from, to) = (from.display(), to.display());
        Error::os(format_args!("pin the namespace of {from} at {to}"), errno)
    };
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    match fs::open(to, flags, Mode::empty()) {
        Ok(made) => drop(made),
        Err(Errno::EXIST) if is_bare_mount_point(to) && is_pin(to) == Some(false) => {}
        Err(Errno::EXIST) => {
            return match NetNs::open(to) {
                Ok(there) if there.inode() == namespace.inode() => Ok(()),
                _ => Err(failed(Errno::EXIST)),
            };
        }
        Err(errno) => return Err(failed(errno)),
    }
    mount::mount_bind(from, to).map_err(|errno| {
        fs::unlink(to).ok();
        failed(errno)
    })
}

/// Takes a pin away: the mount and the file. One that is gone is fine.
///
/// # Errors
/// A file that is no pin stays: it is somebody else's.
pub fn unpin(path: &Path) -> Result<()> {
    let failed = |errno| Error::os(format_args!("remove the pin {}", path.display()), errno);
    match is_pin(path) {
        Some(true) => match mount::unmount(path, UnmountFlags::DETACH) {
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
            Err(errno) => return Err(failed(errno)),
        },
        // What create_and_pin makes before it mounts: an empty file of mode 0.
        Some(false) if is_bare_mount_point(path) => {}
        Some(false) => {
            return Err(failed(Errno::EXIST).because("it is no network namespace of netcell's"));
        }
        None => return Ok(()),
    }
    match fs::unlink(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(failed(errno)),
    }
}

/// Whether a file pins a namespace; none when there is no such file.
pub fn is_pin(path: &Path) -> Option<bool> {
    match fs::open(
        path,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    ) {
        Ok(fd) => Some(is_nsfs(fd.as_fd())),
        Err(Errno::NOENT) => None,
        Err(_) => Some(false),
    }
}

fn is_bare_mount_point(path: &Path) -> bool {
    fs::lstat(path).is_ok_and(|stat| {
        stat.st_size == 0
            && stat.st_mode & 0o7777 == 0
            && stat.st_uid == rustix::process::geteuid().as_raw()
    })
}

/// Whether something is mounted there (statx(2), STATX_ATTR_MOUNT_ROOT, Linux 5.8).
pub fn is_mount_point(path: &Path) -> bool {
    fs::statx(CWD, path, AtFlags::NO_AUTOMOUNT, StatxFlags::empty())
        .is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Makes the directory of pins as iproute2 does (create_netns_dir and netns_add in ip/ipnetns.c): a shared mount, so
/// that a pin, and its end, reach every mount namespace that has the directory.
pub fn prepare_pin_directory(path: &Path) -> Result<()> {
    let failed = |errno| {
        Error::os(
            format_args!("make {} a shared mount", path.display()),
            errno,
        )
    };
    let shared = || {
        mount::mount_change(
            path,
            MountPropagationFlags::SHARED | MountPropagationFlags::REC,
        )
    };
    match fs::mkdir(path, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(failed(errno)),
    }
    match shared() {
        Err(Errno::INVAL) => {
            mount::mount(path, path, "none", MountFlags::BIND | MountFlags::REC, None)
                .map_err(failed)?;
            shared().map_err(failed)
        }
        other => other.map_err(failed),
    }
}
