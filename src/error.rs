//! The one error type: an action, an object, the sandbox, a cause, and the kernel's own words.
//!
//! Every failure ends as one sentence on stderr. The errno stays data (`err.is(Errno::EXIST)`): nobody matches text.
//! Rungs below the face make errors and pass them up unchanged, adding at most the sandbox they happened in.

use crate::sys::strerror;
use std::fmt;

pub use rustix::io::Errno;

/// What every fallible function of netcell returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Exit codes, as Docker's: see `docker run` under "Exit Status".
pub mod exit {
    /// Every failure that has no code of its own.
    pub const FAILURE: u8 = 1;
    /// A template that is not supported or not well formed.
    pub const TEMPLATE: u8 = 64;
    /// `run`: netcell's own error, before the command could start.
    pub const RUN: u8 = 125;
    /// The command exists and cannot be executed.
    pub const CANNOT_EXECUTE: u8 = 126;
    /// The command was not found.
    pub const NOT_FOUND: u8 = 127;
}

/// One failure, said in one sentence by its [`fmt::Display`].
#[derive(Debug, Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    sentence: String,
    sandbox: Option<String>,
    errno: Option<Errno>,
    cause: Option<String>,
    kernel: Option<String>,
    exit: Option<u8>,
    part: Option<(&'static str, usize)>,
}

impl Error {
    /// A whole sentence of netcell's own: `network lan not found`. One of pieces comes as `format_args!`, and is put together
    /// here, not at each of the many places that fail.
    pub fn new(sentence: impl fmt::Display) -> Self {
        Error::made(&sentence)
    }

    fn made(sentence: &dyn fmt::Display) -> Self {
        Error(Box::new(Inner {
            sentence: sentence.to_string(),
            sandbox: None,
            errno: None,
            cause: None,
            kernel: None,
            exit: None,
            part: None,
        }))
    }

    /// An action on an object that the kernel refused: `cannot add 10.0.0.2/24 to eth0: File exists`.
    pub fn os(action: impl fmt::Display, errno: Errno) -> Self {
        let mut error = Error::new(format_args!("cannot {action}"));
        error.0.errno = Some(errno);
        error
    }

    /// The sandbox in which it happened; an inner, earlier name wins, and an empty one says that it happened in none.
    pub fn sandbox(mut self, name: &str) -> Self {
        self.0.sandbox.get_or_insert_with(|| name.to_owned());
        self
    }

    /// What it is about, as data: an option's last value, by the option's long name, or `image`; `""` is a command line's
    /// word. What was said first holds.
    // Only errors need it, and in many places.
    #[inline(never)]
    pub fn of(self, part: &'static str) -> Self {
        self.nth(part, usize::MAX)
    }

    /// The same of an option that may be repeated: its value with this number, counted from 0.
    // Only errors need it, and in many places.
    #[inline(never)]
    pub fn nth(mut self, part: &'static str, number: usize) -> Self {
        self.0.part.get_or_insert((part, number));
        self
    }

    /// What it is about, where that was said.
    pub fn part(&self) -> Option<(&'static str, usize)> {
        self.0.part
    }

    /// What comes before the sentence, as where in a file it was asked for: `lan.conf:3:16`.
    pub fn at(mut self, place: &str) -> Self {
        self.0.sentence = format!("{place}: {}", self.0.sentence);
        self
    }

    /// Words that replace the errno's text, for the few errnos that mislead.
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The kernel's extended-ack text (NLMSGERR_ATTR_MSG, netlink(7)).
    pub fn kernel(mut self, text: impl Into<String>) -> Self {
        self.0.kernel = Some(text.into());
        self
    }

    /// The exit code to end with, where it is neither 1 nor `run`'s 125; an inner, earlier code wins.
    pub fn exit(mut self, code: u8) -> Self {
        self.0.exit.get_or_insert(code);
        self
    }

    /// Whether the kernel answered with this errno.
    pub fn is(&self, errno: Errno) -> bool {
        self.0.errno == Some(errno)
    }

    /// The kernel's errno, if this came from the kernel.
    pub fn errno(&self) -> Option<Errno> {
        self.0.errno
    }

    /// The exit code that was set, if one was.
    pub fn exit_code(&self) -> Option<u8> {
        self.0.exit
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = &*self.0;
        f.write_str(&e.sentence)?;
        if let Some(sandbox) = e.sandbox.as_ref().filter(|name| !name.is_empty()) {
            write!(f, " in sandbox {sandbox}")?;
        }
        match (&e.cause, e.errno) {
            (Some(cause), _) => write!(f, ": {cause}")?,
            (None, Some(errno)) => write!(f, ": {}", errno_text(errno))?,
            (None, None) => {}
        }
        match &e.kernel {
            Some(text) => write!(f, " (kernel: {text})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// strerror(3)'s text.
pub fn errno_text(errno: Errno) -> String {
    // The C libraries have no text for EXFULL, which a full bridge (1,023 ports) answers with.
    match errno {
        Errno::XFULL => "Exchange full".into(),
        _ => strerror(errno),
    }
}

/// Hands each file of a corpus of tests/fuzz to what is fuzzed with it.
#[cfg(test)]
pub fn replay(corpus: &str, fuzz: fn(&[u8])) {
    let place = format!("{}/tests/fuzz/corpus/{corpus}", env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for entry in std::fs::read_dir(&place).expect("a corpus") {
        fuzz(&std::fs::read(entry.expect("an entry").path()).expect("a file"));
        count += 1;
    }
    assert!(count > 5, "{count} files in {place}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_has_action_object_sandbox_cause_and_the_kernels_words() {
        let error = Error::os("add 10.0.0.2/24 to eth0", Errno::EXIST)
            .sandbox("myapp")
            .kernel("address already assigned");
        assert_eq!(
            error.to_string(),
            "cannot add 10.0.0.2/24 to eth0 in sandbox myapp: File exists (kernel: address already assigned)"
        );
        assert!(error.is(Errno::EXIST));
    }
}
