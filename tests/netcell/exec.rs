//! `exec`: in a container it is the container's world, in a bare sandbox what `ip netns exec` is.

use crate::harness::*;
use crate::tests;
use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

pub const TESTS: &[runner::Test] = tests![
    it_runs_in_all_namespaces_of_the_container,
    its_output_and_exit_status_are_the_commands,
    what_cannot_be_executed_exits_126_or_127,
    environment_directory_and_user_are_as_asked,
    environment_and_directory_are_the_containers_by_default,
    stdin_is_handed_on_with_i_alone,
    detached_returns_at_once,
    it_has_the_containers_limits,
    a_container_that_does_not_run_is_refused,
    a_bare_sandbox_has_the_hosts_root_and_the_callers_privileges,
    a_bare_sandboxs_files_are_its_own,
    it_ends_with_its_command_though_what_that_left_behind_writes_on,
    names_ids_and_prefixes_all_name_the_container,
    an_exec_ends_with_its_container,
];

fn it_runs_in_all_namespaces_of_the_container() {
    cell("run -d --name web alpine sleep 1000").ok();
    for name in ["mnt", "pid", "uts", "ipc", "net"] {
        let seen = cell(&format!("exec web readlink /proc/self/ns/{name}")).quiet();
        let first = cell(&format!("exec web readlink /proc/1/ns/{name}")).quiet();
        assert_eq!(seen, first);
        assert_ne!(
            seen,
            std::fs::read_link(format!("/proc/self/ns/{name}"))
                .unwrap()
                .to_string_lossy()
        );
    }
    assert_eq!(cell("exec web cat /etc/image").quiet(), "of the image");
    cell("rm -f web").ok();
}

fn its_output_and_exit_status_are_the_commands() {
    cell("run -d --name web alpine sleep 1000").ok();
    let answer = netcell(&["exec", "web", "sh", "-c", "echo out; echo err >&2; exit 7"]).exits(7);
    assert_eq!(
        (answer.stdout.as_str(), answer.stderr.as_str()),
        ("out\n", "err\n")
    );
    netcell(&["exec", "web", "sh", "-c", "kill -TERM $$"]).exits(143);
    cell("rm -f web").ok();
}

fn what_cannot_be_executed_exits_126_or_127() {
    cell("run -d --name web alpine sleep 1000").ok();
    cell("exec web nosuchcommand").refused(127, &["nosuchcommand"]);
    cell("exec web /no/such").refused(127, &["/no/such"]);
    cell("exec web /etc").refused(126, &["/etc"]);
    let code = cell("exec -w /nosuch web true").code;
    assert!([126, 127].contains(&code), "{code}");
    cell("exec web").exits(1);
    cell("exec nosuch true").refused(1, &["nosuch"]);
    cell("rm -f web").ok();
}

fn environment_directory_and_user_are_as_asked() {
    cell("run -d --name web -e A=1 alpine sleep 1000").ok();
    let said = netcell(&[
        "exec",
        "-e",
        "B=2",
        "-e",
        "A=3",
        "-w",
        "/tmp",
        "web",
        "sh",
        "-c",
        "pwd; echo $A$B",
    ]);
    assert_eq!(said.quiet(), "/tmp\n32");
    cell("exec -u nosuch web id").refused(126, &["unable to find user nosuch"]);
    cell("exec -w tmp web pwd").refused(126, &["absolute path"]);
    if std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !map.trim().ends_with(" 1")) {
        assert_eq!(cell("exec -u 1000 web id -u").quiet(), "1000");
        assert_eq!(
            cell("exec -u user web id").quiet(),
            "uid=1000(user) gid=1000(user) groups=1000(user),2000(extra)"
        );
    }
    cell("rm -f web").ok();
}

fn environment_and_directory_are_the_containers_by_default() {
    cell("run -d --name web -e A=1 -w /home alpine sleep 1000").ok();
    assert_eq!(
        netcell(&["exec", "web", "sh", "-c", "pwd; echo $A"]).quiet(),
        "/home\n1"
    );
    cell("rm -f web").ok();
}

fn stdin_is_handed_on_with_i_alone() {
    cell("run -d --name web alpine sleep 1000").ok();
    assert_eq!(
        netcell_with(&["exec", "-i", "web", "cat"], "words\n").quiet(),
        "words"
    );
    assert_eq!(netcell_with(&["exec", "web", "cat"], "words\n").quiet(), "");
    cell("rm -f web").ok();
}

fn detached_returns_at_once() {
    cell("run -d --name web alpine sleep 1000").ok();
    assert_eq!(
        netcell(&[
            "exec",
            "-d",
            "web",
            "sh",
            "-c",
            "sleep 0.3; echo done >/tmp/done; sleep 1000"
        ])
        .quiet(),
        ""
    );
    assert!(
        cell("exec web cat /tmp/done").code != 0,
        "it was waited for"
    );
    wait_until("the detached command has run", || {
        cell("exec web cat /tmp/done").stdout == "done\n"
    });
    cell("rm -f web").ok();
}

fn it_has_the_containers_limits() {
    cell("run -d --name web alpine sleep 1000").ok();
    let status = cell("exec web cat /proc/self/status").quiet();
    for line in [
        "CapBnd:\t00000000a80425fb",
        "CapEff:\t00000000a80425fb",
        "CapInh:\t0000000000000000",
        "NoNewPrivs:\t1",
    ] {
        assert!(status.contains(line), "{line} is not in:\n{status}");
    }
    assert_ne!(cell("exec web ip link set eth0 down").code, 0);
    let list = cell("exec web ls /proc/self/fd").quiet();
    assert_eq!(list.lines().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    cell("rm -f web").ok();
}

fn a_container_that_does_not_run_is_refused() {
    cell("create --name web alpine sleep 1000").ok();
    cell("exec web true").refused(1, &["not running"]);
    cell("start web").ok();
    cell("exec web true").ok();
    cell("stop -t 0 web").ok();
    cell("exec web true").refused(1, &["not running"]);
    cell("rm web").ok();
}

fn a_bare_sandbox_has_the_hosts_root_and_the_callers_privileges() {
    cell("create --name bare").ok();
    let (address, prefix) = address_in("bare", "eth0");
    let seen = cell("exec bare ip -4 -o address show dev eth0").quiet();
    assert!(seen.contains(&format!("{address}/{prefix}")), "{seen}");
    let own = oracle::namespace_id(&pin("bare"));
    assert_eq!(
        cell("exec bare readlink /proc/self/ns/net").quiet(),
        format!("net:[{own}]")
    );
    let (mine, theirs) = (
        "/proc/self/status",
        cell("exec bare cat /proc/self/status").quiet(),
    );
    let mine = std::fs::read_to_string(mine).unwrap();
    let line = |text: &str| {
        text.lines()
            .find(|line| line.starts_with("CapEff"))
            .unwrap()
            .to_owned()
    };
    assert_eq!(line(&mine), line(&theirs));
    assert_eq!(
        cell("exec bare readlink /proc/self/ns/pid").quiet(),
        std::fs::read_link("/proc/self/ns/pid")
            .unwrap()
            .to_string_lossy()
    );
    // The sandbox's own devices are what /sys shows, as with `ip netns exec`.
    let shown = cell("exec bare ls /sys/class/net").quiet();
    assert_eq!(shown.lines().collect::<Vec<_>>(), ["eth0", "lo"]);
    netcell(&["exec", "bare", "sh", "-c", "exit 9"]).exits(9);
    cell("exec bare nosuchcommand").refused(127, &["nosuchcommand"]);
    cell("rm bare").ok();
}

fn a_bare_sandboxs_files_are_its_own() {
    cell("create --name bare --hostname inside").ok();
    let hosts = cell("exec bare cat /etc/hosts").quiet();
    let (address, _) = address_in("bare", "eth0");
    assert!(hosts.contains(&format!("{address}\tinside")), "{hosts}");
    cell("rm bare").ok();
}

fn it_ends_with_its_command_though_what_that_left_behind_writes_on() {
    cell("run -d --name web alpine sleep 1000").ok();
    for options in ["exec", "exec -t"] {
        let script = "head -c 20000 /dev/zero | tr '\\0' x; cat /dev/zero & sleep 0.2; exit 3";
        let mut line: Vec<&str> = options.split(' ').collect();
        line.extend(["web", "sh", "-c", script]);
        let mut command = netcell_command(&line);
        let mut exec = command.stdout(Stdio::piped()).spawn().unwrap();
        // Who reads slower than that writes never comes to an end of it.
        let (mut out, mut all, mut chunk) = (exec.stdout.take().unwrap(), Vec::new(), [0; 2048]);
        while let Ok(read @ 1..) = out.read(&mut chunk) {
            all.extend_from_slice(&chunk[..read]);
            std::thread::sleep(Duration::from_micros(200));
            assert!(all.len() < 64 << 20, "{options}: no end");
        }
        assert_eq!(exec.wait().unwrap().code(), Some(3), "{options}");
        // What the command itself wrote is there to the last byte.
        let own = all.iter().filter(|byte| **byte == b'x').count();
        assert_eq!(own, 20_000, "{options}");
    }
    cell("rm -f web").ok();
}

fn names_ids_and_prefixes_all_name_the_container() {
    let id = cell("run -d --name web alpine sleep 1000").ok();
    for name in ["web", &id, &id[..12], &id[..8]] {
        assert_eq!(cell(&format!("exec {name} echo yes")).quiet(), "yes");
    }
    cell("rm -f web").ok();
}

fn an_exec_ends_with_its_container() {
    cell("run -d --name web alpine sleep 1000").ok();
    let exec = netcell_command(&["exec", "web", "sleep", "2000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the exec runs", || !processes_with("sleep 2000").is_empty());
    cell("rm -f web").ok();
    command::collect(exec, "exec".to_owned()).exits(137);
}
