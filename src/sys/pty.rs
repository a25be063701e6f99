//! Pseudo-terminals: pairs of a master, which holds the line, and a slave, which programs take for a terminal. See pty(7).

use crate::sys::path::{self, Links};
use crate::types::json::json_object;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, OFlags, major, minor};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

/// DEVPTS_SUPER_MAGIC of linux/magic.h.
const DEVPTS: u64 = 0x1cd1;

/// A terminal's size in characters; both 0 where nobody knows it, as on a serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}
json_object!(Size { rows, columns });

/// Opens a new pair in the devpts at `dev/pts` beneath `root`: master and slave, close-on-exec both.
///
/// What lies there may be hostile: it is believed only if it is a devpts's own multiplexer, and the slave is opened from
/// the master and not by a path (TIOCGPTPEER, Linux 4.13). Neither becomes the caller's controlling terminal.
///
/// # Errors
/// ENOTTY when something else lies there.
pub fn open(root: impl AsFd, size: Size) -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK;
    let master = path::beneath(root, "dev/pts/ptmx", flags, Links::Refuse)?;
    let stat = rustix::fs::fstat(&master)?;
    let device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    let multiplexer = (major(stat.st_rdev), minor(stat.st_rdev)) == (5, 2);
    let kind = rustix::fs::fstatfs(&master)?.f_type;
    if !device || !multiplexer || kind as u64 != DEVPTS {
        return Err(Errno::NOTTY);
    }
    rustix::pty::unlockpt(&master)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    if size != Size::default() {
        resize(&master, size)?;
    }
    Ok((master, slave))
}

/// Changes the size; the kernel tells the programs by SIGWINCH. See TIOCSWINSZ(2const).
pub fn resize(master: impl AsFd, size: Size) -> Result<(), Errno> {
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(master, size)
}
