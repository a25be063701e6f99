//! `netcell network`: create, ls, inspect, rm and prune.

mod create;
mod ls;

use super::argv::Usage;
use super::options::{DRY_RUN, Given, Page, VERBOSE, switch};
use super::output::{self, Voice};
use super::{Cli, Main, inspect, json};
use crate::error::Error;
pub(super) use create::{CREATE, asked};

const PAGE: &str = "Usage: netcell network COMMAND …

Networks: a bridge, subnets and rules that sandboxes attach to. `bridge` is made on first use.

Commands:
  create [OPTIONS] NAME   create a network
  ls [OPTIONS]            list networks
  inspect NAME…           everything about networks, as JSON
  rm NAME…                remove networks that nobody uses
  prune                   remove all networks that nobody uses

Example:
  netcell network create --subnet 10.50.0.0/24 --ipv6 lan

Exit codes: 0; 1 an error.
";

static INSPECT: Page = Page {
    command: "network inspect",
    words: "NAME…",
    about: "Everything about networks, as a JSON array, or by a template.",
    own: &[inspect::FORMAT],
    end: "Example:
  netcell network inspect -f '{{(index .IPAM.Config 0).Subnet}}' lan

Exit codes: 0; 1 an error: the rest is printed; 64 a template that is not well formed.
",
};

static RM: Page = Page {
    command: "network rm",
    words: "NAME…",
    about: "Remove networks that nobody uses.",
    own: &[
        switch("--force", Some('f'), "a network that is not there is fine"),
        VERBOSE,
        DRY_RUN,
    ],
    end: "Example:
  netcell network rm lan

Exit codes: 0; 1 an error: the others are removed.
",
};

static PRUNE: Page = Page {
    command: "network prune",
    words: "",
    about: "Remove all networks that nobody uses.",
    own: &[switch("--force", Some('f'), "do not ask"), VERBOSE, DRY_RUN],
    end: "Example:
  netcell network prune -f

Exit codes: 0; 1 an error.
",
};

/// Carries out `netcell network`.
pub fn main(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let (command, words) = match words.split_first() {
        Some((command, words)) => (command.as_str(), words),
        None => return Err(Usage::Help(PAGE.into())),
    };
    let (page, act): (_, Main) = match command {
        "create" => (&create::CREATE, create::main),
        "ls" | "list" => (&ls::PAGE, ls::main),
        "inspect" => (&INSPECT, look),
        "rm" | "remove" => (&RM, rm),
        "prune" => (&PRUNE, prune),
        "--help" | "help" => return Err(Usage::Help(PAGE.into())),
        "connect" | "disconnect" => {
            return Err(Usage::Failed(Error::new(format_args!(
                "'network {command}' is not a netcell command: Docker has it, netcell has not: a sandbox has one network, which its creation names"
            ))));
        }
        _ => {
            return Err(Usage::Wrong(Error::new(format_args!(
                "'network {command}' is not a netcell command: create, ls, inspect, rm and prune are"
            ))));
        }
    };
    act(cli, &Given::parse(page, words)?)
}

fn look(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    inspect::look(cli, given, &|engine, name| {
        engine.network(name).map(|network| json::network(&network))
    })
}

fn prune(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let voice = given.voice();
    let asks = !given.has("--force") && voice != Voice::Script;
    if asks
        && !output::agreed(
            "WARNING! This will remove all custom networks not used by at least one container.\nAre you sure you want to continue? [y/N] ",
        )?
    {
        return Ok(0);
    }
    let gone = cli.engine(voice, |engine, run| engine.network_prune(run))?;
    if !gone.is_empty() && voice != Voice::Script {
        let names: String = gone.iter().map(|name| format!("{name}\n")).collect();
        output::text(&format!("Deleted Networks:\n{names}\n"))?;
    }
    Ok(0)
}

fn rm(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let names = given.names()?;
    let force = given.has("--force");
    let code = cli.each(
        "removing",
        given.voice(),
        names,
        &mut |engine, name, run| {
            if force && !engine.has_network(name)? {
                return Ok(false);
            }
            engine.network_remove(name, run)?;
            Ok(true)
        },
    );
    Ok(code?)
}
