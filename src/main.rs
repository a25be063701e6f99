//! netcell: a network namespace of its own for a process or container on a small Linux host.
//!
//! Chooses the face; the only place that exits.
#![cfg_attr(not(test), no_main)]

use netcell::engine::process::child;
use netcell::engine::{restart, watch};
use netcell::face::cli;
use netcell::sys::alloc::Bump;
use std::ffi::OsString;

#[global_allocator]
static HEAP: Bump = Bump::new();

#[cfg(not(test))]
netcell::program!(program);

#[cfg_attr(test, allow(dead_code))]
fn program(words: Vec<OsString>) -> u8 {
    let mut words = words.into_iter();
    // A container's first process is netcell again, from a sealed copy in memory: nothing may come before it.
    match words.next() {
        Some(name) if name == child::NAME => child::main(),
        Some(name) if name == restart::NAME => restart::main(words),
        Some(name) if name == watch::NAME => watch::main(words),
        _ => cli::main(words.as_slice()),
    }
}
