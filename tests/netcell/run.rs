//! `run`: the guide's lines, the process's world, and how its end and its output come back.

use crate::harness::*;
use crate::tests;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

pub const TESTS: &[runner::Test] = tests![
    the_guides_lines_work_as_written,
    a_path_and_the_hosts_root_stand_in_for_an_image,
    detached_prints_the_id_of_64_hex_digits,
    without_a_command_it_shows_the_new_namespace,
    without_a_command_the_hosts_root_is_shown_too,
    the_exit_status_is_the_commands,
    a_command_that_is_not_there_exits_127_and_one_that_cannot_be_executed_126,
    a_container_whose_command_cannot_be_executed_is_shown_created,
    a_container_killed_by_a_signal_exits_with_128_and_the_signal,
    stdout_and_stderr_stay_apart,
    stdin_is_empty_without_i_and_handed_on_with_it,
    signals_of_the_foreground_command_reach_the_container,
    rm_removes_the_container_at_its_end,
    rm_removes_a_detached_container_at_its_end,
    a_container_without_a_name_gets_one,
    dockers_spellings_of_options_are_understood,
    options_end_at_the_image,
    environment_directory_user_and_hostname_are_as_asked,
    the_callers_environment_stays_outside,
    the_command_is_pid_1_of_its_own_namespaces,
    network_none_has_lo_alone,
    network_host_is_the_hosts,
    published_ports_with_network_host_are_discarded_with_a_warning,
    proc_sys_and_dev_are_dockers,
    the_commands_descriptors_are_0_1_and_2,
    the_callers_descriptors_are_in_none_of_its_processes,
    the_working_directory_and_mask_of_the_caller_stay_outside,
];

fn the_guides_lines_work_as_written() {
    cell("run -d --name myapp alpine sleep 1000").ok();
    let addresses = cell("exec myapp ip addr").quiet();
    assert!(addresses.contains("inet 127.0.0.1/8"), "{addresses}");
    let (address, prefix) = address_in("myapp", "eth0");
    assert!(
        addresses.contains(&format!("inet {address}/{prefix}")),
        "{addresses}"
    );
    let routes = cell("exec myapp ip route").quiet();
    assert!(routes.starts_with("default via "), "{routes}");
    let key = netcell(&[
        "inspect",
        "myapp",
        "--format",
        "{{.NetworkSettings.SandboxKey}}",
    ])
    .quiet();
    assert_eq!(key, "/run/netns/myapp");
    cell("run -d --name main-container alpine httpd -f -p 80 -h /www").ok();
    cell("run -d --network container:main-container --name sidecar alpine sleep 1000").ok();
    wait_for_port(&pin("main-container"), 80);
    assert_eq!(
        cell("exec sidecar wget -q -O - http://127.0.0.1/").quiet(),
        "hello"
    );
    let names = must("ip", &["netns", "list"]);
    let mut names: Vec<&str> = names
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["main-container", "myapp"]);
    cell("rm -f myapp main-container sidecar").ok();
}

fn a_path_and_the_hosts_root_stand_in_for_an_image() {
    let root = image::make("other");
    assert_eq!(
        netcell(&["run", "--rm", &root, "cat", "/etc/image"]).ok(),
        "of the image"
    );
    let moved = "/tmp/rootfs";
    image::make_alpine(moved).unwrap();
    assert_eq!(
        netcell(&["run", "--rm", moved, "cat", "/etc/image"]).ok(),
        "of the image"
    );
    let version = std::fs::read_to_string("/etc/debian_version").unwrap_or_default();
    let seen = netcell(&["run", "--rm", "/", "cat", "/etc/debian_version"]);
    assert_eq!(seen.stdout, version);
    // The host's own programs, in namespaces that are not the host's.
    let seen = netcell(&["run", "--rm", "/", "readlink", "/proc/self/ns/net"]).ok();
    assert_ne!(
        seen,
        std::fs::read_link("/proc/self/ns/net")
            .unwrap()
            .to_string_lossy()
    );
}

fn detached_prints_the_id_of_64_hex_digits() {
    let id = cell("run -d --name web alpine sleep 1000").ok();
    assert_eq!(id.len(), 64, "{id}");
    assert!(
        id.bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
        "{id}"
    );
    assert_eq!(
        netcell(&["inspect", "web", "--format", "{{.Id}}"]).quiet(),
        id
    );
    cell("rm -f web").ok();
}

fn without_a_command_it_shows_the_new_namespace() {
    let shown = cell("run --rm --name myapp alpine").ok();
    for word in ["lo", "127.0.0.1/8", "eth0", "default"] {
        assert!(shown.contains(word), "{word} is not in:\n{shown}");
    }
    assert_eq!(containers(), 0);
}

fn without_a_command_the_hosts_root_is_shown_too() {
    let shown = cell("run --rm --name myapp /").ok();
    assert!(
        shown.contains("eth0") && shown.contains("127.0.0.1/8"),
        "{shown}"
    );
    assert!(
        shown.lines().all(|line| line.chars().count() <= 80),
        "{shown}"
    );
}

fn the_exit_status_is_the_commands() {
    cell("run --rm alpine true").exits(0);
    cell("run --rm alpine false").exits(1);
    netcell(&["run", "--rm", "alpine", "sh", "-c", "exit 42"]).exits(42);
}

fn a_command_that_is_not_there_exits_127_and_one_that_cannot_be_executed_126() {
    cell("run --rm alpine /no/such").refused(127, &["/no/such"]);
    cell("run --rm alpine nosuchcommand").refused(127, &["nosuchcommand"]);
    cell("run --rm alpine /etc").refused(126, &["/etc"]);
    cell("run --rm alpine /etc/passwd").refused(126, &["/etc/passwd"]);
    assert_eq!(containers(), 0, "--rm holds after a failed start too");
}

fn a_container_whose_command_cannot_be_executed_is_shown_created() {
    cell("run -d --name web alpine /no/such").refused(127, &["/no/such"]);
    let state = netcell(&[
        "inspect",
        "web",
        "--format",
        "{{.State.Status}} {{.State.ExitCode}}",
    ]);
    assert_eq!(state.quiet(), "created 127");
    cell("start web").refused(1, &["/no/such"]);
    cell("rm web").ok();
}

fn a_container_killed_by_a_signal_exits_with_128_and_the_signal() {
    let run = netcell_command(&["run", "--name", "web", "alpine", "sleep", "1000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("web runs", || cell("exec web true").code == 0);
    cell("kill -s KILL web").ok();
    command::collect(run, "run".to_owned()).exits(137);
    cell("rm web").ok();
}

fn stdout_and_stderr_stay_apart() {
    // Forwarding is turned on by the first use, which says so on stderr.
    cell("create --name first").ok();
    let answer = netcell(&[
        "run",
        "--rm",
        "alpine",
        "sh",
        "-c",
        "echo out; echo err >&2; echo more",
    ]);
    assert_eq!(
        (answer.stdout.as_str(), answer.stderr.as_str()),
        ("out\nmore\n", "err\n")
    );
    let bytes = netcell(&["run", "--rm", "alpine", "head", "-c", "300000", "/dev/zero"]);
    assert_eq!(bytes.stdout.len(), 300_000);
    cell("rm first").ok();
}

fn stdin_is_empty_without_i_and_handed_on_with_it() {
    assert_eq!(
        netcell_with(&["run", "--rm", "alpine", "cat"], "words\n").ok(),
        ""
    );
    assert_eq!(
        netcell_with(&["run", "--rm", "-i", "alpine", "cat"], "words\n").ok(),
        "words"
    );
}

fn signals_of_the_foreground_command_reach_the_container() {
    let script = "trap 'echo got; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let mut run = netcell_command(&["run", "--rm", "--name", "web", "alpine", "sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    sys::kill(run.id().cast_signed(), libc::SIGTERM).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "got");
    assert_eq!(run.wait().unwrap().code(), Some(5));
}

fn rm_removes_the_container_at_its_end() {
    cell("run --rm --name web -p 8080:80 alpine true").ok();
    // Foreground run returns only after the removal.
    cell("inspect web").exits(1);
    assert_eq!(containers(), 0);
    assert!(!std::path::Path::new(&pin("web")).exists());
}

fn rm_removes_a_detached_container_at_its_end() {
    cell("run -d --rm --name web alpine sleep 1000").ok();
    cell("stop -t 0 web").ok();
    wait_until("web is removed", || cell("inspect web").code == 1);
}

fn a_container_without_a_name_gets_one() {
    let ids = [
        cell("run -d alpine sleep 1000").ok(),
        cell("run -d alpine sleep 1000").ok(),
    ];
    let names = ids.map(|id| {
        let name = netcell(&["inspect", &id, "--format", "{{.Name}}"]).quiet();
        let name = name.strip_prefix('/').map(str::to_owned).unwrap_or(name);
        assert!(std::path::Path::new(&pin(&name)).exists(), "{name}");
        cell(&format!("rm -f {name}")).ok();
        name
    });
    assert_ne!(names[0], names[1]);
}

fn dockers_spellings_of_options_are_understood() {
    cell("run -di --name=web -p8080:80 --network=bridge -eA=1 alpine sleep 1000").ok();
    assert_eq!(cell("port web").quiet(), "80/tcp -> 0.0.0.0:8080");
    assert_eq!(
        netcell(&["exec", "web", "sh", "-c", "echo $A"]).quiet(),
        "1"
    );
    cell("rm -f web").ok();
}

fn options_end_at_the_image() {
    assert_eq!(
        cell("run --rm alpine echo -d --name x --rm").ok(),
        "-d --name x --rm"
    );
    assert_eq!(cell("run --rm alpine echo --help").ok(), "--help");
}

fn environment_directory_user_and_hostname_are_as_asked() {
    let script = "pwd; echo $A-$B; hostname; id -u; id -g; id -G";
    let line = [
        "run",
        "--rm",
        "-e",
        "A=1",
        "-e",
        "B=two words",
        "-w",
        "/tmp",
        "--hostname",
        "box1",
        "alpine",
    ];
    let said = netcell(&[&line[..], &["sh", "-c", script]].concat()).ok();
    assert_eq!(said, "/tmp\n1-two words\nbox1\n0\n0\n0");
    let env = cell("run --rm alpine env").ok();
    for line in [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME=/root",
        "HOSTNAME=",
    ] {
        assert!(
            env.lines().any(|l| l.starts_with(line)),
            "{line} is not in:\n{env}"
        );
    }
    cell("run --rm -u nosuch alpine id").refused(125, &["nosuch"]);
    if sys::uid() != 0
        || std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.trim().ends_with(" 1"))
    {
        return;
    }
    assert_eq!(
        cell("run --rm -u user alpine id").ok(),
        "uid=1000(user) gid=1000(user) groups=1000(user),2000(extra)"
    );
    assert_eq!(
        cell("run --rm -u 1234:77 alpine id").ok(),
        "uid=1234 gid=77 groups=77"
    );
}

fn the_callers_environment_stays_outside() {
    let mut run = netcell_command(&["run", "--rm", "alpine", "env"]);
    run.env("SECRET_OF_THE_CALLER", "1");
    let env = command::finish(run, "").ok();
    assert!(!env.contains("SECRET"), "{env}");
    assert!(!env.contains("NETCELL"), "{env}");
}

fn the_command_is_pid_1_of_its_own_namespaces() {
    let script = "echo $$; for n in mnt pid uts ipc net; do readlink /proc/self/ns/$n; done; ls /proc | grep -c '^[0-9]'";
    let said = netcell(&["run", "--rm", "alpine", "sh", "-c", script]).ok();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "1");
    for (line, name) in lines[1..].iter().zip(["mnt", "pid", "uts", "ipc", "net"]) {
        let own = std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        assert!(line.starts_with(name), "{said}");
        assert_ne!(
            *line,
            own.to_string_lossy(),
            "the {name} namespace is the host's"
        );
    }
    assert!(
        lines[6].parse::<u32>().unwrap() <= 4,
        "sees foreign processes: {said}"
    );
}

fn network_none_has_lo_alone() {
    cell("run -d --name web --network none alpine sleep 1000").ok();
    let links = ip_json_in("web", &["link"]);
    assert_eq!(links.as_array().unwrap().len(), 1, "{links}");
    let (address, prefix) = address_in("web", "lo");
    assert_eq!((address.to_string().as_str(), prefix), ("127.0.0.1", 8));
    assert_eq!(ip_json_in("web", &["route"]).as_array().unwrap().len(), 0);
    // Nothing had to be made for it on the host.
    assert_eq!(crate::harness::links(), ["lo"]);
    assert_eq!(
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(),
        "0\n"
    );
    cell("rm -f web").ok();
}

fn network_host_is_the_hosts() {
    let seen = cell("run --rm --network host alpine readlink /proc/self/ns/net").ok();
    assert_eq!(
        seen,
        std::fs::read_link("/proc/self/ns/net")
            .unwrap()
            .to_string_lossy()
    );
    assert_eq!(
        netcell(&["run", "--rm", "--network", "host", "alpine", "hostname"]).ok(),
        "box"
    );
    assert!(
        !std::path::Path::new("/run/netns").exists() || oracle::entries("/run/netns").is_empty()
    );
    // A host without /etc/hostname and the others is a host, and no sandbox's file is missing.
    must("busybox", &["mount", "-t", "tmpfs", "none", "/etc"]);
    for image in ["alpine", "/"] {
        cell(&format!("run --rm --network host {image} /bin/true")).quiet();
    }
    must("busybox", &["umount", "/etc"]);
}

fn published_ports_with_network_host_are_discarded_with_a_warning() {
    let answer = cell("run --rm --network host -p 80:80 alpine true").exits(0);
    assert!(answer.stderr.contains("discarded"), "{answer:?}");
}

fn proc_sys_and_dev_are_dockers() {
    let mounts = cell("run --rm alpine cat /proc/self/mountinfo").ok();
    let mount = |place: &str| {
        let line = mounts
            .lines()
            .rfind(|line| line.split(' ').nth(4) == Some(place));
        line.unwrap_or_else(|| panic!("{place} is not mounted:\n{mounts}"))
            .to_owned()
    };
    for (place, kind, options) in [
        ("/proc", "proc", "rw,nosuid,nodev,noexec"),
        ("/sys", "sysfs", "ro,nosuid,nodev,noexec"),
        ("/dev/pts", "devpts", "rw,nosuid"),
        ("/dev/mqueue", "mqueue", "rw,nosuid,nodev,noexec"),
        ("/dev/shm", "tmpfs", "rw,nosuid,nodev,noexec"),
    ] {
        let line = mount(place);
        let fields: Vec<&str> = line.split(' ').collect();
        assert!(fields[5].starts_with(options), "{line}");
        assert!(line.contains(&format!(" - {kind} ")), "{line}");
    }
    for place in ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"] {
        assert!(
            mount(place).split(' ').nth(5).unwrap().starts_with("ro"),
            "{place}"
        );
    }
    // Of those that this kernel has.
    for place in [
        "/proc/kcore",
        "/proc/keys",
        "/proc/timer_list",
        "/proc/acpi",
        "/sys/firmware",
    ] {
        if std::fs::metadata(place).is_ok() {
            mount(place);
            let read = netcell(&[
                "run",
                "--rm",
                "alpine",
                "sh",
                "-c",
                &format!("ls -A {place}/ 2>/dev/null || cat {place}"),
            ]);
            assert_eq!(read.stdout, "", "{place} can be read");
        }
    }
    let devices = cell("run --rm alpine ls /dev").ok();
    let mut devices: Vec<&str> = devices.lines().collect();
    devices.sort_unstable();
    let docker = [
        "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin",
        "stdout", "tty", "urandom", "zero",
    ];
    assert_eq!(
        devices
            .iter()
            .filter(|name| **name != "console" && **name != "core")
            .copied()
            .collect::<Vec<_>>(),
        docker
    );
    netcell(&[
        "run",
        "--rm",
        "alpine",
        "sh",
        "-c",
        "echo x >/dev/null && head -c 4 /dev/urandom >/dev/shm/x",
    ])
    .ok();
}

fn the_commands_descriptors_are_0_1_and_2() {
    // ls itself opens the directory it lists as 3.
    for line in [["run", "--rm", "alpine"], ["run", "--rm", "/"]] {
        let list = netcell(&[&line[..], &["ls", "/proc/self/fd"]].concat()).ok();
        assert_eq!(
            list.lines().collect::<Vec<_>>(),
            ["0", "1", "2", "3"],
            "{line:?}"
        );
    }
}

fn the_callers_descriptors_are_in_none_of_its_processes() {
    std::fs::write("/tmp/of-the-caller", "").unwrap();
    let script = format!(
        "exec 9</tmp/of-the-caller; NETCELL_IMAGES={} {} run -d --name web alpine sleep 1000 >/dev/null",
        image::IMAGES,
        boxes::BINARY
    );
    must("/bin/sh", &["-c", &script]);
    for (pid, name) in oracle::processes() {
        let held = oracle::entries(&format!("/proc/{pid}/fd"))
            .into_iter()
            .any(|fd| {
                std::fs::read_link(format!("/proc/{pid}/fd/{fd}"))
                    .is_ok_and(|path| path.ends_with("of-the-caller"))
            });
        assert!(!held, "{name} holds a descriptor of the caller of run -d");
    }
    cell("rm -f web").ok();
}

fn the_working_directory_and_mask_of_the_caller_stay_outside() {
    let script = format!(
        "cd /tmp; umask 077; NETCELL_IMAGES={} {} run --rm alpine sh -c 'pwd; umask'",
        image::IMAGES,
        boxes::BINARY
    );
    assert_eq!(must("/bin/sh", &["-c", &script]), "/\n0022");
    let script = format!(
        "cd /tmp && NETCELL_IMAGES={} {} run -d --name web alpine sleep 1000 >/dev/null",
        image::IMAGES,
        boxes::BINARY
    );
    must("/bin/sh", &["-c", &script]);
    // A monitor in the caller's directory would keep its file system from being unmounted.
    for (pid, name) in oracle::processes() {
        let directory = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        assert!(
            !directory.starts_with("/tmp"),
            "{name} stays in the caller's directory"
        );
    }
    cell("rm -f web").ok();
}
