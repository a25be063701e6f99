//! A container's output, kept: two files in its directory, bounded together, with streams and times apart.
//!
//! `log` is the current file, `log.1` the one before. When the current one has half of what is allowed, it takes the
//! other's place. A file is a sequence of frames: stream (1 byte: 1 or 2, plus 128 in the middle of a line), length
//! (2 bytes), nanoseconds since 1970 (8 bytes), all little-endian, and the bytes as they were written. A frame torn by
//! the writer's death ends it.

use crate::engine::record::UnixNanos;
use crate::engine::store::Directory;
use crate::error::{Error, Result};
use crate::sys::file;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use std::io::IoSlice;
use std::path::Path;

/// The current file.
pub const CURRENT: &str = "log";
/// The file before it.
pub const PREVIOUS: &str = "log.1";
const HEAD: usize = 11;
/// Marks a frame whose first byte is not the first of a line.
const MIDDLE: u8 = 128;

/// Which of a program's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Descriptor 1.
    Stdout = 1,
    /// Descriptor 2.
    Stderr = 2,
}

impl Stream {
    fn index(self) -> usize {
        self as usize - 1
    }
}

/// The monitor's side.
#[derive(Debug)]
pub(super) struct Writer {
    dir: OwnedFd,
    file: Option<OwnedFd>,
    /// Bytes in the current file.
    len: u64,
    /// The most that one of the two files may hold, in bytes.
    most: u64,
    /// For each stream, whether its last byte left a line unfinished.
    unfinished: [bool; 2],
}

impl Writer {
    /// A log in this directory, with at most `max` bytes in its two files; what an earlier start left is kept.
    pub fn open(dir: &Path, max: u64) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(CWD, dir, flags, Mode::empty())
            .map_err(|e| Error::os(format_args!("open {}", dir.display()), e))?;
        let mut writer = Writer {
            dir: opened,
            file: None,
            len: 0,
            most: max / 2,
            unfinished: [false; 2],
        };
        writer
            .reopen(OFlags::APPEND)
            .map_err(|e| Error::os(format_args!("open {}/{CURRENT}", dir.display()), e))?;
        Ok(writer)
    }

    /// The descriptors it needs to keep.
    pub fn descriptors(&self) -> impl Iterator<Item = &OwnedFd> {
        [&self.dir].into_iter().chain(&self.file)
    }

    fn reopen(&mut self, how: OFlags) -> Result<(), Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | how;
        let file = rustix::fs::openat(&self.dir, CURRENT, flags, Mode::from_raw_mode(0o600))?;
        self.len = rustix::fs::fstat(&file)?.st_size as u64;
        self.file = Some(file);
        Ok(())
    }

    /// Keeps what a stream brought. A full file system or a limit too small for a frame loses it: the container goes on.
    pub fn keep(&mut self, stream: Stream, at: UnixNanos, mut bytes: &[u8]) {
        let room = self
            .most
            .saturating_sub(HEAD as u64)
            .min(u64::from(u16::MAX)) as usize;
        while !bytes.is_empty() && room > 0 {
            let free = self.most.saturating_sub(self.len + HEAD as u64) as usize;
            // A chunk that does not fit whole begins the next file, unless it would fill one by itself.
            if free < bytes.len().min(room) {
                self.rotate();
            }
            let (now, rest) = bytes.split_at(bytes.len().min(room));
            bytes = rest;
            self.frame(stream, at, now);
        }
    }

    fn rotate(&mut self) {
        if self.len == 0 {
            return;
        }
        self.file = None;
        let moved = rustix::fs::renameat(&self.dir, CURRENT, &self.dir, PREVIOUS);
        let how = if moved.is_ok() {
            OFlags::APPEND
        } else {
            OFlags::APPEND | OFlags::TRUNC
        };
        // Where no new file can be made (no memory, no space) the next chunk tries again.
        if self.reopen(how).is_err() {
            self.len = self.most;
        }
    }

    fn frame(&mut self, stream: Stream, at: UnixNanos, bytes: &[u8]) {
        let mut head = [0; HEAD];
        head[0] = stream as u8;
        let unfinished = &mut self.unfinished[stream.index()];
        if std::mem::replace(unfinished, bytes.last() != Some(&b'\n')) {
            head[0] |= MIDDLE;
        }
        head[1..3].copy_from_slice(&(bytes.len() as u16).to_le_bytes());
        head[3..].copy_from_slice(&at.to_le_bytes());
        let Some(file) = &self.file else { return };
        let whole = HEAD + bytes.len();
        match rustix::io::writev(file, &[IoSlice::new(&head), IoSlice::new(bytes)]) {
            Ok(n) if n == whole => self.len += n as u64,
            // No space: half a frame would hide all that follows it.
            _ => {
                let _ = rustix::fs::ftruncate(file, self.len);
            }
        }
    }
}

/// One chunk of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Where it was written.
    pub stream: Stream,
    /// When it was read.
    pub at: UnixNanos,
    /// What was written; a line may be spread over entries, an entry may hold many.
    pub bytes: &'a [u8],
    /// Whether its first byte is in the middle of a line that an earlier entry of the stream began.
    pub middle: bool,
}

impl Entry<'_> {
    /// Without the rest of a line that it does not begin.
    fn whole_lines(self) -> Self {
        let end = self.bytes.iter().position(|&b| b == b'\n');
        match end {
            Some(end) if self.middle => Entry {
                bytes: &self.bytes[end + 1..],
                middle: false,
                ..self
            },
            _ => self,
        }
    }
}

/// A reader of the log, which can go on where it stopped: `logs -f`.
pub struct Reader<'a> {
    dir: &'a Directory,
    /// Inode of the current file and how much of it was read.
    seen: Option<(u64, u64)>,
    /// For each stream, whether anything of it was handed on.
    begun: [bool; 2],
}

impl<'a> Reader<'a> {
    /// Reads the log in a container's directory from its beginning.
    pub fn new(dir: &'a Directory) -> Self {
        Reader {
            dir,
            seen: None,
            begun: [false; 2],
        }
    }

    /// Hands all entries since the last call to `sink`, oldest first. No log, or one that is gone, has none.
    ///
    /// Of a line whose beginning is no longer kept the rest is left out, if it ends in its stream's first entry.
    pub fn read(&mut self, sink: &mut dyn FnMut(Entry<'_>)) -> Result<()> {
        let seen = self.seen.take();
        let (current, previous) = self.both(seen)?;
        let mut begun = self.begun;
        let sink = &mut |entry: Entry<'_>| {
            let first = !std::mem::replace(&mut begun[entry.stream.index()], true);
            sink(if first { entry.whole_lines() } else { entry });
        };
        // Seen up to somewhere in the current file: then all of the previous one was seen before.
        let fresh = seen.is_none_or(|(inode, _)| Some(inode) != current.as_ref().map(|f| f.inode));
        // Where the writer is between the two, there is no current file, and the previous one is not over.
        for file in previous.filter(|_| fresh).into_iter().chain(current) {
            let read = entries(&file.bytes, sink);
            self.seen = Some((file.inode, file.from + read as u64));
        }
        self.begun = begun;
        Ok(())
    }

    /// Both files as they were at one moment: read again when the one took the other's place in between.
    fn both(&self, seen: Option<(u64, u64)>) -> Result<(Option<Log>, Option<Log>)> {
        let mut current = Log::read(self.dir, CURRENT, seen)?;
        loop {
            let previous = Log::read(self.dir, PREVIOUS, seen)?;
            let now = rustix::fs::statat(self.dir, CURRENT, AtFlags::empty())
                .ok()
                .map(|s| s.st_ino);
            if now == current.as_ref().map(|file| file.inode) {
                return Ok((current, previous));
            }
            current = Log::read(self.dir, CURRENT, seen)?;
        }
    }
}

/// A file of the log, from where it was not seen yet.
struct Log {
    inode: u64,
    from: u64,
    bytes: Vec<u8>,
}

impl Log {
    fn read(dir: &Directory, name: &str, seen: Option<(u64, u64)>) -> Result<Option<Self>> {
        let Some(opened) = dir.open_file(name, OFlags::RDONLY)? else {
            return Ok(None);
        };
        let read = || {
            let inode = rustix::fs::fstat(&opened)?.st_ino;
            let from = seen
                .filter(|(seen, _)| *seen == inode)
                .map_or(0, |(_, len)| len);
            rustix::fs::seek(&opened, SeekFrom::Start(from))?;
            let bytes = file::rest(opened.as_fd(), usize::MAX)?;
            Ok(Log { inode, from, bytes })
        };
        read()
            .map(Some)
            .map_err(|errno| dir.error("read", name, errno))
    }
}

/// Hands the entries on to `sink`; the position after the last whole one.
fn entries(file: &[u8], sink: &mut dyn FnMut(Entry<'_>)) -> usize {
    let mut at = 0;
    while let Some((entry, len)) = file.get(at..).and_then(entry) {
        sink(entry);
        at += len;
    }
    at
}

fn entry(file: &[u8]) -> Option<(Entry<'_>, usize)> {
    let head = file.first_chunk::<HEAD>()?;
    let [kind, a, b, time @ ..] = *head;
    let len = HEAD + usize::from(u16::from_le_bytes([a, b]));
    let entry = Entry {
        stream: match kind & !MIDDLE {
            1 => Stream::Stdout,
            2 => Stream::Stderr,
            _ => return None,
        },
        at: UnixNanos::from_le_bytes(time),
        bytes: file.get(HEAD..len)?,
        middle: kind & MIDDLE != 0,
    };
    Some((entry, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reader: &mut Reader<'_>) -> Vec<(Stream, UnixNanos, Vec<u8>)> {
        let mut all = Vec::new();
        let mut sink = |e: Entry<'_>| all.push((e.stream, e.at, e.bytes.to_vec()));
        reader.read(&mut sink).unwrap();
        all
    }

    struct Dir(std::path::PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir =
                std::env::temp_dir().join(format!("netcell-log-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            Dir(dir)
        }

        fn open(&self) -> Directory {
            Directory::open(&self.0).unwrap()
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn streams_and_times_come_back_as_they_went_in() {
        let dir = Dir::new("streams");
        let mut log = Writer::open(&dir.0, 1 << 20).unwrap();
        log.keep(Stream::Stdout, 1, b"out\n");
        log.keep(Stream::Stderr, 2, b"err\n");
        let open = dir.open();
        let mut reader = Reader::new(&open);
        assert_eq!(
            read(&mut reader),
            [
                (Stream::Stdout, 1, b"out\n".to_vec()),
                (Stream::Stderr, 2, b"err\n".to_vec())
            ]
        );
        log.keep(Stream::Stdout, 3, b"more\n");
        assert_eq!(read(&mut reader), [(Stream::Stdout, 3, b"more\n".to_vec())]);
        assert_eq!(read(&mut reader), []);
    }

    #[test]
    fn two_files_together_never_exceed_the_limit_and_keep_the_newest() {
        let dir = Dir::new("limit");
        let max = 400;
        let mut log = Writer::open(&dir.0, max).unwrap();
        let open = dir.open();
        let mut reader = Reader::new(&open);
        let mut seen = Vec::new();
        for n in 0..100u64 {
            log.keep(Stream::Stdout, n, format!("line {n}\n").as_bytes());
            let size = |name| std::fs::metadata(dir.0.join(name)).map_or(0, |m| m.len());
            assert!(size(CURRENT) + size(PREVIOUS) <= max);
            seen.extend(read(&mut reader).into_iter().map(|(_, at, _)| at));
        }
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        let kept = read(&mut Reader::new(&dir.open()));
        assert!(kept.len() >= 9, "{}", kept.len());
        assert_eq!(kept.last().unwrap().1, 99);
    }

    #[test]
    fn a_reader_that_comes_while_a_file_is_turned_hands_nothing_on_twice() {
        let dir = Dir::new("turned");
        let mut log = Writer::open(&dir.0, 1 << 20).unwrap();
        let open = dir.open();
        let mut reader = Reader::new(&open);
        log.keep(Stream::Stdout, 1, b"one\n");
        assert_eq!(read(&mut reader).len(), 1);
        log.keep(Stream::Stdout, 2, b"two\n");
        let (current, previous) = (dir.0.join(CURRENT), dir.0.join(PREVIOUS));
        std::fs::rename(&current, &previous).unwrap();
        assert_eq!(read(&mut reader), [(Stream::Stdout, 2, b"two\n".to_vec())]);
        assert_eq!(read(&mut reader), []);
        log.reopen(OFlags::APPEND).unwrap();
        log.keep(Stream::Stdout, 3, b"three\n");
        assert_eq!(
            read(&mut reader),
            [(Stream::Stdout, 3, b"three\n".to_vec())]
        );
    }

    #[test]
    fn the_log_begins_with_a_whole_line() {
        let dir = Dir::new("lines");
        let mut log = Writer::open(&dir.0, 100).unwrap();
        for n in 0..20u64 {
            log.keep(Stream::Stdout, n, format!("end {n}\nbegin").as_bytes());
        }
        let kept = read(&mut Reader::new(&dir.open()));
        let text: Vec<u8> = kept.into_iter().flat_map(|(_, _, bytes)| bytes).collect();
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("begin"), "{text}");
        assert!(text.ends_with("beginend 19\nbegin"), "{text}");
    }

    #[test]
    fn a_chunk_larger_than_a_file_is_spread_and_a_torn_frame_ends_the_log() {
        let dir = Dir::new("large");
        let mut log = Writer::open(&dir.0, 100).unwrap();
        log.keep(Stream::Stderr, 7, &[b'x'; 60]);
        let kept = read(&mut Reader::new(&dir.open()));
        assert_eq!(kept.iter().map(|(_, _, b)| b.len()).sum::<usize>(), 60);
        let torn = std::fs::read(dir.0.join(CURRENT)).unwrap();
        std::fs::write(dir.0.join(CURRENT), &torn[..torn.len() - 1]).unwrap();
        assert_eq!(read(&mut Reader::new(&dir.open())).len(), kept.len() - 1);
    }
}
