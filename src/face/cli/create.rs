//! `netcell create`.

use super::Cli;
use super::argv::{self, Options, Usage};
use super::output::{self, Voice};
use super::run::Wanted;
use crate::error::Error;
use argh::{ArgsInfo, FromArgs};

/// Create a container without starting it; without IMAGE, a sandbox alone.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    example = "netcell create --name lab --network lan -p 8080:80\nnetcell exec lab ip addr",
    note = "In a sandbox alone, exec is what ip netns exec is: the host's root, the caller's privileges.",
    error_code(1, "an error")
)]
struct Words {
    #[argh(option, arg_name = "NAME")]
    /// a name of at most 63 characters; else one is made up
    name: Option<String>,
    #[argh(option, arg_name = "NETWORK", default = "String::from(\"bridge\")")]
    /// bridge (default), none, host, container:NAME|ID, or a network's name
    network: String,
    #[argh(option, short = 'p', arg_name = "[IP:]HOST:CONTAINER[/udp]")]
    /// publish a port; may be repeated
    publish: Vec<String>,
    #[argh(option, short = 'h', arg_name = "NAME")]
    /// the host name
    hostname: Option<String>,
    /// remove the container when its process ends
    #[argh(switch)]
    rm: bool,
    /// keep stdin open
    #[argh(switch, short = 'i')]
    interactive: bool,
    #[argh(option, short = 'e', arg_name = "KEY[=VALUE]")]
    /// set an environment variable; may be repeated
    env: Vec<String>,
    #[argh(option, short = 'w', arg_name = "DIR")]
    /// the working directory inside
    workdir: Option<String>,
    #[argh(option, short = 'u', arg_name = "USER[:GROUP]")]
    /// run as this user
    user: Option<String>,
    #[argh(option, arg_name = "SIZE", default = "String::from(\"1m\")")]
    /// the most the log keeps, as in 64k; default 1m
    log_max_size: String,
    /// say each operation as it is done
    #[argh(switch, short = 'v')]
    verbose: bool,
    /// print the operations as a shell script and change nothing
    #[argh(switch)]
    dry_run: bool,
    #[argh(positional, greedy, arg_name = "[IMAGE [COMMAND [ARG…]]]")]
    words: Vec<String>,
}

/// Carries out `netcell create`.
pub fn main(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let words: Words = argv::parse("create", words, Options::First)?;
    let wanted = Wanted {
        name: words.name.as_deref(),
        network: &words.network,
        publish: &words.publish,
        hostname: words.hostname.as_deref(),
        interactive: words.interactive,
        env: &words.env,
        workdir: words.workdir.as_deref(),
        user: words.user.as_deref(),
        log_max_size: &words.log_max_size,
        auto_remove: words.rm,
    };
    let voice = Voice::of(words.verbose, words.dry_run);
    let id = match words.words.split_first() {
        None => {
            let spec = wanted.sandbox()?;
            cli.engine(voice, |engine, run| engine.create_sandbox(&spec, run))?
        }
        Some((image, [])) => {
            return Err(Usage::Wrong(Error::new(format!(
                "No command specified: {image} is a root file system, and names none"
            ))));
        }
        Some((image, command)) => {
            let spec = wanted.container(image, command)?;
            cli.engine(voice, |engine, run| engine.create(&spec, run))?
        }
    };
    if !words.dry_run {
        output::line(&id)?;
    }
    Ok(0)
}
