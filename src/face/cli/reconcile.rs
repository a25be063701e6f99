//! `netcell reconcile`.

use super::argv::Usage;
use super::options::{DRY_RUN, Given, Page, VERBOSE, switch};
use super::output::Voice;
use super::{Cli, output};
use crate::engine::{Depth, watch};
use crate::error::{Error, Result, exit};
use crate::types::json;

pub(super) static PAGE: Page = Page {
    command: "reconcile",
    words: "",
    about: "Make again what somebody flushed, deleted or changed of networks and sandboxes.",
    own: &[
        switch("--quiet", Some('q'), "do not say what was made again"),
        switch("--json", None, "what was made again, as JSON"),
        switch(
            "--watch",
            None,
            "stay, and do it whenever something is taken away",
        ),
        VERBOSE,
        DRY_RUN,
    ],
    end: "A line for each network and sandbox of which something was made again; nothing where all is there.
What another command is at is left to it. While a container runs its monitor does the same by itself,
one of them for the whole host; --watch does it where none runs, until SIGTERM or SIGINT.

Example:
  nft flush ruleset; netcell reconcile

Exit codes: 0; 1 something could not be made again: the rest was.
",
};

/// Carries out `netcell reconcile`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let voice = given.voice();
    if given.has("--watch") {
        if voice == Voice::Script || given.has("--json") {
            return Err(Usage::Wrong(Error::new(
                "conflicting options: --watch stays, and prints neither a script nor JSON",
            )));
        }
        let mut voice = voice;
        watch::stay(&cli.places, &mut voice)?;
        return Ok(0);
    }
    let done = cli.engine(voice, |engine, run| {
        if let Some(trouble) = engine.watcher_trouble() {
            run.say.note(&trouble);
        }
        engine.reconcile(Depth::Whole, run)
    })?;
    if given.has("--json") {
        output::line(&json::to_text(&done))?;
    } else if !given.has("--quiet") && voice != Voice::Script {
        for (kind, names) in [("network", &done.networks), ("sandbox", &done.sandboxes)] {
            names
                .iter()
                .try_for_each(|name| output::line(&format_args!("{kind} {name}")))?;
        }
    }
    Ok(match done.errors.is_empty() {
        true => 0,
        false => exit::FAILURE,
    })
}
