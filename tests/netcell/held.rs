//! Commands that meet at a chosen moment: one is held before each message that it sends to the kernel, or before each
//! flock(2) of its, while another one does its work or, where it has to, waits for it.

use crate::harness::inject::{Role, hold_at, record};
use crate::harness::sample::Sample;
use crate::harness::*;
use crate::tests;
use serde_json::Value;
use std::cell::RefCell;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

pub const TESTS: &[runner::Test] = tests![
    a_member_s_ports_stay_withdrawn_when_its_sandbox_was_being_mended.seconds(120),
    whatever_comes_while_a_sandbox_is_mended_its_ports_are_those_of_its_record.seconds(240),
    a_sandbox_without_a_pin_is_found_by_its_last_process_whatever_that_is_called.seconds(120),
    a_sandbox_that_is_mended_can_be_taken_over.seconds(90),
    of_the_last_two_members_that_go_at_once_one_takes_the_sandbox_along.seconds(120),
    a_member_that_failed_to_join_leaves_no_sandbox_without_members.seconds(90),
    commands_on_two_members_at_once_end_as_one_after_the_other.seconds(300),
    who_joins_a_member_is_in_that_one_s_sandbox_though_another_has_its_name_by_now.seconds(90),
    what_is_made_again_under_a_name_keeps_its_own_files_from_a_repair.seconds(120),
    prune_leaves_to_others_what_they_take_away.seconds(90),
    two_operations_that_died_while_one_waited_for_the_other_are_both_settled_at_once.seconds(60),
];

/// A command that is held, and what is done meanwhile.
struct Meeting<'a> {
    /// What is there before: a line each, netcell's own without its name.
    before: &'a [&'a str],
    held: &'a str,
    meanwhile: &'a str,
    /// How long that has to wait before the other one goes on.
    patience: Duration,
}

/// Longer than a lock for work on files is held.
const SHORT: Duration = Duration::from_millis(50);

/// How both ended.
struct Met {
    held: Output,
    other: Output,
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// A line of nft's or umount's, or one of netcell's.
#[track_caller]
fn run(line: &str) {
    let words = words(line);
    match words.as_slice() {
        ["nft", arguments @ ..] => drop(must("nft", arguments)),
        ["umount", place] => step("umount", sys::umount(place)),
        words => drop(netcell(words).ok()),
    }
}

/// Whether a process of this box waits for a file lock (proc(5), /proc/locks).
fn somebody_waits() -> bool {
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    locks.lines().any(|line| line.contains("-> FLOCK"))
}

/// Starts a command of netcell's, or several joined by `&&`.
fn begin(line: &str) -> Child {
    let mut command = netcell_command(&words(line));
    if line.contains("&&") {
        let line =
            format!("{} {line}", boxes::BINARY).replace("&&", &format!("&& {}", boxes::BINARY));
        command = std::process::Command::new("busybox");
        command.args(["sh", "-c", &line]);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    step("start netcell", command.spawn())
}

/// Until a command has ended, or has waited so long for one that is held.
fn ended_or_waiting(child: &mut Child, patience: Duration) {
    let mut free = Instant::now();
    while free.elapsed() < patience && step("wait", child.try_wait()).is_none() {
        std::thread::sleep(Duration::from_millis(2));
        if !somebody_waits() {
            free = Instant::now();
        }
    }
}

impl Meeting<'_> {
    fn begin(&self) {
        self.before.iter().for_each(|line| run(line));
    }

    /// Holds the one before each of its calls of a kind in turn; `check` looks at what came of it, and is followed by the
    /// removal of all there is.
    #[track_caller]
    fn at_each(&self, call: libc::c_long, check: &dyn Fn(&Met)) {
        self.begin();
        let trace = record(&words(self.held));
        let calls = trace.calls.get(&Role::default());
        let calls = calls.map_or(0, |calls| calls.iter().filter(|c| c.is(call)).count());
        assert!(calls > 0, "{}: {}", self.held, trace.output);
        remove_all();
        // One in six of the many messages of a repair is sure to be amid it.
        let sample = Sample::of_one_in(if calls > 12 { 6 } else { 1 });
        for index in sample.of((0..calls).collect()) {
            self.begin();
            let mut other = None;
            let trace = hold_at(&words(self.held), (call, index), &mut || {
                let mut child = begin(self.meanwhile);
                ended_or_waiting(&mut child, self.patience);
                other = Some(child);
            });
            let Some(other) = other else {
                panic!("{} has no call {index} this time", self.held);
            };
            let met = Met {
                held: Output {
                    line: format!("{} (held at call {index} of {calls})", self.held),
                    code: match trace.ended {
                        Some(sys::Ended::Code(code)) => code,
                        _ => -1,
                    },
                    stderr: trace.errors.clone(),
                    stdout: trace.output.replace(&trace.errors, ""),
                },
                other: command::collect(other, self.meanwhile.to_owned()),
            };
            check(&met);
            met.agrees();
            remove_all();
        }
    }
}

impl Met {
    #[track_caller]
    fn both_succeed(&self) {
        assert_eq!((self.held.code, self.other.code), (0, 0), "{self}");
    }

    /// The kernel, the records and the leases say the same, and nothing is under way.
    #[track_caller]
    fn agrees(&self) {
        let (recorded, leased) = (in_records(), leases());
        // What was let run out goes by itself.
        wait_within(
            Duration::from_millis(500),
            &format!("the kernel's ports are the records': {self}"),
            || in_kernel() == recorded,
        );
        assert_eq!(leased, recorded, "the leases and the records': {self}");
        assert_eq!(oracle::entries(INTENTS), [""; 0], "{self}");
        for output in [&self.held, &self.other] {
            if output.code != 0 {
                output.clone().refused(output.code, &[]);
            }
        }
    }
}

impl std::fmt::Display for Met {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}beside\n{:?}", self.held, self.other)
    }
}

const INTENTS: &str = "/run/netcell/intents";
const SANDBOXES: &str = "/run/netcell/sandboxes";

/// The published ports that the kernel knows.
fn in_kernel() -> Vec<String> {
    let elements = elements("map", "publish4");
    let port = |element: &Value| element[0]["concat"][1].to_string();
    sorted(elements.iter().map(port).collect())
}

/// Those of the sandboxes' records.
fn in_records() -> Vec<String> {
    let mut ports = Vec::new();
    for name in oracle::entries(SANDBOXES) {
        let record = std::fs::read(format!("{SANDBOXES}/{name}/record.json")).unwrap_or_default();
        let record: Value = serde_json::from_slice(&record).unwrap_or_default();
        for port in record["ports"].as_array().into_iter().flatten() {
            let mapping = port["mapping"].as_str().unwrap_or_default();
            ports.push(mapping.rsplit(':').nth(1).unwrap_or_default().to_owned());
        }
    }
    sorted(ports)
}

fn leases() -> Vec<String> {
    let ports = oracle::entries("/run/netcell/ports");
    sorted(ports.iter().map(|port| port.replace("tcp-", "")).collect())
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort_unstable();
    list
}

/// Removes what `ps` shows, which has to be all.
#[track_caller]
fn remove_all() {
    for id in cell("ps -aq").ok().lines() {
        cell(&format!("rm -f {id}")).ok();
    }
    assert_eq!(
        oracle::entries(SANDBOXES),
        [""; 0],
        "sandboxes without members"
    );
    assert_eq!(
        oracle::entries("/run/netns"),
        [""; 0],
        "namespaces without members"
    );
    no_port_is_published();
}

/// A sandbox with three members, none of which runs: nobody mends but who is told to.
const THREE: [&str; 3] = [
    "create --name main -p 8080:80 alpine true",
    "create --name middle --network container:main -p 8081:81 alpine true",
    "create --name last --network container:main -p 8082:82 alpine true",
];

fn three_and<'a>(more: &[&'a str]) -> Vec<&'a str> {
    THREE.iter().chain(more).copied().collect()
}

/// Ports that are gone; and what a port has nothing to do with.
const LOST: [&str; 2] = [
    "nft flush map inet netcell publish4",
    "nft flush set bridge netcell macs",
];

fn a_member_s_ports_stay_withdrawn_when_its_sandbox_was_being_mended() {
    for (lost, held) in [
        (LOST[0], "reconcile"),
        (LOST[1], "reconcile"),
        // Whoever comes to a network mends it, too.
        (
            "nft delete table inet netcell",
            "create --name new --network bridge",
        ),
    ] {
        let meeting = Meeting {
            before: &three_and(&[lost]),
            held,
            meanwhile: "rm middle",
            patience: SHORT,
        };
        meeting.at_each(libc::SYS_sendto, &|met| {
            met.both_succeed();
            cell("reconcile").ok();
            met.agrees();
            assert_eq!(in_kernel(), ["8080", "8082"], "{met}");
        });
    }
}

fn whatever_comes_while_a_sandbox_is_mended_its_ports_are_those_of_its_record() {
    for (meanwhile, ports) in [
        ("rm main", "8080 8081 8082"),
        ("unpublish main 81", "8080 8082"),
        ("publish middle 9090:90", "8080 8081 8082 9090"),
        (
            "create --name new --network container:last -p 9091:91 alpine true",
            "8080 8081 8082 9091",
        ),
        ("rename middle other", "8080 8081 8082"),
        ("rename main other", "8080 8081 8082"),
        ("prune", "8080 8081 8082"),
    ] {
        let meeting = Meeting {
            before: &three_and(&LOST),
            held: "reconcile",
            meanwhile,
            patience: SHORT,
        };
        meeting.at_each(libc::SYS_sendto, &|met| {
            met.both_succeed();
            // A repair leaves alone what another command is at.
            cell("reconcile").ok();
            assert_eq!(in_kernel().join(" "), ports, "{met}");
            met.agrees();
        });
    }
}

/// The record under the member's new name is the one that leads to its process.
fn a_sandbox_without_a_pin_is_found_by_its_last_process_whatever_that_is_called() {
    let meeting = Meeting {
        before: &[
            "create --name main",
            "run -d --name side --network container:main alpine sleep 1000",
            "umount /run/netns/main",
        ],
        held: "reconcile",
        meanwhile: "rename side other",
        patience: SHORT,
    };
    meeting.at_each(libc::SYS_sendto, &|met| {
        met.both_succeed();
        let lives = processes_with("sleep 1000")[0];
        let namespace = format!("/proc/{lives}/ns/net");
        let same = oracle::namespace_id(&namespace) == oracle::namespace_id(&pin("main"));
        assert!(
            same,
            "the process is in another namespace than its sandbox's: {met}"
        );
    });
}

fn a_sandbox_that_is_mended_can_be_taken_over() {
    let meeting = Meeting {
        before: &three_and(&["rm main", LOST[1]]),
        held: "reconcile",
        meanwhile: "create --name main -p 8083:83 alpine true",
        patience: Duration::from_millis(500),
    };
    meeting.at_each(libc::SYS_sendto, &|met| {
        met.both_succeed();
        assert!(in_kernel().contains(&"8083".to_owned()), "{met}");
    });
}

fn of_the_last_two_members_that_go_at_once_one_takes_the_sandbox_along() {
    let alone = "create --name main -p 8080:80";
    let (main, middle, last) = (THREE[0], THREE[1], THREE[2]);
    for (before, held, meanwhile) in [
        (&[main, middle][..], "rm main", "rm middle"),
        (&[main, middle], "rm middle", "rm main"),
        (&[main, middle, last, "rm main"], "rm middle", "rm last"),
        (&[alone, middle], "rm main", "rm middle"),
        (&[alone, middle], "rm middle", "rm main"),
    ] {
        let meeting = Meeting {
            before,
            held,
            meanwhile,
            patience: SHORT,
        };
        meeting.at_each(libc::SYS_flock, &|met| {
            met.both_succeed();
            assert_eq!(cell("ps -aq").ok(), "", "{met}");
        });
    }
}

fn a_member_that_failed_to_join_leaves_no_sandbox_without_members() {
    let meeting = Meeting {
        before: &[THREE[0], "umount /run/netns/main"],
        held: "run -d --name new --network container:main alpine sleep 1000",
        meanwhile: "rm main",
        patience: SHORT,
    };
    meeting.at_each(libc::SYS_flock, &|met| {
        assert_eq!((met.held.code, met.other.code), (125, 0), "{met}");
        assert_eq!(cell("ps -aq").ok(), "", "{met}");
    });
}

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

const THIRDS: [Third; 3] = [
    // It was a container's removal that was asked for, and that container is gone: of the sandbox, which lives on under its
    // name, nothing was asked.
    Third {
        says: "rm main",
        code: 1,
        sentence: "netcell: No such container: main",
        beside: "rm main",
    },
    // The container that was to be renamed is gone. What lives on under its name has none, which the serial order says.
    Third {
        says: "rename main other",
        code: 1,
        sentence: "netcell: No such container: main",
        beside: "rm main",
    },
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

fn who_joins_a_member_is_in_that_one_s_sandbox_though_another_has_its_name_by_now() {
    let meeting = Meeting {
        before: &THREE,
        held: "create --name new --network container:last -p 9091:91 alpine true",
        meanwhile: "rename main other && create --name main -p 8083:83 alpine true",
        patience: SHORT,
    };
    meeting.at_each(libc::SYS_flock, &|met| {
        met.both_succeed();
        let key = "inspect --format {{.NetworkSettings.SandboxKey}}";
        let key = |name: &str| cell(&format!("{key} {name}")).quiet();
        assert_eq!(key("new"), key("last"), "{met}");
    });
}

fn what_is_made_again_under_a_name_keeps_its_own_files_from_a_repair() {
    let meeting = Meeting {
        before: &["create --name web --hostname one", "exec web true"],
        held: "reconcile",
        meanwhile: "rm web && create --name web --hostname two && exec web true",
        patience: SHORT,
    };
    meeting.at_each(libc::SYS_flock, &|met| {
        met.both_succeed();
        let hostname = std::fs::read_to_string(format!("{SANDBOXES}/web/hostname"));
        assert_eq!(hostname.unwrap_or_default(), "two\n", "{met}");
    });
}

fn prune_leaves_to_others_what_they_take_away() {
    let meeting = Meeting {
        before: &THREE,
        held: "prune",
        meanwhile: "rm middle",
        patience: SHORT,
    };
    meeting.at_each(libc::SYS_sendto, &|met| {
        met.both_succeed();
        assert!(!met.held.stdout.contains("publish4"), "{met}");
    });
}

fn two_operations_that_died_while_one_waited_for_the_other_are_both_settled_at_once() {
    THREE.iter().for_each(|line| run(line));
    let publish = ["publish", "last", "9090:90"];
    hold_at(&publish, (libc::SYS_sendto, 0), &mut || {
        let mut renaming = begin("rename main other");
        ended_or_waiting(&mut renaming, SHORT);
        step("kill", renaming.kill());
        step("wait", renaming.wait());
        for pid in processes_with(&format!("{} publish", boxes::BINARY)) {
            step("kill", sys::kill(pid, libc::SIGKILL));
        }
    });
    let names = sorted(oracle::entries(INTENTS));
    assert_eq!(
        names,
        ["last", "main", "other"],
        "both died in the midst of it"
    );
    let started = Instant::now();
    assert_eq!(cell("ps -a").quiet().lines().count(), 4);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "waited for itself"
    );
    assert_eq!(oracle::entries(INTENTS), [""; 0]);
    assert_eq!(in_kernel(), ["8080", "8081", "8082"]);
    cell("inspect other").ok();
    remove_all();
}
