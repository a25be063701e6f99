//! Commands that meet: every race that the protocol names, and many commands at once.

use crate::harness::*;
use crate::tests;
use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::time::Duration;

pub const TESTS: &[runner::Test] = tests![
    of_two_runs_of_one_name_one_wins_and_the_other_is_a_conflict.seconds(120),
    of_two_creates_of_one_port_one_wins.seconds(120),
    rm_during_run_leaves_a_whole_container_or_none.seconds(120),
    start_against_rm_leaves_a_whole_container_or_none.seconds(120),
    stop_and_kill_against_start_and_rm_end_well.seconds(120),
    what_is_started_again_while_it_stops_is_another_s_to_wait_for.seconds(120),
    takeover_against_rm_of_the_last_sidecar_ends_well.seconds(120),
    join_against_rm_of_main_ends_well.seconds(120),
    network_rm_against_create_leaves_a_network_or_no_sandbox.seconds(120),
    two_network_creates_of_one_name_and_one_subnet.seconds(120),
    the_monitor_killed_at_any_time_leaves_a_container_that_rm_removes.seconds(120),
    the_first_commands_of_a_boot_may_all_come_at_once.seconds(120),
    fifty_runs_and_removals_at_once_share_nothing_and_leave_nothing.seconds(300),
    who_reads_meanwhile_never_sees_half_a_thing.seconds(120),
    a_lock_that_somebody_holds_forever_is_named.seconds(90),
    a_stopped_command_holds_up_nobody_else.seconds(90),
];

fn begin(line: &str) -> Child {
    let words: Vec<&str> = line.split(' ').collect();
    let mut command = netcell_command(&words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    step("start netcell", command.spawn())
}

/// Both at once, the second a little later than the first: the delay goes through all stages of a run.
fn both(first: &str, second: &str, round: u64) -> [Output; 2] {
    let children = [begin(first), {
        std::thread::sleep(Duration::from_micros(round * 500));
        begin(second)
    }];
    let mut lines = [first, second].into_iter();
    children.map(|child| command::collect(child, lines.next().unwrap_or_default().to_owned()))
}

/// No refusal may be more than one sentence, whatever it was that came first.
#[track_caller]
fn orderly(output: &Output) {
    if output.code != 0 {
        output.clone().refused(output.code, &[]);
    }
    assert!([0, 1, 125].contains(&output.code), "{output:?}");
}

/// After a race nothing is undecided: the name is whole or free, and what there is can be removed.
#[track_caller]
fn settle(name: &str) {
    let exists = cell(&format!("inspect {name}")).code == 0;
    let pinned = std::path::Path::new(&pin(name)).exists();
    assert_eq!(exists, pinned, "{name}: a record and a pin go together");
    if exists {
        cell(&format!("rm -f {name}")).ok();
    }
    assert_eq!(oracle::entries("/run/netns"), Vec::<String>::new());
    assert!(processes_with("sleep 1000").is_empty());
    let intents = oracle::entries("/run/netcell/intents");
    assert!(intents.is_empty(), "{intents:?}");
}

fn of_two_runs_of_one_name_one_wins_and_the_other_is_a_conflict() {
    for round in 0..20 {
        let line = "run -d --name web -p 8080:80 alpine sleep 1000";
        let outputs = both(line, line, round % 5);
        let won = outputs.iter().filter(|output| output.code == 0).count();
        assert_eq!(won, 1, "{outputs:?}");
        let lost = outputs
            .iter()
            .find(|output| output.code != 0)
            .cloned()
            .unwrap();
        lost.refused(125, &["web"]);
        assert_eq!(processes_with("sleep 1000").len(), 1);
        settle("web");
    }
}

fn of_two_creates_of_one_port_one_wins() {
    for round in 0..20 {
        let outputs = both(
            "create --name one -p 8080:80",
            "create --name two -p 8080:80",
            round % 4,
        );
        let won = outputs.iter().filter(|output| output.code == 0).count();
        assert_eq!(won, 1, "{outputs:?}");
        assert_eq!(elements("map", "publish4").len(), 1);
        let _ = (cell("rm one"), cell("rm two"));
        no_port_is_published();
    }
}

fn rm_during_run_leaves_a_whole_container_or_none() {
    for round in 0..30 {
        let outputs = both(
            "run -d --name web -p 8080:80 alpine sleep 1000",
            "rm -f web",
            round,
        );
        outputs.iter().for_each(orderly);
        assert_eq!(outputs[0].code, 0, "{outputs:?}");
        settle("web");
    }
}

fn start_against_rm_leaves_a_whole_container_or_none() {
    for round in 0..25 {
        cell("create --name web -p 8080:80 alpine sleep 1000").ok();
        let outputs = both("start web", "rm -f web", round % 15);
        outputs.iter().for_each(orderly);
        assert_eq!(outputs[1].code, 0, "{outputs:?}");
        settle("web");
        cell("create --name web alpine sleep 1000").ok();
        let outputs = both("rm web", "start web", round % 5);
        outputs.iter().for_each(orderly);
        settle("web");
    }
}

fn stop_and_kill_against_start_and_rm_end_well() {
    for round in 0..15 {
        cell("run -d --name web alpine sleep 1000").ok();
        for (first, second) in [
            ("stop -t 0 web", "start web"),
            ("kill web", "stop -t 0 web"),
            ("stop -t 0 web", "rm -f web"),
        ] {
            both(first, second, round % 6).iter().for_each(orderly);
        }
        settle("web");
    }
}

/// Whose end is waited for is known before the signal: afterwards its `exit` file may be another monitor's.
fn what_is_started_again_while_it_stops_is_another_s_to_wait_for() {
    cell("run -d --name web alpine sleep 1000").ok();
    let again = format!("while :; do {} start web; done", boxes::BINARY);
    let starting = Background::spawn(
        std::process::Command::new("busybox")
            .args(["sh", "-c", &again])
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    for _ in 0..20 {
        cell("stop -t 0 web").ok();
    }
    drop(starting);
    cell("rm -f web").ok();
}

fn takeover_against_rm_of_the_last_sidecar_ends_well() {
    for round in 0..25 {
        cell("run -d --name web alpine sleep 1000").ok();
        cell("run -d --name side --network container:web alpine sleep 1000").ok();
        cell("rm -f web").ok();
        let lines = ["run -d --name web alpine sleep 1000", "rm -f side"];
        let (first, second) = if round % 2 == 0 {
            (lines[0], lines[1])
        } else {
            (lines[1], lines[0])
        };
        let outputs = both(first, second, round % 12);
        outputs.iter().for_each(orderly);
        assert!(outputs.iter().all(|output| output.code == 0), "{outputs:?}");
        assert_eq!(
            cell("exec web cat /proc/net/dev").quiet().lines().count(),
            4
        );
        let inode = oracle::namespace_id(&pin("web"));
        assert_eq!(
            cell("exec web readlink /proc/self/ns/net").quiet(),
            format!("net:[{inode}]")
        );
        settle("web");
    }
}

fn join_against_rm_of_main_ends_well() {
    for round in 0..25 {
        cell("run -d --name web alpine sleep 1000").ok();
        let outputs = both(
            "run -d --name side --network container:web alpine sleep 1000",
            "rm -f web",
            round % 15,
        );
        outputs.iter().for_each(orderly);
        assert_eq!(outputs[1].code, 0, "{outputs:?}");
        if outputs[0].code == 0 {
            assert!(
                cell("exec side cat /proc/net/dev").quiet().contains("eth0"),
                "joined an empty sandbox"
            );
            cell("rm -f side").ok();
        }
        settle("web");
    }
}

fn network_rm_against_create_leaves_a_network_or_no_sandbox() {
    for round in 0..25 {
        cell("network create --subnet 10.50.0.0/24 lan").ok();
        let lines = [
            "create --name web --network lan -p 8080:80",
            "network rm lan",
        ];
        let (first, second) = if round % 2 == 0 {
            (lines[0], lines[1])
        } else {
            (lines[1], lines[0])
        };
        let outputs = both(first, second, round % 8);
        outputs.iter().for_each(orderly);
        let won: Vec<_> = outputs.iter().filter(|output| output.code == 0).collect();
        assert_eq!(won.len(), 1, "{outputs:?}");
        if won[0].line.contains("create") {
            assert!(
                address_in("web", "eth0")
                    .0
                    .to_string()
                    .starts_with("10.50.0.")
            );
            cell("rm web").ok();
            cell("network rm lan").ok();
        }
        assert!(!links().iter().any(|link| link == "netcell1"));
    }
}

fn two_network_creates_of_one_name_and_one_subnet() {
    for round in 0..10 {
        let line = "network create --subnet 10.50.0.0/24 lan";
        let outputs = both(line, line, round % 3);
        outputs.iter().for_each(orderly);
        assert_eq!(
            outputs.iter().filter(|output| output.code == 0).count(),
            1,
            "{outputs:?}"
        );
        cell("network rm lan").ok();
        let outputs = both(line, "network create --subnet 10.50.0.0/25 wan", round % 3);
        assert_eq!(
            outputs.iter().filter(|output| output.code == 0).count(),
            1,
            "{outputs:?}"
        );
        let _ = (cell("network rm lan"), cell("network rm wan"));
        assert_eq!(links(), ["lo"]);
    }
}

fn the_monitor_killed_at_any_time_leaves_a_container_that_rm_removes() {
    cell("create --name first").ok();
    cell("rm first").ok();
    for round in 0..40 {
        let run = begin("run -d --name web -p 8080:80 alpine sleep 1000");
        let command = run.id();
        std::thread::sleep(Duration::from_micros(round * 300));
        // The command's child is the monitor; afterwards it is PID 1's.
        let all = oracle::processes();
        let monitor = all.iter().map(|&(pid, _)| pid).find(|&pid| {
            let parent = oracle::status(pid, "PPid").and_then(|text| text.parse::<u32>().ok());
            let name = oracle::status(pid, "Name").unwrap_or_default();
            parent == Some(command) || parent == Some(1) && name == "netcell"
        });
        if let Some(monitor) = monitor {
            let _ = sys::kill(monitor, libc::SIGKILL);
        }
        orderly(&command::collect(run, "run".to_owned()));
        settle("web");
    }
}

fn the_first_commands_of_a_boot_may_all_come_at_once() {
    let children: Vec<Child> = (0..12)
        .map(|n| begin(&format!("create --name box-{n} -p {}:80", 9000 + n)))
        .collect();
    for child in children {
        command::collect(child, "create".to_owned()).exits(0);
    }
    assert_eq!(elements("map", "publish4").len(), 12);
    let mut addresses = BTreeSet::new();
    for n in 0..12 {
        assert!(addresses.insert(address_in(&format!("box-{n}"), "eth0").0));
        cell(&format!("rm box-{n}")).ok();
    }
    assert_eq!(
        links()
            .iter()
            .filter(|name| name.starts_with("netcell"))
            .count(),
        1
    );
}

fn fifty_runs_and_removals_at_once_share_nothing_and_leave_nothing() {
    let children: Vec<Child> = (0..50)
        .map(|n| {
            begin(&format!(
                "run -d --name box-{n} -p {}:80 alpine sleep 1000",
                9000 + n
            ))
        })
        .collect();
    let ids: BTreeSet<String> = children
        .into_iter()
        .map(|child| command::collect(child, "run -d".to_owned()).ok())
        .collect();
    assert_eq!(ids.len(), 50);
    let addresses: BTreeSet<_> = (0..50)
        .map(|n| address_in(&format!("box-{n}"), "eth0").0)
        .collect();
    assert_eq!(addresses.len(), 50, "an address is given twice");
    let macs: BTreeSet<String> = (0..50)
        .map(|n| {
            ip_json_in(&format!("box-{n}"), &["link", "show", "eth0"])[0]["address"].to_string()
        })
        .collect();
    assert_eq!(macs.len(), 50);
    assert_eq!(elements("map", "publish4").len(), 50);
    assert_eq!(processes_with("sleep 1000").len(), 50);
    assert_eq!((cell("ps").quiet().lines().count() - 1), 50);
    // Removals and new runs of the same ports and names mix.
    let children: Vec<Child> = (0..50)
        .map(|n| match n % 2 {
            0 => begin(&format!("rm -f box-{n}")),
            _ => begin(&format!(
                "run -d --name more-{n} -p {}:80 alpine sleep 1000",
                9100 + n
            )),
        })
        .collect();
    for child in children {
        command::collect(child, "rm -f or run -d".to_owned()).exits(0);
    }
    assert_eq!(elements("map", "publish4").len(), 50);
    let children: Vec<Child> = (0..50)
        .filter(|n| n % 2 == 1)
        .flat_map(|n| {
            [
                begin(&format!("rm -f box-{n}")),
                begin(&format!("rm -f more-{n}")),
            ]
        })
        .collect();
    for child in children {
        command::collect(child, "rm -f".to_owned()).exits(0);
    }
    no_port_is_published();
    assert_eq!(containers(), 0);
    assert!(processes_with("sleep 1000").is_empty());
    assert!(oracle::entries("/run/netns").is_empty());
}

fn who_reads_meanwhile_never_sees_half_a_thing() {
    cell("create --name first").ok();
    for _ in 0..15 {
        let run = begin("run -d --name web -p 8080:80 alpine sleep 1000");
        for line in [
            "ps -a",
            "network inspect bridge",
            "port web",
            "inspect web",
            "ps --json",
        ] {
            let answer = cell(line);
            assert!([0, 1].contains(&answer.code), "{answer:?}");
            assert!(answer.stderr.lines().count() <= 1, "{answer:?}");
            if line == "inspect web" && answer.code == 0 {
                let value = answer.clone().json();
                let address =
                    value[0]["NetworkSettings"]["Networks"]["bridge"]["IPAddress"].as_str();
                assert!(address.is_some_and(|text| !text.is_empty()), "{answer:?}");
            }
        }
        command::collect(run, "run -d".to_owned()).exits(0);
        cell("rm -f web").ok();
    }
    cell("rm first").ok();
}

fn a_lock_that_somebody_holds_forever_is_named() {
    cell("create --name first").ok();
    let lock = std::fs::File::open("/run/netcell/lock").unwrap();
    assert!(sys::try_flock(&lock, true).unwrap());
    let started = std::time::Instant::now();
    let sentence = cell("create --name web").refused(1, &["lock"]);
    assert!(
        sentence.contains(&std::process::id().to_string()),
        "the holder is named: {sentence}"
    );
    assert!(
        (25..38).contains(&started.elapsed().as_secs()),
        "{:?}",
        started.elapsed()
    );
    drop(lock);
    cell("rm first").ok();
    assert!(!std::path::Path::new(&pin("web")).exists());
}

fn a_stopped_command_holds_up_nobody_else() {
    cell("create --name first").ok();
    // Stopped at some moment of its work, but never for long while it holds the lock: others go on.
    for round in 0..12 {
        let run = begin("create --name slow -p 8080:80");
        std::thread::sleep(Duration::from_micros(300 + round * 250));
        let pid = run.id().cast_signed();
        let _ = sys::kill(pid, libc::SIGSTOP);
        let holds = std::fs::read_to_string("/proc/locks").unwrap_or_default();
        let lock = std::fs::metadata("/run/netcell/lock")
            .map(|found| std::os::unix::fs::MetadataExt::ino(&found))
            .unwrap();
        let in_lock = holds
            .lines()
            .any(|line| line.contains(&format!(" {pid} ")) && line.contains(&format!(":{lock} ")));
        if !in_lock {
            cell("create --name quick --network none").ok();
            cell("rm quick").ok();
            cell("ps -a").ok();
        }
        let _ = sys::kill(pid, libc::SIGCONT);
        orderly(&command::collect(run, "create".to_owned()));
        let _ = cell("rm slow");
    }
    cell("rm first").ok();
}
