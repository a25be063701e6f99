//! `netcell logs`: lines of a log, chosen by time and number.

use super::argv::Usage;
use super::options::{Given, Page, option, switch};
use super::output::{self, Voice};
use super::{Cli, age};
use crate::engine::log::{Entry, Stream};
use crate::engine::record::UnixNanos;
use crate::error::{Errno, Error, Result};
use rustix::fd::BorrowedFd;
use rustix::stdio::{stderr, stdout};

/// How much of a line without an end is held back, in bytes.
const HELD: usize = 1024;

pub(super) static PAGE: Page = Page {
    command: "logs",
    words: "NAME",
    about: "Print what a container has written, as far as its log keeps it: stdout to stdout, stderr to stderr.",
    own: &[
        switch("--follow", Some('f'), "go on until the container ends"),
        option(
            "--tail",
            Some('n'),
            "COUNT",
            "only the last lines; default all",
        ),
        option(
            "--since",
            None,
            "TIME",
            "only lines from then on: as 2026-11-24T07:56:18Z, 1795507004 or 10m ago",
        ),
        option("--until", None, "TIME", "only lines up to then"),
        switch(
            "--timestamps",
            Some('t'),
            "say of each line when it was written",
        ),
    ],
    end: "Example:
  netcell logs -f --tail 10 --since 1h30m web

Exit codes: 0; 1 an error.
",
};

/// Carries out `netcell logs`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let name = given.one_name()?;
    let moment = |option| {
        given
            .last(option)
            .map(|text| age::parse(option, text))
            .transpose()
    };
    let tail = match given.last("--tail") {
        None | Some("all") => None,
        Some(_) => given
            .number("--tail")?
            .and_then(|count| usize::try_from(count).ok()),
    };
    let mut printer = Printer {
        since: moment("--since")?.unwrap_or(0),
        until: moment("--until")?,
        stamps: given.has("--timestamps"),
        tail,
        kept: Vec::new(),
        open: [false; 2],
        wanted: [false; 2],
        outputs: [stdout(), stderr()],
        held: Default::default(),
    };
    let until = printer.until;
    cli.engine(Voice::Quiet, |engine, _| {
        engine.logs(name, given.has("--follow"), until, &mut |entry| {
            printer.take(entry)
        })
    })?;
    Ok(0)
}

/// Chooses lines, and prints them piece by piece, as they come.
struct Printer<'o> {
    since: UnixNanos,
    until: Option<UnixNanos>,
    stamps: bool,
    /// How many lines of what is there already are wanted; none from then on.
    tail: Option<usize>,
    /// The last of them, and at most as many before.
    kept: Vec<(Stream, Vec<u8>)>,
    /// For each stream, whether its line goes on.
    open: [bool; 2],
    /// For each stream, whether its line is printed.
    wanted: [bool; 2],
    outputs: [BorrowedFd<'o>; 2],
    /// For each stream, what its line begins with: where both are one terminal, it shows whole lines.
    held: [Vec<u8>; 2],
}

impl Printer<'_> {
    /// Takes an entry, or that there are no more for now; false when nobody reads on.
    fn take(&mut self, entry: Option<Entry<'_>>) -> Result<bool> {
        let printed = match entry {
            Some(entry) => self.entry(&entry),
            None => self.flush(),
        };
        match printed {
            Ok(()) => Ok(true),
            // That is theirs to decide.
            Err(Errno::PIPE) => Ok(false),
            Err(errno) => Err(Error::os("write the log", errno)),
        }
    }

    fn entry(&mut self, entry: &Entry<'_>) -> Result<(), Errno> {
        let which = entry.stream as usize - 1;
        // What another start left unfinished does not go on.
        self.open[which] &= entry.middle;
        for piece in entry.bytes.split_inclusive(|&byte| byte == b'\n') {
            let begins = !std::mem::replace(&mut self.open[which], piece.last() != Some(&b'\n'));
            if begins {
                self.wanted[which] =
                    entry.at >= self.since && self.until.is_none_or(|until| entry.at <= until);
            }
            if !self.wanted[which] {
                continue;
            }
            if begins && self.tail.is_some() {
                self.kept.push((entry.stream, Vec::new()));
            }
            if begins && self.stamps {
                let stamp = age::stamp(entry.at);
                self.piece(entry.stream, format!("{stamp} ").as_bytes())?;
            }
            self.piece(entry.stream, piece)?;
            if self.tail.is_some_and(|most| self.kept.len() / 2 > most) {
                self.forget();
            }
        }
        Ok(())
    }

    /// Keeps no more lines than are wanted.
    fn forget(&mut self) {
        if let Some(most) = self.tail {
            let extra = self.kept.len().saturating_sub(most);
            self.kept.drain(..extra);
        }
    }

    fn piece(&mut self, stream: Stream, piece: &[u8]) -> Result<(), Errno> {
        if self.tail.is_none() {
            let held = &mut self.held[stream as usize - 1];
            held.extend_from_slice(piece);
            return match piece.ends_with(b"\n") || held.len() > HELD {
                true => self.print(stream),
                false => Ok(()),
            };
        }
        let line = self.kept.iter_mut().rev().find(|(of, _)| *of == stream);
        if let Some((_, line)) = line {
            line.extend_from_slice(piece);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Errno> {
        self.forget();
        for which in [Stream::Stdout, Stream::Stderr] {
            // Of a line that was left out nor the rest.
            let kept = |(of, line): &(Stream, Vec<u8>)| *of == which && !line.ends_with(b"\n");
            let begun = self.tail.is_none() || self.kept.iter().any(kept);
            self.wanted[which as usize - 1] &= begun;
        }
        self.tail = None;
        for (stream, line) in std::mem::take(&mut self.kept) {
            self.piece(stream, &line)?;
        }
        self.print(Stream::Stdout)?;
        self.print(Stream::Stderr)
    }

    /// Prints what was held back.
    fn print(&mut self, stream: Stream) -> Result<(), Errno> {
        let which = stream as usize - 1;
        let held = std::mem::take(&mut self.held[which]);
        output::put(self.outputs[which], &held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::files;
    use rustix::fd::{AsFd, OwnedFd};
    use rustix::fs::{MemfdFlags, SeekFrom};

    fn print(tail: Option<usize>, stamps: bool, times: (u64, Option<u64>), to: [&OwnedFd; 2]) {
        let mut printer = Printer {
            since: times.0,
            until: times.1,
            stamps,
            tail,
            kept: Vec::new(),
            open: [false; 2],
            wanted: [false; 2],
            outputs: to.map(AsFd::as_fd),
            held: Default::default(),
        };
        let second = 1_000_000_000;
        for (stream, at, bytes, middle) in [
            (Stream::Stdout, 1, "one\ntw", false),
            (Stream::Stderr, 2, "error\n", false),
            (Stream::Stdout, 3, "o\nthree\n", true),
            (Stream::Stdout, 4, "unfinished", false),
            (Stream::Stdout, 5, "again\n", false),
        ] {
            let bytes = bytes.as_bytes();
            let at = at * second;
            assert!(
                printer
                    .take(Some(Entry {
                        stream,
                        at,
                        bytes,
                        middle
                    }))
                    .unwrap_or(false)
            );
        }
        assert!(printer.take(None).unwrap_or(false));
    }

    fn file() -> OwnedFd {
        rustix::fs::memfd_create("output", MemfdFlags::empty()).expect("a file")
    }

    fn text(file: &OwnedFd) -> String {
        rustix::fs::seek(file, SeekFrom::Start(0)).expect("a file");
        let bytes = files::rest(file.as_fd(), usize::MAX).expect("bytes");
        String::from_utf8(bytes).expect("UTF-8")
    }

    fn printed(tail: Option<usize>, stamps: bool, times: (u64, Option<u64>)) -> (String, String) {
        let (out, err) = (file(), file());
        print(tail, stamps, times, [&out, &err]);
        (text(&out), text(&err))
    }

    #[test]
    fn where_both_streams_are_one_file_lines_stay_whole() {
        let both = file();
        print(None, false, (0, None), [&both; 2]);
        assert_eq!(text(&both), "one\nerror\ntwo\nthree\nunfinishedagain\n");
    }

    #[test]
    fn lines_are_chosen_by_number_and_time() {
        let all = (0, None);
        let second = 1_000_000_000;
        assert_eq!(
            printed(None, false, all).0,
            "one\ntwo\nthree\nunfinishedagain\n"
        );
        assert_eq!(printed(None, false, all).1, "error\n");
        assert_eq!(
            printed(Some(2), false, all),
            ("unfinishedagain\n".into(), String::new())
        );
        assert_eq!(
            printed(Some(4), false, all),
            ("three\nunfinishedagain\n".into(), "error\n".into())
        );
        assert_eq!(printed(Some(0), false, all), (String::new(), String::new()));
        let some = printed(None, true, (2 * second, Some(3 * second)));
        assert_eq!(some.0, "1970-01-01T00:00:03.000000000Z three\n");
        assert_eq!(some.1, "1970-01-01T00:00:02.000000000Z error\n");
    }
}
