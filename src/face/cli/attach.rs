//! `netcell attach`, and what the others that stay with a container share.

use super::Cli;
use super::argv::{self, Options, Usage};
use super::output::Voice;
use crate::engine::spec::Stay;
use crate::error::{Error, Result, exit};
use argh::{ArgsInfo, FromArgs};
use std::io::IsTerminal;

/// What `--detach-keys` is for.
pub(super) const DETACH_KEYS: &str = "what leaves a terminal; default ctrl-p,ctrl-q";

/// Stay with a running container: its output comes here, this terminal's keys or stdin go to it.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    example = "netcell attach --detach-keys ctrl-x web",
    note = "With a terminal, ctrl-p ctrl-q leaves the container running.",
    error_code(1, "an error, or the container's own")
)]
struct Words {
    #[argh(option, arg_name = "KEYS")]
    /// what leaves a terminal; default ctrl-p,ctrl-q
    detach_keys: Option<String>,
    /// hand no stdin on
    #[argh(switch)]
    no_stdin: bool,
    #[argh(option, arg_name = "BOOL")]
    /// hand signals on; default true
    sig_proxy: Option<String>,
    #[argh(positional, arg_name = "NAME")]
    name: String,
}

/// Carries out `netcell attach`.
pub fn main(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let words: Words = argv::parse("attach", words, Options::Anywhere)?;
    let stay = Stay {
        stdin: !words.no_stdin,
        ..stay(words.detach_keys.as_deref(), words.sig_proxy.as_deref())?
    };
    Ok(cli.engine(Voice::Quiet, |engine, run| {
        engine.attach(&words.name, &stay, run)
    })?)
}

/// How to stay, without stdin.
pub(super) fn stay(keys: Option<&str>, proxy: Option<&str>) -> Result<Stay> {
    let proxy = match proxy {
        None | Some("true" | "1") => true,
        Some("false" | "0") => false,
        Some(other) => {
            return Err(Error::new(format!(
                "invalid argument \"{other}\" for \"--sig-proxy\" flag: true or false is wanted"
            )));
        }
    };
    Ok(Stay {
        stdin: false,
        proxy,
        keys: keys.unwrap_or_default().parse()?,
    })
}

/// Whoever wants to type on a container's terminal has to have one.
pub(super) fn check_terminal(wanted: bool) -> Result<()> {
    if wanted && !std::io::stdin().is_terminal() {
        return Err(Error::new("the input device is not a TTY").exit(exit::FAILURE));
    }
    Ok(())
}
