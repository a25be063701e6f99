//! What `run` and `create` can be told beside the network: volumes, labels, capabilities, limits, an init.

use crate::harness::*;
use crate::tests;
use std::fs;
use std::path::Path;

pub const TESTS: &[runner::Test] = tests![
    labels_are_kept_and_shown,
    environments_and_labels_come_from_files,
    capabilities_are_added_and_dropped,
    exec_has_the_containers_capabilities_and_groups,
    privileged_has_everything,
    an_init_reaps_and_hands_signals_on,
    an_init_on_a_terminal_and_without_a_program,
    stop_sends_the_signal_it_was_told,
    limits_are_set_and_exec_has_them,
    groups_are_added,
    sysctls_are_of_the_containers_namespaces,
    an_entrypoint_has_the_command_as_its_arguments,
    a_sandbox_alone_has_no_process_to_set_things_for,
];

fn inspect(name: &str, template: &str) -> String {
    netcell(&["inspect", name, "--format", template]).quiet()
}

fn maps_one_id_alone() -> bool {
    fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.trim().ends_with(" 1"))
}

/// Runs a shell's script in a container with these options.
fn sh(options: &str, script: &str) -> Output {
    let mut words = vec!["run", "--rm"];
    words.extend(options.split(' ').filter(|word| !word.is_empty()));
    words.extend(["alpine", "sh", "-c", script]);
    netcell(&words)
}

fn labels_are_kept_and_shown() {
    cell("create --name web -l a=1 --label b --label c=x=y -l a=2 alpine true").ok();
    assert_eq!(
        inspect("web", "{{json .Config.Labels}}"),
        r#"{"a":"2","b":"","c":"x=y"}"#
    );
    cell("rm web").ok();
    cell("create --name web -l =x alpine true").refused(1, &["invalid label"]);
}

fn environments_and_labels_come_from_files() {
    let file = "/tmp/file";
    fs::write(
        file,
        "# a comment\n\n  A=from the file\nB=2\nCALLERS\nNOBODYS\n",
    )
    .unwrap();
    let mut run = netcell_command(&[
        "run",
        "--rm",
        "--env-file",
        file,
        "-e",
        "B=3",
        "alpine",
        "env",
    ]);
    run.env("CALLERS", "own");
    let env = command::finish(run, "").ok();
    for line in ["A=from the file", "B=3", "CALLERS=own"] {
        assert!(env.lines().any(|l| l == line), "{line} is not in {env}");
    }
    assert!(!env.contains("NOBODYS"), "{env}");
    fs::write(file, "a=1\n#b=2\nc\n").unwrap();
    cell("create --name web --label-file /tmp/file -l a=2 alpine true").ok();
    assert_eq!(
        inspect("web", "{{json .Config.Labels}}"),
        r#"{"a":"2","c":""}"#
    );
    cell("rm web").ok();
    let many: String = (0..20_000).map(|n| format!("{n:05}={n}\n")).collect();
    fs::write(file, many).unwrap();
    cell("create --name web --label-file /tmp/file alpine true").ok();
    let labels = inspect("web", "{{json .Config.Labels}}");
    assert_eq!(labels.matches(',').count(), 19_999);
    assert!(labels.ends_with(r#","19998":"19998","19999":"19999"}"#));
    let listed = "ps -a --filter label=19999=19999 --format {{.Names}}";
    assert_eq!(cell(listed).ok(), "web");
    cell("rm web").ok();
    sh("--env-file /nosuch", "true").refused(125, &["/nosuch", "No such file"]);
    sh("--label-file /nosuch", "true").refused(125, &["/nosuch", "No such file"]);
    fs::write(file, "A B=1\n").unwrap();
    sh("--env-file /tmp/file", "true").refused(125, &["/tmp/file", "whitespaces"]);
    fs::remove_file(file).unwrap();
}

/// The capabilities of a container's process, as the kernel has them.
fn capabilities(options: &str) -> [u64; 2] {
    let said = sh(options, "grep -E 'Cap(Eff|Bnd)' /proc/self/status").ok();
    let mut sets = said
        .lines()
        .map(|line| u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap());
    [sets.next().unwrap(), sets.next().unwrap()]
}

fn capabilities_are_added_and_dropped() {
    const DEFAULT: u64 = 0xa804_25fb;
    assert_eq!(capabilities(""), [DEFAULT; 2]);
    assert_eq!(capabilities("--cap-add net_admin"), [DEFAULT | 1 << 12; 2]);
    assert_eq!(
        capabilities("--cap-drop CAP_NET_RAW --cap-drop chown"),
        [DEFAULT & !(1 << 13 | 1); 2]
    );
    assert_eq!(capabilities("--cap-drop=ALL"), [0; 2]);
    assert_eq!(
        capabilities("--cap-drop=all --cap-add=CAP_KILL"),
        [1 << 5; 2]
    );
    // All that this test has itself.
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let own = own
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:"))
        .unwrap();
    let all = u64::from_str_radix(own.trim(), 16).unwrap();
    assert_eq!(capabilities("--cap-add ALL"), [all; 2]);
    assert_eq!(
        capabilities("--cap-add ALL --cap-drop sys_admin"),
        [all & !(1 << 21); 2]
    );
    // A capability that does something: addresses can be changed with it, and only with it.
    assert_ne!(sh("", "ip address add 10.9.9.9/32 dev eth0").code, 0);
    sh("--cap-add NET_ADMIN", "ip address add 10.9.9.9/32 dev eth0").ok();
    sh("--cap-add NOSUCH", "true")
        .refused(125, &["invalid CapAdd", "unknown capability", "NOSUCH"]);
    sh("--cap-drop x", "true").refused(125, &["invalid CapDrop", "unknown capability"]);
    cell("create --name web --cap-add net_admin --cap-drop all alpine true").ok();
    assert_eq!(
        inspect(
            "web",
            "{{json .HostConfig.CapAdd}} {{json .HostConfig.CapDrop}}"
        ),
        r#"["CAP_NET_ADMIN"] ["ALL"]"#
    );
    cell("rm web").ok();
}

fn exec_has_the_containers_capabilities_and_groups() {
    let groups = if maps_one_id_alone() {
        ""
    } else {
        "--group-add 77 "
    };
    cell(&format!(
        "run -d --name web --cap-add net_admin {groups}--ulimit nofile=100 alpine sleep 1000"
    ))
    .ok();
    let status = cell("exec web cat /proc/self/status").quiet();
    assert!(status.contains("CapEff:\t00000000a80435fb"), "{status}");
    if !groups.is_empty() {
        assert!(
            cell("exec web id -G")
                .quiet()
                .split(' ')
                .any(|id| id == "77")
        );
    }
    assert_eq!(
        netcell(&["exec", "web", "sh", "-c", "ulimit -n"]).quiet(),
        "100"
    );
    cell("rm -f web").ok();
}

fn privileged_has_everything() {
    let device_nodes = sys::uid() == 0 && !maps_one_id_alone();
    let script = "grep NoNewPrivs /proc/self/status; echo 1 >/proc/sys/net/ipv4/ip_forward && echo set; ls /proc/kcore >/dev/null && mount -t tmpfs x /mnt 2>/dev/null || mount -t tmpfs x /tmp && echo mounted";
    let said = sh("--privileged", script).ok();
    assert!(
        said.contains("NoNewPrivs:\t0") && said.contains("set") && said.contains("mounted"),
        "{said}"
    );
    cell("create --name web --privileged alpine true").ok();
    assert_eq!(inspect("web", "{{.HostConfig.Privileged}}"), "true");
    cell("rm web").ok();
    if device_nodes && Path::new("/dev/kmsg").exists() {
        assert_eq!(
            sh("--privileged", "test -c /dev/kmsg && echo there").ok(),
            "there"
        );
        assert_eq!(sh("", "test -e /dev/kmsg || echo away").ok(), "away");
        // It has terminals of its own all the same.
        assert_eq!(sh("--privileged -t", "tty").ok(), "/dev/pts/0\r");
    }
}

fn an_init_reaps_and_hands_signals_on() {
    let said = sh("--init", "echo $$; cat /proc/1/comm").ok();
    assert_eq!(said, "2\ninit");
    assert_eq!(sh("--init", "exit 42").code, 42);
    assert_eq!(sh("--init", "kill -KILL $$").code, 137);
    // A program that does not handle SIGTERM is ended by it, which a first process is not.
    cell("run -d --init --name web alpine sleep 1000").ok();
    netcell(&[
        "exec",
        "web",
        "sh",
        "-c",
        "(sleep 0.1 & exec sleep 0.05) & wait",
    ])
    .ok();
    wait_until("orphans are reaped", || {
        netcell(&["exec", "web", "sh", "-c", "ps -o stat | grep -c Z"])
            .stdout
            .trim()
            == "0"
    });
    let started = std::time::Instant::now();
    cell("stop web").ok();
    assert!(started.elapsed().as_secs() < 9);
    assert_eq!(
        inspect("web", "{{.State.ExitCode}} {{.HostConfig.Init}}"),
        "143 true"
    );
    cell("rm web").ok();
    // It keeps nothing open but stdio, and cannot be looked into.
    cell("run -d --init --name web alpine sleep 1000").ok();
    let pid: sys::Pid = inspect("web", "{{.State.Pid}}").parse().unwrap();
    let open: Vec<String> = oracle::entries(&format!("/proc/{pid}/fd"))
        .into_iter()
        .filter(|fd| fd.len() > 1 || fd.as_str() > "2")
        .collect();
    for fd in open {
        let what = fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap();
        assert!(
            what.to_string_lossy().starts_with("anon_inode:"),
            "{fd}: {what:?}"
        );
    }
    assert_ne!(cell("exec web readlink /proc/1/fd/3").code, 0);
    assert_ne!(cell("exec web cat /proc/1/exe").code, 0);
    cell("rm -f web").ok();
}

fn an_init_on_a_terminal_and_without_a_program() {
    let mut user = Typist::cell("run -it --init --rm alpine sh");
    user.prompt();
    assert!(user.says("tty; echo $$").contains("/dev/pts/0\r\n2\r\n"));
    user.types("sleep 1000\r");
    wait_until("the sleep runs", || processes_with("sleep 1000").len() == 1);
    user.types("\x03");
    user.prompt();
    user.types("exit 3\r");
    assert_eq!(user.ends().0, 3);
    cell("run --rm --init alpine nosuchcommand").refused(127, &["nosuchcommand"]);
    cell("run --rm --init alpine /etc").refused(126, &["/etc"]);
    assert_eq!(containers(), 0);
}

fn stop_sends_the_signal_it_was_told() {
    let script = "trap 'exit 3' USR1; trap '' TERM; echo up; while :; do sleep 0.05; done";
    netcell(&[
        "run",
        "-d",
        "--name",
        "web",
        "--stop-signal",
        "SIGUSR1",
        "alpine",
        "sh",
        "-c",
        script,
    ])
    .ok();
    wait_until("its traps are set", || cell("logs web").stdout == "up\n");
    cell("stop web").ok();
    assert_eq!(
        inspect("web", "{{.State.ExitCode}} {{.Config.StopSignal}}"),
        "3 SIGUSR1"
    );
    cell("rm web").ok();
    cell("run -d --name web --stop-timeout 1 alpine sleep 1000").ok();
    let started = std::time::Instant::now();
    cell("stop web").ok();
    assert!((1..9).contains(&started.elapsed().as_secs()));
    assert_eq!(
        inspect("web", "{{.State.ExitCode}} {{.Config.StopTimeout}}"),
        "137 1"
    );
    cell("rm web").ok();
    sh("--stop-signal NOSUCH", "true").refused(125, &["Invalid signal: NOSUCH"]);
    sh("--stop-timeout x", "true").refused(125, &["--stop-timeout"]);
    // Of several that are wrong it is the one that is named.
    let wrong = "--restart x --ulimit x --stop-signal NOSUCH --stop-timeout x --volume x";
    sh(wrong, "true").refused(125, &["--stop-timeout"]);
}

fn limits_are_set_and_exec_has_them() {
    let said = sh(
        "--ulimit nofile=64:128 --ulimit core=0",
        "ulimit -Sn; ulimit -Hn; ulimit -c",
    )
    .ok();
    assert_eq!(said, "64\n128\n0");
    sh("--ulimit nofile=2:1", "true").refused(125, &["less than or equal to hard limit: 2 > 1"]);
    sh("--ulimit nosuch=1", "true").refused(125, &["invalid ulimit type: nosuch"]);
    sh("--ulimit nofile", "true").refused(125, &["invalid ulimit argument: nofile"]);
    cell("create --name web --ulimit nofile=64:128 alpine true").ok();
    assert_eq!(
        inspect("web", "{{json .HostConfig.Ulimits}}"),
        r#"[{"Name":"nofile","Hard":128,"Soft":64}]"#
    );
    cell("rm web").ok();
}

fn groups_are_added() {
    if maps_one_id_alone() {
        return;
    }
    assert_eq!(
        sh("--group-add extra --group-add 77", "id -G").ok(),
        "0 77 2000"
    );
    assert_eq!(sh("-u user --group-add 77", "id -G").ok(), "1000 77 2000");
    sh("--group-add nosuch", "true").refused(125, &["unable to find group nosuch"]);
}

fn sysctls_are_of_the_containers_namespaces() {
    let options = "--sysctl net.ipv4.tcp_syn_retries=3 --sysctl net.ipv4.conf.IFNAME.log_martians=1 --sysctl kernel.msgmax=12345";
    let script = "cd /proc/sys; cat net/ipv4/tcp_syn_retries net/ipv4/conf/eth0/log_martians kernel/msgmax; echo 1 >net/ipv4/ip_forward || echo closed";
    let host = fs::read_to_string("/proc/sys/net/ipv4/tcp_syn_retries").unwrap();
    assert_eq!(sh(options, script).ok(), "3\n1\n12345\nclosed");
    assert_eq!(
        fs::read_to_string("/proc/sys/net/ipv4/tcp_syn_retries").unwrap(),
        host
    );
    for bad in ["kernel.core_pattern=x", "vm.swappiness=1", "net.ipv4.x"] {
        sh(&format!("--sysctl {bad}"), "true").refused(125, &["sysctl", bad, "is not allowed"]);
    }
    sh("--sysctl net.ipv4.nosuch=1", "true").refused(125, &["net.ipv4.nosuch", "no such sysctl"]);
    sh("--network host --sysctl net.ipv4.ip_forward=1", "true")
        .refused(125, &["not allowed in host network namespace"]);
}

fn an_entrypoint_has_the_command_as_its_arguments() {
    assert_eq!(cell("run --rm --entrypoint echo alpine a b").ok(), "a b");
    assert_eq!(
        cell("run --rm --entrypoint /bin/hostname -h box1 alpine").ok(),
        "box1"
    );
    cell("create --name web --entrypoint echo alpine a b").ok();
    assert_eq!(
        inspect(
            "web",
            "{{json .Config.Entrypoint}} {{json .Config.Cmd}} {{.Path}} {{json .Args}}"
        ),
        r#"["echo"] ["a","b"] echo ["a","b"]"#
    );
    cell("rm web").ok();
}

fn a_sandbox_alone_has_no_process_to_set_things_for() {
    cell("create --name lab -v /tmp:/x").refused(1, &["sandbox alone", "--volume"]);
    cell("create --name lab --cap-add ALL").refused(1, &["sandbox alone", "--cap-add"]);
    cell("run -it --rm alpine").refused(125, &["No command specified", "alpine"]);
    cell("create --init alpine").refused(1, &["No command specified", "alpine"]);
    // Where the image was forgotten, that is what is wrong.
    for (line, code) in [
        ("run --rm -e A=1 true", 125),
        ("create --init true", 1),
        ("create true", 1),
    ] {
        cell(line).refused(code, &["Unable to find image 'true'"]);
    }
    assert_eq!(containers(), 0);
}
