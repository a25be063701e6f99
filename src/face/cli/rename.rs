//! `netcell rename`.

use super::Cli;
use super::argv::{self, Usage};
use super::options::{Given, Page, switch};

const PAGE: Page = Page {
    command: "rename",
    words: "NAME NEW_NAME",
    about: "Give a container, its sandbox and its pin another name. What runs goes on, and so do those who share the sandbox.",
    own: &[
        switch("--verbose", Some('v'), "say each operation as it is done"),
        switch(
            "--dry-run",
            None,
            "print the operations as a shell script and change nothing",
        ),
    ],
    end: "Example:
  netcell rename web web-old

Exit codes: 0; 1 an error.
",
};

/// Carries out `netcell rename`.
pub fn main(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let given = Given::parse(&PAGE, words)?;
    let [name, new] = given.rest.as_slice() else {
        return Err(match given.rest.len() {
            0 | 1 => argv::too_few("rename", 2),
            _ => argv::too_many("rename", 2),
        });
    };
    cli.engine(given.voice(), |engine, run| {
        // Docker looks for the container before it looks at the name.
        engine.find(name)?;
        engine.rename(name, &new.parse()?, run)
    })?;
    Ok(0)
}
