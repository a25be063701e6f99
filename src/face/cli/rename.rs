//! `netcell rename`.

use super::Cli;
use super::argv::Usage;
use super::options::{DRY_RUN, Given, Page, VERBOSE};

pub(super) static PAGE: Page = Page {
    command: "rename",
    words: "NAME NEW_NAME",
    about: "Give a container, its sandbox and its pin another name. What runs goes on, and so do those who share the sandbox.",
    own: &[VERBOSE, DRY_RUN],
    end: "Example:
  netcell rename web web-old

Exit codes: 0; 1 an error.
",
};

/// Carries out `netcell rename`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let (name, new) = given.first()?;
    let new = new.concat();
    cli.engine(given.voice(), |engine, run| {
        // Docker looks for the container before it looks at the name.
        engine.find(name)?;
        engine.rename(name, &new.parse()?, run)
    })?;
    Ok(0)
}
