//! What comes to a sandbox while another command, held in the midst of its work, is at it.

use crate::harness::inject::hold_at;
use crate::harness::meeting::{
    INTENTS, Meeting, SANDBOXES, SHORT, THREE, begin, ended_or_waiting, in_kernel, remove_all, run,
    sorted,
};
use crate::harness::*;
use crate::tests;
use std::time::{Duration, Instant};

pub const TESTS: &[runner::Test] = tests![
    a_member_s_ports_stay_withdrawn_when_its_sandbox_was_being_mended.seconds(120),
    whatever_comes_while_a_sandbox_is_mended_its_ports_are_those_of_its_record.seconds(240),
    a_sandbox_without_a_pin_is_found_by_its_last_process_whatever_that_is_called.seconds(120),
    what_is_let_go_while_all_is_reconciled_is_not_leased_again.seconds(120),
    a_sandbox_that_is_mended_can_be_taken_over.seconds(90),
    of_the_last_two_members_that_go_at_once_one_takes_the_sandbox_along.seconds(120),
    a_member_that_failed_to_join_leaves_no_sandbox_without_members.seconds(90),
    who_joins_a_member_is_in_that_one_s_sandbox_though_another_has_its_name_by_now.seconds(90),
    what_is_made_again_under_a_name_keeps_its_own_files_from_a_repair.seconds(120),
    prune_leaves_to_others_what_they_take_away.seconds(90),
    two_operations_that_died_while_one_waited_for_the_other_are_both_settled_at_once.seconds(60),
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

fn what_is_let_go_while_all_is_reconciled_is_not_leased_again() {
    for meanwhile in ["unpublish middle 8081:81", "rm middle"] {
        let meeting = Meeting {
            before: &THREE,
            held: "reconcile",
            meanwhile,
            patience: SHORT,
        };
        meeting.at_each(libc::SYS_flock, &|met| {
            met.both_succeed();
            assert_eq!(in_kernel(), ["8080", "8082"], "{met}");
        });
    }
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
