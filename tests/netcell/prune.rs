//! `prune`: what is nobody's goes; what is somebody's, or only looks like netcell's, stays.

use crate::harness::*;
use crate::tests;
use std::fs;

pub const TESTS: &[runner::Test] = tests![
    where_nothing_is_left_over_nothing_goes,
    what_only_looks_like_netcells_stays,
    what_is_left_of_a_lost_state_directory_goes_unless_it_is_pinned,
    elements_that_lead_nowhere_go,
    files_that_nobody_speaks_for_go,
    what_is_under_way_stays,
    what_cannot_be_read_may_be_anybodys,
];

fn some() -> Outside {
    let outside = Outside::new();
    cell("create --name web -p 8080:80 -p 8081:81,from=10.0.0.0/8").ok();
    cell("network create --subnet 10.50.0.0/24 --subnet fd00:50::/64 lan").ok();
    cell("create --name db --network lan -p 8083:83/udp").ok();
    cell("run -d --name main --network lan -p 8084:84 alpine sleep 1000").ok();
    cell("run --name ended alpine true").ok();
    outside
}

fn end() {
    cell("rm -f web db main ended").ok();
}

/// All that can be seen of the host, by lines; not what comes and goes with a carrier.
fn seen() -> Vec<String> {
    wait_until("links are up", || {
        let links = ip_json(&["link", "show", "group", "28259"]);
        let mut links = links.as_array().into_iter().flatten();
        links.all(|link| !link["master"].is_string() || link["operstate"] == "UP")
    });
    let rules = must("nft", &["-n", "list", "ruleset"]);
    let files = must("find", &[boxes::STATE, "/run/netns"]);
    let all = [
        rules,
        must("ip", &["-o", "link"]),
        must("ip", &["-o", "address"]),
        files,
    ];
    let mut lines: Vec<String> = all
        .iter()
        .flat_map(|text| text.lines())
        .map(|line| line.replace(" tentative", ""))
        .collect();
    // The watcher's repairs are nobody's business here.
    lines.retain(|line| !line.ends_with("/reconcile"));
    lines.sort();
    lines
}

#[track_caller]
fn same(before: &[String]) {
    let now = seen();
    let lacks = |a: &[String], b: &[String]| -> Vec<String> {
        a.iter().filter(|line| !b.contains(line)).cloned().collect()
    };
    assert_eq!((lacks(before, &now), lacks(&now, before)), (vec![], vec![]));
}

fn where_nothing_is_left_over_nothing_goes() {
    assert_eq!(cell("prune").quiet(), "");
    let _outside = some();
    let before = seen();
    assert_eq!(cell("prune").quiet(), "");
    assert_eq!(cell("prune -v").quiet(), "");
    assert_eq!(cell("prune --dry-run").quiet(), "#!/bin/sh\nset -e");
    same(&before);
    cell("prune web").refused(1, &["accepts no arguments"]);
    end();
}

fn what_only_looks_like_netcells_stays() {
    let _outside = some();
    let ip = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        must("ip", &words);
    };
    // A name like netcell's in no group, in the group with another MAC, in the group with another name; a bridge in the group.
    ip("link add nc0123456789 type veth peer name p0");
    ip("link add nc1123456789 group 28259 address 06:11:23:45:67:80 type veth peer name p1");
    ip("link add mine group 28259 address 06:21:23:45:67:89 type veth peer name p2");
    ip("link add nc3123456789 group 28259 address 06:31:23:45:67:89 type bridge");
    ip("link add netcell7 group 28259 address 02:6e:0a:01:01:01 type bridge");
    ip("address add 10.2.2.2/24 dev netcell7");
    must("ip", &["netns", "add", "theirs"]);
    ip(
        "link add nc4123456789 group 28259 address 06:41:23:45:67:89 type veth peer name eth0 netns theirs",
    );
    fs::write("/run/netns/file", "").unwrap();
    for line in [
        "add table inet netcell2",
        "add table ip netcell",
        "add set ip netcell publish4 { type ipv4_addr; }",
        "add rule inet netcell user_forward ip daddr 10.9.9.9 accept",
        "add element inet netcell siblings { \"netcell1\" . \"br-lan\" }",
        "add element inet netcell bridges { \"br-lan\" }",
        "add element inet netcell publish4 { tcp . 99 : 10.9.9.9 . 99 }",
        "add element bridge netcell free { \"tap0\" }",
    ] {
        must("nft", &[line]);
    }
    let before = seen();
    let answer = cell("prune");
    assert!(
        answer.stderr.contains("nc4123456789") && answer.stderr.contains("ip netns delete theirs"),
        "{answer:?}"
    );
    assert_eq!(answer.ok(), "");
    same(&before);
    for line in [
        "link delete nc0123456789",
        "link delete nc1123456789",
        "link delete mine",
        "link delete nc3123456789",
        "link delete netcell7",
        "netns delete theirs",
    ] {
        ip(line);
    }
    fs::remove_file("/run/netns/file").unwrap();
    for line in [
        "delete table inet netcell2",
        "delete table ip netcell",
        "delete element inet netcell siblings { \"netcell1\" . \"br-lan\" }",
        "delete element inet netcell bridges { \"br-lan\" }",
        "delete element inet netcell publish4 { tcp . 99 : 10.9.9.9 . 99 }",
        "delete element bridge netcell free { \"tap0\" }",
    ] {
        must("nft", &[line]);
    }
    end();
}

fn port() -> String {
    links()
        .into_iter()
        .find(|link| link.len() == 12 && link.starts_with("nc"))
        .unwrap()
}

fn what_is_left_of_a_lost_state_directory_goes_unless_it_is_pinned() {
    cell("create --name web -p 8080:80").ok();
    let link = port();
    fs::rename(boxes::STATE, "/run/lost").unwrap();
    // It may belong to another state directory, which this is now.
    let answer = cell("prune");
    assert!(
        answer.stderr.contains(&link) && answer.stderr.contains("/run/netns/web"),
        "{answer:?}"
    );
    assert_eq!(answer.ok(), "");
    let held = fs::File::open(pin("web")).unwrap();
    must("ip", &["netns", "delete", "web"]);
    assert!(links().contains(&link), "a descriptor holds it");
    let script = cell("prune --dry-run").ok();
    assert!(
        script.contains(&format!("ip link delete {link}")),
        "{script}"
    );
    assert!(links().contains(&link));
    let said = cell("prune").ok();
    for line in [format!("link {link}"), "link netcell0".to_owned()] {
        assert!(
            said.lines().any(|said| said == line),
            "{line} is not in {said}"
        );
    }
    assert!(
        said.contains(&format!("element bridge netcell macs '{{ \"{link}\" . ")),
        "{said}"
    );
    assert!(
        !links().iter().any(|link| link.starts_with("n")),
        "{:?}",
        links()
    );
    for set in ["macs", "own4"] {
        let text = must("nft", &["list", "set", "bridge", "netcell", set]);
        assert!(!text.contains("elements"), "{text}");
    }
    assert!(elements("set", "bridges").is_empty() && elements("set", "local4").is_empty());
    drop(held);
    // Where it led into no network that is known any more an element may be the owner's.
    must("nft", &["flush", "map", "inet", "netcell", "publish4"]);
    assert_eq!(cell("prune").quiet(), "");
    // A script does the same.
    fs::remove_dir_all("/run/lost").unwrap();
    cell("create --name again").ok();
    fs::remove_dir_all(boxes::STATE).unwrap();
    let _held = fs::File::open(pin("again")).unwrap();
    must("ip", &["netns", "delete", "again"]);
    fs::write("/tmp/script", cell("prune --dry-run").ok()).unwrap();
    must("sh", &["/tmp/script"]);
    assert_eq!(cell("prune").quiet(), "");
    assert!(
        !links().iter().any(|link| link.starts_with("n")),
        "{:?}",
        links()
    );
}

fn elements_that_lead_nowhere_go() {
    let _outside = some();
    let before = must("nft", &["-n", "list", "ruleset"]);
    let (address, _) = address_in("db", "eth0");
    let plant = || {
        for line in [
            "add element inet netcell publish4 { tcp . 99 : 10.50.0.99 . 99 }",
            "add element inet netcell publish4_addr { 198.51.100.1 . udp . 99 : 10.50.0.99 . 99 }",
            "add element inet netcell publish4_from { tcp . 99 . 10.0.0.0/8 . 0.0.0.0/0 : 10.50.0.99 . 99 }",
            "add element inet netcell publish6_on { tcp . 99 . \"up0\" . ::/0 . fd00::/64 : fd00:50::99 . 99 }",
            "add element bridge netcell own6 { \"nc0123456789\" . fd00:50::99 }",
            "add element bridge netcell macs { \"nc0123456789\" . 02:00:00:00:00:01 }",
        ] {
            must("nft", &[line]);
        }
        // A port of a sandbox that is there, which has no such port.
        must(
            "nft",
            &[&format!(
                "add element inet netcell publish4 {{ tcp . 98 : {address} . 98 }}"
            )],
        );
    };
    plant();
    fs::write("/tmp/script", cell("prune --dry-run").ok()).unwrap();
    must("sh", &["/tmp/script"]);
    assert_eq!(must("nft", &["-n", "list", "ruleset"]), before);
    plant();
    let said = cell("prune").ok();
    assert_eq!(said.lines().count(), 7, "{said}");
    assert_eq!(must("nft", &["-n", "list", "ruleset"]), before);
    assert_eq!(cell("prune").quiet(), "");
    end();
}

fn files_that_nobody_speaks_for_go() {
    let _outside = some();
    let before = seen();
    let state = |path: &str| format!("{}/{path}", boxes::STATE);
    let id = "0".repeat(64);
    for directory in [
        "containers/gone",
        "sandboxes/gone",
        "networks/gone/leases",
        "ports/tcp-99",
    ] {
        fs::create_dir_all(state(directory)).unwrap();
    }
    let record = fs::read_to_string(state("containers/ended/record.json")).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let other = record.replace(boot.trim_end(), "another-boot");
    fs::write(state("containers/gone/record.json"), other).unwrap();
    fs::write(state("sandboxes/gone/hosts"), "").unwrap();
    std::os::unix::fs::symlink("gone", state(&format!("ids/{id}"))).unwrap();
    let lease = format!("{{\"id\":\"{id}\",\"sandbox\":\"gone\"}}");
    fs::write(state("ports/tcp-99/0.0.0.0"), &lease).unwrap();
    fs::write(state("networks/lan/leases/10.50.0.99"), &lease).unwrap();
    fs::write(
        state("networks/lan/leases/10.50.0.98"),
        "{\"link\":\"nc0123456789\",\"since\":1}",
    )
    .unwrap();
    let said = cell("prune").ok();
    assert_eq!(said.lines().count(), 7, "{said}");
    same(&before);
    cell("port db").ok();
    end();
}

fn what_is_under_way_stays() {
    let _outside = some();
    let state = |path: &str| format!("{}/{path}", boxes::STATE);
    // As `create` leaves it until its commit: the intent stands for all that has no record yet.
    let sandbox = fs::read_to_string(state("sandboxes/db/record.json")).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let intent = format!(
        "{{\"version\":1,\"boot\":\"{}\",\"host\":1,\"verb\":\"create\",\"name\":\"db\",\"container\":null,\"generation\":1,\"sandbox\":\"db\",\"whole\":{},\"ports_before\":[],\"ports_after\":[]}}\n",
        boot.trim_end(),
        sandbox.trim_end()
    );
    fs::write(state("intents/db"), intent).unwrap();
    let held = fs::File::open(state("intents/db")).unwrap();
    assert!(sys::try_flock(&held, true).unwrap());
    fs::rename(state("sandboxes/db/record.json"), "/run/record").unwrap();
    let before = seen();
    assert_eq!(cell("prune").quiet(), "");
    same(&before);
    fs::rename("/run/record", state("sandboxes/db/record.json")).unwrap();
    fs::remove_file(state("intents/db")).unwrap();
    end();
}

fn what_cannot_be_read_may_be_anybodys() {
    let _outside = some();
    let path = format!("{}/sandboxes/db/record.json", boxes::STATE);
    let record = fs::read(&path).unwrap();
    fs::write(&path, &record[..20]).unwrap();
    let before = seen();
    cell("prune").refused(1, &["cannot tell what is nobody's", &path]);
    same(&before);
    fs::write(&path, record).unwrap();
    end();
}
