//! `netcell network create`, `ls`, `inspect`, `rm`.

use super::argv::Usage;
use super::commands::Main;
use super::filter::{self, Filters};
use super::options::{DRY_RUN, Given, Page, VERBOSE, option, switch};
use super::output::{self, Voice};
use super::table::List;
use super::tree::{self, Object};
use super::{Cli, inspect, json, settings};
use crate::engine::spec::NetworkSpec;
use crate::error::{Error, Result};
use crate::types::order;
use crate::types::tree::Value;
use std::net::IpAddr;

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

pub(super) static CREATE: Page = Page {
    command: "network create",
    words: "NAME",
    about: "Create a network: its bridge, gateway addresses and rules.",
    own: &[
        option("--driver", Some('d'), "DRIVER", "bridge"),
        option(
            "--subnet",
            None,
            "CIDR",
            "a subnet, IPv4 or IPv6; may be repeated; else a free one of Docker's",
        ),
        option(
            "--gateway",
            None,
            "ADDRESS",
            "the bridge's address in a subnet; may be repeated; else its first",
        ),
        option(
            "--ip-range",
            None,
            "CIDR",
            "the part of a subnet that addresses are taken from; may be repeated",
        ),
        switch(
            "--ipv6",
            None,
            "IPv6 too, with a unique local subnet where none is given",
        ),
        switch("--ipv4", None, "--ipv4=false: no IPv4"),
        switch(
            "--internal",
            None,
            "no way out and none in: sandboxes reach each other and the host",
        ),
        switch(
            "--no-masquerade",
            None,
            "what goes out keeps its source address",
        ),
        switch("--isolate", None, "no traffic between its own sandboxes"),
        switch(
            "--no-forwarding",
            None,
            "leave the host's forwarding as it is",
        ),
        option("--mtu", None, "BYTES", "the MTU; else the uplink's"),
        option(
            "--interface",
            None,
            "NAME",
            "the bridge's name; else the first free netcellN",
        ),
        option(
            "--label",
            None,
            "KEY[=VALUE]",
            "set a label; may be repeated",
        ),
        option(
            "--opt",
            Some('o'),
            "KEY=VALUE",
            "an option in Docker's spelling; may be repeated",
        ),
        VERBOSE,
        DRY_RUN,
    ],
    end: "Example:
  netcell network create --subnet 10.50.0.0/24 --ipv6 lan

-o knows Docker's com.docker.network.bridge.name, .enable_icc, .enable_ip_masquerade and
com.docker.network.driver.mtu.

Exit codes: 1 an error.
",
};

static LS: Page = Page {
    command: "network ls",
    words: "",
    about: "List networks.",
    own: &[
        switch("--quiet", Some('q'), "only the ids"),
        option(
            "--filter",
            Some('f'),
            "KEY=VALUE",
            "only those for which it holds; may be repeated",
        ),
        option(
            "--format",
            None,
            "TEMPLATE",
            "table, table TEMPLATE, json, or a Go template for each",
        ),
        switch("--no-trunc", None, "whole ids"),
        switch("--json", None, "as JSON, with all that inspect has"),
    ],
    end: "Filters: name, id, driver, scope, type (builtin or custom), dangling, label.
Fields: ID Name Driver Scope IPv4 IPv6 Internal Labels CreatedAt.

Example:
  netcell network ls --filter driver=bridge

Exit codes: 0; 1 an error; 64 a template that is not well formed.
",
};

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
        "create" => (&CREATE, create),
        "ls" | "list" => (&LS, ls),
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

/// What `network create` is asked for.
pub(super) fn asked(given: &Given) -> Result<NetworkSpec, Usage> {
    Ok(wanted(given, given.one_name()?)?)
}

fn create(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let spec = asked(given)?;
    let voice = given.voice();
    let id = cli.engine(voice, |engine, run| engine.network_create(&spec, run))?;
    if voice != Voice::Script {
        output::line(&id)?;
    }
    Ok(0)
}

fn wanted(given: &Given, name: &str) -> Result<NetworkSpec> {
    let driver = given.last("--driver").unwrap_or("bridge");
    if driver != "bridge" {
        return Err(Error::new(format_args!(
            "plugin \"{driver}\" not found: bridge is the driver there is"
        )));
    }
    let mut spec = NetworkSpec {
        subnets: given.read_all("--subnet", str::parse)?,
        gateways: given.read_all("--gateway", gateway)?,
        ranges: given.read_all("--ip-range", str::parse)?,
        ipv6: given.has("--ipv6"),
        no_ipv4: given.last("--ipv4") == Some("false"),
        internal: given.has("--internal"),
        no_masquerade: given.has("--no-masquerade"),
        isolate: given.has("--isolate"),
        no_forwarding: given.has("--no-forwarding"),
        interface: given.read("--interface", str::parse)?,
        mtu: given.read("--mtu", mtu)?,
        labels: labels(given)?,
        ..NetworkSpec::named(name.parse()?)
    };
    for option in given.all("--opt") {
        set(&mut spec, option)?;
    }
    Ok(spec)
}

/// An option in Docker's spelling.
fn set(spec: &mut NetworkSpec, option: &str) -> Result<()> {
    let (key, value) = option.split_once('=').unwrap_or((option, "true"));
    match key.strip_prefix("com.docker.network.") {
        Some("bridge.name") => spec.interface = Some(value.parse()?),
        Some("bridge.enable_icc") => spec.isolate = !truth(key, value)?,
        Some("bridge.enable_ip_masquerade") => spec.no_masquerade = !truth(key, value)?,
        Some("driver.mtu") => spec.mtu = Some(mtu(value)?),
        _ => {
            return Err(Error::new(format_args!(
                "unknown option {key}: com.docker.network.bridge.name, .enable_icc, .enable_ip_masquerade and com.docker.network.driver.mtu are known"
            )));
        }
    }
    Ok(())
}

fn truth(key: &str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" => Ok(true),
        "0" | "f" | "false" => Ok(false),
        _ => Err(Error::new(format_args!(
            "invalid value {value} for {key}: true or false is wanted"
        ))),
    }
}

fn gateway(text: &str) -> Result<IpAddr> {
    text.parse()
        .map_err(|_| Error::new(format_args!("invalid gateway {text}: an address is wanted")))
}

fn mtu(text: &str) -> Result<u32> {
    text.parse().map_err(|_| {
        Error::new(format_args!(
            "invalid MTU {text}: a number of bytes is wanted"
        ))
    })
}

/// `KEY=VALUE` each.
fn labels(given: &Given) -> Result<Vec<String>> {
    let mut labels = Vec::new();
    for (key, value) in settings::labels(given.texts("--label"))?.iter() {
        labels.push(format!("{key}={value}"));
    }
    labels.sort_unstable();
    Ok(labels)
}

fn ls(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let format = LIST.format(given.last("--format"), given.has("--quiet"))?;
    let filters = Filters::parse(&given.all("--filter"), &FILTERS)?;
    let (networks, predefined) = cli.engine(Voice::Quiet, |engine, run| {
        Ok((engine.networks(run)?, engine.predefined()))
    })?;
    let builtin = |name: &str| predefined.iter().any(|(_, known, _)| *known == name);
    let mut all = Vec::new();
    let mut add = |network: Value| {
        if fits(&network, &filters, &builtin) {
            all.push(network);
        }
    };
    for network in &networks {
        add(json::network(network));
    }
    // `bridge` is in the list before its first use, too.
    let is_made = |name: &str| networks.iter().any(|n| n.record.name.as_str() == name);
    for (id, name, driver) in &predefined {
        if !given.has("--json") && !is_made(name) {
            let mut network = Object::default();
            network
                .text("Id", id)
                .text("Name", name)
                .text("Driver", driver)
                .text("Scope", &"local");
            add(network.end());
        }
    }
    if given.has("--json") {
        output::line(&tree::text(&Value::Array(all)))?;
        return Ok(0);
    }
    let name = |at: usize| all[at]["Name"].as_str();
    let mut rows = Vec::new();
    for at in order(all.len(), &|one, other| name(one).cmp(&name(other))) {
        rows.push(row(&all[at], given.has("--no-trunc")));
    }
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
    filters.hold("name", &|value| filter::matches(text("Name"), value))
        && filters.hold("id", &|value| filter::matches(text("Id"), value))
        && filters.hold("driver", &|value| value == text("Driver"))
        && filters.hold("scope", &|value| value == text("Scope"))
        && filters.hold("type", &|value| value == kind)
        && filters.hold("dangling", &|value| {
            matches!(value, "true" | "1") == (kind == "custom" && !used)
        })
        && filters.labels(&network["Labels"])
}

fn row(network: &Value, whole: bool) -> Value {
    let text = |key: &str| network[key].as_str().unwrap_or_default();
    let flag = |key: &str| network[key].as_bool().unwrap_or(false);
    let id = text("Id");
    let id = if whole {
        id
    } else {
        id.get(..12).unwrap_or(id)
    };
    let mut line = Object::line(&network["Labels"]);
    line.text("CreatedAt", &text("Created"))
        .text("Driver", &text("Driver"))
        .text("ID", &id)
        .text("IPv4", &flag("EnableIPv4"))
        .text("IPv6", &flag("EnableIPv6"))
        .text("Internal", &flag("Internal"))
        .text("Labels", &json::labels(&network["Labels"]))
        .text("Name", &text("Name"))
        .text("Scope", &text("Scope"));
    line.end()
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
