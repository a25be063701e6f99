//! One plan, several uses: the script that it says makes what it does, it makes what is missing, it has a way on old
//! kernels, and of connections it forgets exactly those through the port that goes.

use crate::harness::inject::{Fault, Point, Role, Trace, fault_at, record};
use crate::harness::{self, *};
use crate::tests;
use serde_json::Value;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::time::Duration;

pub const TESTS: &[runner::Test] = tests![
    the_script_of_a_dry_run_makes_what_the_command_makes,
    the_scripts_of_both_ip_versions_make_what_the_commands_make,
    a_flushed_table_is_made_again_for_each_network,
    kernels_without_updates_of_timeouts_delete_a_withdrawn_port,
    what_an_old_kernel_refuses_is_said_together_with_its_age,
    a_removal_forgets_exactly_the_connections_through_its_ports,
    what_is_to_be_deleted_and_is_gone_is_asked_for_once,
    a_dry_run_settles_nothing_that_others_left,
    pins_reach_a_mount_namespace_though_somebody_made_their_directory,
    a_plan_of_six_hundred_ports_is_one_transaction,
];

/// Without what differs from one time to the next: handles, indexes, random names, counters, ages.
fn lasting(value: Value) -> Value {
    const PASSING: [&str; 6] = [
        "handle",
        "ifindex",
        "link_index",
        "link_netnsid",
        "ifname",
        "address",
    ];
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(key, _)| !PASSING.contains(&key.as_str()) && !key.ends_with("_timer"))
            .map(|(key, value)| (key, lasting(value)))
            .collect(),
        Value::Array(values) => values.into_iter().map(lasting).collect(),
        Value::String(text) if is_port(&text) => "a port".into(),
        other => other,
    }
}

/// The random name of the host's end of a pair.
fn is_port(text: &str) -> bool {
    text.len() == 12 && text.starts_with("nc") && text[2..].bytes().all(|b| b.is_ascii_hexdigit())
}

/// What there is of the host's rules, and of both ends of the links.
fn made() -> Vec<(&'static str, Value)> {
    let rules = |family| Value::Array(nft_json(&["list", "table", family, "netcell"]));
    let links = |kind| ip_json(&["link", "show", "type", kind]);
    let inside = |what: &[&str]| ip_json_in("web", what);
    vec![
        ("rules", rules("inet")),
        ("guard", rules("bridge")),
        ("bridge", links("bridge")),
        (
            "bridge's address",
            ip_json(&["address", "show", "dev", "netcell0"]),
        ),
        ("link", links("veth")),
        ("link inside", inside(&["link"])),
        ("address inside", inside(&["-4", "address"])),
        (
            "address inside",
            inside(&["-6", "address", "show", "dev", "eth0"]),
        ),
        ("routes inside", inside(&["route"])),
        ("IPv6 routes inside", inside(&["-6", "route"])),
    ]
    .into_iter()
    .map(|(what, value)| (what, lasting(value)))
    .collect()
}

fn the_script_of_a_dry_run_makes_what_the_command_makes() {
    let _outside = Outside::new();
    same_by_script(
        &["create --name web -p 8080:80 -p 198.51.100.1:53:53/udp"],
        "bridge",
    );
}

fn the_scripts_of_both_ip_versions_make_what_the_commands_make() {
    let _outside = Outside::with_ipv6();
    let subnets = "--subnet 10.50.0.0/24 --subnet fd00:50::/64 --ip-range 10.50.0.128/25";
    let ports = "-p 8080-8081:80-81,on=up0 -p [fd00:99::1]:53:53/udp -p 8082:80,from=fd00:99::/64 -p 8083:83/sctp -p 8084:84/udp";
    let options = "--ip 10.50.0.200 --mac-address 02:00:00:00:00:09";
    same_by_script(
        &[
            &format!("network create {subnets} --isolate --interface netcell0 lan"),
            &format!("create --name web --network lan {options} {ports}"),
        ],
        "lan",
    );
    same_by_script(
        &[
            &format!("network create {subnets} --internal --interface netcell0 lan"),
            "create --name web --network lan --allow-spoof",
        ],
        "lan",
    );
}

/// Runs lines that make a sandbox `web` on a network, and then what they said they would do, as scripts.
fn same_by_script(lines: &[&str], network: &str) {
    let up = || {
        wait_until("the link is up", || {
            ip_json(&["link"]).to_string().contains("forwarding")
        });
    };
    let gone = || {
        wait_until("the links are gone", || {
            !links().iter().any(|link| link.starts_with("nc"))
        });
    };
    let no_tables = || {
        for family in ["inet", "bridge"] {
            must("nft", &["delete", "table", family, "netcell"]);
        }
    };
    for (n, line) in lines.iter().enumerate() {
        let dry = line.replacen("create", "create --dry-run", 1);
        fs::write(format!("/tmp/script{n}"), cell(&dry).quiet()).unwrap();
        cell(line).ok();
    }
    up();
    let ours = made();
    cell("rm -f web").ok();
    cell(&format!("network rm {network}")).ok();
    no_tables();
    gone();
    for n in 0..lines.len() {
        must("sh", &["-e", &format!("/tmp/script{n}")]);
    }
    up();
    for ((what, ours), (_, theirs)) in ours.into_iter().zip(made()) {
        assert_eq!(ours, theirs, "{what}");
    }
    must("ip", &["netns", "delete", "web"]);
    must("ip", &["link", "delete", "netcell0"]);
    no_tables();
    gone();
}

fn a_flushed_table_is_made_again_for_each_network() {
    for name in ["one", "two"] {
        cell(&format!("network create {name}")).ok();
        cell(&format!("create --name {name}-web --network {name}")).ok();
    }
    must("nft", &["flush", "ruleset"]);
    cell("create --name again-one --network one").ok();
    assert_eq!(elements("set", "bridges").len(), 1);
    cell("create --name again-two --network two -p 8080:80").ok();
    for set in ["bridges", "siblings", "local4"] {
        assert_eq!(elements("set", set).len(), 2, "{set}");
    }
    serve_in(&pin("again-two"), 80, "again");
    answered(ask(Ipv4Addr::LOCALHOST, 8080), "again");
    cell("rm one-web two-web again-one again-two").ok();
}

/// Runs netcell on what says that it is a kernel 2.6 (personality(2), UNAME26): no timeout can be changed there.
fn on_an_old_kernel(line: &str) -> Output {
    let netcell = netcell_command(&[]);
    let mut command = std::process::Command::new("setarch");
    command.args([std::env::consts::ARCH, "--uname-2.6"]);
    command.arg(netcell.get_program()).args(line.split(' '));
    harness::command::finish(command, "")
}

fn kernels_without_updates_of_timeouts_delete_a_withdrawn_port() {
    on_an_old_kernel("create --name web -p 8080:80").ok();
    assert_eq!(elements("map", "publish4").len(), 1);
    on_an_old_kernel("rm web").ok();
    // At once: nothing has to run out.
    assert_eq!(elements("map", "publish4").len(), 0);
    on_an_old_kernel("create --name web -p 8080:80").ok();
    serve_in(&pin("web"), 80, "web");
    answered(ask(Ipv4Addr::LOCALHOST, 8080), "web");
    on_an_old_kernel("rm web").ok();
}

fn what_an_old_kernel_refuses_is_said_together_with_its_age() {
    let taken = TcpListener::bind("0.0.0.0:8080").unwrap();
    let age = "older than Linux 5.10";
    on_an_old_kernel("create --name web -p 8080:80").refused(1, &["already in use", age]);
    let said = cell("create --name web -p 8080:80").refused(1, &["already in use"]);
    assert!(!said.contains(age), "{said}");
    drop(taken);
}

/// How many UDP connections go to this port of the host.
fn tracked(port: u16) -> usize {
    let port = port.to_string();
    let found = any("conntrack", &["-L", "-p", "udp", "--orig-port-dst", &port]);
    found
        .stdout
        .lines()
        .filter(|line| line.starts_with("udp"))
        .count()
}

fn a_removal_forgets_exactly_the_connections_through_its_ports() {
    let outside = Outside::new();
    cell("create --name web -p 5353:53/udp -p 5354:54/udp").ok();
    cell("create --name other -p 5355:53/udp").ok();
    for (sandbox, port) in [("web", 53), ("web", 54), ("other", 53)] {
        serve_udp_in(&pin(sandbox), port, "here");
    }
    for port in [5353, 5354, 5355] {
        answered(outside.run(|| ask_udp(outside::HOST, port)), "here");
    }
    // Nobody answers here: it is the host's own, and stays.
    let lonely = UdpSocket::bind((outside::HOST, 0)).unwrap();
    lonely.send_to(b"?", (outside::OUTSIDE, 5353)).unwrap();
    assert_eq!([5353, 5354, 5355].map(tracked), [2, 1, 1]);
    cell("rm web").ok();
    wait_within(Duration::from_millis(500), "they are forgotten", || {
        [5353, 5354].map(tracked) == [1, 0]
    });
    assert_eq!(tracked(5355), 1);
    cell("rm other").ok();
}

/// Before Linux 6.10 a transaction of nothing but its beginning and end is never answered: netcell would wait for long.
fn what_is_to_be_deleted_and_is_gone_is_asked_for_once() {
    cell("create --name web -p 8080:80").ok();
    must("nft", &["flush", "map", "inet", "netcell", "publish4"]);
    let trace = record(&["unpublish", "web", "8080:80"]);
    assert_eq!(trace.ended, Some(sys::Ended::Code(0)), "{}", trace.output);
    // Two messages of a header (nlmsghdr) and nfgenmsg each.
    let sends = trace.calls.values().flatten();
    let sends = sends.filter(|call| call.is(libc::SYS_sendto));
    let lengths: Vec<u64> = sends.map(|call| call.arguments[2]).collect();
    let all = !lengths.is_empty() && lengths.iter().all(|length| *length > 40);
    assert!(all, "{lengths:?}");
    cell("rm web").ok();
}

/// A publish on `last` that is killed once its port is in the kernel, beside `main` and `middle` in one sandbox.
fn a_publish_died() {
    cell("create --name main").ok();
    cell("create --name last --network container:main alpine sleep 1000").ok();
    let line = ["publish", "last", "9090:90"];
    let sends = |trace: &Trace| {
        let calls = trace.calls[&Role::default()].iter();
        calls.filter(|call| call.is(libc::SYS_sendto)).count()
    };
    let last = sends(&record(&line)) - 1;
    cell("unpublish last 9090:90").ok();
    let (role, of) = (Role::default(), u64::try_from(libc::SYS_sendto).ok());
    let fault = Fault::Kill;
    let index = last;
    fault_at(
        &line,
        &Point {
            role,
            index,
            of,
            fault,
        },
    );
    assert_ne!(harness::entries("/run/netcell/intents"), [""; 0]);
}

fn a_dry_run_settles_nothing_that_others_left() {
    a_publish_died();
    let left = || harness::entries("/run/netcell/intents");
    let made = || must("nft", &["-j", "list", "ruleset"]);
    let before = (left(), made());
    // Not asked for: nobody waits, and nothing is settled.
    cell("rm --dry-run -f main").ok();
    assert!((left(), made()) == before, "settled: {:?}", left());
    let said = cell("rm --dry-run -f last");
    said.refused(1, &["last was interrupted", "dry run"]);
    cell("rename --dry-run last other").refused(1, &["last was interrupted"]);
    assert!((left(), made()) == before, "settled: {:?}", left());
    cell("rm -f last main").ok();
    assert_eq!(left(), [""; 0]);
}

fn pins_reach_a_mount_namespace_though_somebody_made_their_directory() {
    must("mount", &["--make-rshared", "/run"]);
    fs::create_dir("/run/netns").unwrap();
    cell("create --name web").ok();
    must("ip", &["-n", "web", "link"]);
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let shared = |line: &&str| line.contains(" /run/netns ") && line.contains(" shared:");
    assert!(table.lines().any(|line| shared(&line)), "{table}");
    cell("rm web").ok();
}

fn a_plan_of_six_hundred_ports_is_one_transaction() {
    let ports: String = (20_000..20_600)
        .map(|port| format!(" -p {port}:80"))
        .collect();
    cell(&format!("create --name web{ports}")).ok();
    assert_eq!(elements("map", "publish4").len(), 600);
    cell("rm web").ok();
    wait_within(Duration::from_millis(100), "they have run out", || {
        elements("map", "publish4").is_empty()
    });
}
