//! Commands that meet at a chosen moment: one is held before each message that it sends to the kernel, or before each
//! flock(2) of its, while another one does its work or, where it has to, waits for it.

use super::inject::{Role, hold_at, record};
use super::sample::Sample;
use super::*;
use serde_json::Value;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A command that is held, and what is done meanwhile.
pub struct Meeting<'a> {
    /// What is there before: a line each, netcell's own without its name.
    pub before: &'a [&'a str],
    /// `ID` in it is that of what is called `one` before.
    pub held: &'a str,
    pub meanwhile: &'a str,
    /// How long that has to wait before the other one goes on.
    pub patience: Duration,
}

/// Longer than a lock for work on files is held.
pub const SHORT: Duration = Duration::from_millis(50);

/// How both ended.
pub struct Met {
    pub held: Output,
    pub other: Output,
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// A line of nft's or umount's, or one of netcell's.
#[track_caller]
pub fn run(line: &str) {
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
pub fn begin(line: &str) -> Child {
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
pub fn ended_or_waiting(child: &mut Child, patience: Duration) {
    let mut free = Instant::now();
    while free.elapsed() < patience && step("wait", child.try_wait()).is_none() {
        std::thread::sleep(Duration::from_millis(2));
        if !somebody_waits() {
            free = Instant::now();
        }
    }
}

impl Meeting<'_> {
    /// Makes what is there before, and says the line that is to be held.
    pub fn begin(&self) -> String {
        self.before.iter().for_each(|line| run(line));
        if !self.held.contains("ID") {
            return self.held.to_owned();
        }
        let id = cell("inspect --format {{.Id}} one").quiet();
        self.held.replace("ID", &id)
    }

    /// Holds the one before each of its calls of a kind in turn; `check` looks at what came of it, and is followed by the
    /// removal of all there is.
    #[track_caller]
    pub fn at_each(&self, call: libc::c_long, check: &dyn Fn(&Met)) {
        let trace = record(&words(&self.begin()));
        let calls = trace.calls.get(&Role::default());
        let calls = calls.map_or(0, |calls| calls.iter().filter(|c| c.is(call)).count());
        assert!(calls > 0, "{}: {}", self.held, trace.output);
        remove_all();
        // One in six of the many messages of a repair is sure to be amid it.
        let sample = Sample::of_one_in(if calls > 12 { 6 } else { 1 });
        for index in sample.of((0..calls).collect()) {
            let held = self.begin();
            let mut other = None;
            let trace = hold_at(&words(&held), (call, index), &mut || {
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
    /// Neither was refused.
    #[track_caller]
    pub fn both_succeed(&self) {
        assert_eq!((self.held.code, self.other.code), (0, 0), "{self}");
    }

    /// The kernel, the records and the leases say the same, and nothing is under way.
    #[track_caller]
    pub fn agrees(&self) {
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

pub const INTENTS: &str = "/run/netcell/intents";
pub const SANDBOXES: &str = "/run/netcell/sandboxes";

/// The published ports that the kernel knows.
pub fn in_kernel() -> Vec<String> {
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

pub fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort_unstable();
    list
}

/// Removes what `ps` shows, which has to be all.
#[track_caller]
pub fn remove_all() {
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
pub const THREE: [&str; 3] = [
    "create --name main -p 8080:80 alpine true",
    "create --name middle --network container:main -p 8081:81 alpine true",
    "create --name last --network container:main -p 8082:82 alpine true",
];
