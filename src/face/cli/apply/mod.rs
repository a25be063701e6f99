//! `netcell apply`: a file of command lines, read by the parsers of the commands themselves, and what runs made so.

mod text;

use super::argv::Usage;
use super::options::{Given, Page, switch};
use super::output::{self, Voice};
use super::{Cli, create, network, publish, run};
use crate::engine::apply::{Asked, At, Item, Step};
use crate::engine::files;
use crate::error::{Errno, Error, Result, exit};
use crate::types::{Name, PortSpec};
use rustix::fd::{AsFd, BorrowedFd};
use std::path::Path;
use text::{Place, Word};

/// Where the files for apply at boot are.
const DEFAULT: &str = "/etc/netcell";

/// No file for `apply` is longer, in bytes: a wrong path must not take the memory of a small host.
const LONGEST: usize = 4 << 20;

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

/// A file.
struct Source {
    /// As messages name it.
    name: String,
    lines: Vec<Vec<Word>>,
}

/// A line's place: its file, and its words.
type Line<'a> = (&'a Source, &'a [Word]);

/// Carries out `netcell apply`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let argument = given.rest.first().map_or(DEFAULT, String::as_str);
    let (sources, mark) = sources(argument)?;
    let (mut items, lines) = items(&sources, &mark)?;
    let voice = Voice::of(given.has("--verbose"), false);
    let prune = given.has("--prune").then_some(mark.as_str());
    let code = cli.engine(voice, |engine, run| {
        let at = |(item, error): At| match item.and_then(|item| lines.get(item)) {
            Some(line) => error_at(line, error),
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

/// The files that an argument means, and what marks what comes from them.
fn sources(argument: &str) -> Result<(Vec<Source>, String)> {
    if argument == "-" {
        let source = read(rustix::stdio::stdin(), "stdin".to_owned())?;
        return Ok((vec![source], argument.to_owned()));
    }
    let path = Path::new(argument);
    let mark = files::resolved(path).map_err(|e| cannot("open", path, e))?;
    let mark = mark.to_string_lossy().into_owned();
    let mut sources = Vec::new();
    if !files::is_directory(path) {
        sources.push(open(path)?);
        return Ok((sources, mark));
    }
    let mut names = Vec::new();
    for name in files::names(path).map_err(|e| cannot("read", path, e))? {
        let name = name.to_string_lossy();
        if name.ends_with(".conf") && !name.starts_with('.') {
            names.push(name.into_owned());
        }
    }
    names.sort_unstable();
    for name in names {
        sources.push(open(&path.join(name))?);
    }
    Ok((sources, mark))
}

fn open(path: &Path) -> Result<Source> {
    let opened = files::open(path).map_err(|e| cannot("open", path, e))?;
    read(opened.as_fd(), path.display().to_string())
}

fn cannot(action: &str, path: &Path, errno: Errno) -> Error {
    Error::os(format_args!("{action} {}", path.display()), errno)
}

fn read(from: BorrowedFd<'_>, name: String) -> Result<Source> {
    let bytes = files::rest(from, LONGEST + 1).map_err(|e| cannot("read", Path::new(&name), e))?;
    if bytes.len() > LONGEST {
        return Err(Error::new(format_args!(
            "cannot read {name}: a file for apply has at most {LONGEST} bytes"
        )));
    }
    match text::lines(&bytes, &files::variable) {
        Ok(lines) => Ok(Source { name, lines }),
        Err((place, why)) => Err(Error::new(format_args!("{}: {why}", say(&name, place)))),
    }
}

fn say(file: &str, place: Place) -> String {
    format!("{file}:{}:{}", place.line, place.column)
}

/// What the lines ask for, and where they are.
fn items<'a>(sources: &'a [Source], mark: &str) -> Result<(Vec<Item>, Vec<Line<'a>>)> {
    let (mut items, mut lines, mut ports) = (Vec::new(), Vec::new(), Vec::new());
    for source in sources {
        for words in &source.lines {
            let line = (source, words.as_slice());
            match asked(words, mark).map_err(|error| error_at(&line, error))? {
                Said::Item(item) => {
                    items.push(item);
                    lines.push(line);
                }
                Said::Ports(name, specs) => ports.push((line, name, specs)),
            }
        }
    }
    for (line, name, specs) in ports {
        let publish = items.iter_mut().find_map(|item| match &mut item.asked {
            Asked::Sandbox(spec) if item.name.as_str() == name => Some(&mut spec.publish),
            Asked::Container(spec, _) if item.name.as_str() == name => Some(&mut spec.publish),
            _ => None,
        });
        let Some(publish) = publish else {
            let error = Error::new(format_args!(
                "no line makes {name}, whose ports are to be published"
            ));
            return Err(error_at(&line, error));
        };
        publish.extend(specs);
    }
    Ok((items, lines))
}

/// What a line says.
enum Said {
    Item(Item),
    /// More ports of what another line makes.
    Ports(String, Vec<PortSpec>),
}

fn asked(line: &[Word], mark: &str) -> Result<Said> {
    let words: Vec<_> = line.iter().map(|word| word.text.clone()).collect();
    said(&words, mark).map_err(|usage| match usage {
        Usage::Help(_) => Error::new("--help is of no use in a file"),
        Usage::Wrong(error) | Usage::Failed(error) => error,
    })
}

fn said(words: &[String], mark: &str) -> Result<Said, Usage> {
    let Some((command, words)) = words.split_first() else {
        return Err(wrong("a line without words"));
    };
    let (page, words) = match (command.as_str(), words) {
        ("network", [create, words @ ..]) if create == "create" => (&network::CREATE, words),
        ("run", words) => (&run::PAGE, words),
        ("create", words) => (&create::PAGE, words),
        ("publish", words) => (&publish::PUBLISH, words),
        _ => {
            return Err(wrong(&format!(
                "'{command}' begins no line of a file: network create, run -d, create and publish do"
            )));
        }
    };
    let given = Given::parse(page, words)?;
    let applied = Some(mark.to_owned());
    Ok(Said::Item(match command.as_str() {
        "network" => {
            let mut spec = network::asked(&given)?;
            refuse_voice(&given)?;
            spec.applied = applied;
            Item {
                name: spec.name.clone(),
                asked: Asked::Network(Box::new(spec)),
            }
        }
        "publish" => {
            refuse_voice(&given)?;
            let (name, specs) = publish::specs(&given)?;
            return Ok(Said::Ports(name.to_owned(), specs));
        }
        command => {
            refuse_voice(&given)?;
            let start = command == "run";
            if start && !given.has("--detach") {
                return Err(wrong(
                    "apply does not stay with what it starts: run needs -d",
                ));
            }
            if start || !given.rest.is_empty() {
                let mut spec = create::container(&given, command)?;
                spec.applied = applied;
                Item {
                    name: named(spec.name.as_ref())?,
                    asked: Asked::Container(Box::new(spec), start),
                }
            } else {
                let mut spec = create::sandbox(&given)?;
                spec.applied = applied;
                Item {
                    name: named(spec.name.as_ref())?,
                    asked: Asked::Sandbox(Box::new(spec)),
                }
            }
        }
    }))
}

fn wrong(sentence: &str) -> Usage {
    Usage::Wrong(Error::new(sentence))
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz_words(words: &[String]) {
    let _ = said(words, "");
}

#[cfg(any(test, fuzzing))]
pub(super) fn fuzz_text(bytes: &[u8]) {
    let variables = |name: &str| match name {
        "IMAGE" => Some("alpine".as_ref()),
        _ => None,
    };
    if let Ok(lines) = text::lines(bytes, &variables) {
        let name = "web.conf".to_owned();
        let _ = items(&[Source { name, lines }], "");
    }
}

/// Without a name the next run of `apply` could not find it again.
fn named(name: Option<&Name>) -> Result<Name> {
    name.cloned()
        .ok_or_else(|| Error::new("a line of a file needs --name"))
}

/// How much is said is said to `apply` itself.
fn refuse_voice(given: &Given) -> Result<()> {
    match given.voice() {
        Voice::Quiet => Ok(()),
        _ => Err(Error::new(
            "--dry-run and --verbose are options of apply itself, not of a line",
        )),
    }
}

/// An error with its file, line and column: those of the first word of the line that the sentence names, else of the
/// line's first word, which is then named.
fn error_at((source, words): &Line, error: Error) -> Error {
    let sentence = error.to_string();
    // `network create` and `run` say what the line is, not what is wrong with it.
    let skip = match words.first().map(|word| word.text.as_str()) {
        Some("network") => 2,
        _ => 1,
    };
    let own = words.get(skip..).unwrap_or_default();
    let found = own
        .iter()
        .filter_map(|word| Some((mention(&sentence, &word.text)?, word)))
        .min_by_key(|(at, word)| (*at, usize::MAX - word.text.len()))
        .map(|(_, word)| word)
        .or_else(|| {
            // A sentence may name a part of a word alone, as in `-p 80:x`; mostly it ends with it.
            let mut parts: Vec<&str> = sentence.split(|c| " \"':,()".contains(c)).collect();
            parts.retain(|part| !part.is_empty());
            let part = |part: &&str| own.iter().find(|word| is_in(part, &word.text).is_some());
            parts.iter().rev().find_map(part)
        });
    match (found, words.first()) {
        (Some(word), _) => error.at(&say(&source.name, word.place)),
        (None, Some(first)) => {
            let place = say(&source.name, first.place);
            match sentence.contains(&first.text) {
                true => error.at(&place),
                false => error.at(&format!("{place}: {}", first.text)),
            }
        }
        (None, None) => error,
    }
}

/// Where a sentence names a word, or an option's value that is part of the word.
fn mention(sentence: &str, word: &str) -> Option<usize> {
    let value = word.split_once('=').map(|(_, value)| value);
    let joined = match word.as_bytes() {
        [b'-', letter, ..] if *letter != b'-' => word.get(2..),
        _ => None,
    };
    let wanted = [Some(word), value, joined].into_iter().flatten();
    wanted.filter_map(|wanted| is_in(wanted, sentence)).min()
}

/// Where a text has another as a word of its own.
fn is_in(wanted: &str, text: &str) -> Option<usize> {
    let inside = |at: usize| {
        let byte = text.as_bytes().get(at);
        byte.is_some_and(|b| b.is_ascii_alphanumeric() || b"-_".contains(b) || !b.is_ascii())
    };
    (0..text.len()).filter(|_| !wanted.is_empty()).find(|&at| {
        let ends = at + wanted.len();
        text.as_bytes().get(at..ends) == Some(wanted.as_bytes())
            && !(at > 0 && inside(at - 1))
            && !inside(ends)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong_at(text: &str) -> String {
        let lines = text::lines(text.as_bytes(), &|_| None);
        let sources = [Source {
            name: "f".into(),
            lines: lines.unwrap_or_else(|(place, why)| panic!("{}: {why}", say("f", place))),
        }];
        match items(&sources, "/f") {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_error_has_the_place_of_the_word_that_it_names() {
        for (text, wanted) in [
            (
                "network create lan --subnett 10.0.0.0/8",
                "f:1:20: unknown flag: --subnett",
            ),
            ("network create lan --subnet 10.0.0.0/99", "f:1:29: "),
            ("network create lan --subnet=10.0.0.0/99", "f:1:20: "),
            ("network create --mtu x lan", "f:1:22: invalid MTU x"),
            ("network create", "f:1:1: 'netcell network create' requires"),
            ("network create x", "f:1:16: Invalid container name (x)"),
            ("\nrun -d --name web -p80:x / true", "f:2:19: "),
            (
                "run -d --name web --ip x / true",
                "f:1:24: invalid IP address: x",
            ),
            (
                "run -d --name web --rm --restart always / true",
                "f:1:24: conflicting options: cannot specify both --restart",
            ),
            (
                "run --name web / true",
                "f:1:1: apply does not stay with what it starts: run needs -d",
            ),
            ("run -d / true", "f:1:1: run: a line of a file needs --name"),
            ("run -d --name web /", "f:1:19: No command specified: /"),
            ("create --name web --tty", "f:1:19: "),
            (
                "create --name web -v",
                "f:1:1: create: --dry-run and --verbose",
            ),
            ("publish web", "f:1:1: 'netcell publish' requires"),
            ("publish web 80:80", "f:1:9: no line makes web"),
            ("rm web", "f:1:1: 'rm' begins no line"),
            ("network rm web", "f:1:1: 'network' begins no line"),
            ("network", "f:1:1: 'network' begins no line"),
            ("run --help", "f:1:5: --help is"),
        ] {
            let said = wrong_at(text);
            assert!(said.starts_with(wanted), "{text}: {said}");
        }
    }

    #[test]
    fn lines_ask_for_what_their_commands_do_and_publish_adds_ports() {
        let text = "publish web 81:81\nrun -d --name web -p 80:80 / true\ncreate --name lab\nnetwork create lan\n";
        let lines = text::lines(text.as_bytes(), &|_| None);
        let sources = [Source {
            name: "f".into(),
            lines: lines.expect("lines"),
        }];
        let (items, _) = items(&sources, "/f").expect("items");
        let kinds: Vec<_> = items
            .iter()
            .map(|item| match &item.asked {
                Asked::Network(spec) => format!("network {:?}", spec.applied),
                Asked::Sandbox(_) => format!("sandbox {}", item.name),
                Asked::Container(spec, start) => format!("{start} {}", spec.publish.len()),
            })
            .collect();
        assert_eq!(kinds, ["true 2", "sandbox lab", "network Some(\"/f\")"]);
    }
}
