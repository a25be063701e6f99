//! `netcell prune`.

use super::argv::Usage;
use super::options::{DRY_RUN, Given, Page, VERBOSE, switch};
use super::output::Voice;
use super::{Cli, output};
use crate::error::Result;

pub(super) static PAGE: Page = Page {
    command: "prune",
    words: "",
    about: "Remove what netcell made and no container, sandbox or network has any more.",
    own: &[
        switch("--quiet", Some('q'), "do not say what was removed"),
        VERBOSE,
        DRY_RUN,
    ],
    end: "Links, bridges, elements of netcell's tables, leases and directories that are left without a record: after a
crash they go by themselves, after the loss of the state directory by this. Containers that have ended and
networks that nobody uses stay: 'netcell rm' and 'netcell network prune' remove them. So does what is behind
a pin in /run/netns, which may be of another state directory: 'ip netns delete' lets it go.

Example:
  netcell prune --dry-run

Exit codes: 0; 1 an error.
",
};

/// Carries out `netcell prune`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let voice = given.voice();
    let gone = cli.engine(voice, |engine, run| engine.prune(run))?;
    if !given.has("--quiet") && voice != Voice::Script {
        gone.iter().try_for_each(|line| output::line(line))?;
    }
    Ok(0)
}
