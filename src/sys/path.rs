//! Opening paths that somebody else wrote: beneath a root, never past it. See openat2(2), Linux 5.6.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::path::Path;

/// Opens a directory for its path alone (O_PATH): to look beneath it, to mount on it, to go to it.
pub fn directory(path: impl AsRef<Path>) -> Result<OwnedFd, Errno> {
    rustix::fs::open(
        path.as_ref(),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// Opens anything for its path alone; symbolic links are followed.
pub fn place(path: impl AsRef<Path>) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(
        CWD,
        path.as_ref(),
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// Opens a file to be read; also a namespace's pin, which setns(2) does not take as a bare path.
pub fn file(path: impl AsRef<Path>) -> Result<OwnedFd, Errno> {
    rustix::fs::open(
        path.as_ref(),
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// Opens /dev/null for reading and writing.
pub fn null() -> Result<OwnedFd, Errno> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
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
    loop {
        let flags = flags | OFlags::CLOEXEC;
        match rustix::fs::openat2(&root, path.as_ref(), flags, Mode::empty(), resolve) {
            // A rename raced with the walk (openat2(2)): nothing was decided, so it walks again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}
