//! `-p` as Docker has it, and `publish` and `unpublish` on sandboxes that live.

use crate::harness::inject::{Role, record};
use crate::harness::*;
use crate::tests;
use std::net::{Ipv4Addr, TcpListener};

pub const TESTS: &[runner::Test] = tests![
    a_port_without_a_hosts_end_gets_one_as_clients_do,
    as_many_ports_without_a_hosts_end_as_there_are_can_be_had,
    a_range_leads_to_a_range_and_a_pool_gives_its_first_free_port,
    a_thousand_ports_are_one_range,
    a_range_that_grows_in_a_file_has_each_port_once,
    a_pool_in_a_file_beside_a_port_that_stays_gives_what_create_would,
    twenty_thousand_ports_come_and_go_and_more_than_fit_are_refused.seconds(180),
    a_thousand_ports_that_are_gone_are_withdrawn_in_few_messages,
    every_spelling_of_a_port_is_understood,
    what_cannot_be_published_says_why,
    the_program_that_has_a_port_is_named,
    ports_come_and_go_on_a_live_sandbox_by_any_member,
    a_port_left_to_a_sandbox_is_withdrawn_though_its_name_is_in_another_now,
    a_conflict_is_told_before_anything_changes,
    a_member_that_goes_takes_the_ports_that_it_brought_later,
    a_removal_in_between_forgets_only_its_own_connections,
    sctp_is_published_where_the_kernel_tracks_it,
];

/// The host's ends of a sandbox's ports, in the order of `port`.
fn ends(name: &str) -> Vec<String> {
    let list = cell(&format!("port {name}")).quiet();
    list.lines().map(str::to_owned).collect()
}

fn host_port(name: &str, container: &str) -> u16 {
    let line = cell(&format!("port {name} {container}")).quiet();
    line.rsplit_once(':').unwrap().1.parse().unwrap()
}

fn a_port_without_a_hosts_end_gets_one_as_clients_do() {
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40005").unwrap();
    std::fs::write(
        "/proc/sys/net/ipv4/ip_local_reserved_ports",
        "40001,40003-40004",
    )
    .unwrap();
    cell("create --name web -p 80 -p 127.0.0.1::81").ok();
    serve_in(&pin("web"), 80, "web");
    let (one, two) = (host_port("web", "80"), host_port("web", "81"));
    for port in [one, two] {
        assert!([40000, 40002, 40005].contains(&port), "{port}");
    }
    assert_ne!(one, two);
    answered(ask(Ipv4Addr::LOCALHOST, one), "web");
    assert!(
        ends("web")
            .iter()
            .any(|line| line.starts_with("81/tcp -> 127.0.0.1:"))
    );
    // The third is a program's.
    let third = [40000, 40002, 40005]
        .into_iter()
        .find(|port| ![one, two].contains(port))
        .unwrap();
    let _held = TcpListener::bind((Ipv4Addr::UNSPECIFIED, third)).unwrap();
    cell("create --name more -p 80").refused(1, &["all host ports from 40000-40005 are taken"]);
    cell("rm web").ok();
}

fn as_many_ports_without_a_hosts_end_as_there_are_can_be_had() {
    let range = "/proc/sys/net/ipv4/ip_local_port_range";
    step("write", std::fs::write(range, "40000 43999"));
    let _held = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 41000)).unwrap();
    // By a new search for each, in which most are taken, this would take a minute.
    let started = std::time::Instant::now();
    cell("create --name web -p 1-3999").ok();
    let took = started.elapsed();
    assert!(took < std::time::Duration::from_secs(60), "{took:?}");
    assert_eq!(elements("map", "publish4").len(), 3999);
    let leased = entries("/run/netcell/ports");
    let free = |port: &u16| !leased.contains(&format!("tcp-{port}"));
    let mut all = 40_000..=43_999;
    assert_eq!(all.find(free), Some(41_000));
    assert_eq!(all.find(free), None);
    cell("create --name more -p 1").refused(1, &["all host ports from 40000-43999 are taken"]);
    cell("rm web").ok();
}

fn a_range_leads_to_a_range_and_a_pool_gives_its_first_free_port() {
    cell("create --name web -p 8000-8002:90-92 -p 9000-9002:80").ok();
    assert_eq!(
        ends("web"),
        [
            "80/tcp -> 0.0.0.0:9000",
            "90/tcp -> 0.0.0.0:8000",
            "91/tcp -> 0.0.0.0:8001",
            "92/tcp -> 0.0.0.0:8002"
        ]
    );
    serve_in(&pin("web"), 91, "web");
    answered(ask(Ipv4Addr::LOCALHOST, 8001), "web");
    let _held = TcpListener::bind("127.0.0.1:9001").unwrap();
    for (name, port) in [("two", Some(9002)), ("three", None)] {
        let answer = cell(&format!("create --name {name} -p 9000-9002:80"));
        match port {
            Some(port) => {
                answer.ok();
                assert_eq!(host_port(name, "80"), port);
            }
            None => drop(answer.refused(1, &["9000-9002"])),
        }
    }
    // Of many, too, those that are in each other's way are found, and no others.
    let [one, two] = ["127.0.0.1:7000-7020:1-21", "127.0.0.2:7000-7020:1-21"];
    cell(&format!("create --name four -p {one} -p {two}")).ok();
    assert_eq!(ends("four").len(), 42);
    cell("rm four").ok();
    cell(&format!(
        "create --name four -p {one} -p {two} -p 7020-7040:1-21"
    ))
    .refused(1, &["0.0.0.0:7020 ", "the same container"]);
    cell("create --name three -p 8000-8002:90-91").refused(1, &["90-91", "8000-8002"]);
    cell("rm web two").ok();
}

fn a_thousand_ports_are_one_range() {
    cell("network create --subnet 10.50.0.0/24 --subnet fd00:50::/64 lan").ok();
    cell("create --name web --network lan -p 20000-20999:20000-20999").ok();
    for map in ["publish4", "publish6"] {
        assert_eq!(elements("map", map).len(), 1000);
    }
    serve_all_in(&pin("web"), 20999, "web");
    answered(ask(Ipv4Addr::LOCALHOST, 20999), "web");
    cell("unpublish web 20000-20999").ok();
    assert_eq!(elements("map", "publish4").len(), 0);
    assert_eq!(entries("/run/netcell/ports"), [""; 0]);
    cell("publish web 20000-20999").exits(0);
    assert_eq!(elements("map", "publish6").len(), 1000);
    cell("rm web").ok();
    no_port_is_published();
}

fn a_range_that_grows_in_a_file_has_each_port_once() {
    let applied = |range: &str, ports: usize| {
        let line = format!("create --name web -p {range}:{range}\n");
        step("write", std::fs::write("/tmp/net.conf", line));
        let said = cell("apply /tmp/net.conf").ok();
        assert_eq!(ends("web").len(), ports, "{range}");
        assert_eq!(elements("map", "publish4").len(), ports, "{range}");
        said
    };
    applied("8010-8013", 4);
    for (range, ports) in [("8010-8015", 6), ("8008-8017", 10), ("8009-8010", 2)] {
        assert!(applied(range, ports).contains("its ports change"));
        assert_eq!(applied(range, ports), "");
    }
    cell("rm web").ok();
    no_port_is_published();
}

fn a_pool_in_a_file_beside_a_port_that_stays_gives_what_create_would() {
    let applied = |ports: &str| {
        let line = format!("create --name web {ports}\n");
        step("write", std::fs::write("/tmp/net.conf", line));
        cell("apply /tmp/net.conf").ok();
        ends("web")
    };
    for (first, then) in [
        ("-p 8080-8090:80", "-p 8080-8090:80 -p 8080-8090:81"),
        ("-p 8080:80", "-p 8080:80 -p 8080-8090:81"),
        ("-p 8080:80,on=lo", "-p 8080:80,on=lo -p 8080-8090:81"),
        // What a pool gave makes way.
        ("-p 8080-8090:80", "-p 8080:81 -p 8080-8090:80"),
        // What goes is free.
        ("-p 8080:80", "-p 8080-8090:81"),
    ] {
        applied(first);
        let changed = applied(then);
        assert_eq!(entries("/run/netcell/ports").len(), changed.len(), "{then}");
        assert_eq!(cell("apply /tmp/net.conf").quiet(), "", "{then}");
        cell("rm web").ok();
        assert_eq!(applied(then), changed);
        cell("rm web").ok();
        no_port_is_published();
    }
}

fn twenty_thousand_ports_come_and_go_and_more_than_fit_are_refused() {
    let range = "-p 10000-19999:10000-19999";
    cell(&format!("create --name big {range} {range}/udp")).ok();
    assert_eq!(elements("map", "publish4").len(), 20_000);
    // By the square of their number this would take minutes.
    let listed = netcell(&["ps", "-a", "--format", "{{.Ports}}"]).quiet();
    let range = "0.0.0.0:10000-19999->10000-19999";
    assert_eq!(listed, format!("{range}/tcp, {range}/udp"));
    let inspected = cell("inspect big").json();
    let ports = &inspected[0]["NetworkSettings"]["Ports"];
    assert_eq!(ports.as_object().map(serde_json::Map::len), Some(20_000));
    // Beside them one more is one more.
    cell("create --name web -p 8080:80").ok();
    serve_in(&pin("web"), 80, "web");
    answered(ask(Ipv4Addr::LOCALHOST, 8080), "web");
    cell("rm big").ok();
    wait_within(
        std::time::Duration::from_millis(500),
        "they have run out",
        || elements("map", "publish4").len() == 1,
    );
    assert_eq!(entries("/run/netcell/ports").len(), 1);
    let huge = "-p 10000-42767:10000-42767";
    cell(&format!("create --name huge {huge} {huge}/udp")).refused(1, &["at most 65535"]);
    cell("publish web 127.0.0.1:10000-49999:10000-49999").exits(0);
    cell("publish web 127.0.0.1:10000-49999:10000-49999/udp").refused(1, &["at most 65535"]);
    assert_eq!(entries("/run/netcell/ports").len(), 40_001);
    let started = std::time::Instant::now();
    cell("unpublish web 127.0.0.1:10000-29999:10000-29999").ok();
    let took = started.elapsed();
    println!("20,000 ports of 40,000 are withdrawn in {took:?}");
    assert!(took < std::time::Duration::from_secs(60), "{took:?}");
    assert_eq!(entries("/run/netcell/ports").len(), 20_001);
    cell("rm web").ok();
    assert_eq!(entries("/run/netcell/ports"), [""; 0], "nothing is left");
}

fn a_thousand_ports_that_are_gone_are_withdrawn_in_few_messages() {
    cell("create --name web -p 8000-8999:8000-8999").ok();
    must("nft", &["flush", "map", "inet", "netcell", "publish4"]);
    // One is there all the same, and goes with the others.
    cell("publish web 9999:99").ok();
    let trace = record(&["unpublish", "web", "8000-8999:8000-8999", "99/tcp"]);
    let own = &trace.calls[&Role::default()];
    let sent = own.iter().filter(|call| call.is(libc::SYS_sendto)).count();
    assert!(sent < 60, "{sent} messages: {}", trace.output);
    no_port_is_published();
    cell("rm web").ok();
}

fn every_spelling_of_a_port_is_understood() {
    let host = "198.51.100.1";
    must(
        "ip",
        &["address", "add", &format!("{host}/24"), "dev", "lo"],
    );
    must(
        "ip",
        &["address", "add", "fd00:99::1/64", "dev", "lo", "nodad"],
    );
    cell("network create --subnet 10.50.0.0/24 --subnet fd00:50::/64 lan").ok();
    cell("create --name web --network lan").ok();
    for (word, wanted) in [
        (
            "8080:80",
            vec!["80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080"],
        ),
        (
            "8080:80/TCP",
            vec!["80/tcp -> 0.0.0.0:8080", "80/tcp -> [::]:8080"],
        ),
        ("0.0.0.0:8080:80", vec!["80/tcp -> 0.0.0.0:8080"]),
        ("[::]:8080:80", vec!["80/tcp -> [::]:8080"]),
        (
            "198.51.100.1:8080:80/udp",
            vec!["80/udp -> 198.51.100.1:8080"],
        ),
        ("[fd00:99::1]:8080:80", vec!["80/tcp -> [fd00:99::1]:8080"]),
        ("fd00:99::1:8080:80", vec!["80/tcp -> [fd00:99::1]:8080"]),
        (
            "127.0.0.1:8080-8081:80-81",
            vec!["80/tcp -> 127.0.0.1:8080", "81/tcp -> 127.0.0.1:8081"],
        ),
        (
            "published=8080,target=80,protocol=udp,mode=host",
            vec!["80/udp -> 0.0.0.0:8080", "80/udp -> [::]:8080"],
        ),
        (
            "target=80,published=8080,host_ip=127.0.0.1,from=127.0.0.0/8",
            vec!["80/tcp -> 127.0.0.1:8080"],
        ),
        ("8080:80,from=fd00:99::/64", vec!["80/tcp -> [::]:8080"]),
    ] {
        let said = cell(&format!("publish web {word}")).ok();
        assert_eq!(said.lines().collect::<Vec<_>>(), wanted, "{word}");
        assert_eq!(ends("web"), wanted, "{word}");
        cell(&format!("unpublish web {word}")).quiet();
        assert_eq!(ends("web"), [""; 0], "{word}");
    }
    cell("rm web").ok();
    must("ip", &["address", "flush", "dev", "lo", "scope", "global"]);
}

fn what_cannot_be_published_says_why() {
    cell("create --name web -p 8080:80").ok();
    for (word, words) in [
        ("", vec!["no port specified"]),
        ("80/icmp", vec!["icmp", "sctp"]),
        ("70000:80", vec!["hostPort", "70000"]),
        ("80:0", vec!["containerPort"]),
        ("1.2.3.4.5:80:80", vec!["1.2.3.4.5"]),
        (
            "198.51.100.77:80:80",
            vec!["198.51.100.77", "not an address of this host"],
        ),
        ("[::]:80:80", vec!["::", "no IPv6 address"]),
        ("[::1]:80:80", vec!["::1", "127.0.0.1"]),
        ("80:80,colour=red", vec!["colour"]),
        ("80:80,from=10.0.0.1/8", vec!["10.0.0.0/8"]),
        ("80:80,on=a/b", vec!["a/b"]),
        ("8080:81", vec!["8080", "already allocated", "web"]),
        (
            "127.0.0.1:8080:81",
            vec!["127.0.0.1:8080", "already allocated", "web"],
        ),
        ("90:80", vec![]),
    ] {
        let answer = netcell(&["publish", "web", word]);
        match words.is_empty() {
            true => drop(answer.ok()),
            false => drop(answer.refused(1, &words)),
        }
    }
    assert_eq!(
        ends("web"),
        ["80/tcp -> 0.0.0.0:90", "80/tcp -> 0.0.0.0:8080"]
    );
    cell("publish nosuch 80").refused(1, &["nosuch"]);
    cell("unpublish web 81").refused(1, &["81", "web"]);
    cell("unpublish web 90:80 99:80").refused(1, &["99", "web"]);
    assert_eq!(ends("web").len(), 2, "nothing was changed");
    cell("create --name alone --network none").ok();
    cell("publish alone 80").refused(1, &["none"]);
    cell("run -d --name hosted --network host alpine sleep 1000").ok();
    cell("publish hosted 80").refused(1, &["hosted", "host"]);
    cell("rm -f web alone hosted").ok();
}

fn the_program_that_has_a_port_is_named() {
    let mut server = std::process::Command::new("busybox");
    server.args(["nc", "-l", "-p", "8080"]);
    let server = Background::spawn(&mut server);
    wait_for_port("/proc/self/ns/net", 8080);
    let process = format!("(process {})", server.pid());
    cell("create --name web -p 8080:80").refused(1, &["8080", "in use by", "busybox", &process]);
    drop(server);
    wait_until("the port is free", || {
        TcpListener::bind("0.0.0.0:8080").is_ok()
    });
    cell("create --name web -p 8080:80").ok();
    cell("rm web").ok();
}

fn ports_come_and_go_on_a_live_sandbox_by_any_member() {
    let outside = Outside::new();
    cell("run -d --name main -p 8080:80 alpine httpd -f -p 80 -h /www").ok();
    cell("run -d --name side --network container:main alpine sleep 1000").ok();
    wait_for_port(&pin("main"), 80);
    assert_eq!(cell("publish side 8081:80").ok(), "80/tcp -> 0.0.0.0:8081");
    cell("publish main 198.51.100.1:8082:80").ok();
    for port in [8080, 8081, 8082] {
        assert!(outside.run(|| get(outside::HOST, port)).is_ok(), "{port}");
    }
    for name in ["main", "side"] {
        assert_eq!(
            ends(name),
            [
                "80/tcp -> 0.0.0.0:8080",
                "80/tcp -> 0.0.0.0:8081",
                "80/tcp -> 198.51.100.1:8082"
            ],
            "{name}"
        );
    }
    let bindings = |name: &str| {
        cell(&format!("inspect {name}")).json()[0]["HostConfig"]["PortBindings"].to_string()
    };
    assert!(bindings("side").contains("8081") && !bindings("main").contains("8081"));
    // Either may withdraw what the other brought.
    cell("unpublish side 8080:80").ok();
    cell("unpublish main 8081:80").ok();
    assert!(outside.run(|| get(outside::HOST, 8080)).is_err());
    assert!(outside.run(|| get(outside::HOST, 8081)).is_err());
    assert!(outside.run(|| get(outside::HOST, 8082)).is_ok());
    assert!(!bindings("side").contains("8081") && !bindings("main").contains("8080"));
    // And they are free.
    cell("create --name other -p 8080:80 -p 8081:80").ok();
    cell("rm -f main side other").ok();
}

fn a_port_left_to_a_sandbox_is_withdrawn_though_its_name_is_in_another_now() {
    cell("run -d --name main -p 8080:80 alpine sleep 1000").ok();
    cell("run -d --name side --network container:main alpine sleep 1000").ok();
    cell("rm -f main").ok();
    cell("create --name other").ok();
    cell("run -d --name main --network container:other -p 8081:80 alpine sleep 1000").ok();
    // Both sandboxes have ports that something called main brought.
    cell("unpublish side 80").ok();
    assert_eq!(ends("side"), [""; 0]);
    assert_eq!(ends("other"), ["80/tcp -> 0.0.0.0:8081"]);
    assert_eq!(elements("map", "publish4").len(), 1);
    let bindings = cell("inspect main").json()[0]["HostConfig"]["PortBindings"].to_string();
    assert!(bindings.contains("8081"), "{bindings}");
    cell("create --name new -p 8080:80").ok();
    cell("rm -f main side new").ok();
    cell("rm other").ok();
}

fn a_conflict_is_told_before_anything_changes() {
    cell("create --name one -p 8080:80").ok();
    cell("create --name two").ok();
    cell("publish two 9090:80 127.0.0.1:8080:80").refused(1, &["8080", "one"]);
    assert_eq!(ends("two"), [""; 0]);
    assert_eq!(elements("map", "publish4").len(), 1);
    let dry = cell("publish --dry-run two 9090:80").quiet();
    assert!(
        dry.contains("nft add element inet netcell publish4 '{ tcp . 9090"),
        "{dry}"
    );
    assert_eq!(ends("two"), [""; 0]);
    let verbose = cell("publish -v two 9090:80").exits(0);
    assert!(verbose.stderr.contains("nft add element"), "{verbose:?}");
    cell("rm one two").ok();
}

fn a_member_that_goes_takes_the_ports_that_it_brought_later() {
    cell("run -d --name main alpine sleep 1000").ok();
    cell("run -d --name side --network container:main alpine sleep 1000").ok();
    cell("publish side 8081:80").ok();
    cell("publish main 8080:80").ok();
    cell("rm -f side").ok();
    assert_eq!(ends("main"), ["80/tcp -> 0.0.0.0:8080"]);
    cell("stop -t 0 main").ok();
    cell("start main").ok();
    assert_eq!(ends("main"), ["80/tcp -> 0.0.0.0:8080"]);
    cell("rm -f main").ok();
}

fn a_removal_in_between_forgets_only_its_own_connections() {
    let outside = Outside::new();
    cell("create --name web -p 8080:80 -p 8081:80").ok();
    let listener = in_netns(pin("web"), || TcpListener::bind("0.0.0.0:80")).unwrap();
    let connect = |port| {
        let client = outside
            .run(|| std::net::TcpStream::connect((outside::HOST, port)))
            .unwrap();
        let (server, _) = listener.accept().unwrap();
        (client, server)
    };
    let (gone, kept) = (connect(8080), connect(8081));
    cell("unpublish web 8080:80").ok();
    let talk = |(client, server): &(std::net::TcpStream, std::net::TcpStream)| {
        use std::io::{Read, Write};
        (&*client).write_all(b"on").unwrap();
        server
            .set_read_timeout(Some(std::time::Duration::from_millis(500)))
            .unwrap();
        (&*server).read(&mut [0; 2]).is_ok_and(|got| got == 2)
    };
    assert!(talk(&kept), "a connection through another port was cut");
    assert!(
        !talk(&gone),
        "a connection through a withdrawn port goes on"
    );
    drop(listener);
    cell("rm web").ok();
}

fn sctp_is_published_where_the_kernel_tracks_it() {
    cell("create --name web").ok();
    let answer = cell("publish web 3868:3868/sctp");
    if std::path::Path::new("/proc/sys/net/netfilter/nf_conntrack_sctp_timeout_established")
        .exists()
    {
        assert_eq!(answer.ok(), "3868/sctp -> 0.0.0.0:3868");
        let text = serde_json::Value::Array(elements("map", "publish4")).to_string();
        assert!(text.contains("\"sctp\",3868"), "{text}");
    } else {
        println!("note: this kernel does not track SCTP");
        answer.refused(1, &["sctp", "CONFIG_NF_CT_PROTO_SCTP"]);
    }
    cell("rm web").ok();
}
