//! `netcell wait`.

use super::Cli;
use super::argv::{self, Options, Usage};
use super::output::Voice;
use argh::{ArgsInfo, FromArgs};

/// Wait until containers end, and print their exit codes.
#[derive(FromArgs, ArgsInfo)]
#[argh(example = "netcell wait web", error_code(1, "an error"))]
struct Words {
    #[argh(positional, greedy, arg_name = "NAME…")]
    names: Vec<String>,
}

/// Carries out `netcell wait`.
pub fn main(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let words: Words = argv::parse("wait", words, Options::Anywhere)?;
    argv::at_least_one("wait", &words.names)?;
    let code = cli.each(Voice::Quiet, &words.names, |engine, name, _| {
        Ok(Some(engine.wait(name)?.to_string()))
    });
    Ok(code?)
}
