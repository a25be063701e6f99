//! `netcell publish` and `netcell unpublish`.

use super::Cli;
use super::argv::{self, Options, Usage};
use super::output::{self, Voice};
use super::port::arrow;
use crate::error::Result;
use crate::types::PortSpec;
use argh::{ArgsInfo, FromArgs};

/// Publish more ports of a sandbox that lives, by any of its members.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    example = "netcell publish web 8080:80 127.0.0.1::9090 8443:443,on=eth0",
    note = "PORT is as with run -p: [IP:][HOST[-HOST]:]CONTAINER[-CONTAINER][/tcp|/udp|/sctp][,on=IFACE][,from=CIDR].",
    error_code(1, "an error; then nothing was published")
)]
struct Publish {
    /// say each operation as it is done
    #[argh(switch, short = 'v')]
    verbose: bool,
    /// print the operations as a shell script and change nothing
    #[argh(switch)]
    dry_run: bool,
    #[argh(positional, arg_name = "NAME")]
    name: String,
    #[argh(positional, greedy, arg_name = "PORT…")]
    ports: Vec<String>,
}

/// Withdraw published ports of a sandbox, and the connections that came through them.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    example = "netcell unpublish web 8080:80",
    note = "PORT names what was published: 80/tcp all that leads to port 80, 8080:80 what does from 8080.",
    error_code(1, "an error, or a port is not published")
)]
struct Unpublish {
    /// say each operation as it is done
    #[argh(switch, short = 'v')]
    verbose: bool,
    /// print the operations as a shell script and change nothing
    #[argh(switch)]
    dry_run: bool,
    #[argh(positional, arg_name = "NAME")]
    name: String,
    #[argh(positional, greedy, arg_name = "PORT…")]
    ports: Vec<String>,
}

fn specs(command: &str, words: &[String]) -> Result<Vec<PortSpec>, Usage> {
    argv::at_least_one(command, words)?;
    Ok(words
        .iter()
        .map(|word| word.parse())
        .collect::<Result<_>>()?)
}

/// Carries out `netcell publish`.
pub fn main(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let words: Publish = argv::parse("publish", words, Options::Anywhere)?;
    let specs = specs("publish", &words.ports)?;
    let new = cli.engine(Voice::of(words.verbose, words.dry_run), |engine, run| {
        engine.publish(&words.name, &specs, run)
    })?;
    if !words.dry_run {
        output::text(&new.iter().map(arrow).collect::<String>())?;
    }
    Ok(0)
}

/// Carries out `netcell unpublish`.
pub fn withdraw(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let words: Unpublish = argv::parse("unpublish", words, Options::Anywhere)?;
    let specs = specs("unpublish", &words.ports)?;
    cli.engine(Voice::of(words.verbose, words.dry_run), |engine, run| {
        engine.unpublish(&words.name, &specs, run)
    })?;
    Ok(0)
}
