//! `netcell version`.

use super::argv::Usage;
use super::options::{Given, JSON, Page, option};
use super::template::Template;
use super::{Cli, json, output};
use argh::FlagInfo;
use serde_json::json;

const PAGE: Page = Page {
    command: "version",
    words: "",
    about: "Print the version of netcell.",
    own: &[FORMAT, JSON],
    end: "Example:
  netcell version --format '{{.Version}} {{.Arch}}'

Exit codes: 0; 64 a template that is not well formed.
",
};

/// `--format` of what is about netcell itself.
pub(super) const FORMAT: FlagInfo<'static> = option(
    "--format",
    Some('f'),
    "TEMPLATE",
    "a Go template; json for one line",
);

/// Carries out `netcell version`.
pub fn main(_: &Cli, words: &[String]) -> Result<u8, Usage> {
    let given = Given::parse(&PAGE, words)?;
    let version = env!("CARGO_PKG_VERSION");
    let about = || {
        json!({
            "Version": version,
            "Os": std::env::consts::OS,
            "Arch": std::env::consts::ARCH,
            "License": env!("CARGO_PKG_LICENSE"),
            // What scripts ask Docker for; here both are the same program.
            "Client": {"Version": version},
            "Server": {"Version": version},
        })
    };
    if let Some(format) = given.last("--format") {
        output::line(&Template::parse(format)?.render(&about())?)?;
    } else if given.has("--json") {
        output::line(&json::text(&about()))?;
    } else {
        output::line(&format_args!("netcell {version}"))?;
    }
    Ok(0)
}
