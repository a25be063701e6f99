//! Imports go only downwards: main → face → engine → kernel → netlink → sys; all may import error and types, which import sys at most.

use crate::harness::{boxes, runner};
use crate::tests;
use std::fs;
use std::path::Path;

pub const TESTS: &[runner::Test] = tests![
    imports_go_only_downwards,
    only_sys_is_unsafe,
    only_main_exits_and_only_faces_read_the_environment_and_print,
    nothing_is_printed_in_the_form_that_a_release_has_not,
    files_are_about_400_lines_at_most,
];

const RUNGS: [&str; 5] = ["sys", "netlink", "kernel", "engine", "face"];

/// Each source file: its path below src, its rung, its text without the unit tests.
fn sources() -> Vec<(String, String, String)> {
    let mut files = Vec::new();
    let root = Path::new(boxes::PACKAGE).join("src");
    let mut waiting = vec![root.clone()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).expect("src can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path
                    .strip_prefix(&root)
                    .expect("below src")
                    .to_string_lossy()
                    .into_owned();
                let rung = name.split(['/', '.']).next().unwrap_or_default().to_owned();
                let text = fs::read_to_string(&path).expect("a source file");
                // A module of tests at a file's end, or a whole file of them.
                let code = text
                    .replace("#![cfg(test)]", "#[cfg(test)]")
                    .split("#[cfg(test)]")
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                files.push((name, rung, code));
            }
        }
    }
    assert!(files.len() > 20, "{} files", files.len());
    files
}

/// The lines of code that hold a text, comments left out.
fn lines_with<'a>(code: &'a str, text: &'a str) -> impl Iterator<Item = &'a str> {
    code.lines()
        .filter(move |line| !line.trim_start().starts_with("//") && line.contains(text))
}

fn imports_go_only_downwards() {
    let height = |rung: &str| RUNGS.iter().position(|r| *r == rung);
    let mut wrong = Vec::new();
    for (name, rung, code) in sources() {
        let code = match rung.as_str() {
            "error" | "types" => code.replace("crate::sys::strerror", ""),
            _ => code,
        };
        let imported = code.split("crate::").skip(1).map(|rest| {
            rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap_or_default()
        });
        for module in imported {
            let allowed = match (height(&rung), height(module)) {
                // error and types import nothing above them; and of sys nothing but strerror(3), for error.
                (None, Some(_)) => ["main", "lib"].contains(&rung.as_str()),
                (Some(own), Some(other)) => other <= own,
                (_, None) => true,
            };
            let skips = rung == "face" && ["kernel", "netlink", "sys"].contains(&module);
            if !allowed || skips {
                wrong.push(format!("{name} imports {module}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn only_sys_is_unsafe() {
    for (name, rung, code) in sources() {
        if rung != "sys" {
            let found: Vec<&str> = lines_with(&code, "unsafe")
                .filter(|line| !line.contains("unsafe_code"))
                .collect();
            assert!(found.is_empty(), "{name}: {found:?}");
            let found: Vec<&str> = lines_with(&code, "libc::").collect();
            assert!(found.is_empty(), "{name}: {found:?}");
        }
    }
}

/// The released file is built with -Zfmt-debug=none (cross/lib.sh): there `{:?}` prints nothing.
fn nothing_is_printed_in_the_form_that_a_release_has_not() {
    for (name, _, code) in sources() {
        for form in [":?}", ":#?}"] {
            let found: Vec<&str> = lines_with(&code, form).collect();
            assert!(found.is_empty(), "{name}: {found:?}");
        }
    }
}

fn only_main_exits_and_only_faces_read_the_environment_and_print() {
    let mut wrong = Vec::new();
    for (name, rung, code) in sources() {
        // rustix's, which are the bare numbers.
        let code = code.replace("stdio::std", "");
        let mut forbidden = vec![("process::exit", rung != "main")];
        forbidden.extend(
            [
                "files::environment",
                "files::variable",
                "start::environment",
                "start::variable",
            ]
            .map(|text| (text, !["face", "main"].contains(&rung.as_str()))),
        );
        forbidden.extend(
            [
                ".unwrap()",
                ".expect(",
                "panic!(",
                "todo!(",
                "unimplemented!(",
                // The program begins and ends without std's runtime (src/sys/start.rs), which these need.
                "env::args",
                "env::var",
                "println!",
                "print!(",
                "io::stdout",
                "io::stderr",
                "io::stdin",
                // On 32-bit musl it ends by a signal from 2038 on: sys/time.rs asks the kernel.
                "SystemTime",
            ]
            .map(|text| (text, true)),
        );
        for (text, is_wrong) in forbidden {
            wrong.extend(
                lines_with(&code, text)
                    .filter(|_| is_wrong)
                    .map(|line| format!("{name}: {}", line.trim())),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn files_are_about_400_lines_at_most() {
    let long: Vec<String> = sources()
        .into_iter()
        .filter(|(_, _, code)| code.lines().count() > 450)
        .map(|(name, _, code)| format!("{name}: {}", code.lines().count()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}
