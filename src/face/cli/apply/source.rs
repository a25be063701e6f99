//! The files for `apply`, as their lines.

use super::text::{self, Place, Word};
use crate::engine::files;
use crate::error::{Errno, Error, Result};
use rustix::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// No file for `apply` is longer, in bytes: a wrong path must not take the memory of a small host.
const LONGEST: usize = 4 << 20;

/// A file.
pub struct Source {
    /// As messages name it.
    pub name: String,
    /// The words of each line.
    pub lines: Vec<Vec<Word>>,
}

/// The files that an argument means, and what marks what comes from them.
pub fn sources(argument: &str) -> Result<(Vec<Source>, String)> {
    if argument == "-" {
        let source = read(rustix::stdio::stdin(), "stdin".to_owned())?;
        return Ok((vec![source], argument.to_owned()));
    }
    let path = Path::new(argument);
    let mark = files::resolved(path).map_err(|e| cannot("open", path, e))?;
    let mark = mark.to_string_lossy().into_owned();
    let mut sources = Vec::new();
    if !files::is_directory(path) {
        sources.push(open(path)?);
        return Ok((sources, mark));
    }
    let mut names = Vec::new();
    for name in files::names(path).map_err(|e| cannot("read", path, e))? {
        let name = name.to_string_lossy();
        if name.ends_with(".conf") && !name.starts_with('.') {
            names.push(name.into_owned());
        }
    }
    names.sort_unstable();
    for name in names {
        sources.push(open(&path.join(name))?);
    }
    Ok((sources, mark))
}

fn open(path: &Path) -> Result<Source> {
    let opened = files::open(path).map_err(|e| cannot("open", path, e))?;
    read(opened.as_fd(), path.display().to_string())
}

fn cannot(action: &str, path: &Path, errno: Errno) -> Error {
    Error::os(format_args!("{action} {}", path.display()), errno)
}

fn read(from: BorrowedFd<'_>, name: String) -> Result<Source> {
    let bytes = files::rest(from, LONGEST + 1).map_err(|e| cannot("read", Path::new(&name), e))?;
    if bytes.len() > LONGEST {
        return Err(Error::new(format_args!(
            "cannot read {name}: a file for apply has at most {LONGEST} bytes"
        )));
    }
    match text::lines(&bytes, &files::variable) {
        Ok(lines) => Ok(Source { name, lines }),
        Err((place, why)) => Err(Error::new(format_args!("{}: {why}", say(&name, place)))),
    }
}

/// A place as messages name it.
pub fn say(file: &str, place: Place) -> String {
    format!("{file}:{}:{}", place.line, place.column)
}
