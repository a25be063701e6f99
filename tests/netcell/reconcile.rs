//! `reconcile`: whatever somebody takes away comes back as it was, and what nobody touched goes on.

use crate::harness::*;
use crate::tests;
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::time::Duration;

pub const TESTS: &[runner::Test] = tests![
    where_all_is_there_nothing_is_said_and_nothing_done,
    a_flush_of_all_tables_is_made_good,
    each_table_comes_back_with_all_that_was_in_it,
    rules_chains_sets_and_elements_come_back_and_the_owners_rules_stay,
    a_deleted_bridge_comes_back_with_its_ports,
    a_deleted_pair_comes_back_and_the_processes_go_on,
    addresses_routes_and_links_that_are_down_come_back,
    routes_to_networks_come_back,
    a_route_that_leads_elsewhere_is_said_and_left_alone,
    forwarding_comes_back_where_a_network_needs_it,
    an_uplink_that_goes_and_comes_back_renumbered_is_no_loss,
    a_pin_comes_back_by_the_process_that_lives_there,
    a_sandbox_in_which_nobody_lives_is_made_anew,
    connections_that_nobody_touched_go_on,
    connections_in_use_outlive_all_but_the_loss_of_the_tables.seconds(180),
    the_files_in_etc_are_as_the_host_has_them_now.beside(own_etc),
    the_script_of_a_dry_run_makes_it_good,
    what_is_not_netcells_is_left_alone_and_said,
    what_another_command_is_at_is_left_to_it,
    beside_other_commands_nothing_is_lost_and_nothing_is_double.seconds(120),
];

/// Without what differs from one time to the next: handles, indexes, counters, ages, what is learnt of the other end.
fn lasting(value: Value) -> Value {
    const PASSING: [&str; 7] = [
        "handle",
        "ifindex",
        "link_index",
        "link_netnsid",
        "root_port",
        "expires",
        "port_no",
    ];
    let passes = |key: &str, value: &Value| {
        let index = value.as_str().is_some_and(|text| text.starts_with("if"));
        PASSING.contains(&key)
            || key.ends_with("_timer")
            || key.ends_with("id")
            || key == "no"
            || key == "link" && index
    };
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(key, value)| !passes(key, value))
            .map(|(key, value)| match key.as_str() {
                "elem" => (key, sorted(lasting(value))),
                _ => (key, lasting(value)),
            })
            .collect(),
        Value::Array(values) => values.into_iter().map(lasting).collect(),
        other => other,
    }
}

/// Elements come in the order of a hash with a seed, links, sets and chains in that of their making; rules have an order.
fn sorted(value: Value) -> Value {
    let (mut rules, mut others): (Vec<_>, Vec<_>) = match value {
        Value::Array(values) => values.into_iter().partition(|v| v.get("rule").is_some()),
        other => return other,
    };
    others.sort_by_key(Value::to_string);
    rules.sort_by_key(|rule| rule["rule"]["chain"].to_string());
    others.into_iter().chain(rules).collect()
}

/// All there is of networks and of these sandboxes, as ip and nft see it.
fn all(sandboxes: &[&str]) -> Vec<(String, Value)> {
    let mut seen = Vec::new();
    let mut see = |what: String, value: Value| seen.push((what, sorted(lasting(value))));
    for family in ["inet", "bridge"] {
        let mut table = nft_json(&["list", "table", family, "netcell"]);
        // What cuts a removed sandbox's port off goes by itself.
        table.retain(|object| object["set"]["name"] != "gone");
        see(format!("table {family}"), table.into());
    }
    for kind in ["bridge", "veth"] {
        // The host's end has a random MAC each time, and so has what refers to it.
        let mut links = ip_json(&["link", "show", "type", kind]);
        let all = links.as_array_mut();
        all.into_iter().for_each(|all| {
            all.retain(|link| link["group"] != "default");
        });
        for link in links.as_array_mut().into_iter().flatten() {
            if kind == "veth" {
                link["address"] = Value::Null;
                link["linkinfo"]["info_slave_data"]["state"] = Value::Null;
            }
        }
        see(kind.to_owned(), links);
    }
    for link in links().iter().filter(|link| link.starts_with("netcell")) {
        see(
            format!("addresses of {link}"),
            ip_json(&["address", "show", "dev", link]),
        );
        for version in ["-4", "-6"] {
            let mut routes = ip_json(&[version, "route", "show", "dev", link]);
            // Whether there is a carrier is the links' business.
            for route in routes.as_array_mut().into_iter().flatten() {
                route["flags"] = Value::Null;
            }
            see(format!("{version} routes of {link}"), routes);
        }
        for setting in ["ipv4/conf/LINK/route_localnet", "ipv6/conf/LINK/accept_ra"] {
            let path = format!("/proc/sys/net/{}", setting.replace("LINK", link));
            let value = fs::read_to_string(path).unwrap_or_default();
            see(format!("{setting} of {link}"), value.into());
        }
    }
    for sandbox in sandboxes {
        for what in [
            &["-4", "address"][..],
            &["-6", "address"],
            &["route"],
            &["-6", "route"],
        ] {
            see(format!("{what:?} in {sandbox}"), ip_json_in(sandbox, what));
        }
        see(
            format!("links in {sandbox}"),
            ip_json_in(sandbox, &["link"]),
        );
    }
    seen
}

#[track_caller]
fn same(before: &[(String, Value)], sandboxes: &[&str]) {
    let now = all(sandboxes);
    assert_eq!(before.len(), now.len());
    for ((what, before), (_, now)) in before.iter().zip(&now) {
        let items = |value: &Value| match value {
            Value::Array(items) => items.clone(),
            other => vec![other.clone()],
        };
        let (before, now) = (items(before), items(now));
        let lacks = |a: &[Value], b: &[Value]| -> String {
            let lines = a.iter().filter(|item| !b.contains(item));
            lines.map(|item| format!("\n  {item}")).collect()
        };
        assert!(
            before == now,
            "{what} differ; before {}:{}\nnow {}:{}",
            before.len(),
            lacks(&before, &now),
            now.len(),
            lacks(&now, &before)
        );
    }
}

/// A host with two networks, of one IP version and of both, and sandboxes that are published on all ways.
fn host() -> Vec<(String, Value)> {
    cell("create --name web -p 8080:80 -p 8081:81/udp -p 127.0.0.1:8082:82").ok();
    cell("network create --subnet 10.50.0.0/24 --subnet fd00:50::/64 --isolate lan").ok();
    cell("create --name db --network lan -p 8083:83,from=10.0.0.0/8 -p 8084:84,on=up0").ok();
    cell("create --name loose --network lan --allow-spoof").ok();
    cell("create --name lone --network none").ok();
    wait_until("all links are up", || {
        let links = ip_json(&["link"]).to_string();
        links.matches("\"forwarding\"").count() == 3
    });
    all(SANDBOXES)
}

const SANDBOXES: &[&str] = &["web", "db", "loose", "lone"];

fn end() {
    cell("rm -f web db loose lone").ok();
}

/// Takes something away, and has it made good: what `reconcile` printed.
#[track_caller]
fn good_again(before: &[(String, Value)], lines: &[&str]) -> String {
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        must(words[0], &words[1..]);
    }
    let said = cell("reconcile").ok();
    wait_until("links forward", || {
        !ip_json(&["link", "show", "type", "veth"])
            .to_string()
            .contains("\"disabled\"")
    });
    same(before, SANDBOXES);
    assert_eq!(cell("reconcile").quiet(), "", "all was made good: {said}");
    said
}

fn where_all_is_there_nothing_is_said_and_nothing_done() {
    assert_eq!(cell("reconcile").quiet(), "");
    let _outside = Outside::new();
    let before = host();
    assert_eq!(cell("reconcile").quiet(), "");
    assert_eq!(cell("reconcile -v").quiet(), "");
    assert_eq!(cell("reconcile --dry-run").quiet(), "#!/bin/sh\nset -e");
    let nothing = cell("reconcile --json").json();
    for key in ["networks", "sandboxes", "skipped", "errors"] {
        assert_eq!(nothing[key], Value::Array(vec![]), "{key}");
    }
    same(&before, SANDBOXES);
    cell("reconcile now").refused(1, &["accepts no arguments"]);
    cell("reconcile --watch --json").refused(1, &["--watch", "JSON"]);
    end();
}

fn a_flush_of_all_tables_is_made_good() {
    let outside = Outside::new();
    let before = host();
    serve_in(&pin("web"), 80, "web");
    answered(outside.run(|| ask(outside::HOST, 8080)), "web");
    must("nft", &["flush", "ruleset"]);
    assert!(outside.run(|| ask(outside::HOST, 8080)).is_err());
    let said = good_again(&before, &[]);
    let lines = [
        "network bridge",
        "network lan",
        "sandbox db",
        "sandbox loose",
        "sandbox web",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), lines);
    answered(outside.run(|| ask(outside::HOST, 8080)), "web");
    must("nft", &["flush", "ruleset"]);
    let json = cell("reconcile --json").json();
    assert_eq!(
        json["sandboxes"].as_array().map(Vec::len),
        Some(3),
        "{json}"
    );
    same(&before, SANDBOXES);
    end();
}

fn each_table_comes_back_with_all_that_was_in_it() {
    let _outside = Outside::new();
    let before = host();
    let said = good_again(&before, &["nft delete table inet netcell"]);
    assert!(said.contains("network bridge"), "{said}");
    let said = good_again(&before, &["nft delete table bridge netcell"]);
    assert!(said.contains("sandbox web"), "{said}");
    end();
}

fn rules_chains_sets_and_elements_come_back_and_the_owners_rules_stay() {
    let _outside = Outside::new();
    host();
    must(
        "nft",
        &["add rule inet netcell user_forward ip daddr 10.9.9.9 accept"],
    );
    let before = all(SANDBOXES);
    let said = good_again(
        &before,
        &["nft delete element inet netcell publish4 { tcp . 8080 }"],
    );
    assert_eq!(said, "sandbox web");
    let said = good_again(&before, &["nft flush set bridge netcell macs"]);
    assert_eq!(said, "sandbox db\nsandbox web");
    let said = good_again(&before, &["nft flush set inet netcell bridges"]);
    assert_eq!(said, "network bridge\nnetwork lan");
    // A port that somebody made lead elsewhere leads to its sandbox again.
    must(
        "nft",
        &["delete element inet netcell publish4 { tcp . 8080 }"],
    );
    let elsewhere = "add element inet netcell publish4 { tcp . 8080 : 10.1.1.1 . 80 }";
    let said = good_again(&before, &[&format!("nft {elsewhere}")]);
    assert_eq!(said, "sandbox web");
    for lost in [
        "nft flush chain inet netcell forward",
        "nft flush chain inet netcell nat_postrouting",
        "nft flush chain bridge netcell port",
        "nft flush table bridge netcell",
    ] {
        let said = good_again(&before, &[lost]);
        assert!(said.starts_with("network bridge"), "{lost}: {said}");
    }
    must("nft", &["flush", "chain", "inet", "netcell", "forward"]);
    must("nft", &["delete", "chain", "inet", "netcell", "forward"]);
    must(
        "nft",
        &["flush", "chain", "inet", "netcell", "nat_prerouting"],
    );
    must("nft", &["flush", "chain", "inet", "netcell", "nat_output"]);
    good_again(&before, &["nft delete chain inet netcell nat_prerouting"]);
    // A documented command lets the host be a router: that is not undone.
    must("nft", &["delete element inet netcell no_transit { ipv4 }"]);
    assert_eq!(cell("reconcile").quiet(), "");
    assert!(elements("set", "no_transit").iter().all(|e| e != "ipv4"));
    end();
}

fn a_deleted_bridge_comes_back_with_its_ports() {
    let outside = Outside::new();
    let before = host();
    serve_in(&pin("web"), 80, "web");
    let said = good_again(&before, &["ip link delete netcell0"]);
    assert_eq!(said, "network bridge\nsandbox web");
    answered(outside.run(|| ask(outside::HOST, 8080)), "web");
    // An isolated port is one again.
    let said = good_again(&before, &["ip link delete netcell1"]);
    assert_eq!(said, "network lan\nsandbox db\nsandbox loose");
    end();
}

fn link_of(sandbox: &str) -> String {
    let record = fs::read(format!("{}/sandboxes/{sandbox}/record.json", boxes::STATE)).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    record["endpoint"]["link"].as_str().unwrap().to_owned()
}

fn a_deleted_pair_comes_back_and_the_processes_go_on() {
    let outside = Outside::new();
    let before = host();
    serve_in(&pin("web"), 80, "web");
    let (web, db) = (link_of("web"), link_of("db"));
    let said = good_again(&before, &[&format!("ip link delete {web}")]);
    assert_eq!(said, "sandbox web");
    answered(outside.run(|| ask(outside::HOST, 8080)), "web");
    let said = good_again(&before, &["ip -n db link delete eth0"]);
    assert_eq!(said, "sandbox db");
    // Both, and the rest of the host.
    let lines = [
        format!("ip link delete {web}"),
        format!("ip link delete {db}"),
        "ip link delete netcell0".to_owned(),
        "ip link delete netcell1".to_owned(),
        "nft flush ruleset".to_owned(),
    ];
    good_again(&before, &lines.each_ref().map(String::as_str));
    answered(outside.run(|| ask(outside::HOST, 8080)), "web");
    end();
    // A container's process does not notice.
    let _nobody = no_watcher();
    cell("run -d --name main -p 8080:80 alpine httpd -f -p 80").ok();
    let pid = cell("inspect -f {{.State.Pid}} main").ok();
    must("ip", &["link", "delete", &link_of("main")]);
    assert_eq!(cell("reconcile").ok(), "sandbox main");
    assert_eq!(cell("inspect -f {{.State.Pid}} main").ok(), pid);
    wait_for_port(&pin("main"), 80);
    step("ask", outside.run(|| get(outside::HOST, 8080)));
    cell("rm -f main").ok();
}

fn addresses_routes_and_links_that_are_down_come_back() {
    let _outside = Outside::new();
    let before = host();
    let (address, _) = address_in("web", "eth0");
    let web = link_of("web");
    for (lost, said) in [
        (
            format!("ip -n web address delete {address}/16 dev eth0"),
            "sandbox web",
        ),
        ("ip -n web route delete default".to_owned(), "sandbox web"),
        ("ip -n db -6 route delete default".to_owned(), "sandbox db"),
        (
            "ip -n db -6 address flush dev eth0".to_owned(),
            "sandbox db",
        ),
        ("ip -n web link set lo down".to_owned(), "sandbox web"),
        ("ip -n web link set eth0 down".to_owned(), "sandbox web"),
        ("ip -n lone link set lo down".to_owned(), "sandbox lone"),
        (format!("ip link set {web} down"), "sandbox web"),
        (format!("ip link set {web} nomaster"), "sandbox web"),
        ("ip link set netcell0 down".to_owned(), "network bridge"),
        ("ip address flush dev netcell0".to_owned(), "network bridge"),
        (
            "ip -6 address delete fe80::1/64 dev netcell1".to_owned(),
            "network lan",
        ),
    ] {
        assert_eq!(good_again(&before, &[&lost]), said, "{lost}");
    }
    end();
}

fn routes_to_networks_come_back() {
    let _outside = Outside::new();
    let before = host();
    let flush6 = "ip -6 route flush table main";
    for (lost, said) in [
        (&["ip route delete 172.17.0.0/16"][..], "network bridge"),
        (&["ip -6 route delete fd00:50::/64"], "network lan"),
        (
            &[
                "ip route delete 10.50.0.0/24",
                "ip -6 route delete fd00:50::/64",
            ],
            "network lan",
        ),
        (
            &["ip -6 route delete fe80::/64 dev netcell1"],
            "network lan",
        ),
        (&[flush6], "network lan"),
        (
            &["ip route delete 172.17.0.0/16", flush6],
            "network bridge\nnetwork lan",
        ),
        (&["ip -n web route delete 172.17.0.0/16"], "sandbox web"),
        (&["ip -n web route flush table main"], "sandbox web"),
        (&["ip -n db -6 route flush table main"], "sandbox db"),
        // While it is down a link has no routes, and they come with it.
        (&["ip link set netcell1 down"], "network lan"),
    ] {
        assert_eq!(good_again(&before, lost), said, "{lost:?}");
    }
    // Beside another address of the same subnet, too.
    must(
        "ip",
        &["address", "add", "172.17.0.5/16", "dev", "netcell0"],
    );
    must("ip", &["route", "delete", "172.17.0.0/16"]);
    let script = cell("reconcile --dry-run").ok();
    let line = "ip route add 172.17.0.0/16 dev netcell0 proto kernel scope link src 172.17.0.1";
    assert!(script.ends_with(line), "{script}");
    assert_eq!(cell("reconcile").ok(), "network bridge");
    let route = ip_json(&["route", "show", "172.17.0.0/16"]);
    assert_eq!(route[0]["prefsrc"], "172.17.0.1", "{route}");
    assert_eq!(route.as_array().map(Vec::len), Some(1), "{route}");
    must(
        "ip",
        &["address", "delete", "172.17.0.5/16", "dev", "netcell0"],
    );
    let all = good_again(&before, &["ip route flush table main"]);
    assert_eq!(all, "network bridge\nnetwork lan");
    end();
}

fn a_route_that_leads_elsewhere_is_said_and_left_alone() {
    let _outside = Outside::new();
    let before = host();
    must("ip", &["route", "replace", "172.17.0.0/16", "dev", "up0"]);
    let answer = cell("reconcile").exits(1);
    for word in ["route add 172.17.0.0/16 dev netcell0", "File exists"] {
        assert!(answer.stderr.contains(word), "{answer:?}");
    }
    let route = ip_json(&["route", "show", "172.17.0.0/16"]);
    assert_eq!(route[0]["dev"], "up0", "{route}");
    assert_eq!(route.as_array().map(Vec::len), Some(1), "{route}");
    let said = good_again(&before, &["ip route delete 172.17.0.0/16"]);
    assert_eq!(said, "network bridge");
    // An owner's own route to the subnet by the bridge is one.
    must("ip", &["route", "delete", "172.17.0.0/16"]);
    must(
        "ip",
        &[
            "route",
            "add",
            "172.17.0.0/16",
            "dev",
            "netcell0",
            "metric",
            "7",
        ],
    );
    assert_eq!(cell("reconcile").quiet(), "");
    end();
}

fn forwarding() -> String {
    fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap()
}

fn forwarding_comes_back_where_a_network_needs_it() {
    let off = || fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
    cell("network create --internal --subnet 10.51.0.0/24 inner").ok();
    cell("network create --no-forwarding --subnet 10.52.0.0/24 quiet").ok();
    off();
    assert_eq!(cell("reconcile").quiet(), "");
    assert_eq!(forwarding(), "0\n");
    cell("network create --subnet 10.50.0.0/24 lan").ok();
    off();
    must("nft", &["delete element inet netcell no_transit { ipv4 }"]);
    let answer = cell("reconcile");
    assert!(
        answer.stderr.contains("turned on net.ipv4.ip_forward"),
        "{answer:?}"
    );
    assert_eq!(answer.ok(), "network lan");
    assert_eq!(forwarding(), "1\n");
    // It does not make the host a router for others.
    assert!(elements("set", "no_transit").iter().any(|e| e == "ipv4"));
    assert_eq!(cell("reconcile").quiet(), "");
}

fn an_uplink_that_goes_and_comes_back_renumbered_is_no_loss() {
    let outside = Outside::new();
    let before = host();
    serve_in(&pin("web"), 80, "web");
    outside::serve(
        step(
            "listen",
            outside.run(|| TcpListener::bind(("0.0.0.0", 9000))),
        ),
        "outside",
    );
    let masqueraded = || in_netns(pin("web"), || ask(outside::OUTSIDE, 9000));
    assert_eq!(answered(masqueraded(), "outside"), "198.51.100.1");
    must("ip", &["link", "set", "up0", "down"]);
    assert_eq!(cell("reconcile").quiet(), "");
    must("ip", &["address", "flush", "dev", "up0"]);
    must("ip", &["address", "add", "198.51.100.77/24", "dev", "up0"]);
    must("ip", &["link", "set", "up0", "up"]);
    must("ip", &["route", "add", "default", "via", "198.51.100.2"]);
    assert_eq!(cell("reconcile").quiet(), "");
    same(&before, SANDBOXES);
    assert_eq!(answered(masqueraded(), "outside"), "198.51.100.77");
    // What only the owner can make good is said.
    cell("create --name one -p 198.51.100.77:9999:80").ok();
    must("ip", &["address", "add", "198.51.100.78/24", "dev", "up0"]);
    must(
        "ip",
        &["address", "delete", "198.51.100.77/24", "dev", "up0"],
    );
    let answer = cell("reconcile");
    for word in ["198.51.100.77", "sandbox one", "no link of the host"] {
        assert!(answer.stderr.contains(word), "{answer:?}");
    }
    assert_eq!(answer.ok(), "");
    must("ip", &["address", "flush", "dev", "up0"]);
    must("ip", &["address", "add", "198.51.100.77/24", "dev", "up0"]);
    cell("rm one").ok();
    let address: IpAddr = "198.51.100.77".parse().unwrap();
    answered(outside.run(|| ask(address, 8080)), "web");
    end();
}

/// Nobody watches while this lives.
fn no_watcher() -> fs::File {
    fs::create_dir_all(format!("{}/watch", boxes::STATE)).unwrap();
    let lock = fs::File::create(format!("{}/watch/lock", boxes::STATE)).unwrap();
    assert!(sys::try_flock(&lock, true).unwrap());
    lock
}

fn a_pin_comes_back_by_the_process_that_lives_there() {
    let outside = Outside::new();
    let _nobody = no_watcher();
    cell("run -d --name main -p 8080:80 alpine httpd -f -p 80").ok();
    wait_for_port(&pin("main"), 80);
    let id = oracle::namespace_id(&pin("main"));
    must("busybox", &["umount", "/run/netns/main"]);
    cell("exec main true").ok();
    assert_eq!(cell("reconcile").ok(), "sandbox main");
    assert_eq!(oracle::namespace_id(&pin("main")), id);
    assert_eq!(cell("reconcile").quiet(), "");
    step("ask", outside.run(|| get(outside::HOST, 8080)));
    // Though the file, too, is gone.
    must("busybox", &["umount", "/run/netns/main"]);
    must("rm", &["-f", "/run/netns/main"]);
    assert_eq!(cell("reconcile").ok(), "sandbox main");
    assert_eq!(oracle::namespace_id(&pin("main")), id);
    // Somebody else's namespace of that name is nobody's to touch.
    must("busybox", &["umount", "/run/netns/main"]);
    must("rm", &["-f", "/run/netns/main"]);
    must("ip", &["netns", "add", "main"]);
    cell("reconcile").refused(1, &["main", "another namespace"]);
    must("ip", &["netns", "delete", "main"]);
    assert_eq!(cell("reconcile").ok(), "sandbox main");
    cell("rm -f main").ok();
}

fn a_sandbox_in_which_nobody_lives_is_made_anew() {
    let outside = Outside::new();
    let before = host();
    let said = good_again(&before, &["busybox umount /run/netns/web"]);
    assert_eq!(said, "sandbox web");
    serve_in(&pin("web"), 80, "web");
    answered(outside.run(|| ask(outside::HOST, 8080)), "web");
    // Its old namespace lives on behind a descriptor, and so does its link.
    let _held = fs::File::open(pin("db")).unwrap();
    good_again(
        &before,
        &[
            "busybox umount -l /run/netns/db",
            "busybox umount /run/netns/lone",
        ],
    );
    // A file that is no pin is not netcell's.
    must("busybox", &["umount", "/run/netns/web"]);
    fs::remove_file(pin("web")).unwrap();
    fs::write(pin("web"), "mine").unwrap();
    cell("reconcile").refused(1, &["web", "netns"]);
    assert_eq!(fs::read_to_string(pin("web")).unwrap(), "mine");
    fs::remove_file(pin("web")).unwrap();
    good_again(&before, &[]);
    end();
}

/// A server that answers each line with the same, and a client's connection to it.
fn echo(listener: TcpListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut bytes = [0; 64];
                while let Ok(n @ 1..) = stream.read(&mut bytes) {
                    let _ = stream.write_all(&bytes[..n]);
                }
            });
        }
    });
}

#[track_caller]
fn goes_on(stream: &mut TcpStream) {
    step(
        "time",
        stream.set_read_timeout(Some(Duration::from_secs(5))),
    );
    step("say", stream.write_all(b"hello"));
    let mut bytes = [0; 5];
    step("hear", stream.read_exact(&mut bytes));
    assert_eq!(&bytes, b"hello");
}

fn connections_that_nobody_touched_go_on() {
    let outside = Outside::new();
    let before = host();
    let listen = |port| step("listen", TcpListener::bind(("0.0.0.0", port)));
    echo(in_netns(pin("web"), || listen(80)));
    echo(outside.run(|| listen(9000)));
    let mut published = step(
        "connect",
        outside.run(|| TcpStream::connect((outside::HOST, 8080))),
    );
    let mut out = step(
        "connect",
        in_netns(pin("web"), || TcpStream::connect((outside::OUTSIDE, 9000))),
    );
    goes_on(&mut published);
    goes_on(&mut out);
    for lost in [
        "ip -n loose link delete eth0",
        "ip link delete netcell1",
        "nft flush ruleset",
    ] {
        good_again(&before, &[lost]);
        goes_on(&mut published);
        goes_on(&mut out);
    }
    // The bridge itself may go, and its ports' connections do not notice.
    good_again(&before, &["ip link delete netcell0"]);
    goes_on(&mut published);
    goes_on(&mut out);
    end();
}

/// A connection over which something is sent at every moment: how often the same came back, and what ended it.
struct InUse {
    rounds: std::sync::Arc<std::sync::atomic::AtomicUsize>,
    end: std::thread::JoinHandle<std::io::Error>,
}

impl InUse {
    fn new(mut stream: TcpStream) -> Self {
        let rounds = std::sync::Arc::<std::sync::atomic::AtomicUsize>::default();
        let counted = rounds.clone();
        step(
            "time",
            stream.set_read_timeout(Some(Duration::from_secs(5))),
        );
        let end = std::thread::spawn(move || {
            loop {
                let mut bytes = [0; 5];
                let sent = stream.write_all(b"hello");
                if let Err(error) = sent.and_then(|()| stream.read_exact(&mut bytes)) {
                    return error;
                }
                counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        InUse { rounds, end }
    }

    fn rounds(&self) -> usize {
        self.rounds.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// What comes back from now on: whether anything does.
    fn lives(&self, what: &str) -> bool {
        let before = self.rounds();
        wait_until(what, || {
            self.rounds() > before + 5 || self.end.is_finished()
        });
        !self.end.is_finished()
    }
}

fn connections_in_use_outlive_all_but_the_loss_of_the_tables() {
    let outside = Outside::new();
    let before = host();
    let listen = |port| step("listen", TcpListener::bind(("0.0.0.0", port)));
    echo(in_netns(pin("web"), || listen(80)));
    echo(outside.run(|| listen(9000)));
    let published = outside.run(|| TcpStream::connect((outside::HOST, 8080)));
    let published = InUse::new(step("connect", published));
    let out = in_netns(pin("web"), || TcpStream::connect((outside::OUTSIDE, 9000)));
    let out = InUse::new(step("connect", out));
    let (web, (address, _)) = (link_of("web"), address_in("web", "eth0"));
    let damages = [
        "nft flush chain inet netcell forward",
        "nft flush chain inet netcell nat_prerouting",
        "nft flush chain inet netcell nat_postrouting",
        "nft delete element inet netcell publish4 { tcp . 8080 }",
        "nft flush set inet netcell bridges",
        "nft delete table bridge netcell",
        "ip link delete netcell0",
        "ip link set netcell0 down",
        "ip address flush dev netcell0",
        "ip route delete 172.17.0.0/16",
        &format!("ip link delete {web}"),
        &format!("ip link set {web} nomaster"),
        "ip -n web link set eth0 down",
        &format!("ip -n web address delete {address}/16 dev eth0"),
        "ip -n web route delete default",
        "sysctl -qw net.ipv4.ip_forward=0",
    ];
    for lost in damages {
        let words: Vec<&str> = lost.split(' ').collect();
        must(words[0], &words[1..]);
        // Some of what is sent meets the damage.
        std::thread::sleep(Duration::from_millis(100));
        good_again(&before, &[]);
        for (name, connection) in [("published", &published), ("outgoing", &out)] {
            let lives = connection.lives(&format!("{name} after {lost}"));
            assert!(lives, "the {name} connection has ended after {lost}");
        }
    }
    // Without any rule the kernel translates nothing and may answer with a reset. It ends then, and does not hang.
    good_again(&before, &["nft flush ruleset"]);
    for (name, connection) in [("published", &published), ("outgoing", &out)] {
        let lives = connection.lives(&format!("{name} goes on or ends after a flush"));
        println!("the {name} connection after a flush of the ruleset: lives {lives}");
    }
    let again = outside.run(|| TcpStream::connect((outside::HOST, 8080)));
    goes_on(&mut step("connect", again));
    end();
}

/// An /etc that can be written.
fn own_etc() {
    any("cp", &["-a", "/etc", "/var/lib/etc"]);
    must("mount", &["--bind", "/var/lib/etc", "/etc"]);
}

fn the_files_in_etc_are_as_the_host_has_them_now() {
    let _nobody = no_watcher();
    fs::write("/etc/resolv.conf", "nameserver 198.51.100.53\n").unwrap();
    cell("run -d --name own / sleep 1000").ok();
    cell("run -d --name image alpine sleep 1000").ok();
    assert_eq!(cell("reconcile").quiet(), "");
    // As a DHCP client does.
    fs::write("/etc/new", "nameserver 198.51.100.54\n").unwrap();
    fs::rename("/etc/new", "/etc/resolv.conf").unwrap();
    assert_eq!(cell("reconcile").ok(), "sandbox image\nsandbox own");
    let resolvers = |name: &str| {
        let pid = cell(&format!("inspect -f {{{{.State.Pid}}}} {name}")).ok();
        must("nsenter", &["-t", &pid, "-m", "cat", "/etc/resolv.conf"])
    };
    for name in ["own", "image"] {
        assert_eq!(resolvers(name), "nameserver 198.51.100.54", "{name}");
    }
    assert_eq!(cell("reconcile").quiet(), "");
    // A file renamed over the host's takes the mount away, though it says the same.
    fs::write("/etc/new", "nameserver 198.51.100.54\n").unwrap();
    fs::rename("/etc/new", "/etc/resolv.conf").unwrap();
    let pid = cell("inspect -f {{.State.Pid}} own").ok();
    let mounted = || fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    assert!(!mounted().contains("/etc/resolv.conf"));
    assert_eq!(cell("reconcile").ok(), "sandbox own");
    assert!(mounted().contains("/etc/resolv.conf"));
    // Names, too.
    let hosts = format!("{}/sandboxes/image/hosts", boxes::STATE);
    let before = fs::read_to_string(&hosts).unwrap();
    fs::OpenOptions::new()
        .write(true)
        .open(&hosts)
        .unwrap()
        .set_len(20)
        .unwrap();
    assert_ne!(cell("reconcile").ok(), "");
    let now = fs::read_to_string(&hosts).unwrap();
    for line in before.lines().skip(1) {
        assert!(now.contains(line), "{line} is not in {now}");
    }
    assert_eq!(cell("reconcile").quiet(), "");
    cell("rm -f own image").ok();
}

fn the_script_of_a_dry_run_makes_it_good() {
    let _outside = Outside::new();
    let before = host();
    for lost in [
        &["nft flush ruleset"][..],
        &["ip link delete netcell0"],
        &["ip link delete netcell1", "nft flush table bridge netcell"],
        &["ip -n web link delete eth0"],
        &["busybox umount /run/netns/web"],
        &["nft flush chain inet netcell forward"],
        &[
            "ip route delete 10.50.0.0/24",
            "ip -6 route flush table main",
            "ip -n db -6 route flush table main",
        ],
    ] {
        for line in lost {
            let words: Vec<&str> = line.split(' ').collect();
            must(words[0], &words[1..]);
        }
        // A link whose namespace has gone goes with it, a little later than it was seen.
        wait_until("it is gone", || {
            !lost[0].contains("umount") || !links().contains(&link_of("web"))
        });
        let script = cell("reconcile --dry-run").ok();
        assert_eq!(
            cell("reconcile --dry-run").ok(),
            script,
            "nothing was changed"
        );
        fs::write("/tmp/script", &script).unwrap();
        let done = any("sh", &["/tmp/script"]);
        assert_eq!(done.code, 0, "{lost:?}: {done:?}\n{script}");
        good_again(&before, &[]);
    }
    end();
}

fn what_is_not_netcells_is_left_alone_and_said() {
    let _outside = Outside::new();
    let before = host();
    must("ip", &["link", "delete", "netcell0"]);
    must("ip", &["link", "delete", "netcell1"]);
    must("ip", &["link", "add", "netcell0", "type", "bridge"]);
    let answer = cell("reconcile").exits(1);
    assert!(
        answer
            .stderr
            .contains("a link netcell0 that is not netcell's"),
        "{answer:?}"
    );
    assert_eq!(answer.stdout, "network lan\nsandbox db\nsandbox loose\n");
    let json = cell("reconcile --json").exits(1);
    assert_eq!(json.stderr.lines().count(), 2, "{json:?}");
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(
        json["errors"][0]
            .as_str()
            .is_some_and(|e| e.contains("netcell0")),
        "{json}"
    );
    assert_eq!(
        ip_json(&["link", "show", "netcell0"])[0]["group"],
        "default"
    );
    must("ip", &["link", "delete", "netcell0"]);
    good_again(&before, &[]);
    // Whoever moved the sandbox's link away wants it there.
    must("ip", &["netns", "add", "theirs"]);
    must(
        "ip",
        &["-n", "web", "link", "set", "eth0", "netns", "theirs"],
    );
    cell("reconcile").refused(1, &["web", "eth0", "moved"]);
    must("ip", &["netns", "delete", "theirs"]);
    wait_until("it is gone", || !links().contains(&link_of("web")));
    good_again(&before, &[]);
    end();
}

fn what_another_command_is_at_is_left_to_it() {
    let _outside = Outside::new();
    let before = host();
    must("nft", &["flush", "ruleset"]);
    // As long as its owner lives an intent is flocked.
    let path = format!("{}/intents/web", boxes::STATE);
    let intent = fs::File::create(&path).unwrap();
    assert!(sys::try_flock(&intent, true).unwrap());
    let json = cell("reconcile --json").json();
    assert_eq!(json["skipped"], serde_json::json!(["web"]));
    assert_eq!(json["sandboxes"], serde_json::json!(["db", "loose"]));
    assert!(elements("map", "publish4").is_empty());
    fs::remove_file(path).unwrap();
    drop(intent);
    assert_eq!(good_again(&before, &[]), "sandbox web");
    // Two at once wait for each other.
    must("nft", &["flush", "ruleset"]);
    let lock = fs::File::open(format!("{}/reconcile", boxes::STATE)).unwrap();
    assert!(sys::try_flock(&lock, true).unwrap());
    let mut other = netcell_command(&["reconcile"]);
    let other = Background::spawn(&mut other);
    std::thread::sleep(Duration::from_millis(100));
    assert!(nft_json(&["list", "tables"]).is_empty());
    drop(lock);
    wait_until("the other one goes on", || {
        !nft_json(&["list", "tables"]).is_empty()
    });
    drop(other);
    good_again(&before, &[]);
    end();
}

fn beside_other_commands_nothing_is_lost_and_nothing_is_double() {
    let _outside = Outside::new();
    let before = host();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let going = || !stop.load(std::sync::atomic::Ordering::Relaxed);
    std::thread::scope(|scope| {
        let workers = [0, 1].map(|worker| {
            scope.spawn(move || {
                for n in 0..25 {
                    let (name, port) = (format!("w{worker}n{n}"), 9000 + 100 * worker + n);
                    cell(&format!("create --name {name} --network lan -p {port}:80")).ok();
                    cell(&format!("publish {name} {}:81", port + 50)).ok();
                    cell(&format!("rm {name}")).ok();
                }
            })
        });
        scope.spawn(|| {
            while going() {
                cell("reconcile").ok();
            }
        });
        scope.spawn(|| {
            while going() {
                any("nft", &["flush", "set", "bridge", "netcell", "macs"]);
                any("nft", &["flush", "set", "inet", "netcell", "bridges"]);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let ended = workers.map(|worker| worker.join());
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "a worker has failed");
    });
    cell("reconcile").ok();
    good_again(&before, &[]);
    end();
}
