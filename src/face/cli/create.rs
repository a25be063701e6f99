//! `netcell create`.

use super::argv::{self, Usage};
use super::options::{Given, Page};
use super::{Cli, output};
use crate::engine::spec::{ContainerSpec, SandboxSpec};
use crate::error::Error;

pub(super) static PAGE: Page = Page {
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

/// The sandbox alone that is asked for.
pub(super) fn sandbox(given: &Given) -> Result<SandboxSpec, Usage> {
    if let Some(option) = given.of_a_process() {
        let error = Error::new(format_args!(
            "a sandbox alone has no process: {option} needs an image and a command"
        ));
        return Err(Usage::Wrong(given.blame(option, error)));
    }
    Ok(given.sandbox()?)
}

/// The container that is asked for.
pub(super) fn container(given: &Given, command: &str) -> Result<ContainerSpec, Usage> {
    let (image, words) = given.first()?;
    let spec = given.container(image, words)?;
    match spec.command.is_empty() {
        true => Err(argv::no_command(image, command)),
        false => Ok(spec),
    }
}

/// Carries out `netcell create`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let voice = given.voice();
    let id = if given.rest.is_empty() {
        let spec = sandbox(given)?;
        cli.engine(voice, |engine, run| engine.create_sandbox(&spec, run))?
    } else {
        // Where the image was forgotten its place is the command's.
        if let [image] = &given.rest[..] {
            cli.check_image(image)?;
        }
        let spec = container(given, "create")?;
        cli.engine(voice, |engine, run| engine.create(&spec, run))?
    };
    if !given.has("--dry-run") {
        output::line(&id)?;
    }
    Ok(0)
}
