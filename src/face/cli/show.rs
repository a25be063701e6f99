//! `netcell show`: a namespace at one look, within 80 columns.

use super::argv::Usage;
use super::options::{Given, JSON, Page};
use super::output::{self, Voice};
use super::{Cli, json, tree};
use crate::engine::show::{Chain, Link, NamespaceView, Route};
use std::fmt::Write;

pub(super) static PAGE: Page = Page {
    command: "show",
    words: "[NAME]",
    about: "Show the links, addresses, routes, neighbours, chains and listening sockets of a sandbox; without NAME, of the host.",
    own: &[JSON],
    end: "Example:
  netcell show web

Exit codes: 0; 1 an error.
",
};

/// Carries out `netcell show`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let name = given.rest.first().map(String::as_str);
    let view = cli.engine(Voice::Quiet, |engine, _| engine.show(name))?;
    if given.has("--json") {
        output::line(&tree::text(&json::tree(&view)))?;
    } else {
        output::text(&page(&view))?;
    }
    Ok(0)
}

/// The namespace as text.
pub(super) fn page(view: &NamespaceView) -> String {
    let mut page = String::from("links\n");
    for link in &view.links {
        head(&mut page, link, &view.links);
        for address in view
            .addresses
            .iter()
            .filter(|address| address.link == link.index)
        {
            let _ = writeln!(page, "      {}", address.address);
        }
    }
    page.push_str("routes\n");
    for six in [false, true] {
        for route in view.routes.iter().filter(|route| is_ipv6(route) == six) {
            wrap(&mut page, &line(route, &view.links));
        }
    }
    if !view.neighbours.is_empty() {
        page.push_str("neighbours\n");
    }
    for neighbour in &view.neighbours {
        let mac = neighbour
            .mac
            .map(|mac| format!(" {mac}"))
            .unwrap_or_default();
        let (at, state) = (name(neighbour.link, &view.links), &neighbour.state);
        wrap(
            &mut page,
            &format!("{} dev {at}{mac} {state}", neighbour.address),
        );
    }
    chains(&mut page, &view.chains);
    page.push_str("listening\n");
    for socket in &view.sockets {
        let at = std::net::SocketAddr::new(socket.address, socket.port);
        let _ = writeln!(page, "  {} {at}", socket.proto);
    }
    page
}

/// A line a table, and below it one a chain.
fn chains(page: &mut String, chains: &[Chain]) {
    let mut last = None;
    for chain in chains {
        let table = Some((&chain.family, &chain.table));
        if last.is_none() {
            page.push_str("rules\n");
        }
        if table != last {
            let _ = writeln!(page, "  table {} {}", chain.family, chain.table);
            last = table;
        }
        if chain.name.is_empty() {
            continue;
        }
        let plural = if chain.rules == 1 { "" } else { "s" };
        let mut line = format!("  chain {} {} rule{plural}", chain.name, chain.rules);
        if let (Some(kind), Some(hook), Some(priority)) =
            (&chain.kind, &chain.hook, &chain.priority)
        {
            let policy = if chain.drops { ", policy drop" } else { "" };
            let _ = write!(line, ", {kind} at {hook} {priority}{policy}");
        }
        wrap(page, &line);
    }
}

fn head(page: &mut String, link: &Link, links: &[Link]) {
    let state = match (link.is_up(), link.is_running()) {
        (false, _) => "down",
        (true, false) => "no carrier",
        (true, true) => "up",
    };
    let kind = if link.is_loopback() {
        Some("loopback")
    } else {
        link.kind.as_deref()
    };
    let _ = write!(
        page,
        "  {:<2} {:<15} {state:<6} mtu {}",
        link.index, link.name, link.mtu
    );
    if let Some(kind) = kind {
        let _ = write!(page, "  {kind}");
    }
    if let (Some(mac), false) = (link.mac, link.is_loopback()) {
        let _ = write!(page, "  {mac}");
    }
    if let Some(master) = link.master {
        let _ = write!(page, "  in {}", name(master, links));
    }
    page.push('\n');
}

fn line(route: &Route, links: &[Link]) -> String {
    let mut line = route.destination.map_or_else(
        || "default".to_owned(),
        |destination| destination.to_string(),
    );
    if let Some(via) = route.via {
        let _ = write!(line, " via {via}");
    }
    if let Some(link) = route.link {
        let _ = write!(line, " dev {}", name(link, links));
    }
    if let Some(source) = route.source {
        let _ = write!(line, " src {source}");
    }
    if let Some(metric) = route.metric {
        let _ = write!(line, " metric {metric}");
    }
    line
}

/// A line of words; what would stand beyond the 80th column goes on below.
fn wrap(page: &mut String, line: &str) {
    let mut column = 1;
    for word in line.split(' ') {
        let width = word.chars().count() + 1;
        if column + width > 80 {
            page.push_str("\n     ");
            column = 5;
        }
        let _ = write!(page, "{}{word}", if column == 1 { "  " } else { " " });
        column += width;
    }
    page.push('\n');
}

fn is_ipv6(route: &Route) -> bool {
    let destination = route
        .destination
        .is_some_and(|destination| destination.addr.is_ipv6());
    destination || route.via.is_some_and(|via| via.is_ipv6())
}

fn name(index: u32, links: &[Link]) -> String {
    links
        .iter()
        .find(|link| link.index == index)
        .map_or_else(|| format!("if{index}"), |link| link.name.clone())
}
