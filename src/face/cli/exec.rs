//! `netcell exec`.

use super::argv::{self, Options, Usage};
use super::output::Voice;
use super::{Cli, attach, run};
use crate::engine::spec::ExecSpec;
use argh::{ArgsInfo, FromArgs};

/// Run a command in a container, with its namespaces and limits, or in a sandbox, as ip netns exec does.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    example = "netcell exec web ip addr",
    error_code(1, "an error, or the command's own"),
    error_code(126, "COMMAND cannot be executed"),
    error_code(127, "COMMAND was not found")
)]
struct Words {
    /// return at once
    #[argh(switch, short = 'd')]
    detach: bool,
    /// hand stdin on
    #[argh(switch, short = 'i')]
    interactive: bool,
    /// give it a terminal
    #[argh(switch, short = 't')]
    tty: bool,
    #[argh(option, arg_name = "KEYS")]
    /// what leaves a terminal; default ctrl-p,ctrl-q
    detach_keys: Option<String>,
    #[argh(option, short = 'e', arg_name = "KEY[=VALUE]")]
    /// set an environment variable; may be repeated
    env: Vec<String>,
    #[argh(option, short = 'w', arg_name = "DIR")]
    /// the working directory inside
    workdir: Option<String>,
    #[argh(option, short = 'u', arg_name = "USER[:GROUP]")]
    /// run as this user
    user: Option<String>,
    #[argh(positional, greedy, arg_name = "NAME COMMAND [ARG…]")]
    words: Vec<String>,
}

/// Carries out `netcell exec`.
pub fn main(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let words: Words = argv::parse("exec", words, Options::First)?;
    let (name, command) = match words.words.split_first() {
        Some((name, command)) if !command.is_empty() => (name, command.to_vec()),
        _ => return Err(argv::too_few("exec", 2)),
    };
    attach::check_terminal(words.tty && words.interactive && !words.detach)?;
    let own = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some(format!("{}={}", key.to_str()?, value.to_str()?))
    };
    let spec = ExecSpec {
        command,
        env: run::environment(words.env.iter().map(String::as_str))?,
        workdir: words.workdir,
        user: words.user,
        interactive: words.interactive,
        terminal: words.tty,
        keys: words.detach_keys.unwrap_or_default().parse()?,
        detach: words.detach,
        caller_env: std::env::vars_os().filter_map(own).collect(),
    };
    Ok(cli.engine(Voice::Quiet, |engine, run| engine.exec(name, &spec, run))?)
}
