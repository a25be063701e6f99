//! `netcell network create`, `ls`, `inspect`, `rm`.

use super::argv::{self, Options, Usage};
use super::output::{self, Voice};
use super::template::Template;
use super::{Cli, inspect, json, table};
use crate::engine::spec::NetworkSpec;
use crate::error::Error;
use crate::types::Id;
use argh::{ArgsInfo, FromArgs};

const PAGE: &str = "Usage: netcell network COMMAND …

Networks: a bridge, a subnet and rules that sandboxes attach to. `bridge` is made on first use.

Commands:
  create [--subnet CIDR] NAME   create a network
  ls                            list networks
  inspect NAME…                 everything about networks, as JSON
  rm NAME…                      remove networks that nobody uses

Example:
  netcell network create --subnet 10.50.0.0/24 lan

Exit codes: 0; 1 an error.
";

/// Create a network: its bridge, gateway address and rules.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    example = "netcell network create --subnet 10.50.0.0/24 lan",
    error_code(1, "an error")
)]
struct Create {
    #[argh(option, arg_name = "CIDR")]
    /// an IPv4 subnet; else the first free one of Docker's pools
    subnet: Option<String>,
    /// say each operation as it is done
    #[argh(switch, short = 'v')]
    verbose: bool,
    /// print the operations as a shell script and change nothing
    #[argh(switch)]
    dry_run: bool,
    #[argh(positional, arg_name = "NAME")]
    name: String,
}

/// List networks.
#[derive(FromArgs, ArgsInfo)]
#[argh(example = "netcell network ls", error_code(1, "an error"))]
struct Ls {
    /// as JSON
    #[argh(switch)]
    json: bool,
}

/// Everything about networks, as a JSON array, or by a template.
#[derive(FromArgs, ArgsInfo)]
#[argh(example = "netcell network inspect lan", error_code(1, "an error"))]
struct Inspect {
    #[argh(option, short = 'f', arg_name = "TEMPLATE")]
    /// a Go template, with Docker's functions; json for one line of it
    format: Option<String>,
    #[argh(positional, greedy, arg_name = "NAME…")]
    names: Vec<String>,
}

/// Remove networks that nobody uses.
#[derive(FromArgs, ArgsInfo)]
#[argh(example = "netcell network rm lan", error_code(1, "an error"))]
struct Rm {
    /// say each operation as it is done
    #[argh(switch, short = 'v')]
    verbose: bool,
    /// print the operations as a shell script and change nothing
    #[argh(switch)]
    dry_run: bool,
    #[argh(positional, greedy, arg_name = "NAME…")]
    names: Vec<String>,
}

/// Carries out `netcell network`.
pub fn main(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let (command, words) = match words.split_first() {
        Some((command, words)) => (command.as_str(), words),
        None => return Err(Usage::Help(PAGE.into())),
    };
    match command {
        "create" => create(cli, words),
        "ls" | "list" => ls(cli, words),
        "inspect" => look(cli, words),
        "rm" | "remove" => rm(cli, words),
        "--help" | "help" => Err(Usage::Help(PAGE.into())),
        _ => Err(Usage::Wrong(Error::new(format!(
            "'network {command}' is not a netcell command: create, ls, inspect and rm are"
        )))),
    }
}

fn create(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let words: Create = argv::parse("network create", words, Options::Anywhere)?;
    let subnet = words.subnet.as_deref().map(str::parse).transpose()?;
    let spec = NetworkSpec {
        name: words.name.parse()?,
        subnet,
    };
    let id = cli.engine(Voice::of(words.verbose, words.dry_run), |engine, run| {
        engine.network_create(&spec, run)
    })?;
    if !words.dry_run {
        output::line(&id)?;
    }
    Ok(0)
}

fn ls(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let words: Ls = argv::parse("network ls", words, Options::Anywhere)?;
    let (networks, predefined) = cli.engine(Voice::Quiet, |engine, run| {
        Ok((engine.networks(run)?, engine.predefined()))
    })?;
    if words.json {
        let all: Vec<_> = networks.iter().map(json::network).collect();
        output::line(&json::text(&all.into()))?;
        return Ok(0);
    }
    let row = |id: &Id, name: &str, driver: &str| {
        [
            id.short(),
            name.to_owned(),
            driver.to_owned(),
            "local".to_owned(),
        ]
        .to_vec()
    };
    let is_predefined = |name: &str| {
        predefined
            .iter()
            .any(|(_, predefined, _)| *predefined == name)
    };
    let made = networks
        .iter()
        .map(|network| &network.record)
        .filter(|record| !is_predefined(record.name.as_str()));
    let mut rows: Vec<_> = made
        .map(|record| row(&record.id, record.name.as_str(), "bridge"))
        .collect();
    rows.extend(
        predefined
            .iter()
            .map(|(id, name, driver)| row(id, name, driver)),
    );
    rows.sort_by(|a, b| a[1].cmp(&b[1]));
    rows.insert(
        0,
        ["NETWORK ID", "NAME", "DRIVER", "SCOPE"]
            .map(str::to_owned)
            .to_vec(),
    );
    output::text(&table::render(&rows))?;
    Ok(0)
}

fn look(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let words: Inspect = argv::parse("network inspect", words, Options::Anywhere)?;
    argv::at_least_one("network inspect", &words.names)?;
    let template = words.format.as_deref().map(Template::parse).transpose()?;
    Ok(cli.engine(Voice::Quiet, |engine, _| {
        inspect::look(&words.names, template.as_ref(), |name| {
            engine.network(name).map(|network| json::network(&network))
        })
    })?)
}

fn rm(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let words: Rm = argv::parse("network rm", words, Options::Anywhere)?;
    argv::at_least_one("network rm", &words.names)?;
    let code = cli.each(
        Voice::of(words.verbose, words.dry_run),
        &words.names,
        |engine, name, run| {
            engine.network_remove(name, run)?;
            Ok((!run.dry_run).then(|| name.to_owned()))
        },
    );
    Ok(code?)
}
