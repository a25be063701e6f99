//! Whole files and directories by the kernel's own calls: std's bring errors and readers of their own, and with
//! opendir(3), realpath(3) and getcwd(3) a second heap, the C library's.

use super::path;
use rustix::buffer::spare_capacity;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Dir, FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// What of an open file has not been read, but no more than `most` bytes of it.
pub fn rest(fd: BorrowedFd<'_>, most: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    while bytes.len() < most {
        bytes.reserve(4096);
        if retry_on_intr(|| rustix::io::read(fd, spare_capacity(&mut bytes)))? == 0 {
            break;
        }
    }
    bytes.truncate(most);
    Ok(bytes)
}

/// The content of a file.
pub fn bytes(path: impl AsRef<Path>) -> Result<Vec<u8>, Errno> {
    rest(path::file(path)?.as_fd(), usize::MAX)
}

/// The text of a file; EILSEQ where it is not UTF-8.
pub fn text(path: impl AsRef<Path>) -> Result<String, Errno> {
    String::from_utf8(bytes(path)?).map_err(|_| Errno::ILSEQ)
}

/// The names in a directory, as the kernel has them, without `.` and `..`.
///
/// # Errors
/// ENOTDIR at once for a FIFO, too, which would be waited for, and a device.
pub fn names(path: impl AsRef<Path>) -> Result<Vec<OsString>, Errno> {
    names_in(path::open(
        path.as_ref(),
        OFlags::RDONLY | OFlags::DIRECTORY,
    )?)
}

/// The same of one that was opened to be read.
pub fn names_in(directory: OwnedFd) -> Result<Vec<OsString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::new(directory)? {
        match entry?.file_name().to_bytes() {
            b"." | b".." => {}
            name => names.push(OsString::from_vec(name.to_vec())),
        }
    }
    Ok(names)
}

/// Whether a path leads to something.
pub fn exists(path: &Path) -> bool {
    rustix::fs::stat(path).is_ok()
}

/// Whether a path leads to a directory.
pub fn is_directory(path: &Path) -> bool {
    let kind = rustix::fs::stat(path).map(|file| FileType::from_raw_mode(file.st_mode));
    kind.is_ok_and(FileType::is_dir)
}

/// A path without symbolic links, `.` and `..`, as realpath(3) has it.
///
/// # Errors
/// ENOENT for what no path of this process's root leads to: below a mount that was detached, deleted, or a pipe.
pub fn resolved(path: &Path) -> Result<PathBuf, Errno> {
    use rustix::fd::AsRawFd;
    let place = path::place(path)?;
    let link = format!("/proc/self/fd/{}", place.as_raw_fd());
    let found = rustix::fs::readlink(link, Vec::new()).map(path_of)?;
    // The link's text need not be a path (d_path in fs/d_path.c), or may be the path of something else.
    let (wanted, named) = (rustix::fs::fstat(&place)?, rustix::fs::stat(&found)?);
    let leads = (wanted.st_dev, wanted.st_ino) == (named.st_dev, named.st_ino);
    match leads && found.is_absolute() {
        true => Ok(found),
        false => Err(Errno::NOENT),
    }
}

/// The working directory.
///
/// # Errors
/// ENOENT where no path of this process's root leads to it; getcwd(2) then says `(unreachable)/…`.
pub fn here() -> Result<PathBuf, Errno> {
    let here = rustix::process::getcwd(Vec::new()).map(path_of)?;
    match here.is_absolute() {
        true => Ok(here),
        false => Err(Errno::NOENT),
    }
}

/// A path from the root on, without `.` and empty parts; links and `..` stay. As std::path::absolute, but that two slashes
/// at its start are one.
pub fn absolute(path: &Path) -> Result<PathBuf, Errno> {
    let mut absolute = match path.is_absolute() {
        true => PathBuf::new(),
        false => here()?,
    };
    absolute.extend(path.components().filter(|part| *part != Component::CurDir));
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        absolute.push("");
    }
    Ok(absolute)
}

fn path_of(text: CString) -> PathBuf {
    OsString::from_vec(text.into_bytes()).into()
}

/// Makes a directory and those above it, where they are not there.
///
/// # Errors
/// EEXIST where something else has its name.
pub fn make_all(path: &Path) -> Result<(), Errno> {
    let make = || rustix::fs::mkdir(path, Mode::from_raw_mode(0o777));
    let made = match (make(), path.parent()) {
        (Err(Errno::NOENT), Some(above)) if above != "" => {
            make_all(above)?;
            make()
        }
        (made, _) => made,
    };
    // File systems in a network have other words for what is there than EEXIST.
    made.or_else(|errno| path::directory(path).map(drop).map_err(|_| errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_resolved_and_directories_read_as_std_does() {
        for path in [
            "/proc/self/exe",
            "/",
            "/usr/../usr/bin/.",
            "/nowhere/at/all",
            "/etc/passwd/x",
            "src",
        ] {
            let path = Path::new(path);
            let known = path.canonicalize().map_err(|e| e.raw_os_error());
            let found = resolved(path).map_err(|errno| Some(errno.raw_os_error()));
            assert_eq!(found, known);
        }
        for path in ["a", "./a/./b//c/", "../a/..", ".", "/", "/a/.//b/", "a/."] {
            let known = std::path::absolute(path).expect("a path");
            let found = absolute(Path::new(path)).expect("a path");
            assert_eq!(found.as_os_str(), known.as_os_str());
        }
        for path in ["/proc/self/exe", "/proc/self/cwd", "/nowhere", "src"].map(Path::new) {
            assert_eq!(exists(path), path.exists());
            assert_eq!(is_directory(path), path.is_dir());
        }
        assert_eq!(here().ok(), std::env::current_dir().ok());
        assert_eq!(bytes("Cargo.toml").ok(), std::fs::read("Cargo.toml").ok());
        let file = path::file("Cargo.toml").expect("a file");
        assert_eq!(
            rest(file.as_fd(), 9).ok().as_deref(),
            Some(&b"[package]"[..])
        );
        let mut found = names("src").expect("a directory");
        let known = std::fs::read_dir("src").expect("a directory").flatten();
        let mut known: Vec<_> = known.map(|entry| entry.file_name()).collect();
        found.sort_unstable();
        known.sort_unstable();
        assert_eq!(found, known);
        assert_eq!(text("/proc/self/nothing"), Err(Errno::NOENT));
    }

    #[test]
    fn what_no_path_leads_to_has_none() {
        let top = std::env::temp_dir().join(format!("netcell-gone-{}", std::process::id()));
        make_all(&top).expect("a directory");
        let open = path::file(&top).expect("it is there");
        std::fs::remove_dir(&top).expect("it is empty");
        let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&open));
        assert_eq!(resolved(Path::new(&link)), Err(Errno::NOENT));
        let (reader, _writer) = rustix::pipe::pipe().expect("a pipe");
        let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        assert_eq!(resolved(Path::new(&link)), Err(Errno::NOENT));
    }

    #[test]
    fn a_fifo_has_no_names_and_is_not_waited_for() {
        let fifo = std::env::temp_dir().join(format!("netcell-fifo-{}", std::process::id()));
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, Mode::RUSR).expect("a FIFO");
        let found = names(&fifo);
        std::fs::remove_file(&fifo).expect("it is there");
        assert_eq!(found, Err(Errno::NOTDIR));
    }

    #[test]
    fn directories_are_made_with_those_above_them_unless_a_file_is_in_the_way() {
        let top = std::env::temp_dir().join(format!("netcell-make-{}", std::process::id()));
        let deep = top.join("a/b/c");
        assert_eq!((make_all(&deep), make_all(&deep)), (Ok(()), Ok(())));
        assert!(deep.is_dir());
        std::fs::write(deep.join("file"), "").expect("a file");
        assert_eq!(make_all(&deep.join("file")), Err(Errno::EXIST));
        assert_eq!(make_all(&deep.join("file/x")), Err(Errno::NOTDIR));
        std::fs::remove_dir_all(top).expect("it is gone");
    }
}
