//! What leads to and from a container's first process: its stdio as it begins, and the other ends of that.

use super::log::Stream;
use super::pipe::{null, output_pipe, pipe};
use crate::error::{Error, Result};
use crate::sys::handover;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::stdio::{stderr, stdout};

/// What a container's stdin is; on a terminal it is that, and this says who writes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdin {
    /// /dev/null.
    Null,
    /// Open and silent, until somebody attaches.
    Kept,
    /// Fed from the command's.
    Fed,
}

/// Who gets the output, and what stdin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attach {
    /// The command stays.
    pub output: bool,
    /// Which outputs it gets then, besides the log: stdout, stderr.
    pub streams: [bool; 2],
    /// What stdin is.
    pub stdin: Stdin,
}

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
    /// Where the master is sent on to; without a terminal, where a byte says that nobody reads what the command gets.
    pub line: Option<OwnedFd>,
}

/// The command's ends of what leads to a container.
#[derive(Debug, Default)]
pub(super) struct Mine {
    /// Its stdin, where that is fed.
    pub stdin: Option<OwnedFd>,
    /// What the monitor writes its output to; without a terminal it writes to the command's own descriptors, and here a byte
    /// when nobody reads from one of them.
    pub output: Option<OwnedFd>,
    /// Where the monitor sends the terminal's master.
    pub line: Option<OwnedFd>,
}

/// Stdio of pipes and /dev/null.
pub(super) fn pipes(attach: Attach) -> Result<(Lines, Mine)> {
    let (out, child_out) = output_pipe()?;
    let (err, child_err) = output_pipe()?;
    let (child_in, my_in) = match attach.stdin {
        Stdin::Null => (null()?, None),
        Stdin::Kept | Stdin::Fed => {
            let (read, write) = pipe()?;
            (read, Some(write))
        }
    };
    let fed = attach.stdin == Stdin::Fed;
    let (stdin, kept) = if fed { (my_in, None) } else { (None, my_in) };
    let (output, broken) = match attach.output {
        true => pipe().map(|(read, write)| (Some(read), Some(write)))?,
        false => (None, None),
    };
    let lines = Lines {
        stdio: [child_in, child_out, child_err],
        stdin: kept,
        outputs: [Some(out), Some(err)],
        foreground: attach.streams.map(|stream| stream && attach.output),
        terminal: false,
        visitor: None,
        line: broken,
    };
    let mine = Mine {
        stdin,
        output,
        line: None,
    };
    Ok((lines, mine))
}

/// A terminal that the child will make; until then its stdio lead nowhere. The command gets the output through a pipe,
/// which breaks when it goes: then nobody writes to a terminal that somebody else uses by now.
pub(super) fn terminal(attach: Attach) -> Result<(Lines, Mine)> {
    let mut lines = Lines {
        stdio: [null()?, null()?, null()?],
        stdin: None,
        outputs: [None, None],
        foreground: [false; 2],
        terminal: true,
        visitor: None,
        line: None,
    };
    let mut mine = Mine::default();
    if attach.output {
        let (output, theirs) = pipe()?;
        let (line, their_line) = handover::pair().map_err(|e| Error::os("make a socket", e))?;
        lines.visitor = Some(theirs);
        lines.line = Some(their_line);
        mine = Mine {
            stdin: None,
            output: Some(output),
            line: Some(line),
        };
    }
    Ok((lines, mine))
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
        let out = self.foreground[0].then(|| own(stdout())).flatten();
        let err = self.foreground[1].then(|| own(stderr())).flatten();
        let [out_pipe, err_pipe] = std::mem::take(&mut self.outputs);
        let output = |pipe, stream, own| Output {
            pipe,
            stream,
            own,
            to: Vec::new(),
        };
        let mut outputs = [
            output(out_pipe, Stream::Stdout, out),
            output(err_pipe, Stream::Stderr, err),
        ];
        outputs[0].to.extend(self.visitor.take());
        outputs
    }
}

/// One output of the container.
pub(super) struct Output {
    /// Where it is read; none when it has ended, or is not there yet.
    pub pipe: Option<OwnedFd>,
    /// What the log calls it.
    pub stream: Stream,
    /// The command's own descriptor for it, if it gets it.
    pub own: Option<OwnedFd>,
    /// Who else gets it besides the log.
    pub to: Vec<OwnedFd>,
}
