//! What lists and tells: `ps`, `network ls`, `logs`, many at once, and words that netcell does not know.

use crate::harness::command::{collect, finish};
use crate::harness::*;
use crate::tests;
use serde_json::Value;
use std::time::{Duration, Instant};

pub const TESTS: &[runner::Test] = tests![
    ps_has_dockers_columns_in_a_pipe_without_padding,
    ps_is_aligned_on_a_terminal_and_coloured_unless_told_not_to,
    ps_formats_are_dockers,
    ps_counts_from_the_last_created_whatever_its_state,
    ps_filters_are_dockers,
    ps_shows_ports_as_ranges_and_the_networks,
    network_ls_has_formats_and_filters,
    logs_keep_streams_apart_and_know_times,
    logs_choose_lines_by_number_and_time,
    logs_follow_to_the_containers_end,
    logs_follow_over_a_turned_file_and_lose_nothing,
    stopping_many_takes_as_long_as_the_slowest,
    removing_killing_and_waiting_for_many_goes_on_after_an_error,
    wait_finds_those_that_remove_themselves,
    restart_keeps_the_sandbox_and_who_shares_it,
    an_unknown_option_or_command_suggests_the_nearest,
    what_docker_has_and_netcell_has_not_is_said_in_a_sentence,
    version_is_one_line_json_or_a_template,
];

fn run(name: &str, more: &str, command: &str) -> String {
    cell(&format!("run -d --name {name} {more} alpine {command}")).ok()
}

fn ps_has_dockers_columns_in_a_pipe_without_padding() {
    let id = run("web", "-p 8080:80", "sleep 1000");
    let list = cell("ps").quiet();
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(
        lines[0],
        "CONTAINER ID   IMAGE   COMMAND   CREATED   STATUS   PORTS   NAMES"
    );
    let cells: Vec<&str> = lines[1].split("   ").collect();
    assert_eq!(cells[0], &id[..12]);
    assert_eq!(cells[1..3], ["alpine", "\"sleep 1000\""]);
    assert!(cells[3].ends_with(" ago"), "{list}");
    assert!(cells[4].starts_with("Up "), "{list}");
    assert!(cells[5].starts_with("0.0.0.0:8080->80/tcp"), "{list}");
    assert_eq!(cells[6], "web");
    // An empty cell is still one.
    cell("create --name none --network none").ok();
    let bare = cell("ps -a -f name=none").quiet();
    assert_eq!(
        bare.lines().nth(1).unwrap().split("   ").count(),
        7,
        "{bare}"
    );
    assert!(!cell("ps -a").stdout.contains('\x1b'));
    cell("rm -f web none").ok();
}

/// What a command prints on a terminal that `script` of util-linux makes.
fn on_a_terminal(line: &str, environment: &[(&str, &str)]) -> String {
    let mut command = std::process::Command::new("script");
    command.args(["-qec", &format!("{} {line}", boxes::BINARY), "/dev/null"]);
    command.stdin(std::process::Stdio::null());
    command
        .env("NETCELL_IMAGES", image::IMAGES)
        .env("TERM", "xterm");
    for (name, value) in environment {
        command.env(name, value);
    }
    finish(command, "").ok().replace('\r', "")
}

fn ps_is_aligned_on_a_terminal_and_coloured_unless_told_not_to() {
    run("web", "", "sleep 1000");
    let plain = on_a_terminal("ps", &[("NO_COLOR", "1")]);
    let lines: Vec<&str> = plain.lines().collect();
    assert!(!plain.contains('\x1b'), "{plain:?}");
    for heading in ["IMAGE", "COMMAND", "STATUS", "NAMES"] {
        let column = lines[0].find(heading).expect(heading);
        let row: Vec<char> = lines[1].chars().collect();
        assert!(
            row[column] != ' ' && row[column - 1] == ' ',
            "{heading}\n{plain}"
        );
    }
    assert!(on_a_terminal("ps", &[("NO_COLOR", "")]).starts_with("\x1b[1mCONTAINER ID"));
    assert!(!on_a_terminal("ps", &[("TERM", "dumb")]).contains('\x1b'));
    cell("rm -f web").ok();
}

fn ps_formats_are_dockers() {
    let id = run("web", "-p 8080:80", "sleep 1000");
    let format = |format: &str| netcell(&["ps", "--format", format]).quiet();
    assert_eq!(
        format("{{.Names}} {{.Image}} {{.State}}"),
        "web alpine running"
    );
    assert_eq!(format("{{.ID}}"), &id[..12]);
    assert_eq!(
        netcell(&["ps", "--no-trunc", "--format", "{{.ID}}"]).quiet(),
        id
    );
    assert_eq!(format("{{.Names}}\\t{{.Networks}}"), "web\tbridge");
    assert_eq!(format("{{upper .Names}} {{len .ID}}"), "WEB 12");
    assert_eq!(
        format("table {{.Names}}\\t{{upper .Image}}\\t{{.RunningFor}}")
            .lines()
            .next(),
        Some("NAMES   IMAGE   CREATED")
    );
    let year = must("date", &["-u", "+%Y-%m-%d"]);
    let created = format("{{.CreatedAt}}");
    assert!(
        created.starts_with(&year) && created.ends_with(" +0000 UTC"),
        "{created}"
    );
    let line: Value = serde_json::from_str(&format("json")).expect("a line of JSON");
    assert_eq!(
        (&line["Names"], &line["State"]),
        (&"web".into(), &"running".into())
    );
    assert!(line.get("").is_none(), "{line}");
    assert_eq!(cell("ps -q").quiet(), &id[..12]);
    assert_eq!(cell("ps -q --no-trunc").quiet(), id);
    let both = netcell(&["ps", "-q", "--format", "{{.Names}}"]);
    assert!(both.stderr.contains("Ignoring custom format"), "{both:?}");
    assert_eq!(both.ok(), &id[..12]);
    netcell(&["ps", "--format", "{{.Nope}}"]).refused(
        1,
        &["can't evaluate field Nope in type *formatter.ContainerContext"],
    );
    netcell(&["ps", "--format", "{{.Names"]).refused(64, &["unclosed action"]);
    cell("rm -f web").ok();
}

fn ps_counts_from_the_last_created_whatever_its_state() {
    for name in ["one", "two", "three"] {
        cell(&format!("create --name {name} --network none alpine true")).ok();
    }
    run("four", "--network none", "sleep 1000");
    let names = |line: &str| cell(&format!("{line} --format {{{{.Names}}}}")).quiet();
    assert_eq!(names("ps"), "four");
    assert_eq!(names("ps -a"), "four\nthree\ntwo\none");
    assert_eq!(names("ps -n 3"), "four\nthree\ntwo");
    assert_eq!(names("ps -l"), "four");
    assert_eq!(names("ps -n -1"), "four");
    cell("ps -n x").refused(1, &["number"]);
    cell("rm -f one two three four").ok();
}

fn ps_filters_are_dockers() {
    cell("network create --subnet 10.50.0.0/24 lan").ok();
    let web = run("web", "-p 8080:80", "sleep 1000");
    run("db", "--network lan", "sleep 1000");
    netcell(&[
        "run",
        "--name",
        "ended",
        "--network",
        "none",
        "alpine",
        "sh",
        "-c",
        "exit 3",
    ])
    .exits(3);
    let names = |filters: &str| {
        let line = format!("ps --format {{{{.Names}}}} {filters}");
        cell(&line).quiet().replace('\n', " ")
    };
    for (filters, wanted) in [
        ("", "db web"),
        ("-f name=e", "web"),
        ("-f name=^d", "db"),
        ("-f name=web -f name=db", "db web"),
        ("-f name=/web", "web"),
        ("-f status=exited", "ended"),
        ("-a -f exited=3", "ended"),
        ("-a -f exited=0", ""),
        ("-f status=running -f network=lan", "db"),
        ("--filter network=bridge", "web"),
        ("-a -f network=none", "ended"),
        ("-f publish=8080", "web"),
        ("-f publish=8000-9000/tcp", "web"),
        ("-f publish=8080/udp", ""),
        ("-f expose=80", "web"),
        ("-f ancestor=alpine", "db web"),
        ("-f ancestor=debian", ""),
        ("-f before=db", "web"),
        ("-f since=web", "db"),
        ("-f label=none", ""),
    ] {
        assert_eq!(names(filters), wanted, "{filters}");
    }
    assert_eq!(names(&format!("-f id={}", &web[..6])), "web");
    cell("ps -f nosuch=1").refused(1, &["invalid filter 'nosuch'", "status"]);
    cell("ps -f status=well").refused(1, &["invalid filter 'status=well'", "created, running,"]);
    cell("ps -f exited=256").refused(1, &["invalid filter 'exited=256'", "0 to 255"]);
    cell("ps -f name").refused(1, &["bad format of filter"]);
    cell("ps -f name=w.*").refused(1, &["^ and $"]);
    cell("ps -f before=nosuch").refused(1, &["No such container: nosuch"]);
    cell("rm -f web db ended").ok();
    cell("network rm lan").ok();
}

fn ps_shows_ports_as_ranges_and_the_networks() {
    run(
        "web",
        "-p 8001:8001 -p 8000:8000 -p 127.0.0.1:9000:90/udp",
        "sleep 1000",
    );
    run("side", "--network container:web", "sleep 1000");
    run("host", "--network host", "sleep 1000");
    let ports = cell("ps -f name=web --format {{.Ports}}").quiet();
    let four: Vec<&str> = ports
        .split(", ")
        .filter(|port| !port.starts_with('['))
        .collect();
    assert_eq!(
        four,
        ["0.0.0.0:8000-8001->8000-8001/tcp", "127.0.0.1:9000->90/udp"]
    );
    let networks = cell("ps --format {{.Names}}={{.Networks}}").quiet();
    let mut networks: Vec<&str> = networks.lines().collect();
    networks.sort_unstable();
    assert_eq!(networks, ["host=host", "side=bridge", "web=bridge"]);
    // Those of a stopped container do not answer.
    cell("stop -t 0 web").ok();
    assert_eq!(cell("ps -a -f name=web --format {{.Ports}}").quiet(), "");
    cell("rm -f web side host").ok();
}

fn network_ls_has_formats_and_filters() {
    let id = cell("network create --subnet 10.50.0.0/24 lan").ok();
    cell("create --name bare --network lan").ok();
    cell("network create --subnet 10.51.0.0/24 empty").ok();
    let list = cell("network ls").quiet();
    assert_eq!(
        list.lines().next(),
        Some("NETWORK ID   NAME   DRIVER   SCOPE")
    );
    assert!(
        list.contains(&format!("{}   lan   bridge   local", &id[..12])),
        "{list}"
    );
    let names =
        |filters: &str| cell(&format!("network ls --format {{{{.Name}}}} {filters}")).quiet();
    for (filters, wanted) in [
        ("", "bridge\nempty\nhost\nlan\nnone"),
        ("-f driver=bridge", "bridge\nempty\nlan"),
        ("-f driver=null", "none"),
        ("-f type=custom", "empty\nlan"),
        ("-f type=builtin", "bridge\nhost\nnone"),
        ("-f name=la", "lan"),
        ("-f dangling=true", "empty"),
        ("-f type=custom -f dangling=false", "lan"),
        ("-f scope=swarm", ""),
        ("-f label=none", ""),
    ] {
        assert_eq!(names(filters), wanted, "{filters}");
    }
    assert_eq!(names(&format!("-f id={}", &id[..8])), "lan");
    assert_eq!(cell("network ls -q -f name=lan").quiet(), &id[..12]);
    assert_eq!(cell("network ls -q --no-trunc -f name=lan").quiet(), id);
    let line: Value =
        serde_json::from_str(&cell("network ls -f name=lan --format json").quiet()).unwrap();
    assert_eq!(
        (&line["Driver"], &line["Scope"]),
        (&"bridge".into(), &"local".into())
    );
    netcell(&["network", "ls", "--format", "{{.Nope}}"]).refused(1, &["*network.networkContext"]);
    cell("network ls -f nosuch=1").refused(1, &["invalid filter 'nosuch'"]);
    cell("rm bare").ok();
    cell("network rm lan empty").ok();
}

fn shell(name: &str, script: &str) {
    netcell(&[
        "run",
        "-d",
        "--name",
        name,
        "--network",
        "none",
        "alpine",
        "sh",
        "-c",
        script,
    ])
    .ok();
}

fn logs_keep_streams_apart_and_know_times() {
    shell("web", "echo out; echo error >&2; sleep 0.3; echo later");
    cell("wait web").ok();
    let answer = cell("logs web").exits(0);
    assert_eq!(
        (&*answer.stdout, &*answer.stderr),
        ("out\nlater\n", "error\n")
    );
    let answer = cell("logs -t web").exits(0);
    let today = must("date", &["-u", "+%Y-%m-%dT"]);
    for line in answer.stdout.lines().chain(answer.stderr.lines()) {
        let (stamp, text) = line.split_once(' ').expect("a time and a line");
        assert_eq!(
            stamp.len(),
            "2026-11-24T07:56:18.000000000Z".len(),
            "{line}"
        );
        assert!(stamp.starts_with(&today) && stamp.ends_with('Z'), "{line}");
        assert!(["out", "error", "later"].contains(&text), "{line}");
    }
    let stamps: Vec<&str> = answer.stdout.lines().map(|line| &line[..30]).collect();
    let seconds = |stamp: &str| {
        must("date", &["-d", stamp, "+%s.%N"])
            .parse::<f64>()
            .unwrap()
    };
    let between = seconds(stamps[1]) - seconds(stamps[0]);
    assert!((0.25..5.0).contains(&between), "{stamps:?}");
    cell("rm web").ok();
    cell("logs nosuch").refused(1, &["No such container: nosuch"]);
    cell("logs").refused(1, &["exactly 1 argument"]);
}

fn logs_choose_lines_by_number_and_time() {
    shell(
        "web",
        "for n in 1 2 3; do echo $n; done; sleep 1.2; for n in 4 5; do echo $n; done; printf end",
    );
    cell("wait web").ok();
    let logs = |options: &str| cell(&format!("logs {options} web")).ok().replace('\n', " ");
    assert_eq!(logs("--tail 2"), "5 end");
    assert_eq!(logs("-n 3"), "4 5 end");
    assert_eq!(logs("--tail 0"), "");
    assert_eq!(logs("--tail all"), "1 2 3 4 5 end");
    assert_eq!(logs("--tail=-1"), "1 2 3 4 5 end");
    let first = cell("logs -t web").ok();
    let second = first
        .lines()
        .nth(3)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    assert_eq!(logs(&format!("--since {second}")), "4 5 end");
    let third = first.lines().nth(2).unwrap().split(' ').next().unwrap();
    assert_eq!(logs(&format!("--until {third} --tail 2")), "2 3");
    assert_eq!(logs("--since 1h"), "1 2 3 4 5 end");
    assert_eq!(logs("--until 1h"), "");
    assert_eq!(logs("--since 2020-01-01"), "1 2 3 4 5 end");
    cell("logs --since yesterday web").refused(1, &["yesterday"]);
    cell("logs --tail some web").refused(1, &["some"]);
    cell("rm web").ok();
}

fn logs_follow_to_the_containers_end() {
    shell(
        "web",
        "echo one; sleep 0.5; echo two; sleep 0.5; echo three >&2; sleep 0.2; printf end",
    );
    let answer = cell("logs -f web").exits(0);
    assert_eq!(
        (&*answer.stdout, &*answer.stderr),
        ("one\ntwo\nend", "three\n")
    );
    // What has ended is followed to its end at once.
    assert_eq!(cell("logs -f --tail 1 web").ok(), "end");
    cell("rm web").ok();
    // Removed while it is followed, and killed along with its monitor.
    shell("web", "echo one; sleep 1000");
    let follow = |what: fn()| {
        let mut command = netcell_command(&["logs", "-f", "web"]);
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let child = command.spawn().expect("netcell logs");
        std::thread::sleep(Duration::from_millis(200));
        what();
        collect(child, "netcell logs -f web".into())
    };
    let answer = follow(|| {
        cell("rm -f web").ok();
    });
    assert_eq!(answer.ok(), "one");
    shell("web", "echo one; sleep 1000");
    let short = follow(|| {
        cell("stop -t 0 web").ok();
    });
    assert_eq!(short.ok(), "one");
    cell("rm web").ok();
    // Up to a time.
    shell("web", "while echo on; do sleep 0.1; done");
    let until = must("date", &["-u", "-d", "+1 second", "+%Y-%m-%dT%H:%M:%S.%NZ"]);
    let started = Instant::now();
    cell(&format!("logs -f --until {until} web")).ok();
    assert!(started.elapsed() < Duration::from_secs(5));
    cell("rm -f web").ok();
}

fn logs_follow_over_a_turned_file_and_lose_nothing() {
    let script = "while [ ! -e /tmp/go ]; do sleep 0.05; done; n=0; \
                  while [ $n -lt 2500 ]; do echo line $n; n=$((n+1)); [ $((n%50)) = 0 ] && sleep 0.03; done";
    netcell(&[
        "run",
        "-d",
        "--name",
        "web",
        "--network",
        "none",
        "--log-max-size",
        "16k",
        "alpine",
        "sh",
        "-c",
        script,
    ])
    .ok();
    let mut command = netcell_command(&["logs", "-f", "web"]);
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let child = command.spawn().expect("netcell logs");
    let fds = format!("/proc/{}/fd", child.id());
    wait_until("logs -f hears of what is written", || {
        let mut fds = std::fs::read_dir(&fds).into_iter().flatten().flatten();
        fds.any(|fd| {
            std::fs::read_link(fd.path()).is_ok_and(|to| to.ends_with("anon_inode:inotify"))
        })
    });
    cell("exec web touch /tmp/go").ok();
    let all = collect(child, "netcell logs -f web".into()).ok();
    let wanted: Vec<String> = (0..2500).map(|n| format!("line {n}")).collect();
    let got: Vec<&str> = all.lines().collect();
    let first = got.iter().zip(&wanted).find(|(got, wanted)| got != wanted);
    assert!(
        first.is_none() && got.len() == wanted.len(),
        "{} lines, {first:?}",
        got.len()
    );
    assert!(cell("logs web").ok().lines().count() < 2500);
    cell("rm web").ok();
}

fn stopping_many_takes_as_long_as_the_slowest() {
    for name in ["a", "b", "c", "d"] {
        shell(
            &format!("{name}{name}"),
            "trap '' TERM; echo up; while :; do sleep 0.1; done",
        );
    }
    shell(
        "quick",
        "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done",
    );
    wait_until("all shells have set their traps", || {
        let up = |name: &&str| cell(&format!("logs {name}")).stdout == "up\n";
        ["aa", "bb", "cc", "dd", "quick"].iter().all(up)
    });
    let started = Instant::now();
    let answer = cell("stop -t 2 aa nosuch bb cc quick dd").exits(1);
    let took = started.elapsed();
    assert_eq!(answer.stdout, "aa\nbb\ncc\nquick\ndd\n");
    assert!(
        answer.stderr.contains("No such container: nosuch"),
        "{answer:?}"
    );
    assert!((2.0..9.0).contains(&took.as_secs_f64()), "{took:?}");
    assert_eq!(cell("wait aa quick dd").ok(), "137\n7\n137");
    // On a terminal it says what it is at, and leaves nothing of that.
    cell("start aa").ok();
    cell("start bb").ok();
    let seen = on_a_terminal("stop -t 0 aa bb", &[]);
    assert!(seen.contains("stopping aa (1 of 2)"), "{seen:?}");
    assert!(seen.ends_with("\x1b[Kaa\nbb"), "{seen:?}");
    for (line, what) in [("start aa bb", "starting"), ("rm -f aa bb", "removing")] {
        let seen = on_a_terminal(line, &[]);
        assert!(seen.contains(&format!("{what} bb (2 of 2)")), "{seen:?}");
        // The line gives way to the name.
        assert!(
            seen.contains("\x1b[Kaa\n") && seen.contains("\x1b[Kbb"),
            "{seen:?}"
        );
    }
    cell("rm cc dd quick").ok();
}

fn removing_killing_and_waiting_for_many_goes_on_after_an_error() {
    for name in ["one", "two", "three"] {
        run(name, "--network none", "sleep 1000");
    }
    run("gone", "--rm --network none", "sleep 1000");
    let answer = cell("kill -s HUP one nosuch two").exits(1);
    assert_eq!(answer.stdout, "one\ntwo\n");
    assert!(
        answer.stderr.contains("Cannot kill container: nosuch"),
        "{answer:?}"
    );
    let answer = cell("kill one two three nosuch").exits(1);
    assert_eq!(answer.stdout, "one\ntwo\nthree\n");
    assert_eq!(cell("wait one two three").ok(), "137\n137\n137");
    for name in ["one", "two", "three"] {
        cell(&format!("start {name}")).ok();
    }
    let answer = cell("rm -f one gone nosuch two three").exits(0);
    assert_eq!(answer.stdout, "one\ngone\ntwo\nthree\n");
    assert_eq!(answer.stderr, "netcell: No such container: nosuch\n");
    cell("rm nosuch").refused(1, &["No such container: nosuch"]);
    assert_eq!(cell("ps -aq").quiet(), "");
}

fn wait_finds_those_that_remove_themselves() {
    shell("first", "sleep 1; exit 3");
    netcell(&[
        "run",
        "-d",
        "--rm",
        "--name",
        "second",
        "--network",
        "none",
        "alpine",
        "sh",
        "-c",
        "sleep 0.3; exit 4",
    ])
    .ok();
    assert_eq!(cell("wait first second").ok(), "3\n4");
    cell("rm first").ok();
}

fn restart_keeps_the_sandbox_and_who_shares_it() {
    run("main", "-p 8080:80", "sleep 1000");
    run("side", "--network container:main", "sleep 1000");
    let (address, pid) = (
        address_in("main", "eth0"),
        cell("inspect -f {{.State.Pid}} main").ok(),
    );
    let namespace = oracle::namespace_id(&pin("main"));
    assert_eq!(cell("restart -t 0 main").quiet(), "main");
    assert_ne!(cell("inspect -f {{.State.Pid}} main").ok(), pid);
    assert_eq!(address_in("main", "eth0"), address);
    assert_eq!(oracle::namespace_id(&pin("main")), namespace);
    let shown = cell("exec side ip addr show eth0").ok();
    assert!(shown.contains(&address.0.to_string()), "{shown}");
    // What does not run is started; what is not there is said; what goes at its end is left alone.
    cell("stop -t 0 main").ok();
    assert_eq!(cell("restart main").ok(), "main");
    let answer = cell("restart -t 0 nosuch side").exits(1);
    assert_eq!(answer.stdout, "side\n");
    run("short", "--rm --network none", "sleep 1000");
    cell("restart -t 0 short").refused(1, &["--rm"]);
    assert_eq!(cell("inspect -f {{.State.Status}} short").ok(), "running");
    cell("rm -f main side short").ok();
}

fn an_unknown_option_or_command_suggests_the_nearest() {
    for (line, code, said) in [
        ("run --netwrok lan alpine true", 125, "--network"),
        ("create --hostnam x alpine true", 1, "--hostname"),
        ("ps --al", 1, "--all"),
        ("logs --folow web", 1, "--follow"),
        ("network ls --quite", 1, "--quiet"),
        ("insepct web", 1, "inspect"),
        ("strat web", 1, "start"),
    ] {
        cell(line).refused(code, &["did you mean", said]);
    }
    let plain = cell("run --nonsense alpine true").refused(125, &["unknown flag: --nonsense"]);
    assert!(!plain.contains("did you mean"), "{plain}");
    cell("frobnicate").refused(1, &["'frobnicate' is not a netcell command"]);
}

fn what_docker_has_and_netcell_has_not_is_said_in_a_sentence() {
    for (line, code, said) in [
        ("run --memory 1g alpine true", 125, "control group"),
        ("run --cpus=2 alpine true", 125, "control group"),
        ("run -m 1g alpine true", 125, "control group"),
        ("run --pull always alpine true", 125, "nothing is pulled"),
        ("run --health-cmd true alpine true", 125, "names no command"),
        ("create --pid host alpine true", 1, "of its own"),
        ("run --log-driver syslog alpine true", 125, "--log-max-size"),
        ("ps --size", 1, "not counted"),
        ("network create --attachable lan", 1, "no swarm"),
        ("pull alpine", 1, "an image is a directory"),
        ("pause web", 1, "kill -s"),
        ("events", 1, "no daemon"),
    ] {
        cell(line).refused(code, &["Docker has it, netcell has not", said]);
    }
}

fn version_is_one_line_json_or_a_template() {
    let line = cell("version").quiet();
    assert_eq!(line, format!("netcell {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(cell("--version").quiet(), line);
    assert_eq!(
        cell("version --json").json()["Version"],
        env!("CARGO_PKG_VERSION")
    );
    let machine = must("uname", &["-m"]);
    assert_eq!(
        cell("version --format {{.Os}}/{{.Arch}}").quiet(),
        format!("linux/{machine}")
    );
    cell("version --format {{").refused(64, &["unclosed action"]);
}
