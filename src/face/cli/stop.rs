//! `netcell stop`.

use super::Cli;
use super::argv::{self, Options, Usage};
use super::output::Voice;
use argh::{ArgsInfo, FromArgs};
use std::time::Duration;

/// Stop containers: their stop signal, and SIGKILL when that did not help in time. Their sandboxes stay.
#[derive(FromArgs, ArgsInfo)]
#[argh(example = "netcell stop -t 2 web", error_code(1, "an error"))]
struct Words {
    #[argh(option, short = 't', arg_name = "SECONDS")]
    /// how long the stop signal may take before SIGKILL; default the container's, or 10
    time: Option<u32>,
    #[argh(positional, greedy, arg_name = "NAME…")]
    names: Vec<String>,
}

/// Carries out `netcell stop`.
pub fn main(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let words: Words = argv::parse("stop", words, Options::Anywhere)?;
    argv::at_least_one("stop", &words.names)?;
    let grace = words
        .time
        .map(|seconds| Duration::from_secs(seconds.into()));
    let code = cli.each(Voice::Quiet, &words.names, |engine, name, _| {
        engine.stop(name, grace)?;
        Ok(Some(name.to_owned()))
    });
    Ok(code?)
}
