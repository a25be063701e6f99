//! What a program is started with: words, an environment and three descriptors. See execve(2).
//!
//! In place of std's beginning of a program: that one brings an end at which buffers are flushed, and locks around what only
//! one thread has.

use super::fd::write_all;
use super::signal;
use crate::error::{Error, exit};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, fcntl_getfd};
use rustix::stdio::{stderr, stdin, stdout};
use std::ffi::{CStr, OsStr, OsString, c_char};
use std::os::fd::IntoRawFd;
use std::os::unix::ffi::OsStrExt;

unsafe extern "C" {
    /// environ(7).
    static environ: *const *const c_char;
}

/// Makes a `fn(Vec<OsString>) -> u8` what the C library calls: it gets the words, from the program's name on, and returns
/// the exit code.
#[macro_export]
macro_rules! program {
    ($program:path) => {
        #[allow(unsafe_code, reason = "the C library calls it by its name")]
        #[unsafe(no_mangle)]
        extern "C" fn main(
            _: std::ffi::c_int,
            words: *const *const std::ffi::c_char,
        ) -> std::ffi::c_int {
            // SAFETY: the C library hands on what the kernel has put on the stack (execve(2)).
            unsafe { $crate::sys::start::run(words, $program) }.into()
        }
    };
}

/// Runs what is given to [`program!`].
///
/// As from std, it has 0, 1 and 2 open, lest another file gets such a number and what is printed; and a pipe that nobody
/// reads is an error of write(2), EPIPE, and no death.
///
/// # Safety
/// `words` is an array with a null at its end; neither it nor the strings in it ever change.
pub unsafe fn run(words: *const *const c_char, program: fn(Vec<OsString>) -> u8) -> u8 {
    if let Err(errno) = fill() {
        let error = Error::os(
            "open /dev/null in place of stdin, stdout or stderr, which is closed",
            errno,
        );
        // Perhaps 2 is not the one that is closed.
        let _ = write_all(stderr(), format!("netcell: {error}\n").as_bytes(), None);
        // Not a code that the container's own program might have ended with, where this is to be a `run`.
        return exit::RUN;
    }
    signal::ignore_broken_pipes();
    // SAFETY: by this function's own contract.
    let words = unsafe { strings(words) };
    program(words.into_iter().map(OsStr::to_owned).collect())
}

/// Opens /dev/null for each of 0, 1 and 2 that is closed.
fn fill() -> Result<(), Errno> {
    for fd in [stdin(), stdout(), stderr()] {
        if fcntl_getfd(fd) == Err(Errno::BADF) {
            // The lowest number that is free is this one (open(2)).
            let _ = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())?.into_raw_fd();
        }
    }
    Ok(())
}

/// Where the pointers to the environment are: the kernel put them above all frames (execve(2)).
pub(super) fn pointers() -> *const *const c_char {
    // SAFETY: the C library sets it before the program begins, and nothing here does after that.
    unsafe { environ }
}

/// The entries of the environment, `NAME=VALUE` as a rule.
pub fn environment() -> Vec<&'static OsStr> {
    // SAFETY: what the kernel has put on the stack (execve(2)), which nothing here changes.
    unsafe { strings(pointers()) }
}

/// The value of a variable of the environment.
pub fn variable(name: &str) -> Option<&'static OsStr> {
    environment().into_iter().find_map(|entry| {
        let rest = entry.as_bytes().strip_prefix(name.as_bytes())?;
        rest.strip_prefix(b"=").map(OsStr::from_bytes)
    })
}

/// # Safety
/// `array` has a null at its end; neither it nor the strings in it ever change.
unsafe fn strings(mut array: *const *const c_char) -> Vec<&'static OsStr> {
    let mut strings = Vec::new();
    loop {
        // SAFETY: not past the null, by this function's own contract.
        let string = unsafe { *array };
        if string.is_null() {
            return strings;
        }
        // SAFETY: a string that stays, by this function's own contract.
        let string = unsafe { CStr::from_ptr(string) };
        strings.push(OsStr::from_bytes(string.to_bytes()));
        // SAFETY: there is one more, if only the null.
        array = unsafe { array.add(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_stds() {
        let entry = |(mut name, value): (OsString, OsString)| {
            name.push("=");
            name.push(value);
            name
        };
        let known: Vec<_> = std::env::vars_os().map(entry).collect();
        assert!(!known.is_empty());
        assert_eq!(environment(), known);
        assert_eq!(variable("PATH"), std::env::var_os("PATH").as_deref());
        assert_eq!(variable("PAT"), None);
    }
}
