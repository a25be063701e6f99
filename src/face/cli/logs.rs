//! `netcell logs`.

use super::Cli;
use super::argv::{self, Options, Usage};
use super::output::Voice;
use argh::{ArgsInfo, FromArgs};

/// Print what a container has written, as far as its log keeps it: stdout to stdout, stderr to stderr.
#[derive(FromArgs, ArgsInfo)]
#[argh(example = "netcell logs web", error_code(1, "an error"))]
struct Words {
    #[argh(positional, arg_name = "NAME")]
    name: String,
}

/// Carries out `netcell logs`.
pub fn main(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let words: Words = argv::parse("logs", words, Options::Anywhere)?;
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    cli.engine(Voice::Quiet, |engine, _| {
        engine.logs(&words.name, &mut out, &mut err)
    })?;
    Ok(0)
}
