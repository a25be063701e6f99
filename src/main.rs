//! netcell: a network namespace of its own for a process or container on a small Linux host.
//!
//! Chooses the face; the only place that exits.

use netcell::engine::process::child;
use netcell::engine::{restart, watch};
use netcell::face::cli;
use netcell::sys::alloc::Bump;
use std::process::ExitCode;

#[global_allocator]
static HEAP: Bump = Bump::new();

fn main() -> ExitCode {
    // A container's first process is netcell again, from a sealed copy in memory: nothing may come before it.
    let name = std::env::args_os().next();
    if name.as_ref().is_some_and(|name| name == child::NAME) {
        return child::main().into();
    }
    if name.as_ref().is_some_and(|name| name == restart::NAME) {
        return restart::main(std::env::args_os().skip(1)).into();
    }
    if name.is_some_and(|name| name == watch::NAME) {
        return watch::main(std::env::args_os().skip(1)).into();
    }
    let words: Vec<_> = std::env::args_os().collect();
    cli::main(words.get(1..).unwrap_or_default()).into()
}
