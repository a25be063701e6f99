//! `netcell apply`: a file of command lines, read by the parsers of the commands themselves, and what runs made so.

mod items;
mod place;
mod source;
mod text;

#[cfg(any(test, fuzzing))]
pub(super) use items::{fuzz_text, fuzz_words};

use super::Cli;
use super::argv::Usage;
use super::options::{Given, Page, switch};
use super::output::{self, Voice};
use crate::engine::apply::{At, Step};
use crate::error::exit;
use items::items;
use source::sources;

/// Where the files for apply at boot are.
const DEFAULT: &str = "/etc/netcell";

pub(super) static PAGE: Page = Page {
    command: "apply",
    words: "[FILE|DIR|-]",
    about: "Make what runs what a file of command lines asks for: what is as asked stays untouched.",
    own: &[
        switch(
            "--prune",
            None,
            "remove what came from this file and is in it no longer",
        ),
        switch("--dry-run", None, "say what would be done, and do nothing"),
        switch("--verbose", Some('v'), "say each operation as it is done"),
    ],
    end: "Example:
  netcell apply --dry-run /etc/netcell

A file has lines as
  network create lan --subnet ${LAN:-10.88.0.0/24}    # comments, 'quotes', \"$VARIABLES\"
  run -d --name web --network lan -p 8080:80 \\
      alpine httpd -f                                 # and lines that go on
  publish web 8443:443
The lines are network create, run -d, create and publish; all but the first need a name, and order
does not matter. DIR is its *.conf files in the order of their names; without an argument it is /etc/netcell.

Each step is printed when it is done: + made, ~ removed and made again, > started or its ports changed,
- removed. Containers of run -d that have ended or were stopped start.

Exit codes: 1 an error. One in the files, or one that can be seen before anything is done, is named with
file, line and column, and nothing was changed; after one that comes later the rest is done, and what
was not is said.
",
};

/// Carries out `netcell apply`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let argument = given.rest.first().map_or(DEFAULT, String::as_str);
    let (sources, mark) = sources(argument)?;
    let (mut items, lines) = items(&sources, &mark)?;
    let voice = Voice::of(given.has("--verbose"), false);
    let prune = given.has("--prune").then_some(mark.as_str());
    let code = cli.engine(voice, |engine, run| {
        let at = |(item, error): At| match item.and_then(|item| lines.get(item)) {
            Some(line) => line.place(error),
            None => error,
        };
        if given.has("--dry-run") {
            let steps = engine.difference(&items, prune, run).map_err(at)?;
            steps.iter().try_for_each(|step| output::line(step))?;
            return Ok(0);
        }
        let _alone = engine.alone()?;
        let steps = engine.difference(&items, prune, run).map_err(at)?;
        let mut left = Vec::new();
        engine.carry_out(&mut items, &steps, run, &mut |step: &Step, done| {
            let Err(error) = done else {
                return output::line(step);
            };
            output::complain(&at((step.item, error)));
            left.push(step.to_string());
            Ok(())
        })?;
        match left.as_slice() {
            [] => Ok(0),
            left => {
                let done = steps.len() - left.len();
                output::complain(&format_args!(
                    "{done} of {} steps were done, and not: {}",
                    steps.len(),
                    left.join(", ")
                ));
                Ok(exit::FAILURE)
            }
        }
    });
    Ok(code?)
}
