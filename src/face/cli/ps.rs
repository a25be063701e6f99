//! `netcell ps`.

use super::argv::{self, Options, Usage};
use super::output::{self, Voice};
use super::{Cli, age, json, table};
use crate::engine::record::UnixNanos;
use crate::engine::view::{Container, Status, Subject};
use crate::types::Id;
use argh::{ArgsInfo, FromArgs};
use std::time::{SystemTime, UNIX_EPOCH};

/// List running containers.
#[derive(FromArgs, ArgsInfo)]
#[argh(example = "netcell ps -a", error_code(1, "an error"))]
struct Words {
    /// all: also those that do not run, and sandboxes alone
    #[argh(switch, short = 'a')]
    all: bool,
    /// only the ids
    #[argh(switch, short = 'q')]
    quiet: bool,
    /// as JSON
    #[argh(switch)]
    json: bool,
}

/// Docker cuts the command of a list here.
const COMMAND: usize = 20;

/// Carries out `netcell ps`.
pub fn main(cli: &Cli, words: &[String]) -> Result<u8, Usage> {
    let words: Words = argv::parse("ps", words, Options::Anywhere)?;
    let mut subjects = cli.engine(Voice::Quiet, |engine, run| engine.containers(run))?;
    subjects.retain(|subject| words.all || is_running(subject));
    subjects.sort_by_key(|subject| std::cmp::Reverse(created(subject)));
    if words.json {
        let all: Vec<_> = subjects.iter().map(json::subject).collect();
        output::line(&json::text(&all.into()))?;
    } else if words.quiet {
        let ids: String = subjects
            .iter()
            .map(|subject| format!("{}\n", id(subject).short()))
            .collect();
        output::text(&ids)?;
    } else {
        output::text(&list(&subjects, now()))?;
    }
    Ok(0)
}

fn is_running(subject: &Subject) -> bool {
    matches!(subject, Subject::Container(container) if container.status == Status::Running)
}

fn id(subject: &Subject) -> Id {
    match subject {
        Subject::Container(container) => container.record.id,
        Subject::Sandbox(sandbox, _) => sandbox.id,
    }
}

fn created(subject: &Subject) -> UnixNanos {
    match subject {
        Subject::Container(container) => container.record.created,
        Subject::Sandbox(sandbox, _) => sandbox.created,
    }
}

fn now() -> UnixNanos {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

fn list(subjects: &[Subject], now: UnixNanos) -> String {
    let header = [
        "CONTAINER ID",
        "IMAGE",
        "COMMAND",
        "CREATED",
        "STATUS",
        "PORTS",
        "NAMES",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(subjects.iter().map(|subject| row(subject, now)));
    table::render(&rows)
}

fn row(subject: &Subject, now: UnixNanos) -> Vec<String> {
    let ago = |at: UnixNanos| format!("{} ago", age::duration(now.saturating_sub(at)));
    match subject {
        Subject::Container(container) => {
            let record = &container.record;
            let ports = if container.status == Status::Running {
                own_ports(container)
            } else {
                String::new()
            };
            let names = record.name.to_string();
            vec![
                record.id.short(),
                record.image.name.clone(),
                command(&record.command),
                ago(record.created),
                status(container, now),
                ports,
                names,
            ]
        }
        Subject::Sandbox(sandbox, _) => {
            let ports: Vec<_> = sandbox
                .ports
                .iter()
                .map(|port| json::arrow(&port.mapping))
                .collect();
            let nothing = String::new();
            vec![
                sandbox.id.short(),
                nothing.clone(),
                nothing,
                ago(sandbox.created),
                "Sandbox".into(),
                ports.join(", "),
                sandbox.name.to_string(),
            ]
        }
    }
}

/// The ports that this container itself brought to its sandbox.
fn own_ports(container: &Container) -> String {
    let sandbox = container.sandbox.iter();
    let ports: Vec<_> = sandbox
        .flat_map(|sandbox| sandbox.ports_of(&container.record.name))
        .map(|port| json::arrow(&port))
        .collect();
    ports.join(", ")
}

fn command(words: &[String]) -> String {
    let text = words.join(" ");
    if text.chars().count() > COMMAND {
        let cut: String = text.chars().take(COMMAND - 1).collect();
        return format!("\"{cut}…\"");
    }
    format!("\"{text}\"")
}

fn status(container: &Container, now: UnixNanos) -> String {
    let since = |at: UnixNanos| age::duration(now.saturating_sub(at));
    match (container.status, &container.record.start, container.exit) {
        (Status::Running, Some(start), _) => format!("Up {}", since(start.at)),
        (Status::Exited, _, Some(exit)) => format!("Exited ({}) {} ago", exit.code, since(exit.at)),
        _ => "Created".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_three_blanks_apart() {
        let rows = [
            ["CONTAINER ID", "IMAGE", "NAMES"],
            ["2dffda76e958", "alpine", "web"],
        ];
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.map(str::to_owned).to_vec())
            .collect();
        assert_eq!(
            table::render(&rows),
            "CONTAINER ID   IMAGE    NAMES\n2dffda76e958   alpine   web\n"
        );
    }

    #[test]
    fn long_commands_are_cut() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(command(&words("httpd -f -p 80")), "\"httpd -f -p 80\"");
        assert_eq!(
            command(&words("sh -c while true do done")),
            "\"sh -c while true do…\""
        );
    }
}
