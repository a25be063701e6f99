//! A container's terminal: a new pair in the devpts of its own, whose master leaves it and whose slave is its stdio.
//!
//! The caller's terminal is never handed in: what runs inside could push characters into its input (TIOCSTI,
//! CVE-2017-5226) or reach the caller's other programs.

use super::gate;
use super::users::User;
use crate::engine::record::Process;
use crate::error::{Errno, Error, Result};
use crate::sys::pty::Size;
use crate::sys::{fd, handover, mount, path, process, pty};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, Uid};
use rustix::stdio;

/// What runc and Docker's programs know the first terminal by, too.
const CONSOLE: &str = "/dev/console";

fn cannot(errno: Errno) -> Error {
    let error = Error::os("open a terminal in the container", errno);
    match errno {
        Errno::NOENT | Errno::NODEV | Errno::NOTTY => {
            error.because("it has no devpts at /dev/pts (CONFIG_UNIX98_PTYS)")
        }
        _ => error,
    }
}

/// Makes the calling process's terminal, in its own root, and sends the master through `gate`.
pub(super) fn make(user: &User, size: Size, gate: &OwnedFd) -> Result<()> {
    let take = || {
        let (master, slave) = pty::open(path::directory("/")?, size)?;
        handover::send(gate, gate::TERMINAL, &[master.as_fd()])?;
        // Without it there is still /dev/tty.
        let _ = console(&slave);
        stdio::dup2_stdin(&slave)?;
        stdio::dup2_stdout(&slave)?;
        stdio::dup2_stderr(&slave)
    };
    take().map_err(cannot)?;
    own(user);
    Ok(())
}

/// Shows the terminal as /dev/console, on the container's own /dev.
fn console(slave: &OwnedFd) -> Result<(), Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let place = rustix::fs::openat(CWD, CONSOLE, flags, Mode::from_raw_mode(0o600))?;
    mount::attach(mount::copy(slave, false)?, place)
}

/// Opens a terminal in a running container: master and slave.
pub(super) fn inside(of: Process, size: Size) -> Result<(OwnedFd, OwnedFd)> {
    let open = || {
        let pid = of.number().ok_or(Errno::SRCH)?;
        let root = path::directory(format!("/proc/{}/root", of.pid))?;
        // The same process still: so it was its root, and not that of a later one.
        if process::start_time(pid)? != of.start {
            return Err(Errno::SRCH);
        }
        pty::open(root, size)
    };
    open().map_err(cannot)
}

/// Gives the terminal that is stdin to the user.
pub(super) fn own(user: &User) {
    // An id that is not mapped here is refused with a better sentence when it is taken.
    let _ = rustix::fs::fchown(stdio::stdin(), Some(Uid::from_raw(user.uid)), None);
}

/// Makes the terminal that is stdin the session's own. See ioctl_tty(2), TIOCSCTTY.
pub(super) fn control() -> Result<()> {
    rustix::process::ioctl_tiocsctty(stdio::stdin())
        .map_err(|e| Error::os("take the container's terminal", e))
}

/// Leaves a process behind that reads what is written to a terminal whose user has left, until nobody has it open.
pub(super) fn keep(master: &OwnedFd) -> Result<()> {
    let keeper = || {
        fd::close_from(0, &[master.as_fd()]);
        let _ = rustix::process::setsid();
        let _ = rustix::io::ioctl_fionbio(master, false);
        drain(master.as_fd());
        0
    };
    process::fork(keeper)
        .map(drop)
        .map_err(|e| Error::os("leave the terminal", e))
}

fn drain(master: BorrowedFd<'_>) {
    let mut chunk = [0; 512];
    while !matches!(rustix::io::read(master, &mut chunk), Ok(0) | Err(Errno::IO)) {}
}
