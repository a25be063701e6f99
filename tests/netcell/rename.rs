//! `rename`: a container, its sandbox, its pin and its leases get another name; what runs goes on; a death on the way is
//! completed by the next command.

use crate::harness::inject::{Fault, Point, Role, fault_at, record};
use crate::harness::snapshot::{Snapshot, restored};
use crate::harness::*;
use crate::tests;
use serde_json::Value;
use std::time::Duration;

pub const TESTS: &[runner::Test] = tests![
    a_running_container_and_its_sandbox_get_another_name,
    who_shares_the_sandbox_goes_on_and_starts_again,
    a_member_of_anothers_sandbox_is_renamed_alone,
    siblings_find_it_by_its_new_name,
    a_bare_sandbox_and_a_stopped_container_are_renamed,
    the_old_name_is_free_and_the_new_one_is_taken,
    one_that_removes_itself_does_so_under_its_new_name,
    refusals_are_dockers,
    a_dry_run_says_the_pins_and_changes_nothing,
    a_rename_killed_at_any_call_is_completed_or_never_was.seconds(600),
];

fn inspect(name: &str) -> Value {
    cell(&format!("inspect {name}")).json()[0].clone()
}

fn pins() -> Vec<String> {
    let list = must("ip", &["netns", "list"]);
    let mut names: Vec<_> = list
        .lines()
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    names
}

fn a_running_container_and_its_sandbox_get_another_name() {
    let id = cell("run -d --name web -p 8080:80 alpine httpd -f -p 80 -h /www").ok();
    let (before, namespace) = (inspect("web"), oracle::namespace_id(&pin("web")));
    let outside = outside::Outside::new();
    outside::wait_for_port(&pin("web"), 80);
    assert_eq!(cell("rename web old").quiet(), "");
    let page = outside.run(|| outside::get(outside::HOST, 8080));
    assert!(
        page.as_ref().is_ok_and(|page| page.contains("hello")),
        "{page:?}"
    );
    let after = inspect("old");
    assert_eq!(
        (&after["Id"], &after["Name"]),
        (&id.as_str().into(), &"/old".into())
    );
    assert_eq!(after["State"], before["State"]);
    assert_eq!(after["NetworkSettings"]["SandboxKey"], "/run/netns/old");
    let bridge = "/NetworkSettings/Networks/bridge";
    for key in ["EndpointID", "IPAddress", "MacAddress", "Gateway"] {
        let at = |value: &Value| value.pointer(&format!("{bridge}/{key}")).cloned();
        assert_eq!(at(&after), at(&before), "{key}");
    }
    let names = after.pointer(&format!("{bridge}/DNSNames"));
    assert!(
        names.is_some_and(|names| names.to_string().contains("\"old\"")),
        "{names:?}"
    );
    assert_eq!(
        after["NetworkSettings"]["Ports"],
        before["NetworkSettings"]["Ports"]
    );
    assert_eq!(oracle::namespace_id(&pin("old")), namespace);
    assert_eq!(pins(), ["old"]);
    assert_eq!(inspect(&id[..12])["Name"], "/old");
    cell("inspect web").refused(1, &["No such object: web"]);
    assert_eq!(cell("exec old hostname").ok(), &id[..12]);
    drop(outside);
    // What it writes from now on is in its log, and what it does at its end is known.
    cell("exec old true").ok();
    cell("stop -t 0 old").ok();
    assert_eq!(inspect("old")["State"]["Status"], "exited");
    cell("start old").ok();
    assert_eq!(oracle::namespace_id(&pin("old")), namespace);
    cell("run --rm -p 8080:80 alpine true").refused(125, &["8080", "old"]);
    cell("rm -f old").ok();
}

fn who_shares_the_sandbox_goes_on_and_starts_again() {
    cell("run -d --name main -p 8080:80 alpine sleep 1000").ok();
    cell("run -d --network container:main --name side -p 8081:81 alpine sleep 1000").ok();
    let address = address_in("main", "eth0");
    cell("rename main first").ok();
    assert_eq!(
        inspect("side")["NetworkSettings"]["SandboxKey"],
        "/run/netns/first"
    );
    let shown = cell("exec side ip addr show eth0").ok();
    assert!(shown.contains(&address.0.to_string()), "{shown}");
    cell("restart -t 0 side").ok();
    let namespace = cell("exec side readlink /proc/self/ns/net").ok();
    assert_eq!(
        cell("exec first readlink /proc/self/ns/net").ok(),
        namespace
    );
    // The first goes, the sandbox stays with its other member, and then goes as well.
    cell("rm -f first").ok();
    cell("exec side ip addr show eth0").ok();
    cell("rm -f side").ok();
    assert_eq!(pins(), Vec::<String>::new());
}

fn a_member_of_anothers_sandbox_is_renamed_alone() {
    cell("run -d --name main alpine sleep 1000").ok();
    cell("run -d --network container:main --name side -p 8081:81 alpine sleep 1000").ok();
    cell("rename side other").ok();
    assert_eq!(pins(), ["main"]);
    assert_eq!(
        inspect("other")["NetworkSettings"]["SandboxKey"],
        "/run/netns/main"
    );
    assert!(
        cell("ps -f name=other --format {{.Ports}}")
            .ok()
            .contains("8081->81/tcp")
    );
    cell("rm -f main").ok();
    cell("exec other true").ok();
    // Its port goes with it.
    cell("rm -f other").ok();
    cell("create --name free -p 8081:81").ok();
    cell("rm free").ok();
    cell("run -d --name host --network host alpine sleep 1000").ok();
    cell("rename host other").ok();
    cell("exec other true").ok();
    cell("rm -f other").ok();
}

fn siblings_find_it_by_its_new_name() {
    cell("network create --subnet 10.50.0.0/24 lan").ok();
    cell("run -d --name web --network lan alpine sleep 1000").ok();
    cell("run -d --name other --network lan alpine sleep 1000").ok();
    let address = address_in("web", "eth0").0.to_string();
    let asked = |name: &str| cell(&format!("exec other ping -c 1 -W 2 {name}"));
    assert!(asked("web").ok().contains(&address));
    cell("rename web first").ok();
    assert!(asked("first").ok().contains(&address));
    assert_ne!(asked("web").code, 0);
    cell("rm -f first other").ok();
    cell("network rm lan").ok();
}

fn a_bare_sandbox_and_a_stopped_container_are_renamed() {
    let id = cell("create --name bare -p 8080:80").ok();
    cell("rename bare lab").ok();
    assert_eq!(
        (inspect("lab")["Id"].as_str(), pins()),
        (Some(&*id), vec!["lab".to_owned()])
    );
    assert_eq!(inspect(&id)["Name"], "/lab");
    cell("exec lab true").ok();
    cell("rm lab").ok();
    cell("create --name web alpine sleep 1000").ok();
    cell("rename web other").ok();
    cell("start other").ok();
    cell("exec other true").ok();
    cell("rm -f other").ok();
}

fn the_old_name_is_free_and_the_new_one_is_taken() {
    cell("run -d --name web alpine sleep 1000").ok();
    cell("rename web old").ok();
    cell("run -d --name web alpine sleep 1000").ok();
    assert_eq!(pins(), ["old", "web"]);
    assert_ne!(address_in("web", "eth0"), address_in("old", "eth0"));
    cell("rename old web").refused(1, &["Conflict", "/web"]);
    cell("run --name old alpine true").refused(125, &["Conflict", "/old"]);
    cell("rm -f web old").ok();
}

fn one_that_removes_itself_does_so_under_its_new_name() {
    cell("run -d --rm --name web alpine sleep 1000").ok();
    cell("rename web other").ok();
    cell("kill other").ok();
    wait_until("it is gone", || cell("ps -aq").stdout.is_empty());
    assert_eq!(pins(), Vec::<String>::new());
}

fn refusals_are_dockers() {
    cell("create --name web --network none").ok();
    cell("rename nosuch x").refused(1, &["No such container: nosuch"]);
    cell("rename web web").refused(1, &["same name"]);
    cell("rename web bad/name").refused(1, &["Invalid container name (bad/name)"]);
    cell("rename web").refused(1, &["exactly 2 arguments"]);
    cell("rename web a b").refused(1, &["exactly 2 arguments"]);
    // A pin that is somebody else's stays.
    must("ip", &["netns", "add", "theirs"]);
    cell("rename web theirs").refused(1, &["/run/netns/theirs"]);
    assert_eq!(pins(), ["theirs", "web"]);
    must("ip", &["netns", "delete", "theirs"]);
    cell("rm web").ok();
}

fn a_dry_run_says_the_pins_and_changes_nothing() {
    cell("create --name web --network none").ok();
    let script = cell("rename --dry-run web lab").quiet();
    assert!(script.starts_with("#!/bin/sh"), "{script}");
    assert!(
        script.contains("mount --bind /run/netns/web /run/netns/lab"),
        "{script}"
    );
    assert!(script.contains("ip netns delete web"), "{script}");
    assert_eq!(pins(), ["web"]);
    cell("rm web").ok();
}

/// What has to be so after a renaming, wherever it ended.
fn check(killed: &str) -> Result<(), String> {
    // The next command completes it.
    let list = cell("ps -a --format {{.Names}}").ok();
    let mut names: Vec<&str> = list.lines().collect();
    names.sort_unstable();
    let name = match names.as_slice() {
        ["lab", "side"] => "lab",
        ["side", "web"] => "web",
        _ => return Err(format!("{killed}: {names:?}")),
    };
    let wrong = |what: String| Err(format!("{killed}, now {name}: {what}"));
    if pins() != [name] {
        return wrong(format!("pins {:?}", pins()));
    }
    for of in [name, "side"] {
        if inspect(of)["NetworkSettings"]["SandboxKey"] != format!("/run/netns/{name}") {
            return wrong(format!("{of}: {}", inspect(of)["NetworkSettings"]));
        }
    }
    for line in [format!("exec {name} true"), "start side".to_owned()] {
        let answer = cell(&line);
        if answer.code != 0 {
            return wrong(format!("{answer:?}"));
        }
    }
    let taken = cell("create --name other -p 8080:80");
    if taken.code == 0 || !taken.stderr.contains(&format!("sandbox {name}")) {
        return wrong(format!("{taken:?}"));
    }
    Ok(())
}

fn a_rename_killed_at_any_call_is_completed_or_never_was() {
    let line: &[&str] = &["rename", "web", "lab"];
    let begin = || {
        cell("create --name web -p 8080:80").ok();
        cell("create --name side --network container:web alpine sleep 1000").ok();
    };
    let end = || {
        netcell(&["rm", "-f", "side", "web", "lab"]);
    };
    begin();
    let trace = record(line);
    assert_eq!(trace.ended, Some(sys::Ended::Code(0)), "{}", trace.output);
    end();
    let before = Snapshot::idle();
    let command = Role(Vec::new());
    let calls = trace.calls.get(&command).map_or(0, Vec::len);
    let mut wrong = Vec::new();
    // All of what it does stands in its second half; of the first half every fourth call.
    for index in (0..calls).filter(|index| index % 4 == 0 || *index > calls / 3) {
        begin();
        let point = Point {
            role: command.clone(),
            index,
            of: None,
            fault: Fault::Kill,
        };
        fault_at(line, &point);
        wrong.extend(check(&format!("killed at call {index} of {calls}")).err());
        end();
        if let Err(left) = restored(&before, Duration::from_secs(3)) {
            wrong.push(format!("call {index}: {}", left.join("\n")));
        }
        assert!(wrong.len() < 4, "{}", wrong.join("\n"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(calls > 40, "so few calls cannot be all: {calls}");
}
