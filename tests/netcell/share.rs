//! `--network container:`: several containers in one sandbox, which outlives each of them.

use crate::harness::*;
use crate::tests;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

pub const TESTS: &[runner::Test] = tests![
    a_sidecar_has_the_same_interfaces_addresses_and_files,
    members_reach_each_other_over_loopback,
    a_running_a_stopped_a_created_and_a_bare_one_can_be_joined,
    a_name_an_id_and_a_prefix_name_whom_to_join,
    joining_a_sidecar_joins_its_sandbox,
    the_sidecar_keeps_everything_when_main_is_stopped,
    the_sidecar_keeps_everything_when_main_is_killed,
    the_sidecar_keeps_everything_when_main_is_removed_and_run_again,
    a_new_main_takes_over_the_address_and_replaces_the_ports,
    a_new_main_that_asks_to_join_replaces_the_ports_too,
    a_new_main_that_cannot_start_leaves_the_ports_to_the_sandbox,
    a_takeover_with_other_sandbox_options_is_refused_and_says_which,
    a_sidecars_ports_belong_to_the_sandbox_and_go_with_the_sidecar,
    the_sandbox_goes_with_its_last_member,
    a_stopped_member_keeps_the_sandbox,
    options_that_contradict_a_join_are_refused,
    joining_nobody_or_oneself_is_refused,
    the_main_of_a_joined_sandbox_can_be_joined_after_its_removal,
    a_sandbox_that_lives_on_is_not_created_again,
];

/// A connection from the sandbox to the machine outside, which has to live through everything.
struct Connection {
    inside: TcpStream,
    outside: TcpStream,
}

impl Connection {
    fn new(world: &Outside, sandbox: &str) -> Self {
        let listener = world
            .run(|| TcpListener::bind((outside::OUTSIDE, 7000)))
            .unwrap();
        let inside = in_netns(pin(sandbox), || {
            TcpStream::connect((outside::OUTSIDE, 7000))
        })
        .unwrap();
        let outside = listener.accept().unwrap().0;
        for stream in [&inside, &outside] {
            stream
                .set_read_timeout(Some(Duration::from_secs(3)))
                .unwrap();
        }
        Connection { inside, outside }
    }

    #[track_caller]
    fn works(&mut self) {
        let mut buffer = [0; 4];
        self.inside.write_all(b"ping").unwrap();
        self.outside
            .read_exact(&mut buffer)
            .expect("the connection is dead");
        self.outside.write_all(b"pong").unwrap();
        self.inside
            .read_exact(&mut buffer)
            .expect("the connection is dead");
    }
}

/// Links, addresses and routes inside, as text.
fn inside(sandbox: &str) -> String {
    let links = ip_json_in(sandbox, &["address"]);
    let links: Vec<String> = links
        .as_array()
        .unwrap()
        .iter()
        .map(|link| {
            let addresses = link["addr_info"]
                .as_array()
                .unwrap()
                .iter()
                .map(|a| a["local"].to_string());
            format!(
                "{} {} {}",
                link["ifname"],
                link["address"],
                addresses.collect::<Vec<_>>().join(" ")
            )
        })
        .collect();
    format!("{}\n{}", links.join("\n"), ip_json_in(sandbox, &["route"]))
}

fn a_sidecar_has_the_same_interfaces_addresses_and_files() {
    cell("run -d --name main --hostname mainhost alpine sleep 1000").ok();
    cell("run -d --network container:main --name side alpine sleep 1000").ok();
    for line in [
        "readlink /proc/self/ns/net",
        "ip addr",
        "ip route",
        "cat /etc/hosts",
        "cat /etc/resolv.conf",
        "cat /etc/hostname",
        "hostname",
    ] {
        let (main, side) = (
            cell(&format!("exec main {line}")).quiet(),
            cell(&format!("exec side {line}")).quiet(),
        );
        assert_eq!(main, side, "{line}");
    }
    for name in ["mnt", "pid", "ipc"] {
        let line = format!("readlink /proc/self/ns/{name}");
        assert_ne!(
            cell(&format!("exec main {line}")).quiet(),
            cell(&format!("exec side {line}")).quiet()
        );
    }
    assert_eq!(must("ip", &["netns", "list"]).lines().count(), 1);
    cell("rm -f main side").ok();
}

fn members_reach_each_other_over_loopback() {
    cell("run -d --name main alpine httpd -f -p 127.0.0.1:80 -h /www").ok();
    cell("run -d --network container:main --name side alpine httpd -f -p 127.0.0.1:81 -h /www")
        .ok();
    wait_for_port(&pin("main"), 80);
    wait_for_port(&pin("main"), 81);
    assert_eq!(
        cell("exec side wget -q -O - http://127.0.0.1:80/").quiet(),
        "hello"
    );
    assert_eq!(
        cell("exec main wget -q -O - http://127.0.0.1:81/").quiet(),
        "hello"
    );
    cell("rm -f main side").ok();
}

fn a_running_a_stopped_a_created_and_a_bare_one_can_be_joined() {
    cell("run -d --name running alpine sleep 1000").ok();
    cell("run --name stopped alpine true").ok();
    cell("create --name created alpine sleep 1000").ok();
    cell("create --name bare").ok();
    for main in ["running", "stopped", "created", "bare"] {
        let seen = cell(&format!(
            "run --rm --network container:{main} alpine readlink /proc/self/ns/net"
        ))
        .ok();
        assert_eq!(
            seen,
            format!("net:[{}]", oracle::namespace_id(&pin(main))),
            "{main}"
        );
    }
    cell("rm -f running stopped created bare").ok();
}

fn a_name_an_id_and_a_prefix_name_whom_to_join() {
    let id = cell("run -d --name main alpine sleep 1000").ok();
    let own = format!("net:[{}]", oracle::namespace_id(&pin("main")));
    for name in ["main", &id, &id[..9]] {
        let seen = cell(&format!(
            "run --rm --network container:{name} alpine readlink /proc/self/ns/net"
        ));
        assert_eq!(seen.ok(), own);
    }
    cell("rm -f main").ok();
}

fn joining_a_sidecar_joins_its_sandbox() {
    cell("run -d --name main alpine sleep 1000").ok();
    cell("run -d --network container:main --name side alpine sleep 1000").ok();
    cell("run -d --network container:side --name third alpine sleep 1000").ok();
    assert_eq!(
        netcell(&[
            "inspect",
            "third",
            "--format",
            "{{.NetworkSettings.SandboxKey}}"
        ])
        .quiet(),
        "/run/netns/main"
    );
    cell("rm -f main side").ok();
    assert!(std::path::Path::new(&pin("main")).exists());
    cell("rm -f third").ok();
}

fn the_sidecar_keeps_everything_when_main_is_stopped() {
    let outside = Outside::new();
    cell("run -d --name main -p 8080:80 alpine sleep 1000").ok();
    cell("run -d --network container:main --name side alpine httpd -f -p 80 -h /www").ok();
    wait_for_port(&pin("main"), 80);
    let before = inside("main");
    let mut connection = Connection::new(&outside, "main");
    for line in ["stop -t 0 main", "start main"] {
        cell(line).ok();
        assert_eq!(inside("main"), before, "after {line}");
        connection.works();
        assert_eq!(
            outside.run(|| get(outside::HOST, 8080)).unwrap(),
            "hello\n",
            "after {line}"
        );
        cell("exec side wget -q -O - http://127.0.0.1/").ok();
    }
    cell("rm -f main side").ok();
}

fn the_sidecar_keeps_everything_when_main_is_killed() {
    let outside = Outside::new();
    cell("run -d --name main alpine sleep 1000").ok();
    cell("run -d --network container:main --name side alpine sleep 1000").ok();
    let before = inside("main");
    let mut connection = Connection::new(&outside, "main");
    let pid = netcell(&["inspect", "main", "--format", "{{.State.Pid}}"])
        .quiet()
        .parse()
        .unwrap();
    sys::kill(pid, libc::SIGKILL).unwrap();
    assert_eq!(cell("wait main").quiet(), "137");
    assert_eq!(inside("main"), before);
    connection.works();
    cell("start main").ok();
    assert_eq!(inside("main"), before);
    connection.works();
    cell("rm -f main side").ok();
}

fn the_sidecar_keeps_everything_when_main_is_removed_and_run_again() {
    let outside = Outside::new();
    cell("run -d --name main alpine sleep 1000").ok();
    cell("run -d --network container:main --name side alpine sleep 1000").ok();
    let before = inside("main");
    let mut connection = Connection::new(&outside, "main");
    cell("rm -f main").ok();
    assert_eq!(inside("main"), before);
    connection.works();
    assert_eq!(
        netcell(&[
            "inspect",
            "side",
            "--format",
            "{{.NetworkSettings.SandboxKey}}"
        ])
        .quiet(),
        "/run/netns/main"
    );
    let other = image::make("newer");
    netcell(&[
        "run", "-d", "--name", "main", "-e", "A=1", &other, "sleep", "2000",
    ])
    .ok();
    assert_eq!(inside("main"), before);
    connection.works();
    assert_eq!(
        cell("exec main readlink /proc/self/ns/net").quiet(),
        cell("exec side readlink /proc/self/ns/net").quiet()
    );
    cell("rm -f main side").ok();
}

fn a_new_main_takes_over_the_address_and_replaces_the_ports() {
    cell("run -d --name main -p 8080:80 alpine sleep 1000").ok();
    cell("run -d --network container:main --name side -p 9090:90 alpine sleep 1000").ok();
    serve_in(&pin("main"), 80, "eighty");
    serve_in(&pin("main"), 90, "ninety");
    let address = address_in("main", "eth0");
    cell("rm -f main").ok();
    cell("run -d --name main -p 8081:80 alpine sleep 1000").ok();
    assert_eq!(address_in("main", "eth0"), address);
    answered(ask(Ipv4Addr::LOCALHOST, 8081), "eighty");
    answered(ask(Ipv4Addr::LOCALHOST, 9090), "ninety");
    assert!(
        ask(Ipv4Addr::LOCALHOST, 8080).is_err(),
        "the old main's port still answers"
    );
    assert_eq!(cell("port main").quiet().lines().count(), 2);
    cell("rm -f main side").ok();
}

/// A sandbox `main` with port 8080, whose first member, a sandbox alone or a container, has gone.
fn main_without_a_first_member(first: &str) {
    cell(first).ok();
    cell("run -d --network container:main --name side alpine sleep 1000").ok();
    cell("rm -f main").ok();
    assert_eq!(cell("port side").quiet(), "80/tcp -> 0.0.0.0:8080");
}

fn a_new_main_that_asks_to_join_replaces_the_ports_too() {
    for (first, port) in [
        ("create --name main -p 8080:80", ""),
        ("run -d --name main -p 8080:80 alpine sleep 1000", ""),
        ("create --name main -p 8080:80", "8081:80"),
        ("create --name main -p 8080:80", "8080:81"),
    ] {
        main_without_a_first_member(first);
        let publish = match port {
            "" => String::new(),
            port => format!("-p {port} "),
        };
        cell(&format!(
            "run -d --name main --network container:main {publish}alpine sleep 1000"
        ))
        .ok();
        let ends = port.split_once(':');
        let said = ends.map(|(host, inside)| format!("{inside}/tcp -> 0.0.0.0:{host}"));
        assert_eq!(cell("port main").quiet(), said.unwrap_or_default());
        let leads = serde_json::Value::Array(elements("map", "publish4")).to_string();
        match ends {
            Some((host, _)) => assert!(leads.contains(host), "{leads}"),
            None => assert_eq!(leads, "[]"),
        }
        cell("rm -f main").ok();
        cell("rm -f side").ok();
        no_port_is_published();
        assert_eq!(leased_ports(), "");
    }
}

fn a_new_main_that_cannot_start_leaves_the_ports_to_the_sandbox() {
    main_without_a_first_member("create --name main -p 8080:80");
    cell("run -d --name main --network container:main --user nosuch alpine true")
        .refused(125, &["nosuch"]);
    assert_eq!(containers(), 1);
    assert_eq!(cell("port side").quiet(), "80/tcp -> 0.0.0.0:8080");
    assert_eq!(elements("map", "publish4").len(), 1);
    cell("rm -f side").ok();
    no_port_is_published();
    assert_eq!(leased_ports(), "");
}

/// The files of the ports that somebody has.
fn leased_ports() -> String {
    must("find", &["/run/netcell/ports", "-mindepth", "2"])
}

fn a_takeover_with_other_sandbox_options_is_refused_and_says_which() {
    cell("network create --subnet 10.60.0.0/24 lan").ok();
    cell("run -d --name main alpine sleep 1000").ok();
    cell("run -d --network container:main --name side alpine sleep 1000").ok();
    cell("rm -f main").ok();
    let before = inside("main");
    cell("run -d --name main --network lan alpine sleep 1000").refused(125, &["main", "network"]);
    cell("run -d --name main --network none alpine sleep 1000").refused(125, &["main", "network"]);
    assert_eq!(inside("main"), before);
    assert_eq!(containers(), 1);
    cell("rm -f side").ok();
}

fn a_sidecars_ports_belong_to_the_sandbox_and_go_with_the_sidecar() {
    cell("run -d --name main alpine sleep 1000").ok();
    serve_in(&pin("main"), 80, "main");
    cell("run -d --network container:main --name side -p 8080:80 alpine sleep 1000").ok();
    answered(ask(Ipv4Addr::LOCALHOST, 8080), "main");
    assert_eq!(cell("port main").quiet(), "80/tcp -> 0.0.0.0:8080");
    cell("rm -f side").ok();
    assert!(ask(Ipv4Addr::LOCALHOST, 8080).is_err());
    no_port_is_published();
    cell("create --name other -p 8080:80").ok();
    cell("rm -f main other").ok();
}

fn the_sandbox_goes_with_its_last_member() {
    cell("run -d --name main alpine sleep 1000").ok();
    cell("run -d --network container:main --name one alpine sleep 1000").ok();
    cell("create --network container:main --name two alpine sleep 1000").ok();
    for name in ["main", "one"] {
        cell(&format!("rm -f {name}")).ok();
        assert!(
            std::path::Path::new(&pin("main")).exists(),
            "gone with {name}"
        );
        address_in("main", "eth0");
    }
    cell("rm two").ok();
    assert!(!std::path::Path::new(&pin("main")).exists());
    wait_within(Duration::from_millis(100), "its link is gone", || {
        !links().iter().any(|l| l.starts_with("nc"))
    });
}

fn a_stopped_member_keeps_the_sandbox() {
    cell("run -d --name main alpine sleep 1000").ok();
    cell("stop -t 0 main").ok();
    address_in("main", "eth0");
    cell("rm main").ok();
    assert!(!std::path::Path::new(&pin("main")).exists());
}

fn options_that_contradict_a_join_are_refused() {
    cell("run -d --name main alpine sleep 1000").ok();
    cell("run -d --network container:main --hostname x --name side alpine true")
        .refused(125, &["hostname"]);
    cell("create --network container:main --name side").refused(1, &["sandbox"]);
    cell("inspect side").exits(1);
    cell("rm -f main").ok();
}

fn joining_nobody_or_oneself_is_refused() {
    cell("run --rm --network container:nosuch alpine true").refused(125, &["nosuch"]);
    cell("run --rm --network container: alpine true").exits(125);
    cell("run --rm --name self --network container:self alpine true").refused(125, &["self"]);
    assert_eq!(links(), ["lo"], "nothing was made for a join that failed");
}

fn the_main_of_a_joined_sandbox_can_be_joined_after_its_removal() {
    cell("run -d --name main alpine sleep 1000").ok();
    cell("run -d --network container:main --name side alpine sleep 1000").ok();
    cell("rm -f main").ok();
    cell("run -d --network container:main --name later alpine sleep 1000").ok();
    assert_eq!(
        cell("exec later readlink /proc/self/ns/net").quiet(),
        cell("exec side readlink /proc/self/ns/net").quiet()
    );
    cell("rm -f side later").ok();
}

fn a_sandbox_that_lives_on_is_not_created_again() {
    cell("run -d --name main -p 8080:80 alpine sleep 1000").ok();
    cell("run -d --name side --network container:main alpine sleep 1000").ok();
    cell("rm -f main").ok();
    // It would have other ports, and those that it has would be nobody's.
    cell("create --name main -p 9090:80").refused(1, &["main", "already in use"]);
    assert_eq!(elements("map", "publish4").len(), 1);
    cell("rm -f side").ok();
    cell("create --name other -p 8080:80").ok();
    cell("rm other").ok();
}
