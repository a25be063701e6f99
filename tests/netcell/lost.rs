//! State files that somebody has taken away: what has lost its record is said by path and with the way out, whoever is asked
//! about it; it can be removed with all that was its own, and with nothing of others.

use crate::harness::boxes::STATE;
use crate::harness::oracle::{namespace_id, status};
use crate::harness::snapshot::{Snapshot, restored_but};
use crate::harness::*;
use crate::tests;
use std::fs;
use std::path::Path;
use std::time::Duration;

pub const TESTS: &[runner::Test] = tests![
    a_sandbox_whose_container_is_lost_can_be_removed,
    a_container_whose_sandbox_is_lost_keeps_all_of_it_until_it_is_removed.seconds(120),
    a_lost_sandbox_goes_with_its_last_member,
    a_lost_sandbox_without_leases_keeps_its_ports_until_it_is_removed,
    a_pin_that_nothing_proves_to_be_a_lost_sandboxs_stays,
    a_container_without_a_record_is_said_and_ended_with_all_of_it.seconds(300),
    a_link_that_a_container_plants_makes_it_no_other_one,
    a_process_of_any_name_still_runs,
    what_runs_in_anothers_sandbox_is_found_without_its_monitor,
    a_state_directory_behind_a_link_is_the_same_one,
    a_lost_container_is_meant_by_the_id_that_ps_showed,
    a_member_without_a_record_leaves_the_others_as_they_are,
    what_needs_a_lost_sandbox_says_what_is_lost,
    a_lease_that_is_lost_comes_back_before_another_gets_what_it_is_of,
    a_container_is_meant_by_its_id_though_that_leads_nowhere,
    the_end_of_a_container_is_waited_for_though_its_exit_file_is_lost,
    a_network_without_a_record_stays_with_those_who_are_on_it,
    a_torn_lease_is_written_again_and_is_a_users_till_then,
    leases_that_there_is_no_room_for_come_back_when_there_is,
];

fn a_sandbox_whose_container_is_lost_can_be_removed() {
    cell("create --name web -p 8080:80 alpine sleep 1000").ok();
    step(
        "lose a record",
        fs::remove_file("/run/netcell/containers/web/record.json"),
    );
    cell("ps -a").ok();
    cell("rm web").quiet();
    assert!(!Path::new(&pin("web")).exists());
    no_port_is_published();
    cell("create --name web -p 8080:80").quiet();
    cell("rm web").ok();
}

const LOST: &str = "/run/netcell/sandboxes/one/record.json";

/// What `rm` is to leave as it was before the container; a network and the watcher's files stay.
fn as_before(before: &Snapshot) {
    let is_kept = |line: &str| {
        let kept = ["directory: ", "/leases/", "/watch/", "/reconcile"];
        kept.iter().any(|part| line.contains(part))
    };
    let left = restored_but(before, Duration::from_secs(10), &is_kept);
    assert_eq!(left, Ok(()));
}

fn a_container_whose_sandbox_is_lost_keeps_all_of_it_until_it_is_removed() {
    cell("run -d --name other -p 9090:90 alpine sleep 1000").ok();
    let before = Snapshot::at_rest();
    for options in ["", "--allow-spoof ", "--network none "] {
        let ports = match options.contains("none") {
            true => "",
            false => "-p 8080:80 -p 8081:81,from=10.0.0.0/8 -p 127.0.0.1:8082:82/udp ",
        };
        cell(&format!(
            "run -d --name one {options}{ports}alpine sleep 1000"
        ))
        .ok();
        let published = elements("map", "publish4").len();
        step("lose a record", fs::remove_file(LOST));
        let list = cell("ps");
        assert_eq!((list.code, list.stderr.matches(LOST).count()), (0, 1));
        for name in ["one", "other"] {
            assert!(list.stdout.contains(name), "{list:?}");
        }
        cell("reconcile").refused(1, &["container one", LOST]);
        let held = Snapshot::at_rest();
        let pruned = cell("prune");
        assert_eq!(pruned.stderr.matches(LOST).count(), 1, "{pruned:?}");
        assert_eq!(pruned.ok(), "");
        assert_eq!(held.differences(&Snapshot::at_rest()), Vec::<String>::new());
        cell("exec one true").quiet();
        if !ports.is_empty() {
            let (address, _) = address_in("one", "eth0");
            cell(&format!("create --name thief --ip {address}")).refused(1, &["in use", "one"]);
            cell("create --name thief -p 8080:80").refused(1, &["sandbox one"]);
        }
        assert_eq!(elements("map", "publish4").len(), published);
        cell("rm one").refused(1, &["running container"]);
        let script = cell("rm -f --dry-run one").quiet();
        for line in ["kill -9 ", "ip netns delete one"] {
            assert!(script.contains(line), "{script}");
        }
        let guarded = script.contains("delete element bridge netcell macs");
        assert_eq!(guarded, options.is_empty(), "{script}");
        let udp = "publish4_addr '{ 127.0.0.1 . udp . 8082 : ";
        assert_eq!(script.contains(udp), !ports.is_empty(), "{script}");
        assert_eq!(cell("rm -f one").quiet(), "one");
        assert!(!Path::new(&pin("one")).exists());
        as_before(&before);
        cell(&format!("create --name one {options}{ports}")).quiet();
        cell("rm one").quiet();
        as_before(&before);
        // The leases of links that are gone now.
        cell("prune").quiet();
    }
    cell("reconcile").quiet();
    cell("prune").quiet();
    cell("rm -f other").ok();
}

fn a_lost_sandbox_goes_with_its_last_member() {
    cell("create --name first").ok();
    cell("rm first").ok();
    let port = || links().into_iter().find(|link| link.len() == 12);
    wait_until("its link is gone", || port().is_none());
    cell("prune").ok();
    let before = Snapshot::at_rest();
    cell("run -d --name one -p 8080:80 alpine sleep 1000").ok();
    cell("run -d --name two --network container:one alpine sleep 1000").ok();
    step(
        "lose a directory",
        fs::remove_dir_all("/run/netcell/sandboxes/one"),
    );
    let list = cell("ps");
    assert_eq!(list.stderr.lines().count(), 2, "{list:?}");
    // Not even its pin is left, and still there is somebody who lives in it.
    must("ip", &["netns", "delete", "one"]);
    let link = port().expect("a link of a sandbox");
    assert_eq!(cell("prune").ok(), "");
    assert_eq!(cell("rm -f one").quiet(), "one");
    assert!(links().contains(&link));
    assert_eq!(elements("map", "publish4").len(), 1);
    cell("create --name thief -p 8080:80").refused(1, &["sandbox one"]);
    assert_eq!(cell("prune").ok(), "");
    assert_eq!(cell("rm -f two").quiet(), "two");
    no_port_is_published();
    as_before(&before);
}

/// Deletes what is named below the state directory.
fn lose(below: &str) {
    let path = Path::new(STATE).join(below);
    step(
        "lose something",
        match path.is_dir() {
            true => fs::remove_dir_all(&path),
            false => fs::remove_file(&path),
        },
    );
}

fn a_pin_that_nothing_proves_to_be_a_lost_sandboxs_stays() {
    cell("create --name first").ok();
    cell("rm first").ok();
    cell("prune").ok();
    for network in ["bridge", "none"] {
        for made in ["run -d", "create"] {
            cell(&format!(
                "{made} --name one --network {network} alpine sleep 1000"
            ))
            .ok();
            // Who serves on by hand has the same address.
            let inside = match network {
                "none" => std::net::Ipv4Addr::new(10, 9, 9, 9),
                _ => address_in("one", "eth0").0,
            };
            lose("sandboxes/one/record.json");
            must("ip", &["netns", "delete", "one"]);
            // Another's, with a pair that looks like a sandbox's.
            must("ip", &["netns", "add", "one"]);
            let pair = "link add mine type veth peer name eth0 netns one";
            must("ip", &pair.split(' ').collect::<Vec<_>>());
            let address = format!("-n one address add {inside}/24 dev eth0");
            must("ip", &address.split(' ').collect::<Vec<_>>());
            let theirs = namespace_id(&pin("one"));
            let answer = cell("rm -f one");
            let said = &answer.stderr;
            assert!(
                said.contains("left /run/netns/one alone") && said.contains("ip netns delete one"),
                "{answer:?}"
            );
            assert_eq!(answer.ok(), "one");
            assert_eq!(namespace_id(&pin("one")), theirs);
            assert!(links().contains(&"mine".to_owned()));
            assert_eq!(processes_with("sleep").len(), 0);
            cell("create --name one").refused(1, &["/run/netns/one"]);
            must("ip", &["link", "delete", "mine"]);
            must("ip", &["netns", "delete", "one"]);
            cell("prune").ok();
        }
    }
    // Its own is known by its address, or, where it has none, by who lives in it; else nobody can tell.
    for (line, stays) in [
        ("create --name one alpine sleep 1000", false),
        ("run -d --name one --network none alpine sleep 1000", false),
        ("create --name one --network none alpine sleep 1000", true),
    ] {
        cell(line).ok();
        lose("sandboxes/one/record.json");
        let answer = cell("rm -f one");
        assert_eq!(answer.stderr.contains("alone"), stays, "{line}: {answer:?}");
        assert_eq!(answer.ok(), "one");
        assert_eq!(Path::new(&pin("one")).exists(), stays, "{line}");
    }
    must("ip", &["netns", "delete", "one"]);
    cell("prune").ok();
}

fn a_lost_sandbox_without_leases_keeps_its_ports_until_it_is_removed() {
    cell("run -d --name one -p 8080:80 alpine sleep 1000").ok();
    lose("sandboxes/one/record.json");
    lose("networks/bridge/leases");
    let before = Snapshot::at_rest();
    assert_eq!(cell("prune").ok(), "");
    assert_eq!(
        before.differences(&Snapshot::at_rest()),
        Vec::<String>::new()
    );
    assert_eq!(cell("rm -f one").quiet(), "one");
    cell("prune").ok();
    no_port_is_published();
    cell("create --name one -p 8080:80").quiet();
    cell("rm one").quiet();
}

/// SIGKILL for the monitor of a container.
fn kill_the_monitor(container: &str) {
    let pid = cell(&format!("inspect -f {{{{.State.Pid}}}} {container}")).ok();
    let monitor = status(pid.parse().unwrap(), "PPid").unwrap();
    must("kill", &["-9", &monitor]);
    wait_until("the monitor is gone", || {
        status(pid.parse().unwrap(), "PPid").unwrap() != monitor
    });
}

fn a_container_without_a_record_is_said_and_ended_with_all_of_it() {
    let path = "/run/netcell/containers/one/record.json";
    let sandbox = "sandboxes/one/record.json";
    let record = "containers/one/record.json";
    cell("run -d --name other -p 9090:90 alpine sleep 1000").ok();
    let before = Snapshot::at_rest();
    for (options, losses) in [
        ("", &[record][..]),
        ("", &[record, "containers/one/exit"]),
        ("", &[record, "containers/one/attach"]),
        ("", &[record, sandbox]),
        ("", &[record, "monitor"]),
        ("", &["containers/one"]),
        ("--network none ", &[record]),
        ("--network none ", &[record, sandbox]),
        ("--network host ", &[record]),
    ] {
        let ports = match options {
            "" => "-p 8080:80 -p 127.0.0.1:8082:82/udp ",
            _ => "",
        };
        let line = format!("run -d --name one {options}{ports}alpine sleep 2000");
        cell(&line).ok();
        if losses.contains(&"monitor") {
            kill_the_monitor("one");
        }
        let files = losses.iter().filter(|loss| **loss != "monitor");
        files.for_each(|file| lose(file));
        let runs = || processes_with("sleep 2000").len();
        assert_eq!(runs(), 1);
        let list = cell("ps -a");
        assert_eq!(list.stderr.matches(path).count(), 1, "{list:?}");
        for line in [
            "inspect one",
            "stop one",
            "kill one",
            "start one",
            "exec one true",
            "logs one",
            "rename one two",
            "rename other one",
            "create --name one",
            "create --name two --network container:one alpine true",
            "rm one",
            "reconcile",
        ] {
            let answer = cell(line);
            assert_ne!(answer.code, 0, "{line}: {answer:?}");
            let said = [path, "netcell rm -f one"];
            let all = said.iter().all(|said| answer.stderr.contains(said));
            assert!(all, "{line}: {answer:?}");
            assert_eq!(answer.stderr.lines().count(), 1, "{line}: {answer:?}");
        }
        cell("run -d --name one alpine sleep 1000").refused(125, &[path]);
        cell("rm one").refused(1, &["still runs"]);
        let held = Snapshot::at_rest();
        let pruned = cell("prune");
        assert_eq!(pruned.stderr.matches(path).count(), 1, "{pruned:?}");
        assert_eq!(pruned.ok(), "");
        assert_eq!(held.differences(&Snapshot::at_rest()), Vec::<String>::new());
        let script = cell("rm -f --dry-run one").quiet();
        assert!(script.contains("kill -9 "), "{script}");
        assert_eq!(cell("rm -f one").quiet(), "one");
        assert_eq!(runs(), 0, "{options}{losses:?}");
        assert!(!Path::new(&pin("one")).exists());
        as_before(&before);
        cell(&format!("create --name one {ports}")).quiet();
        cell("rm one").quiet();
        as_before(&before);
        cell("prune").quiet();
    }
    // One that does not run is removed without force.
    cell("create --name one -p 8080:80 alpine sleep 1000").ok();
    lose(record);
    cell("start one").refused(1, &[path]);
    assert_eq!(cell("rm one").quiet(), "one");
    as_before(&before);
    cell("rm -f other").ok();
}

fn a_link_that_a_container_plants_makes_it_no_other_one() {
    cell("run -d --name one alpine sleep 2000").ok();
    let plant = "mkdir -p /mnt/etc /mnt/bin && cp /bin/busybox /mnt/bin/sleep && \
        ln -s /run/netcell/sandboxes/one/hostname /mnt/etc/hostname && exec chroot /mnt /bin/sleep 3000";
    netcell(&["run", "-d", "--name", "other", "alpine", "sh", "-c", plant]).ok();
    let runs = |what: &str| processes_with(what).len();
    wait_until("its root is another", || runs("/bin/sleep 3000") == 1);
    for name in ["one", "other"] {
        kill_the_monitor(name);
        lose(&format!("containers/{name}/record.json"));
    }
    assert_eq!(cell("rm -f one").quiet(), "one");
    assert_eq!((runs("sleep 2000"), runs("/bin/sleep 3000")), (0, 1));
    must("pkill", &["-9", "-f", "sleep 3000"]);
    cell("rm other").quiet();
}

fn a_process_of_any_name_still_runs() {
    // The kernel cuts the name of a program after 15 bytes, maybe within a letter; and anybody may take any other.
    let script = "printf 'abcdefghijklmn\\303' >/proc/$$/comm; while :; do sleep 1; done";
    netcell(&["run", "-d", "--name", "one", "alpine", "sh", "-c", script]).ok();
    let runs = || processes_with("sh -c printf").len();
    wait_until("it has its name", || {
        let name = |pid: &sys::Pid| fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        let all = processes_with("sh -c printf");
        all.iter().any(|pid| name(pid).contains(&0xc3))
    });
    lose("containers/one/record.json");
    cell("rm one").refused(1, &["still runs"]);
    assert_eq!(runs(), 1);
    assert_eq!(cell("rm -f one").quiet(), "one");
    assert_eq!(runs(), 0);
}

fn what_runs_in_anothers_sandbox_is_found_without_its_monitor() {
    cell("run -d --name main alpine sleep 2001").ok();
    cell("run -d --name two --network container:main alpine sleep 2002").ok();
    kill_the_monitor("two");
    lose("containers/two/record.json");
    cell("rm two").refused(1, &["still runs"]);
    assert_eq!(cell("rm -f two").quiet(), "two");
    let runs = |what: &str| processes_with(what).len();
    assert_eq!((runs("sleep 2001"), runs("sleep 2002")), (1, 0));
    assert_eq!(cell("rm -f main").quiet(), "main");
}

fn a_state_directory_behind_a_link_is_the_same_one() {
    std::os::unix::fs::symlink("/run", "/tmp/link").unwrap();
    let cell = |line: &str| cell(&format!("--root /tmp/link/netcell {line}"));
    cell("run -d --name main alpine sleep 2001").ok();
    cell("run -d --name two --network container:main alpine sleep 2002").ok();
    for name in ["main", "two"] {
        lose(&format!("containers/{name}/record.json"));
    }
    let runs = |what: &str| processes_with(what).len();
    assert_eq!(cell("rm -f main").quiet(), "main");
    assert_eq!((runs("sleep 2001"), runs("sleep 2002")), (0, 1));
    cell("rm two").refused(1, &["still runs"]);
    assert_eq!(cell("rm -f two").quiet(), "two");
    assert_eq!(runs("sleep 2002"), 0);
}

fn a_lost_container_is_meant_by_the_id_that_ps_showed() {
    let id = cell("run -d --name one alpine sleep 2000").ok();
    lose("containers/one/record.json");
    for id in [&id, &id[..12]] {
        let lost = ["has lost its record", "netcell rm -f one"];
        cell(&format!("inspect {id}")).refused(1, &lost);
        cell(&format!("stop {id}")).refused(1, &lost);
    }
    assert_eq!(cell(&format!("rm -f {}", &id[..12])).quiet(), id[..12]);
    assert_eq!(processes_with("sleep 2000").len(), 0);
}

fn a_member_without_a_record_leaves_the_others_as_they_are() {
    cell("run -d --name one -p 8080:80 alpine sleep 1001").ok();
    cell("run -d --name two --network container:one -p 8081:81 alpine sleep 1002").ok();
    let runs = |what: &str| processes_with(&format!("sleep {what}")).len() == 1;
    lose("containers/two/record.json");
    cell("rm two").refused(
        1,
        &["/run/netcell/containers/two/record.json", "still runs"],
    );
    assert_eq!(cell("rm -f two").quiet(), "two");
    assert!(runs("1001") && !runs("1002"));
    assert_eq!(elements("map", "publish4").len(), 1);
    cell("exec one true").quiet();
    // The first one is lost, and the sandbox lives on for the other one.
    cell("run -d --name two --network container:one -p 8081:81 alpine sleep 1002").ok();
    lose("containers/one/record.json");
    assert_eq!(cell("rm -f one").quiet(), "one");
    assert!(!runs("1001") && runs("1002"));
    assert_eq!(elements("map", "publish4").len(), 2);
    cell("exec two true").quiet();
    // What has entered the other one is nobody's first process, though both have the same /etc/hostname.
    cell("run -d --name one -p 8080:80 alpine sleep 1001").quiet();
    kill_the_monitor("one");
    lose("containers/one/record.json");
    must("pkill", &["-9", "-f", "sleep 1001"]);
    let mut entered = netcell_command(&["exec", "two", "sleep", "1003"])
        .spawn()
        .unwrap();
    wait_until("it has entered", || runs("1003"));
    assert_eq!(cell("rm one").quiet(), "one");
    assert!(runs("1002") && runs("1003"));
    must("pkill", &["-9", "-f", "sleep 1003"]);
    entered.wait().unwrap();
    // A new one takes it over, and both are lost.
    cell("run -d --name one -p 8080:80 alpine sleep 1001").quiet();
    lose("containers/one/record.json");
    lose("containers/two/record.json");
    assert_eq!(cell("rm -f one").quiet(), "one");
    assert!(!runs("1001") && runs("1002"));
    assert!(Path::new(&pin("one")).exists());
    assert_eq!(cell("rm -f two").quiet(), "two");
    assert!(!runs("1002") && !Path::new(&pin("one")).exists());
    no_port_is_published();
}

fn what_needs_a_lost_sandbox_says_what_is_lost() {
    cell("run -d --name one alpine sleep 1000").ok();
    cell("create --name two --network container:one alpine true").ok();
    lose("sandboxes/one/record.json");
    for line in [
        "publish one 8080:80",
        "create --name new --network container:one alpine true",
        "start two",
    ] {
        let sentence = cell(line).refused(1, &[LOST, "netcell rm -f"]);
        assert!(!sentence.contains("No such"), "{sentence}");
    }
    cell("stop -t 0 one").ok();
    cell("start one").refused(1, &[LOST, "netcell rm -f one"]);
    cell("rm -f two").quiet();
    cell("rm -f one").quiet();
}

fn a_lease_that_is_lost_comes_back_before_another_gets_what_it_is_of() {
    cell("run -d --name one -p 8080:80 alpine sleep 1000").ok();
    cell("create --name bare -p 8081:81").ok();
    let before = Snapshot::at_rest();
    lose("networks/bridge/leases");
    lose("ports");
    assert_ne!(
        before.differences(&Snapshot::at_rest()),
        Vec::<String>::new()
    );
    cell("reconcile").ok();
    assert_eq!(
        before.differences(&Snapshot::at_rest()),
        Vec::<String>::new()
    );
    for name in ["one", "bare"] {
        let (address, _) = address_in(name, "eth0");
        cell(&format!("create --name thief --ip {address}")).refused(1, &["in use", name]);
    }
    cell("create --name thief -p 8081:81").refused(1, &["sandbox bare"]);
    assert_eq!(cell("reconcile").ok(), "");
    cell("rm -f one").quiet();
    cell("rm bare").quiet();
}

fn a_container_is_meant_by_its_id_though_that_leads_nowhere() {
    let id = cell("run -d --name one alpine sleep 1000").ok();
    cell("create --name bare").ok();
    lose("ids");
    for reference in ["one", &id] {
        cell(&format!("exec {reference} true")).quiet();
        cell(&format!("stop -t 0 {reference}")).quiet();
        cell(&format!("start {reference}")).quiet();
        cell(&format!("restart -t 0 {reference}")).quiet();
        cell(&format!("kill {reference}")).quiet();
        cell(&format!("start {reference}")).quiet();
    }
    cell("inspect f00").refused(1, &["No such"]);
    cell(&format!("rm -f {id}")).quiet();
    cell("rm bare").quiet();
}

fn the_end_of_a_container_is_waited_for_though_its_exit_file_is_lost() {
    cell("run -d --name one alpine sleep 1").ok();
    lose("containers/one/exit");
    cell("wait one").quiet();
    assert_eq!(processes_with("sleep 1").len(), 0);
    // It ends by what only somebody attached hands it.
    cell("run -d -i --name two alpine head -n 1").ok();
    lose("containers/two/exit");
    netcell_with(&["attach", "two"], "end\n").exits(137);
    assert_eq!(processes_with("head -n 1").len(), 0);
    cell("start two").quiet();
    cell("rm -f one").quiet();
    cell("rm -f two").quiet();
}

fn a_network_without_a_record_stays_with_those_who_are_on_it() {
    let path = "/run/netcell/networks/bridge/record.json";
    cell("run -d --name one alpine sleep 1000").ok();
    cell("create --name bare").ok();
    lose("networks/bridge/record.json");
    let before = Snapshot::at_rest();
    cell("run -d --name new alpine sleep 1000").refused(125, &[path, "netcell rm -f", "bare one"]);
    for line in ["create --name new", "create --dry-run --name new"] {
        cell(line).refused(1, &[path]);
    }
    cell("network rm bridge").refused(1, &[path]);
    assert_eq!(cell("prune").quiet(), "");
    assert_eq!(
        before.differences(&Snapshot::at_rest()),
        Vec::<String>::new()
    );
    cell("exec one true").quiet();
    cell("rm -f one").quiet();
    cell("rm bare").quiet();
    wait_until("their links are gone", || {
        links().iter().all(|link| link.len() != 12)
    });
    cell("prune").ok();
    cell("create --name new -p 8080:80").quiet();
    cell("rm new").quiet();
    cell("network create lan").ok();
    cell("create --name other --network lan").ok();
    lose("networks/lan/record.json");
    for line in ["network create lan", "network create --dry-run lan"] {
        cell(line).refused(1, &["/run/netcell/networks/lan/record.json", "other"]);
    }
    cell("rm other").quiet();
    cell("prune").ok();
}

fn a_torn_lease_is_written_again_and_is_a_users_till_then() {
    let path = "/run/netcell/networks/bridge/record.json";
    cell("create --name one -p 8080:80").ok();
    cell("create --name two").ok();
    let address = address_in("one", "eth0").0.to_string();
    let before = Snapshot::at_rest();
    let tear = || {
        for lease in [
            &format!("networks/bridge/leases/{address}"),
            "ports/tcp-8080/0.0.0.0",
        ] {
            step("tear a lease", fs::write(Path::new(STATE).join(lease), ""));
        }
    };
    tear();
    cell("network rm bridge").refused(1, &["active endpoints", &address]);
    cell("reconcile").ok();
    assert_eq!(
        before.differences(&Snapshot::at_rest()),
        Vec::<String>::new()
    );
    cell(&format!("create --name thief --ip {address}")).refused(1, &["in use", "one"]);
    // What was killed before its renaming is nobody's.
    let unfinished = Path::new(STATE).join("ports/tcp-8080/0.0.0.0.new");
    step("begin a lease", fs::write(unfinished, ""));
    cell("prune").ok();
    assert_eq!(
        before.differences(&Snapshot::at_rest()),
        Vec::<String>::new()
    );
    tear();
    lose("networks/bridge/record.json");
    let torn = Snapshot::at_rest();
    cell("create --name new").refused(1, &[path, "netcell rm -f", &address, "two"]);
    assert_eq!(cell("prune").quiet(), "");
    assert_eq!(torn.differences(&Snapshot::at_rest()), Vec::<String>::new());
    cell("rm two").quiet();
    cell("rm one").quiet();
    cell("prune").ok();
    cell("create --name new -p 8080:80").quiet();
    cell("rm new").quiet();
}

fn leases_that_there_is_no_room_for_come_back_when_there_is() {
    let place = "/run/small";
    let small = |line: &str| cell(&format!("--root {place} {line}"));
    step("make a directory", fs::create_dir_all(place));
    step(
        "mount a tmpfs",
        sys::mount("tmpfs", place, "tmpfs", 0, "mode=0700,size=320k"),
    );
    small("create --name one -p 8080:80").ok();
    let below = ["networks/bridge/leases", "ports/tcp-8080"].map(|it| format!("{place}/{it}"));
    let all = || below.each_ref().map(|directory| entries(directory));
    let before = all();
    for directory in &below {
        step("lose leases", fs::remove_dir_all(directory));
    }
    let filling = format!("{place}/filling");
    assert!(fs::write(&filling, vec![b'x'; 320 * 1024]).is_err());
    small("reconcile").refused(1, &["No space left on device"]);
    assert!(all().iter().all(Vec::is_empty), "{:?}", all());
    step("make room", fs::remove_file(&filling));
    small("reconcile").ok();
    assert_eq!(all(), before);
    small("create --name more -p 8080:80").refused(1, &["sandbox one"]);
    small("rm one").quiet();
    small("network rm bridge").quiet();
    step("umount it", sys::umount(place));
    step("remove a directory", fs::remove_dir(place));
}
