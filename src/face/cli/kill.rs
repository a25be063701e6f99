//! `netcell kill`.

use super::Cli;
use super::argv::Usage;
use super::options::{DRY_RUN, Given, Page, VERBOSE, option};
use crate::error::{Error, Result};

pub(super) static PAGE: Page = Page {
    command: "kill",
    words: "NAME…",
    about: "Send a signal to containers' first processes.",
    own: &[
        option(
            "--signal",
            Some('s'),
            "SIGNAL",
            "a signal's name or number; default KILL",
        ),
        VERBOSE,
        DRY_RUN,
    ],
    end: "Example:
  netcell kill -s HUP web

Exit codes: 0; 1 an error: the others get the signal.
",
};

/// signal(7); the numbers are the same on every architecture that netcell is built for but MIPS.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// A signal's number, from its name or number.
pub(super) fn signal(text: &str) -> Result<i32> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let named = SIGNALS
        .iter()
        .zip(1..)
        .find(|(known, _)| **known == name)
        .map(|(_, number)| number);
    let numbered = || {
        name.parse::<i32>()
            .ok()
            .filter(|number| (1..=64).contains(number))
    };
    named.or_else(numbered).ok_or_else(|| {
        Error::new(format_args!(
            "Invalid signal: {text}: a name as in HUP or a number from 1 to 64 is wanted"
        ))
    })
}

/// What a signal is called: `SIGTERM`, or its number where it has no name.
pub(super) fn name(signal: u32) -> String {
    let known = signal
        .checked_sub(1)
        .and_then(|at| SIGNALS.get(at as usize));
    known.map_or_else(|| signal.to_string(), |name| format!("SIG{name}"))
}

/// Carries out `netcell kill`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let names = given.names()?;
    let signal = signal(given.last("--signal").unwrap_or("KILL"))?;
    let voice = given.voice();
    let answers = cli.engine(voice, |engine, run| Ok(engine.kill(names, signal, run)))?;
    Ok(super::answer(voice, names, answers)?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [
            ("KILL", 9),
            ("sigterm", 15),
            ("SIGHUP", 1),
            ("31", 31),
            ("64", 64),
        ] {
            assert_eq!(super::signal(text).expect("a signal"), number);
        }
        for bad in ["", "0", "65", "NOPE", "-9"] {
            assert!(super::signal(bad).is_err(), "{bad}");
        }
    }
}
