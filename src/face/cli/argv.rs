//! Docker's spellings, made plain for argh: `-dit`, `--name=x`, `-p8080:80`, options only before IMAGE.
//!
//! argh tells which options a subcommand has (`ArgsInfo`); here the words are put in argh's form and what is no
//! option goes behind `--`, so that a container's command reaches it untouched.

use super::unknown;
use crate::error::{Error, Result};
use argh::{ArgsInfo, FlagInfo, FlagInfoKind, FromArgs};
use std::ffi::OsString;

/// Why a subcommand did not do what its words say.
#[derive(Debug)]
pub enum Usage {
    /// The words ask for the page that explains them.
    Help(String),
    /// The words are not well formed.
    Wrong(Error),
    /// The words are, and it failed.
    Failed(Error),
}

impl From<Error> for Usage {
    fn from(error: Error) -> Self {
        Usage::Failed(error)
    }
}

/// The words as text.
///
/// # Errors
/// Names and paths of containers are JSON in the records, and JSON is UTF-8.
pub fn utf8(words: impl Iterator<Item = OsString>) -> Result<Vec<String>> {
    let text = |(at, word): (usize, OsString)| {
        word.into_string().map_err(|word| {
            Error::new(format!(
                "argument {} is not UTF-8: {}",
                at + 1,
                word.to_string_lossy()
            ))
        })
    };
    words.enumerate().map(text).collect()
}

/// Where options may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Options {
    /// Anywhere.
    Anywhere,
    /// Only before the first word that is none: the rest belongs to a container's command.
    First,
}

/// Parses a subcommand's words.
pub fn parse<T: FromArgs + ArgsInfo>(
    command: &str,
    words: &[String],
    options: Options,
) -> Result<T, Usage> {
    let flags = T::get_args_info().flags;
    let normal = normalise(words, &|| flags.iter(), options).map_err(Usage::Wrong)?;
    let mut plain = Vec::new();
    let is_switch = |option: &str| {
        let flag = flags.iter().find(|flag| flag.long == option);
        flag.is_some_and(|flag| flag.kind == FlagInfoKind::Switch)
    };
    // A switch that is off is one that was not given.
    let given = normal.options.iter();
    for (option, value) in given.filter(|(option, value)| value.is_none() || !is_switch(option)) {
        plain.push(option.as_str());
        plain.extend(value.as_deref());
    }
    plain.push(if normal.help { "--help" } else { "--" });
    plain.extend(normal.rest.iter().map(String::as_str));
    let mut name = vec!["netcell"];
    name.extend(command.split(' '));
    T::from_args(&name, &plain).map_err(|early| match early.status {
        Ok(()) => Usage::Help(early.output),
        Err(()) => Usage::Wrong(Error::new(one_line(&early.output))),
    })
}

/// argh's complaints have several lines.
fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words
        .join(" ")
        .trim_end_matches("Run netcell --help for more information.")
        .trim_end()
        .to_owned()
}

/// A command line with Docker's spellings made plain.
#[derive(Default)]
pub(super) struct Normal {
    /// Whether it asks for the page that explains it; then nothing else counts.
    pub help: bool,
    /// Options by their long names, in order; a switch has no value, or `false`.
    pub options: Vec<(String, Option<String>)>,
    /// What is no option.
    pub rest: Vec<String>,
}

/// The options that a subcommand has, as often as they are asked for.
type Flags<'f, I> = &'f dyn Fn() -> I;

/// Makes a command line plain.
pub(super) fn normalise<'f, I: Iterator<Item = &'f FlagInfo<'f>>>(
    words: &[String],
    flags: Flags<'_, I>,
    options: Options,
) -> Result<Normal> {
    let mut normal = Normal::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            normal.rest.extend(words.by_ref().cloned());
        } else if word == "--help" {
            return Ok(Normal {
                help: true,
                ..Normal::default()
            });
        } else if let Some(long) = word.strip_prefix("--") {
            long_option(word, long, flags, &mut words, &mut normal)?;
        } else if word.len() > 1 && word.starts_with('-') {
            short_options(word, flags, &mut words, &mut normal)?;
        } else {
            normal.rest.push(word.clone());
            if options == Options::First {
                normal.rest.extend(words.by_ref().cloned());
            }
        }
    }
    Ok(normal)
}

fn long_option<'f, I: Iterator<Item = &'f FlagInfo<'f>>>(
    word: &str,
    long: &str,
    flags: Flags<'_, I>,
    words: &mut std::slice::Iter<'_, String>,
    normal: &mut Normal,
) -> Result<()> {
    let (name, value) = long
        .split_once('=')
        .map_or((long, None), |(name, value)| (name, Some(value)));
    // Docker's hidden second spellings.
    let name = match name {
        "net" => "network",
        "net-alias" => "network-alias",
        "dns-opt" => "dns-option",
        name => name,
    };
    let flag = flags().find(|flag| flag.long.strip_prefix("--") == Some(name));
    let flag = flag.ok_or_else(|| unknown::option(name, flags().map(|flag| flag.long)))?;
    match (&flag.kind, value) {
        (FlagInfoKind::Switch, None | Some("true")) => {
            normal.options.push((flag.long.to_owned(), None));
        }
        (FlagInfoKind::Switch, Some("false")) => {
            let off = Some("false".to_owned());
            normal.options.push((flag.long.to_owned(), off));
        }
        (FlagInfoKind::Switch, Some(value)) => {
            return Err(Error::new(format!(
                "invalid argument \"{value}\" for \"--{name}\" flag: true or false is wanted"
            )));
        }
        (FlagInfoKind::Option { .. }, value) => {
            let value = value.map(str::to_owned).or_else(|| words.next().cloned());
            let value = value.ok_or_else(|| needs_value(word))?;
            normal.options.push((flag.long.to_owned(), Some(value)));
        }
    }
    Ok(())
}

/// `-dit`, `-p 80:80`, `-p80:80`, `-de A=1`: switches in a row, the last may be an option with its value.
fn short_options<'f, I: Iterator<Item = &'f FlagInfo<'f>>>(
    word: &str,
    flags: Flags<'_, I>,
    words: &mut std::slice::Iter<'_, String>,
    normal: &mut Normal,
) -> Result<()> {
    let mut rest = word[1..].chars();
    while let Some(letter) = rest.next() {
        let flag = flags().find(|flag| flag.short == Some(letter));
        let flag = flag.ok_or_else(|| unknown::letter(letter, word))?;
        if flag.kind == FlagInfoKind::Switch {
            normal.options.push((flag.long.to_owned(), None));
            continue;
        }
        let joined = rest.as_str().strip_prefix('=').unwrap_or(rest.as_str());
        // Docker's -v is a volume, SRC:DST; without one it is what -v is everywhere else in netcell.
        let is_volume = |word: &String| word.contains(':') && !word.starts_with('-');
        if flag.long == "--volume"
            && joined.is_empty()
            && !words.as_slice().first().is_some_and(is_volume)
        {
            normal.options.push(("--verbose".to_owned(), None));
            continue;
        }
        let value = if joined.is_empty() {
            words.next().cloned()
        } else {
            Some(joined.to_owned())
        };
        let value = value.ok_or_else(|| needs_value(word))?;
        normal.options.push((flag.long.to_owned(), Some(value)));
        return Ok(());
    }
    Ok(())
}

fn needs_value(word: &str) -> Error {
    Error::new(format!("flag needs an argument: {word}"))
}

/// The words that are not options, at least one.
pub fn at_least_one(command: &str, words: &[String]) -> Result<(), Usage> {
    match words {
        [] => Err(too_few(command, 1)),
        _ => Ok(()),
    }
}

/// That a subcommand wants fewer words than there are.
pub fn too_many(command: &str, most: usize) -> Usage {
    let plural = if most == 1 { "" } else { "s" };
    Usage::Wrong(Error::new(format!(
        "'netcell {command}' requires at most {most} argument{plural}"
    )))
}

/// That a subcommand wants more words than there are.
pub fn too_few(command: &str, least: usize) -> Usage {
    let plural = if least == 1 { "" } else { "s" };
    Usage::Wrong(Error::new(format!(
        "'netcell {command}' requires at least {least} argument{plural}"
    )))
}

/// That an image has no command, which is wanted for something.
pub fn no_command(image: &str, wanted: &str) -> Usage {
    Usage::Wrong(Error::new(format!(
        "No command specified: {image} is a root file system, and names none, and {wanted} is of no use without"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(FromArgs, ArgsInfo, Debug)]
    /// Test.
    struct Words {
        /// a
        #[argh(switch, short = 'd')]
        detach: bool,
        /// b
        #[argh(switch, short = 'i')]
        interactive: bool,
        /// c
        #[argh(option, short = 'p')]
        publish: Vec<String>,
        /// d
        #[argh(option)]
        name: Option<String>,
        #[argh(positional, greedy)]
        rest: Vec<String>,
    }

    fn parsed(text: &str) -> Result<Words, String> {
        let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        parse("run", &words, Options::First).map_err(|usage| match usage {
            Usage::Help(text) => text,
            Usage::Wrong(error) | Usage::Failed(error) => error.to_string(),
        })
    }

    #[test]
    fn dockers_spellings_are_understood() {
        let words =
            parsed("-di -p8080:80 -p 81:81 --name=web --publish=82:82 alpine -d --name x -- y")
                .expect("parsed");
        assert!(words.detach && words.interactive);
        assert_eq!(words.publish, ["8080:80", "81:81", "82:82"]);
        assert_eq!(words.name.as_deref(), Some("web"));
        assert_eq!(words.rest, ["alpine", "-d", "--name", "x", "--", "y"]);
        assert_eq!(parsed("-- help").expect("parsed").rest, ["help"]);
    }

    #[test]
    fn what_is_unknown_is_named() {
        assert_eq!(
            parsed("--nonsense alpine").expect_err("refused"),
            "unknown flag: --nonsense"
        );
        assert_eq!(
            parsed("-dx alpine").expect_err("refused"),
            "unknown shorthand flag: 'x' in -dx"
        );
        assert_eq!(
            parsed("--name").expect_err("refused"),
            "flag needs an argument: --name"
        );
    }
}
