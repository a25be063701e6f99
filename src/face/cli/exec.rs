//! `netcell exec`.

use super::argv::Usage;
use super::attach::DETACH_KEYS;
use super::options::{ENV, ENV_FILE, Given, Page, USER, WORKDIR, option, switch};
use super::output::Voice;
use super::{Cli, attach};
use crate::engine::files;
use crate::engine::spec::ExecSpec;
use crate::error::{Error, exit};

pub(super) static PAGE: Page = Page {
    command: "exec",
    words: "NAME COMMAND [ARG…]",
    about: "Run a command in a container, with its namespaces and limits, or in a sandbox, as ip netns exec does.",
    own: &[
        switch("--detach", Some('d'), "return at once"),
        switch("--interactive", Some('i'), "hand stdin on"),
        switch("--tty", Some('t'), "give it a terminal"),
        option("--detach-keys", None, "KEYS", DETACH_KEYS),
        ENV,
        ENV_FILE,
        WORKDIR,
        USER,
    ],
    end: "Example:
  netcell exec web ip addr

Exit codes: 1 an error, 126 COMMAND cannot be executed, 127 COMMAND was not found, 141 nobody
reads on, else COMMAND's own.
",
};

/// Carries out `netcell exec`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let (name, command) = given.first()?;
    if given
        .last("--workdir")
        .is_some_and(|dir| !dir.starts_with('/'))
    {
        let error = Error::new("Cwd must be an absolute path");
        return Err(Usage::Failed(error.exit(exit::CANNOT_EXECUTE)));
    }
    let owned = |option| given.last(option).map(str::to_owned);
    let (interactive, terminal, detach) = (
        given.has("--interactive"),
        given.has("--tty"),
        given.has("--detach"),
    );
    attach::check_terminal(terminal && interactive && !detach)?;
    let mut caller_env = Vec::new();
    for entry in files::environment() {
        // What has no name is no variable.
        if let Some(entry) = entry.to_str().filter(|entry| entry.rfind('=') > Some(0)) {
            caller_env.push(entry.to_owned());
        }
    }
    let spec = ExecSpec {
        command: command.to_vec(),
        env: given.environment()?,
        workdir: owned("--workdir"),
        user: owned("--user"),
        interactive,
        terminal,
        keys: given.last("--detach-keys").unwrap_or_default().parse()?,
        detach,
        caller_env,
    };
    Ok(cli.engine(Voice::Quiet, |engine, run| engine.exec(name, &spec, run))?)
}
