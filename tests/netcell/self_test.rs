//! The harness itself: a check that cannot fail proves nothing.

use crate::harness::boxes::STATE;
use crate::harness::snapshot::Snapshot;
use crate::harness::*;
use crate::tests;

pub const TESTS: &[runner::Test] = tests![
    the_box_is_a_quiet_host,
    the_outside_answers_and_sees_the_hosts_address,
    a_leak_of_each_kind_is_seen,
    the_hosts_files_cannot_be_written,
    exactly_one_process_is_killed_at_exactly_one_call,
    a_process_that_is_killed_while_it_is_let_go_is_seen_dead_by_its_parent,
];

fn the_box_is_a_quiet_host() {
    assert_eq!(links(), ["lo"]);
    assert!(nft_json(&["list", "ruleset"]).is_empty());
    assert!(!std::path::Path::new(STATE).exists());
    assert_eq!(std::os::unix::process::parent_id(), 1);
}

fn the_outside_answers_and_sees_the_hosts_address() {
    let outside = Outside::new();
    serve_in(&outside.namespace(), 80, "outside");
    serve_udp_in(&outside.namespace(), 53, "outside");
    let seen = answered(ask(outside::OUTSIDE, 80), "outside");
    assert_eq!(seen, "198.51.100.1");
    answered(ask_udp(outside::OUTSIDE, 53), "outside");
}

fn a_leak_of_each_kind_is_seen() {
    let before = Snapshot::take();
    let holder = outside::namespace_holder();
    must("ip", &["link", "add", "nc0", "type", "bridge"]);
    must("ip", &["address", "add", "10.9.9.1/24", "dev", "nc0"]);
    must("ip", &["link", "set", "nc0", "up"]);
    must("nft", &["add", "table", "inet", "left"]);
    must("nft", &["add", "table", "inet", "netcell"]);
    must(
        "nft",
        &[
            "add",
            "set",
            "inet",
            "netcell",
            "s",
            "{ type ipv4_addr; elements = { 10.1.1.1 }; }",
        ],
    );
    step("write", std::fs::write("/run/left", ""));
    let filter = "/proc/sys/net/ipv4/conf/all/rp_filter";
    let own = step("read", std::fs::read_to_string(filter));
    let other = if own.trim() == "1" { "2" } else { "1" };
    step("write", std::fs::write(filter, other));
    step(
        "mount",
        sys::mount("none", "/var/lib/netcell", "tmpfs", 0, ""),
    );
    let seen = before.differences(&Snapshot::take()).join("\n");
    for word in [
        "process: busybox",
        "link: nc0",
        "address: 10.9.9.1",
        "route: nc0",
        "left",
        "10.1.1.1",
        "file: /run/left",
        "rp_filter",
        "mount: / on /var/lib/netcell",
    ] {
        assert!(seen.contains(word), "{word} is not in:\n{seen}");
    }
    step("umount", sys::umount("/var/lib/netcell"));
    step("write", std::fs::write(filter, own));
    step("remove", std::fs::remove_file("/run/left"));
    must("ip", &["link", "delete", "nc0"]);
    must("nft", &["flush", "ruleset"]);
    drop(holder);
}

fn the_hosts_files_cannot_be_written() {
    for place in ["/etc/left", "/usr/left", "/var/left"] {
        let error = std::fs::write(place, "").expect_err(place);
        assert_eq!(error.raw_os_error(), Some(libc::EROFS), "{place}: {error}");
    }
}

/// A shell that forks a shell, which forks another; each says where it came to.
fn shells() -> std::process::Command {
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "echo a >/run/a; (echo b >/run/b; (echo c >/run/c; exit 3); echo d >/run/d); echo e >/run/e"]);
    command
}

fn exactly_one_process_is_killed_at_exactly_one_call() {
    let command = shells();
    let recorded = inject::trace(&command, None);
    assert_eq!(recorded.ended, Some(sys::Ended::Code(0)), "{recorded:?}");
    let roles: Vec<String> = recorded.calls.keys().map(inject::Role::to_string).collect();
    assert_eq!(roles, ["command", "monitor", "child"]);
    let come_to = || {
        let places = ["a", "b", "c", "d", "e"];
        let made = places.map(|name| (name, std::fs::remove_file(format!("/run/{name}")).is_ok()));
        made.iter()
            .filter(|(_, made)| *made)
            .map(|(name, _)| *name)
            .collect::<String>()
    };
    assert_eq!(come_to(), "abcde");
    let mut seen = std::collections::BTreeSet::new();
    for (role, calls) in &recorded.calls {
        for index in 0..calls.len() {
            let point = inject::Point {
                role: role.clone(),
                index,
                of: None,
                fault: inject::Fault::Kill,
            };
            let trace = inject::trace(&command, Some(point));
            assert!(trace.reached, "{role} {index}: {trace:?}");
            assert_eq!(trace.calls[role].len(), index + 1);
            let command_killed = trace.ended == Some(sys::Ended::Signal(libc::SIGKILL));
            assert_eq!(
                command_killed,
                role.0.is_empty(),
                "{role} {index}: {trace:?}"
            );
            // A shell whose parent was killed runs on.
            wait_until("the shells are gone", || {
                processes_with("/bin/sh").is_empty()
            });
            seen.insert(come_to());
        }
    }
    for story in ["", "a", "ae", "abe", "abde", "abce", "abcd", "abcde"] {
        assert!(seen.contains(story), "never came to {story:?}: {seen:?}");
    }
}

fn a_process_that_is_killed_while_it_is_let_go_is_seen_dead_by_its_parent() {
    let point = inject::Point {
        role: inject::Role(vec![0, 0]),
        index: 0,
        of: None,
        fault: inject::Fault::Fail(libc::EINTR),
    };
    let kill_the_child = |role: &inject::Role, pid| {
        if role.0 == [0, 0] {
            step("kill", sys::kill(pid, libc::SIGKILL));
        }
    };
    let trace = inject::trace_and(&shells(), point, kill_the_child);
    assert_eq!(trace.ended, Some(sys::Ended::Code(0)), "{trace:?}");
    for (place, made) in [("b", true), ("c", false), ("d", true), ("e", true)] {
        let was = std::fs::remove_file(format!("/run/{place}")).is_ok();
        assert_eq!(was, made, "{place}: {trace:?}");
    }
    step("remove", std::fs::remove_file("/run/a"));
}
