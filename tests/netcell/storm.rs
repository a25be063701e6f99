//! A hundred commands at once, mixed, for a while: nothing is given twice, nothing waits for ever, nothing is left. The
//! same with commands and monitors killed among them.
//!
//! Each worker picks commands by chance, of few names, ports and addresses, so that they meet. What may go wrong is what
//! a neighbour's command explains (taken, no such); what is there in the end is whole, and can be removed.
//! `NETCELL_SWEEP=all` (`tests/run --sweep`) makes each storm a minute long.

use crate::crash::network_is_made;
use crate::harness::sample::Sample;
use crate::harness::*;
use crate::tests;
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

pub const TESTS: &[runner::Test] = tests![
    a_hundred_commands_at_once_share_nothing_and_leave_nothing.seconds(300),
    a_hundred_commands_of_which_some_are_killed_leave_nothing.seconds(300),
];

/// So many commands are under way at any time.
const AT_ONCE: usize = 100;
/// Names, so that many commands mean the same one.
const NAMES: u64 = 24;
/// Files to apply.
const FILES: u64 = 4;
/// Ports of the host.
const PORTS: u64 = 12;
/// How long one command may take among a hundred: longer than netcell itself waits for a lock, which `apply` may do for
/// each line.
const PATIENCE: Duration = Duration::from_secs(100);

/// Numbers by chance that come again with the same seed (xorshift, Marsaglia 2003).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// A command line by chance.
fn line(chance: &mut Chance) -> String {
    let name = format!("box-{}", chance.below(NAMES));
    let port = 9000 + chance.below(PORTS);
    match chance.below(22) {
        20 => "reconcile".to_owned(),
        21 => format!("apply /tmp/storm-{}.conf", chance.below(FILES)),
        0..5 => format!("run -d --name {name} -p {port}:80 alpine sleep 1000"),
        5 => format!("run -d --name {name} alpine sleep 1000"),
        6 => format!("run --rm --name {name} alpine true"),
        7..9 => format!("create --name {name} -p {port}:80"),
        9 => format!(
            "create --name {name} --ip 172.17.5.{} alpine sleep 1000",
            1 + chance.below(6)
        ),
        10 => {
            let other = chance.below(NAMES);
            format!("run -d --name {name} --network container:box-{other} alpine sleep 1000")
        }
        11..15 => format!("rm -f {name}"),
        15 => format!("start {name}"),
        16 => format!("stop -t 0 {name}"),
        17 => format!("publish {name} {port}:80"),
        18 => format!("unpublish {name} {port}:80"),
        _ => format!("rename {name} box-{}", chance.below(NAMES)),
    }
}

/// What a neighbour's command may have come to first.
const EXPLAINED: &[&str] = &[
    "in use",
    "already allocated",
    "No such container",
    "Conflict",
    "another operation",
    "is not running",
    "no process of its own",
    "lives on",
    "not published",
    "No public port",
    "already published",
    "same name as its current name",
    "cannot restart",
    "cannot ask for",
    "has ended",
    "cannot join",
    "is already",
    "without a process",
    // Stopped or killed between its commit and its first step.
    "ended before its program began",
];

struct Under {
    line: String,
    child: Child,
    began: Instant,
    killed: bool,
}

fn begin(line: String) -> Under {
    let words: Vec<&str> = line.split(' ').collect();
    let mut command = netcell_command(&words);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = step("start netcell", command.spawn());
    Under {
        line,
        child,
        began: Instant::now(),
        killed: false,
    }
}

/// How it ended, if it has.
fn ended(under: &mut Under) -> Option<(Option<i32>, String)> {
    let Some(status) = step("wait", under.child.try_wait()) else {
        assert!(
            under.began.elapsed() < PATIENCE,
            "no end of {}: {:?}",
            under.line,
            oracle::descendants(under.child.id().cast_signed())
        );
        return None;
    };
    let mut text = String::new();
    if let Some(pipe) = under.child.stderr.as_mut() {
        // What a monitor has of it was closed before the command ended.
        step("read", std::io::Read::read_to_string(pipe, &mut text));
    }
    Some((status.code(), text))
}

/// A storm: how many commands came to their end, and what their outcomes were.
fn storm(chance: &mut Chance, length: Duration, kills: bool) -> BTreeMap<String, usize> {
    let (started, mut outcomes) = (Instant::now(), BTreeMap::new());
    let mut under: Vec<Under> = Vec::new();
    let mut victims = Instant::now();
    while started.elapsed() < length || !under.is_empty() {
        while started.elapsed() < length && under.len() < AT_ONCE {
            under.push(begin(line(chance)));
        }
        if kills && started.elapsed() < length && victims.elapsed() > Duration::from_millis(40) {
            victims = Instant::now();
            let at = chance.below(under.len() as u64) as usize;
            under[at].killed = true;
            let _ = under[at].child.kill();
            kill_a_monitor(chance);
        }
        let before = under.len();
        let mut at = 0;
        while at < under.len() {
            match ended(&mut under[at]) {
                None => at += 1,
                Some((code, errors)) => {
                    let gone = under.swap_remove(at);
                    println!(
                        "{:?} to {:?}: {} -> {code:?} {}",
                        gone.began - started,
                        started.elapsed(),
                        gone.line,
                        errors.trim_end()
                    );
                    let outcome = judge(&gone, code, &errors, kills);
                    *outcomes.entry(outcome).or_default() += 1;
                }
            }
        }
        if under.len() == before {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    outcomes
}

/// A monitor is whose parent is the box's first process, and who is called netcell.
fn kill_a_monitor(chance: &mut Chance) {
    let all = oracle::processes();
    let monitors: Vec<_> = all
        .iter()
        .filter(|(pid, name)| {
            name == "netcell" && oracle::status(*pid, "PPid").as_deref() == Some("1")
        })
        .collect();
    if let Some((pid, _)) = monitors.get(chance.below(monitors.len().max(1) as u64) as usize) {
        let _ = sys::kill(*pid, libc::SIGKILL);
    }
}

fn judge(under: &Under, code: Option<i32>, errors: &str, kills: bool) -> String {
    let verb = under.line.split(' ').next().unwrap_or_default();
    assert!(!errors.contains("panicked"), "{}: {errors}", under.line);
    match code {
        None => {
            assert!(under.killed, "{} died of a signal: {errors}", under.line);
            format!("{verb} killed")
        }
        Some(0) => format!("{verb} done"),
        // Somebody removed it while it ran.
        Some(137) if under.line.starts_with("run --rm") => format!("{verb} done"),
        Some(code) => {
            assert!([1, 125].contains(&code), "{}: {code} {errors}", under.line);
            let explained = EXPLAINED
                .iter()
                .any(|words| errors.to_lowercase().contains(&words.to_lowercase()));
            // What others took meanwhile, in as many sentences as it asked for things.
            if ["apply", "reconcile"].contains(&verb) {
                return format!("{verb} refused");
            }
            // Beside one that was killed, its process may have ended, or its record be torn out from under a command.
            assert!(explained || kills, "{}: {errors}", under.line);
            match explained {
                true => format!("{verb} refused"),
                false => format!(
                    "{verb}: {}",
                    errors.trim_end().replace(char::is_numeric, "#")
                ),
            }
        }
    }
}

/// No name, address, MAC or port twice, by what the kernel says.
fn nothing_is_given_twice() {
    let names = entries("/run/netns");
    let mut seen = BTreeSet::new();
    for name in &names {
        let links = any("ip", &["-n", name, "-j", "address", "show", "dev", "eth0"]).stdout;
        let links: serde_json::Value = serde_json::from_str(&links).unwrap_or_default();
        let Some(address) = links[0]["addr_info"]
            .as_array()
            .and_then(|all| all.iter().find(|info| info["family"] == "inet"))
        else {
            panic!("{name} has no address: {links}");
        };
        for what in [&address["local"], &links[0]["address"]] {
            assert!(
                seen.insert(what.to_string()),
                "{what} is given twice, to {name} too"
            );
        }
    }
    // A port once in the kernel, and leading to an address that somebody has.
    let mut ports = BTreeSet::new();
    for element in elements("map", "publish4") {
        let (key, to) = (element[0].to_string(), element[1]["concat"][0].to_string());
        assert!(ports.insert(key.clone()), "{key} is published twice");
        assert!(
            seen.contains(&to),
            "{key} leads to {to}, which nobody has: {seen:?}"
        );
    }
    let listed: serde_json::Value = cell("ps -a --json").json();
    let mut ids = BTreeSet::new();
    for container in listed.as_array().into_iter().flatten() {
        assert!(
            ids.insert(container["Name"].to_string()),
            "listed twice: {container}"
        );
    }
}

/// The storm is over: what is there is whole, and can be removed.
fn settle() {
    // Whatever comes by next settles what the dead left.
    cell("ps -a").ok();
    let intents = entries("/run/netcell/intents");
    assert!(intents.is_empty(), "still under way: {intents:?}");
    wait_until("links have gone with their namespaces", || {
        let veths = links()
            .iter()
            .filter(|name| name.starts_with("nc") && !name.starts_with("netcell"))
            .count();
        veths == entries("/run/netns").len()
    });
    nothing_is_given_twice();
    let mut names: Vec<String> = entries("/run/netcell/containers");
    names.extend(entries("/run/netcell/sandboxes"));
    for name in &names {
        let removed = cell(&format!("rm -f {name}"));
        assert!(
            removed.code == 0 || removed.stderr.contains("No such container"),
            "{removed:?}"
        );
    }
    assert_eq!(containers(), 0);
    assert_eq!(entries("/run/netns"), Vec::<String>::new());
    let ports = must(
        "find",
        &["/run/netcell/ports", "-mindepth", "1", "-printf", "%p "],
    );
    let held = any("grep", &["-r", "", "/run/netcell/ports"]).stdout;
    assert_eq!(ports, "", "leased to nobody: {held}");
    wait_until("no process is left", || {
        processes_with("sleep 1000").is_empty()
    });
    no_port_is_published();
}

fn run(kills: bool) {
    let all = Sample::of_one_in(2).is_all();
    let length = Duration::from_secs(if all { 60 } else { 5 });
    let seed = std::env::var("NETCELL_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = seed.unwrap_or_else(|| now.map_or(1, |now| now.as_nanos() as u64 | 1));
    network_is_made();
    for n in 0..FILES {
        let text = format!(
            "create --name box-{n} -p {}:80\nrun -d --name box-{} --stop-timeout 0 alpine sleep 1000\n",
            9000 + n,
            n + 5
        );
        step(
            "write a file",
            std::fs::write(format!("/tmp/storm-{n}.conf"), text),
        );
    }
    let outcomes = storm(&mut Chance(seed), length, kills);
    let count: usize = outcomes.values().sum();
    println!(
        "note: {count} commands in {} s, at most {AT_ONCE} at once (again with NETCELL_SEED={seed})",
        length.as_secs()
    );
    for (outcome, count) in &outcomes {
        println!("note: {count:6} {outcome}");
    }
    settle();
    for verb in ["run", "rm"] {
        assert!(
            outcomes.contains_key(&format!("{verb} done")),
            "no {verb} succeeded: {outcomes:?}"
        );
    }
}

fn a_hundred_commands_at_once_share_nothing_and_leave_nothing() {
    run(false);
}

fn a_hundred_commands_of_which_some_are_killed_leave_nothing() {
    run(true);
}
