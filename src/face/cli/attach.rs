//! `netcell attach`, and what the others that stay with a container share.

use super::Cli;
use super::argv::Usage;
use super::options::{Given, Page, option, switch};
use super::output::Voice;
use crate::engine::spec::Stay;
use crate::error::{Error, Result, exit};

/// What `--sig-proxy` is for.
pub(super) const SIG_PROXY: &str = "hand signals on; --sig-proxy=false does not";

/// What `--detach-keys` is for.
pub(super) const DETACH_KEYS: &str = "what leaves a terminal; default ctrl-p,ctrl-q";

pub(super) static PAGE: Page = Page {
    command: "attach",
    words: "NAME",
    about: "Stay with a running container: its output comes here, this terminal's keys or stdin go to it.",
    own: &[
        option("--detach-keys", None, "KEYS", DETACH_KEYS),
        switch("--no-stdin", None, "hand no stdin on"),
        switch("--sig-proxy", None, SIG_PROXY),
    ],
    end: "Example:
  netcell attach --detach-keys ctrl-x web

With a terminal, ctrl-p ctrl-q leaves the container running.

Exit codes: 1 an error, 141 nobody reads on, else the container's own.
",
};

/// Carries out `netcell attach`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let name = given.one_name()?;
    let stay = Stay {
        stdin: !given.has("--no-stdin"),
        ..given.stay()?
    };
    Ok(cli.engine(Voice::Quiet, |engine, run| engine.attach(name, &stay, run))?)
}

impl Given {
    /// How to stay, without stdin: `--detach-keys`, `--sig-proxy`.
    pub fn stay(&self) -> Result<Stay> {
        Ok(Stay {
            proxy: self.last("--sig-proxy") != Some("false"),
            ..stay(self.last("--detach-keys"))?
        })
    }
}

/// How to stay, without stdin.
pub(super) fn stay(keys: Option<&str>) -> Result<Stay> {
    Ok(Stay {
        stdin: false,
        streams: [true; 2],
        proxy: true,
        keys: keys.unwrap_or_default().parse()?,
    })
}

/// Whoever wants to type on a container's terminal has to have one.
pub(super) fn check_terminal(wanted: bool) -> Result<()> {
    if wanted && !rustix::termios::isatty(rustix::stdio::stdin()) {
        return Err(Error::new("the input device is not a TTY").exit(exit::FAILURE));
    }
    Ok(())
}
