//! `network`: create, ls, inspect, rm.

use crate::harness::*;
use crate::tests;
use serde_json::json;
use std::time::Duration;

pub const TESTS: &[runner::Test] = tests![
    a_network_is_made_with_the_subnet_asked_for,
    a_network_without_a_subnet_gets_a_free_one,
    the_first_address_is_the_gateway_and_the_others_are_given_out,
    ls_lists_the_three_of_docker_and_ones_own,
    inspect_is_dockers_and_names_who_is_on_it,
    rm_is_refused_while_used_and_names_the_users,
    rm_removes_the_bridge_and_its_subnet_can_be_used_again,
    the_default_network_is_made_on_first_use_and_stays_until_rm,
    predefined_networks_cannot_be_made_or_removed,
    a_network_is_named_by_id_and_prefix_too,
    a_full_network_says_that_no_address_is_left,
    addresses_of_removed_sandboxes_are_given_out_again,
    a_network_of_netcells_that_somebody_deleted_is_made_again,
    a_bridge_of_that_name_that_is_not_netcells_is_not_touched,
];

fn bridge_of(subnet: &str) -> Option<String> {
    let all = ip_json(&["-4", "address"]);
    let found = all
        .as_array()
        .unwrap()
        .iter()
        .find(|link| link["addr_info"].to_string().contains(subnet));
    found.map(|link| link["ifname"].as_str().unwrap().to_owned())
}

/// What rm removes is gone within a tenth of a second of its return.
#[track_caller]
fn only_lo_is_left() {
    wait_within(Duration::from_millis(100), "all links are gone", || {
        links() == ["lo"]
    });
}

fn a_network_is_made_with_the_subnet_asked_for() {
    let id = cell("network create --subnet 10.50.0.0/24 lan").ok();
    assert_eq!(id.len(), 64, "{id}");
    let bridge = bridge_of("10.50.0.1").expect("the gateway is the first address");
    assert_eq!(bridge, "netcell1");
    cell("run -d --name web --network lan alpine sleep 1000").ok();
    let (address, prefix) = address_in("web", "eth0");
    assert!(
        address.to_string().starts_with("10.50.0.") && prefix == 24,
        "{address}/{prefix}"
    );
    assert_eq!(
        ip_json_in("web", &["route", "show", "default"])[0]["gateway"],
        "10.50.0.1"
    );
    cell("rm -f web").ok();
    assert_eq!(cell("network rm lan").quiet(), "lan");
    assert_eq!(bridge_of("10.50.0.1"), None);
}

fn a_network_without_a_subnet_gets_a_free_one() {
    cell("network create one").ok();
    cell("network create two").ok();
    let subnet = |name: &str| {
        cell(&format!("network inspect {name}")).json()[0]["IPAM"]["Config"][0]["Subnet"].clone()
    };
    let (one, two) = (subnet("one"), subnet("two"));
    assert_ne!(one, two);
    for subnet in [one, two] {
        assert!(subnet.as_str().unwrap().starts_with("172."), "{subnet}");
    }
    cell("network rm one two").ok();
}

fn the_first_address_is_the_gateway_and_the_others_are_given_out() {
    cell("network create --subnet 10.50.0.0/29 lan").ok();
    let mut seen = Vec::new();
    for n in 0..5 {
        cell(&format!("create --name box-{n} --network lan")).ok();
        seen.push(address_in(&format!("box-{n}"), "eth0").0.octets()[3]);
    }
    seen.sort_unstable();
    assert_eq!(seen, [2, 3, 4, 5, 6]);
    cell("rm box-0 box-1 box-2 box-3 box-4").ok();
}

fn ls_lists_the_three_of_docker_and_ones_own() {
    cell("network create --subnet 10.50.0.0/24 lan").ok();
    let list = cell("network ls").quiet();
    let lines: Vec<Vec<&str>> = list
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0], ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"]);
    let named: Vec<_> = lines[1..]
        .iter()
        .map(|line| (line[1], line[2], line[3]))
        .collect();
    for wanted in [
        ("bridge", "bridge", "local"),
        ("host", "host", "local"),
        ("lan", "bridge", "local"),
        ("none", "null", "local"),
    ] {
        assert!(named.contains(&wanted), "{wanted:?} is not in:\n{list}");
    }
    assert!(named.is_sorted(), "{list}");
    let value = cell("network ls --json").json().to_string();
    assert!(value.contains("lan"), "{value}");
}

fn inspect_is_dockers_and_names_who_is_on_it() {
    let id = cell("network create --subnet 10.50.0.0/24 lan").ok();
    let web = cell("run -d --name web --network lan alpine sleep 1000").ok();
    let value = cell("network inspect lan").json()[0].clone();
    assert_eq!(
        (
            &value["Name"],
            &value["Id"],
            &value["Driver"],
            &value["Scope"]
        ),
        (&json!("lan"), &json!(id), &json!("bridge"), &json!("local"))
    );
    assert_eq!(value["IPAM"]["Config"][0]["Subnet"], "10.50.0.0/24");
    assert_eq!(value["IPAM"]["Config"][0]["Gateway"], "10.50.0.1");
    assert_eq!(
        (&value["Internal"], &value["EnableIPv6"]),
        (&json!(false), &json!(false))
    );
    let user = &value["Containers"][&web];
    let (address, _) = address_in("web", "eth0");
    assert_eq!(user["Name"], "web");
    assert_eq!(user["IPv4Address"], format!("{address}/24"));
    assert_eq!(
        user["MacAddress"],
        ip_json_in("web", &["link", "show", "eth0"])[0]["address"]
    );
    let answer = cell("network inspect nosuch");
    assert_eq!(answer.stdout.trim(), "[]");
    answer.refused(1, &["nosuch"]);
    cell("rm -f web").ok();
}

fn rm_is_refused_while_used_and_names_the_users() {
    cell("network create --subnet 10.50.0.0/24 lan").ok();
    cell("create --name one --network lan").ok();
    cell("run -d --name two --network lan alpine sleep 1000").ok();
    cell("network rm lan").refused(1, &["lan", "one", "two"]);
    address_in("one", "eth0");
    cell("stop -t 0 two").ok();
    cell("network rm lan").refused(1, &["two"]);
    cell("rm one two").ok();
    cell("network rm lan").ok();
    cell("network rm lan").refused(1, &["lan"]);
}

fn rm_removes_the_bridge_and_its_subnet_can_be_used_again() {
    for name in ["lan", "other"] {
        cell(&format!("network create --subnet 10.50.0.0/24 {name}")).ok();
        cell(&format!("create --name web --network {name}")).ok();
        cell("rm web").ok();
        cell(&format!("network rm {name}")).ok();
        only_lo_is_left();
    }
}

fn the_default_network_is_made_on_first_use_and_stays_until_rm() {
    assert_eq!(links(), ["lo"]);
    cell("create --name web").ok();
    cell("network rm bridge").refused(1, &["bridge", "web"]);
    cell("rm web").ok();
    assert!(links().contains(&"netcell0".to_owned()));
    let (before, after) = (bridge_of("172.17.0.1"), Some("netcell0".to_owned()));
    assert_eq!(before, after);
    cell("network rm bridge").ok();
    only_lo_is_left();
    cell("create --name web").ok();
    cell("rm web").ok();
}

fn predefined_networks_cannot_be_made_or_removed() {
    for name in ["host", "none"] {
        cell(&format!("network rm {name}")).refused(1, &[name]);
        cell(&format!("network create {name}")).refused(1, &[name]);
    }
    cell("network create bridge").refused(1, &["bridge"]);
    cell("network create --subnet 10.50.0.0/24 lan").ok();
    cell("network create --subnet 10.51.0.0/24 lan").refused(1, &["lan", "already exists"]);
    assert_eq!(bridge_of("10.51.0.1"), None);
}

fn a_network_is_named_by_id_and_prefix_too() {
    let id = cell("network create --subnet 10.50.0.0/24 lan").ok();
    cell(&format!("create --name web --network {}", &id[..12])).ok();
    assert!(
        address_in("web", "eth0")
            .0
            .to_string()
            .starts_with("10.50.0.")
    );
    assert_eq!(
        netcell(&["inspect", "web", "--format", "{{.HostConfig.NetworkMode}}"]).quiet(),
        "lan"
    );
    cell("rm web").ok();
    cell(&format!("network rm {}", &id[..12])).ok();
}

fn a_full_network_says_that_no_address_is_left() {
    cell("network create --subnet 10.50.0.0/30 lan").ok();
    cell("create --name one --network lan").ok();
    cell("create --name two --network lan").refused(1, &["lan", "address"]);
    assert_eq!(oracle::entries("/run/netns"), ["one"]);
    cell("rm one").ok();
    // The address is free again when the link that had it is gone, at the latest after a second.
    let again = || cell("create --name two --network lan").code == 0;
    wait_within(
        Duration::from_millis(1500),
        "the address is free again",
        again,
    );
    cell("rm two").ok();
}

fn addresses_of_removed_sandboxes_are_given_out_again() {
    cell("network create --subnet 10.50.0.0/29 lan").ok();
    for round in 0..12 {
        cell(&format!("create --name box-{round} --network lan")).ok();
        cell(&format!("rm box-{round}")).ok();
    }
}

fn a_network_of_netcells_that_somebody_deleted_is_made_again() {
    cell("create --name one").ok();
    cell("rm one").ok();
    must("ip", &["link", "delete", "netcell0"]);
    must("nft", &["delete", "table", "inet", "netcell"]);
    let outside = Outside::new();
    cell("create --name web -p 8080:80").ok();
    serve_in(&pin("web"), 80, "web");
    answered(outside.run(|| ask(outside::HOST, 8080)), "web");
    cell("rm web").ok();
}

fn a_bridge_of_that_name_that_is_not_netcells_is_not_touched() {
    must("ip", &["link", "add", "netcell0", "type", "bridge"]);
    must("ip", &["address", "add", "10.7.7.1/24", "dev", "netcell0"]);
    let before = must("ip", &["-d", "address", "show", "dev", "netcell0"]);
    let answer = cell("create --name web");
    assert_eq!(
        must("ip", &["-d", "address", "show", "dev", "netcell0"]),
        before
    );
    if answer.code == 0 {
        cell("rm web").ok();
        cell("network rm bridge").ok();
    } else {
        answer.refused(1, &["netcell0"]);
    }
    assert_eq!(
        must("ip", &["-d", "address", "show", "dev", "netcell0"]),
        before
    );
    must("ip", &["link", "delete", "netcell0"]);
}
