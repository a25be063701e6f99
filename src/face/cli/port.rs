//! `netcell port`.

use super::argv::Usage;
use super::options::{Given, JSON, Page};
use super::output::{self, Voice};
use super::{Cli, json, tree};
use crate::error::Error;
use crate::types::{PortMapping, order};

pub(super) static PAGE: Page = Page {
    command: "port",
    words: "NAME [PORT[/PROTO]]",
    about: "List the published ports of a container's sandbox, or where one of them is published.",
    own: &[JSON],
    end: "Example:
  netcell port web 80/tcp

Exit codes: 0; 1 an error, or the port is not published.
",
};

/// `80/tcp -> 0.0.0.0:8080`, and a line's end.
pub(super) fn arrow(port: &PortMapping) -> String {
    let end = port.host_end();
    format!("{}/{} -> {end}\n", port.container_port, port.proto)
}

/// Carries out `netcell port`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let (name, wanted) = given.first()?;
    let wanted = wanted.first();
    let subject = cli.engine(Voice::Quiet, |engine, _| engine.find(name))?;
    let published = subject.sandbox().map(json::mappings).unwrap_or_default();
    let key = |at: usize| {
        let port = &published[at];
        let inside = (port.container_port, port.proto);
        (inside, port.host_ip, port.host_port)
    };
    let order = order(published.len(), &|one, other| key(one).cmp(&key(other)));
    let ports: Vec<_> = order.iter().map(|at| published[*at].clone()).collect();
    if given.has("--json") {
        output::line(&tree::text(&json::ports(&ports)))?;
        return Ok(0);
    }
    let Some(wanted) = wanted else {
        let lines: String = ports.iter().map(arrow).collect();
        output::text(&lines)?;
        return Ok(0);
    };
    let (number, proto) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
    let mut lines = String::new();
    for port in &ports {
        if port.container_port.to_string() == number && port.proto.to_string() == proto {
            lines.push_str(&format!("{}\n", port.host_end()));
        }
    }
    if lines.is_empty() {
        return Err(Error::new(format_args!(
            "No public port '{wanted}' published for {name}"
        ))
        .into());
    }
    output::text(&lines)?;
    Ok(0)
}
