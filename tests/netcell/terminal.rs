//! `-t`: a terminal inside, made in the container's own devpts, with the caller's own in front of it.

use crate::harness::*;
use crate::tests;
use std::time::Duration;

pub const TESTS: &[runner::Test] = tests![
    a_shell_runs_on_a_terminal_of_the_container,
    exec_gives_a_terminal_too,
    the_size_and_its_changes_are_the_callers,
    job_control_works_in_a_shell_inside,
    the_terminal_is_cooked_again_after_every_end,
    a_signal_ends_exec_and_hangs_up_inside,
    when_the_callers_terminal_is_gone_the_command_is_too,
    without_a_terminal_of_its_own_the_caller_is_refused,
    the_terminals_output_is_in_the_log,
    output_comes_through_without_a_terminal_outside,
    the_user_owns_the_terminal,
    nothing_typed_inside_reaches_the_callers_terminal,
    a_bare_sandbox_uses_the_callers_own_terminal,
    it_works_in_a_shell_of_busybox,
    a_line_that_knows_no_size_is_a_terminal_all_the_same,
    a_hostile_ptmx_is_refused,
];

/// Two keys: ctrl-p, ctrl-q.
const LEAVE: &str = "\x10\x11";

fn a_shell_runs_on_a_terminal_of_the_container() {
    let mut user = Typist::cell("run -it --rm --name web alpine sh");
    user.prompt();
    assert!(!user.is_cooked());
    let said = user.says("tty; test -t 0 -a -t 1 -a -t 2 && echo all three; echo term $TERM");
    assert!(
        said.contains("\r\n/dev/pts/0\r\nall three\r\nterm xterm\r\n"),
        "{said}"
    );
    let said = user.says("ls -l /proc/self/fd; test -t 0 </dev/console && echo console");
    assert!(said.contains("0 -> /dev/pts/0"), "{said}");
    assert!(said.contains("\r\nconsole\r\n"), "{said}");
    assert!(!said.contains("socket") && !said.contains("pipe"), "{said}");
    user.types("exit 3\r");
    let (code, rest) = user.ends();
    assert_eq!(code, 3, "{rest}");
    assert_eq!(containers(), 0);
}

fn exec_gives_a_terminal_too() {
    cell("run -d --name web alpine sleep 1000").ok();
    let mut user = Typist::cell("exec -it web sh");
    user.prompt();
    assert!(!user.is_cooked());
    let said = user.says("tty; ps | grep -c '[s]leep 1000'; echo term $TERM");
    assert!(
        said.contains("\r\n/dev/pts/0\r\n1\r\nterm xterm\r\n"),
        "{said}"
    );
    user.types("exit 5\r");
    assert_eq!(user.ends().0, 5);
    // Another, beside it, is another terminal.
    let mut both = [
        Typist::cell("exec -it web sh"),
        Typist::cell("exec -it web sh"),
    ];
    for user in &mut both {
        user.prompt();
    }
    let names = both.each_mut().map(|user| user.says("tty"));
    assert!(
        names[0].contains("/dev/pts/") && names[0] != names[1],
        "{names:?}"
    );
    drop(both);
    cell("rm -f web").ok();
}

fn the_size_and_its_changes_are_the_callers() {
    const SHOW: &str = "trap 'stty size' WINCH; stty size; while :; do sleep 0.02; done";
    let mut user = Typist::netcell(&[
        "run", "-it", "--rm", "--name", "web", "alpine", "sh", "-c", SHOW,
    ]);
    user.sees("24 80\r\n");
    user.resizes(50, 132);
    user.sees("50 132\r\n");
    let mut other = Typist::netcell(&["exec", "-t", "web", "sh", "-c", SHOW]);
    // Without -i the caller's terminal stays as it was, and adds a carriage return of its own.
    other.sees("24 80\r\r\n");
    other.resizes(10, 20);
    other.sees("10 20\r\r\n");
    let mut visitor = Typist::cell("attach web");
    visitor.sees("24 80\r\n");
    visitor.resizes(11, 21);
    visitor.sees("11 21\r\n");
    user.sees("11 21\r\n");
    drop((visitor, other));
    cell("rm -f web").ok();
    assert_eq!(user.ends().0, 137);
}

fn job_control_works_in_a_shell_inside() {
    let mut user = Typist::cell("run -it --rm alpine sh");
    user.prompt();
    user.types("sleep 1000\r");
    wait_until("the sleep runs", || processes_with("sleep 1000").len() == 1);
    user.types("\x1a");
    user.sees("Stopped");
    user.prompt();
    assert!(user.says("jobs").contains("Stopped"));
    user.types("fg\r");
    user.sees("sleep 1000\r\n");
    user.types("\x03");
    user.prompt();
    assert!(user.says("echo status $?").contains("\r\nstatus 130\r\n"));
    user.types("cat\r");
    user.sees("cat\r\n");
    user.types("line\r");
    user.sees("line\r\n");
    user.types("\x04");
    user.prompt();
    user.types("exit 4\r");
    assert_eq!(user.ends().0, 4);
}

fn the_terminal_is_cooked_again_after_every_end() {
    cell("run -d --name web alpine sleep 1000").ok();
    // `ends` looks at the terminal's mode.
    for line in [
        "run -it --rm alpine true",
        "exec -it web true",
        "exec -it web nosuchcommand",
        "run -it --rm alpine nosuchcommand",
    ] {
        let (_, said) = Typist::cell(line).ends();
        assert!(!said.contains("panicked"), "{said}");
    }
    // By a signal from outside that the program inside does as it is told by.
    let script = "trap 'exit 6' TERM; echo trap is set; while :; do sleep 0.05; done";
    let mut user = Typist::netcell(&["run", "-it", "--rm", "alpine", "sh", "-c", script]);
    user.sees("trap is set");
    assert!(!user.is_cooked());
    sys::kill(user.pid(), libc::SIGTERM).unwrap();
    assert_eq!(user.ends().0, 6);
    // When the container is killed, and when its monitor is.
    let mut user = Typist::cell("run -it --name main alpine sh");
    user.prompt();
    cell("kill main").ok();
    assert_eq!(user.ends().0, 137);
    let mut user = Typist::cell("start -ai main");
    user.prompt();
    let record = std::fs::read_to_string("/run/netcell/containers/main/record.json").unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let monitor = record["start"]["monitor"].as_i64().unwrap();
    sys::kill(monitor.try_into().unwrap(), libc::SIGKILL).unwrap();
    let (code, said) = user.ends();
    assert_eq!(code, 125, "{said}");
    cell("rm -f main web").ok();
}

fn a_signal_ends_exec_and_hangs_up_inside() {
    cell("run -d --name web alpine sleep 1000").ok();
    for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT] {
        let mut user = Typist::cell("exec -it web sh");
        user.prompt();
        sys::kill(user.pid(), signal).unwrap();
        assert_eq!(user.ends().0, 128 + signal);
        wait_until("the shell inside is gone", || {
            netcell(&["exec", "web", "pidof", "sh"]).code == 1
        });
    }
    cell("rm -f web").ok();
}

fn when_the_callers_terminal_is_gone_the_command_is_too() {
    cell("run -d --name web alpine sleep 1000").ok();
    let commands = [
        "run -it --name main alpine sh",
        "attach main",
        "exec -it web sh",
    ];
    for line in commands {
        let mut user = Typist::cell(line);
        if line != "attach main" {
            user.prompt();
        }
        let pid = user.pid();
        user.pulls_the_plug();
        wait_until(line, || {
            !std::path::Path::new(&format!("/proc/{pid}")).exists()
        });
    }
    // What a hang-up means to a container's first process is its own affair: this one pays no heed.
    assert_eq!(state("main"), "running");
    cell("rm -f main web").ok();
}

fn without_a_terminal_of_its_own_the_caller_is_refused() {
    cell("run -d --name web alpine sleep 1000").ok();
    netcell_with(&["run", "-it", "--rm", "alpine", "true"], "x")
        .refused(1, &["the input device is not a TTY"]);
    netcell_with(&["exec", "-it", "web", "true"], "x")
        .refused(1, &["the input device is not a TTY"]);
    assert_eq!(containers(), 1);
    cell("rm -f web").ok();
}

fn the_terminals_output_is_in_the_log() {
    netcell(&[
        "run",
        "-dt",
        "--name",
        "web",
        "alpine",
        "sh",
        "-c",
        "echo out; echo err >&2",
    ])
    .ok();
    cell("wait web").ok();
    assert_eq!(cell("logs web").quiet(), "out\r\nerr\r");
    let mut user = Typist::netcell(&["run", "-it", "--name", "main", "alpine", "sh"]);
    user.prompt();
    user.says("echo kept $((40+2))");
    user.types("exit\r");
    assert_eq!(user.ends().0, 0);
    assert!(cell("logs main").quiet().contains("kept 42"));
    cell("rm web main").ok();
}

fn output_comes_through_without_a_terminal_outside() {
    cell("create --name first").ok();
    // Every byte of it, though the program ends at once.
    for _ in 0..5 {
        let text = netcell(&["run", "--rm", "-t", "alpine", "seq", "20000"]).quiet();
        let wanted: String = (1..=20000).map(|n| format!("{n}\r\n")).collect();
        assert_eq!(text.trim_end(), wanted.trim_end());
    }
    cell("run -d --name web alpine sleep 1000").ok();
    assert_eq!(cell("exec -t web seq 3").quiet(), "1\r\n2\r\n3\r");
    cell("rm -f web first").ok();
}

fn the_user_owns_the_terminal() {
    if std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.trim().ends_with(" 1")) {
        return;
    }
    let script = "stat -c '%u %a' $(tty); echo to >/dev/stdout; echo the >/dev/tty; cat </dev/null >/dev/console; echo end";
    let said = netcell(&[
        "run", "--rm", "-t", "-u", "1000", "alpine", "sh", "-c", script,
    ])
    .ok();
    assert!(said.contains("1000 620\r\nto\r\nthe\r\nend"), "{said}");
    cell("run -d --name web alpine sleep 1000").ok();
    let said = netcell(&["exec", "-t", "-u", "1000", "web", "sh", "-c", script]).ok();
    assert!(said.contains("1000 620\r\nto\r\nthe\r\n"), "{said}");
    cell("rm -f web").ok();
}

fn nothing_typed_inside_reaches_the_callers_terminal() {
    // TIOCSTI (0x5412) puts a character into a terminal's input: the container's own at most.
    let push = "perl -e 'ioctl(STDIN, 0x5412, $_) for split //, qq(touch /tmp/pushed\\n)'";
    let host = Typist::shell();
    let mut host = host;
    host.types("netcell run -it --rm / sh\r");
    host.sees("# ");
    host.types(&format!("{push}; exit\r"));
    host.sees("host% ");
    host.prompt();
    std::thread::sleep(Duration::from_millis(300));
    host.says("true");
    assert!(!std::path::Path::new("/tmp/pushed").exists());
    // No descriptor of the caller's terminal is in there, either.
    host.types("netcell run -it --rm alpine sh\r");
    host.prompt();
    let said = host.says("ls -l /proc/*/fd 2>/dev/null");
    assert!(
        !said.contains("(deleted)") && !said.contains("/dev/pts/1"),
        "{said}"
    );
    host.types("exit\r");
    host.sees("host% ");
}

fn a_bare_sandbox_uses_the_callers_own_terminal() {
    cell("create --name bare").ok();
    let mut user = Typist::cell("exec -it bare busybox sh");
    user.prompt();
    let said = user.says("stty size; ip -o link show eth0 | wc -l");
    assert!(said.contains("24 80\r\n1\r\n"), "{said}");
    user.types("exit 2\r");
    assert_eq!(user.ends().0, 2);
    cell("rm bare").ok();
}

fn it_works_in_a_shell_of_busybox() {
    let mut host = Typist::shell();
    host.types("netcell run -it --name web alpine sh\r");
    host.prompt();
    assert!(host.says("echo in $(hostname)").contains("\r\nin "));
    host.types(LEAVE);
    host.sees("read escape sequence");
    host.sees("host% ");
    host.prompt();
    // Lines are edited and echoed as before.
    assert!(host.says("echo back $((20+1))").contains("\r\nback 21\r\n"));
    host.types("netcell attach web\r");
    assert!(
        host.says("echo again $((20+2))")
            .contains("\r\nagain 22\r\n")
    );
    host.types("exit 5\r");
    host.sees("host% ");
    host.prompt();
    assert!(host.says("echo code $?").contains("\r\ncode 5\r\n"));
    // Stopped from outside the terminal is the shell's; in the foreground again it is raw again.
    cell("start web").ok();
    host.types("netcell exec -it web sh\r");
    host.prompt();
    let exec = processes_with(&format!("{} exec -it", boxes::BINARY));
    exec.iter()
        .for_each(|pid| sys::kill(*pid, libc::SIGSTOP).unwrap());
    host.sees("Stopped");
    host.prompt();
    // SIGSTOP leaves no moment to make it cooked, and this shell does not do it, either: lines end without a return.
    assert!(host.says("echo host $((30+1))").contains("\nhost 31"));
    host.types("fg\r");
    wait_until("it goes on", || !host.is_cooked());
    host.types("stty -a | grep -c 'echo ' >/dev/null; echo in $((30+2))\r");
    host.sees("\r\nin 32\r\n");
    host.types("exit\r");
    host.sees("host% ");
    cell("rm -f web").ok();
}

fn a_line_that_knows_no_size_is_a_terminal_all_the_same() {
    // A serial console has 0 rows and 0 columns, and to what an init starts it is nobody's controlling terminal.
    let mut user = Typist::on_a_serial_line(&["run", "-it", "--rm", "alpine", "sh"]);
    user.prompt();
    assert!(!user.is_cooked());
    assert!(
        user.says("stty size; echo done $((1+1))")
            .contains("\r\ndone 2\r\n")
    );
    user.types("sleep 1000\r");
    wait_until("the sleep runs", || processes_with("sleep 1000").len() == 1);
    user.types("\x03");
    user.prompt();
    user.types("exit 6\r");
    assert_eq!(user.ends().0, 6);
    let mut host = Typist::shell();
    host.resizes(0, 0);
    host.types("netcell run -it --rm alpine sh\r");
    host.prompt();
    assert!(
        host.says("stty size; echo done $((1+1))")
            .contains("done 2")
    );
    host.types("exit 1\r");
    host.sees("host% ");
}

fn a_hostile_ptmx_is_refused() {
    cell("run -d --name web alpine sleep 1000").ok();
    // Root inside may do with its /dev what it likes, but cannot unmount.
    netcell(&[
        "exec",
        "web",
        "sh",
        "-c",
        "rm /dev/ptmx; ln -s /etc/passwd /dev/ptmx; chmod 0 /dev/pts/ptmx",
    ])
    .ok();
    assert_eq!(cell("exec -t web echo on").quiet(), "on\r");
    cell("rm -f web").ok();
}

/// A container's state.
fn state(name: &str) -> String {
    netcell(&["inspect", name, "--format", "{{.State.Status}}"]).quiet()
}
