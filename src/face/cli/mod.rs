//! The command line: Docker's grammar, a file a subcommand.
//!
//! A subcommand parses its words into the engine's types, calls the engine, and prints. Data goes to stdout, every
//! message to stderr as one sentence; the exit code is what it returns.

mod age;
mod apply;
mod argv;
mod attach;
mod commands;
mod create;
mod endpoint;
mod exec;
mod filter;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod info;
mod inspect;
mod json;
mod kill;
mod logs;
mod names;
mod network;
mod options;
mod output;
mod port;
mod prune;
mod ps;
mod publish;
mod reconcile;
mod rename;
mod rm;
mod run;
mod settings;
mod show;
mod start;
mod stop;
mod table;
mod template;
mod tree;
mod unknown;
mod version;
mod wait;

use crate::engine::spec::Places;
use crate::engine::{self, Engine, Leaving, Run, Say, files};
use crate::error::{Error, Result, exit};
use argv::Usage;
use commands::{Act, COMMANDS, Command};
use options::Given;
use output::{Progress, Voice};
use std::cell::RefCell;
use std::ffi::OsString;

/// A subcommand's own part: what its words say is carried out, and the exit code.
type Main = fn(&Cli, &Given) -> Result<u8, Usage>;

/// What every subcommand gets: where things are.
pub(crate) struct Cli {
    places: Places,
    /// The links of sandboxes that were removed.
    leaving: RefCell<Leaving>,
}

impl Cli {
    fn new(places: Places) -> Self {
        Cli {
            places,
            leaving: RefCell::default(),
        }
    }

    /// Opens the engine, and hands it to `act` with a voice to speak with.
    fn engine<T>(
        &self,
        voice: Voice,
        act: impl FnOnce(&Engine, &mut Run) -> Result<T>,
    ) -> Result<T> {
        let mut opened = self.open(voice)?;
        let mut run = Run {
            say: &mut opened.voice,
            dry_run: opened.dry_run,
        };
        let done = act(&opened.engine, &mut run);
        self.close(opened, done.is_err());
        done
    }

    fn open(&self, mut voice: Voice) -> Result<Box<Opened>> {
        let dry_run = voice.begin()?;
        let mut run = Run {
            say: &mut voice,
            dry_run,
        };
        let engine = Engine::open(&self.places, &mut run)?;
        Ok(Box::new(Opened {
            engine,
            voice,
            dry_run,
        }))
    }

    fn close(&self, mut opened: Box<Opened>, failed: bool) {
        if failed {
            opened.engine.clear_up(&mut Run {
                say: &mut opened.voice,
                dry_run: opened.dry_run,
            });
        }
        self.leaving.borrow_mut().extend(opened.engine.leaving());
    }

    /// Refuses an image that is not there.
    fn check_image(&self, image: &str) -> Result<()> {
        self.engine(Voice::Quiet, |engine, _| engine.check_image(image))
    }

    /// Does something to each of several objects and prints the name of each that it was done to; goes on after an
    /// error, which is said.
    fn each(
        &self,
        what: &'static str,
        voice: Voice,
        names: &[String],
        act: &mut dyn FnMut(&Engine, &str, &mut Run) -> Result<bool>,
    ) -> Result<u8> {
        self.engine(voice, |engine, run| {
            let mut code = 0;
            let mut progress = Progress::new(what, names);
            for (at, name) in names.iter().enumerate() {
                progress.at(at);
                let done = act(engine, name, run);
                progress.clear();
                match done {
                    Ok(true) if !run.dry_run => output::line(name)?,
                    Ok(_) => {}
                    Err(error) => {
                        output::complain(&error);
                        engine.clear_up(run);
                        code = exit::FAILURE;
                    }
                }
            }
            Ok(code)
        })
    }
}

/// The engine, and the voice it speaks with.
struct Opened {
    engine: Engine,
    voice: Voice,
    dry_run: bool,
}

/// Prints the name of each thing that was done, and says why others were not: the exit code.
fn answer(voice: Voice, names: &[String], answers: Vec<Result<()>>) -> Result<u8> {
    let mut code = 0;
    for (name, answer) in names.iter().zip(answers) {
        match answer {
            Ok(()) if voice == Voice::Script => {}
            Ok(()) => output::line(name)?,
            Err(error) => {
                output::complain(&error);
                code = exit::FAILURE;
            }
        }
    }
    Ok(code)
}

/// Carries out one command line, without the program's name: the exit code.
pub fn main(words: &[OsString]) -> u8 {
    let (command, cli, words) = match parse(words) {
        Ok(parsed) => parsed,
        Err(error) => {
            output::complain(&error);
            return error.exit_code().unwrap_or(exit::FAILURE);
        }
    };
    let done = match command.act {
        Act::Given(page, act) => Given::parse(page, &words).and_then(|given| act(&cli, &given)),
        Act::Words(act) => act(&cli, &words),
    };
    let code = done.unwrap_or_else(|usage| complain(command, usage));
    cli.leaving.into_inner().end();
    code
}

/// Says why a subcommand did not do what its words say: the exit code.
fn complain(command: &Command, usage: Usage) -> u8 {
    let error = match usage {
        Usage::Help(text) => return output::text(&text).map_or(exit::FAILURE, |()| 0),
        Usage::Wrong(error) => {
            output::complain(&format_args!(
                "{error} (see 'netcell {} --help')",
                command.name
            ));
            error
        }
        Usage::Failed(error) => {
            match (error.errno(), engine::too_old()) {
                (Some(_), Some(age)) => output::complain(&format_args!("{error} ({age})")),
                _ => output::complain(&error),
            }
            error
        }
    };
    error.exit_code().unwrap_or(command.failure)
}

/// The words as text; what is not ends with the subcommand's own exit code. Names and paths of containers are JSON in the
/// records, and JSON is UTF-8.
fn text(words: &[OsString]) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let Some(text) = word.to_str() else {
            let named = words
                .iter()
                .find_map(|word| COMMANDS.iter().find(|command| word == command.name));
            let failure = named.map_or(exit::FAILURE, |command| command.failure);
            let (at, word) = (at + 1, word.to_string_lossy());
            let error = Error::new(format_args!("argument {at} is not UTF-8: {word}"));
            return Err(error.exit(failure));
        };
        texts.push(text.to_owned());
    }
    Ok(texts)
}

fn parse(words: &[OsString]) -> Result<(&'static Command, Cli, Vec<String>)> {
    let mut words = text(words)?.into_iter().peekable();
    let from = |name, default: &'static str| {
        files::variable(name)
            .unwrap_or_else(|| default.as_ref())
            .into()
    };
    let mut places = Places {
        state: from("NETCELL_ROOT", "/run/netcell"),
        images: from("NETCELL_IMAGES", "/var/lib/netcell/images"),
    };
    while let Some(word) = words.next_if(|word| word.starts_with('-')) {
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        let place = match option.as_str() {
            "--root" => &mut places.state,
            "--images" => &mut places.images,
            "--help" | "-h" => return Ok((find("help")?, Cli::new(places), Vec::new())),
            "--version" | "-v" => return Ok((find("version")?, Cli::new(places), Vec::new())),
            _ => {
                return Err(Error::new(format_args!(
                    "unknown flag: {option}: before the subcommand only --root DIR and --images DIR are known"
                )));
            }
        };
        let value = value
            .or_else(|| words.next())
            .filter(|value| !value.is_empty());
        *place = value
            .ok_or_else(|| Error::new(format_args!("flag needs an argument: {option}")))?
            .into();
    }
    // Monitors use them, which are in another directory.
    for place in [&mut places.state, &mut places.images] {
        if place.is_relative()
            && let Ok(here) = files::here()
        {
            *place = here.join(&place);
        }
    }
    let mut name = words.next().unwrap_or_else(|| "help".into());
    if name == "container"
        && let Some(word) = words.next_if(|word| of_containers(word).is_some())
    {
        of_containers(&word)
            .unwrap_or_default()
            .clone_into(&mut name);
    }
    Ok((find(&name)?, Cli::new(places), words.collect()))
}

/// What `container COMMAND` is: the command without the word before it.
fn of_containers(word: &str) -> Option<&str> {
    const SAME: &str =
        "attach create exec inspect kill logs port ps rename restart rm run start stop wait";
    match word {
        "ls" | "list" => Some("ps"),
        _ => SAME.split(' ').find(|same| *same == word),
    }
}

fn find(name: &str) -> Result<&'static Command> {
    COMMANDS
        .iter()
        .find(|command| command.name == name)
        .ok_or_else(|| unknown::command(name, &COMMANDS.each_ref().map(|command| command.name)))
}

fn help(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let own = |name: &String| ["help", "--help", "-h"].contains(&name.as_str());
    if let Some(name) = words.first().filter(|name| !own(name)) {
        return match find(name)? {
            Command {
                act: Act::Given(page, _),
                ..
            } => Err(Usage::Help(page.text())),
            Command {
                act: Act::Words(act),
                ..
            } => act(cli, &["--help".to_owned()]),
        };
    }
    let mut page = String::from(
        "Usage: netcell [--root DIR] [--images DIR] COMMAND …\n\nA network namespace of its own for each container: links, addresses, routes and firewall\nrules apart from the host's.\n\nCommands:\n",
    );
    for command in &COMMANDS {
        page.push_str(&format!("  {:<11}{}\n", command.name, command.about));
    }
    page.push_str(
        "\nOptions:\n  --root DIR     records and leases (NETCELL_ROOT, default /run/netcell)\n  --images DIR   root file systems by name (NETCELL_IMAGES, default /var/lib/netcell/images)\n\nExample:\n  netcell run -d --name web -p 8080:80 alpine httpd -f\n\nExit codes: 0; 1 an error; 64 a template that is not well formed; run: 125 an\nerror of netcell's, 126 the command cannot be executed, 127 it was not found, else its own, or 128 plus its signal.\n'netcell COMMAND --help' says more.\n",
    );
    output::text(&page)?;
    Ok(0)
}

/// Says the engine's sentences on stderr.
impl Say for Voice {
    fn operation(&mut self, line: &dyn std::fmt::Display) {
        self.hear(line);
    }

    fn note(&mut self, sentence: &dyn std::fmt::Display) {
        output::complain(sentence);
    }

    fn wants_operations(&self) -> bool {
        self.listens()
    }
}
