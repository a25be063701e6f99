//! Docker's spellings, made plain: `-dit`, `--name=x`, `-p8080:80`, options only before IMAGE.
//!
//! Which options a subcommand has is said in argh's terms (`FlagInfo`), in the table of its page. argh's own parser knows
//! no `-dit`, no `--name=x` and no option that two subcommands share.

use super::unknown;
use crate::error::{Error, Result, exit};
use argh::{FlagInfo, FlagInfoKind};

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

/// Where options may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Options {
    /// Anywhere.
    Anywhere,
    /// Only before the first word that is none: the rest belongs to a container's command.
    First,
}

/// A command line with Docker's spellings made plain.
#[derive(Default)]
pub(super) struct Normal {
    /// Whether it asks for the page that explains it; then nothing else counts.
    pub help: bool,
    /// Options in order.
    pub options: Vec<Put>,
    /// What is no option.
    pub rest: Vec<String>,
    /// For each of those its number among the words, counted from 0.
    pub places: Vec<usize>,
}

/// An option as it was given.
pub(super) struct Put {
    /// Its long name.
    pub name: &'static str,
    /// What was said with it; a switch has no value, or `false`.
    pub value: Option<String>,
    /// The number of its word, counted from 0.
    pub at: usize,
    /// The number of the word that its value is in: that one, or the next.
    pub word: usize,
}

/// What an error is about that comes before options are known: the word with a number, counted from 0.
pub(super) const WORD: &str = "";

/// The options that a subcommand has.
pub(super) type Flags<'f> = &'f [&'static FlagInfo<'static>];

/// Makes a command line plain.
///
/// # Errors
/// What is no option, or lacks its value, with the number of its word.
pub(super) fn normalise(words: &[String], flags: Flags, options: Options) -> Result<Normal> {
    let mut reader = Reader {
        words,
        at: 0,
        next: 0,
        flags,
        normal: Normal::default(),
    };
    let mut only_rest = false;
    while let Some(word) = words.get(reader.next) {
        let at = reader.next;
        reader.at = at;
        reader.next += 1;
        let is_option = !only_rest && word.len() > 1 && word.starts_with('-');
        match word.strip_prefix("--").filter(|_| is_option) {
            Some("") => only_rest = true,
            Some("help") => {
                reader.normal.help = true;
                break;
            }
            Some(long) => reader
                .long_option(word, long)
                .map_err(|error| error.nth(WORD, at))?,
            None if is_option => reader
                .short_options(word)
                .map_err(|error| error.nth(WORD, at))?,
            None => {
                reader.normal.rest.push(word.clone());
                reader.normal.places.push(at);
                only_rest |= options == Options::First;
            }
        }
    }
    Ok(reader.normal)
}

struct Reader<'w> {
    words: &'w [String],
    /// The number of the word that is read.
    at: usize,
    /// The number of the word that comes next.
    next: usize,
    flags: Flags<'w>,
    normal: Normal,
}

impl Reader<'_> {
    fn long_option(&mut self, word: &str, long: &str) -> Result<()> {
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
        let mut flags = self.flags.iter();
        let flag = flags.find(|flag| flag.long.strip_prefix("--") == Some(name));
        let flag = flag.ok_or_else(|| {
            let known: Vec<_> = self.flags.iter().map(|flag| flag.long).collect();
            unknown::option(name, &known)
        })?;
        let value = match (&flag.kind, value) {
            (FlagInfoKind::Switch, None | Some("true")) => None,
            (FlagInfoKind::Switch, Some("false")) => Some("false".to_owned()),
            (FlagInfoKind::Switch, Some(value)) => {
                return Err(Error::new(format_args!(
                    "invalid argument \"{value}\" for \"--{name}\" flag: true or false is wanted"
                )));
            }
            (FlagInfoKind::Option { .. }, Some(value)) => Some(value.to_owned()),
            (FlagInfoKind::Option { .. }, None) => Some(self.following(word)?),
        };
        self.put(flag.long, value);
        Ok(())
    }

    /// `-dit`, `-p 80:80`, `-p80:80`, `-de A=1`: switches in a row, the last may be an option with its value.
    fn short_options(&mut self, word: &str) -> Result<()> {
        let mut rest = word[1..].chars();
        while let Some(letter) = rest.next() {
            let mut flags = self.flags.iter();
            let flag = flags.find(|flag| flag.short == Some(letter));
            let flag = flag.ok_or_else(|| unknown::letter(letter, word))?;
            if flag.kind == FlagInfoKind::Switch {
                self.put(flag.long, None);
                continue;
            }
            let joined = rest.as_str().strip_prefix('=').unwrap_or(rest.as_str());
            // Docker's -v is a volume, SRC:DST; without one it is what -v is everywhere else in netcell.
            let is_volume = |word: &String| word.contains(':') && !word.starts_with('-');
            if flag.long == "--volume"
                && joined.is_empty()
                && !self.words.get(self.next).is_some_and(is_volume)
            {
                self.put("--verbose", None);
                continue;
            }
            let value = match joined {
                "" => self.following(word)?,
                joined => joined.to_owned(),
            };
            self.put(flag.long, Some(value));
            break;
        }
        Ok(())
    }

    /// The value of an option, which is the next word.
    fn following(&mut self, option: &str) -> Result<String> {
        let value = self.words.get(self.next).cloned();
        self.next += 1;
        value.ok_or_else(|| Error::new(format_args!("flag needs an argument: {option}")))
    }

    /// An option that was read up to the word before the next one.
    fn put(&mut self, name: &'static str, value: Option<String>) {
        self.normal.options.push(Put {
            name,
            value,
            at: self.at,
            word: self.next - 1,
        });
    }
}

/// How many words may be no option, as a usage says: `NAME`, `NAME…`, `NAME [PORT]`.
fn count(usage: &str) -> (usize, usize) {
    let (mut least, mut all, mut depth) = (0, 0, 0);
    for word in usage.split(' ').filter(|word| !word.is_empty()) {
        all += 1;
        least += usize::from(depth == 0 && !word.starts_with('['));
        for byte in word.bytes() {
            depth += i32::from(byte == b'[') - i32::from(byte == b']');
        }
    }
    let most = if usage.contains('…') {
        usize::MAX
    } else {
        all
    };
    (least, most)
}

/// Refuses fewer words than a subcommand's usage has, and more, as Docker does.
pub fn check_count(command: &str, usage: &str, given: usize) -> Result<(), Usage> {
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    let (least, most) = count(usage);
    if (least..=most).contains(&given) {
        return Ok(());
    }
    let what = match (least, most) {
        (_, 0) => "no arguments".to_owned(),
        (least, usize::MAX) => format!("at least {least} argument{}", plural(least)),
        (0, most) => format!("at most {most} argument{}", plural(most)),
        (least, most) if least == most => format!("exactly {least} argument{}", plural(least)),
        (least, most) => format!("at least {least} and at most {most} arguments"),
    };
    Err(wants(command, &what))
}

/// That a subcommand wants another number of words; Docker's exit code for it is 1, whatever the command.
pub fn wants(command: &str, what: &str) -> Usage {
    let verb = if what.starts_with("no") {
        "accepts"
    } else {
        "requires"
    };
    let error = Error::new(format_args!("'netcell {command}' {verb} {what}"));
    Usage::Wrong(error.exit(exit::FAILURE))
}

/// That an image has no command, which is wanted for something.
pub fn no_command(image: &str, wanted: &str) -> Usage {
    let error = Error::new(format_args!(
        "No command specified: {image} is a root file system, and names none, and {wanted} is of no use without"
    ));
    Usage::Wrong(error.of("image"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::cli::options::{option, switch};

    static FLAGS: [FlagInfo<'static>; 4] = [
        switch("--detach", Some('d'), ""),
        switch("--interactive", Some('i'), ""),
        option("--publish", Some('p'), "", ""),
        option("--name", None, "", ""),
    ];

    fn plain(text: &str) -> Result<(Vec<String>, Vec<String>), String> {
        let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        let flags: Vec<_> = FLAGS.iter().collect();
        let normal = normalise(&words, &flags, Options::First);
        let normal = normal.map_err(|error| error.to_string())?;
        let option = |Put { name, value, .. }| match value {
            Some(value) => format!("{name}={value}"),
            None => str::to_owned(name),
        };
        Ok((
            normal.options.into_iter().map(option).collect(),
            normal.rest,
        ))
    }

    #[test]
    fn dockers_spellings_are_understood() {
        let (options, rest) =
            plain("-di -p8080:80 -p 81:81 --name=web --publish=82:82 alpine -d --name x -- y")
                .expect("plain");
        assert_eq!(
            options,
            [
                "--detach",
                "--interactive",
                "--publish=8080:80",
                "--publish=81:81",
                "--name=web",
                "--publish=82:82"
            ]
        );
        assert_eq!(rest, ["alpine", "-d", "--name", "x", "--", "y"]);
        assert_eq!(plain("-- help").expect("plain").1, ["help"]);
    }

    #[test]
    fn a_usage_says_how_many_words_there_are() {
        for (usage, least, most) in [
            ("", 0, 0),
            ("NAME", 1, 1),
            ("[NAME]", 0, 1),
            ("NAME…", 1, usize::MAX),
            ("NAME [PORT[/PROTO]]", 1, 2),
            ("NAME NEW_NAME", 2, 2),
            ("IMAGE [COMMAND [ARG…]]", 1, usize::MAX),
            ("[IMAGE COMMAND [ARG…]]", 0, usize::MAX),
            ("NAME COMMAND [ARG…]", 2, usize::MAX),
        ] {
            assert_eq!(count(usage), (least, most), "{usage}");
        }
    }

    #[test]
    fn what_is_unknown_is_named() {
        for (text, said) in [
            ("--nonsense alpine", "unknown flag: --nonsense"),
            ("-dx alpine", "unknown shorthand flag: 'x' in -dx"),
            ("--name", "flag needs an argument: --name"),
        ] {
            assert_eq!(plain(text).expect_err("refused"), said);
        }
    }
}
