//! Pages: what `--help` says of each command, and the manual page, which has all that those have.

use crate::harness::*;
use crate::tests;
use std::fs;

pub const TESTS: &[runner::Test] = tests![
    every_command_has_a_page_of_one_screen_with_an_example,
    the_manual_page_has_every_option_of_every_command,
];

/// The commands that `help` lists.
fn commands() -> Vec<String> {
    let page = cell("help").quiet();
    let list = page
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    list.lines()
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect()
}

fn every_command_has_a_page_of_one_screen_with_an_example() {
    let mut all: Vec<String> = commands();
    assert!(all.len() >= 17, "{all:?}");
    all.extend(["create", "ls", "inspect", "rm"].map(|command| format!("network {command}")));
    for command in all.iter().filter(|command| *command != "help") {
        let page = cell(&format!("{command} --help")).quiet();
        assert!(
            page.starts_with(&format!("Usage: netcell {command}")),
            "{page}"
        );
        // One screen; what run and create can be told is more than fits one.
        let most = match command.as_str() {
            "run" | "create" => 58,
            _ => 50,
        };
        assert!(
            page.lines().count() <= most,
            "{command}: {} lines",
            page.lines().count()
        );
        assert!(page.to_lowercase().contains("example"), "{page}");
        assert!(
            page.contains(&format!("netcell {}", command.split(' ').next().unwrap())),
            "{page}"
        );
        assert!(
            page.to_lowercase().contains("exit code")
                || page.to_lowercase().contains("error codes"),
            "{page}"
        );
        if !command.contains(' ') {
            assert_eq!(cell(&format!("help {command}")).quiet(), page);
        }
    }
    assert_eq!(cell("--help").quiet(), cell("help").quiet());
    for same in ["", "help help", "help --help", "help -h"] {
        assert_eq!(cell(same).quiet(), cell("help").quiet(), "{same}");
    }
}

/// Whether this command is among those that the paragraph's first line names.
fn is_of(paragraph: &str, command: &str) -> bool {
    let first = paragraph.lines().next().unwrap_or_default();
    let mut names = first.trim_start_matches(".BR ").split(", ").map(str::trim);
    names.any(|name| name == command || name.starts_with(&format!("{command} ")))
}

/// In the paragraph of the command; `create` has those of `run`, and some that many have are explained once.
fn the_manual_page_has_every_option_of_every_command() {
    let file = format!("{}/cross/netcell.1", boxes::PACKAGE);
    let mut page = fs::read_to_string(file).expect("the manual page");
    for (mark, text) in [("\\-", "-"), ("\\fB", ""), ("\\fI", ""), ("\\fR", "")] {
        page = page.replace(mark, text);
    }
    page = page.replace('"', "");
    let has = |text: &str, option: &str| {
        text.split(|c: char| !c.is_alphanumeric() && c != '-')
            .any(|word| word == option)
    };
    let once = ["--help", "-v", "--verbose", "--dry-run", "--json", "-h"];
    let networks = ["create", "ls", "inspect", "rm", "prune"];
    let mut all: Vec<String> = commands();
    all.retain(|command| !["help", "network", "create"].contains(&command.as_str()));
    all.extend(networks.map(|command| format!("network {command}")));
    for command in all {
        let paragraph = page
            .split("\n.TP\n")
            .find(|text| is_of(text, &command))
            .unwrap_or_else(|| panic!("no paragraph of {command}"));
        let help = cell(&format!("{command} --help")).quiet();
        let lines = help.lines().skip_while(|line| *line != "Options:").skip(1);
        for line in lines.take_while(|line| !line.is_empty()) {
            let words = line
                .split([' ', ',', '=', ':'])
                .filter(|word| !word.is_empty());
            for option in words.take(2).filter(|word| word.starts_with('-')) {
                assert!(
                    has(paragraph, option) || once.contains(&option) && has(&page, option),
                    "{command} {option} is not in the manual page"
                );
            }
        }
    }
}
