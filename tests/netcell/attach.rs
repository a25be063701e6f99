//! Leaving a container that runs on, and coming back: detach keys, `attach`, `start -ai`.

use crate::harness::*;
use crate::tests;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::process::Stdio;
use std::time::Duration;

pub const TESTS: &[runner::Test] = tests![
    the_keys_that_detach_leave_it_running_and_attach_comes_back,
    other_keys_can_detach,
    keys_that_only_look_like_them_go_through,
    exec_is_left_running_by_the_same_keys,
    detached_it_has_a_terminal_all_the_same,
    start_attaches_to_a_terminal,
    attach_without_a_terminal_follows_output_and_hands_stdin_on,
    several_attach_at_once_and_leave_one_by_one,
    attach_exits_as_the_container_does,
    what_cannot_be_attached_to_is_refused,
    who_stays_ends_when_nobody_reads_on_and_the_container_runs_on,
];

/// Shows each four bytes that are typed, as they come.
const RAW: &str = "stty raw -echo; echo raw:; while :; do head -c 4 | od -An -tx1; done";

/// Two keys: ctrl-p, ctrl-q.
const LEAVE: &str = "\x10\x11";

/// A container's state.
fn state(name: &str) -> String {
    netcell(&["inspect", name, "--format", "{{.State.Status}}"]).quiet()
}

fn the_keys_that_detach_leave_it_running_and_attach_comes_back() {
    let mut user = Typist::cell("run -it --name web alpine sh");
    user.prompt();
    user.says("kept=yes");
    user.types(LEAVE);
    let (code, rest) = user.ends();
    assert_eq!(code, 0, "{rest}");
    assert!(rest.contains("read escape sequence"), "{rest}");
    assert_eq!(state("web"), "running");
    let mut user = Typist::cell("attach web");
    user.types("echo kept $kept; stty size\r");
    user.sees("kept yes\r\n24 80");
    user.types(LEAVE);
    assert_eq!(user.ends().0, 0);
    let mut user = Typist::cell("attach web");
    user.types("exit 9\r");
    assert_eq!(user.ends().0, 9);
    cell("rm web").ok();
}

fn other_keys_can_detach() {
    let mut user = Typist::netcell(&[
        "run",
        "-it",
        "--detach-keys",
        "ctrl-a,d",
        "--name",
        "web",
        "alpine",
        "sh",
        "-c",
        RAW,
    ]);
    user.sees("raw:");
    user.types("a\x10\x11b");
    user.sees("61 10 11 62");
    user.types("\x01d");
    assert_eq!(user.ends().0, 0);
    let mut user = Typist::cell("attach --detach-keys=x web");
    user.types("abcd");
    user.sees("61 62 63 64");
    user.types("x");
    assert_eq!(user.ends().0, 0);
    for (command, code) in [("run", 125), ("exec", 1), ("attach", 1), ("start", 1)] {
        let mut line = vec![command, "--detach-keys", "ctrl-p,foo"];
        line.extend(match command {
            "run" => &["-it", "alpine", "sh"][..],
            "exec" => &["-it", "web", "sh"],
            "start" => &["-i", "web"],
            _ => &["web"],
        });
        let (ended, said) = Typist::netcell(&line).ends();
        assert_eq!(ended, code, "{line:?}: {said}");
        assert!(said.contains("invalid detach keys (ctrl-p,foo)"), "{said}");
    }
    cell("rm -f web").ok();
}

fn keys_that_only_look_like_them_go_through() {
    let mut user = Typist::netcell(&["run", "-it", "--name", "web", "alpine", "sh", "-c", RAW]);
    user.sees("raw:");
    user.types("\x10");
    user.types("a\x10");
    user.types("\x10b");
    user.sees("10 61 10 10");
    user.types("\x10");
    user.types("\x11");
    assert_eq!(user.ends().0, 0);
    assert_eq!(state("web"), "running");
    cell("rm -f web").ok();
}

fn exec_is_left_running_by_the_same_keys() {
    cell("run -d --name web alpine sleep 1000").ok();
    let script = "echo here; read x; while :; do echo much; sleep 0.01; done";
    let mut user = Typist::netcell(&["exec", "-it", "web", "sh", "-c", script]);
    user.sees("here");
    user.types("\r");
    user.sees("much");
    user.types(LEAVE);
    assert_eq!(user.ends().0, 0);
    std::thread::sleep(Duration::from_millis(300));
    // The shell, and at times what it has just forked to sleep.
    netcell(&["exec", "web", "sh", "-c", "ps | grep -q '[e]cho here'"]).ok();
    cell("rm -f web").ok();
}

fn detached_it_has_a_terminal_all_the_same() {
    cell("run -dit --name web alpine sh").ok();
    let seen = netcell(&[
        "inspect",
        "web",
        "--format",
        "{{.State.Status}} {{.Config.Tty}} {{.Config.OpenStdin}}",
    ]);
    assert_eq!(seen.quiet(), "running true true");
    let mut user = Typist::cell("attach web");
    user.types("tty; stty size\r");
    user.sees("/dev/pts/0\r\n24 80\r\n");
    user.types(LEAVE);
    assert_eq!(user.ends().0, 0);
    cell("rm -f web").ok();
    // Without -i nobody types on it, and whoever attaches only watches.
    cell("run -dt --name web alpine cat").ok();
    let mut user = Typist::cell("attach web");
    assert!(user.is_cooked());
    user.types("typed\r");
    user.sees("typed\r\n");
    cell("rm -f web").ok();
    let (_, rest) = user.ends();
    assert!(!rest.contains("typed"), "{rest}");
    // An exec that nobody stays with: its terminal is there as long as it.
    cell("run -d --name web alpine sleep 1000").ok();
    netcell(&[
        "exec",
        "-dt",
        "web",
        "sh",
        "-c",
        "tty >/tmp/name; seq 100000; stty size; echo done >/tmp/done; sleep 1000",
    ])
    .ok();
    wait_until("it has written much", || {
        cell("exec web cat /tmp/done").code == 0
    });
    assert!(cell("exec web cat /tmp/name").ok().starts_with("/dev/pts/"));
    cell("rm -f web").ok();
}

fn start_attaches_to_a_terminal() {
    cell("create -it --name web alpine sh").ok();
    let mut user = Typist::cell("start -ai web");
    let said = user.prompt();
    assert!(!said.contains("netcell"), "{said}");
    assert!(user.says("stty size").contains("24 80"));
    // Started already: then it is attached to.
    let mut other = Typist::cell("start -a -i web");
    other.types("echo by the other\r");
    user.sees("\r\nby the other\r\n");
    other.sees("\r\nby the other\r\n");
    user.types("exit 8\r");
    assert_eq!((user.ends().0, other.ends().0), (8, 8));
    cell("rm web").ok();
    cell("create -t --name web alpine sh").ok();
    let mut user = Typist::cell("start -i web");
    user.prompt();
    assert!(user.is_cooked());
    user.types("exit\r");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(state("web"), "running");
    cell("kill web").ok();
    assert_eq!(user.ends().0, 137);
    cell("start -a web nosuch").refused(1, &["multiple containers"]);
    cell("rm web").ok();
    // Without a terminal: the output from its beginning, and the exit code.
    netcell(&[
        "create",
        "--name",
        "web",
        "alpine",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 3",
    ])
    .ok();
    let answer = cell("start -a web").exits(3);
    assert_eq!(
        (answer.stdout.as_str(), answer.stderr.as_str()),
        ("out\n", "err\n")
    );
    cell("rm web").ok();
    cell("create -i --name web alpine cat").ok();
    assert_eq!(
        netcell_with(&["start", "-ai", "web"], "words\n").quiet(),
        "words"
    );
    cell("rm web").ok();
}

fn attach_without_a_terminal_follows_output_and_hands_stdin_on() {
    let script = "while read line; do echo out $line; echo err $line >&2; test $line != stop || exit 4; done; sleep 1000";
    netcell(&["run", "-di", "--name", "web", "alpine", "sh", "-c", script]).ok();
    // The end of one's stdin is not the container's.
    let mut first = Background(
        netcell_command(&["attach", "web"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut lines = BufReader::new(first.0.stdout.take().unwrap()).lines();
    let mut errors = BufReader::new(first.0.stderr.take().unwrap()).lines();
    first.0.stdin.take().unwrap().write_all(b"one\n").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "out one");
    // Else it might be the second one's, too.
    assert_eq!(errors.next().unwrap().unwrap(), "err one");
    let second = netcell_with(&["attach", "web"], "two\nstop\n").exits(4);
    assert_eq!(second.stdout, "out two\nout stop\n");
    assert_eq!(second.stderr, "err two\nerr stop\n");
    assert_eq!(lines.next().unwrap().unwrap(), "out two");
    assert_eq!(first.0.wait().unwrap().code(), Some(4));
    // --no-stdin hands none on.
    cell("start web").ok();
    let mut watcher = Background(
        netcell_command(&["attach", "--no-stdin", "web"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    watcher
        .0
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"stop\n")
        .unwrap();
    let stdout = watcher.0.stdout.take().unwrap();
    // Until it is attached it sees nothing.
    let mut feeder = Background(
        netcell_command(&["attach", "web"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let mut feed = feeder.0.stdin.take().unwrap();
    let moment = Duration::from_millis(50);
    wait_until("the other one is attached", || {
        feed.write_all(b"three\n").unwrap();
        step("poll", sys::readable(&[stdout.as_raw_fd()], moment))
    });
    feed.write_all(b"stop\n").unwrap();
    let lines: Result<Vec<String>, _> = BufReader::new(stdout).lines().collect();
    let (last, before) = lines.as_deref().unwrap().split_last().unwrap();
    assert_eq!(last, "out stop");
    assert!(before.iter().all(|line| line == "out three"), "{before:?}");
    assert_eq!(feeder.0.wait().unwrap().code(), Some(4));
    assert_eq!(watcher.0.wait().unwrap().code(), Some(4));
    cell("rm -f web").ok();
}

fn several_attach_at_once_and_leave_one_by_one() {
    cell("run -dit --name web alpine sh").ok();
    let mut users: Vec<Typist> = (0..4).map(|_| Typist::cell("attach web")).collect();
    for (n, user) in users.iter_mut().enumerate() {
        user.types(&format!("echo from $((0+{n}))\r"));
        user.sees(&format!("\r\nfrom {n}\r\n"));
    }
    users[0].sees("\r\nfrom 3\r\n");
    let gone = users.remove(1);
    drop(gone);
    let mut polite = users.remove(1);
    polite.types(LEAVE);
    assert_eq!(polite.ends().0, 0);
    users[0].types("echo still $((1+1))\r");
    for user in &mut users {
        user.sees("\r\nstill 2\r\n");
    }
    drop(users);
    // Far more than there may be at a time, one after another.
    for _ in 0..20 {
        let mut user = Typist::cell("attach web");
        wait_until("it is attached", || !user.is_cooked());
        user.types(LEAVE);
        assert_eq!(user.ends().0, 0);
    }
    cell("rm -f web").ok();
}

fn attach_exits_as_the_container_does() {
    netcell(&[
        "run",
        "-d",
        "--rm",
        "--name",
        "web",
        "alpine",
        "sh",
        "-c",
        "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done",
    ])
    .ok();
    let attached = netcell_command(&["attach", "web"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    // A signal is handed on, as by `run`.
    sys::kill(attached.id().cast_signed(), libc::SIGTERM).unwrap();
    command::collect(attached, "attach".to_owned()).exits(7);
    cell("inspect web").exits(1);
    assert_eq!(
        cell("run --rm --sig-proxy --tty=false alpine echo on").ok(),
        "on"
    );
    // Unless that is not wanted.
    cell("run -d --name web alpine sleep 1000").ok();
    let attached = netcell_command(&["attach", "--sig-proxy=false", "web"])
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    sys::kill(attached.id().cast_signed(), libc::SIGTERM).unwrap();
    let mut attached = Background(attached);
    wait_until("attach has ended", || {
        attached.0.try_wait().unwrap().is_some()
    });
    assert_eq!(state("web"), "running");
    cell("rm -f web").ok();
}

fn what_cannot_be_attached_to_is_refused() {
    cell("attach nosuch").refused(1, &["No such container: nosuch"]);
    cell("create --name web alpine sleep 1000").ok();
    cell("attach web").refused(1, &["cannot attach to a stopped container, start it first"]);
    cell("rm web").ok();
    cell("create --name bare").ok();
    cell("attach bare").refused(1, &["bare", "without a process"]);
    netcell(&["exec", "-dt", "bare", "true"]).refused(1, &["bare", "terminal"]);
    cell("rm bare").ok();
}

/// The exit code of a command of whose stdout and stderr, which are one pipe, the first bytes are read, if any are wanted.
fn read_for_a_moment(arguments: &[&str], bytes: usize) -> Option<i32> {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut command = netcell_command(arguments);
    command.stdout(writer.try_clone().expect("a pipe"));
    let mut child = Background::spawn(command.stderr(writer));
    drop(command);
    reader.read_exact(&mut vec![0; bytes]).expect("output");
    drop(reader);
    let mut status = None;
    wait_until("it has ended", || {
        status = child.0.try_wait().expect("a child");
        status.is_some()
    });
    status.and_then(|status| status.code())
}

fn who_stays_ends_when_nobody_reads_on_and_the_container_runs_on() {
    let web = ["run", "--rm", "--name", "web", "alpine"];
    for script in ["yes", "yes >&2"] {
        let foreground = [&web[..], &["sh", "-c", script]].concat();
        assert_eq!(read_for_a_moment(&foreground, 2), Some(141));
        assert_eq!(state("web"), "running");
        cell("kill web").ok();
        wait_until("its monitor has removed it", || containers() == 0);
    }
    assert_eq!(
        read_for_a_moment(&[&web[..], &["yes"]].concat(), 2),
        Some(141)
    );
    // As an init does that respawns it.
    cell("run --rm --name web alpine true").exits(0);
    assert_eq!(
        read_for_a_moment(&["run", "-t", "--name", "tty", "alpine", "yes"], 2),
        Some(141)
    );
    cell("run -d --name web alpine yes").ok();
    let many = processes_with("yes").len();
    assert_eq!(read_for_a_moment(&["attach", "web"], 2), Some(141));
    assert_eq!(read_for_a_moment(&["exec", "web", "yes"], 2), Some(141));
    wait_until("what exec began has died of the pipe", || {
        processes_with("yes").len() == many
    });
    assert_eq!(state("web"), "running");
    // Whose output nobody reads stays for the end of one that writes nothing.
    let quiet = [&web[..3], &["quiet", "alpine", "sleep", "1"]].concat();
    assert_eq!(read_for_a_moment(&quiet, 0), Some(0));
    cell("rm -f web tty").ok();
}
