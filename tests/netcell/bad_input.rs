//! Bad input of every kind: one sentence on stderr that names it, the right exit code, the host as before.

use crate::harness::snapshot::{Snapshot, restored};
use crate::harness::*;
use crate::tests;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub const TESTS: &[runner::Test] = tests![
    bad_names_are_refused,
    bad_ports_are_refused,
    bad_subnets_are_refused,
    unknown_words_are_refused,
    taken_names_and_ports_are_refused,
    a_port_that_a_program_of_the_host_listens_on_is_refused,
    unknown_networks_and_containers_are_refused,
    an_image_that_is_no_directory_is_refused,
    what_no_path_leads_to_is_no_image_no_volume_and_no_state,
    without_privilege_nothing_is_done.root_only("becomes another user"),
    a_corrupt_a_truncated_and_a_foreign_state_file_are_named_and_harm_nobody_else,
    state_of_another_boot_is_discarded,
    a_state_directory_that_is_open_to_others_is_refused,
    a_foreign_pin_is_refused_and_left_alone,
    a_state_directory_that_cannot_be_made_is_said,
    another_state_directory_is_another_world,
    options_without_a_value_and_bad_values_are_refused,
    messages_are_on_stderr_and_data_on_stdout,
    a_stdout_that_is_closed_or_unread_is_no_error_and_a_full_one_is,
    what_is_closed_at_the_start_is_dev_null_and_without_that_nothing_is_done,
    arguments_that_are_not_text_are_refused,
    very_long_arguments_are_refused_or_passed_on,
];

/// Each line is refused with its code and leaves the host as it was.
#[track_caller]
fn all_refused(cases: &[(&str, i32, &[&str])]) {
    let before = Snapshot::at_rest();
    for (line, code, words) in cases {
        cell(line).refused(*code, words);
        // A process of it may still be ending.
        if let Err(lines) = restored(&before, Duration::from_secs(3)) {
            panic!("{line}: {}", lines.join("\n"));
        }
    }
}

fn bad_names_are_refused() {
    let long = "x".repeat(64);
    let too_long = format!("create --name {long}");
    all_refused(&[
        (
            "run --rm --name bad/name alpine true",
            125,
            &["Invalid container name", "bad/name"],
        ),
        ("run --rm --name .. alpine true", 125, &[".."]),
        ("run --rm --name a alpine true", 125, &["(a)"]),
        ("create --name -x", 1, &["-x"]),
        ("create --name ../../etc", 1, &["../../etc"]),
        (&too_long, 1, &["63"]),
        ("network create bad/name", 1, &["bad/name"]),
        (
            "run --rm --hostname bad/host alpine true",
            125,
            &["bad/host"],
        ),
    ]);
    cell(&format!("create --name {}", "x".repeat(63))).ok();
    cell(&format!("rm {}", "x".repeat(63))).ok();
}

fn bad_ports_are_refused() {
    all_refused(&[
        ("run --rm -p 80:abc alpine true", 125, &["abc"]),
        ("run --rm -p abc:80 alpine true", 125, &["abc"]),
        ("run --rm -p 0:80/icmp alpine true", 125, &["icmp"]),
        ("run --rm -p 8080:0 alpine true", 125, &["0"]),
        ("run --rm -p 8080:65536 alpine true", 125, &["65536"]),
        ("run --rm -p 70000:80 alpine true", 125, &["70000"]),
        (
            "run --rm -p 8000-8002:80-81 alpine true",
            125,
            &["8000-8002"],
        ),
        (
            "run --rm -p 999.1.1.1:80:80 alpine true",
            125,
            &["999.1.1.1"],
        ),
        ("create --name web -p 8080:", 1, &["8080:"]),
        ("create --name web -p :", 1, &[":"]),
        ("create --name web -p 8080:80 -p 8080:81", 1, &["8080"]),
    ]);
}

fn bad_subnets_are_refused() {
    cell("network create --subnet 10.50.0.0/24 lan").ok();
    must("ip", &["link", "add", "lan0", "type", "bridge"]);
    must("ip", &["link", "set", "lan0", "up"]);
    must("ip", &["address", "add", "10.70.0.1/24", "dev", "lan0"]);
    all_refused(&[
        ("network create --subnet nonsense wan", 1, &["nonsense"]),
        (
            "network create --subnet 10.60.0.0/33 wan",
            1,
            &["10.60.0.0/33"],
        ),
        ("network create --subnet 10.60.0.0 wan", 1, &["10.60.0.0"]),
        (
            "network create --subnet 10.60.0.5/24 wan",
            1,
            &["10.60.0.5/24", "10.60.0.0/24"],
        ),
        (
            "network create --subnet 10.60.0.0/32 wan",
            1,
            &["10.60.0.0/32"],
        ),
        (
            "network create --subnet 10.50.0.128/25 wan",
            1,
            &["overlap"],
        ),
        ("network create --subnet 10.0.0.0/8 wan", 1, &["overlap"]),
        ("network create --subnet 10.70.0.0/24 wan", 1, &["overlap"]),
        (
            "network create --subnet 127.0.0.0/24 wan",
            1,
            &["127.0.0.0/24"],
        ),
        (
            "network create --subnet 224.0.0.0/24 wan",
            1,
            &["224.0.0.0/24"],
        ),
        ("network create", 1, &[]),
    ]);
    must("ip", &["link", "delete", "lan0"]);
}

fn unknown_words_are_refused() {
    all_refused(&[
        ("run --rm --nonsense alpine true", 125, &["--nonsense"]),
        ("create --nonsense", 1, &["--nonsense"]),
        ("nonsense", 1, &["nonsense"]),
        ("network nonsense", 1, &["nonsense"]),
        // Docker's exit code for too few words, whatever the command.
        ("run", 1, &["at least 1 argument"]),
        ("rm", 1, &[]),
        ("--nonsense run alpine", 1, &["--nonsense"]),
    ]);
    let nothing = netcell(&[]);
    assert!((nothing.stderr + &nothing.stdout).contains("run"));
    for line in [
        "--help",
        "run --help",
        "network --help",
        "network create --help",
    ] {
        let help = cell(line).exits(0);
        assert!(
            help.stdout.contains("Usage") || help.stdout.contains("usage"),
            "{help:?}"
        );
    }
}

fn taken_names_and_ports_are_refused() {
    let id = cell("run -d --name web -p 8080:80 alpine sleep 1000").ok();
    cell("create --name bare").ok();
    cell("network create --subnet 10.50.0.0/24 lan").ok();
    all_refused(&[
        (
            "create --name web alpine true",
            1,
            &["Conflict", "web", &id],
        ),
        ("run -d --name web alpine true", 125, &["web", "in use"]),
        ("create --name web", 1, &["web", "in use"]),
        ("create --name bare", 1, &["bare", "in use"]),
        (
            "run --rm -p 8080:81 alpine true",
            125,
            &["8080", "already allocated"],
        ),
        (
            "run --rm -p 127.0.0.1:8080:81 alpine true",
            125,
            &["8080", "already allocated"],
        ),
        (
            "network create --subnet 10.51.0.0/24 lan",
            1,
            &["lan", "already exists"],
        ),
    ]);
    // A stopped container keeps its ports, unlike Docker's.
    cell("stop -t 0 web").ok();
    cell("run --rm -p 8080:81 alpine true").refused(125, &["8080"]);
    cell("rm web bare").ok();
    cell("run --rm -p 8080:81 alpine true").ok();
}

fn a_port_that_a_program_of_the_host_listens_on_is_refused() {
    let _listener = std::net::TcpListener::bind("0.0.0.0:8080").unwrap();
    cell("run --rm -p 8080:80 alpine true").refused(125, &["8080", "in use"]);
    cell("run --rm -p 8080:80/udp alpine true").ok();
}

fn unknown_networks_and_containers_are_refused() {
    all_refused(&[
        (
            "run --rm --network nosuch alpine true",
            125,
            &["nosuch", "not found"],
        ),
        ("create --name web --network nosuch", 1, &["nosuch"]),
        ("exec nosuch true", 1, &["No such container", "nosuch"]),
        ("start nosuch", 1, &["nosuch"]),
        ("stop nosuch", 1, &["nosuch"]),
        ("kill nosuch", 1, &["nosuch"]),
        ("wait nosuch", 1, &["nosuch"]),
        ("rm nosuch", 1, &["nosuch"]),
        ("logs nosuch", 1, &["nosuch"]),
        ("port nosuch", 1, &["nosuch"]),
        ("show nosuch", 1, &["nosuch"]),
        ("network rm nosuch", 1, &["nosuch"]),
        ("network inspect nosuch", 1, &["nosuch"]),
        (
            "run --rm --network container:nosuch alpine true",
            125,
            &["nosuch"],
        ),
        (
            "create --name web --network host",
            1,
            &["conflicting options"],
        ),
    ]);
}

fn an_image_that_is_no_directory_is_refused() {
    fs::write("/tmp/file", "").unwrap();
    fs::create_dir("/tmp/closed").unwrap();
    symlink("/tmp/nowhere", format!("{}/dangling", image::IMAGES)).unwrap();
    fs::write(format!("{}/afile", image::IMAGES), "").unwrap();
    all_refused(&[
        ("run --rm nosuch true", 125, &["nosuch"]),
        ("run --rm /nowhere true", 125, &["/nowhere"]),
        ("run --rm /tmp/file true", 125, &["/tmp/file"]),
        ("run --rm afile true", 125, &["afile"]),
        ("run --rm dangling true", 125, &["dangling"]),
        ("run --rm ../images/alpine2 true", 125, &["alpine2"]),
        ("create --name web nosuch true", 1, &["nosuch"]),
    ]);
    cell("run --rm /tmp/closed /bin/true").refused(127, &["/bin/true"]);
}

/// Below a mount that was detached the kernel's names of things are others': `./etc` is `/etc` there.
fn what_no_path_leads_to_is_no_image_no_volume_and_no_state() {
    let refused = |line: &str| {
        let script = format!(
            "mkdir /tmp/gone && mount -t tmpfs gone /tmp/gone && cd /tmp/gone && mkdir etc data \
             && umount -l /tmp/gone && {} {line}; code=$?; ls; rmdir /tmp/gone; exit $code",
            boxes::BINARY
        );
        any("busybox", &["sh", "-c", &script])
    };
    for line in [
        "create --network none ./etc sh",
        "create --network none -v ./data:/data alpine sh",
        "--root state create --network none alpine sh",
    ] {
        let said = refused(line);
        assert_ne!(said.code, 0, "{line}: {said:?}");
        assert!(said.stderr.starts_with("netcell: "), "{line}: {said:?}");
        assert_eq!(said.stdout, "data\netc\n", "{line}");
    }
}

fn without_privilege_nothing_is_done() {
    let binary = "/tmp/netcell";
    fs::copy(boxes::BINARY, binary).unwrap();
    fs::set_permissions(binary, fs::Permissions::from_mode(0o755)).unwrap();
    let before = Snapshot::take();
    for words in [
        "create --name web",
        "run --rm alpine true",
        "network create lan",
        "ps",
    ] {
        let line: Vec<&str> = [
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            binary,
        ]
        .into_iter()
        .chain(words.split(' '))
        .collect();
        let answer = any("setpriv", &line);
        let code = if words.starts_with("run") { 125 } else { 1 };
        answer.refused(code, &[]);
    }
    assert!(before.differences(&Snapshot::take()).is_empty());
    // Root in name, but without what it takes.
    let answer = any(
        "setpriv",
        &[
            "--bounding-set",
            "-all",
            "--inh-caps",
            "-all",
            binary,
            "create",
            "--name",
            "web",
        ],
    );
    answer.refused(1, &[]);
    assert!(before.differences(&Snapshot::take()).is_empty());
}

fn records(kind: &str, name: &str) -> String {
    format!("/run/netcell/{kind}/{name}/record.json")
}

fn a_corrupt_a_truncated_and_a_foreign_state_file_are_named_and_harm_nobody_else() {
    cell("run -d --name good alpine sleep 1000").ok();
    cell("run -d --name web alpine sleep 1000").ok();
    let path = records("containers", "web");
    let whole = fs::read(&path).unwrap();
    let half = whole[..whole.len() / 2].to_vec();
    for (what, text) in [
        ("corrupt", b"\xff\xfe{]garbage".to_vec()),
        ("truncated", half),
        ("empty", Vec::new()),
        ("foreign", b"{\"version\": 999, \"hello\": 1}".to_vec()),
    ] {
        fs::write(&path, &text).unwrap();
        let answer = cell("inspect web");
        assert_eq!(answer.code, 1, "{what}: {answer:?}");
        assert!(
            answer.stderr.contains(&path),
            "{what} is named with its path: {answer:?}"
        );
        assert_eq!(
            answer.stderr.trim_end().lines().count(),
            1,
            "{what}: {answer:?}"
        );
        // The others live on, and are told of.
        cell("exec good true").ok();
        let list = cell("ps -a");
        assert!(list.stdout.contains("good"), "{what}: {list:?}");
        cell("create --name another").ok();
        cell("rm another").ok();
    }
    fs::write(&path, &whole).unwrap();
    cell("rm -f web").ok();
    for file in [
        "/run/netcell/intents/torn",
        "/run/netcell/containers/stray",
        "/run/netcell/stray",
    ] {
        fs::write(file, "not netcell's\n").unwrap();
        let answer = cell("create --name another");
        assert!(
            answer.code == 0 || answer.stderr.contains(file),
            "{answer:?}"
        );
        let _ = cell("rm another");
        let _ = fs::remove_file(file);
    }
    cell("rm -f good").ok();
}

fn state_of_another_boot_is_discarded() {
    cell("create --name web -p 8080:80").ok();
    let path = records("sandboxes", "web");
    let text = fs::read_to_string(&path).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert!(text.contains(boot.trim()), "{text}");
    // As after a reboot on a file system that keeps /run: the records are old and the kernel knows nothing of them.
    must(
        "sh",
        &[
            "-c",
            &format!(
                "grep -rl {0} /run/netcell | xargs sed -i s/{0}/00000000-0000-0000-0000-000000000000/",
                boot.trim()
            ),
        ],
    );
    must("ip", &["netns", "delete", "web"]);
    wait_until("its link is gone", || {
        !links().iter().any(|name| name.starts_with("nc"))
    });
    let _ = any("ip", &["link", "delete", "netcell0"]);
    for family in ["inet", "bridge"] {
        let _ = any("nft", &["delete", "table", family, "netcell"]);
    }
    cell("inspect web").exits(1);
    cell("create --name web -p 8080:80").ok();
    address_in("web", "eth0");
    cell("rm web").ok();
}

fn a_state_directory_that_is_open_to_others_is_refused() {
    fs::create_dir("/run/netcell").unwrap();
    fs::set_permissions("/run/netcell", fs::Permissions::from_mode(0o777)).unwrap();
    cell("create --name web").refused(1, &["/run/netcell"]);
    fs::remove_dir("/run/netcell").unwrap();
}

fn a_foreign_pin_is_refused_and_left_alone() {
    must("ip", &["netns", "add", "web"]);
    let before = oracle::namespace_id(&pin("web"));
    cell("create --name web").refused(1, &["/run/netns/web"]);
    cell("run -d --name web alpine sleep 1000").refused(125, &["/run/netns/web"]);
    assert_eq!(oracle::namespace_id(&pin("web")), before);
    assert_eq!(must("ip", &["-n", "web", "-o", "link"]).lines().count(), 1);
    cell("rm web").refused(1, &["web"]);
    must("ip", &["netns", "delete", "web"]);
    fs::write(pin("web"), "a file\n").unwrap();
    cell("create --name web").refused(1, &["/run/netns/web"]);
    assert_eq!(fs::read_to_string(pin("web")).unwrap(), "a file\n");
    fs::remove_file(pin("web")).unwrap();
}

fn a_state_directory_that_cannot_be_made_is_said() {
    // The host's root is read-only in the box.
    netcell(&["--root", "/etc/netcell-state", "create", "--name", "web"])
        .refused(1, &["/etc/netcell-state"]);
    fs::write("/run/afile", "").unwrap();
    netcell(&["--root", "/run/afile", "create", "--name", "web"]).refused(1, &["/run/afile"]);
    fs::remove_file("/run/afile").unwrap();
}

fn another_state_directory_is_another_world() {
    netcell(&[
        "--root",
        "/tmp/state",
        "create",
        "--name",
        "web",
        "--network",
        "none",
    ])
    .ok();
    assert_eq!(containers(), 0);
    let mut command = netcell_command(&["inspect", "web", "--format", "{{.Name}}"]);
    command.env("NETCELL_ROOT", "/tmp/state");
    assert_eq!(command::finish(command, "").quiet(), "/web");
    netcell(&["--root", "/tmp/state", "rm", "web"]).ok();
    let mut command = netcell_command(&[
        "--images",
        "/tmp/images",
        "run",
        "--rm",
        "mine",
        "cat",
        "/etc/image",
    ]);
    image::make_alpine("/tmp/images/mine").unwrap();
    command.env_remove("NETCELL_IMAGES");
    assert_eq!(command::finish(command, "").ok(), "of the image");
}

fn options_without_a_value_and_bad_values_are_refused() {
    cell("run -d --name web alpine sleep 1000").ok();
    all_refused(&[
        ("run --rm --name", 125, &["--name"]),
        ("run --rm -p", 125, &["-p"]),
        ("create --name", 1, &["--name"]),
        ("stop -t abc web", 1, &["abc"]),
        ("stop -t -5 web", 1, &["-5"]),
        ("kill -s 99 web", 1, &["99"]),
        ("kill -s 0 web", 1, &["0"]),
        ("run --rm --log-max-size abc alpine true", 125, &["abc"]),
        ("run --rm --log-max-size -1 alpine true", 125, &["-1"]),
        ("run --rm -w relative alpine true", 125, &["relative"]),
        ("run --rm -u 5000000000 alpine true", 125, &["5000000000"]),
        ("run --rm -u 0:nosuch alpine true", 125, &["nosuch"]),
    ]);
    cell("rm -f web").ok();
}

fn messages_are_on_stderr_and_data_on_stdout() {
    for line in [
        "inspect nosuch",
        "rm nosuch",
        "run --rm nosuch true",
        "create --name a/b",
    ] {
        let answer = cell(line);
        assert!(answer.stderr.starts_with("netcell: "), "{answer:?}");
        assert!(!answer.stdout.contains("netcell:"), "{answer:?}");
    }
    let mixed = cell("rm nosuch alsonot");
    assert_eq!(mixed.code, 1);
    assert!(
        mixed.stderr.contains("nosuch") && mixed.stderr.contains("alsonot"),
        "{mixed:?}"
    );
}

fn a_stdout_that_is_closed_or_unread_is_no_error_and_a_full_one_is() {
    cell("create --name web --network none").ok();
    let binary = boxes::BINARY;
    for line in ["inspect web", "ps -a", "show web", "network ls", "--help"] {
        let says = |script: &str| any("sh", &["-c", script]);
        says(&format!("{binary} {line} >&-")).ok();
        let unread = says(&format!(
            "{{ sleep 0.2; {binary} {line}; echo code $? >&2; }} | true"
        ));
        assert_eq!(unread.stderr, "code 0\n", "{line}");
        says(&format!("{binary} {line} >/dev/full"))
            .refused(1, &["cannot write to stdout: No space left on device"]);
    }
    cell("rm web").ok();
}

fn what_is_closed_at_the_start_is_dev_null_and_without_that_nothing_is_done() {
    cell("run -d --name web alpine sleep 1000").ok();
    let binary = boxes::BINARY;
    let script = format!("exec {binary} wait web <&- >&- 2>&-");
    let waiting = Background::spawn(Command::new("sh").args(["-c", &script]));
    wait_until("0, 1 and 2 are /dev/null", || {
        (0..3).all(|fd| {
            fs::read_link(format!("/proc/{}/fd/{fd}", waiting.0.id()))
                .is_ok_and(|file| file == Path::new("/dev/null"))
        })
    });
    drop(waiting);
    cell("rm -f web").ok();
    let script = format!(
        "busybox mount -t tmpfs x /dev || exit 2; {binary} create --name web >&-; code=$?; busybox umount /dev; exit $code"
    );
    // As of `run`: whatever it was to be, nothing else has ended with this.
    any("sh", &["-c", &script]).refused(125, &["stdout", "/dev/null", "No such file"]);
    assert_eq!(cell("ps -aq").ok(), "");
}

fn arguments_that_are_not_text_are_refused() {
    use std::os::unix::ffi::OsStrExt;
    let bad = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    for (words, code) in [
        (vec!["create", "--name"], 1),
        (vec!["run", "--rm"], 125),
        (vec!["rm"], 1),
    ] {
        let mut command = netcell_command(&words);
        command.arg(bad);
        let answer = command::finish(command, "");
        assert_eq!(answer.code, code, "{answer:?}");
        assert!(!answer.stderr.contains("panicked"), "{answer:?}");
    }
}

fn very_long_arguments_are_refused_or_passed_on() {
    let long = "x".repeat(100_000);
    assert_eq!(
        netcell(&[
            "run",
            "--rm",
            "-e",
            &format!("A={long}"),
            "alpine",
            "sh",
            "-c",
            "echo ${#A}"
        ])
        .ok(),
        "100000"
    );
    netcell(&["create", "--name", &long]).refused(1, &[]);
    netcell(&["run", "--rm", "--network", &long, "alpine", "true"]).refused(125, &[]);
    netcell(&["run", "--rm", &long, "true"]).refused(125, &[]);
}
