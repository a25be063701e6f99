//! What the host reaches a sandbox reaches, and `-p` answers from everywhere: packets that really arrive.

use crate::harness::*;
use crate::tests;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

pub const TESTS: &[runner::Test] = tests![
    a_sandbox_reaches_outside_with_the_hosts_address,
    a_sandbox_reaches_the_host_and_its_siblings,
    a_published_port_answers_from_outside_and_sees_who_asks,
    a_published_port_answers_from_the_hosts_own_addresses,
    a_published_port_answers_from_a_sibling_and_from_itself,
    a_published_udp_port_answers_from_everywhere,
    a_port_published_on_an_address_answers_there_alone,
    a_port_published_on_loopback_cannot_be_had_from_outside,
    the_same_port_can_be_published_for_tcp_and_udp,
    published_ports_are_elements_of_a_map,
    a_removed_ports_packets_stop_when_rm_returns,
    an_open_connection_stops_when_rm_returns,
    a_port_used_again_at_once_leads_to_the_new_sandbox,
    a_udp_flow_follows_its_port_to_the_new_sandbox,
    links_are_gone_within_a_tenth_of_a_second_of_rm,
    forwarding_is_turned_on_with_a_line_that_says_so_once,
    a_host_that_did_not_forward_does_not_become_a_router,
    a_host_that_forwarded_goes_on_forwarding,
    internal_ports_cannot_be_reached_from_outside,
    the_hosts_own_rules_are_not_touched,
    a_forward_policy_of_drop_is_named_with_the_command_that_opens_it,
    many_ports_are_published_at_once,
    resolvers_on_loopback_are_left_out,
    a_bridge_has_no_link_local_address_and_takes_no_advertisement,
    the_default_network_avoids_the_hosts_routes,
    the_mtu_is_the_uplinks,
];

fn web(options: &str) {
    cell(&format!("create --name web {options}")).ok();
    serve_in(&pin("web"), 80, "web");
    serve_udp_in(&pin("web"), 53, "web");
}

fn a_sandbox_reaches_outside_with_the_hosts_address() {
    let outside = Outside::new();
    serve_in(&outside.namespace(), 80, "outside");
    serve_udp_in(&outside.namespace(), 53, "outside");
    cell("create --name web").ok();
    let seen = in_netns(pin("web"), || ask(outside::OUTSIDE, 80));
    assert_eq!(answered(seen, "outside"), "198.51.100.1");
    let seen = in_netns(pin("web"), || ask_udp(outside::OUTSIDE, 53));
    assert_eq!(answered(seen, "outside"), "198.51.100.1");
    cell("run --rm alpine ping -c 1 -W 2 198.51.100.2").ok();
    cell("rm web").ok();
}

fn a_sandbox_reaches_the_host_and_its_siblings() {
    web("");
    cell("create --name other").ok();
    let (web, _) = address_in("web", "eth0");
    let (other, _) = address_in("other", "eth0");
    let gateway =
        ip_json(&["-4", "address", "show", "dev", "netcell0"])[0]["addr_info"][0]["local"].clone();
    let gateway: Ipv4Addr = gateway.as_str().unwrap().parse().unwrap();
    serve_in("/proc/self/ns/net", 70, "host");
    // Between neighbours and to the host nothing is translated.
    assert_eq!(
        answered(in_netns(pin("other"), || ask(web, 80)), "web"),
        other.to_string()
    );
    assert_eq!(
        answered(in_netns(pin("other"), || ask(gateway, 70)), "host"),
        other.to_string()
    );
    assert_eq!(answered(ask(web, 80), "web"), gateway.to_string());
    cell("rm web other").ok();
}

fn a_published_port_answers_from_outside_and_sees_who_asks() {
    let outside = Outside::new();
    web("-p 8080:80");
    let seen = outside.run(|| ask(outside::HOST, 8080));
    assert_eq!(answered(seen, "web"), "198.51.100.2");
    cell("rm web").ok();
    web("-p 8080:80");
    cell("rm web").ok();
}

fn a_published_port_answers_from_the_hosts_own_addresses() {
    let _outside = Outside::new();
    web("-p 8080:80");
    answered(ask(outside::HOST, 8080), "web");
    answered(ask(Ipv4Addr::LOCALHOST, 8080), "web");
    answered(ask([127, 0, 0, 5], 8080), "web");
    let gateway =
        ip_json(&["-4", "address", "show", "dev", "netcell0"])[0]["addr_info"][0]["local"].clone();
    answered(
        ask(gateway.as_str().unwrap().parse::<Ipv4Addr>().unwrap(), 8080),
        "web",
    );
    // A port that nobody published stays the host's.
    assert!(ask(outside::HOST, 80).is_err());
    cell("rm web").ok();
}

fn a_published_port_answers_from_a_sibling_and_from_itself() {
    let _outside = Outside::new();
    web("-p 8080:80");
    cell("create --name other").ok();
    answered(in_netns(pin("other"), || ask(outside::HOST, 8080)), "web");
    answered(in_netns(pin("web"), || ask(outside::HOST, 8080)), "web");
    cell("network create --subnet 10.60.0.0/24 lan").ok();
    cell("create --name far --network lan").ok();
    answered(in_netns(pin("far"), || ask(outside::HOST, 8080)), "web");
    cell("rm web other far").ok();
}

fn a_published_udp_port_answers_from_everywhere() {
    let outside = Outside::new();
    web("-p 5353:53/udp");
    cell("create --name other").ok();
    assert_eq!(
        answered(outside.run(|| ask_udp(outside::HOST, 5353)), "web"),
        "198.51.100.2"
    );
    answered(ask_udp(Ipv4Addr::LOCALHOST, 5353), "web");
    answered(ask_udp(outside::HOST, 5353), "web");
    answered(
        in_netns(pin("other"), || ask_udp(outside::HOST, 5353)),
        "web",
    );
    answered(in_netns(pin("web"), || ask_udp(outside::HOST, 5353)), "web");
    cell("rm web other").ok();
}

fn a_port_published_on_an_address_answers_there_alone() {
    let outside = Outside::new();
    must("ip", &["address", "add", "198.51.100.7/24", "dev", "up0"]);
    web("-p 198.51.100.7:8080:80");
    answered(outside.run(|| ask([198, 51, 100, 7], 8080)), "web");
    assert!(outside.run(|| ask(outside::HOST, 8080)).is_err());
    assert!(ask(Ipv4Addr::LOCALHOST, 8080).is_err());
    assert_eq!(elements("map", "publish4_addr").len(), 1);
    // The same port on another address is another port.
    cell("create --name other -p 198.51.100.1:8080:80").ok();
    serve_in(&pin("other"), 80, "other");
    answered(outside.run(|| ask(outside::HOST, 8080)), "other");
    cell("rm web other").ok();
}

fn a_port_published_on_loopback_cannot_be_had_from_outside() {
    let outside = Outside::new();
    web("-p 127.0.0.1:8080:80");
    answered(ask(Ipv4Addr::LOCALHOST, 8080), "web");
    assert!(outside.run(|| ask(outside::HOST, 8080)).is_err());
    // A neighbour on the wire that sends packets for 127.0.0.1 to the host is no way in either.
    outside.run(|| {
        must("ip", &["address", "flush", "dev", "lo"]);
        must(
            "ip",
            &[
                "route",
                "add",
                "127.0.0.1",
                "via",
                "198.51.100.1",
                "src",
                "198.51.100.2",
                "dev",
                "up1",
            ],
        );
        std::fs::write(
            "/proc/thread-self/net/../../sys/net/ipv4/conf/up1/route_localnet",
            "1",
        )
        .ok();
    });
    assert!(outside.run(|| ask(Ipv4Addr::LOCALHOST, 8080)).is_err());
    cell("rm web").ok();
}

fn the_same_port_can_be_published_for_tcp_and_udp() {
    web("-p 5353:80 -p 5353:53/udp");
    answered(ask(Ipv4Addr::LOCALHOST, 5353), "web");
    answered(ask_udp(Ipv4Addr::LOCALHOST, 5353), "web");
    cell("rm web").ok();
}

fn published_ports_are_elements_of_a_map() {
    web("-p 8080:80 -p 5353:53/udp");
    let (address, _) = address_in("web", "eth0");
    let text = serde_json::Value::Array(elements("map", "publish4")).to_string();
    for word in ["\"tcp\",8080", "\"udp\",5353", &address.to_string()] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    // However many ports there are, there are no rules for them.
    let rules = nft_json(&["list", "table", "inet", "netcell"])
        .iter()
        .filter(|o| o.get("rule").is_some())
        .count();
    cell("create --name many -p 9001:1 -p 9002:2 -p 9003:3 -p 9004:4").ok();
    let more = nft_json(&["list", "table", "inet", "netcell"])
        .iter()
        .filter(|o| o.get("rule").is_some())
        .count();
    assert_eq!(rules, more);
    cell("rm web many").ok();
    no_port_is_published();
}

fn a_removed_ports_packets_stop_when_rm_returns() {
    let outside = Outside::new();
    for _ in 0..5 {
        web("-p 8080:80 -p 5353:53/udp");
        answered(outside.run(|| ask(outside::HOST, 8080)), "web");
        answered(outside.run(|| ask_udp(outside::HOST, 5353)), "web");
        cell("rm web").ok();
        assert!(outside.run(|| ask(outside::HOST, 8080)).is_err());
        no_port_is_published();
    }
}

fn an_open_connection_stops_when_rm_returns() {
    let outside = Outside::new();
    cell("create --name web -p 8080:80").ok();
    let listener = in_netns(pin("web"), || TcpListener::bind("0.0.0.0:80")).unwrap();
    let mut client = outside
        .run(|| TcpStream::connect((outside::HOST, 8080)))
        .unwrap();
    let (server, _) = listener.accept().unwrap();
    // Stray holders of the namespace: the sockets keep it alive after the removal.
    cell("rm web").ok();
    client.write_all(b"too late").unwrap();
    server
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut buffer = [0; 16];
    let got = std::io::Read::read(&mut &server, &mut buffer);
    assert!(got.is_err(), "a packet came through after rm");
    wait_within(Duration::from_millis(100), "links are gone", || {
        !links().iter().any(|name| name.starts_with("nc"))
    });
    drop((client, server, listener));
}

fn a_port_used_again_at_once_leads_to_the_new_sandbox() {
    let outside = Outside::new();
    for round in 0..10 {
        cell("create --name old -p 8080:80").ok();
        serve_in(&pin("old"), 80, "old");
        answered(outside.run(|| ask(outside::HOST, 8080)), "old");
        cell("rm old").ok();
        cell("create --name new -p 8080:80").ok();
        serve_in(&pin("new"), 80, "new");
        let answer = outside.run(|| ask(outside::HOST, 8080));
        assert!(answer.is_ok(), "round {round}: {answer:?}");
        answered(answer, "new");
        cell("rm new").ok();
    }
}

fn a_udp_flow_follows_its_port_to_the_new_sandbox() {
    let outside = Outside::new();
    let client = outside.run(|| UdpSocket::bind("0.0.0.0:4000")).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    let ask = |name: &str| {
        client.send_to(b"who", (outside::HOST, 5353)).unwrap();
        let mut buffer = [0; 100];
        let got = client
            .recv(&mut buffer)
            .unwrap_or_else(|error| panic!("{name} does not answer: {error}"));
        assert!(
            buffer[..got].starts_with(name.as_bytes()),
            "{}",
            String::from_utf8_lossy(&buffer[..got])
        );
    };
    cell("create --name old -p 5353:53/udp").ok();
    serve_udp_in(&pin("old"), 53, "old");
    ask("old");
    cell("rm old").ok();
    // A packet that meets no port makes a connection tracking entry of its own, which must not outlive it.
    client.send_to(b"who", (outside::HOST, 5353)).unwrap();
    cell("create --name new -p 5353:53/udp").ok();
    serve_udp_in(&pin("new"), 53, "new");
    ask("new");
    cell("rm new").ok();
    let left = any("conntrack", &["-L", "-p", "udp", "--orig-port-dst", "5353"]).stdout;
    assert!(!left.contains("dport=53 "), "stale entries: {left}");
}

fn links_are_gone_within_a_tenth_of_a_second_of_rm() {
    cell("run -d --name web -p 8080:80 alpine sleep 1000").ok();
    let holder = std::fs::File::open(pin("web")).unwrap();
    cell("rm -f web").ok();
    wait_within(Duration::from_millis(100), "links are gone", || {
        !links().iter().any(|name| name.starts_with("nc"))
    });
    drop(holder);
}

fn forwarding_is_turned_on_with_a_line_that_says_so_once() {
    let first = cell("create --name one").exits(0);
    assert!(
        first.stderr.contains("ip_forward") || first.stderr.contains("forwarding"),
        "{first:?}"
    );
    assert_eq!(first.stdout.trim().len(), 64, "the line is not data");
    assert_eq!(
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(),
        "1\n"
    );
    cell("create --name two").quiet();
    cell("rm one two").ok();
    assert_eq!(
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(),
        "1\n",
        "it stays on"
    );
}

/// A second machine, on a second arm of the host: 10.99.0.1 here, 10.99.0.2 there.
fn second_arm() -> Background {
    let holder = outside::namespace_holder();
    let pid = holder.pid().to_string();
    must(
        "ip",
        &[
            "link", "add", "arm0", "type", "veth", "peer", "name", "arm1", "netns", &pid,
        ],
    );
    must("ip", &["address", "add", "10.99.0.1/24", "dev", "arm0"]);
    must("ip", &["link", "set", "arm0", "up"]);
    in_netns(format!("/proc/{pid}/ns/net"), || {
        must("ip", &["address", "add", "10.99.0.2/24", "dev", "arm1"]);
        must("ip", &["link", "set", "arm1", "up"]);
        must("ip", &["route", "add", "default", "via", "10.99.0.1"]);
    });
    serve_in(&format!("/proc/{pid}/ns/net"), 80, "second");
    holder
}

fn a_host_that_did_not_forward_does_not_become_a_router() {
    let outside = Outside::new();
    let arm = second_arm();
    outside.run(|| {
        must(
            "ip",
            &["route", "add", "10.99.0.0/24", "via", "198.51.100.1"],
        )
    });
    web("-p 8080:80");
    answered(outside.run(|| ask(outside::HOST, 8080)), "web");
    assert!(
        outside.run(|| ask([10, 99, 0, 2], 80)).is_err(),
        "the host forwards for strangers"
    );
    cell("rm web").ok();
    drop(arm);
    let _ = any("ip", &["link", "delete", "arm0"]);
}

fn a_host_that_forwarded_goes_on_forwarding() {
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
    let outside = Outside::new();
    let arm = second_arm();
    outside.run(|| {
        must(
            "ip",
            &["route", "add", "10.99.0.0/24", "via", "198.51.100.1"],
        )
    });
    let first = cell("create --name web").exits(0);
    assert_eq!(first.stderr, "", "there is nothing to say");
    answered(outside.run(|| ask([10, 99, 0, 2], 80)), "second");
    cell("rm web").ok();
    answered(outside.run(|| ask([10, 99, 0, 2], 80)), "second");
    drop(arm);
    let _ = any("ip", &["link", "delete", "arm0"]);
}

fn internal_ports_cannot_be_reached_from_outside() {
    let outside = Outside::new();
    web("-p 8080:53");
    let (address, _) = address_in("web", "eth0");
    outside.run(|| {
        must(
            "ip",
            &["route", "add", "172.16.0.0/12", "via", "198.51.100.1"],
        )
    });
    assert!(
        outside.run(|| ask(address, 80)).is_err(),
        "a port that is not published answers"
    );
    cell("rm web").ok();
}

fn the_hosts_own_rules_are_not_touched() {
    must("nft", &["add", "table", "inet", "mine"]);
    must(
        "nft",
        &[
            "add",
            "chain",
            "inet",
            "mine",
            "forward",
            "{ type filter hook forward priority 0; policy accept; }",
        ],
    );
    must(
        "nft",
        &[
            "add", "rule", "inet", "mine", "forward", "tcp", "dport", "23", "drop",
        ],
    );
    let mine = || must("nft", &["list", "table", "inet", "mine"]);
    let before = mine();
    web("-p 8080:80");
    cell("rm web").ok();
    cell("network rm bridge").ok();
    assert_eq!(mine(), before);
    must("nft", &["delete", "table", "inet", "mine"]);
}

fn a_forward_policy_of_drop_is_named_with_the_command_that_opens_it() {
    must("nft", &["add", "table", "inet", "mine"]);
    must(
        "nft",
        &[
            "add",
            "chain",
            "inet",
            "mine",
            "forward",
            "{ type filter hook forward priority 0; policy drop; }",
        ],
    );
    let answer = cell("create --name web").exits(0);
    assert!(answer.stderr.contains("mine"), "{answer:?}");
    assert!(
        answer.stderr.contains("nft ") && answer.stderr.contains("forward"),
        "{answer:?}"
    );
    cell("rm web").ok();
    must("nft", &["delete", "table", "inet", "mine"]);
}

fn many_ports_are_published_at_once() {
    let ports: Vec<String> = (0..100).map(|n| format!("-p {}:80", 20000 + n)).collect();
    web(&ports.join(" "));
    assert_eq!(elements("map", "publish4").len(), 100);
    answered(ask(Ipv4Addr::LOCALHOST, 20000), "web");
    answered(ask(Ipv4Addr::LOCALHOST, 20099), "web");
    cell("rm web").ok();
    no_port_is_published();
}

fn resolvers_on_loopback_are_left_out() {
    let file = "/tmp/resolv.conf";
    // What the host's /etc/resolv.conf is, whatever it links to, becomes this.
    let real =
        std::fs::canonicalize("/etc/resolv.conf").unwrap_or_else(|_| "/etc/resolv.conf".into());
    if !real.exists() {
        println!("note: this machine has no /etc/resolv.conf to stand in for");
        return;
    }
    std::fs::write(
        file,
        "search example.org\nnameserver 127.0.0.53\nnameserver 198.51.100.2\nnameserver ::1\n",
    )
    .unwrap();
    sys::mount(file, &real.to_string_lossy(), "", libc::MS_BIND, "").unwrap();
    let seen = cell("run --rm alpine cat /etc/resolv.conf").ok();
    assert!(
        seen.contains("nameserver 198.51.100.2") && seen.contains("search example.org"),
        "{seen}"
    );
    assert!(
        !seen.contains("127.0.0.53") && !seen.contains("::1"),
        "{seen}"
    );
    std::fs::write(file, "nameserver 127.0.0.1\n").unwrap();
    let seen = cell("run --rm alpine cat /etc/resolv.conf").ok();
    assert!(
        seen.contains("nameserver") && !seen.contains("127.0.0.1"),
        "{seen}"
    );
    sys::umount(&real.to_string_lossy()).unwrap();
}

fn a_bridge_has_no_link_local_address_and_takes_no_advertisement() {
    cell("create --name web").ok();
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_else(|_| "0\n".to_owned());
    assert_eq!(read("/proc/sys/net/ipv6/conf/netcell0/accept_ra"), "0\n");
    let port = links()
        .into_iter()
        .find(|name| name.starts_with("nc"))
        .unwrap();
    let shown = ip_json(&["address", "show", "dev", &port]);
    assert_eq!(
        shown[0]["addr_info"].as_array().map(Vec::len),
        Some(0),
        "IPv6 chatter on a host-side port"
    );
    assert_eq!(shown[0]["group"], "28259");
    assert!(
        port.len() == 12 && port[2..].bytes().all(|b| b.is_ascii_hexdigit()),
        "{port}"
    );
    cell("rm web").ok();
}

fn the_default_network_avoids_the_hosts_routes() {
    must("ip", &["link", "add", "lan0", "type", "bridge"]);
    must("ip", &["link", "set", "lan0", "up"]);
    must("ip", &["address", "add", "172.17.5.1/24", "dev", "lan0"]);
    must("ip", &["route", "add", "172.18.0.0/15", "dev", "lan0"]);
    cell("create --name web").ok();
    let (address, prefix) = address_in("web", "eth0");
    assert_eq!(
        (address.octets()[..2].to_vec(), prefix),
        (vec![172, 20], 16),
        "{address}"
    );
    cell("rm web").ok();
    cell("network rm bridge").ok();
    must("ip", &["link", "delete", "lan0"]);
}

fn the_mtu_is_the_uplinks() {
    let _outside = Outside::new();
    must("ip", &["link", "set", "up0", "mtu", "1400"]);
    cell("create --name web").ok();
    assert_eq!(ip_json_in("web", &["link", "show", "eth0"])[0]["mtu"], 1400);
    cell("rm web").ok();
}
