//! `netcell start`.

use super::Cli;
use super::argv::Usage;
use super::attach::{self, DETACH_KEYS};
use super::options::{DRY_RUN, Given, Page, VERBOSE, option, switch};
use crate::engine::spec::Stay;
use crate::error::Error;

pub(super) static PAGE: Page = Page {
    command: "start",
    words: "NAME…",
    about: "Start containers that are not running.",
    own: &[
        switch("--attach", Some('a'), "stay with it, and exit as it does"),
        switch("--interactive", Some('i'), "hand stdin on"),
        option("--detach-keys", None, "KEYS", DETACH_KEYS),
        VERBOSE,
        DRY_RUN,
    ],
    end: "Example:
  netcell start web

Exit codes: 0; 1 an error: the others are started; with -a the container's own.
",
};

/// Carries out `netcell start`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let names = given.names()?;
    let interactive = given.has("--interactive");
    if given.has("--attach") || interactive {
        let [name] = names else {
            return Err(Usage::Failed(Error::new(
                "you cannot start and attach multiple containers at once",
            )));
        };
        let stay = Stay {
            stdin: interactive,
            ..attach::stay(given.last("--detach-keys"))?
        };
        let code = cli.engine(given.voice(), |engine, run| {
            engine.start(name, Some(&stay), run)
        });
        return Ok(code?.unwrap_or(0));
    }
    let code = cli.each(
        "starting",
        given.voice(),
        names,
        &mut |engine, name, run| engine.start(name, None, run).map(|_| true),
    );
    Ok(code?)
}
