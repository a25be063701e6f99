//! Opening paths that somebody else wrote: beneath a root, never past it. See openat2(2), Linux 5.6.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::path::Path;

/// Opens a path as it is. One function for all: each kind of path that rustix is handed is one more of its own.
pub(super) fn open(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())
}

/// Opens a directory for its path alone (O_PATH): to look beneath it, to mount on it, to go to it.
pub fn directory(path: impl AsRef<Path>) -> Result<OwnedFd, Errno> {
    open(path.as_ref(), OFlags::PATH | OFlags::DIRECTORY)
}

/// Opens anything for its path alone; symbolic links are followed.
pub fn place(path: impl AsRef<Path>) -> Result<OwnedFd, Errno> {
    open(path.as_ref(), OFlags::PATH)
}

/// Opens a file to be read; also a namespace's pin, which setns(2) does not take as a bare path.
pub fn file(path: impl AsRef<Path>) -> Result<OwnedFd, Errno> {
    open(path.as_ref(), OFlags::RDONLY)
}

/// Opens /dev/null for reading and writing.
pub fn null() -> Result<OwnedFd, Errno> {
    open("/dev/null".as_ref(), OFlags::RDWR)
}

/// How [`beneath`] treats symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// ELOOP at the first one.
    Refuse,
    /// Followed as a process would whose root this is; never through /proc's magic ones, never into another mount.
    Follow,
}

/// Opens `path` as if `root` were the root directory: neither `..` nor a symbolic link leads out of it.
pub fn beneath(
    root: impl AsFd,
    path: impl AsRef<Path>,
    flags: OFlags,
    links: Links,
) -> Result<OwnedFd, Errno> {
    let resolve = match links {
        Links::Refuse => ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS,
        Links::Follow => ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    };
    walk(root.as_fd(), path.as_ref(), flags, resolve)
}

fn walk(
    root: BorrowedFd,
    path: &Path,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    loop {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // A rename raced with the walk (openat2(2)): nothing was decided, so it walks again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}
