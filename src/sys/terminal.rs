//! The terminal that a command was typed on: its size, and raw mode for as long as another terminal stands behind it.

use crate::sys::pty::Size;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::stdio;
use rustix::termios::{self, OptionalActions, Termios};

/// The size of the terminal that is stdin, stdout or stderr; none where none of them is one that knows its size.
pub fn size() -> Option<Size> {
    [stdio::stdin(), stdio::stdout(), stdio::stderr()]
        .into_iter()
        .filter_map(|fd| termios::tcgetwinsize(fd).ok())
        .map(|size| Size {
            rows: size.ws_row,
            columns: size.ws_col,
        })
        .find(|size| *size != Size::default())
}

/// Raw mode of stdin's terminal: every key goes through as it is. Dropping it brings the mode before back.
#[derive(Debug)]
pub struct Raw {
    before: Termios,
}

impl Raw {
    /// Makes stdin's terminal raw; none where stdin is no terminal. See cfmakeraw(3).
    pub fn take() -> Result<Option<Self>, Errno> {
        match termios::tcgetattr(stdio::stdin()) {
            Ok(before) => {
                let raw = Raw { before };
                raw.set()?;
                Ok(Some(raw))
            }
            Err(_) => Ok(None),
        }
    }

    /// Raw again, after a stop in which the shell had the terminal.
    pub fn again(&self) {
        if is_ours(stdio::stdin()) {
            let _ = self.set();
        }
    }

    fn set(&self) -> Result<(), Errno> {
        let mut raw = self.before.clone();
        raw.make_raw();
        termios::tcsetattr(stdio::stdin(), OptionalActions::Now, &raw)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // In the background it is the shell's, and asking would stop this process (SIGTTOU, tcsetattr(3)).
        if is_ours(stdio::stdin()) {
            // Not "drain": output that a stopped terminal holds back would keep this process here.
            let _ = termios::tcsetattr(stdio::stdin(), OptionalActions::Now, &self.before);
        }
    }
}

/// Whether this process is in the terminal's foreground, or the terminal has no jobs (a serial line without a session).
fn is_ours(terminal: BorrowedFd<'_>) -> bool {
    termios::tcgetpgrp(terminal).is_ok_and(|group| group == rustix::process::getpgrp())
        || termios::tcgetsid(terminal).is_err()
}
