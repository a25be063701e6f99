//! `netcell network create`, `ls`, `inspect`, `rm`.

use super::argv::{self, Options, Usage};
use super::filter::{self, Filters};
use super::output::{self, Voice};
use super::table::List;
use super::template::Template;
use super::{Cli, inspect, json};
use crate::engine::spec::NetworkSpec;
use crate::error::Error;
use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

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
#[argh(
    example = "netcell network ls --filter driver=bridge",
    note = "Filters: name, id, driver, scope, type (builtin or custom), dangling, label.",
    error_code(1, "an error"),
    error_code(64, "a template that is not well formed")
)]
struct Ls {
    /// only the ids
    #[argh(switch, short = 'q')]
    quiet: bool,
    #[argh(option, short = 'f', arg_name = "KEY=VALUE")]
    /// only those for which it holds; may be repeated
    filter: Vec<String>,
    #[argh(option, arg_name = "TEMPLATE")]
    /// table, table TEMPLATE, json, or a Go template for each
    format: Option<String>,
    /// whole ids
    #[argh(switch)]
    no_trunc: bool,
    /// as JSON, with all that inspect has
    #[argh(switch)]
    json: bool,
}

static LIST: List = List {
    line: "*network.networkContext",
    fields: &[
        ("CreatedAt", "CREATED AT"),
        ("Driver", "DRIVER"),
        ("ID", "NETWORK ID"),
        ("IPv4", "IPV4"),
        ("IPv6", "IPV6"),
        ("Internal", "INTERNAL"),
        ("Labels", "LABELS"),
        ("Name", "NAME"),
        ("Scope", "SCOPE"),
    ],
    columns: "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
};

const FILTERS: [&str; 7] = ["name", "id", "driver", "scope", "type", "dangling", "label"];

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
    let format = LIST.format(words.format.as_deref(), words.quiet)?;
    let filters = Filters::parse(&words.filter, &FILTERS)?;
    let (networks, predefined) = cli.engine(Voice::Quiet, |engine, run| {
        Ok((engine.networks(run)?, engine.predefined()))
    })?;
    let mut all: Vec<_> = networks.iter().map(json::network).collect();
    if words.json {
        output::line(&json::text(&all.into()))?;
        return Ok(0);
    }
    // `bridge` is in the list before its first use, too.
    let is_made = |name: &str| all.iter().any(|network| network["Name"] == name);
    let missing: Vec<_> = predefined
        .iter()
        .filter(|(_, name, _)| !is_made(name))
        .map(|(id, name, driver)| json!({"Id": id, "Name": name, "Driver": driver, "Scope": "local"}))
        .collect();
    all.extend(missing);
    let builtin = |name: &str| predefined.iter().any(|(_, known, _)| *known == name);
    all.retain(|network| fits(network, &filters, &builtin));
    all.sort_by(|a, b| a["Name"].as_str().cmp(&b["Name"].as_str()));
    let rows: Vec<_> = all
        .iter()
        .map(|network| row(network, words.no_trunc))
        .collect();
    format.print(&rows)?;
    Ok(0)
}

fn fits(network: &Value, filters: &Filters, builtin: &dyn Fn(&str) -> bool) -> bool {
    let text = |key: &str| network[key].as_str().unwrap_or_default();
    let used = network["Containers"]
        .as_object()
        .is_some_and(|users| !users.is_empty());
    let kind = if builtin(text("Name")) {
        "builtin"
    } else {
        "custom"
    };
    filters.hold("name", |value| filter::matches(text("Name"), value))
        && filters.hold("id", |value| filter::matches(text("Id"), value))
        && filters.hold("driver", |value| value == text("Driver"))
        && filters.hold("scope", |value| value == text("Scope"))
        && filters.hold("type", |value| value == kind)
        && filters.hold("dangling", |value| {
            matches!(value, "true" | "1") == (kind == "custom" && !used)
        })
        && filters.labels(&network["Labels"])
}

fn row(network: &Value, whole: bool) -> Value {
    let text = |key: &str| network[key].as_str().unwrap_or_default();
    let labels = network["Labels"].as_object().into_iter().flatten();
    let labels = labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let flag = |key: &str| network[key].as_bool().unwrap_or(false).to_string();
    let id = text("Id");
    json!({
        "": network["Labels"],
        "CreatedAt": text("Created"),
        "Driver": text("Driver"),
        "ID": if whole { id } else { id.get(..12).unwrap_or(id) },
        "IPv4": "true",
        "IPv6": flag("EnableIPv6"),
        "Internal": flag("Internal"),
        "Labels": labels.collect::<Vec<_>>().join(","),
        "Name": text("Name"),
        "Scope": text("Scope"),
    })
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
