//! create, start, stop, kill, wait, rm, ps, logs, port: a container's life and what is told of it.

use crate::harness::*;
use crate::tests;
use std::process::Stdio;
use std::time::{Duration, Instant};

pub const TESTS: &[runner::Test] = tests![
    create_prepares_and_start_runs,
    create_without_an_image_makes_a_sandbox_without_a_process,
    stop_sends_term_and_after_the_grace_time_kill,
    stop_of_a_container_that_has_ended_does_nothing,
    a_stopped_container_starts_again_with_the_same_address_and_ports,
    a_stopped_containers_writes_are_gone_when_it_starts_again,
    start_of_a_running_container_does_nothing,
    kill_sends_the_signal_that_is_named,
    wait_prints_the_exit_status_of_each,
    wait_ends_with_the_status_though_the_container_is_removed_meanwhile,
    rm_refuses_a_running_container_and_f_kills_it,
    rm_leaves_nothing_of_a_container_that_was_stopped,
    ps_lists_the_running_and_with_a_all,
    ps_is_said_as_json_too,
    logs_are_what_the_container_printed,
    logs_are_bounded,
    port_lists_what_is_published,
    names_ids_and_unique_prefixes_are_understood_everywhere,
    an_ambiguous_prefix_is_refused,
    a_container_whose_monitor_is_killed_is_still_governed,
    the_exit_status_is_kept_until_rm,
    a_start_that_fails_leaves_how_it_ended_before,
    a_hundred_lines_of_a_short_command_are_all_logged,
    state_and_image_directories_are_private,
];

fn state(name: &str) -> String {
    let format = "{{.State.Status}} {{.State.Running}} {{.State.ExitCode}}";
    netcell(&["inspect", name, "--format", format]).quiet()
}

fn create_prepares_and_start_runs() {
    let id = cell("create --name web -p 8080:80 alpine sleep 1000").ok();
    assert_eq!(id.len(), 64, "{id}");
    assert_eq!(state("web"), "created false 0");
    assert!(processes_with("sleep 1000").is_empty());
    address_in("web", "eth0");
    assert_eq!(cell("start web").quiet(), "web");
    assert_eq!(state("web"), "running true 0");
    assert_eq!(processes_with("sleep 1000").len(), 1);
    cell("rm -f web").ok();
}

fn create_without_an_image_makes_a_sandbox_without_a_process() {
    let before = oracle::processes().len();
    cell("create --name bare").ok();
    assert_eq!(oracle::processes().len(), before);
    assert!(must("ip", &["netns", "list"]).starts_with("bare"));
    let links = ip_json_in("bare", &["link"]);
    let states: Vec<_> = links
        .as_array()
        .unwrap()
        .iter()
        .map(|l| {
            (
                l["ifname"].as_str().unwrap(),
                l["flags"].to_string().contains("\"UP\""),
            )
        })
        .collect();
    assert_eq!(states, [("lo", true), ("eth0", true)]);
    assert_eq!(cell("rm bare").quiet(), "bare");
    assert!(!std::path::Path::new(&pin("bare")).exists());
}

fn stop_sends_term_and_after_the_grace_time_kill() {
    cell("run -d --name deaf alpine sleep 1000").ok();
    let started = Instant::now();
    assert_eq!(cell("stop -t 1 deaf").quiet(), "deaf");
    let took = started.elapsed();
    // PID 1 ignores a SIGTERM that it does not handle.
    assert!(
        took >= Duration::from_millis(950) && took < Duration::from_secs(9),
        "{took:?}"
    );
    assert_eq!(state("deaf"), "exited false 137");
    let script = "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done";
    netcell(&["run", "-d", "--name", "kind", "alpine", "sh", "-c", script]).ok();
    wait_until("its trap is set", || cell("logs kind").stdout == "up\n");
    let started = Instant::now();
    cell("stop kind").ok();
    assert!(started.elapsed() < Duration::from_secs(9));
    assert_eq!(state("kind"), "exited false 3");
    cell("rm deaf kind").ok();
}

fn stop_of_a_container_that_has_ended_does_nothing() {
    cell("run --name web alpine true").ok();
    cell("stop web").ok();
    assert_eq!(state("web"), "exited false 0");
    cell("rm web").ok();
}

fn a_stopped_container_starts_again_with_the_same_address_and_ports() {
    cell("run -d --name web -p 8080:80 alpine httpd -f -p 80 -h /www").ok();
    let address = address_in("web", "eth0");
    let mac = ip_json_in("web", &["link", "show", "eth0"])[0]["address"].clone();
    wait_for_port(&pin("web"), 80);
    cell("stop -t 0 web").ok();
    cell("start web").ok();
    assert_eq!(address_in("web", "eth0"), address);
    assert_eq!(
        ip_json_in("web", &["link", "show", "eth0"])[0]["address"],
        mac
    );
    wait_for_port(&pin("web"), 80);
    assert_eq!(get([127, 0, 0, 1], 8080).unwrap(), "hello\n");
    cell("rm -f web").ok();
}

fn a_stopped_containers_writes_are_gone_when_it_starts_again() {
    cell("run -d --name web alpine sleep 1000").ok();
    netcell(&["exec", "web", "sh", "-c", "echo x >/written"]).ok();
    cell("stop -t 0 web").ok();
    cell("start web").ok();
    cell("exec web ls /written").exits(1);
    cell("rm -f web").ok();
}

fn start_of_a_running_container_does_nothing() {
    cell("run -d --name web alpine sleep 1000").ok();
    let pid = netcell(&["inspect", "web", "--format", "{{.State.Pid}}"]).quiet();
    cell("start web").exits(0);
    assert_eq!(
        netcell(&["inspect", "web", "--format", "{{.State.Pid}}"]).quiet(),
        pid
    );
    cell("rm -f web").ok();
}

fn kill_sends_the_signal_that_is_named() {
    let script = "trap 'echo hup' HUP; trap 'echo rt' 37; trap 'echo usr1; exit 4' USR1; echo ready; while :; do sleep 0.05; done";
    let run = ["run", "-d", "--name", "web", "--stop-signal", "SIGRTMIN+3"];
    netcell(&[&run[..], &["alpine", "sh", "-c", script]].concat()).ok();
    assert_eq!(
        cell("inspect -f {{.Config.StopSignal}} web").quiet(),
        "SIGRTMIN+3"
    );
    let log = |text: &str| wait_until(text, || cell("logs web").stdout.ends_with(text));
    log("ready\n");
    cell("kill -s HUP web").ok();
    log("hup\n");
    cell("kill -s SIGRTMIN+3 web").ok();
    log("rt\n");
    cell("kill -s SIGUSR1 web").ok();
    log("usr1\n");
    wait_until("it exits", || state("web") == "exited false 4");
    cell("kill -s NOSUCH web").refused(1, &["NOSUCH"]);
    cell("kill web").refused(1, &["not running"]);
    cell("kill -s HUP nosuch").refused(1, &["nosuch"]);
    cell("start web").ok();
    cell("kill web").ok();
    wait_until("it is killed", || state("web") == "exited false 137");
    cell("rm web").ok();
}

fn wait_prints_the_exit_status_of_each() {
    netcell(&[
        "run",
        "-d",
        "--name",
        "one",
        "alpine",
        "sh",
        "-c",
        "sleep 0.2; exit 6",
    ])
    .ok();
    cell("run --name two alpine false").exits(1);
    assert_eq!(cell("wait one two").quiet(), "6\n1");
    cell("wait nosuch").refused(1, &["nosuch"]);
    cell("rm one two").ok();
}

fn wait_ends_with_the_status_though_the_container_is_removed_meanwhile() {
    cell("run -d --name web alpine sleep 1000").ok();
    let wait = netcell_command(&["wait", "web"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(200));
    cell("rm -f web").ok();
    assert_eq!(command::collect(wait, "wait".to_owned()).quiet(), "137");
}

fn rm_refuses_a_running_container_and_f_kills_it() {
    let id = cell("run -d --name web alpine sleep 1000").ok();
    cell("rm web").refused(1, &["running"]);
    assert_eq!(state("web"), "running true 0");
    assert_eq!(cell(&format!("rm -f {}", &id[..12])).quiet(), &id[..12]);
    assert!(
        processes_with("sleep 1000").is_empty(),
        "its process is there when rm -f returns"
    );
    cell("rm web").refused(1, &["No such container", "web"]);
}

fn rm_leaves_nothing_of_a_container_that_was_stopped() {
    cell("run -d --name web -p 8080:80 alpine sleep 1000").ok();
    cell("stop -t 0 web").ok();
    cell("rm web").ok();
    assert!(!std::path::Path::new(&pin("web")).exists());
    assert!(oracle::entries("/run/netcell/containers").is_empty());
    assert!(oracle::entries("/run/netcell/sandboxes").is_empty());
    no_port_is_published();
}

fn ps_lists_the_running_and_with_a_all() {
    let id = cell("run -d --name web -p 8080:80 alpine sleep 1000").ok();
    cell("run --name old alpine true").ok();
    let running = cell("ps").quiet();
    let lines: Vec<&str> = running.lines().collect();
    let columns = [
        "CONTAINER ID",
        "IMAGE",
        "COMMAND",
        "CREATED",
        "STATUS",
        "PORTS",
        "NAMES",
    ];
    let places: Vec<_> = columns.iter().map(|column| lines[0].find(column)).collect();
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{running}"
    );
    assert_eq!(lines.len(), 2, "{running}");
    for word in [
        &id[..12],
        "alpine",
        "\"sleep 1000\"",
        "Up ",
        "0.0.0.0:8080->80/tcp",
        "web",
    ] {
        assert!(lines[1].contains(word), "{word} is not in {}", lines[1]);
    }
    let all = cell("ps -a").quiet();
    assert_eq!(all.lines().count(), 3, "{all}");
    assert!(all.contains("Exited (0)"), "{all}");
    assert_eq!(containers(), 2);
    cell("rm -f web old").ok();
}

fn ps_is_said_as_json_too() {
    assert_eq!(cell("ps --json").json().as_array().map(Vec::len), Some(0));
    let id = cell("run -d --name web alpine sleep 1000").ok();
    let text = cell("ps -a --json").json().to_string();
    assert!(text.contains(&id) && text.contains("web"), "{text}");
    cell("rm -f web").ok();
}

fn logs_are_what_the_container_printed() {
    netcell(&[
        "run",
        "-d",
        "--name",
        "web",
        "alpine",
        "sh",
        "-c",
        "echo out; echo err >&2; sleep 1000",
    ])
    .ok();
    wait_until("both are there", || {
        let logs = cell("logs web");
        logs.stdout == "out\n" && logs.stderr == "err\n"
    });
    cell("stop -t 0 web").ok();
    cell("logs web").exits(0);
    cell("logs nosuch").refused(1, &["nosuch"]);
    cell("rm web").ok();
    cell("logs web").refused(1, &["web"]);
}

fn logs_are_bounded() {
    let limit = 64 * 1024;
    let script = "i=0; while [ $i -lt 20000 ]; do echo line-$i; i=$((i+1)); done";
    let limit_text = limit.to_string();
    netcell(&[
        "run",
        "-d",
        "--name",
        "web",
        "--log-max-size",
        &limit_text,
        "alpine",
        "sh",
        "-c",
        script,
    ])
    .ok();
    assert_eq!(cell("wait web").quiet(), "0");
    let logs = cell("logs web").quiet();
    assert!(logs.len() <= limit, "{} bytes", logs.len());
    assert!(
        logs.len() >= limit / 4,
        "only {} bytes are kept",
        logs.len()
    );
    assert!(logs.ends_with("line-19999"), "the end is what counts");
    assert!(
        logs.lines().skip(1).all(|line| line.starts_with("line-")),
        "lines are whole: {:?}",
        logs.lines().next()
    );
    let mut kept = 0;
    for name in oracle::entries("/run/netcell/containers/web") {
        let size = std::fs::metadata(format!("/run/netcell/containers/web/{name}"))
            .unwrap()
            .len();
        kept += size;
    }
    assert!(
        kept > 0 && kept <= limit as u64 * 5 / 4,
        "{kept} bytes on the host"
    );
    cell("rm web").ok();
}

fn port_lists_what_is_published() {
    cell("run -d --name web -p 8080:80 -p 8081:81/udp alpine sleep 1000").ok();
    assert_eq!(
        cell("port web").quiet(),
        "80/tcp -> 0.0.0.0:8080\n81/udp -> 0.0.0.0:8081"
    );
    assert_eq!(cell("port web 80").quiet(), "0.0.0.0:8080");
    assert_eq!(cell("port web 81/udp").quiet(), "0.0.0.0:8081");
    cell("port web 81").refused(1, &["81", "web"]);
    cell("port nosuch").refused(1, &["nosuch"]);
    cell("rm -f web").ok();
}

fn names_ids_and_unique_prefixes_are_understood_everywhere() {
    let id = cell("create --name web alpine sleep 1000").ok();
    let prefix = &id[..10];
    assert_eq!(cell(&format!("start {prefix}")).quiet(), prefix);
    for line in [
        "exec ID true",
        "logs ID",
        "port ID",
        "inspect ID",
        "show ID",
        "stop -t 0 ID",
        "wait ID",
        "start ID",
        "kill ID",
    ] {
        cell(&line.replace("ID", prefix)).ok();
    }
    cell(&format!("rm -f {id}")).ok();
}

fn an_ambiguous_prefix_is_refused() {
    // Of 17 ids two begin with the same hexadecimal digit.
    let ids: Vec<String> = (0..17)
        .map(|n| cell(&format!("create --name box-{n} --network none")).ok())
        .collect();
    let first = |id: &String| id[..1].to_owned();
    let twice = ids
        .iter()
        .map(first)
        .find(|digit| ids.iter().filter(|id| first(id) == *digit).count() > 1);
    let prefix = twice.unwrap();
    cell(&format!("inspect {prefix}")).exits(1);
    cell(&format!("rm {prefix}")).refused(1, &[&prefix]);
    assert_eq!(oracle::entries("/run/netns").len(), 17);
    for n in 0..17 {
        cell(&format!("rm box-{n}")).ok();
    }
}

fn a_container_whose_monitor_is_killed_is_still_governed() {
    let script = "echo begun; sleep 1000";
    netcell(&[
        "run", "-d", "--name", "web", "-p", "8080:80", "alpine", "sh", "-c", script,
    ])
    .ok();
    wait_until("it has begun", || cell("logs web").quiet() == "begun");
    let pid: i32 = netcell(&["inspect", "web", "--format", "{{.State.Pid}}"])
        .quiet()
        .parse()
        .unwrap();
    let monitor: i32 = oracle::status(pid, "PPid").unwrap().parse().unwrap();
    assert_ne!(monitor, 1, "somebody waits for the container");
    sys::kill(monitor, libc::SIGKILL).unwrap();
    wait_until("the monitor is gone", || {
        oracle::status(monitor, "State").is_none_or(|state| state.starts_with('Z'))
    });
    if oracle::status(pid, "Name").is_some() {
        assert_eq!(state("web"), "running true 0");
        cell("exec web true").ok();
        let way_out = "`netcell restart` gives it one again";
        cell("attach web").refused(1, &["its monitor was killed", way_out]);
        let followed = cell("logs -f web");
        assert_eq!(followed.stdout, "begun\n");
        followed.refused(1, &["its monitor was killed", way_out]);
        // Its number may be another process's by now.
        let path = "/run/netcell/containers/web/record.json";
        let record = std::fs::read_to_string(path).unwrap();
        let [was, is] =
            [monitor, std::process::id().cast_signed()].map(|pid| format!("\"monitor\":{pid},"));
        assert!(record.contains(&was), "{record}");
        std::fs::write(path, record.replace(&was, &is)).unwrap();
        cell("logs -f web").refused(1, &["its monitor was killed", way_out]);
        cell("stop -t 0 web").ok();
    }
    assert_eq!(state("web"), "exited false 137");
    assert_eq!(cell("wait web").quiet(), "137");
    cell("start web").ok();
    assert_eq!(state("web"), "running true 0");
    cell("rm -f web").ok();
}

fn the_exit_status_is_kept_until_rm() {
    netcell(&["run", "-d", "--name", "web", "alpine", "sh", "-c", "exit 9"]).ok();
    assert_eq!(cell("wait web").quiet(), "9");
    assert_eq!(state("web"), "exited false 9");
    assert_eq!(cell("wait web").quiet(), "9");
    cell("rm web").ok();
}

fn a_start_that_fails_leaves_how_it_ended_before() {
    let root = image::make("own");
    netcell(&["run", "-d", "--name", "web", "own", "sh", "-c", "exit 9"]).ok();
    assert_eq!(cell("wait web").quiet(), "9");
    let files = || {
        let mut files = oracle::entries("/run/netcell/containers/web");
        files.sort_unstable();
        files
    };
    let before = files();
    std::fs::rename(&root, "/var/lib/netcell/images/away").unwrap();
    cell("start web").refused(1, &[&root]);
    assert_eq!(state("web"), "exited false 9");
    assert_eq!(cell("wait web").quiet(), "9");
    assert_eq!(files(), before);
    std::fs::rename("/var/lib/netcell/images/away", &root).unwrap();
    cell("start web").ok();
    assert_eq!(cell("wait web").quiet(), "9");
    cell("rm web").ok();
}

fn a_hundred_lines_of_a_short_command_are_all_logged() {
    for n in 0..5 {
        netcell(&["run", "-d", "--name", "web", "alpine", "seq", "100"]).ok();
        assert_eq!(cell("wait web").quiet(), "0");
        let lines = cell("logs web").quiet().lines().count();
        assert_eq!(lines, 100, "in round {n}");
        cell("rm web").ok();
    }
}

fn state_and_image_directories_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &str| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    cell("create --name bare").ok();
    assert_eq!(mode("/run/netcell"), 0o700);
    cell("rm bare").ok();
}
