//! What the lines of files ask for, by the parsers of their commands.

use super::super::argv::Usage;
use super::super::options::Given;
use super::super::output::Voice;
use super::super::{create, network, publish, run};
use super::place::error_at;
use super::source::{Line, Source};
#[cfg(any(test, fuzzing))]
use super::text;
use super::text::Word;
use crate::engine::apply::{Asked, Item};
use crate::error::{Error, Result};
use crate::types::{Name, PortSpec};

/// What the lines ask for, and where they are.
pub fn items<'a>(sources: &'a [Source], mark: &str) -> Result<(Vec<Item>, Vec<Line<'a>>)> {
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
pub fn fuzz_words(words: &[String]) {
    let _ = said(words, "");
}

#[cfg(any(test, fuzzing))]
pub fn fuzz_text(bytes: &[u8]) {
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

#[cfg(test)]
mod tests {
    use super::super::source::say;
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
