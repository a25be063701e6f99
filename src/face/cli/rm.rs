//! `netcell rm`.

use super::Cli;
use super::argv::Usage;
use super::options::{Given, Page, switch};

const PAGE: Page = Page {
    command: "rm",
    words: "NAME…",
    about: "Remove containers and sandboxes. A sandbox goes with its last member.",
    own: &[
        switch("--force", Some('f'), "kill a running container first"),
        switch("--verbose", Some('v'), "say each operation as it is done"),
        switch(
            "--dry-run",
            None,
            "print the operations as a shell script and change nothing",
        ),
    ],
    end: "Example:
  netcell rm -f web db

Exit codes: 0; 1 an error: the others are removed.
",
};

/// Carries out `netcell rm`.
pub fn main(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let given = Given::parse(&PAGE, words)?;
    let names = given.names()?;
    let force = given.has("--force");
    let mut doomed = !force || names.len() == 1;
    let code = cli.each(given.voice(), names, |engine, name, run| {
        if !std::mem::replace(&mut doomed, true) && !run.dry_run {
            engine.doom(names);
        }
        engine.remove(name, force, run)?;
        Ok((!run.dry_run).then(|| name.to_owned()))
    });
    Ok(code?)
}
