//! `--restart`: containers that are started again when they end, by whoever watched them.

use crate::harness::*;
use crate::tests;
use std::time::{Duration, Instant};

pub const TESTS: &[runner::Test] = tests![
    a_stop_does_not_wait_for_an_operation_that_nobody_is_at,
    always_starts_again_whatever_the_exit_code,
    on_failure_starts_again_so_often_and_no_more,
    unless_stopped_starts_again_until_it_is_stopped,
    without_a_policy_it_stays_ended,
    the_pause_doubles_and_is_shown,
    stop_and_kill_end_a_container_for_good,
    a_container_that_waits_for_its_start_can_be_stopped_started_and_removed,
    the_foreground_and_wait_end_with_the_first_run,
    address_and_ports_stay_over_restarts,
    nothing_of_an_earlier_start_is_left,
    a_command_that_cannot_be_executed_is_not_tried_again,
    what_starts_again_is_not_killed_by_a_pipe_without_reader,
    a_name_that_is_given_to_another_container_is_not_started,
    policies_that_make_no_sense_are_refused,
];

fn a_stop_does_not_wait_for_an_operation_that_nobody_is_at() {
    run("web", "always", "sleep 1000");
    let left = "/run/netcell/intents/web";
    step("leave an intent", std::fs::write(left, ""));
    let answer = cell("stop -t 0 web").exits(1);
    assert!(answer.stderr.contains(left), "{answer:?}");
    step("remove it", std::fs::remove_file(left));
    cell("rm -f web").ok();
}

fn inspect(name: &str, template: &str) -> String {
    netcell(&["inspect", name, "--format", template]).quiet()
}

fn restarts(name: &str) -> u32 {
    inspect(name, "{{.RestartCount}}").parse().unwrap()
}

/// Runs a script in a detached container of this name with this policy.
fn run(name: &str, policy: &str, script: &str) {
    netcell(&[
        "run",
        "-d",
        "--name",
        name,
        "--restart",
        policy,
        "alpine",
        "sh",
        "-c",
        script,
    ])
    .ok();
}

fn always_starts_again_whatever_the_exit_code() {
    for code in [0, 1] {
        run(
            "web",
            "always",
            &format!("echo run; sleep 0.05; exit {code}"),
        );
        wait_until("it was started again twice", || restarts("web") >= 2);
        assert!(cell("logs web").ok().lines().count() >= 2);
        assert_eq!(
            inspect("web", "{{json .HostConfig.RestartPolicy}}"),
            r#"{"Name":"always","MaximumRetryCount":0}"#
        );
        cell("rm -f web").ok();
    }
}

fn on_failure_starts_again_so_often_and_no_more() {
    run("web", "on-failure:3", "echo run; exit 5");
    wait_until("it has ended for good", || {
        inspect("web", "{{.State.Status}} {{.RestartCount}}") == "exited 3"
    });
    std::thread::sleep(Duration::from_millis(1000));
    assert_eq!(cell("logs web").quiet().lines().count(), 4);
    assert_eq!(
        inspect(
            "web",
            "{{.State.ExitCode}} {{.RestartCount}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}"
        ),
        "5 3 3"
    );
    cell("rm web").ok();
    run("web", "on-failure", "exit 0");
    wait_until("it has ended", || {
        inspect("web", "{{.State.Status}}") == "exited"
    });
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(
        inspect("web", "{{.State.Status}} {{.RestartCount}}"),
        "exited 0"
    );
    cell("rm web").ok();
}

fn unless_stopped_starts_again_until_it_is_stopped() {
    run("web", "unless-stopped", "sleep 0.05");
    wait_until("it was started again", || restarts("web") >= 1);
    cell("stop -t 0 web").ok();
    let count = restarts("web");
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(inspect("web", "{{.State.Status}}"), "exited");
    assert_eq!(restarts("web"), count);
    // Started by hand it is on its own again.
    cell("start web").ok();
    wait_until("it was started again", || restarts("web") >= 1);
    cell("rm -f web").ok();
}

fn without_a_policy_it_stays_ended() {
    run("web", "no", "exit 1");
    wait_until("it has ended", || {
        inspect("web", "{{.State.Status}}") == "exited"
    });
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(
        inspect(
            "web",
            "{{.State.Status}} {{.HostConfig.RestartPolicy.Name}}"
        ),
        "exited no"
    );
    cell("rm web").ok();
}

fn the_pause_doubles_and_is_shown() {
    run(
        "web",
        "always",
        "date +%s.%N 2>/dev/null; cat /proc/uptime; exit 7",
    );
    wait_until("it waits for its fifth start", || restarts("web") >= 5);
    // 1.6 s: long enough to be seen.
    wait_until("it waits", || {
        inspect("web", "{{.State.Status}}") == "restarting"
    });
    let seen = inspect(
        "web",
        "{{.State.Running}} {{.State.Restarting}} {{.State.ExitCode}} {{.State.Pid}}",
    );
    assert_eq!(seen, "true true 7 0");
    assert!(cell("ps").ok().contains("Restarting (7) "));
    cell("exec web true").refused(1, &["not running"]);
    let log = cell("logs web").ok();
    let starts: Vec<f64> = log
        .lines()
        .filter(|line| line.contains(' '))
        .map(|line| line.split(' ').next().unwrap().parse().unwrap())
        .collect();
    let pauses: Vec<f64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (pause, least) in pauses.iter().zip([0.1, 0.2, 0.4, 0.8]) {
        assert!(*pause >= least && *pause < least + 2.0, "{pauses:?}");
    }
    cell("rm -f web").ok();
}

fn stop_and_kill_end_a_container_for_good() {
    for line in ["stop -t 0 web", "kill web", "kill -s TERM web"] {
        run(
            "web",
            "always",
            "trap 'exit 1' TERM; echo up; while :; do sleep 0.02; done",
        );
        wait_until("it is up", || cell("logs web").ok().contains("up"));
        cell(line).ok();
        wait_until("it has ended", || {
            inspect("web", "{{.State.Status}}") == "exited"
        });
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(inspect("web", "{{.State.Status}}"), "exited", "{line}");
        cell("rm web").ok();
    }
    // Another signal that ends it does not.
    run(
        "web",
        "always",
        "trap 'exit 1' USR1; echo up; while :; do sleep 0.02; done",
    );
    wait_until("it is up", || cell("logs web").ok().contains("up"));
    cell("kill -s USR1 web").ok();
    wait_until("it was started again", || restarts("web") == 1);
    cell("rm -f web").ok();
}

fn a_container_that_waits_for_its_start_can_be_stopped_started_and_removed() {
    let waiting = || {
        run("web", "always", "exit 7");
        wait_until("it waits long enough", || {
            inspect("web", "{{.State.Status}}") == "restarting" && restarts("web") >= 4
        });
    };
    waiting();
    cell("rm web").refused(1, &["cannot remove"]);
    cell("stop web").ok();
    assert_eq!(inspect("web", "{{.State.Status}}"), "exited");
    std::thread::sleep(Duration::from_millis(1000));
    assert_eq!(
        inspect("web", "{{.State.Status}} {{.State.ExitCode}}"),
        "exited 7"
    );
    cell("rm web").ok();
    waiting();
    cell("kill web").ok();
    assert_eq!(inspect("web", "{{.State.Status}}"), "exited");
    cell("rm web").ok();
    waiting();
    let before = restarts("web");
    cell("start web").ok();
    wait_until("it goes on", || restarts("web") > before);
    cell("rm -f web").ok();
    assert_eq!(containers(), 0);
    std::thread::sleep(Duration::from_millis(1000));
    assert_eq!(containers(), 0);
}

fn the_foreground_and_wait_end_with_the_first_run() {
    let started = Instant::now();
    netcell(&[
        "run",
        "--name",
        "web",
        "--restart",
        "always",
        "alpine",
        "sh",
        "-c",
        "echo out; exit 9",
    ])
    .exits(9);
    assert!(started.elapsed() < Duration::from_secs(9));
    cell("rm -f web").ok();
    run("web", "always", "sleep 0.5; exit 6");
    assert_eq!(cell("wait web").quiet(), "6");
    cell("rm -f web").ok();
}

fn address_and_ports_stay_over_restarts() {
    netcell(&[
        "run",
        "-d",
        "--name",
        "web",
        "--restart",
        "always",
        "-p",
        "8080:80",
        "alpine",
        "sh",
        "-c",
        "httpd -p 80 -h /www; sleep 0.4",
    ])
    .ok();
    let key = (address_in("web", "eth0"), elements("map", "publish4"));
    wait_until("it was started again", || restarts("web") >= 2);
    assert_eq!(
        (address_in("web", "eth0"), elements("map", "publish4")),
        key
    );
    cell("rm -f web").ok();
    no_port_is_published();
}

fn nothing_of_an_earlier_start_is_left() {
    run("web", "always", "exit 0");
    wait_until("it was started again often", || restarts("web") >= 4);
    // One process waits, or one monitor watches; none of those before them lives on.
    let processes = processes_with("netcell:again").len() + processes_with(boxes::BINARY).len();
    assert!(processes <= 2, "{processes}");
    // While it starts the container it has more, for a moment.
    wait_until("one that waits has its stdio alone", || {
        let waiting = processes_with("netcell:again");
        let fds = |pid: &sys::Pid| oracle::entries(&format!("/proc/{pid}/fd")).len();
        waiting.first().is_none_or(|pid| fds(pid) <= 3)
    });
    cell("rm -f web").ok();
    // What waits finds nothing to do, and ends.
    wait_until("nothing waits", || {
        processes_with("netcell:again").is_empty()
    });
}

/// Its word to a monitor that is gone may meet one, and then it still has to write down why nothing was started.
fn what_starts_again_is_not_killed_by_a_pipe_without_reader() {
    run("web", "always", "exit 1");
    let ignored = || {
        let waiting = processes_with("netcell:again").into_iter().next()?;
        let mask = oracle::status(waiting, "SigIgn")?;
        Some(u64::from_str_radix(&mask, 16).unwrap_or(0) >> (libc::SIGPIPE - 1) & 1)
    };
    wait_until("it waits with SIGPIPE ignored", || ignored() == Some(1));
    cell("rm -f web").ok();
}

fn a_command_that_cannot_be_executed_is_not_tried_again() {
    cell("run -d --name web --restart always alpine nosuchcommand")
        .refused(127, &["nosuchcommand"]);
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(
        inspect("web", "{{.State.Status}} {{.RestartCount}}"),
        "created 0"
    );
    cell("rm web").ok();
}

fn a_name_that_is_given_to_another_container_is_not_started() {
    run("web", "always", "exit 7");
    wait_until("it waits", || {
        inspect("web", "{{.State.Status}}") == "restarting" && restarts("web") >= 3
    });
    cell("rm -f web").ok();
    cell("create --name web alpine sleep 1000").ok();
    std::thread::sleep(Duration::from_millis(1000));
    assert_eq!(inspect("web", "{{.State.Status}}"), "created");
    cell("rm web").ok();
}

fn policies_that_make_no_sense_are_refused() {
    for (policy, text) in [
        (
            "sometimes",
            "invalid restart policy: unknown policy 'sometimes'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
        ),
        (
            "always:3",
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ),
        (
            "on-failure:x",
            "invalid restart policy format: maximum retry count must be an integer",
        ),
    ] {
        netcell(&["run", "-d", "--restart", policy, "alpine", "true"]).refused(125, &[text]);
    }
    cell("run -d --rm --restart always alpine true").refused(
        125,
        &["conflicting options: cannot specify both --restart and --rm"],
    );
    cell("run --rm --restart no alpine true").ok();
    assert_eq!(containers(), 0);
}
