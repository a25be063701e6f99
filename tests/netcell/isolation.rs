//! What one sandbox has no other has: sockets, interfaces, routes, rules, frames, files.

use crate::harness::frames;
use crate::harness::*;
use crate::tests;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

pub const TESTS: &[runner::Test] = tests![
    a_socket_of_one_sandbox_is_invisible_in_another_and_on_the_host,
    the_same_port_can_be_bound_in_all,
    abstract_unix_sockets_are_apart,
    interfaces_routes_and_rules_of_one_never_appear_in_another,
    no_raw_frame_passes_between_networks,
    what_one_container_writes_no_other_sees,
    shared_memory_and_processes_are_apart,
    containers_of_one_network_have_addresses_and_macs_of_their_own,
];

fn two() {
    cell("run -d --name one alpine sleep 1000").ok();
    cell("run -d --name two alpine sleep 1000").ok();
}

fn a_socket_of_one_sandbox_is_invisible_in_another_and_on_the_host() {
    two();
    serve_in(&pin("one"), 7777, "one");
    answered(
        in_netns(pin("one"), || ask(Ipv4Addr::LOCALHOST, 7777)),
        "one",
    );
    let table = || std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
    let marked = |table: String| table.contains(":1E61 ");
    assert!(marked(in_netns(pin("one"), table)));
    assert!(!marked(in_netns(pin("two"), table)));
    assert!(!marked(table()));
    assert!(!marked(cell("exec two cat /proc/net/tcp").quiet()));
    for refused in [
        in_netns(pin("two"), || ask(Ipv4Addr::LOCALHOST, 7777)),
        ask(Ipv4Addr::LOCALHOST, 7777),
    ] {
        assert_eq!(
            refused.unwrap_err().kind(),
            std::io::ErrorKind::ConnectionRefused
        );
    }
    cell("rm -f one two").ok();
}

fn the_same_port_can_be_bound_in_all() {
    two();
    let bind = || TcpListener::bind("0.0.0.0:80").unwrap();
    let _held = [
        bind(),
        in_netns(pin("one"), bind),
        in_netns(pin("two"), bind),
    ];
    assert!(TcpListener::bind("0.0.0.0:80").is_err());
    cell("rm -f one two").ok();
}

fn abstract_unix_sockets_are_apart() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
    two();
    let name = || SocketAddr::from_abstract_name("secret").unwrap();
    let _listener = in_netns(pin("one"), || UnixListener::bind_addr(&name())).unwrap();
    assert!(in_netns(pin("one"), || UnixStream::connect_addr(&name())).is_ok());
    assert!(in_netns(pin("two"), || UnixStream::connect_addr(&name())).is_err());
    assert!(UnixStream::connect_addr(&name()).is_err());
    cell("rm -f one two").ok();
}

fn interfaces_routes_and_rules_of_one_never_appear_in_another() {
    two();
    let inside = |name: &str, line: &str| {
        must(
            "ip",
            &[&["-n", name][..], &line.split(' ').collect::<Vec<_>>()].concat(),
        )
    };
    inside("one", "link add mine0 type bridge");
    inside("one", "link set mine0 up");
    inside("one", "route add 10.123.0.0/16 dev mine0");
    inside("one", "rule add to 10.124.0.0/16 table 77");
    cell("create --name bare").ok();
    for line in ["add table inet mine", "add chain inet mine c"] {
        cell(&format!("exec bare nft {line}")).ok();
    }
    let all = |name: &str| {
        let run = || {
            ["link", "route", "rule"]
                .map(|what| must("ip", &[what]))
                .concat()
                + &must("nft", &["list", "ruleset"])
        };
        if name.is_empty() {
            run()
        } else {
            in_netns(pin(name), run)
        }
    };
    let marks = ["mine0", "10.123.0.0", "10.124.0.0"];
    assert!(marks.iter().all(|mark| all("one").contains(mark)));
    for other in ["two", "bare", ""] {
        assert!(
            !marks.iter().any(|mark| all(other).contains(mark)),
            "{other}"
        );
    }
    assert!(all("bare").contains("table inet mine"));
    for other in ["one", "two", ""] {
        assert!(!all(other).contains("table inet mine"), "{other}");
    }
    assert!(!all("one").contains("netcell0") && !all("two").contains("netcell0"));
    cell("rm -f one two bare").ok();
}

fn no_raw_frame_passes_between_networks() {
    cell("network create --subnet 10.50.0.0/24 lan").ok();
    cell("network create --subnet 10.51.0.0/24 wan").ok();
    for (name, network) in [
        ("one", "lan"),
        ("near", "lan"),
        ("far", "wan"),
        ("none", "bridge"),
    ] {
        cell(&format!("create --name {name} --network {network}")).ok();
    }
    let open = |name: &str| in_netns(pin(name), || sys::PacketSocket::open("eth0")).unwrap();
    let link = |name: &str| {
        ip_json_in(name, &["link", "show", "eth0"])[0]["address"]
            .as_str()
            .map(frames::mac)
            .unwrap()
    };
    let one = open("one");
    let others = ["near", "far", "none"].map(|name| (name, open(name)));
    let mark = b"a frame that stays where it is";
    // Time for whatever the start of a link sends by itself.
    let mut heard = std::collections::BTreeSet::new();
    let targets = [
        [0xff; 6],
        link("near"),
        link("far"),
        link("none"),
        [1, 0, 0x5e, 0, 0, 1],
        [1, 0x80, 0xc2, 0, 0, 0],
    ];
    for to in targets {
        one.send(&frames::ethernet(to, link("one"), 0x88b5, mark))
            .unwrap();
    }
    for (name, socket) in &others {
        while let Some(frame) = socket.receive(Duration::from_millis(200)).unwrap() {
            if frame.windows(mark.len()).any(|part| part == mark) {
                heard.insert(*name);
            }
        }
    }
    assert_eq!(
        heard.into_iter().collect::<Vec<_>>(),
        ["near"],
        "only the neighbour hears"
    );
    cell("rm one near far none").ok();
}

fn what_one_container_writes_no_other_sees() {
    two();
    for place in ["/written", "/etc/image", "/tmp/written", "/dev/shm/written"] {
        netcell(&["exec", "one", "sh", "-c", &format!("echo of-one >{place}")]).ok();
        let seen = netcell(&["exec", "two", "cat", place]);
        assert!(!seen.stdout.contains("of-one"), "{place}");
        let host = std::fs::read_to_string(format!("{}{place}", image::ALPINE)).unwrap_or_default();
        assert!(!host.contains("of-one"), "{place} in the image");
    }
    cell("exec one rm /bin/busybox").ok();
    cell("exec two true").ok();
    cell("rm -f one two").ok();
}

fn shared_memory_and_processes_are_apart() {
    two();
    let ipc = |name: &str| cell(&format!("exec {name} readlink /proc/self/ns/ipc")).quiet();
    assert_ne!(ipc("one"), ipc("two"));
    let pid = netcell(&["inspect", "one", "--format", "{{.State.Pid}}"]).quiet();
    cell(&format!("exec two kill -9 {pid}")).exits(1);
    cell("exec one true").ok();
    let list = cell("exec two ps").quiet();
    assert_eq!(list.matches("sleep 1000").count(), 1, "{list}");
    cell("rm -f one two").ok();
}

fn containers_of_one_network_have_addresses_and_macs_of_their_own() {
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..20 {
        cell(&format!("create --name box-{n}")).ok();
        let (address, _) = address_in(&format!("box-{n}"), "eth0");
        let link =
            ip_json_in(&format!("box-{n}"), &["link", "show", "eth0"])[0]["address"].to_string();
        assert!(
            seen.insert(address.to_string()) && seen.insert(link),
            "twice: {address}"
        );
    }
    serve_in(&pin("box-0"), 80, "zero");
    let (address, _) = address_in("box-0", "eth0");
    let talk = in_netns(pin("box-19"), || TcpStream::connect((address, 80)));
    assert!(talk.is_ok());
    for n in 0..20 {
        cell(&format!("rm box-{n}")).ok();
    }
}
