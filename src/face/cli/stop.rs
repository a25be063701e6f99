//! `netcell stop` and `netcell restart`.

use super::Cli;
use super::argv::Usage;
use super::options::{DRY_RUN, Given, Page, VERBOSE, option};
use super::output::Progress;
use crate::error::Error;
use argh::FlagInfo;
use std::time::Duration;

const TIME: FlagInfo<'static> = option(
    "--time",
    Some('t'),
    "SECONDS",
    "how long the stop signal may take before SIGKILL; default the container's, or 10; -1 for ever",
);

pub(super) static STOP: Page = Page {
    command: "stop",
    words: "NAME…",
    about: "Stop containers, all at once: their stop signal, and SIGKILL when that did not help in time. Their sandboxes stay.",
    own: &[TIME, TIMEOUT, VERBOSE, DRY_RUN],
    end: "Example:
  netcell stop -t 2 web db

Exit codes: 0; 1 an error: the others are stopped.
",
};

pub(super) static RESTART: Page = Page {
    command: "restart",
    words: "NAME…",
    about: "Stop containers, all at once, and start them again. Their sandboxes stay, and who shares them notices nothing.",
    own: &[TIME, TIMEOUT, VERBOSE, DRY_RUN],
    end: "Example:
  netcell restart -t 2 web

Exit codes: 0; 1 an error: the others are restarted.
",
};

/// Docker's newer spelling.
const TIMEOUT: FlagInfo<'static> = option("--timeout", None, "SECONDS", "the same");

/// Carries out `netcell stop`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let (names, grace) = (given.names()?, grace(given)?);
    let voice = given.voice();
    let answers = cli.engine(voice, |engine, run| {
        let mut progress = Progress::new("stopping", names);
        Ok(engine.stop(names, grace, &mut |at| progress.at(at), run))
    })?;
    Ok(super::answer(voice, names, answers)?)
}

/// Carries out `netcell restart`.
pub fn restart(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let (names, grace) = (given.names()?, grace(given)?);
    let voice = given.voice();
    let answers = cli.engine(voice, |engine, run| {
        let mut progress = Progress::new("stopping", names);
        Ok(engine.restart(names, grace, &mut |at| progress.at(at), run))
    })?;
    Ok(super::answer(voice, names, answers)?)
}

/// How long SIGTERM may take, if that is said.
fn grace(given: &Given) -> Result<Option<Duration>, Usage> {
    let seconds = match given.number("--time")? {
        None => given.number("--timeout")?,
        seconds => seconds,
    };
    match seconds {
        None => Ok(None),
        // For ever, as with Docker.
        Some(-1) => Ok(Some(Duration::from_secs(u32::MAX.into()))),
        Some(seconds) => match u32::try_from(seconds) {
            Ok(seconds) => Ok(Some(Duration::from_secs(seconds.into()))),
            Err(_) => Err(Usage::Wrong(Error::new(format_args!(
                "invalid argument \"{seconds}\" for \"--time\" flag: a number of seconds is wanted, or -1"
            )))),
        },
    }
}
