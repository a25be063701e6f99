//! stdout for data, stderr for sentences; and the voice of `-v` and `--dry-run`.

use crate::engine::files;
use crate::error::{Errno, Error, Result};
use rustix::buffer::spare_capacity;
use rustix::fd::BorrowedFd;
use rustix::io::retry_on_intr;
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::isatty;
use std::fmt::Display;

/// Prints text as it is. That nobody reads it is not an error: they had enough.
pub fn text(text: &str) -> Result<()> {
    match put(stdout(), text.as_bytes()) {
        Ok(()) | Err(Errno::PIPE) => Ok(()),
        Err(errno) => Err(Error::os("write to stdout", errno)),
    }
}

/// Writes to stdout or stderr. What cannot be written to at all is as good as /dev/null.
pub fn put(output: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), Errno> {
    match files::write_all(output, bytes, None) {
        Err(Errno::BADF) => Ok(()),
        written => written,
    }
}

/// Prints a line.
pub fn line(line: &dyn Display) -> Result<()> {
    text(&format!("{line}\n"))
}

/// Asks, and reads a line of stdin: whether it says yes. Whoever says nothing does not.
pub fn agreed(question: &str) -> Result<bool> {
    text(question)?;
    let mut answer = Vec::new();
    while !answer.contains(&b'\n') {
        answer.reserve(64);
        let read = retry_on_intr(|| rustix::io::read(stdin(), spare_capacity(&mut answer)));
        if !read.is_ok_and(|read| read > 0) {
            break;
        }
    }
    let line = answer.split(|&byte| byte == b'\n').next();
    let line = line.unwrap_or_default().trim_ascii();
    Ok([&b"y"[..], b"yes"]
        .iter()
        .any(|yes| line.eq_ignore_ascii_case(yes)))
}

/// Says a sentence on stderr.
pub fn complain(sentence: &dyn Display) {
    say(&format!("netcell: {sentence}\n"));
}

/// Puts text on stderr as it is.
fn say(text: &str) {
    // Whoever closed stderr does not want to hear of it.
    let _ = put(stderr(), text.as_bytes());
}

/// Whether stdout is a terminal: only there columns are aligned.
pub fn is_terminal() -> bool {
    isatty(stdout())
}

/// Whether stdout shall have colours: a terminal that can, of somebody who wants them (no-color.org).
pub fn has_colour() -> bool {
    let set = |name| files::variable(name).filter(|value| !value.is_empty());
    is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_some_and(|term| term != "dumb")
}

/// What long work is at, on stderr where that is a terminal: one line, gone at the end.
pub struct Progress<'a> {
    what: &'static str,
    names: &'a [String],
    /// Whether anybody sees it.
    seen: bool,
}

impl<'a> Progress<'a> {
    /// Work on many things; of one there is nothing to tell.
    pub fn new(what: &'static str, names: &'a [String]) -> Self {
        let seen = names.len() > 1 && isatty(stderr());
        Progress { what, names, seen }
    }

    /// The turn of the thing at this place.
    pub fn at(&mut self, at: usize) {
        if let (true, Some(name)) = (self.seen, self.names.get(at)) {
            let (what, next, all) = (self.what, at + 1, self.names.len());
            say(&format!("\r\x1b[K{what} {name} ({next} of {all})"));
        }
    }
}

impl Progress<'_> {
    /// Makes room for what is printed meanwhile.
    pub fn clear(&self) {
        if self.seen {
            say("\r\x1b[K");
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// How much of what is done is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// Only what the user should know.
    Quiet,
    /// `-v`: each operation's line on stderr, as it is done.
    Verbose,
    /// `--dry-run`: the operations as a shell script on stdout, and nothing is done.
    Script,
}

impl Voice {
    /// The voice that the two options ask for.
    pub fn of(verbose: bool, dry_run: bool) -> Self {
        match (dry_run, verbose) {
            (true, _) => Voice::Script,
            (false, true) => Voice::Verbose,
            (false, false) => Voice::Quiet,
        }
    }

    /// Begins a script; whether this is one, and nothing may be done.
    pub(super) fn begin(&self) -> Result<bool> {
        if *self == Voice::Script {
            text("#!/bin/sh\nset -e\n")?;
        }
        Ok(*self == Voice::Script)
    }

    pub(super) fn listens(&self) -> bool {
        *self != Voice::Quiet
    }

    pub(super) fn hear(&self, operation: &dyn Display) {
        match self {
            Voice::Quiet => {}
            Voice::Verbose => say(&format!("{operation}\n")),
            Voice::Script => {
                let _ = line(operation);
            }
        }
    }
}
