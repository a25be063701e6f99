//! `netcell network ls`.

use super::super::argv::Usage;
use super::super::filter::{self, Filters};
use super::super::options::{Given, Page, option, switch};
use super::super::output::{self, Voice};
use super::super::table::List;
use super::super::tree::{self, Object};
use super::super::{Cli, json};
use crate::error::Result;
use crate::types::order;
use crate::types::tree::Value;

pub static PAGE: Page = Page {
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

/// Carries it out.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
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
