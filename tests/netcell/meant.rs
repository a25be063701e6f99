//! What a reference means is meant to the end: a command is held, and meanwhile the container that it is about gets another
//! name, and another container takes the old one.

use crate::harness::inject::hold_at;
use crate::harness::meeting::{
    Meeting, Met, SHORT, begin, ended_or_waiting, in_kernel, remove_all,
};
use crate::harness::*;
use crate::tests;

pub const TESTS: &[runner::Test] = tests![
    ports_are_published_for_and_withdrawn_from_the_one_that_was_meant.seconds(120),
    the_one_that_was_meant_is_started_renamed_and_removed.seconds(120),
    the_one_that_was_meant_is_ended_and_its_end_is_seen.seconds(240),
    who_stays_with_a_container_stays_with_the_one_that_was_meant.seconds(240),
    a_log_is_that_of_the_container_that_was_meant.seconds(240),
    a_command_in_a_sandbox_is_in_the_one_that_was_meant.seconds(120),
    a_start_waits_for_a_pin_that_is_being_made_again,
    apply_removes_nobody_whose_id_begins_with_a_name.seconds(120),
];

/// What holds at each of the calls of a kind that a line makes, held while `one` becomes `two`, and another becomes `one`.
#[track_caller]
fn while_renamed(
    (one, another): (&str, &str),
    held: &str,
    call: libc::c_long,
    check: &dyn Fn(&Met),
) {
    let meeting = Meeting {
        before: &[one],
        held,
        meanwhile: &format!("rename one two && {another}"),
        patience: SHORT,
    };
    meeting.at_each(call, &|met| {
        assert_eq!(met.held.code, 0, "{met}");
        check(met);
    });
}

fn inspect(name: &str, template: &str) -> String {
    netcell(&["inspect", "--format", template, name]).quiet()
}

fn status(name: &str) -> String {
    inspect(name, "{{.State.Status}}")
}

const IDLE: &str = "create --name one alpine sleep 1000";
const RUNS: &str = "run -d --name one alpine sleep 1000";

fn ports_are_published_for_and_withdrawn_from_the_one_that_was_meant() {
    let ports = |name| inspect(name, "{{len .HostConfig.PortBindings}}");
    while_renamed(
        (IDLE, IDLE),
        "publish ID 9090:90",
        libc::SYS_flock,
        &|met| {
            assert_eq!(
                (ports("two"), ports("one")),
                ("1".into(), "0".into()),
                "{met}"
            );
        },
    );
    let [one, another] =
        ["8080:80", "8081:80"].map(|port| format!("create --name one -p {port} alpine true"));
    while_renamed(
        (&one, &another),
        "unpublish ID 80",
        libc::SYS_flock,
        &|met| {
            assert_eq!(in_kernel(), ["8081"], "{met}");
        },
    );
}

fn the_one_that_was_meant_is_started_renamed_and_removed() {
    while_renamed((IDLE, IDLE), "start ID", libc::SYS_flock, &|met| {
        assert_eq!(
            (status("two"), status("one")),
            ("running".into(), "created".into()),
            "{met}"
        );
    });
    let idle = "create --name one alpine true";
    while_renamed((RUNS, idle), "rename ID three", libc::SYS_flock, &|met| {
        assert_eq!(status("three"), "running", "{met}");
    });
    while_renamed((RUNS, idle), "rm -f ID", libc::SYS_flock, &|met| {
        // It may have gone first.
        let left = if met.other.code == 0 { "one" } else { "" };
        assert_eq!(cell("ps -a --format {{.Names}}").quiet(), left, "{met}");
    });
}

fn the_one_that_was_meant_is_ended_and_its_end_is_seen() {
    for held in ["stop -t 0 ID", "kill ID"] {
        while_renamed((RUNS, RUNS), held, libc::SYS_openat, &|met| {
            assert_eq!(
                (status("two"), status("one")),
                ("exited".into(), "running".into()),
                "{met}"
            );
        });
    }
    while_renamed((RUNS, RUNS), "restart -t 0 ID", libc::SYS_openat, &|met| {
        assert_eq!(
            (status("two"), status("one")),
            ("running".into(), "running".into()),
            "{met}"
        );
    });
}

/// It ends by itself, and the other one does not.
fn who_stays_with_a_container_stays_with_the_one_that_was_meant() {
    let ends = "run -d --name one alpine sh -c sleep${IFS}2;exit${IFS}3";
    while_renamed((ends, RUNS), "wait ID", libc::SYS_openat, &|met| {
        assert_eq!(met.held.stdout, "3\n", "{met}");
    });
    let ends = "run -d --name one alpine sleep 6";
    while_renamed(
        (ends, RUNS),
        "attach --no-stdin ID",
        libc::SYS_openat,
        &|_| {},
    );
}

fn a_log_is_that_of_the_container_that_was_meant() {
    let says = |word: &str| format!("run --name one alpine echo {word}");
    for held in ["logs ID", "logs -f ID"] {
        while_renamed(
            (&says("first"), &says("second")),
            held,
            libc::SYS_openat,
            &|met| {
                assert_eq!(met.held.stdout, "first\n", "{met}");
            },
        );
    }
    // Followed to its end, too, under another name.
    netcell(&[
        "run",
        "-d",
        "--name",
        "one",
        "alpine",
        "sh",
        "-c",
        "trap 'echo last; exit' USR1; echo first; while :; do sleep 0.1; done",
    ])
    .ok();
    let follows = begin("logs -f one");
    wait_until("it is followed", || {
        let open = format!("/proc/{}/fd", follows.id());
        let open = std::fs::read_dir(open).into_iter().flatten().flatten();
        open.filter_map(|fd| std::fs::read_link(fd.path()).ok())
            .any(|to| to.to_string_lossy().contains("inotify"))
    });
    cell("rename one two").ok();
    netcell(&["run", "-d", "--name", "one", "alpine", "echo", "second"]).ok();
    cell("wait one").ok();
    cell("kill -s USR1 two").ok();
    assert_eq!(
        command::collect(follows, "logs -f one".into()).quiet(),
        "first\nlast"
    );
    remove_all();
}

fn a_command_in_a_sandbox_is_in_the_one_that_was_meant() {
    let alone = "create --name one";
    while_renamed(
        (alone, alone),
        "exec ID readlink /proc/self/ns/net",
        libc::SYS_openat,
        &|met| {
            let namespace = oracle::namespace_id(&pin("two"));
            assert_eq!(met.held.stdout, format!("net:[{namespace}]\n"), "{met}");
        },
    );
}

fn a_start_waits_for_a_pin_that_is_being_made_again() {
    for started in ["main", "side"] {
        cell("create --name main alpine sleep 1000").ok();
        cell("create --name side --network container:main alpine sleep 1000").ok();
        step("umount", sys::umount("/run/netns/main"));
        let mut other = None;
        let line = format!("start {started}");
        let trace = hold_at(&["reconcile"], (libc::SYS_unshare, 0), &mut || {
            let mut child = begin(&line);
            ended_or_waiting(&mut child, SHORT);
            other = Some(child);
        });
        assert!(trace.reached, "{}", trace.output);
        command::collect(other.expect("a start"), line).ok();
        assert_eq!(status(started), "running");
        remove_all();
    }
}

fn apply_removes_nobody_whose_id_begins_with_a_name() {
    let mut index = 0;
    loop {
        cell("create --name innocent alpine true").ok();
        let name = inspect("innocent", "{{.Id}}")[..12].to_owned();
        let file = |seconds: u32| {
            let line =
                format!("run -d --rm --stop-timeout 0 --name {name} alpine sleep {seconds}\n");
            step("write", std::fs::write("/tmp/net.conf", line));
        };
        file(1000);
        cell("apply /tmp/net.conf").ok();
        let id = inspect(&name, "{{.Id}}");
        file(2000);
        let mut removed = None;
        let trace = hold_at(
            &["apply", "/tmp/net.conf"],
            (libc::SYS_flock, index),
            &mut || {
                let mut removal = begin(&format!("rm -f {id}"));
                ended_or_waiting(&mut removal, SHORT);
                removed = Some(removal);
            },
        );
        removed.map(|removed| command::collect(removed, "rm".into()));
        let left = cell("ps -a --format {{.Names}}").quiet();
        assert!(left.contains("innocent"), "{}", trace.output);
        remove_all();
        if !trace.reached {
            return;
        }
        index += 1;
    }
}
