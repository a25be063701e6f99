//! `netcell ps`.

use super::argv::Usage;
use super::filter::{self, Filters};
use super::options::{Given, Page, option, switch};
use super::output::{self, Voice};
use super::table::List;
use super::tree::{self, Object};
use super::{Cli, age, json};
use crate::engine::files;
use crate::engine::record::UnixNanos;
use crate::engine::view::{Container, Status, Subject};
use crate::error::{Error, Result};
use crate::types::tree::Value;
use crate::types::{Id, PortMapping, order, quoted};
use std::net::SocketAddr;

pub(super) static PAGE: Page = Page {
    command: "ps",
    words: "",
    about: "List running containers.",
    own: &[
        switch("--all", Some('a'), "also those that do not run, and sandboxes alone"),
        switch("--quiet", Some('q'), "only the ids"),
        switch("--latest", Some('l'), "the one created last, whatever its state"),
        option("--last", Some('n'), "COUNT", "so many that were created last, whatever their state"),
        option("--filter", Some('f'), "KEY=VALUE", "only those for which it holds; may be repeated"),
        option("--format", None, "TEMPLATE", "table, table TEMPLATE, json, or a Go template for each"),
        switch("--no-trunc", None, "whole ids and commands"),
        switch("--json", None, "as JSON, with all that inspect has"),
    ],
    end: "Filters: name, id, status, exited, label, ancestor, network, publish, expose, volume, before, since.
Fields: ID Image Command CreatedAt RunningFor Status State Ports Names Networks Labels Mounts.

Example:
  netcell ps -a --filter name=web --format 'table {{.Names}}\\t{{.Status}}'

Exit codes: 0; 1 an error; 64 a template that is not well formed.
",
};

static LIST: List = List {
    line: "*formatter.ContainerContext",
    fields: &[
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("ID", "CONTAINER ID"),
        ("Image", "IMAGE"),
        ("Labels", "LABELS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Mounts", "MOUNTS"),
        ("Names", "NAMES"),
        ("Networks", "NETWORKS"),
        ("Platform", "PLATFORM"),
        ("Ports", "PORTS"),
        ("RunningFor", "CREATED"),
        ("State", "STATE"),
        ("Status", "STATUS"),
    ],
    columns: "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
};

const FILTERS: [&str; 12] = [
    "name", "id", "status", "exited", "label", "ancestor", "network", "publish", "expose",
    "volume", "before", "since",
];

const STATES: [&str; 7] = [
    "created",
    "running",
    "paused",
    "restarting",
    "removing",
    "exited",
    "dead",
];

/// Docker cuts the command of a list here.
const COMMAND: usize = 20;

/// Carries out `netcell ps`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let format = LIST.format(given.last("--format"), given.has("--quiet"))?;
    let filters = Filters::parse(&given.all("--filter"), &FILTERS)?;
    check(&filters)?;
    let subjects = cli.engine(Voice::Quiet, |engine, run| engine.containers(run))?;
    let most = match given.number("--last")? {
        Some(most @ 1..) => usize::try_from(most).unwrap_or(usize::MAX),
        _ if given.has("--latest") => 1,
        _ => usize::MAX,
    };
    let asked = !filters.values("status").is_empty();
    let all = given.has("--all") || asked || most != usize::MAX;
    let mut lines: Vec<Line> = Vec::new();
    for subject in &subjects {
        let line = Line::of(subject);
        let older = lines.iter().position(|other| other.created < line.created);
        lines.insert(older.unwrap_or(lines.len()), line);
    }
    let (before, since) = (
        moments(&filters, "before", &lines)?,
        moments(&filters, "since", &lines)?,
    );
    let (now, json) = (files::now(), given.has("--json"));
    let mut chosen = Vec::new();
    for line in lines {
        if chosen.len() < most
            && (all || line.is_running())
            && line.fits(&filters)
            && before.is_none_or(|before| line.created < before)
            && since.is_none_or(|since| line.created > since)
        {
            chosen.push(match json {
                true => line.object,
                false => line.row(now, given.has("--no-trunc")),
            });
        }
    }
    match json {
        true => output::line(&tree::text(&Value::Array(chosen)))?,
        false => format.print(&chosen)?,
    }
    Ok(0)
}

/// Values that no container could ever have are mistakes.
fn check(filters: &Filters) -> Result<()> {
    let wrong = |key: &str, value: &str, known: &str| {
        Error::new(format_args!("invalid filter '{key}={value}': {known}"))
    };
    for value in filters.values("status") {
        if !STATES.contains(&value) {
            let known = format!("{} are known", STATES.join(", "));
            return Err(wrong("status", value, &known));
        }
    }
    for value in filters.values("exited") {
        if value.parse::<u8>().is_err() {
            return Err(wrong("exited", value, "a number from 0 to 255 is wanted"));
        }
    }
    Ok(())
}

/// When the container that `before` or `since` names was created; of several the nearest.
fn moments(filters: &Filters, key: &str, lines: &[Line]) -> Result<Option<UnixNanos>> {
    let mut all = Vec::new();
    for reference in filters.values(key) {
        let is =
            |line: &&Line| line.name() == reference || line.id.to_string().starts_with(reference);
        let found = lines.iter().find(is);
        let no_such = || Error::new(format_args!("No such container: {reference}"));
        all.push(found.ok_or_else(no_such)?.created);
    }
    Ok(match key {
        "before" => all.into_iter().min(),
        _ => all.into_iter().max(),
    })
}

/// One line of the list.
struct Line<'a> {
    subject: &'a Subject,
    id: Id,
    created: UnixNanos,
    /// What `inspect` says of it.
    object: Value,
    /// The ports that it brought to its sandbox itself.
    ports: Vec<PortMapping>,
}

impl<'a> Line<'a> {
    fn of(subject: &'a Subject) -> Self {
        let (id, created, ports) = match subject {
            Subject::Container(container) => {
                let record = &container.record;
                let ports = match &container.sandbox {
                    Some(sandbox) if container.status == Status::Running => {
                        sandbox.ports_of(&record.name)
                    }
                    _ => Vec::new(),
                };
                (record.id, record.created, ports)
            }
            Subject::Sandbox(sandbox, _) => (sandbox.id, sandbox.created, json::mappings(sandbox)),
        };
        Line {
            subject,
            id,
            created,
            object: json::subject(subject),
            ports,
        }
    }

    fn container(&self) -> Option<&Container> {
        match self.subject {
            Subject::Container(container) => Some(container),
            Subject::Sandbox(..) => None,
        }
    }

    fn text(&self, pointer: &str) -> &str {
        let value = self.object.pointer(pointer);
        value.and_then(Value::as_str).unwrap_or_default()
    }

    fn is_running(&self) -> bool {
        // One that is about to be started again counts, as with Docker.
        matches!(self.text("/State/Status"), "running" | "restarting")
    }

    fn name(&self) -> &str {
        self.text("/Name").trim_start_matches('/')
    }

    fn networks(&self) -> Vec<&str> {
        let networks = self.object.pointer("/NetworkSettings/Networks");
        let names: Vec<_> = networks
            .and_then(Value::as_object)
            .map(|networks| networks.keys().map(String::as_str).collect())
            .unwrap_or_default();
        match self.text("/HostConfig/NetworkMode") {
            mode @ ("host" | "none") if names.is_empty() => vec![mode],
            _ => names,
        }
    }

    fn mounts(&self) -> Vec<&str> {
        let mounts = self.object.get("Mounts").and_then(Value::as_array);
        mounts
            .into_iter()
            .flatten()
            .filter_map(|mount| mount.get("Source").and_then(Value::as_str))
            .collect()
    }

    fn fits(&self, filters: &Filters) -> bool {
        let id = self.id.to_string();
        let exit = self.container().and_then(|container| container.exit);
        let image = self.container().map(Container::image);
        let mapped = |wanted: &str, host: bool| {
            let (ports, proto) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
            let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
            let within = |port: u16| {
                first.parse().is_ok_and(|first: u16| first <= port)
                    && last.parse().is_ok_and(|last: u16| port <= last)
            };
            self.ports.iter().any(|port| {
                let number = if host {
                    port.host_port
                } else {
                    port.container_port
                };
                within(number) && port.proto.to_string() == proto
            })
        };
        filters.hold("id", &|value| filter::matches(&id, value))
            && filters.hold("name", &|value| {
                filter::matches(self.name(), value.trim_start_matches('/'))
            })
            && filters.hold("status", &|value| value == self.text("/State/Status"))
            && filters.hold("exited", &|value| {
                exit.is_some_and(|exit| value.parse() == Ok(exit.code))
            })
            && filters.hold("ancestor", &|value| {
                image.is_some_and(|image| image.name == value || image.root.as_os_str() == value)
            })
            && filters.hold("network", &|value| self.is_on(value))
            && filters.hold("publish", &|value| mapped(value, true))
            && filters.hold("expose", &|value| mapped(value, false))
            && filters.hold("volume", &|value| self.mounts().contains(&value))
            && filters.labels(&self.object["Config"]["Labels"])
    }

    fn is_on(&self, network: &str) -> bool {
        let networks = &self.object["NetworkSettings"]["Networks"];
        let ids = networks.as_object().into_iter().flatten();
        let mut ids = ids.filter_map(|(_, attached)| attached["NetworkID"].as_str());
        self.networks().contains(&network)
            || (network.len() >= 12 && ids.any(|id| id.starts_with(network)))
    }

    fn row(&self, now: UnixNanos, whole: bool) -> Value {
        let since = |at: UnixNanos| age::duration(now.saturating_sub(at));
        let labels = &self.object["Config"]["Labels"];
        let id = match whole {
            true => self.id.to_string(),
            false => self.id.short(),
        };
        let (command, status) = match self.container() {
            Some(container) => (
                command(&container.record.command, whole),
                status(container, &since),
            ),
            None => (String::new(), "Sandbox".into()),
        };
        let mut line = Object::line(labels);
        line.text("Command", &command)
            .text("CreatedAt", &age::long(self.created))
            .text("ID", &id)
            .text("Image", &self.text("/Config/Image"))
            .text("Labels", &json::labels(labels))
            .text("LocalVolumes", &"0")
            .text("Mounts", &self.mounts().join(","))
            .text("Names", &self.name())
            .text("Networks", &self.networks().join(","))
            .text("Platform", &"linux")
            .text("Ports", &ports(&self.ports))
            .text("RunningFor", &format_args!("{} ago", since(self.created)))
            .text("State", &self.text("/State/Status"))
            .text("Status", &status);
        line.end()
    }
}

/// Program and arguments between quotes; those that have blanks in quotes of their own.
fn command(words: &[String], whole: bool) -> String {
    let mut text = String::new();
    for (at, word) in words.iter().enumerate() {
        match word.contains(' ') && at > 0 {
            true => text.push_str(&format!(" '{word}'")),
            false if at > 0 => text.push_str(&format!(" {word}")),
            false => text.push_str(word),
        }
    }
    if !whole && text.chars().count() > COMMAND {
        text = text.chars().take(COMMAND - 1).chain(['…']).collect();
    }
    quoted(&text)
}

/// `0.0.0.0:8080->80/tcp`; ports in a row that are the same on both sides in one, as Docker has them.
fn ports(ports: &[PortMapping]) -> String {
    let key = |port: &PortMapping| (port.container_port, port.host_ip, port.host_port);
    let sorted = order(ports.len(), &|one, other| {
        key(&ports[one]).cmp(&key(&ports[other]))
    });
    let sorted = sorted.into_iter().map(|at| &ports[at]);
    let (same, other): (Vec<_>, Vec<_>) =
        sorted.partition(|port| port.container_port == port.host_port);
    // What may be one range stands together, in the order of its ports.
    let of = |port: &PortMapping| (port.host_ip, port.proto, port.on.clone(), port.from);
    let mut ranges = Vec::<(usize, u16)>::new();
    for at in order(same.len(), &|one, other| {
        of(same[one]).cmp(&of(same[other]))
    }) {
        let port = same[at].container_port;
        match ranges.last_mut() {
            Some((first, last))
                if last.checked_add(1) == Some(port) && of(same[*first]) == of(same[at]) =>
            {
                *last = port;
            }
            _ => ranges.push((at, port)),
        }
    }
    let mut all = Vec::new();
    for at in order(ranges.len(), &|one, other| ranges[one].cmp(&ranges[other])) {
        let (first, last) = ranges[at];
        let (first, from) = (same[first], same[first].container_port);
        let range = match from == last {
            true => from.to_string(),
            false => format!("{from}-{last}"),
        };
        let host = SocketAddr::new(first.host_ip, 0).to_string();
        let host = host.trim_end_matches('0');
        all.push(format!("{host}{range}->{range}/{}", first.proto));
    }
    for port in other {
        let (host, inside) = (port.host_end(), port.container_port);
        all.push(format!("{host}->{inside}/{}", port.proto));
    }
    all.join(", ")
}

fn status(container: &Container, since: &dyn Fn(UnixNanos) -> String) -> String {
    match (container.status, &container.record.start, container.exit) {
        (Status::Running, Some(start), _) => format!("Up {}", since(start.at)),
        (Status::Restarting, _, Some(exit)) => {
            format!("Restarting ({}) {} ago", exit.code, since(exit.at))
        }
        (Status::Exited, _, Some(exit)) => format!("Exited ({}) {} ago", exit.code, since(exit.at)),
        _ => "Created".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_commands_are_cut_and_quoted() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            command(&words("httpd -f -p 80"), false),
            "\"httpd -f -p 80\""
        );
        let long = words("sh -c while true do done");
        assert_eq!(command(&long, false), "\"sh -c while true do…\"");
        assert_eq!(command(&long, true), "\"sh -c while true do done\"");
        let quotes = ["sh", "-c", "echo \"a\" b"].map(str::to_owned);
        assert_eq!(command(&quotes, true), r#""sh -c 'echo \"a\" b'""#);
    }

    #[test]
    fn ports_in_a_row_are_one_range() {
        let of = |texts: &[&str]| {
            let all: Result<Vec<PortMapping>> = texts.iter().map(|text| text.parse()).collect();
            ports(&all.unwrap_or_default())
        };
        assert_eq!(
            of(&[
                "0.0.0.0:8001:8001",
                "0.0.0.0:8000:8000",
                "0.0.0.0:8080:80",
                "127.0.0.1:9000:9000/udp"
            ]),
            "0.0.0.0:8000-8001->8000-8001/tcp, 127.0.0.1:9000->9000/udp, 0.0.0.0:8080->80/tcp"
        );
        assert_eq!(
            of(&[
                "[::]:81:81",
                "0.0.0.0:81:81/udp",
                "0.0.0.0:82:82,on=eth0",
                "0.0.0.0:81:81,on=eth0",
                "0.0.0.0:81:81",
                "[::]:82:82",
                "0.0.0.0:83:83"
            ]),
            "0.0.0.0:81->81/udp, 0.0.0.0:81-82->81-82/tcp, 0.0.0.0:81->81/tcp, [::]:81-82->81-82/tcp, 0.0.0.0:83->83/tcp"
        );
        assert_eq!(of(&[]), "");
    }
}
