//! Files in memory: a sealed copy of the running binary, and messages to a process that is about to be executed.

use crate::sys::fd::write_all;
use rustix::fd::OwnedFd;
use rustix::fs::{MemfdFlags, OFlags, SealFlags, SeekFrom};
use rustix::io::{Errno, retry_on_intr};

/// A file in memory with this content, sealed, read from its start.
pub fn message(name: &str, content: &[u8]) -> Result<OwnedFd, Errno> {
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    write_all(&fd, content, None)?;
    seal(&fd)?;
    rustix::fs::seek(&fd, SeekFrom::Start(0))?;
    Ok(fd)
}

/// A sealed copy of the running program.
///
/// A container that gets hold of /proc/PID/exe then holds this copy, which nobody can write, and not the file on the
/// host (CVE-2019-5736).
pub fn own_program() -> Result<OwnedFd, Errno> {
    let exe = rustix::fs::open(
        "/proc/self/exe",
        OFlags::RDONLY | OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Since 6.3 an executable one has to be asked for (vm.memfd_noexec, memfd_create(2)); before, the flag is unknown.
    let copy = rustix::fs::memfd_create("netcell", flags | MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create("netcell", flags))?;
    while retry_on_intr(|| rustix::fs::sendfile(&copy, &exe, None, 1 << 30))? > 0 {}
    seal(&copy)?;
    Ok(copy)
}

fn seal(fd: &OwnedFd) -> Result<(), Errno> {
    rustix::fs::fcntl_add_seals(
        fd,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )
}
