//! Names: sandboxes on a network find each other, and what /etc/hosts and /etc/resolv.conf say besides.

use crate::harness::boxes::STATE;
use crate::harness::inject::{Fault, Point, Role, fault_at, record};
use crate::harness::*;
use crate::tests;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

pub const TESTS: &[runner::Test] = tests![
    a_sandbox_finds_the_others_by_name_alias_and_short_id,
    the_default_network_has_names_too,
    who_comes_later_is_found_within_a_second_and_who_is_gone_is_not,
    on_a_network_of_both_ip_versions_both_addresses_are_found,
    sandboxes_of_another_network_are_not_found,
    a_sidecar_finds_whom_its_sandbox_finds,
    a_command_in_a_sandbox_alone_finds_the_others_and_is_found,
    extra_hosts_are_ones_own_and_host_gateway_is_the_host,
    files_with_extra_hosts_are_kept_up_too_and_go_with_their_last_sandbox,
    resolvers_domains_and_options_are_those_asked_for,
    options_for_the_files_are_refused_where_the_files_are_anothers,
    words_that_are_not_well_formed_are_refused,
    a_take_over_asks_for_the_same_names_and_has_a_short_id_of_its_own,
    a_host_name_that_somebody_has_leads_to_oneself,
    a_stopped_container_is_found_when_it_runs_again,
    what_a_change_costs_does_not_grow_with_the_sandboxes,
    come_and_go_leaves_the_file_as_short_as_it_was,
    a_create_killed_at_any_call_is_found_or_never_was.seconds(300),
    a_removal_killed_at_any_call_leaves_no_name.seconds(300),
    inspect_says_what_was_asked_for,
    no_container_can_take_a_lease_on_the_file_that_its_siblings_share,
    a_lease_on_the_file_holds_nobody_up_and_the_next_change_mends_it,
];

fn lan() {
    cell("network create --subnet 10.50.0.0/24 lan").ok();
}

#[track_caller]
fn run(name: &str, options: &str) -> String {
    cell(&format!(
        "run -d --name {name} --network lan {options} alpine sleep 1000"
    ))
    .ok()
}

/// Nobody answers there: what /etc/hosts does not say is known at once not to be known.
const NO_DNS: &str = "--dns 127.0.0.1";

/// The address that a container finds for a name, if a packet sent there is answered.
fn found_by(container: &str, name: &str) -> Option<String> {
    let line = format!("exec {container} ping -c 1 -W 1 {name}");
    let answer = cell(&line);
    // PING web (10.50.0.7): 56 data bytes
    let address = answer.stdout.split(['(', ')']).nth(1)?.to_owned();
    (answer.code == 0).then_some(address)
}

#[track_caller]
fn finds(container: &str, name: &str, whom: &str) {
    let address = address_in(whom, "eth0").0.to_string();
    assert_eq!(
        found_by(container, name),
        Some(address),
        "{container} looks for {name}"
    );
}

#[track_caller]
fn finds_not(container: &str, name: &str) {
    assert_eq!(
        found_by(container, name),
        None,
        "{container} looks for {name}"
    );
}

/// The file that a container has at /etc/hosts.
fn hosts_of(container: &str) -> String {
    let pid = netcell(&["inspect", container, "--format", "{{.State.Pid}}"]).quiet();
    format!("/proc/{pid}/root/etc/hosts")
}

#[track_caller]
fn hosts_in(container: &str) -> String {
    step(
        "read a container's hosts",
        fs::read_to_string(hosts_of(container)),
    )
}

/// The lines of a file that say something for others.
fn lines_for(text: &str, name: &str) -> usize {
    let says = |line: &&str| line.split(['\t', ' ']).any(|word| word == name);
    text.lines().filter(says).count()
}

fn a_sandbox_finds_the_others_by_name_alias_and_short_id() {
    lan();
    let web = run(
        "web",
        "--network-alias www --network-alias shop.example.com",
    );
    let db = run("db", &format!("--hostname db-1 {NO_DNS}"));
    for name in ["web", "www", "shop.example.com", &web[..12]] {
        finds("db", name, "web");
    }
    for name in ["db", "db-1", &db[..12]] {
        finds("web", name, "db");
    }
    // Oneself, too, and loopback stays loopback.
    finds("web", "web", "web");
    finds("db", "db-1", "db");
    assert_eq!(found_by("db", "localhost").as_deref(), Some("127.0.0.1"));
    finds_not("db", "nobody");
    cell("rm -f web db").ok();
}

fn the_default_network_has_names_too() {
    cell("run -d --name web alpine sleep 1000").ok();
    cell("run -d --name db --net-alias store alpine sleep 1000").ok();
    finds("web", "store", "db");
    finds("db", "web", "web");
    cell("rm -f web db").ok();
}

fn who_comes_later_is_found_within_a_second_and_who_is_gone_is_not() {
    lan();
    run("first", NO_DNS);
    let inode = fs::metadata(hosts_of("first")).unwrap().ino();
    for round in 0..3 {
        // A sandbox alone counts as much as a container.
        cell(&format!("create --name late-{round} --network lan")).ok();
        let begun = Instant::now();
        finds("first", &format!("late-{round}"), &format!("late-{round}"));
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
    cell("rm late-1").ok();
    finds_not("first", "late-1");
    finds("first", "late-2", "late-2");
    assert_eq!(
        fs::metadata(hosts_of("first")).unwrap().ino(),
        inode,
        "written in place"
    );
    assert_eq!(lines_for(&hosts_in("first"), "late-1"), 0);
    cell("rm late-0 late-2").ok();
    let text = hosts_in("first");
    assert_eq!(
        text.lines().filter(|line| !line.starts_with('#')).count(),
        7,
        "{text}"
    );
    cell("rm -f first").ok();
}

fn on_a_network_of_both_ip_versions_both_addresses_are_found() {
    cell("network create --subnet 10.50.0.0/24 --subnet fd00:50::/64 lan").exits(0);
    run("web", "--add-host me:host-gateway");
    run("db", NO_DNS);
    let six = |name: &str| {
        let answer = cell(&format!("exec db ping -6 -c 1 -W 1 {name}"));
        (answer.code == 0).then(|| answer.stdout.split(['(', ')']).nth(1).map(str::to_owned))
    };
    let value = ip_json_in(
        "web",
        &["-6", "address", "show", "dev", "eth0", "scope", "global"],
    );
    let address = value[0]["addr_info"][0]["local"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(address.starts_with("fd00:50:"), "{value}");
    assert_eq!(six("web"), Some(Some(address)));
    finds("db", "web", "web");
    let text = hosts_in("web");
    for line in ["10.50.0.1\tme", "fd00:50::1\tme"] {
        assert!(text.lines().any(|l| l == line), "{line} is not in:\n{text}");
    }
    cell("rm -f web").ok();
    assert_eq!(lines_for(&hosts_in("db"), "web"), 0);
    cell("rm -f db").ok();
    cell("network create --internal --subnet 10.51.0.0/24 quiet").ok();
    cell("create --network quiet --add-host me:host-gateway")
        .refused(1, &["host-gateway", "internal"]);
    cell("create --network quiet --network-alias me --name inner").ok();
    cell("rm inner").ok();
}

fn sandboxes_of_another_network_are_not_found() {
    lan();
    cell("network create --subnet 10.51.0.0/24 other").ok();
    run("web", "");
    cell("run -d --name far --network other alpine sleep 1000").ok();
    cell("run -d --name alone --network none alpine sleep 1000").ok();
    for name in ["far", "alone"] {
        assert_eq!(lines_for(&hosts_in("web"), name), 0);
    }
    assert_eq!(lines_for(&hosts_in("far"), "web"), 0);
    // Without a network one's own name still leads to oneself.
    let alone = netcell(&["exec", "alone", "sh", "-c", "grep $(hostname) /etc/hosts"]).ok();
    assert!(alone.starts_with("127.0.0.1\t"), "{alone}");
    cell("rm -f web far alone").ok();
}

fn a_sidecar_finds_whom_its_sandbox_finds() {
    lan();
    run("main", "--network-alias front");
    cell("run -d --name side --network container:main alpine sleep 1000").ok();
    run("db", "");
    finds("side", "db", "db");
    finds("side", "front", "main");
    // The sandbox keeps its name while anybody is in it.
    cell("rm -f main").ok();
    finds("db", "main", "main");
    finds("side", "db", "db");
    cell("rm -f side").ok();
    assert_eq!(lines_for(&hosts_in("db"), "main"), 0);
    cell("rm -f db").ok();
}

fn a_command_in_a_sandbox_alone_finds_the_others_and_is_found() {
    lan();
    let id = cell("create --name bare --network lan --network-alias naked --dns 127.0.0.1").ok();
    run("web", "");
    let address = address_in("web", "eth0").0.to_string();
    // The host's own C library reads it.
    let answer = cell("exec bare getent hosts web").quiet();
    assert!(answer.starts_with(&address), "{answer}");
    for name in ["bare", "naked", &id[..12]] {
        finds("web", name, "bare");
    }
    // One that has run for a while sees who comes.
    let script = "until getent hosts later; do sleep 0.05; done";
    let mut command = netcell_command(&["exec", "bare", "sh", "-c", script]);
    let waiting = step("exec", command.stdout(std::process::Stdio::piped()).spawn());
    wait_until("the command runs", || {
        !processes_with("sh -c until").is_empty()
    });
    run("later", "");
    let output = command::collect(waiting, "exec".into()).ok();
    assert!(output.contains("later"), "{output}");
    cell("rm -f bare web later").ok();
}

fn extra_hosts_are_ones_own_and_host_gateway_is_the_host() {
    lan();
    run(
        "web",
        "--add-host db.lan:198.51.100.7 --add-host six=[fd00::7] --add-host me:host-gateway",
    );
    run("plain", "");
    let text = hosts_in("web");
    for line in ["198.51.100.7\tdb.lan", "fd00::7\tsix", "10.50.0.1\tme"] {
        assert!(text.lines().any(|l| l == line), "{line} is not in:\n{text}");
    }
    assert_eq!(found_by("web", "me").as_deref(), Some("10.50.0.1"));
    let others = hosts_in("plain");
    for name in ["db.lan", "six", "me"] {
        assert_eq!(lines_for(&others, name), 0, "{others}");
    }
    cell("run -d --network none --add-host me:host-gateway alpine true")
        .refused(125, &["me:host-gateway", "none"]);
    cell("run -d --network none --network-alias me alpine true").refused(125, &["alias", "me"]);
    cell("rm -f web plain").ok();
}

fn files_with_extra_hosts_are_kept_up_too_and_go_with_their_last_sandbox() {
    lan();
    run("plain", "");
    let files = || oracle::entries(&format!("{STATE}/networks/lan/hosts")).len();
    assert_eq!(files(), 1);
    run("one", "--add-host db:198.51.100.7");
    run("two", "--add-host db:198.51.100.7");
    run("odd", "--add-host db:198.51.100.8");
    assert_eq!(files(), 3, "equal ones share a file");
    run("late", "");
    for who in ["plain", "one", "two", "odd"] {
        finds(who, "late", "late");
        finds(who, "one", "one");
    }
    cell("rm -f two late").ok();
    for who in ["plain", "one", "odd"] {
        assert_eq!(lines_for(&hosts_in(who), "late"), 0);
        assert_eq!(lines_for(&hosts_in(who), "two"), 0);
        finds(who, "odd", "odd");
    }
    cell("rm -f odd one").ok();
    assert_eq!(files(), 1);
    cell("rm -f plain").ok();
    assert_eq!(files(), 0, "nobody is left to read it");
}

fn resolvers_domains_and_options_are_those_asked_for() {
    let options = "--dns 198.51.100.53 --dns fd00::53 --dns-search lan --dns-search example.com --dns-opt ndots:2 --dns-option rotate";
    cell(&format!("run -d --name web {options} alpine sleep 1000")).ok();
    let text = cell("exec web cat /etc/resolv.conf").quiet();
    let has = |line: &str| text.lines().filter(|l| *l == line).count();
    for line in [
        "nameserver 198.51.100.53",
        "nameserver fd00::53",
        "search lan example.com",
        "options ndots:2 rotate",
    ] {
        assert_eq!(has(line), 1, "{line} is not in:\n{text}");
    }
    let servers = text.lines().filter(|line| line.starts_with("nameserver"));
    assert_eq!(servers.count(), 2, "{text}");
    cell("create --name bare --dns 198.51.100.53 --dns-search .").ok();
    let text = cell("exec bare cat /etc/resolv.conf").quiet();
    assert!(text.contains("nameserver 198.51.100.53"), "{text}");
    assert!(!text.contains("search"), "{text}");
    // It is asked there: the only packet to port 53 that leaves the sandbox goes to it.
    cell("create --name dns --network bridge").ok();
    let server = address_in("dns", "eth0").0;
    let socket = in_netns(pin("dns"), || std::net::UdpSocket::bind(("0.0.0.0", 53)));
    let socket = step("bind", socket);
    step(
        "set a timeout",
        socket.set_read_timeout(Some(Duration::from_secs(5))),
    );
    cell(&format!(
        "run -d --name asks --dns {server} alpine nslookup who.example.com"
    ))
    .ok();
    let mut question = [0; 512];
    let (length, _) = step("be asked", socket.recv_from(&mut question));
    let text = String::from_utf8_lossy(&question[..length]).into_owned();
    assert!(text.contains("example"), "{text}");
    cell("rm -f web bare dns asks").ok();
}

fn options_for_the_files_are_refused_where_the_files_are_anothers() {
    lan();
    run("web", "");
    for (option, words) in [
        ("--add-host db:198.51.100.7", "custom host-to-IP mapping"),
        ("--dns 198.51.100.53", "dns and the network mode"),
        ("--dns-search lan", "dns-search"),
        ("--dns-option rotate", "dns-option"),
        ("--network-alias other", "aliases"),
    ] {
        for network in ["container:web", "host"] {
            cell(&format!("run --network {network} {option} alpine true"))
                .refused(125, &["conflicting options"]);
            cell(&format!("create --network {network} {option} alpine true"))
                .refused(1, &["conflicting options"]);
        }
        cell(&format!("run --network container:web {option} alpine true")).refused(125, &[words]);
    }
    assert_eq!(containers(), 1);
    cell("rm -f web").ok();
}

fn words_that_are_not_well_formed_are_refused() {
    for (option, words) in [
        ("--add-host=db", "bad format for add-host: \"db\""),
        (
            "--add-host=db:10.0.0.256",
            "invalid IP address in add-host: \"10.0.0.256\"",
        ),
        ("--dns=server", "server is not an ip address"),
        ("--dns-search=a/b", "a/b is not a valid domain"),
        ("--network-alias=a/b", "a/b"),
        ("--network-alias=10.0.0.1", "10.0.0.1"),
    ] {
        cell(&format!("run {option} alpine true")).refused(125, &[words]);
        cell(&format!("create {option}")).refused(1, &[words]);
    }
    let lines = "x\n198.51.100.66 bank";
    netcell(&["create", "--network-alias", lines]).exits(1);
    netcell(&["create", "--dns-option", lines]).exits(1);
    assert_eq!(links(), ["lo"]);
}

fn a_take_over_asks_for_the_same_names_and_has_a_short_id_of_its_own() {
    lan();
    let options = "--network-alias www --add-host db:198.51.100.7";
    let old = run("main", options);
    cell("run -d --name side --network container:main alpine sleep 1000").ok();
    run("other", "");
    cell("rm -f main").ok();
    let again = |options: &str| {
        cell(&format!(
            "run -d --name main --network lan {options} alpine sleep 1000"
        ))
    };
    again("").refused(125, &["main", "--network-alias", "www"]);
    again("--network-alias www").refused(125, &["main", "--add-host", "db:198.51.100.7"]);
    again(&format!("{options} --dns 198.51.100.53")).refused(125, &["main", "--dns"]);
    let new = again(options).ok();
    finds("other", &new[..12], "main");
    finds("other", "www", "main");
    // It is what the sandbox calls itself.
    finds("other", &old[..12], "main");
    let text = hosts_in("other");
    assert_eq!(lines_for(&text, "main"), 1, "{text}");
    assert!(hosts_in("main").contains("198.51.100.7\tdb"));
    cell("rm -f main side other").ok();
}

fn a_host_name_that_somebody_has_leads_to_oneself() {
    lan();
    run("one", "--hostname router");
    run("two", "--hostname router");
    run("three", "--hostname one");
    for who in ["one", "two"] {
        finds(who, "router", who);
    }
    finds("three", "one", "three");
    finds("two", "one", "one");
    cell("rm -f one two three").ok();
}

fn a_stopped_container_is_found_when_it_runs_again() {
    lan();
    run("web", "--dns 198.51.100.53");
    run("other", "");
    cell("stop -t 0 web").ok();
    cell("create --name late --network lan").ok();
    cell("start web").ok();
    finds("other", "web", "web");
    finds("web", "late", "late");
    let text = cell("exec web cat /etc/resolv.conf").quiet();
    assert!(text.contains("nameserver 198.51.100.53"), "{text}");
    cell("rm -f web other late").ok();
}

/// The system calls of a command, and of those how many write.
fn calls(line: &str) -> usize {
    let words: Vec<&str> = line.split(' ').collect();
    let trace = record(&words);
    assert_eq!(
        trace.ended,
        Some(sys::Ended::Code(0)),
        "{line}: {}",
        trace.output
    );
    trace.calls[&Role::default()].len()
}

fn what_a_change_costs_does_not_grow_with_the_sandboxes() {
    lan();
    run("first", "");
    calls("create --name warm --network lan");
    let few = calls("create --name few --network lan");
    let few_gone = calls("rm few");
    for n in 0..30 {
        cell(&format!("create --name box-{n} --network lan")).ok();
    }
    for n in 0..5 {
        run(&format!("run-{n}"), "");
    }
    let inodes: Vec<u64> = ["first", "run-0", "run-4"]
        .map(|name| fs::metadata(hosts_of(name)).unwrap().ino())
        .to_vec();
    assert!(
        inodes.iter().all(|inode| *inode == inodes[0]),
        "one file for all: {inodes:?}"
    );
    let many = calls("create --name many --network lan");
    finds("run-4", "many", "many");
    let many_gone = calls("rm many");
    // An address that is taken is probed for once more.
    assert!(
        many <= few + 8,
        "{few} calls beside 2 sandboxes, {many} beside 37"
    );
    assert!(
        many_gone <= few_gone + 8,
        "{few_gone} calls beside 2 sandboxes, {many_gone} beside 37"
    );
    for n in 0..30 {
        cell(&format!("rm -f box-{n}")).ok();
    }
    cell("rm -f run-0 run-1 run-2 run-3 run-4 first warm").ok();
}

fn come_and_go_leaves_the_file_as_short_as_it_was() {
    lan();
    run("first", "");
    cell("create --name stays --network lan").ok();
    let length = hosts_in("first").len();
    for round in 0..40 {
        cell(&format!("create --name one-{round} --network lan")).ok();
        cell(&format!("create --name two-{round} --network lan")).ok();
        cell(&format!("rm one-{round} two-{round}")).ok();
        assert_eq!(lines_for(&hosts_in("first"), "stays"), 1);
    }
    let now = hosts_in("first").len();
    assert!(now < length + 400, "{length} bytes, then {now}");
    cell("rm -f first stays").ok();
}

/// Kills a command at each of its calls; `look` says what the next command has to have made of it.
fn sweep(line: &[&str], before: &dyn Fn(), look: &dyn Fn(&Point)) {
    before();
    let whole = record(line);
    assert_eq!(whole.ended, Some(sys::Ended::Code(0)), "{}", whole.output);
    let calls = whole.calls[&Role::default()].len();
    for index in 0..calls {
        let _ = netcell(&["rm", "-f", "late"]);
        before();
        let role = Role::default();
        let point = Point {
            role,
            index,
            of: None,
            fault: Fault::Kill,
        };
        fault_at(line, &point);
        // Whatever comes by next settles it.
        cell("ps").ok();
        look(&point);
    }
    println!("note: {calls} points");
    let _ = netcell(&["rm", "-f", "late"]);
}

/// Two readers with files of their own; both say the same.
fn names_are(count: usize, point: &Point) {
    for who in ["plain", "extra"] {
        let text = hosts_in(who);
        assert_eq!(
            lines_for(&text, "late"),
            count,
            "killed at {point:?}, {who} has:\n{text}"
        );
        assert_eq!(lines_for(&text, "plain"), 1, "{text}");
    }
}

fn a_create_killed_at_any_call_is_found_or_never_was() {
    lan();
    run("plain", "");
    run("extra", "--add-host db:198.51.100.7");
    sweep(
        &["create", "--name", "late", "--network", "lan"],
        &|| (),
        &|point| {
            let exists = cell("inspect late").code == 0;
            names_are(usize::from(exists), point);
        },
    );
    cell("rm -f plain extra").ok();
}

fn a_removal_killed_at_any_call_leaves_no_name() {
    lan();
    run("plain", "");
    run("extra", "--add-host db:198.51.100.7");
    let late = || drop(netcell(&["create", "--name", "late", "--network", "lan"]));
    sweep(&["rm", "late"], &late, &|point| {
        let exists = cell("inspect late").code == 0;
        names_are(usize::from(exists), point);
    });
    cell("rm -f plain extra").ok();
}

fn inspect_says_what_was_asked_for() {
    lan();
    let options = "--network-alias www --add-host db:10.9.9.9 --dns 198.51.100.53 --dns-search lan --dns-option rotate";
    let id = run("web", options);
    let value = cell("inspect web").json()[0].clone();
    let host = &value["HostConfig"];
    assert_eq!(host["ExtraHosts"], serde_json::json!(["db:10.9.9.9"]));
    assert_eq!(host["Dns"], serde_json::json!(["198.51.100.53"]));
    assert_eq!(host["DnsSearch"], serde_json::json!(["lan"]));
    assert_eq!(host["DnsOptions"], serde_json::json!(["rotate"]));
    let network = &value["NetworkSettings"]["Networks"]["lan"];
    assert_eq!(network["Aliases"], serde_json::json!(["www"]));
    assert_eq!(
        network["DNSNames"],
        serde_json::json!(["web", "www", &id[..12]])
    );
    let path = value["HostsPath"].as_str().unwrap();
    assert_eq!(
        fs::metadata(path).unwrap().ino(),
        fs::metadata(hosts_of("web")).unwrap().ino()
    );
    cell("rm -f web").ok();
}

fn no_container_can_take_a_lease_on_the_file_that_its_siblings_share() {
    lan();
    run("web", "");
    run("other", "");
    // As root in the container would: the same user, through the container's own mount.
    let file = step("open", File::open(hosts_of("web")));
    let error = sys::lease(&file, true).expect_err("the monitor has the file open");
    assert_eq!(error.raw_os_error(), Some(libc::EAGAIN), "{error}");
    cell("rm -f web other").ok();
}

fn a_lease_on_the_file_holds_nobody_up_and_the_next_change_mends_it() {
    lan();
    run("web", "");
    let monitor = oracle::status(
        netcell(&["inspect", "web", "--format", "{{.State.Pid}}"])
            .quiet()
            .parse()
            .unwrap(),
        "PPid",
    );
    step(
        "kill the monitor",
        sys::kill(monitor.unwrap().parse().unwrap(), libc::SIGKILL),
    );
    let file = step("open", File::open(hosts_of("web")));
    wait_until("nobody else has the file open", || {
        sys::lease(&file, true).is_ok()
    });
    let begun = Instant::now();
    let answer = cell("create --name late --network lan");
    assert!(begun.elapsed() < Duration::from_secs(5), "{answer:?}");
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stderr.contains("hosts"), "{answer:?}");
    step("give the lease back", sys::lease(&file, false));
    cell("create --name later --network lan").quiet();
    for name in ["late", "later"] {
        assert_eq!(lines_for(&hosts_in("web"), name), 1);
    }
    cell("rm -f web late later").ok();
}
