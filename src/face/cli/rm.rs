//! `netcell rm`.

use super::argv::Usage;
use super::options::{DRY_RUN, Given, Page, VERBOSE, switch};
use super::{Cli, output};

pub(super) static PAGE: Page = Page {
    command: "rm",
    words: "NAME…",
    about: "Remove containers and sandboxes. A sandbox goes with its last member.",
    own: &[
        switch("--force", Some('f'), "kill a running container first"),
        VERBOSE,
        DRY_RUN,
    ],
    end: "Example:
  netcell rm -f web db

With -f, what is not there is said, and is no error.

Exit codes: 0; 1 an error: the others are removed.
",
};

/// Carries out `netcell rm`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let names = given.names()?;
    let force = given.has("--force");
    let mut doomed = !force || names.len() == 1;
    let code = cli.each(
        "removing",
        given.voice(),
        names,
        &mut |engine, name, run| {
            if !std::mem::replace(&mut doomed, true) && !run.dry_run {
                engine.doom(names);
            }
            match engine.remove(name, force, run) {
                // As with Docker, what is not there is said, and is as it was to be.
                Err(error) if force && engine.look_up(name)?.is_none() => {
                    output::complain(&error);
                    Ok(false)
                }
                done => done.map(|()| true),
            }
        },
    );
    Ok(code?)
}
