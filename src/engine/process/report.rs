//! What a child tells the command that started it, through a pipe that closes when the container's program begins.
//!
//! Frames of a tag, a length and a payload, each in one write of at most PIPE_BUF bytes, so that two processes may
//! write (pipe(7)). The pipe is close-on-exec: its end after [`Report::Going`] says that exec succeeded.

use crate::engine::record::Process;
use crate::error::{Errno, Error, Result};
use rustix::fd::{AsFd, OwnedFd};
use std::fmt::Display;

/// PIPE_BUF of linux/limits.h.
const MOST: usize = 4096;
const HEAD: usize = 3;

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The process exists; as the host numbers it.
    Started(Process),
    /// Something that the user should know.
    Note(String),
    /// An operation that was done, as a line.
    Line(String),
    /// All is set up; it waits for its release.
    Ready,
    /// It is about to execute its program.
    Going,
    /// It failed, with this exit code and sentence, and is gone.
    Failed(u8, String),
}

/// The writing end.
#[derive(Debug)]
pub struct Reporter<Fd>(pub Fd);

impl<Fd: AsFd> Reporter<Fd> {
    /// Sends one frame; a reader that is gone is no concern of the writer's.
    pub fn send(&self, report: &Report) {
        let mut frame = Vec::with_capacity(64);
        frame.extend([0; HEAD]);
        frame[0] = match report {
            Report::Started(Process { pid, start }) => {
                frame.extend(pid.to_le_bytes());
                frame.extend(start.to_le_bytes());
                b'S'
            }
            Report::Note(text) => fill(&mut frame, b'N', text),
            Report::Line(text) => fill(&mut frame, b'L', text),
            Report::Ready => b'R',
            Report::Going => b'G',
            Report::Failed(code, text) => {
                frame.push(*code);
                fill(&mut frame, b'F', text)
            }
        };
        let len = (frame.len() - HEAD) as u16;
        frame[1..HEAD].copy_from_slice(&len.to_le_bytes());
        while rustix::io::write(&self.0, &frame) == Err(Errno::INTR) {}
    }

    /// Sends a note.
    pub fn note(&self, text: impl Display) {
        self.send(&Report::Note(text.to_string()));
    }

    /// Sends a failure, with the exit code that it carries, or 125.
    pub fn fail(&self, error: &Error) {
        let code = error.exit_code().unwrap_or(crate::error::exit::RUN);
        self.send(&Report::Failed(code, error.to_string()));
    }
}

fn fill(frame: &mut Vec<u8>, tag: u8, text: &str) -> u8 {
    let room = MOST - frame.len();
    let end = (0..=text.len().min(room))
        .rev()
        .find(|&end| text.is_char_boundary(end));
    frame.extend_from_slice(&text.as_bytes()[..end.unwrap_or(0)]);
    tag
}

/// The reading end.
#[derive(Debug)]
pub struct Reports {
    pipe: OwnedFd,
    buffer: Vec<u8>,
}

impl Reports {
    /// Reads from this end of a pipe.
    pub fn new(pipe: OwnedFd) -> Self {
        Reports {
            pipe,
            buffer: Vec::new(),
        }
    }

    /// The next frame; none when every writer is gone.
    pub fn next(&mut self) -> Result<Option<Report>> {
        loop {
            if let Some((report, used)) = parse(&self.buffer) {
                self.buffer.drain(..used);
                return Ok(Some(report));
            }
            let mut chunk = [0; MOST];
            match rustix::io::read(&self.pipe, &mut chunk) {
                Ok(0) => return Ok(None),
                Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::os("read the container's report", errno)),
            }
        }
    }
}

/// A whole frame at the start of `bytes`, and its length; an unknown tag reads as a failure.
fn parse(bytes: &[u8]) -> Option<(Report, usize)> {
    let head = bytes.get(..HEAD)?;
    let end = HEAD + usize::from(u16::from_le_bytes([head[1], head[2]]));
    let body = bytes.get(HEAD..end)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let report = match (head[0], body) {
        (b'S', [a, b, c, d, rest @ ..]) if rest.len() == 8 => Report::Started(Process {
            pid: u32::from_le_bytes([*a, *b, *c, *d]),
            start: rest.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)),
        }),
        (b'N', body) => Report::Note(text(body)),
        (b'L', body) => Report::Line(text(body)),
        (b'R', []) => Report::Ready,
        (b'G', []) => Report::Going,
        (b'F', [code, body @ ..]) => Report::Failed(*code, text(body)),
        _ => Report::Failed(
            crate::error::exit::RUN,
            "the container's report is garbled".into(),
        ),
    };
    Some((report, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_arrive_as_they_were_sent_and_end_with_their_writers() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let sent = [
            Report::Started(Process {
                pid: 4711,
                start: 1 << 40,
            }),
            Report::Note("no /dev/mqueue".into()),
            Report::Line("mount -t proc".into()),
            Report::Ready,
            Report::Going,
            Report::Failed(127, "x".repeat(5000)),
        ];
        let reporter = Reporter(write);
        sent.iter().for_each(|report| reporter.send(report));
        drop(reporter);
        let mut reports = Reports::new(read);
        for report in &sent[..5] {
            assert_eq!(reports.next().unwrap().as_ref(), Some(report));
        }
        let cut = Report::Failed(127, "x".repeat(MOST - HEAD - 1));
        assert_eq!(reports.next().unwrap(), Some(cut));
        assert_eq!(reports.next().unwrap(), None);
    }
}
