//! `netcell info`: what the kernel has, where things are, and where they end.

use super::argv::Usage;
use super::options::{Given, JSON, Page};
use super::output::{self, Voice};
use super::template::Template;
use super::tree::{self, Object};
use super::{Cli, version};
use crate::engine::files;
use crate::engine::info::{self, Answer, Counts, KernelOption};
use crate::error::Result;
use crate::types::tree::Value;

pub(super) static PAGE: Page = Page {
    command: "info",
    words: "",
    about: "Ask the kernel for what netcell needs, and say what is lost where it is missing; paths; limits; which
firewall of another's drops sandboxes' packets.",
    own: &[version::FORMAT, JSON],
    end:
        "The kernel is asked in namespaces that are thrown away; a module that is needed is loaded.

Example:
  netcell info --format '{{range .Kernel}}{{if not .There}}{{println .Option}}{{end}}{{end}}'

Exit codes: 0, also where something is missing; 1 an error; 64 a template that is not well formed.
",
};

/// Carries out `netcell info`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let format = given.last("--format").map(Template::parse).transpose()?;
    let mut drops = Vec::new();
    let counts = cli.engine(Voice::Quiet, |engine, run| {
        let counts = engine.counts(run)?;
        drops = engine.who_drops()?;
        Ok(counts)
    });
    let kernel = info::kernel();
    let mut facts = facts(cli, counts.as_ref().ok());
    if format.is_none() && !given.has("--json") {
        if let Err(error) = counts {
            output::complain(&error);
        }
        output::text(&page(&facts.end(), &kernel))?;
        for sentence in drops {
            output::complain(&format_args!("WARNING: {sentence}"));
        }
        return Ok(0);
    }
    let mut limits = Object::default();
    for (name, end) in info::limits() {
        limits.text(name, &end);
    }
    let tree = facts
        .set("Warnings", drops.into_iter().map(Value::from).collect())
        .set("Limits", limits.end())
        .set("Kernel", kernel.iter().map(option).collect())
        .end();
    match format {
        Some(template) => output::line(&template.render(&tree)?)?,
        None => output::line(&tree::text(&tree))?,
    }
    Ok(0)
}

/// What is one word or number each, by the names that Docker has for it where it has one.
fn facts(cli: &Cli, counts: Option<&Counts>) -> Object {
    let mut facts = Object::default();
    facts
        .text("ServerVersion", &env!("CARGO_PKG_VERSION"))
        .text("KernelVersion", &info::kernel_release())
        .text("OSType", &std::env::consts::OS)
        .text("Architecture", &std::env::consts::ARCH)
        .text("RootDir", &cli.places.state.display())
        .text("ImagesDir", &cli.places.images.display())
        .text("PinsDir", &info::PINS);
    if let Some(counts) = counts {
        let stopped = counts.containers - counts.running;
        facts
            .set("Containers", counts.containers.into())
            .set("ContainersRunning", counts.running.into())
            .set("ContainersStopped", stopped.into())
            .set("Networks", counts.networks.into());
    }
    if let Ok(images) = files::names(&cli.places.images) {
        facts.set("Images", images.len().into());
    }
    facts
}

fn option(option: &KernelOption) -> Value {
    let there = match option.there {
        Answer::Yes => true.into(),
        Answer::No => false.into(),
        Answer::Unknown => Value::Null,
    };
    let mut object = Object::default();
    object
        .text("Option", &option.name)
        .set("There", there)
        .text("Without", &option.without)
        .end()
}

/// A screen of it.
fn page(facts: &Value, kernel: &[KernelOption]) -> String {
    let mut page = String::new();
    let mut put = |name: &str, text: &str| {
        page.push_str(&format!("{name:<24} {text}\n"));
    };
    for (name, value) in facts.as_object().into_iter().flatten() {
        match value.as_str() {
            Some(text) => put(name, text),
            None => put(name, &tree::line(value)),
        }
    }
    for (name, end) in info::limits() {
        put(name, &end);
    }
    for option in kernel {
        let there = match option.there {
            Answer::Yes => "yes",
            Answer::No => "NO: ",
            Answer::Unknown => "cannot be told; without it: ",
        };
        let without = if option.there == Answer::Yes {
            ""
        } else {
            option.without
        };
        put(&option.name, &format!("{there}{without}"));
    }
    page
}
