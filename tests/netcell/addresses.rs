//! Which subnets a network has, and which addresses and MACs its sandboxes have.

use crate::harness::*;
use crate::tests;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

pub const TESTS: &[runner::Test] = tests![
    a_network_has_the_subnets_gateways_and_ranges_asked_for,
    what_a_network_cannot_be_is_refused_before_anything_is_made,
    an_ipv6_subnet_of_its_own_choice_is_local_and_lasts,
    dockers_spellings_of_options_mean_the_same,
    an_mtu_is_every_links_and_ipv6_has_a_least_one,
    a_sandbox_has_the_same_addresses_and_mac_again,
    an_address_can_be_asked_for_and_is_nobody_elses,
    the_smallest_subnets_have_one_sandbox,
    a_full_range_says_how_many_are_leased_and_where,
    a_mac_can_be_asked_for,
    a_new_mac_of_an_address_is_told_to_who_knows_the_old_one,
    ipv6_is_usable_at_once,
    ipv6_that_is_off_is_said_and_leaves_nothing,
    lists_are_filtered,
    prune_removes_what_nobody_uses,
    inspect_shows_both_ip_versions,
    a_network_in_use_names_each_user_once,
];

fn inspect(network: &str) -> serde_json::Value {
    cell(&format!("network inspect {network}")).json()[0].clone()
}

fn a_network_has_the_subnets_gateways_and_ranges_asked_for() {
    cell("network create --subnet 10.50.0.0/24 --subnet fd00:50::/64 --gateway 10.50.0.254 --gateway fd00:50::fe --ip-range 10.50.0.128/26 --ip-range fd00:50::100/120 --label b=2 --label a --interface wires0 lan").ok();
    let value = inspect("lan");
    assert_eq!(
        value["IPAM"]["Config"],
        json!([
            {"Subnet": "10.50.0.0/24", "Gateway": "10.50.0.254", "IPRange": "10.50.0.128/26"},
            {"Subnet": "fd00:50::/64", "Gateway": "fd00:50::fe", "IPRange": "fd00:50::100/120"},
        ])
    );
    assert_eq!(value["Labels"], json!({"a": "", "b": "2"}));
    let shown = ip_json(&["address", "show", "dev", "wires0"]).to_string();
    assert!(
        shown.contains("\"10.50.0.254\"") && shown.contains("\"fd00:50::fe\""),
        "{shown}"
    );
    for n in 0..10 {
        cell(&format!("create --name box-{n} --network lan")).ok();
        let name = format!("box-{n}");
        let four = address_in(&name, "eth0").0.octets();
        assert!((128..192).contains(&four[3]), "{four:?}");
        let six = address6_in(&name, "eth0").0.segments();
        assert_eq!((six[0], six[1], six[7] >> 8), (0xfd00, 0x50, 1));
    }
    let routes =
        must("ip", &["-n", "box-0", "route"]) + &must("ip", &["-n", "box-0", "-6", "route"]);
    for via in ["default via 10.50.0.254", "default via fd00:50::fe"] {
        assert!(routes.contains(via), "{routes}");
    }
    let names: String = (0..10).map(|n| format!(" box-{n}")).collect();
    cell(&format!("rm{names}")).ok();
}

fn what_a_network_cannot_be_is_refused_before_anything_is_made() {
    must("ip", &["link", "add", "taken0", "type", "bridge"]);
    must("ip", &["address", "add", "10.70.0.1/24", "dev", "taken0"]);
    must(
        "ip",
        &["address", "add", "fd00:70::1/64", "dev", "taken0", "nodad"],
    );
    must("ip", &["link", "set", "taken0", "up"]);
    cell("network create --subnet 10.50.0.0/24 --subnet fd00:50::/64 --interface used0 lan").ok();
    for (options, words) in [
        ("--subnet 10.51.0.1/24", vec!["it should be 10.51.0.0/24"]),
        ("--subnet fd00:51::1/64", vec!["it should be fd00:51::/64"]),
        ("--subnet 10.51.0.0/32", vec!["from 1 to 31"]),
        ("--subnet fd00:51::/128", vec!["from 1 to 127"]),
        ("--subnet fe80::/64", vec!["fe80::/64"]),
        (
            "--subnet 10.51.0.0/24 --subnet 10.52.0.0/24",
            vec!["10.52.0.0/24", "at most one"],
        ),
        ("--subnet 10.50.0.0/16", vec!["10.50.0.0/24", "lan"]),
        ("--subnet fd00:50::/32", vec!["fd00:50::/64", "lan"]),
        ("--subnet 10.0.0.0/8", vec!["overlaps"]),
        ("--subnet 10.70.0.128/25", vec!["10.70.0.0/24", "host"]),
        ("--subnet fd00:70::/80", vec!["fd00:70::/64", "host"]),
        (
            "--subnet 10.51.0.0/24 --gateway 10.52.0.1",
            vec!["10.52.0.1"],
        ),
        (
            "--subnet 10.51.0.0/24 --gateway 10.51.0.255",
            vec!["10.51.0.255", "broadcast"],
        ),
        (
            "--gateway fd00:51::1",
            vec!["fd00:51::1", "corresponding subnet"],
        ),
        (
            "--subnet 10.51.0.0/24 --ip-range 10.52.0.0/25",
            vec!["10.52.0.0/25"],
        ),
        (
            "--subnet 10.51.0.0/24 --ip-range 10.51.0.9/25",
            vec!["10.51.0.0/25"],
        ),
        (
            "--subnet 10.51.0.0/24 --ip-range 10.51.0.1/32",
            vec!["no address for a sandbox"],
        ),
        ("--interface taken0", vec!["taken0", "the host has"]),
        ("--interface used0", vec!["used0", "lan"]),
        ("--interface a/b", vec!["a/b"]),
        ("--driver overlay", vec!["overlay"]),
        (
            "-o com.docker.network.bridge.inhibit_ipv4=true",
            vec!["inhibit_ipv4"],
        ),
        (
            "-o com.docker.network.bridge.enable_icc=maybe",
            vec!["maybe"],
        ),
        ("--mtu 40", vec!["40", "68"]),
        ("--mtu 1000 --ipv6", vec!["1000", "1280"]),
        ("--ipv4=false", vec!["no subnet"]),
    ] {
        cell(&format!("network create {options} other")).refused(1, &words);
        assert!(!links().contains(&"netcell1".to_owned()), "{options}");
    }
    must("ip", &["link", "delete", "taken0"]);
}

fn an_ipv6_subnet_of_its_own_choice_is_local_and_lasts() {
    let subnet = || {
        inspect("lan")["IPAM"]["Config"][1]["Subnet"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    cell("network create --ipv6 lan").ok();
    let first = subnet();
    assert!(
        first.starts_with("fd") && first.ends_with("::/64"),
        "{first}"
    );
    cell("network create --ipv6 wan").ok();
    assert_ne!(inspect("wan")["IPAM"]["Config"][1]["Subnet"], first);
    cell("network rm lan wan").ok();
    cell("network create --ipv6 lan").ok();
    assert_eq!(subnet(), first);
}

fn a_network_in_use_names_each_user_once() {
    cell("network create --ipv6 lan").ok();
    for name in ["web", "db"] {
        cell(&format!("create --network lan --name {name}")).ok();
    }
    let said = cell("network rm lan").refused(1, &["lan"]);
    assert!(said.ends_with("active endpoints: db, web"), "{said}");
    cell("rm web db").ok();
}

fn dockers_spellings_of_options_mean_the_same() {
    cell("network create -d bridge -o com.docker.network.bridge.name=mine0 -o com.docker.network.bridge.enable_icc=false -o com.docker.network.bridge.enable_ip_masquerade=0 --opt com.docker.network.driver.mtu=1400 lan").ok();
    assert_eq!(
        inspect("lan")["Options"],
        json!({
            "com.docker.network.bridge.enable_icc": "false",
            "com.docker.network.bridge.enable_ip_masquerade": "false",
            "com.docker.network.bridge.name": "mine0",
            "com.docker.network.driver.mtu": "1400",
        })
    );
    assert_eq!(ip_json(&["link", "show", "mine0"])[0]["mtu"], 1400);
    assert!(elements("set", "siblings").is_empty() && elements("set", "masquerade4").is_empty());
}

fn an_mtu_is_every_links_and_ipv6_has_a_least_one() {
    cell("network create --mtu 1280 --ipv6 lan").ok();
    cell("create --name web --network lan").ok();
    assert_eq!(ip_json_in("web", &["link", "show", "eth0"])[0]["mtu"], 1280);
    address6_in("web", "eth0");
    cell("rm web").ok();
}

fn identity(name: &str) -> String {
    let link = ip_json_in(name, &["link", "show", "eth0"])[0]["address"].to_string();
    format!(
        "{} {} {link}",
        address_in(name, "eth0").0,
        address6_in(name, "eth0").0
    )
}

fn a_sandbox_has_the_same_addresses_and_mac_again() {
    let make = || cell("network create --subnet 10.50.0.0/24 --subnet fd00:50::/64 lan").ok();
    make();
    cell("create --name web --network lan").ok();
    let first = identity("web");
    cell("rm web").ok();
    wait_until("its link is gone", || {
        !links()
            .iter()
            .any(|name| name.starts_with("nc") && name.len() == 12)
    });
    cell("create --name other --network lan").ok();
    cell("create --name web --network lan").ok();
    assert_eq!(identity("web"), first);
    // As after a reboot: nothing but the names is left.
    cell("rm web other").ok();
    cell("network rm lan").ok();
    make();
    cell("create --name web --network lan").ok();
    assert_eq!(identity("web"), first);
    cell("rm web").ok();
}

fn an_address_can_be_asked_for_and_is_nobody_elses() {
    cell("network create --subnet 10.50.0.0/24 --subnet fd00:50::/64 lan").ok();
    cell("create --name web --network lan --ip 10.50.0.77 --ip6 fd00:50::77:0:0:1").ok();
    assert_eq!(
        address_in("web", "eth0"),
        (Ipv4Addr::new(10, 50, 0, 77), 24)
    );
    assert_eq!(
        address6_in("web", "eth0").0.to_string(),
        "fd00:50::77:0:0:1"
    );
    for (options, words) in [
        (
            "--ip 10.50.0.77",
            vec!["10.50.0.77", "Address already in use", "web"],
        ),
        ("--ip6 fd00:50::77:0:0:1", vec!["fd00:50::77:0:0:1", "web"]),
        ("--ip 10.50.0.0", vec!["10.50.0.0", "network's own"]),
        ("--ip 10.50.0.255", vec!["10.50.0.255", "broadcast"]),
        ("--ip 10.50.0.1", vec!["10.50.0.1", "gateway"]),
        ("--ip6 fd00:50::1", vec!["fd00:50::1", "gateway"]),
        ("--ip6 fd00:50::", vec!["fd00:50::", "network's own"]),
        (
            "--ip 10.51.0.9",
            vec![
                "no configured subnet contains IP address 10.51.0.9",
                "10.50.0.0/24",
            ],
        ),
        ("--ip nonsense", vec!["nonsense"]),
        ("--ip6 10.50.0.9", vec!["10.50.0.9"]),
    ] {
        cell(&format!("create --name other --network lan {options}")).refused(1, &words);
    }
    cell("create --name other --network none --ip 10.50.0.9").refused(1, &["none"]);
    cell("run --rm --network container:web --ip 10.50.0.9 alpine true").refused(125, &["joined"]);
    cell("rm web").ok();
    cell("create --name other --network lan --ip 10.50.0.77").ok();
    cell("rm other").ok();
}

fn the_smallest_subnets_have_one_sandbox() {
    cell("network create --subnet 10.50.0.0/31 --subnet fd00:50::/127 lan").ok();
    let config = inspect("lan")["IPAM"]["Config"].to_string();
    assert!(
        config.contains("\"10.50.0.0\"") && config.contains("\"fd00:50::\""),
        "{config}"
    );
    cell("create --name web --network lan").ok();
    assert_eq!(address_in("web", "eth0"), (Ipv4Addr::new(10, 50, 0, 1), 31));
    assert_eq!(address6_in("web", "eth0").0.to_string(), "fd00:50::1");
    serve_all_in(&pin("web"), 80, "web");
    answered(ask([10, 50, 0, 1], 80), "web");
    answered(
        ask("fd00:50::1".parse::<std::net::Ipv6Addr>().unwrap(), 80),
        "web",
    );
    cell("create --name more --network lan")
        .refused(1, &["no available addresses", "all 1 of 10.50.0.0/31"]);
    cell("rm web").ok();
}

fn a_full_range_says_how_many_are_leased_and_where() {
    cell(
        "network create --subnet 10.50.0.0/24 --gateway 10.50.0.130 --ip-range 10.50.0.128/30 lan",
    )
    .ok();
    let mut seen = BTreeSet::new();
    for n in 0..3 {
        cell(&format!("create --name box-{n} --network lan")).ok();
        seen.insert(address_in(&format!("box-{n}"), "eth0").0.octets()[3]);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [128, 129, 131]);
    cell("create --name more --network lan").refused(
        1,
        &[
            "no available addresses on network lan",
            "all 3 of 10.50.0.128/30 are leased",
            "/run/netcell/networks/lan/leases",
        ],
    );
    // Beyond the range there are more, for who asks.
    cell("create --name more --network lan --ip 10.50.0.9").ok();
    cell("rm box-0 box-1 box-2 more").ok();
}

fn a_mac_can_be_asked_for() {
    cell("create --name web --mac-address 02:42:AC:11:00:99").ok();
    assert_eq!(
        ip_json_in("web", &["link", "show", "eth0"])[0]["address"],
        "02:42:ac:11:00:99"
    );
    serve_all_in(&pin("web"), 80, "web");
    answered(ask(address_in("web", "eth0").0, 80), "web");
    for bad in [
        "nonsense",
        "01:00:5e:00:00:01",
        "00:00:00:00:00:00",
        "02:42:ac:11:00",
    ] {
        cell(&format!("create --name other --mac-address {bad}"))
            .refused(1, &[bad, "not a valid mac address"]);
    }
    cell("rm web").ok();
}

fn a_new_mac_of_an_address_is_told_to_who_knows_the_old_one() {
    cell("network create --subnet 10.50.0.0/24 --subnet fd00:50::/64 lan").ok();
    cell("create --name near --network lan").ok();
    let known = |address: &str| {
        let all = must("ip", &["-n", "near", "neigh", "show", address]);
        all.split_whitespace()
            .skip_while(|word| *word != "lladdr")
            .nth(1)
            .map(str::to_owned)
    };
    for mac in ["02:00:00:00:00:01", "02:00:00:00:00:02"] {
        cell(&format!(
            "create --name web --network lan --ip 10.50.0.9 --ip6 fd00:50::9 --mac-address {mac}"
        ))
        .ok();
        serve_all_in(&pin("web"), 80, "web");
        for address in ["10.50.0.9", "fd00:50::9"] {
            if known(address).is_some() {
                wait_within(
                    std::time::Duration::from_millis(100),
                    "the neighbour is told",
                    || known(address).as_deref() == Some(mac),
                );
            }
            let address: std::net::IpAddr = address.parse().unwrap();
            answered(in_netns(pin("near"), || ask(address, 80)), "web");
        }
        cell("rm web").ok();
    }
    cell("rm near").ok();
}

fn ipv6_is_usable_at_once() {
    let outside = Outside::with_ipv6();
    serve_all_in(&outside.namespace(), 80, "outside");
    cell("network create --ipv6 lan").ok();
    for n in 0..5 {
        cell(&format!("create --name box-{n} --network lan")).ok();
        let (address, _) = address6_in(&format!("box-{n}"), "eth0");
        let shown = ip_json_in(
            &format!("box-{n}"),
            &["-6", "address", "show", "dev", "eth0"],
        );
        assert!(!shown.to_string().contains("tentative\":true"), "{shown}");
        let bound = in_netns(pin(&format!("box-{n}")), || {
            std::net::TcpListener::bind((address, 80))
        });
        assert!(bound.is_ok(), "{bound:?}");
        answered(
            in_netns(pin(&format!("box-{n}")), || ask(outside::OUTSIDE6, 80)),
            "outside",
        );
    }
    cell("rm box-0 box-1 box-2 box-3 box-4").ok();
}

fn ipv6_that_is_off_is_said_and_leaves_nothing() {
    let set =
        |value| std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", value).unwrap();
    set("1");
    cell("network create --ipv6 lan").refused(1, &["IPv6 is off", "disable_ipv6"]);
    assert!(!links().iter().any(|name| name.starts_with("netcell")));
    // IPv4 goes on as ever.
    cell("network create lan").ok();
    cell("create --name web --network lan -p 8080:80").ok();
    serve_in(&pin("web"), 80, "web");
    answered(ask(Ipv4Addr::LOCALHOST, 8080), "web");
    cell("rm web").ok();
    cell("network rm lan").ok();
    set("0");
}

fn lists_are_filtered() {
    let id = cell("network create --label team=web --label kind lan").ok();
    cell("network create wan").ok();
    cell("create --name web --network lan").ok();
    let names = |filter: &str| {
        let list = cell(&format!("network ls {filter}")).quiet();
        let lines = list
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().nth(1).unwrap().to_owned());
        lines.collect::<Vec<_>>().join(" ")
    };
    for (filter, wanted) in [
        ("", "bridge host lan none wan"),
        ("-f driver=bridge", "bridge lan wan"),
        ("-f driver=null", "none"),
        ("--filter label=team", "lan"),
        ("--filter label=team=web", "lan"),
        ("--filter label=team=db", ""),
        ("-f label=kind -f name=lan", "lan"),
        ("-f name=an", "lan wan"),
        ("-f type=custom", "lan wan"),
        ("-f type=builtin", "bridge host none"),
        ("-f dangling=true", "wan"),
        ("-f scope=local -f dangling=false", "bridge host lan none"),
        (&format!("-f id={}", &id[..12]), "lan"),
    ] {
        assert_eq!(names(filter), wanted, "{filter}");
    }
    assert_eq!(cell("network ls -q -f name=lan").quiet(), &id[..12]);
    assert_eq!(
        cell("network ls --json -f name=wan")
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    for bad in ["colour=red", "name"] {
        cell(&format!("network ls -f {bad}")).refused(1, &[bad.split('=').next().unwrap()]);
    }
    cell("rm web").ok();
}

fn prune_removes_what_nobody_uses() {
    for name in ["one", "two", "three"] {
        cell(&format!("network create {name}")).ok();
    }
    cell("create --name web --network two").ok();
    cell("create --name first").ok();
    cell("rm first").ok();
    let asked = netcell_with(&["network", "prune"], "n\n");
    assert!(asked.stdout.contains("[y/N]"), "{asked:?}");
    assert_eq!(inspect("one")["Name"], "one");
    let answer = cell("network prune -f").ok();
    assert_eq!(answer.trim(), "Deleted Networks:\none\nthree");
    assert_eq!(inspect("two")["Name"], "two");
    assert!(
        links().contains(&"netcell0".to_owned()),
        "the default network stays"
    );
    assert_eq!(cell("network prune -f").ok(), "");
    cell("network rm one").refused(1, &["one"]);
    cell("network rm -f one").quiet();
    cell("rm web").ok();
}

fn inspect_shows_both_ip_versions() {
    cell("network create --subnet 10.50.0.0/24 --subnet fd00:50::/64 lan").ok();
    let id = cell("run -d --name web --network lan -p 8080:80 alpine sleep 1000").ok();
    let endpoint = cell("inspect web").json()[0]["NetworkSettings"]["Networks"]["lan"].clone();
    let (four, six) = (address_in("web", "eth0").0, address6_in("web", "eth0").0);
    for (key, value) in [
        ("IPAddress", json!(four)),
        ("IPPrefixLen", json!(24)),
        ("Gateway", json!("10.50.0.1")),
        ("GlobalIPv6Address", json!(six)),
        ("GlobalIPv6PrefixLen", json!(64)),
        ("IPv6Gateway", json!("fd00:50::1")),
    ] {
        assert_eq!(endpoint[key], value, "{key}");
    }
    let value = inspect("lan");
    assert_eq!(value["EnableIPv6"], true);
    assert_eq!(value["Containers"][&id]["IPv6Address"], format!("{six}/64"));
    let value = cell("inspect web").json()[0].clone();
    assert_eq!(
        value["NetworkSettings"]["Ports"],
        json!({"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}]})
    );
    assert_eq!(
        value["HostConfig"]["PortBindings"],
        json!({"80/tcp": [{"HostIp": "", "HostPort": "8080"}]})
    );
    let hosts = cell("exec web cat /etc/hosts").ok();
    for address in [four.to_string(), six.to_string()] {
        assert!(hosts.contains(&address), "{hosts}");
    }
    cell("rm -f web").ok();
}
