//! What leads to and from a container's first process: its stdio as it begins, and the other ends of that.

use super::log::Stream;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::stdio::{stderr, stdout};

/// What leads to and from a container's first process.
pub(super) struct Lines {
    /// Its stdio, as it begins.
    pub stdio: [OwnedFd; 3],
    /// The writing end of its stdin, where nobody else holds it: it must not end.
    pub stdin: Option<OwnedFd>,
    /// Reading ends of its outputs.
    pub outputs: [Option<OwnedFd>; 2],
    /// Which outputs go to the command's own stdout and stderr, too.
    pub foreground: [bool; 2],
    /// Whether it makes a terminal, whose master it sends through its gate.
    pub terminal: bool,
    /// What the terminal's output is written to, besides the log.
    pub visitor: Option<OwnedFd>,
    /// Where the master is sent on to.
    pub line: Option<OwnedFd>,
}

impl Lines {
    /// All of them.
    pub fn descriptors(&self) -> impl Iterator<Item = &OwnedFd> {
        let outputs = self.outputs.iter().flatten();
        let others = [&self.stdin, &self.visitor, &self.line];
        self.stdio
            .iter()
            .chain(outputs)
            .chain(others.into_iter().flatten())
    }

    /// The outputs, each with who gets it besides the log.
    pub fn take_outputs(&mut self) -> [Output; 2] {
        let own = |fd: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, 3).ok();
        let out = match self.foreground[0] {
            true => own(stdout()),
            false => self.visitor.take(),
        };
        let err = self.foreground[1].then(|| own(stderr())).flatten();
        let [out_pipe, err_pipe] = std::mem::take(&mut self.outputs);
        let output = |pipe, stream, to: Option<OwnedFd>| Output {
            pipe,
            stream,
            to: to.into_iter().collect(),
        };
        [
            output(out_pipe, Stream::Stdout, out),
            output(err_pipe, Stream::Stderr, err),
        ]
    }
}

/// One output of the container.
pub(super) struct Output {
    /// Where it is read; none when it has ended, or is not there yet.
    pub pipe: Option<OwnedFd>,
    /// What the log calls it.
    pub stream: Stream,
    /// Who gets it besides the log.
    pub to: Vec<OwnedFd>,
}
