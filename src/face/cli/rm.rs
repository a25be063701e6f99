//! `netcell rm`.

use super::Cli;
use super::argv::{self, Options, Usage};
use super::output::Voice;
use argh::{ArgsInfo, FromArgs};

/// Remove containers and sandboxes. A sandbox goes with its last member.
#[derive(FromArgs, ArgsInfo)]
#[argh(example = "netcell rm -f web", error_code(1, "an error"))]
struct Words {
    /// kill a running container first
    #[argh(switch, short = 'f')]
    force: bool,
    /// say each operation as it is done
    #[argh(switch, short = 'v')]
    verbose: bool,
    /// print the operations as a shell script and change nothing
    #[argh(switch)]
    dry_run: bool,
    #[argh(positional, greedy, arg_name = "NAME…")]
    names: Vec<String>,
}

/// Carries out `netcell rm`.
pub fn main(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let words: Words = argv::parse("rm", words, Options::Anywhere)?;
    argv::at_least_one("rm", &words.names)?;
    let voice = Voice::of(words.verbose, words.dry_run);
    let code = cli.each(voice, &words.names, |engine, name, run| {
        engine.remove(name, words.force, run)?;
        Ok((!run.dry_run).then(|| name.to_owned()))
    });
    Ok(code?)
}
