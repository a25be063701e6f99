//! `netcell inspect`.

use super::argv::{self, Options, Usage};
use super::output::{self, Voice};
use super::template::Template;
use super::{Cli, json};
use crate::error::{Result, exit};
use argh::{ArgsInfo, FromArgs};
use serde_json::Value;

/// Everything about containers and sandboxes, as a JSON array, or by a template.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    example = "netcell inspect web --format '{{{{.NetworkSettings.SandboxKey}}'",
    error_code(1, "nothing of that name; the rest is printed"),
    error_code(64, "a template that is not well formed")
)]
struct Words {
    #[argh(option, short = 'f', arg_name = "TEMPLATE")]
    /// a Go template, with Docker's functions; json for one line of it
    format: Option<String>,
    #[argh(positional, greedy, arg_name = "NAME…")]
    names: Vec<String>,
}

/// Carries out `netcell inspect`.
pub fn main(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let words: Words = argv::parse("inspect", words, Options::Anywhere)?;
    argv::at_least_one("inspect", &words.names)?;
    let template = words.format.as_deref().map(Template::parse).transpose()?;
    Ok(cli.engine(Voice::Quiet, |engine, _| {
        look(&words.names, template.as_ref(), |name| {
            engine.find(name).map(|subject| json::subject(&subject))
        })
    })?)
}

/// Looks each name up, prints what there is, and then says what there is not: the exit code.
pub(super) fn look(
    names: &[String],
    template: Option<&Template>,
    find: impl Fn(&str) -> Result<Value>,
) -> Result<u8> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in names {
        match find(name) {
            Ok(value) => found.push(value),
            Err(error) => missing.push(error),
        }
    }
    print(&found, template)?;
    missing.iter().for_each(|error| output::complain(error));
    Ok(if missing.is_empty() { 0 } else { exit::FAILURE })
}

/// Prints objects as an array, or each by the template.
fn print(found: &[Value], template: Option<&Template>) -> Result<()> {
    match template {
        None => output::line(&json::text(&Value::Array(found.to_vec()))),
        Some(template) => found
            .iter()
            .try_for_each(|value| output::line(&template.render(value)?)),
    }
}
