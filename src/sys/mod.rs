//! Rung 0: system calls; the only place for `unsafe`.
//!
//! Thin: one call, its fall-back for older kernels, and no opinion.
#![allow(unsafe_code)]

pub mod alloc;
pub mod caps;
pub mod fd;
pub mod file;
pub mod handover;
pub mod limits;
pub mod lock;
pub mod memfd;
pub mod memory;
pub mod mount;
pub mod netns;
pub mod path;
pub mod port;
pub mod process;
pub mod pty;
pub mod random;
pub mod release;
pub mod signal;
pub mod socket;
pub mod start;
pub mod terminal;
pub mod time;
pub mod xtables;

use std::ffi::CStr;

/// The errno that the C library kept of the last call that failed.
fn last_errno() -> rustix::io::Errno {
    let last = std::io::Error::last_os_error();
    rustix::io::Errno::from_io_error(&last).unwrap_or(rustix::io::Errno::IO)
}

/// The C library's text for an errno. See strerror(3).
pub fn strerror(errno: rustix::io::Errno) -> String {
    // SAFETY: any number has a text.
    let text = unsafe { libc::strerror(errno.raw_os_error()) };
    // SAFETY: it ends with a null and stays until the next call; each thread has its own where it is not constant.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn errnos_have_the_texts_that_std_has() {
        for number in [1, 2, 28, 95, 110] {
            let known = std::io::Error::from_raw_os_error(number).to_string();
            let text = super::strerror(rustix::io::Errno::from_raw_os_error(number));
            assert_eq!(known, format!("{text} (os error {number})"));
        }
    }
}
