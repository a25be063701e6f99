//! netcell's tests: the real binary, each test in namespaces of its own, judged by programs that are not netcell.
//!
//! `tests/run` runs them all; `tests/run -j 1 FILTER` those whose name holds FILTER. A file is a theme, a test a sentence.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test says what is wrong by panicking"
)]

mod addresses;
mod apply;
mod attach;
mod bad_input;
mod crash;
mod docker;
mod dry_run;
mod engine;
mod exec;
mod faults;
mod guard;
mod harness;
mod held;
mod hostile;
mod info;
mod inspect;
mod isolation;
mod layering;
mod lifecycle;
mod listing;
mod lost;
mod meant;
mod names;
mod network;
mod options;
mod pages;
mod plan;
mod ports;
mod prune;
mod publish;
mod race;
mod reconcile;
mod rename;
mod respawn;
mod restart;
mod router;
mod run;
mod sandbox;
mod sealed;
mod self_test;
mod serial;
mod settled;
mod share;
mod show;
mod state_files;
mod storm;
mod template;
mod terminal;
mod traffic;
mod typed;
mod volume;
mod watcher;

use std::process::ExitCode;

fn main() -> ExitCode {
    let code = harness::runner::main(&[
        addresses::TESTS,
        apply::TESTS,
        attach::TESTS,
        bad_input::TESTS,
        crash::TESTS,
        docker::TESTS,
        dry_run::TESTS,
        engine::TESTS,
        exec::TESTS,
        faults::TESTS,
        guard::TESTS,
        held::TESTS,
        hostile::TESTS,
        info::TESTS,
        inspect::TESTS,
        isolation::TESTS,
        layering::TESTS,
        lifecycle::TESTS,
        listing::TESTS,
        lost::TESTS,
        meant::TESTS,
        names::TESTS,
        network::TESTS,
        options::TESTS,
        pages::TESTS,
        plan::TESTS,
        ports::TESTS,
        prune::TESTS,
        publish::TESTS,
        race::TESTS,
        reconcile::TESTS,
        rename::TESTS,
        respawn::TESTS,
        restart::TESTS,
        router::TESTS,
        run::TESTS,
        sandbox::TESTS,
        self_test::TESTS,
        serial::TESTS,
        settled::TESTS,
        sealed::TESTS,
        share::TESTS,
        show::TESTS,
        state_files::TESTS,
        storm::TESTS,
        template::TESTS,
        traffic::TESTS,
        terminal::TESTS,
        typed::TESTS,
        volume::TESTS,
        watcher::TESTS,
    ]);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
