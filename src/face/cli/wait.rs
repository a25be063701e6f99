//! `netcell wait`.

use super::argv::Usage;
use super::options::{Given, Page};
use super::output::Voice;
use super::{Cli, output};
use crate::error::exit;

pub(super) static PAGE: Page = Page {
    command: "wait",
    words: "NAME…",
    about: "Wait until containers end, and print their exit codes.",
    own: &[],
    end: "Example:
  netcell wait web

Exit codes: 0; 1 an error: the others are waited for.
",
};

/// Carries out `netcell wait`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let names = given.names()?;
    let mut code = 0;
    cli.engine(Voice::Quiet, |engine, _| {
        engine.wait(names, &mut |end| match end {
            Ok(exit) => output::line(&exit),
            Err(error) => {
                output::complain(&error);
                code = exit::FAILURE;
                Ok(())
            }
        })
    })?;
    Ok(code)
}
