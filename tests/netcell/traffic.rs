//! Who reaches whom, and who does not: each cell with packets, over IPv4 and IPv6, TCP and UDP.

use crate::harness::*;
use crate::tests;
use std::net::{IpAddr, Ipv4Addr};

pub const TESTS: &[runner::Test] = tests![
    a_published_port_is_reached_from_everywhere,
    what_goes_out_has_the_hosts_address_also_when_that_changes,
    a_network_that_does_not_masquerade_keeps_its_addresses,
    a_sandboxs_address_is_reached_by_its_neighbours_and_the_host_alone.seconds(120),
    an_internal_network_reaches_nothing_and_is_not_reached.seconds(120),
    isolated_sandboxes_do_not_reach_each_other.seconds(120),
    a_port_on_a_host_of_ipv6_answers_there_alone,
    a_port_is_for_an_interface_or_for_senders_alone.seconds(120),
    a_flow_follows_its_port_over_ipv6_too,
    the_owners_rules_for_forwarding_are_kept_and_hold,
    a_host_that_did_not_forward_ipv6_does_not_become_a_router,
    a_default_route_learnt_by_advertisement_is_not_lost,
    without_forwarding_the_host_and_the_neighbours_are_reached.seconds(120),
];

const PLACES: [&str; 2] = ["lan", "wan"];

/// Two networks of both IP versions; on the first `web` that serves, and `near`; on the second `far`.
fn three(publish: &str) -> Outside {
    let outside = Outside::with_ipv6();
    for (n, place) in PLACES.iter().enumerate() {
        let subnets = format!("--subnet 10.5{n}.0.0/24 --subnet fd00:5{n}::/64");
        cell(&format!("network create {subnets} {place}")).ok();
    }
    cell(&format!("create --name web --network lan {publish}")).ok();
    cell("create --name near --network lan").ok();
    cell("create --name far --network wan").ok();
    serve_all_in(&pin("web"), 80, "web");
    outside
}

fn addresses(sandbox: &str) -> [IpAddr; 2] {
    [
        address_in(sandbox, "eth0").0.into(),
        address6_in(sandbox, "eth0").0.into(),
    ]
}

/// Both the TCP and the UDP server's answer.
fn both(address: IpAddr, port: u16) -> [std::io::Result<String>; 2] {
    [ask(address, port), ask_udp(address, port)]
}

/// It answers over TCP and UDP, from a namespace ("" is the host's): the source that it saw, the same by both.
#[track_caller]
fn reaches(from: &str, address: IpAddr, port: u16) -> String {
    let answers = match from {
        "" => both(address, port),
        from => in_netns(from, || both(address, port)),
    };
    let [tcp, udp] = answers.map(|answer| match answer {
        Ok(text) => {
            let name = text.split(' ').next().unwrap_or_default().to_owned();
            answered(Ok::<_, String>(text), &name)
        }
        Err(error) => panic!("{address}:{port} does not answer {from:?}: {error}"),
    });
    assert_eq!(tcp, udp, "{address}:{port} from {from:?}");
    tcp
}

#[track_caller]
fn does_not_reach(from: &str, address: IpAddr, port: u16) {
    // Two at a time: what is dropped is waited for.
    let ask_both = move || {
        std::thread::scope(|scope| {
            let file = from.to_owned();
            let udp = scope.spawn(move || match file.as_str() {
                "" => ask_udp(address, port),
                file => in_netns(file, || ask_udp(address, port)),
            });
            let tcp = match from {
                "" => ask(address, port),
                from => in_netns(from, || ask(address, port)),
            };
            [tcp, udp.join().unwrap()]
        })
    };
    for (answer, proto) in ask_both().into_iter().zip(["tcp", "udp"]) {
        assert!(
            answer.is_err(),
            "{address}:{port}/{proto} answers {from:?}: {answer:?}"
        );
    }
}

fn route_back(outside: &Outside, subnets: &[&str]) {
    outside.run(|| {
        for subnet in subnets {
            let via = if subnet.contains(':') {
                "fd00:99::1"
            } else {
                "198.51.100.1"
            };
            must("ip", &["route", "add", subnet, "via", via]);
        }
    });
}

fn a_published_port_is_reached_from_everywhere() {
    let outside = three("-p 8080:80 -p 8080:80/udp");
    let hosts: [IpAddr; 2] = [outside::HOST.into(), outside::HOST6.into()];
    let outsides = [outside::OUTSIDE.to_string(), outside::OUTSIDE6.to_string()];
    for (host, source) in hosts.into_iter().zip(outsides) {
        assert_eq!(reaches(&outside.namespace(), host, 8080), source);
        for from in ["", &pin("web"), &pin("near"), &pin("far")] {
            reaches(from, host, 8080);
        }
    }
    for own in [
        "10.50.0.1",
        "10.51.0.1",
        "fd00:50::1",
        "fd00:51::1",
        "127.0.0.1",
        "127.3.2.1",
    ] {
        reaches("", own.parse().unwrap(), 8080);
    }
    // From another network the sender's address is kept.
    for (n, address) in addresses("far").into_iter().enumerate() {
        assert_eq!(reaches(&pin("far"), hosts[n], 8080), address.to_string());
    }
    // A neighbour's answer would go past the host: there the host stands in.
    reaches(&pin("near"), "10.50.0.1".parse().unwrap(), 8080);
    cell("rm web near far").ok();
}

fn what_goes_out_has_the_hosts_address_also_when_that_changes() {
    let outside = three("");
    serve_all_in(&outside.namespace(), 80, "outside");
    let there: [IpAddr; 2] = [outside::OUTSIDE.into(), outside::OUTSIDE6.into()];
    assert_eq!(
        reaches(&pin("web"), there[0], 80),
        outside::HOST.to_string()
    );
    assert_eq!(
        reaches(&pin("web"), there[1], 80),
        outside::HOST6.to_string()
    );
    for (old, new) in [
        ("198.51.100.1/24", "198.51.100.9/24"),
        ("fd00:99::1/64", "fd00:99::9/64"),
    ] {
        must("ip", &["address", "delete", old, "dev", "up0"]);
        must("ip", &["address", "add", new, "dev", "up0", "nodad"]);
    }
    let _ = any("ip", &["route", "add", "default", "via", "198.51.100.2"]);
    let _ = any("ip", &["route", "add", "default", "via", "fd00:99::2"]);
    assert_eq!(reaches(&pin("web"), there[0], 80), "198.51.100.9");
    assert_eq!(reaches(&pin("web"), there[1], 80), "fd00:99::9");
    cell("rm web near far").ok();
}

fn a_network_that_does_not_masquerade_keeps_its_addresses() {
    let outside = Outside::with_ipv6();
    serve_all_in(&outside.namespace(), 80, "outside");
    cell("network create --subnet 10.50.0.0/24 --subnet fd00:50::/64 --no-masquerade lan").ok();
    cell("create --name web --network lan").ok();
    route_back(&outside, &["10.50.0.0/24", "fd00:50::/64"]);
    let there: [IpAddr; 2] = [outside::OUTSIDE.into(), outside::OUTSIDE6.into()];
    for (own, there) in addresses("web").into_iter().zip(there) {
        assert_eq!(reaches(&pin("web"), there, 80), own.to_string());
    }
    cell("rm web").ok();
}

fn a_sandboxs_address_is_reached_by_its_neighbours_and_the_host_alone() {
    let outside = three("-p 8080:80");
    route_back(&outside, &["10.50.0.0/24", "fd00:50::/64"]);
    let near = addresses("near");
    for (n, address) in addresses("web").into_iter().enumerate() {
        assert_eq!(reaches(&pin("near"), address, 80), near[n].to_string());
        reaches("", address, 80);
        // Not even the port that is published: it is published at the host.
        does_not_reach(&outside.namespace(), address, 80);
        does_not_reach(&pin("far"), address, 80);
    }
    cell("rm web near far").ok();
}

fn an_internal_network_reaches_nothing_and_is_not_reached() {
    let outside = three("-p 8080:80 -p 8080:80/udp");
    serve_all_in(&outside.namespace(), 80, "outside");
    cell("network create --subnet 10.60.0.0/24 --subnet fd00:60::/64 --internal inner").ok();
    cell("create --name one --network inner").ok();
    cell("create --name two --network inner").ok();
    serve_all_in(&pin("one"), 80, "one");
    for family in ["-4", "-6"] {
        let routes = must("ip", &["-n", "one", family, "route"]);
        assert!(!routes.contains("default"), "{routes}");
        let gateway = if family == "-4" {
            "10.60.0.1"
        } else {
            "fd00:60::1"
        };
        must(
            "ip",
            &[
                "-n", "two", family, "route", "add", "default", "via", gateway,
            ],
        );
        must(
            "ip",
            &[
                "-n", "one", family, "route", "add", "default", "via", gateway,
            ],
        );
    }
    route_back(&outside, &["10.60.0.0/24", "fd00:60::/64"]);
    let there: [IpAddr; 2] = [outside::OUTSIDE.into(), outside::OUTSIDE6.into()];
    for (n, address) in addresses("one").into_iter().enumerate() {
        reaches(&pin("two"), address, 80);
        reaches("", address, 80);
        does_not_reach(&pin("two"), there[n], 80);
        does_not_reach(&outside.namespace(), address, 80);
        does_not_reach(&pin("far"), address, 80);
        // Nor by way of what another network publishes at the host.
        does_not_reach(
            &pin("two"),
            [IpAddr::from(outside::HOST), outside::HOST6.into()][n],
            8080,
        );
    }
    cell("create --name three --network inner -p 8081:80").refused(1, &["inner", "internal"]);
    cell("publish one 8081:80").refused(1, &["inner", "internal"]);
    cell("rm web near far one two").ok();
}

fn isolated_sandboxes_do_not_reach_each_other() {
    let outside = Outside::with_ipv6();
    serve_all_in(&outside.namespace(), 80, "outside");
    cell("network create --subnet 10.50.0.0/24 --subnet fd00:50::/64 --isolate lan").ok();
    cell("create --name web --network lan -p 8080:80 -p 8080:80/udp").ok();
    cell("create --name near --network lan").ok();
    serve_all_in(&pin("web"), 80, "web");
    let there: [IpAddr; 2] = [outside::OUTSIDE.into(), outside::OUTSIDE6.into()];
    let hosts: [IpAddr; 2] = [outside::HOST.into(), outside::HOST6.into()];
    for (n, address) in addresses("web").into_iter().enumerate() {
        does_not_reach(&pin("near"), address, 80);
        reaches("", address, 80);
        reaches(&pin("near"), there[n], 80);
        // What is published is for others, and for the host.
        reaches("", hosts[n], 8080);
        reaches(&outside.namespace(), hosts[n], 8080);
        does_not_reach(&pin("near"), hosts[n], 8080);
        // By way of the host it is no nearer.
        let gateway = if n == 0 { "10.50.0.1" } else { "fd00:50::1" };
        let target = address.to_string();
        must(
            "ip",
            &["-n", "near", "route", "add", &target, "via", gateway],
        );
        does_not_reach(&pin("near"), address, 80);
    }
    cell("rm web near").ok();
}

fn a_port_on_a_host_of_ipv6_answers_there_alone() {
    let outside = three("-p [fd00:99::1]:8080:80 -p [fd00:99::1]:8080:80/udp");
    let ns = outside.namespace();
    reaches(&ns, outside::HOST6.into(), 8080);
    reaches("", outside::HOST6.into(), 8080);
    does_not_reach(&ns, outside::HOST.into(), 8080);
    does_not_reach("", "fd00:50::1".parse().unwrap(), 8080);
    assert_eq!(elements("map", "publish6_addr").len(), 2);
    assert_eq!(
        cell("port web").quiet(),
        "80/tcp -> [fd00:99::1]:8080\n80/udp -> [fd00:99::1]:8080"
    );
    for (line, words) in [
        ("[::1]:9090:80", ["::1", "127.0.0.1"]),
        (
            "[fd00:dead::1]:9090:80",
            ["fd00:dead::1", "not an address of this host"],
        ),
    ] {
        cell(&format!("publish web {line}")).refused(1, &words);
    }
    cell("network create --subnet fd00:77::/64 --ipv4=false six").ok();
    cell("create --name six --network six -p 127.0.0.1:9090:80")
        .refused(1, &["127.0.0.1", "no IPv4 address"]);
    cell("create --name six --network six -p 9090:80").ok();
    serve_all_in(&pin("six"), 80, "six");
    answered(outside.run(|| ask(outside::HOST6, 9090)), "six");
    assert_eq!(cell("port six").quiet(), "80/tcp -> [::]:9090");
    cell("rm web near far six").ok();
}

fn a_port_is_for_an_interface_or_for_senders_alone() {
    let outside = three(
        "-p 8080:80,on=up0 -p 8080:80/udp,on=up0 -p 8081:80,from=10.51.0.0/24 -p 8081:80/udp,from=fd00:99::/64",
    );
    let ns = outside.namespace();
    for host in [IpAddr::from(outside::HOST), outside::HOST6.into()] {
        reaches(&ns, host, 8080);
        does_not_reach(&pin("far"), host, 8080);
        does_not_reach("", host, 8080);
    }
    answered(in_netns(pin("far"), || ask(outside::HOST, 8081)), "web");
    answered(outside.run(|| ask_udp(outside::HOST6, 8081)), "web");
    assert!(outside.run(|| ask(outside::HOST, 8081)).is_err());
    assert!(in_netns(pin("far"), || ask_udp(outside::HOST6, 8081)).is_err());
    // Senders and interfaces that keep packets apart keep ports apart.
    cell("publish near 8080:80,on=netcell2").ok();
    cell("publish near 8081:80,from=10.51.0.0/16").refused(1, &["web", "already allocated"]);
    cell("publish near 8080:80").refused(1, &["near", "already allocated"]);
    cell("unpublish near 8080:80").ok();
    cell("unpublish web 8080:80 8080:80/udp 8081:80 8081:80/udp").ok();
    for map in [
        "publish4_on",
        "publish4_from",
        "publish6_on",
        "publish6_from",
    ] {
        assert!(elements("map", map).is_empty(), "{map}");
    }
    assert!(outside.run(|| ask(outside::HOST, 8080)).is_err());
    cell("rm web near far").ok();
}

fn a_flow_follows_its_port_over_ipv6_too() {
    let outside = Outside::with_ipv6();
    cell("network create --subnet 10.50.0.0/24 --subnet fd00:50::/64 lan").ok();
    let client = outside
        .run(|| std::net::UdpSocket::bind("[::]:4000"))
        .unwrap();
    client
        .set_read_timeout(Some(std::time::Duration::from_secs(2)))
        .unwrap();
    let ask = |name: &str| {
        client.send_to(b"who", (outside::HOST6, 5353)).unwrap();
        let mut buffer = [0; 100];
        let got = client
            .recv(&mut buffer)
            .unwrap_or_else(|error| panic!("{name} does not answer: {error}"));
        assert!(buffer[..got].starts_with(name.as_bytes()), "{name}");
    };
    cell("create --name old --network lan -p 5353:53/udp").ok();
    serve_all_in(&pin("old"), 53, "old");
    ask("old");
    // Withdrawn from the one, published for the other: the flow goes with the port.
    cell("create --name new --network lan").ok();
    serve_all_in(&pin("new"), 53, "new");
    cell("unpublish old 5353:53/udp").ok();
    client.send_to(b"who", (outside::HOST6, 5353)).unwrap();
    cell("publish new 5353:53/udp").ok();
    ask("new");
    cell("rm old new").ok();
    let left = any(
        "conntrack",
        &["-f", "ipv6", "-L", "-p", "udp", "--orig-port-dst", "5353"],
    );
    assert!(!left.stdout.contains("dport=53 "), "stale: {}", left.stdout);
}

fn the_owners_rules_for_forwarding_are_kept_and_hold() {
    let _outside = three("");
    let web = addresses("web");
    does_not_reach(&pin("far"), web[0], 80);
    let rule = "insert rule inet netcell user_forward iifname netcell2 oifname netcell1 accept";
    must("nft", &rule.split(' ').collect::<Vec<_>>());
    for address in web {
        reaches(&pin("far"), address, 80);
    }
    cell("network create more").ok();
    cell("create --name more --network more -p 8080:80").ok();
    cell("rm more").ok();
    cell("network rm more").ok();
    reaches(&pin("far"), web[0], 80);
    must(
        "nft",
        &["flush", "chain", "inet", "netcell", "user_forward"],
    );
    cell("rm web near far").ok();
}

fn a_host_that_did_not_forward_ipv6_does_not_become_a_router() {
    let outside = Outside::with_ipv6();
    let holder = outside::namespace_holder();
    let pid = holder.pid().to_string();
    must(
        "ip",
        &[
            "link", "add", "arm0", "type", "veth", "peer", "name", "arm1", "netns", &pid,
        ],
    );
    must(
        "ip",
        &["address", "add", "fd00:98::1/64", "dev", "arm0", "nodad"],
    );
    must("ip", &["link", "set", "arm0", "up"]);
    let second = format!("/proc/{pid}/ns/net");
    in_netns(&second, || {
        must(
            "ip",
            &["address", "add", "fd00:98::2/64", "dev", "arm1", "nodad"],
        );
        must("ip", &["link", "set", "arm1", "up"]);
        must(
            "ip",
            &["-6", "route", "add", "default", "via", "fd00:98::1"],
        );
    });
    serve_all_in(&second, 80, "second");
    route_back(&outside, &["fd00:98::/64"]);
    let there: IpAddr = "fd00:98::2".parse().unwrap();
    let first = cell("network create --ipv6 lan").exits(0);
    assert!(
        first.stderr.contains("net.ipv6.conf.all.forwarding"),
        "{first:?}"
    );
    does_not_reach(&outside.namespace(), there, 80);
    // The one command that lifts it.
    must(
        "nft",
        &[
            "delete",
            "element",
            "inet",
            "netcell",
            "no_transit",
            "{ ipv6 }",
        ],
    );
    reaches(&outside.namespace(), there, 80);
    cell("network create more").ok();
    reaches(&outside.namespace(), there, 80);
    drop(holder);
    let _ = any("ip", &["link", "delete", "arm0"]);
}

fn a_default_route_learnt_by_advertisement_is_not_lost() {
    let outside = Outside::new();
    let link = outside.run(|| {
        frames::mac(
            ip_json(&["link", "show", "up1"])[0]["address"]
                .as_str()
                .unwrap(),
        )
    });
    let socket = outside.run(|| sys::PacketSocket::open("up1")).unwrap();
    let learnt = || must("ip", &["-6", "route"]).contains("default");
    wait_until("the host has learnt its default route", || {
        socket.send(&frames::router_advertisement(link)).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        learnt()
    });
    let refused = cell("network create --ipv6 lan");
    assert!(
        refused
            .stderr
            .contains("sysctl -w net.ipv6.conf.up0.accept_ra=2"),
        "{refused:?}"
    );
    refused.refused(1, &["up0", "default route"]);
    let forwarding = || std::fs::read_to_string("/proc/sys/net/ipv6/conf/all/forwarding").unwrap();
    assert_eq!(forwarding(), "0\n");
    assert!(learnt());
    cell("network create --ipv6 --internal inner").ok();
    cell("network create --ipv6 --no-forwarding quiet").ok();
    assert_eq!(forwarding(), "0\n");
    must("sysctl", &["-qw", "net.ipv6.conf.up0.accept_ra=2"]);
    cell("network create --ipv6 lan").ok();
    assert_eq!(forwarding(), "1\n");
    assert!(learnt());
}

fn without_forwarding_the_host_and_the_neighbours_are_reached() {
    let outside = Outside::with_ipv6();
    serve_all_in(&outside.namespace(), 80, "outside");
    let created =
        cell("network create --subnet 10.50.0.0/24 --subnet fd00:50::/64 --no-forwarding lan")
            .exits(0);
    assert_eq!(created.stderr, "", "there is nothing to turn on");
    cell("create --name web --network lan -p 8080:80 -p 8080:80/udp").ok();
    cell("create --name near --network lan").ok();
    serve_all_in(&pin("web"), 80, "web");
    for (n, address) in addresses("web").into_iter().enumerate() {
        reaches(&pin("near"), address, 80);
        reaches("", address, 80);
        reaches(
            "",
            [IpAddr::from(outside::HOST), outside::HOST6.into()][n],
            8080,
        );
        does_not_reach(
            &pin("web"),
            [IpAddr::from(outside::OUTSIDE), outside::OUTSIDE6.into()][n],
            80,
        );
    }
    reaches("", Ipv4Addr::LOCALHOST.into(), 8080);
    for file in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        assert_eq!(
            std::fs::read_to_string(format!("/proc/sys/net/{file}")).unwrap(),
            "0\n"
        );
    }
    cell("rm web near").ok();
}
