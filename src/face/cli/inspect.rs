//! `netcell inspect`.

use super::argv::Usage;
use super::options::{Given, Page, option};
use super::output::{self, Voice};
use super::template::Template;
use super::{Cli, json, tree};
use crate::engine::Engine;
use crate::error::{Error, Result, exit};
use crate::types::tree::Value;
use argh::FlagInfo;

pub(super) static PAGE: Page = Page {
    command: "inspect",
    words: "NAME…",
    about: "Everything about containers, sandboxes and networks, as a JSON array, or by a template.",
    own: &[
        FORMAT,
        option("--type", None, "TYPE", "only container (and sandbox) or only network"),
    ],
    end: "Example:
  netcell inspect --format '{{.NetworkSettings.SandboxKey}}' web
  netcell inspect -f '{{range $n, $e := .NetworkSettings.Networks}}{{$n}} {{$e.IPAddress}}{{end}}' web

A template has Go's actions and functions (range, if, with, index, slice, len, eq, printf, …) and Docker's
(json, join, split, upper, lower, title, pad, truncate).

Exit codes: 0; 1 nothing of that name, or the template does not fit: the rest is printed;
64 a template that is not well formed.
",
};

/// `--format` of the two that inspect.
pub(super) const FORMAT: FlagInfo<'static> = option(
    "--format",
    Some('f'),
    "TEMPLATE",
    "a Go template for each object; json for a line of JSON",
);

/// Carries out `netcell inspect`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let (containers, networks) = match given.last("--type") {
        None => (true, true),
        Some("container") => (true, false),
        Some("network") => (false, true),
        Some(other) => {
            let said =
                format!("\"{other}\" is not a valid value for --type: container and network are");
            return Err(Usage::Wrong(Error::new(said)));
        }
    };
    look(cli, given, &|engine, name| {
        if containers && let Some(subject) = engine.look_up(name)? {
            return Ok(json::subject(&subject));
        }
        match engine.network(name) {
            Ok(network) if networks => Ok(json::network(&network)),
            Err(error) if !containers => Err(error),
            _ if !networks => Err(Error::new(format_args!("No such container: {name}"))),
            _ => Err(Error::new(format_args!("No such object: {name}"))),
        }
    })
}

/// Looks each name up, prints what there is, and then says what there is not: the exit code.
pub(super) fn look(
    cli: &Cli,
    given: &Given,
    find: &dyn Fn(&Engine, &str) -> Result<Value>,
) -> Result<u8, Usage> {
    let names = given.names()?;
    let template = given.last("--format").map(Template::parse).transpose()?;
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    cli.engine(Voice::Quiet, |engine, _| {
        for name in names {
            match find(engine, name) {
                Ok(value) => found.push(value),
                Err(error) => missing.push(error),
            }
        }
        Ok(())
    })?;
    print(&found, template.as_ref())?;
    missing.iter().for_each(|error| output::complain(error));
    Ok(if missing.is_empty() { 0 } else { exit::FAILURE })
}

/// Prints objects as an array, or each by the template.
fn print(found: &[Value], template: Option<&Template>) -> Result<()> {
    match template {
        None => output::line(&tree::text(&Value::Array(found.to_vec()))),
        Some(template) => found
            .iter()
            .try_for_each(|value| output::line(&template.render(value)?)),
    }
}
