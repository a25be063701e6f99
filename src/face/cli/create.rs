//! `netcell create`.

use super::argv::{self, Usage};
use super::options::{Given, Page};
use super::{Cli, output};
use crate::error::Error;

const PAGE: Page = Page {
    command: "create",
    words: "[IMAGE COMMAND [ARG…]]",
    about: "Create a container without starting it; without IMAGE, a sandbox alone.",
    own: &[],
    end: "Example:
  netcell create --name lab --network lan -p 8080:80
  netcell exec lab ip addr

In a sandbox alone, exec is what ip netns exec is: the host's root, the caller's privileges.

Exit codes: 1 an error.
",
};

/// Carries out `netcell create`.
pub fn main(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let given = Given::parse(&PAGE, words)?;
    let voice = given.voice();
    let id = match given.rest.split_first() {
        None => {
            if let Some(option) = given.of_a_process() {
                return Err(Usage::Wrong(Error::new(format!(
                    "a sandbox alone has no process: {option} needs an image and a command"
                ))));
            }
            let spec = given.sandbox()?;
            cli.engine(voice, |engine, run| engine.create_sandbox(&spec, run))?
        }
        Some((image, command)) => {
            let spec = given.container(image, command)?;
            if spec.command.is_empty() {
                return Err(argv::no_command(image, "create"));
            }
            cli.engine(voice, |engine, run| engine.create(&spec, run))?
        }
    };
    if !given.has("--dry-run") {
        output::line(&id)?;
    }
    Ok(0)
}
