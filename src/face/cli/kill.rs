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
            "a signal's name, as in HUP or RTMIN+3, or number; default KILL",
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

/// SIGRTMIN as glibc and Docker have it (musl's is 35); SIGRTMAX.
const REAL_TIME: i32 = 34;
const LAST: i32 = 64;

/// A signal's number, from its name or number.
pub(super) fn signal(text: &str) -> Result<i32> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let named = SIGNALS
        .iter()
        .zip(1..)
        .find(|(known, _)| **known == name)
        .map(|(_, number)| number);
    let (first, from, sign, offset) = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX"))
    {
        (Some(offset), _) => (REAL_TIME, REAL_TIME, '+', offset),
        (_, Some(offset)) => (REAL_TIME, LAST, '-', offset),
        _ => (1, 0, char::MAX, name),
    };
    let numbered = || {
        let offset = match offset {
            "" if from > 0 => 0,
            offset if from == 0 || offset.starts_with(sign) => offset.parse::<i32>().ok()?,
            _ => return None,
        };
        let number = from.checked_add(offset)?;
        (first..=LAST).contains(&number).then_some(number)
    };
    named.or_else(numbered).ok_or_else(|| {
        Error::new(format_args!(
            "Invalid signal: {text}: a name as in HUP or RTMIN+3, or a number from 1 to 64 is wanted"
        ))
    })
}

/// What a signal is called: `SIGTERM`, `SIGRTMIN+3`, or its number where it has no name.
pub(super) fn name(signal: u32) -> String {
    let known = signal
        .checked_sub(1)
        .and_then(|at| SIGNALS.get(at as usize));
    match (known, signal.checked_sub(REAL_TIME.unsigned_abs())) {
        (Some(name), _) => format!("SIG{name}"),
        (None, Some(0)) => "SIGRTMIN".into(),
        (None, Some(offset)) => format!("SIGRTMIN+{offset}"),
        (None, None) => signal.to_string(),
    }
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
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("rtmin+30", 64),
            ("SIGRTMAX", 64),
            ("RTMAX-14", 50),
            ("RTMAX-30", 34),
        ] {
            assert_eq!(super::signal(text).expect(text), number);
        }
        for bad in [
            "",
            "0",
            "65",
            "NOPE",
            "-9",
            "RTMIN-1",
            "RTMIN3",
            "RTMIN+",
            "RTMIN+31",
            "RTMAX+1",
            "RTMAX-31",
            "RTMAX-x",
            "RTMIN+2147483647",
        ] {
            assert!(super::signal(bad).is_err(), "{bad}");
        }
        for (number, name) in [
            (9, "SIGKILL"),
            (33, "33"),
            (34, "SIGRTMIN"),
            (37, "SIGRTMIN+3"),
            (64, "SIGRTMIN+30"),
        ] {
            assert_eq!(super::name(number), name);
        }
    }
}
