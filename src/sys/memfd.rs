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

/// How often sealing is tried; the kernel waits for some 150 ms each time.
const TRIES: usize = 10;

/// A page that somebody else holds for a moment, as memory's own upkeep does when it migrates or scans it, counts as one that
/// may still be written to: EBUSY of memfd_wait_for_pins (mm/memfd.c).
fn seal(fd: &OwnedFd) -> Result<(), Errno> {
    let all = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    let mut sealed = rustix::fs::fcntl_add_seals(fd, all);
    for _ in 1..TRIES {
        if sealed != Err(Errno::BUSY) {
            break;
        }
        sealed = rustix::fs::fcntl_add_seals(fd, all);
    }
    sealed
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{SpliceFlags, pipe, splice};
    use std::time::Duration;

    #[test]
    fn sealing_outlasts_who_holds_a_page_for_a_moment() {
        const PAGE: usize = 4096;
        let fd = rustix::fs::memfd_create("held", MemfdFlags::ALLOW_SEALING).expect("a file");
        write_all(&fd, &[7; PAGE], None).expect("a page");
        let (read, write) = pipe().expect("a pipe");
        // The pipe has the page itself, not a copy.
        let held = splice(&fd, Some(&mut 0), &write, None, PAGE, SpliceFlags::empty());
        assert_eq!(held, Ok(PAGE));
        let all = SealFlags::WRITE;
        assert_eq!(
            rustix::fs::fcntl_add_seals(&fd, all),
            Err(Errno::BUSY),
            "else this shows nothing"
        );
        let drained = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(400));
            rustix::io::read(&read, &mut [0; PAGE])
        });
        assert_eq!(seal(&fd), Ok(()));
        assert_eq!(drained.join().expect("a thread"), Ok(PAGE));
    }
}
