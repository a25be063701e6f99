//! A foreground `run --rm` under an init that respawns it: whatever ended the first, the next one has all, and once.

use crate::harness::*;
use crate::tests;
use std::process::Stdio;

pub const TESTS: &[runner::Test] = tests![
    after_its_end_the_next_start_takes_its_sandbox_over,
    after_the_death_of_the_first_the_next_start_has_all_once,
    after_the_death_of_its_monitor_the_next_start_has_all_once,
    after_the_death_of_all_of_it_the_next_start_has_all_once,
    while_the_first_lives_the_second_is_refused,
    what_was_left_on_purpose_is_not_taken,
    without_rm_nothing_is_taken,
    a_hundred_deaths_leave_one,
];

const LINE: &str = "run --rm --name web -p 8080:80 alpine sleep 1000";

/// A start as an init makes it: what it runs is there when this returns.
fn start() -> Background {
    let words: Vec<&str> = LINE.split(' ').collect();
    let mut command = netcell_command(&words);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let started = Background::spawn(&mut command);
    let own = started.pid().to_string();
    wait_until("it runs", || {
        state() == "running" && foreground() == own && processes_with("sleep 1000").len() == 1
    });
    started
}

fn state() -> String {
    netcell(&["inspect", "web", "--format", "{{.State.Status}}"])
        .stdout
        .trim()
        .to_owned()
}

/// The record's own word for who stays with it.
fn foreground() -> String {
    let text = std::fs::read_to_string("/run/netcell/containers/web/record.json");
    let record: serde_json::Value =
        serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default();
    record["start"]["foreground"]["pid"].to_string()
}

fn monitor() -> sys::Pid {
    let text = std::fs::read_to_string("/run/netcell/containers/web/record.json").unwrap();
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    record["start"]["monitor"]
        .as_i64()
        .unwrap()
        .try_into()
        .unwrap()
}

/// One container, one process in it, one monitor, one port, one link and one address.
fn all_is_there_once() {
    assert_eq!(containers(), 1);
    wait_until("one process of it is left", || {
        processes_with("sleep 1000").len() == 1
    });
    assert_eq!(elements("map", "publish4").len(), 1);
    assert_eq!(entries("/run/netcell/ports"), ["tcp-8080"]);
    // Where its link had not gone yet, the address of one before has a note that it soon will be free.
    const LEASES: &str = "/run/netcell/networks/bridge/leases";
    let held = |name: &String| {
        std::fs::read_to_string(format!("{LEASES}/{name}"))
            .is_ok_and(|text| text.contains("sandbox"))
    };
    assert_eq!(entries(LEASES).iter().filter(|name| held(name)).count(), 1);
    wait_until("one link is left", || {
        links()
            .iter()
            .filter(|link| link.starts_with("nc") && !link.starts_with("netcell"))
            .count()
            == 1
    });
    assert_eq!(entries("/run/netns"), ["web"]);
}

fn gone(mut process: Background) {
    sys::kill(process.pid(), libc::SIGKILL).unwrap();
    process.0.wait().unwrap();
}

fn after_its_end_the_next_start_takes_its_sandbox_over() {
    let first = start();
    cell("run -d --name side --network container:web alpine sleep 900").ok();
    let (namespace, address) = (
        oracle::namespace_id(&pin("web")),
        address_in("web", "eth0").0,
    );
    cell("stop -t 0 web").ok();
    wait_until("it is removed", || containers() == 1);
    drop(first);
    let second = start();
    assert_eq!(oracle::namespace_id(&pin("web")), namespace);
    assert_eq!(address_in("web", "eth0").0, address);
    all_is_there_once_beside_side();
    drop(second);
    cell("rm -f web side").ok();
}

fn all_is_there_once_beside_side() {
    assert_eq!(containers(), 2);
    assert_eq!(processes_with("sleep 1000").len(), 1);
    assert_eq!(elements("map", "publish4").len(), 1);
}

fn after_the_death_of_the_first_the_next_start_has_all_once() {
    let first = start();
    let address = address_in("web", "eth0").0;
    gone(first);
    assert_eq!(state(), "running");
    let second = start();
    all_is_there_once();
    assert_eq!(address_in("web", "eth0").0, address);
    cell("rm -f web").ok();
    drop(second);
}

fn after_the_death_of_its_monitor_the_next_start_has_all_once() {
    let mut first = start();
    sys::kill(monitor(), libc::SIGKILL).unwrap();
    // Without the monitor it hears of no end: it ends itself.
    wait_until("the first ends", || first.0.try_wait().unwrap().is_some());
    let second = start();
    all_is_there_once();
    cell("rm -f web").ok();
    drop((first, second));
}

fn after_the_death_of_all_of_it_the_next_start_has_all_once() {
    let first = start();
    let monitor = monitor();
    gone(first);
    sys::kill(monitor, libc::SIGKILL).unwrap();
    processes_with("sleep 1000")
        .into_iter()
        .for_each(|pid| sys::kill(pid, libc::SIGKILL).unwrap());
    let second = start();
    all_is_there_once();
    cell("rm -f web").ok();
    drop(second);
}

fn while_the_first_lives_the_second_is_refused() {
    let first = start();
    let before = (foreground(), monitor(), processes_with("sleep 1000"));
    cell(LINE).refused(125, &["Conflict", "web", "already in use"]);
    assert_eq!(
        (foreground(), monitor(), processes_with("sleep 1000")),
        before
    );
    all_is_there_once();
    cell("rm -f web").ok();
    drop(first);
}

fn what_was_left_on_purpose_is_not_taken() {
    let mut user = Typist::cell("run --rm -it --name web alpine sh");
    user.prompt();
    user.types("\x10\x11");
    assert_eq!(user.ends().0, 0);
    cell("run --rm --name web alpine true").refused(125, &["Conflict", "web"]);
    assert_eq!(state(), "running");
    cell("rm -f web").ok();
}

fn without_rm_nothing_is_taken() {
    cell("run --name web alpine true").ok();
    cell("run --rm --name web alpine true").refused(125, &["Conflict", "web"]);
    cell("rm web").ok();
    // And a detached one is nobody's foreground.
    cell("run -d --rm --name web alpine sleep 1000").ok();
    cell("run --rm --name web alpine true").refused(125, &["Conflict", "web"]);
    cell("rm -f web").ok();
}

/// As an init's loop does it, with no pause: the first is killed anywhere on its way.
fn a_hundred_deaths_leave_one() {
    let words: Vec<&str> = LINE.split(' ').collect();
    for turn in 0..100 {
        let mut command = netcell_command(&words);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let started = Background::spawn(&mut command);
        std::thread::sleep(std::time::Duration::from_micros(turn * 150));
        gone(started);
    }
    let last = start();
    all_is_there_once();
    cell("rm -f web").ok();
    drop(last);
}
