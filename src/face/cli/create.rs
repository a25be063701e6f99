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

/// What is of no use to a sandbox alone, which has no process.
const OF_A_PROCESS: [&str; 23] = [
    "--interactive",
    "--tty",
    "--env",
    "--env-file",
    "--workdir",
    "--user",
    "--group-add",
    "--volume",
    "--tmpfs",
    "--read-only",
    "--label",
    "--label-file",
    "--init",
    "--stop-signal",
    "--stop-timeout",
    "--cap-add",
    "--cap-drop",
    "--privileged",
    "--ulimit",
    "--sysctl",
    "--restart",
    "--log-max-size",
    "--entrypoint",
];

impl Given {
    /// An option that was given and is of no use without a process.
    pub fn of_a_process(&self) -> Option<&'static str> {
        let mut options = self.options.iter().map(|option| option.name);
        options.find(|option| OF_A_PROCESS.contains(option))
    }
}

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
