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

/// The errno that the C library kept of the last call that failed.
fn last_errno() -> rustix::io::Errno {
    let last = std::io::Error::last_os_error();
    rustix::io::Errno::from_io_error(&last).unwrap_or(rustix::io::Errno::IO)
}
