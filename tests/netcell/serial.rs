//! Two commands on members of one sandbox, at once: what comes of them is what comes of one after the other.

use crate::harness::meeting::{Meeting, Met, SHORT, THREE, remove_all, sorted};
use crate::harness::sample::Sample;
use crate::harness::*;
use crate::tests;
use serde_json::Value;
use std::cell::RefCell;

pub const TESTS: &[runner::Test] =
    tests![commands_on_two_members_at_once_end_as_one_after_the_other.seconds(300)];

/// What may come to one of three members while something is done to another.
const CHANGES: [&str; 7] = [
    "rm main",
    "rm middle",
    "unpublish main 81",
    "publish last 9090:90",
    "create --name new --network container:last -p 9091:91 alpine true",
    "rename middle other",
    "rename main other",
];

/// Exit code, and what was said on stderr without the ids, which are others each time.
type End = (i32, String);

fn end_of(output: &Output) -> End {
    let is_id = |part: &str| part.len() == 64 && part.bytes().all(|b| b.is_ascii_hexdigit());
    let parts = output.stderr.trim_end().split('"');
    let parts: Vec<_> = parts
        .map(|part| if is_id(part) { "ID" } else { part })
        .collect();
    (output.code, parts.join("\""))
}

/// What there is: published ports as the kernel has them, what `ps -a` lists with the ports that it brought and its sandbox,
/// and the namespaces that are pinned.
#[track_caller]
fn state() -> Vec<String> {
    let port = |element: &Value| {
        let [from, to] = [0, 1].map(|end| element[end]["concat"][1].to_string());
        format!("the kernel leads {from} to {to}")
    };
    let mut state = sorted(elements("map", "publish4").iter().map(port).collect());
    let listed = netcell(&["ps", "-a", "--format", "{{.Names}}"]).quiet();
    for name in sorted(listed.lines().map(str::to_owned).collect()) {
        let what = "{{json .HostConfig.PortBindings}} in {{.NetworkSettings.SandboxKey}}";
        let what = netcell(&["inspect", "--format", what, &name]).quiet();
        state.push(format!("{name} has {what}"));
    }
    state.extend(sorted(oracle::entries("/run/netns")));
    state
}

/// How the held one and the other one ended, and what there is then.
type Outcome = ([End; 2], Vec<String>);

impl Met {
    #[track_caller]
    fn outcome(&self) -> Outcome {
        self.agrees();
        ([&self.held, &self.other].map(end_of), state())
    }
}

impl Meeting<'_> {
    /// What comes of the two when one has ended before the other begins: the held one first, and the other one first.
    #[track_caller]
    fn one_after_the_other(&self) -> [Outcome; 2] {
        [true, false].map(|held_first| {
            self.begin();
            let early = held_first.then(|| cell(self.held));
            let other = cell(self.meanwhile);
            let held = early.unwrap_or_else(|| cell(self.held));
            let outcome = Met { held, other }.outcome();
            remove_all();
            outcome
        })
    }
}

/// What neither order gives: one of two says something of its own, and all else is as if the other one had been alone.
struct Third {
    says: &'static str,
    code: i32,
    sentence: &'static str,
    beside: &'static str,
}

const THIRDS: [Third; 1] = [
    // Both found the port published and have it withdrawn: neither has to know which of them it was.
    Third {
        says: "unpublish main 81",
        code: 0,
        sentence: "",
        beside: "unpublish main 81",
    },
];

impl Third {
    fn is_of(&self, meeting: &Meeting) -> bool {
        let pair = [meeting.held, meeting.meanwhile];
        pair == [self.says, self.beside] || pair == [self.beside, self.says]
    }

    /// The outcomes it allows: who says it may be the held one or the other one.
    #[track_caller]
    fn outcomes(&self, meeting: &Meeting) -> Vec<Outcome> {
        meeting.begin();
        let alone = cell(self.beside);
        let (held, other) = (alone.clone(), alone);
        let ([beside, _], state) = Met { held, other }.outcome();
        remove_all();
        let says = (self.code, self.sentence.to_owned());
        let mut outcomes = Vec::new();
        if meeting.held == self.says {
            outcomes.push(([says.clone(), beside.clone()], state.clone()));
        }
        if meeting.meanwhile == self.says {
            outcomes.push(([beside, says], state));
        }
        outcomes
    }
}

fn commands_on_two_members_at_once_end_as_one_after_the_other() {
    let pairs = CHANGES.map(|held| CHANGES.map(|meanwhile| (held, meanwhile)));
    let sample = Sample::of_one_in(3);
    println!("of {} pairs {sample}", pairs.as_flattened().len());
    let wrong = RefCell::new(Vec::new());
    for (held, meanwhile) in sample.of(pairs.as_flattened().to_vec()) {
        let meeting = Meeting {
            before: &THREE,
            held,
            meanwhile,
            patience: SHORT,
        };
        let serial = meeting.one_after_the_other();
        let thirds = THIRDS.iter().filter(|third| third.is_of(&meeting));
        let thirds: Vec<_> = thirds.flat_map(|third| third.outcomes(&meeting)).collect();
        meeting.at_each(libc::SYS_flock, &|met| {
            let outcome = met.outcome();
            if !serial.contains(&outcome) && !thirds.contains(&outcome) {
                let line = format!("{met}{outcome:#?}\nand not one of {serial:#?}");
                wrong.borrow_mut().push(line);
            }
        });
    }
    let wrong = wrong.into_inner();
    assert!(
        wrong.is_empty(),
        "{} wrong: {}",
        wrong.len(),
        wrong.join("\n")
    );
}
