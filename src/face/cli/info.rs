//! `netcell info`: what the kernel has, where things are, and where they end.

use super::argv::Usage;
use super::options::{Given, JSON, Page};
use super::output::{self, Voice};
use super::template::Template;
use super::{Cli, json, version};
use crate::engine::info::{self, Answer, Counts, KernelOption};
use crate::error::Result;
use serde_json::{Map, Value};
use std::path::Path;

const PAGE: Page = Page {
    command: "info",
    words: "",
    about: "Ask the kernel for what netcell needs, and say what is lost where it is missing; paths; limits.",
    own: &[version::FORMAT, JSON],
    end:
        "The kernel is asked in namespaces that are thrown away; a module that is needed is loaded.

Example:
  netcell info --format '{{range .Kernel}}{{if not .There}}{{println .Option}}{{end}}{{end}}'

Exit codes: 0, also where something is missing; 1 an error; 64 a template that is not well formed.
",
};

/// Carries out `netcell info`.
pub fn main(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let given = Given::parse(&PAGE, words)?;
    let format = given.last("--format").map(Template::parse).transpose()?;
    let counts = cli.engine(Voice::Quiet, |engine, run| engine.counts(run));
    let kernel = info::kernel();
    let facts = facts(cli, counts.as_ref().ok());
    if format.is_none() && !given.has("--json") {
        if let Err(error) = counts {
            output::complain(&error);
        }
        output::text(&page(&facts, &kernel))?;
        return Ok(0);
    }
    let mut tree = Map::new();
    for (name, value) in facts {
        tree.insert(name.to_owned(), value);
    }
    let limits = info::limits().map(|(name, end)| (name.to_owned(), end.into()));
    tree.insert(
        "Limits".to_owned(),
        Value::Object(limits.into_iter().collect()),
    );
    tree.insert("Kernel".to_owned(), kernel.iter().map(option).collect());
    let tree = Value::Object(tree);
    match format {
        Some(template) => output::line(&template.render(&tree)?)?,
        None => output::line(&json::text(&tree))?,
    }
    Ok(0)
}

/// What is one word or number each, by the names that Docker has for it where it has one.
fn facts(cli: &Cli, counts: Option<&Counts>) -> Vec<(&'static str, Value)> {
    let path = |path: &Path| Value::from(path.to_string_lossy());
    let mut facts = vec![
        ("ServerVersion", env!("CARGO_PKG_VERSION").into()),
        ("KernelVersion", info::kernel_release().into()),
        ("OSType", std::env::consts::OS.into()),
        ("Architecture", std::env::consts::ARCH.into()),
        ("RootDir", path(&cli.places.state)),
        ("ImagesDir", path(&cli.places.images)),
        ("PinsDir", info::PINS.into()),
    ];
    if let Some(counts) = counts {
        let stopped = counts.containers - counts.running;
        facts.extend([
            ("Containers", counts.containers.into()),
            ("ContainersRunning", counts.running.into()),
            ("ContainersStopped", stopped.into()),
            ("Networks", counts.networks.into()),
        ]);
    }
    if let Ok(images) = std::fs::read_dir(&cli.places.images) {
        facts.push(("Images", images.count().into()));
    }
    facts
}

fn option(option: &KernelOption) -> Value {
    let there = match option.there {
        Answer::Yes => true.into(),
        Answer::No => false.into(),
        Answer::Unknown => Value::Null,
    };
    let fields = [
        ("Option", option.name.as_str().into()),
        ("There", there),
        ("Without", option.without.into()),
    ];
    Value::Object(
        fields
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect(),
    )
}

/// A screen of it.
fn page(facts: &[(&str, Value)], kernel: &[KernelOption]) -> String {
    let mut page = String::new();
    let mut put = |name: &str, text: &str| {
        page.push_str(&format!("{name:<24} {text}\n"));
    };
    for (name, value) in facts {
        match value.as_str() {
            Some(text) => put(name, text),
            None => put(name, &value.to_string()),
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
