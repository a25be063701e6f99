//! `netcell start`.

use super::argv::{self, Options, Usage};
use super::output::Voice;
use super::{Cli, attach};
use crate::engine::spec::Stay;
use crate::error::Error;
use argh::{ArgsInfo, FromArgs};

/// Start containers that are not running.
#[derive(FromArgs, ArgsInfo)]
#[argh(example = "netcell start web", error_code(1, "an error"))]
struct Words {
    /// stay with it, and exit as it does
    #[argh(switch, short = 'a')]
    attach: bool,
    /// hand stdin on
    #[argh(switch, short = 'i')]
    interactive: bool,
    #[argh(option, arg_name = "KEYS")]
    /// what leaves a terminal; default ctrl-p,ctrl-q
    detach_keys: Option<String>,
    /// say each operation as it is done
    #[argh(switch, short = 'v')]
    verbose: bool,
    /// print the operations as a shell script and change nothing
    #[argh(switch)]
    dry_run: bool,
    #[argh(positional, greedy, arg_name = "NAME…")]
    names: Vec<String>,
}

/// Carries out `netcell start`.
pub fn main(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let words: Words = argv::parse("start", words, Options::Anywhere)?;
    argv::at_least_one("start", &words.names)?;
    let voice = Voice::of(words.verbose, words.dry_run);
    if words.attach || words.interactive {
        let [name] = words.names.as_slice() else {
            return Err(Usage::Failed(Error::new(
                "you cannot start and attach multiple containers at once",
            )));
        };
        let stay = Stay {
            stdin: words.interactive,
            ..attach::stay(words.detach_keys.as_deref())?
        };
        let code = cli.engine(voice, |engine, run| engine.start(name, Some(&stay), run));
        return Ok(code?.unwrap_or(0));
    }
    let code = cli.each(voice, &words.names, |engine, name, run| {
        engine.start(name, None, run)?;
        Ok((!run.dry_run).then(|| name.to_owned()))
    });
    Ok(code?)
}
