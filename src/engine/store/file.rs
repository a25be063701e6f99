//! Files of the state directory: whole files by temporary file and rename, and errors that name the path.

use crate::error::{Errno, Error, Result};
use crate::sys::fd::write_all;
use crate::sys::file;
use crate::sys::lock::{self, Hold};
use crate::types::json::{self, Json};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::{Result as Io, retry_on_intr};
use std::path::{Path, PathBuf};

/// No state file is larger, in bytes: a foreign or broken one must not take all memory. A published port takes some 60 and at
/// most 260, in a record as in an intent that has it from before and after: so many as a sandbox may have fit in all of them.
const LARGEST: usize = 20 * 1024 * 1024;

/// A directory of netcell's own, worked in by paths relative to its descriptor.
pub struct Directory {
    fd: OwnedFd,
    /// Its path, for messages.
    pub path: PathBuf,
}

impl Directory {
    /// Opens a directory.
    pub fn open(path: &Path) -> Result<Self> {
        let fd = fs::open(
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|errno| Error::os(format_args!("open {}", path.display()), errno))?;
        Ok(Directory {
            fd,
            path: path.to_owned(),
        })
    }

    /// Makes a directory and its parents, the directory itself for its owner alone.
    pub fn create_all(path: &Path) -> Result<Self> {
        let failed =
            |errno| Error::os(format_args!("make the directory {}", path.display()), errno);
        if let Some(parent) = path.parent() {
            file::make_all(parent).map_err(failed)?;
        }
        match fs::mkdir(path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Directory::open(path),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Refuses a directory whose content others could have written.
    pub fn check_private(&self) -> Result<()> {
        let stat = fs::fstat(&self.fd).map_err(|errno| self.error("look at", "", errno))?;
        let mine = stat.st_uid == rustix::process::geteuid().as_raw();
        if mine && stat.st_mode & 0o022 == 0 {
            return Ok(());
        }
        let who = if mine {
            "others may write to it".to_owned()
        } else {
            format!("it belongs to user {}", stat.st_uid)
        };
        Err(Error::new(format_args!(
            "cannot trust the state directory {}: {who}",
            self.path.display()
        )))
    }

    /// An error about something below this directory.
    pub fn error(&self, action: &str, below: &str, errno: Errno) -> Error {
        let below = self.path.join(below);
        Error::os(format_args!("{action} {}", below.display()), errno).sandbox("")
    }

    /// Makes a directory; false when it exists.
    pub fn make(&self, below: &str) -> Result<bool> {
        match fs::mkdirat(&self.fd, below, Mode::RWXU) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            // The parent is made on its first use.
            Err(Errno::NOENT) => match below.rsplit_once('/') {
                Some((parent, _)) if self.make(parent)? => self.make(below),
                _ => Err(self.error("make the directory", below, Errno::NOENT)),
            },
            Err(errno) => Err(self.error("make the directory", below, errno)),
        }
    }

    /// Creates a file that must not exist; its directory is made on the first use.
    pub fn create_new(&self, below: &str) -> Result<OwnedFd> {
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        self.with_parent(below, || {
            fs::openat(&self.fd, below, flags, Mode::RUSR | Mode::WUSR)
        })
    }

    /// The same of a file that only a writer who died before its renaming can have left.
    pub fn create_again(&self, below: &str) -> Result<OwnedFd> {
        match self.create_new(below) {
            Err(error) if error.is(Errno::EXIST) => {
                self.unlink(below)?;
                self.create_new(below)
            }
            created => created,
        }
    }

    /// Locks (flock, exclusive) a file that still has a temporary name: nobody else looks at it.
    pub fn lock_unseen(&self, fd: &OwnedFd, temporary: &str) -> Result<()> {
        match lock::try_lock(fd, Hold::Exclusive) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.error("lock", temporary, Errno::BUSY)),
            Err(errno) => Err(self.error("lock", temporary, errno)),
        }
    }

    /// Opens a lock file, making it when it is missing; never makes its directory, except that of the root's own.
    pub fn open_lock(&self, below: &str) -> Result<OwnedFd> {
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        fs::openat(&self.fd, below, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| self.error("open", below, errno))
    }

    /// Opens a file without following a symbolic link, and without waiting where a pipe is in its place: none when there is
    /// none.
    pub fn open_file(&self, below: &str, access: OFlags) -> Result<Option<OwnedFd>> {
        match fs::openat(
            &self.fd,
            below,
            access | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK,
            Mode::empty(),
        ) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(self.error("open", below, errno)),
        }
    }

    /// Whether the path still leads to the open file: it may have been unlinked or replaced meanwhile.
    pub fn still_names(&self, below: &str, fd: BorrowedFd<'_>) -> bool {
        let (named, open) = (
            fs::statat(&self.fd, below, AtFlags::SYMLINK_NOFOLLOW),
            fs::fstat(fd),
        );
        matches!((named, open), (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
    }

    /// Whether something has this name.
    pub fn exists(&self, below: &str) -> Result<bool> {
        match fs::statat(&self.fd, below, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(errno) => Err(self.error("look for", below, errno)),
        }
    }

    /// Reads a JSON file: none when there is none.
    ///
    /// # Errors
    /// A truncated, foreign or over-long file is an error that names its path.
    pub fn read_json<T: Json>(&self, below: &str) -> Result<Option<T>> {
        let Some(bytes) = self.read(below)? else {
            return Ok(None);
        };
        let parsed = json::from_slice(&bytes);
        parsed
            .map(Some)
            .map_err(|why| self.not_understood(below, &why))
    }

    /// The error of a file whose content is not what it should be.
    pub fn not_understood(&self, below: &str, why: &str) -> Error {
        Error::new(format_args!(
            "cannot understand {}: {why}",
            self.path.join(below).display()
        ))
        .sandbox("")
    }

    /// Reads a file whole: none when there is none.
    pub fn read(&self, below: &str) -> Result<Option<Vec<u8>>> {
        let Some(fd) = self.open_file(below, OFlags::RDONLY | OFlags::NONBLOCK)? else {
            return Ok(None);
        };
        self.read_from(&fd, below).map(Some)
    }

    /// Reads an open file to its end, where its descriptor stands afterwards.
    pub fn read_from(&self, fd: &OwnedFd, below: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(2048);
        loop {
            if bytes.len() > LARGEST {
                let why = format!("it is larger than {LARGEST} bytes");
                return Err(self.not_understood(below, &why));
            }
            bytes.reserve(1024);
            match rustix::io::read(fd, rustix::buffer::spare_capacity(&mut bytes)) {
                Ok(0) => return Ok(bytes),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(self.error("read", below, errno)),
            }
        }
    }

    /// Writes a file whole: a reader sees the old text or the new one. The caller holds `lock`, so that the temporary
    /// file has one writer; one that a dead writer left is replaced by the next.
    pub fn write_json(&self, below: &str, value: &dyn Json) -> Result<()> {
        let temporary = format!("{below}.new");
        let written = self
            .write_temporary(&temporary, value)
            .and_then(|_| self.rename(&temporary, below));
        if written.is_err() {
            self.unlink(&temporary).ok();
        }
        written
    }

    /// Writes a new file under a temporary name, to be flocked before it gets its own.
    pub fn write_temporary(&self, temporary: &str, value: &dyn Json) -> Result<OwnedFd> {
        let text = json::to_text(value) + "\n";
        if text.len() > LARGEST {
            // What could not be read again must not be made.
            return Err(Error::new(format_args!(
                "cannot write {}: it would be larger than {LARGEST} bytes",
                self.path.join(temporary).display()
            )));
        }
        let fd = self.create_again(temporary)?;
        write_all(&fd, text.as_bytes(), None)
            .map_err(|errno| self.error("write", temporary, errno))?;
        Ok(fd)
    }

    /// Writes a text file that everybody may read, in place: one write of the whole text, then cut to its length.
    pub fn write_in_place(&self, below: &str, text: &str) -> Result<()> {
        // A pipe in its place is an error (ENXIO), and nothing to wait for.
        let flags =
            OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let readable = Mode::from_raw_mode(0o644);
        let fd = self.with_parent(below, || fs::openat(&self.fd, below, flags, readable))?;
        // umask(2) may have taken the others' right to read, which users in the container need.
        fs::fchmod(&fd, readable)
            .and_then(|()| write_all(&fd, text.as_bytes(), Some(0)))
            .and_then(|()| retry_on_intr(|| fs::ftruncate(&fd, text.len() as u64)))
            .map_err(|errno| self.error("write", below, errno))
    }

    /// Renames within the directory.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        fs::renameat(&self.fd, from, &self.fd, to).map_err(|errno| self.error("write", to, errno))
    }

    /// Gives a file a second name; false when that name is taken.
    pub fn link(&self, from: &str, to: &str) -> Result<bool> {
        match fs::linkat(&self.fd, from, &self.fd, to, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(self.error("write", to, errno)),
        }
    }

    /// Makes a symbolic link whose text is `target`.
    pub fn symlink(&self, target: &str, below: &str) -> Result<()> {
        self.with_parent(below, || match fs::symlinkat(target, &self.fd, below) {
            Err(Errno::EXIST) => Ok(()),
            other => other,
        })
    }

    /// The text of a symbolic link: none when there is none.
    pub fn readlink(&self, below: &str) -> Option<String> {
        fs::readlinkat(&self.fd, below, Vec::new())
            .ok()?
            .into_string()
            .ok()
    }

    /// Removes a file; one that is gone is fine.
    pub fn unlink(&self, below: &str) -> Result<()> {
        match fs::unlinkat(&self.fd, below, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(errno) => Err(self.error("remove", below, errno)),
        }
    }

    /// Removes a directory if it is empty; one that is gone or in use is fine.
    pub fn remove_empty(&self, below: &str) -> Result<()> {
        match fs::unlinkat(&self.fd, below, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY) => Ok(()),
            Err(errno) => Err(self.error("remove", below, errno)),
        }
    }

    /// Removes a directory and the files in it; it holds no further directories.
    pub fn remove_with_files(&self, below: &str) -> Result<()> {
        for name in &self.names(below)? {
            self.unlink(&format!("{below}/{name}"))?;
        }
        match fs::unlinkat(&self.fd, below, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.error("remove", below, errno)),
        }
    }

    /// Removes a file, or a directory with all that is in it.
    pub fn remove_tree(&self, below: &str) -> Result<()> {
        match fs::unlinkat(&self.fd, below, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(errno) => return Err(self.error("remove", below, errno)),
        }
        for name in &self.names(below)? {
            self.remove_tree(&format!("{below}/{name}"))?;
        }
        self.remove_with_files(below)
    }

    /// The names in a directory, unsorted; none when it does not exist. Names that are not UTF-8 are not ours.
    pub fn names(&self, below: &str) -> Result<Vec<String>> {
        let failed = |errno| self.error("list", below, errno);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = match fs::openat(&self.fd, below, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
            Err(errno) => return Err(failed(errno)),
        };
        let names = file::names_in(fd).map_err(failed)?;
        Ok(names
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .collect())
    }

    fn with_parent<T>(&self, below: &str, act: impl Fn() -> Io<T>) -> Result<T> {
        match act() {
            Err(Errno::NOENT) => {
                if let Some((parent, _)) = below.rsplit_once('/') {
                    self.make(parent)?;
                }
                act()
            }
            other => other,
        }
        .map_err(|errno| self.error("write", below, errno))
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
