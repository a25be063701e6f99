//! `info`: what the kernel has, as the kernel says; its list is README's, and who is not root hears of it, too.

use crate::harness::*;
use crate::tests;
use serde_json::Value;
use std::fs;

pub const TESTS: &[runner::Test] = tests![
    info_has_what_readme_says_and_asks_the_kernel,
    info_counts_and_names_places,
    info_says_what_is_lost_without_an_option,
    info_without_root_says_what_can_be_seen.root_only("somebody else's rights are tried"),
];

fn options() -> Vec<Value> {
    let info = cell("info --json").json();
    info["Kernel"].as_array().expect("a list").clone()
}

fn info_has_what_readme_says_and_asks_the_kernel() {
    let readme = fs::read_to_string(format!("{}/README.md", boxes::PACKAGE)).expect("README");
    let table = readme
        .split("| option | without it |")
        .nth(1)
        .expect("the table");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with("| "));
    let mut said = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        for name in cells[0].split(", ").map(|name| name.trim_matches('`')) {
            let is_option = !name.contains(' ');
            let name = if is_option {
                format!("CONFIG_{name}")
            } else {
                name.to_owned()
            };
            said.push((name, cells[1].to_owned()));
        }
    }
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let known = options();
    let listed: Vec<_> = known
        .iter()
        .map(|o| (text(&o["Option"]), text(&o["Without"])))
        .collect();
    assert_eq!(listed, said);
    // The tests run on no kernel without these.
    for option in &known {
        assert_eq!(option["There"], true, "{option}");
    }
    // What was asked is gone with the namespaces that it was asked in.
    assert_eq!(links(), ["lo"]);
    assert!(nft_json(&["list", "ruleset"]).is_empty());
}

fn info_counts_and_names_places() {
    cell("run -d --name web alpine sleep 1000").ok();
    cell("create --name idle alpine true").ok();
    let info = |template: &str| netcell(&["info", "--format", template]).quiet();
    assert_eq!(
        info(
            "{{.Containers}} {{.ContainersRunning}} {{.ContainersStopped}} {{.Networks}} {{.Images}}"
        ),
        "2 1 1 1 1"
    );
    assert_eq!(
        info("{{.RootDir}} {{.ImagesDir}} {{.PinsDir}}"),
        "/run/netcell /var/lib/netcell/images /run/netns"
    );
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
    assert_eq!(info("{{.KernelVersion}}"), release.trim_end());
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("a range");
    let first = range.split_whitespace().next().expect("a port");
    assert!(info("{{.Limits.Ports}}").starts_with(first));
    let page = cell("info").quiet();
    assert!(
        page.lines()
            .any(|line| line.starts_with("CONFIG_VETH ") && line.ends_with(" yes")),
        "{page}"
    );
    assert!(
        page.lines().all(|line| line.chars().count() <= 120),
        "{page}"
    );
    cell("info x").refused(1, &["accepts no arguments"]);
    cell("rm -f web idle").ok();
}

/// The kernel of the tests has everything: a process may have no more network namespaces, which is as good as none.
fn info_says_what_is_lost_without_an_option() {
    let limit = "/proc/sys/user/max_net_namespaces";
    let before = fs::read_to_string(limit).expect("a limit");
    if fs::write(limit, "0").is_err() {
        return;
    }
    let page = cell("info").ok();
    fs::write(limit, before).expect("the limit again");
    let veth = page
        .lines()
        .find(|line| line.starts_with("CONFIG_VETH"))
        .expect("a line");
    assert!(
        veth.contains("cannot be told; without it: no networks"),
        "{page}"
    );
    // What shows under /proc is known all the same.
    assert!(
        page.lines()
            .any(|line| line.starts_with("CONFIG_PID_NS") && line.ends_with("yes")),
        "{page}"
    );
}

fn info_without_root_says_what_can_be_seen() {
    cell("create --name web").ok();
    let answer = any(
        "setpriv",
        &["--reuid", "1000", "--clear-groups", boxes::BINARY, "info"],
    );
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stdout.contains("RootDir"), "{answer:?}");
    assert!(!answer.stdout.contains("ContainersRunning"), "{answer:?}");
    assert_eq!(answer.stderr.lines().count(), 1, "{answer:?}");
    assert!(
        answer
            .stdout
            .lines()
            .any(|line| line.starts_with("CONFIG_NET_NS") && line.ends_with("yes")),
        "{answer:?}"
    );
    cell("rm web").ok();
}
