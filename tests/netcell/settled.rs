//! What a command that failed or died on its way has left to undo or to complete is so, at once and to the last.

use crate::harness::inject::{Fault, Point, Role, fault_at, hold_at, record};
use crate::harness::meeting::{
    INTENTS, SHORT, begin, ended_or_waiting, in_kernel, remove_all, sorted,
};
use crate::harness::snapshot::Snapshot;
use crate::harness::*;
use crate::tests;
use std::time::{Duration, Instant};

pub const TESTS: &[runner::Test] = tests![
    a_withdrawal_of_a_thousand_ports_that_died_is_undone_at_once,
    a_take_over_whose_old_ports_cannot_be_given_back_is_done_all_the_same.seconds(120),
    ports_of_a_sandbox_whose_record_is_gone_by_then_are_taken_back,
    ports_that_cannot_be_taken_back_at_once_stay_leased_until_they_are,
    ports_of_a_death_whose_sandbox_lost_its_record_stay_leased_until_rm,
    what_cannot_claim_both_of_its_names_changes_nothing,
    a_container_that_is_being_started_never_seems_to_have_been_killed.seconds(120),
    a_repair_that_cannot_be_waited_for_is_no_zombie.seconds(60),
];

fn at(call: libc::c_long, index: usize, fault: Fault) -> Point {
    Point {
        role: Role::default(),
        index,
        of: u64::try_from(call).ok(),
        fault,
    }
}

fn leased() -> Vec<String> {
    sorted(oracle::entries("/run/netcell/ports"))
}

fn a_withdrawal_of_a_thousand_ports_that_died_is_undone_at_once() {
    cell("create --name web -p 8000-8999:8000-8999").ok();
    let line = ["unpublish", "web", "8000-8999:8000-8999"];
    let died = fault_at(&line, &at(libc::SYS_sendto, 0, Fault::Kill));
    assert!(died.reached, "{}", died.output);
    assert_eq!(oracle::entries(INTENTS), ["web"]);
    let started = Instant::now();
    cell("ps -a").quiet();
    let took = started.elapsed();
    assert!(took < Duration::from_secs(3), "undone within {took:?}");
    assert_eq!(oracle::entries(INTENTS), [""; 0]);
    assert_eq!(elements("map", "publish4").len(), 1000);
    assert_eq!(leased().len(), 1000);
    cell("rm web").ok();
    no_port_is_published();
}

fn a_take_over_whose_old_ports_cannot_be_given_back_is_done_all_the_same() {
    let begin = || {
        cell("create --name main -p 8080:80 -p 8081:81 alpine true").ok();
        cell("create --name side --network container:main alpine true").ok();
        cell("rm main").ok();
    };
    let line = [
        "create", "--name", "main", "-p", "9090:90", "alpine", "true",
    ];
    begin();
    let calls = &record(&line).calls[&Role::default()];
    let unlinks = calls.iter().filter(|call| call.is(libc::SYS_unlinkat));
    let unlinks = unlinks.count();
    assert!(unlinks >= 4, "two leases and their directories: {unlinks}");
    remove_all();
    for index in 0..unlinks {
        begin();
        let trace = fault_at(
            &line,
            &at(libc::SYS_unlinkat, index, Fault::Fail(libc::EROFS)),
        );
        assert!(trace.reached, "{}", trace.output);
        assert_eq!(
            trace.ended,
            Some(sys::Ended::Code(0)),
            "{}: {}",
            trace.place,
            trace.output
        );
        // The next command does the rest.
        assert_eq!(cell("port main").quiet(), "90/tcp -> 0.0.0.0:9090");
        assert_eq!(in_kernel(), ["9090"], "{}", trace.place);
        assert_eq!(leased(), ["tcp-9090"], "{}", trace.place);
        assert_eq!(oracle::entries(INTENTS), [""; 0], "{}", trace.place);
        remove_all();
    }
}

fn ports_of_a_sandbox_whose_record_is_gone_by_then_are_taken_back() {
    const RECORD: &str = "/run/netcell/sandboxes/web/record.json";
    cell("create --name web -p 8080:80").ok();
    let record = step("read a record", std::fs::read(RECORD));
    let trace = hold_at(
        &["publish", "web", "9090:90", "9091:91"],
        (libc::SYS_sendto, 0),
        &mut || step("lose a record", std::fs::remove_file(RECORD)),
    );
    assert!(trace.reached, "{}", trace.output);
    assert_eq!(trace.ended, Some(sys::Ended::Code(1)), "{}", trace.output);
    assert_eq!(in_kernel(), ["8080"], "{}", trace.output);
    assert_eq!(leased(), ["tcp-8080"], "{}", trace.output);
    assert_eq!(oracle::entries(INTENTS), [""; 0]);
    step("put a record back", std::fs::write(RECORD, record));
    cell("rm web").ok();
}

fn ports_that_cannot_be_taken_back_at_once_stay_leased_until_they_are() {
    const SANDBOX: &str = "/run/netcell/sandboxes/web";
    cell("create --name web -p 8080:80").ok();
    for flags in [0, libc::MS_REMOUNT | libc::MS_RDONLY] {
        let mounted = sys::mount(SANDBOX, SANDBOX, "", libc::MS_BIND | flags, "");
        step("make a record read-only", mounted);
    }
    let line = ["publish", "web", "9090:90"];
    for fault in [Fault::Fail(libc::EPERM), Fault::FailOn(libc::EPERM)] {
        let trace = fault_at(&line, &at(libc::SYS_sendto, 1, fault));
        assert!(trace.reached, "{}", trace.output);
        assert_eq!(trace.ended, Some(sys::Ended::Code(1)), "{}", trace.output);
        let leases = leased();
        assert_eq!(
            leases.len(),
            in_kernel().len(),
            "{leases:?} {}",
            trace.output
        );
        // The next command does the rest.
        cell("ps -a").quiet();
        assert_eq!(in_kernel(), ["8080"], "{}", trace.output);
        assert_eq!(leased(), ["tcp-8080"], "{}", trace.output);
        assert_eq!(oracle::entries(INTENTS), [""; 0]);
    }
    step("unmount", sys::umount(SANDBOX));
    cell("rm web").ok();
}

fn ports_of_a_death_whose_sandbox_lost_its_record_stay_leased_until_rm() {
    cell("create --name web -p 8080:80 alpine true").ok();
    let line = ["publish", "web", "9090:90"];
    let calls = &record(&line).calls[&Role::default()];
    let sent = calls.iter().rposition(|call| call.is(libc::SYS_sendto));
    let mut after = calls[sent.expect("it is sent")..].iter();
    let lock = after.find(|call| call.is(libc::SYS_flock));
    let lock = lock.expect("it is committed").nth;
    cell("unpublish web 9090:90").ok();
    let died = fault_at(&line, &at(libc::SYS_flock, lock, Fault::Kill));
    assert!(died.reached, "{}", died.output);
    step(
        "lose a record",
        std::fs::remove_file("/run/netcell/sandboxes/web/record.json"),
    );
    cell("create --name thief -p 9090:90").refused(1, &["sandbox web"]);
    assert_eq!(oracle::entries(INTENTS), [""; 0]);
    assert_eq!(in_kernel(), ["8080", "9090"]);
    assert_eq!(leased(), ["tcp-8080", "tcp-9090"]);
    cell("rm web").quiet();
    no_port_is_published();
}

fn what_cannot_claim_both_of_its_names_changes_nothing() {
    cell("create --name main alpine true").ok();
    cell("create --name side --network container:main alpine true").ok();
    cell("rm main").ok();
    let before = Snapshot::at_rest();
    for line in [&["rename", "side", "last"][..], &["rm", "side"]] {
        let trace = fault_at(line, &at(libc::SYS_linkat, 0, Fault::Fail(libc::EPERM)));
        assert!(trace.reached, "{line:?}: {}", trace.output);
        assert_eq!(trace.ended, Some(sys::Ended::Code(1)), "{}", trace.output);
        let differences = before.differences(&Snapshot::at_rest());
        assert_eq!(differences, Vec::<String>::new(), "{line:?}");
    }
    cell("rm side").ok();
}

const LOOK: &str = "inspect --format {{.State.ExitCode}} web";

fn a_container_that_is_being_started_never_seems_to_have_been_killed() {
    let line = ["start", "web"];
    cell("run --name web alpine false").exits(1);
    let calls = &record(&line).calls[&Role::default()];
    let locks = calls.iter().filter(|call| call.is(libc::SYS_flock));
    let locks = locks.count();
    cell("wait web").ok();
    for index in 0..locks {
        let mut looks = None;
        let trace = hold_at(&line, (libc::SYS_flock, index), &mut || {
            let mut child = begin(LOOK);
            ended_or_waiting(&mut child, SHORT);
            looks = Some(child);
        });
        let seen = command::collect(looks.expect("a look"), LOOK.into()).quiet();
        assert_ne!(seen, "137", "{index} of {locks}: {}", trace.output);
        cell("wait web").ok();
    }
    cell("rm web").ok();
}

fn a_repair_that_cannot_be_waited_for_is_no_zombie() {
    cell("create --name web -p 8080:80").ok();
    // What is lost before the watcher listens is mended by its first pass, and not by a process that it waits for.
    let script = "for round in 1 2; do
            until [ -e /run/netcell/watch/lock ] && grep -q \":$(stat -c %i /run/netcell/watch/lock) \" /proc/locks; do sleep 0.1; done
            nft flush ruleset
            until nft list map inet netcell publish4 | grep -q 8080; do sleep 0.1; done
        done
        for look in $(seq 50); do
            zombies=$(cat /proc/[0-9]*/status | grep -c '^State:.Z')
            [ $zombies = 0 ] && break
            sleep 0.1
        done
        echo $zombies >/tmp/zombies
        pkill -TERM -f '[r]econcile --watch'";
    let mut other = std::process::Command::new("sh");
    let other = Background::spawn(other.args(["-c", script]));
    let watch = fault_at(
        &["reconcile", "--watch"],
        &at(libc::SYS_pidfd_open, 0, Fault::Fail(libc::EMFILE)),
    );
    assert!(watch.reached, "{}", watch.output);
    drop(other);
    assert_eq!(std::fs::read_to_string("/tmp/zombies").unwrap(), "0\n");
    // The next one was.
    assert_eq!(in_kernel(), ["8080"], "{}", watch.output);
    cell("rm web").ok();
}
