//! Against the real engine: what is typed to Debian's docker.io is typed to netcell, and the answers are compared (exit code,
//! stdout, the sense of the error). `tests/data/engine-lines.txt` has the lines, and below each that is answered otherwise on
//! purpose how, and why. A line that is neither marked so nor answered alike fails, and so does one that is, and is alike.

use crate::harness::answers::{core, normal, same_sense, sense, words};
use crate::harness::command::{Output, finish};
use crate::harness::*;
use crate::tests;
use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub const TESTS: &[runner::Test] = tests![
    what_is_typed_to_the_engine_is_answered_alike
        .beside(an_engine_with_the_image)
        .root_only("an engine of Docker's wants a host's root")
        .seconds(600),
];

const LINES: &str = "tests/data/engine-lines.txt";

/// The engine's own client, wherever another one lies in the way.
const CLIENT: &str = "/usr/bin/docker";

/// A line, and the other answer on purpose: the exit code, and words of stdout or stderr.
#[derive(Debug)]
struct Line {
    text: String,
    otherwise: Option<(i32, String)>,
    because: String,
}

fn lines() -> Vec<Line> {
    let path = format!("{}/{LINES}", boxes::PACKAGE);
    let text = fs::read_to_string(path).expect("read the lines");
    let mut lines: Vec<Line> = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let Some(mark) = line.strip_prefix("    ") else {
            lines.push(Line {
                text: line.to_owned(),
                otherwise: None,
                because: String::new(),
            });
            continue;
        };
        let last = lines.last_mut().expect("a mark stands below its line");
        if let Some(answer) = mark.strip_prefix("otherwise ") {
            let (code, words) = answer.split_once(' ').expect("a code and words");
            last.otherwise = Some((code.parse().expect("an exit code"), words.to_owned()));
        } else if let Some(reason) = mark.strip_prefix("because ") {
            last.because = reason.to_owned();
        } else {
            panic!("neither `otherwise` nor `because`: {line}");
        }
    }
    for line in &lines {
        assert_eq!(
            line.otherwise.is_some(),
            !line.because.is_empty(),
            "no reason: {line:?}"
        );
    }
    lines
}

fn an_engine_with_the_image() {
    peers::docker("nft");
    let mut import = Command::new("sh");
    import.args([
        "-c",
        &format!("tar -C {} -c . | {CLIENT} import - alpine", image::ALPINE),
    ]);
    finish(import, "").ok();
    // Its first containers leave directories, the host's namespace by a name, and an address on its bridge.
    for network in ["bridge", "host"] {
        must(
            CLIENT,
            &["run", "--rm", "--network", network, "alpine", "true"],
        );
    }
    wait_until("its bridge's address is nobody else's", || {
        let addresses = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
        // IFA_F_TENTATIVE (linux/if_addr.h).
        !addresses.lines().any(|line| line.contains(" c0 "))
    });
    forget_names();
}

/// Takes away the names of namespaces that have ended, as the engine does itself a minute later.
fn forget_names() {
    let names = "/run/docker-exec/netns";
    for stale in entries(names).iter().filter(|name| *name != "default") {
        let _ = fs::remove_file(format!("{names}/{stale}"));
    }
}

/// A line's answer, and how long it took.
struct Answer {
    output: Output,
    time: Duration,
}

/// Types all lines to one engine.
fn answers(lines: &[Line], engine: &dyn Fn(&[&str]) -> Command) -> Vec<Answer> {
    let _ = fs::remove_dir_all("/tmp/shared");
    fs::create_dir("/tmp/shared").expect("make a directory");
    fs::write("/tmp/shared/file", "shared\n").expect("write a file");
    let answer = |line: &Line| {
        let words = words(&line.text);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = engine(&words);
        command.stdin(Stdio::null());
        let started = Instant::now();
        let output = finish(command, "");
        let time = started.elapsed();
        Answer { output, time }
    };
    lines.iter().map(answer).collect()
}

fn what_is_typed_to_the_engine_is_answered_alike() {
    let lines = lines();
    let docker = answers(&lines, &|words| {
        let mut command = Command::new(CLIENT);
        command.args(words);
        command
    });
    let own = answers(&lines, &netcell_command);
    let (mut alike, mut otherwise, mut wrong) = (0, 0, Vec::new());
    for ((line, docker), own) in lines.iter().zip(&docker).zip(&own) {
        let (docker, own) = (&docker.output, &own.output);
        let same = own.code == docker.code
            && normal(&own.stdout) == normal(&docker.stdout)
            && same_sense(&docker.stderr, &own.stderr);
        match &line.otherwise {
            None => {
                alike += 1;
                if !same {
                    let (wanted, got) = (core(&docker.stderr), sense(&own.stderr));
                    wrong.push(format!(
                        "{own:?}{docker:?}sense: {wanted:?}\nof:    {got:?}\n"
                    ));
                }
            }
            Some((code, said)) => {
                otherwise += 1;
                let all = format!("{}{}", own.stdout, own.stderr).to_lowercase();
                if same || own.code != *code || !all.contains(&said.to_lowercase()) {
                    wrong.push(format!("{own:?}wanted otherwise: exit {code}, {said:?}\n"));
                }
            }
        }
    }
    clean_up();
    side_by_side(&lines, &docker, &own);
    println!("note: {alike} lines alike, {otherwise} otherwise on purpose");
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(alike >= 150, "{alike} lines are alike");
}

/// What the lines leave: a sandbox without a container, of which Docker knows nothing.
fn clean_up() {
    let left = cell("ps -aq").ok();
    for id in left.lines() {
        cell(&format!("rm -f {id}")).ok();
    }
    forget_names();
    // Control groups know no box: the engine's would stay on the machine.
    let _ = fs::remove_dir("/sys/fs/cgroup/docker");
}

/// Prints both engines' times, by command.
fn side_by_side(lines: &[Line], docker: &[Answer], own: &[Answer]) {
    let mut kinds: BTreeMap<&str, [Vec<Duration>; 2]> = BTreeMap::new();
    for ((line, docker), own) in lines.iter().zip(docker).zip(own) {
        // What both refuse is over before anything is done.
        if docker.output.code == 0 && own.output.code == 0 {
            let kind = kinds.entry(kind(&line.text)).or_default();
            kind[0].push(docker.time);
            kind[1].push(own.time);
        }
    }
    println!(
        "note: {:16} {:>5} {:>12} {:>12}",
        "median, in ms", "lines", "Docker", "netcell"
    );
    for (kind, times) in &mut kinds {
        let [docker, own] = times.each_mut().map(|times| {
            times.sort_unstable();
            times[times.len() / 2].as_secs_f64() * 1000.0
        });
        println!(
            "note: {kind:16} {:>5} {docker:>12.1} {own:>12.1}",
            times[0].len()
        );
    }
    let all = |answers: &[Answer]| {
        let times = answers.iter().map(|answer| answer.time.as_secs_f64());
        times.sum::<f64>()
    };
    println!(
        "note: all {} lines: Docker {:.1} s, netcell {:.1} s",
        docker.len(),
        all(docker),
        all(own)
    );
}

fn kind(line: &str) -> &str {
    let end = |words: usize| {
        line.match_indices(' ')
            .nth(words - 1)
            .map_or(line.len(), |(at, _)| at)
    };
    match () {
        () if line.starts_with("network ") => &line[..end(2)],
        () if line.starts_with("run --rm ") => "run --rm",
        () if line.starts_with("run -d ") => "run -d",
        () => &line[..end(1)],
    }
}
