//! stdout for data, stderr for sentences; and the voice of `-v` and `--dry-run`.

use crate::error::{Error, Result};
use std::fmt::Display;
use std::io::{ErrorKind, Write};

/// Prints text as it is. That nobody reads it is not an error: they had enough.
pub fn text(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Error::new(format_args!("cannot write to stdout: {e}")))
        }
        _ => Ok(()),
    }
}

/// Prints a line.
pub fn line(line: &dyn Display) -> Result<()> {
    text(&format!("{line}\n"))
}

/// Says a sentence on stderr.
pub fn complain(sentence: &dyn Display) {
    // Whoever closed stderr does not want to hear of it.
    let _ = writeln!(std::io::stderr(), "netcell: {sentence}");
}

/// Whether stdout is a terminal: only there columns are aligned.
pub fn is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stdout())
}

/// Whether stdout shall have colours: a terminal that can, of somebody who wants them (no-color.org).
pub fn has_colour() -> bool {
    let set = |variable| std::env::var_os(variable).filter(|value| !value.is_empty());
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
        let seen = names.len() > 1 && std::io::IsTerminal::is_terminal(&std::io::stderr());
        Progress { what, names, seen }
    }

    /// The turn of the thing at this place.
    pub fn at(&mut self, at: usize) {
        if let (true, Some(name)) = (self.seen, self.names.get(at)) {
            let (what, next, all) = (self.what, at + 1, self.names.len());
            let _ = write!(std::io::stderr(), "\r\x1b[K{what} {name} ({next} of {all})");
        }
    }
}

impl Progress<'_> {
    /// Makes room for what is printed meanwhile.
    pub fn clear(&self) {
        if self.seen {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
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
            Voice::Verbose => {
                let _ = writeln!(std::io::stderr(), "{operation}");
            }
            Voice::Script => {
                let _ = line(operation);
            }
        }
    }
}
