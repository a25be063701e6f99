//! What the lines of files ask for, by the parsers of their commands.

use super::super::argv::{Usage, WORD};
use super::super::options::Given;
use super::super::{create, network, publish, run};
use super::place::Line;
use super::source::Source;
#[cfg(any(test, fuzzing))]
use super::text;
use crate::engine::apply::{Asked, Item};
use crate::error::{Error, Result};
use crate::types::PortSpec;

/// What the lines ask for, and where they are.
pub fn items<'a>(sources: &'a [Source], mark: &str) -> Result<(Vec<Item>, Vec<Line<'a>>)> {
    let (mut items, mut lines, mut ports) = (Vec::new(), Vec::new(), Vec::new());
    for source in sources {
        for words in &source.lines {
            let mut line = Line::new(source, words);
            match asked(&mut line, mark) {
                Ok(Said::Item(item)) => {
                    items.push(item);
                    lines.push(line);
                }
                Ok(Said::Ports(name, specs)) => ports.push((line, name, specs)),
                Err(error) => return Err(line.place(error)),
            }
        }
    }
    for (line, name, specs) in ports {
        let mut made = items.iter_mut().zip(&mut lines);
        let made = made.find_map(|(item, at)| match &mut item.asked {
            Asked::Sandbox(spec) if item.name.as_str() == name => Some((&mut spec.publish, at)),
            Asked::Container(spec, _) if item.name.as_str() == name => {
                Some((&mut spec.publish, at))
            }
            _ => None,
        });
        let Some((publish, at)) = made else {
            let error = Error::new(format_args!(
                "no line makes {name}, whose ports are to be published"
            ));
            return Err(line.place(error.of("--name")));
        };
        // With the host's network those of -p are none.
        at.take_ports(line, !publish.is_empty());
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

fn asked(line: &mut Line, mark: &str) -> Result<Said> {
    let words = line.texts();
    said(&words, line, mark).map_err(|usage| match usage {
        Usage::Help(_) => {
            let mut own = words.iter().skip(line.command);
            let place = own.position(|word| word == "--help").unwrap_or_default();
            Error::new("--help is of no use in a file").nth(WORD, place)
        }
        Usage::Wrong(error) | Usage::Failed(error) => error,
    })
}

fn said(words: &[String], line: &mut Line, mark: &str) -> Result<Said, Usage> {
    let command = words.first().map_or("", String::as_str);
    let second = words.get(1).map_or("", String::as_str);
    let (page, rest): (_, &[&str]) = match command {
        "network" if second == "create" => (&network::CREATE, &["--name"]),
        "run" => (&run::PAGE, &["image", "command"]),
        "create" => (&create::PAGE, &["image", "command"]),
        "publish" => (&publish::PUBLISH, &["--name", "--publish"]),
        _ => {
            return Err(Usage::Wrong(Error::new(format_args!(
                "'{command}' begins no line of a file: network create, run -d, create and publish do"
            ))));
        }
    };
    line.command = 1 + usize::from(command == "network");
    let given = Given::parse(page, words.get(line.command..).unwrap_or_default())?;
    line.understand(&given, rest);
    refuse_voice(&given)?;
    let applied = Some(mark.to_owned());
    let (name, asked) = match command {
        "network" => {
            let mut spec = network::asked(&given)?;
            spec.applied = applied;
            (Some(spec.name.clone()), Asked::Network(Box::new(spec)))
        }
        "publish" => {
            let (name, specs) = publish::specs(&given)?;
            return Ok(Said::Ports(name.to_owned(), specs));
        }
        "create" if given.rest.is_empty() => {
            let mut spec = create::sandbox(&given)?;
            spec.applied = applied;
            (spec.name.clone(), Asked::Sandbox(Box::new(spec)))
        }
        command => {
            let start = command == "run";
            if start && !given.has("--detach") {
                let error = Error::new("apply does not stay with what it starts: run needs -d");
                return Err(Usage::Wrong(error.of("--detach")));
            }
            let mut spec = create::container(&given, command)?;
            spec.applied = applied;
            (spec.name.clone(), Asked::Container(Box::new(spec), start))
        }
    };
    // Without a name the next run of `apply` could not find it again.
    let name = name.ok_or_else(|| Error::new("a line of a file needs --name").of("--name"))?;
    Ok(Said::Item(Item { name, asked }))
}

#[cfg(any(test, fuzzing))]
pub fn fuzz_words(words: &[String]) {
    let word = |text: &String| text::Word {
        text: text.clone(),
        place: text::Place { line: 1, column: 1 },
    };
    let name = "web.conf".to_owned();
    let lines = vec![words.iter().map(word).collect()];
    let _ = items(&[Source { name, lines }], "");
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

/// How much is said is said to `apply` itself.
fn refuse_voice(given: &Given) -> Result<()> {
    for option in ["--dry-run", "--verbose"] {
        if given.has(option) {
            let error = Error::new(format_args!(
                "{option} is an option of apply itself, not of a line"
            ));
            return Err(error.of(option));
        }
    }
    Ok(())
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
            ("\nrun -d --name web -p80:x / true", "f:2:19: -p80:x: "),
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
            ("create --name web -v", "f:1:19: -v: --verbose is an option"),
            ("run --dry-run / true", "f:1:5: --dry-run is an option"),
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
    fn no_other_word_that_looks_like_it_is_taken_for_the_one_at_fault() {
        for (text, wanted) in [
            ("netcell create --name l1", "f:1:1: 'netcell' begins no"),
            ("docker run -d x", "f:1:1: 'docker' begins no line"),
            ("--root /x create --name l1", "f:1:1: '--root' begins no"),
            ("create --name l1 -e A=b", "f:1:18: -e: a sandbox alone"),
            ("create --name l1 -w /x", "f:1:18: -w: a sandbox alone"),
            ("create --name l1 -v /a:/b", "f:1:18: -v: a sandbox alone"),
            ("create --name l1 -p80x:80", "f:1:18: -p80x:80: "),
            ("publish 8x:80 -- 80:80 8x:80", "f:1:24: "),
            (
                "network create lan --gateway 10.0.0.1 --subnet 10.0.0.1",
                "f:1:48: ",
            ),
            ("network create x --mtu x", "f:1:24: invalid MTU"),
            ("network create x --mtu 9", "f:1:16: Invalid"),
            (
                "run --name l1 alpine foo -d",
                "f:1:1: apply does not stay with",
            ),
            (
                "run --name l1 -e -d alpine foo",
                "f:1:1: apply does not stay with",
            ),
            (
                "create --name xx --network name=lan,ip=xx / xx",
                "f:1:28: name=lan,ip=xx: invalid IP address: xx",
            ),
            (
                "create --name xx --network name=lan,xx / xx",
                "f:1:28: name=lan,xx: invalid field xx",
            ),
            ("create --name xx -e xx -e = / true", "f:1:27: "),
            (
                "create --name xx -e xx -e '' / true",
                "f:1:27: invalid environment",
            ),
            (
                "create --label aa --name bb -l =bb",
                "f:1:8: a sandbox alone",
            ),
            ("create --name bb -l bb -l =bb / bb", "f:1:27: "),
            ("create --name bb --dns bb / bb", "f:1:24: bb is not an ip"),
            ("create --name bb --tmpfs bb / bb", "f:1:26: "),
            ("create --name bb --stop-timeout bb / bb", "f:1:33: "),
            ("create --name alway --restart alway / bb", "f:1:31: "),
            ("create --name bb --name --tyt bb", "f:1:25: "),
            (
                "create --name --tyt --tyt bb",
                "f:1:21: unknown flag: --tyt",
            ),
            ("create --name -dx -dx", "f:1:19: "),
            ("create --name --name --name", "f:1:22: flag needs an"),
            (
                "create --name bb --hostname bb --network container:bb / bb",
                "f:1:18: --hostname: conflicting",
            ),
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
