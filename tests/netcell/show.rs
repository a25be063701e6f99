//! `show`, `-v` and `--dry-run`: what is, what is done, what would be done.

use crate::harness::snapshot::Snapshot;
use crate::harness::*;
use crate::tests;
use std::fs;
use std::net::TcpListener;

pub const TESTS: &[runner::Test] = tests![
    it_shows_links_addresses_routes_and_listening_sockets,
    it_shows_neighbours_and_chains_with_their_rules,
    it_fits_80_columns,
    it_is_said_as_json_too,
    without_a_name_it_shows_the_host,
    it_needs_nothing_in_the_image_and_no_program_on_the_host,
    verbose_prints_each_operation_as_it_is_done,
    dry_run_prints_a_script_and_changes_nothing,
    dry_run_fails_as_the_real_command_does,
    no_other_program_is_ever_executed,
    its_own_table_of_routes_and_rules_is_not_the_hosts,
];

fn it_shows_links_addresses_routes_and_listening_sockets() {
    cell("run -d --name web alpine httpd -f -p 8123 -h /www").ok();
    wait_for_port(&pin("web"), 8123);
    let shown = cell("show web").quiet();
    let (address, prefix) = address_in("web", "eth0");
    let link = ip_json_in("web", &["link", "show", "eth0"])[0].clone();
    let gateway = ip_json_in("web", &["route", "show", "default"])[0]["gateway"].clone();
    for word in [
        "lo",
        "127.0.0.1/8",
        "::1/128",
        "eth0",
        &format!("{address}/{prefix}"),
        link["address"].as_str().unwrap(),
        "default",
        gateway.as_str().unwrap(),
        "8123",
    ] {
        assert!(shown.contains(word), "{word} is not in:\n{shown}");
    }
    cell("stop -t 0 web").ok();
    let shown = cell("show web").quiet();
    assert!(shown.contains("eth0") && !shown.contains("8123"), "{shown}");
    cell("rm web").ok();
}

fn it_shows_neighbours_and_chains_with_their_rules() {
    cell("create --name web -p 8080:80").ok();
    cell("create --name other").ok();
    serve_in(&pin("web"), 80, "web");
    let (web, _) = address_in("web", "eth0");
    answered(in_netns(pin("other"), || ask(web, 80)), "web");
    in_netns(pin("other"), || {
        must("nft", &["add", "table", "ip", "empty"]);
        must("nft", &["add", "table", "inet", "mine"]);
        must(
            "nft",
            &[
                "add",
                "chain",
                "inet",
                "mine",
                "c",
                "{ type filter hook input priority 5; policy drop; }",
            ],
        );
        for _ in 0..3 {
            must("nft", &["add", "rule", "inet", "mine", "c", "accept"]);
        }
    });
    let page = cell("show other").ok();
    let mac = ip_json_in("web", &["link", "show", "eth0"])[0]["address"].clone();
    for line in [
        format!("  {web} dev eth0 {} reachable", mac.as_str().unwrap()),
        "  table ip empty".to_owned(),
        "  table inet mine".to_owned(),
        "    chain c 3 rules, filter at input 5, policy drop".to_owned(),
    ] {
        assert!(
            page.lines().any(|other| other == line),
            "{line} is not in:\n{page}"
        );
    }
    let value = cell("show --json other").json();
    assert_eq!(value["neighbours"][0]["address"], web.to_string());
    assert_eq!(value["chains"][0]["rules"], 3);
    // The host's, as nft counts them.
    let page = cell("show").ok();
    for (family, chain) in [("inet", "forward"), ("inet", "publish"), ("bridge", "port")] {
        let objects = nft_json(&["list", "chain", family, "netcell", chain]);
        let rules = objects
            .iter()
            .filter(|object| object.get("rule").is_some())
            .count();
        assert!(
            page.contains(&format!("    chain {chain} {rules} rules")),
            "{page}"
        );
    }
    assert!(
        !cell("show web").ok().contains("table"),
        "what is the host's is not the sandbox's"
    );
    cell("rm web other").ok();
}

fn it_fits_80_columns() {
    let name = "a-name-that-is-as-long-as-names-may-be-".repeat(2)[..63].to_owned();
    netcell(&["create", "--name", &name]).ok();
    for (interface, address) in [
        (
            "a-long-ifname15",
            "fd00:1234:5678:9abc:def0:1234:5678:9abc/128",
        ),
        ("eth0", "fd00:1234:5678:9abc:def0:1234:5678:1/64"),
    ] {
        let _ = any(
            "ip",
            &["-n", &name, "link", "add", interface, "type", "bridge"],
        );
        must("ip", &["-n", &name, "link", "set", interface, "up"]);
        must(
            "ip",
            &[
                "-n", &name, "address", "add", address, "dev", interface, "nodad",
            ],
        );
    }
    must(
        "ip",
        &[
            "-n",
            &name,
            "-6",
            "route",
            "add",
            "fd00:aaaa:bbbb:cccc:dddd:eeee:ffff:1111/128",
            "via",
            "fd00:1234:5678:9abc:def0:1234:5678:9abd",
            "dev",
            "eth0",
        ],
    );
    let _held = in_netns(pin(&name), || {
        TcpListener::bind("[fd00:1234:5678:9abc:def0:1234:5678:1]:65000")
    })
    .unwrap();
    let shown = cell(&format!("show {name}")).quiet();
    for line in shown.lines() {
        assert!(
            line.chars().count() <= 80,
            "{} columns: {line}",
            line.chars().count()
        );
    }
    for word in [
        "a-long-ifname15",
        "fd00:1234:5678:9abc:def0:1234:5678:9abc/128",
        "65000",
    ] {
        assert!(shown.contains(word), "{word} is not in:\n{shown}");
    }
    cell(&format!("rm {name}")).ok();
}

fn it_is_said_as_json_too() {
    cell("create --name web").ok();
    let (address, _) = address_in("web", "eth0");
    for line in ["show web --json", "show --json web"] {
        let value = cell(line).json();
        let text = value.to_string();
        for word in ["eth0", &address.to_string(), "127.0.0.1", "::1"] {
            assert!(text.contains(word), "{word} is not in {text}");
        }
        assert!(
            value.as_object().is_some_and(|object| object.len() >= 4),
            "links, addresses, routes, sockets: {text}"
        );
    }
    cell("rm web").ok();
}

fn without_a_name_it_shows_the_host() {
    let _outside = Outside::new();
    cell("create --name web").ok();
    let shown = cell("show").quiet();
    for word in ["up0", "198.51.100.1/24", "netcell0", "default"] {
        assert!(shown.contains(word), "{word} is not in:\n{shown}");
    }
    let own = address_in("web", "eth0").0.to_string();
    assert!(
        !shown.split_whitespace().any(|word| word.starts_with(&own)),
        "{shown}"
    );
    cell("show --json").json();
    cell("rm web").ok();
}

fn it_needs_nothing_in_the_image_and_no_program_on_the_host() {
    let root = format!("{}/empty", image::IMAGES);
    fs::create_dir(&root).unwrap();
    fs::copy("/bin/busybox", format!("{root}/sleep")).unwrap();
    netcell(&["run", "-d", "--name", "web", "empty", "/sleep", "1000"]).ok();
    let mut command = netcell_command(&["show", "web"]);
    command.env("PATH", "/nowhere");
    let shown = command::finish(command, "").quiet();
    assert!(shown.contains("eth0"), "{shown}");
    cell("rm -f web").ok();
}

fn verbose_prints_each_operation_as_it_is_done() {
    let answer = cell("create -v --name web -p 8080:80").exits(0);
    let (address, prefix) = address_in("web", "eth0");
    assert_eq!(
        answer.stdout.trim_end().lines().count(),
        1,
        "the lines are no data: {answer:?}"
    );
    for word in [
        "ip netns add web",
        "ip link add",
        "type veth",
        "eth0",
        &format!("{address}/{prefix}"),
        "route add default via",
        "nft add element inet netcell publish4",
    ] {
        assert!(answer.stderr.contains(word), "{word} is not in {answer:?}");
    }
    let answer = cell("rm -v web").exits(0);
    assert!(
        answer
            .stderr
            .contains("nft delete element inet netcell publish4")
            && answer.stderr.contains("web"),
        "{answer:?}"
    );
    let answer = cell("network create -v --subnet 10.50.0.0/24 lan").exits(0);
    assert!(
        answer.stderr.contains("ip link add") && answer.stderr.contains("10.50.0.1/24"),
        "{answer:?}"
    );
    let answer = netcell(&["run", "--rm", "-v", "alpine", "true"]).exits(0);
    assert!(answer.stderr.contains("ip link add"), "{answer:?}");
}

fn dry_run_prints_a_script_and_changes_nothing() {
    cell("run -d --name old -p 9090:90 alpine sleep 1000").ok();
    cell("create --name stopped alpine sleep 1000").ok();
    cell("network create --subnet 10.50.0.0/24 lan").ok();
    let before = (
        Snapshot::take(),
        must("find", &["/run/netcell", "-printf", "%p %s %T@\n"]),
    );
    for (line, words) in [
        (
            "create --dry-run --name web -p 8080:80",
            &["ip netns add web", "ip link add", "nft add element"][..],
        ),
        (
            "run --dry-run -d --name web --network lan alpine sleep 1000",
            &["ip netns add web", "netcell1"],
        ),
        ("start --dry-run stopped", &[]),
        ("rm --dry-run -f old", &["old"]),
        (
            "network create --dry-run --subnet 10.51.0.0/24 wan",
            &["ip link add", "10.51.0.1/24"],
        ),
        ("network rm --dry-run lan", &["ip link delete", "netcell1"]),
    ] {
        let script = cell(line).quiet();
        for word in words {
            assert!(script.contains(word), "{line}: {word} is not in:\n{script}");
        }
        fs::write("/tmp/script", &script).unwrap();
        must("sh", &["-n", "/tmp/script"]);
        for command in script
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with(['#', ' ']))
        {
            let program = command.split(' ').next().unwrap();
            let known = [
                "ip",
                "bridge",
                "nft",
                "mount",
                "umount",
                "sysctl",
                "mkdir",
                "touch",
                "rm",
                "set",
                "kill",
                "unshare",
                "echo",
                "printf",
                "conntrack",
                "nsenter",
                "if",
                "cd",
                "ln",
                "exec",
                "CONTAINER",
                "cat",
                "}",
                "{",
            ];
            assert!(
                known.contains(&program) || program.starts_with("./") || command.contains('>'),
                "{line}: {command}"
            );
        }
        let after = (
            Snapshot::take(),
            must("find", &["/run/netcell", "-printf", "%p %s %T@\n"]),
        );
        assert!(
            before.0.differences(&after.0).is_empty(),
            "{line}: {:?}",
            before.0.differences(&after.0)
        );
    }
    cell("rm -f old stopped").ok();
}

fn dry_run_fails_as_the_real_command_does() {
    cell("create --name web -p 8080:80").ok();
    cell("create --dry-run --name web").refused(1, &["web", "in use"]);
    cell("create --dry-run --name other -p 8080:80").refused(1, &["8080"]);
    cell("create --dry-run --name other --network nosuch").refused(1, &["nosuch"]);
    cell("run --dry-run --name other nosuch true").refused(125, &["nosuch"]);
    cell("rm --dry-run nosuch").refused(1, &["nosuch"]);
    cell("rm web").ok();
}

fn no_other_program_is_ever_executed() {
    let binary = boxes::BINARY;
    let trace = "/tmp/trace";
    for line in [
        "create --name web -p 8080:80",
        "rm web",
        "network create --subnet 10.50.0.0/24 lan",
        "network rm lan",
        "run --rm alpine true",
        "show",
    ] {
        let words: Vec<&str> = [
            "-f",
            "-qq",
            "-e",
            "trace=execve,execveat",
            "-o",
            trace,
            binary,
        ]
        .into_iter()
        .chain(line.split(' '))
        .collect();
        let mut command = std::process::Command::new("strace");
        command.args(&words).env("NETCELL_IMAGES", image::IMAGES);
        command::finish(command, "").ok();
        let text = fs::read_to_string(trace).unwrap();
        for call in text
            .lines()
            .filter(|call| call.contains("execve") && call.contains("= 0"))
        {
            let fine = call.contains("netcell")
                || call.contains("memfd")
                || call.contains("\"/bin/true\"")
                || call.contains("/proc/self/fd/")
                || call.contains("execveat(");
            assert!(fine, "{line}: {call}");
        }
    }
}

fn its_own_table_of_routes_and_rules_is_not_the_hosts() {
    let _outside = Outside::new();
    cell("create --name web --network none").ok();
    let shown = cell("show web").quiet();
    assert!(
        !shown.contains("up0") && !shown.contains("default") && !shown.contains("eth0"),
        "{shown}"
    );
    cell("rm web").ok();
}
