//! `netcell version`.

use super::argv::Usage;
use super::options::{Given, JSON, Page, option};
use super::template::Template;
use super::tree::{self, Object};
use super::{Cli, output};
use crate::types::tree::Value;
use argh::FlagInfo;

pub(super) static PAGE: Page = Page {
    command: "version",
    words: "",
    about: "Print the version of netcell.",
    own: &[FORMAT, JSON],
    end: "Example:
  netcell version --format '{{.Version}} {{.Arch}}'

Exit codes: 0; 64 a template that is not well formed.
",
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `--format` of what is about netcell itself.
pub(super) const FORMAT: FlagInfo<'static> = option(
    "--format",
    Some('f'),
    "TEMPLATE",
    "a Go template; json for one line",
);

/// Carries out `netcell version`.
pub fn main(_: &Cli, given: &Given) -> Result<u8, Usage> {
    if let Some(format) = given.last("--format") {
        output::line(&Template::parse(format)?.render(&about())?)?;
    } else if given.has("--json") {
        output::line(&tree::text(&about()))?;
    } else {
        output::line(&format_args!("netcell {VERSION}"))?;
    }
    Ok(0)
}

fn about() -> Value {
    let mut program = Object::default();
    let program = program.text("Version", &VERSION).end();
    let mut about = Object::default();
    about
        .text("Version", &VERSION)
        .text("Os", &std::env::consts::OS)
        .text("Arch", &std::env::consts::ARCH)
        .text("License", &env!("CARGO_PKG_LICENSE"))
        // What scripts ask Docker for; here both are the same program.
        .set("Client", program.clone())
        .set("Server", program);
    about.end()
}
