//! `--dry-run` is exact: its script, run in one box, makes what the command makes in another. Compared are links,
//! addresses, routes, neighbours, rules, sysctls and mounts, of the host, in each sandbox, and in each container.

use crate::harness::*;
use crate::tests;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;

pub const TESTS: &[runner::Test] = tests![
    the_script_of_create_makes_what_it_makes.seconds(200),
    the_script_of_run_makes_what_it_makes.seconds(200),
    the_script_of_what_changes_a_sandbox_makes_what_it_makes.seconds(200),
    the_script_of_what_ends_makes_what_it_makes.seconds(200),
    the_scripts_of_networks_make_what_they_make.seconds(200),
    what_has_no_script_says_so,
];

const LAN: &str =
    "network create --subnet 10.50.0.0/24 --subnet fd00:50::/64 --ip-range 10.50.0.128/25 lan";

fn the_script_of_create_makes_what_it_makes() {
    for (setup, line) in [
        (
            "",
            "create --name web -p 8080:80 -p 198.51.100.1:53:53/udp -p 8443:443,from=10.0.0.0/8",
        ),
        (
            LAN,
            "create --name web --network lan --ip 10.50.0.200 -p 8080-8081:80-81 alpine sleep 1000",
        ),
        ("", "create --name web --network none"),
        (
            "create --name main",
            "create --name side --network container:main -p 8080:80 alpine sleep 1000",
        ),
        (
            "create --name web -p 8080:80 alpine true; create --name side --network container:web alpine true; rm web",
            "create --name web -p 8081:80 alpine sleep 1000",
        ),
    ] {
        same(setup, line);
    }
}

fn the_script_of_run_makes_what_it_makes() {
    fs::create_dir("/var/lib/box/data").expect("make a directory");
    for (setup, line) in [
        ("", "run -d --name web -p 8080:80 alpine sleep 1000"),
        (
            LAN,
            "run -d -t --name web --network lan --read-only -v /var/lib/box/data:/data:ro --tmpfs /scratch:size=64k --sysctl net.ipv4.ip_default_ttl=33 --sysctl net.ipv4.conf.IFNAME.log_martians=1 alpine sleep 1000",
        ),
        ("", "run -d --name web --privileged alpine sleep 1000"),
        ("", "run -d --name web -t / sleep 1000"),
        ("", "run -d --name web --network host alpine sleep 1000"),
        (
            "run -d --name main alpine sleep 1000",
            "run -d --name side --network container:main -p 8080:80 alpine sleep 1000",
        ),
        ("", "run --name web alpine true"),
        ("", "run --rm --name web -p 8080:80 alpine true"),
        ("", "run --rm --name web /"),
    ] {
        same(setup, line);
    }
}

fn the_script_of_what_changes_a_sandbox_makes_what_it_makes() {
    let web = "run -d --name web -p 8080:80 alpine sleep 1000";
    for line in [
        "publish web 8443:443 127.0.0.1:9090:90/udp 8444:444,on=up0",
        "unpublish web 80",
        "rename web other",
    ] {
        same(web, line);
    }
    same("create --name web alpine sleep 1000", "start web");
    same("create -t --name web alpine sleep 1000", "start web");
    same(web, "restart -t 0 web");
}

fn the_script_of_what_ends_makes_what_it_makes() {
    let web = "run -d --name web -p 8080:80 alpine sleep 1000";
    let both = "run -d --name web -p 8080:80 alpine sleep 1000; run -d --name side -p 9090:90 --network container:web alpine sleep 1000";
    for (setup, line) in [
        (web, "stop -t 1 web"),
        (both, "stop -t 0 web side"),
        (web, "kill web"),
        (web, "kill -s HUP web"),
        (web, "rm -f web"),
        ("create --name web -p 8080:80", "rm web"),
        (both, "rm -f side"),
        (both, "rm -f web"),
    ] {
        same(setup, line);
    }
}

fn the_scripts_of_networks_make_what_they_make() {
    for (setup, line) in [
        ("", LAN),
        ("", "network create --internal --isolate --mtu 1400 lan"),
        (LAN, "network rm lan"),
        (
            "network create one; network create two; create --name web --network two",
            "network prune -f",
        ),
    ] {
        same(setup, line);
    }
}

fn what_has_no_script_says_so() {
    cell("run -d --name web alpine sleep 1000").ok();
    for (line, code) in [
        ("exec --dry-run web true", 1),
        ("wait --dry-run web", 1),
        ("attach --dry-run web", 1),
    ] {
        cell(line).refused(code, &["nothing that a script could do in its place"]);
    }
    cell("rm -f web").ok();
}

/// Does a line in one box, and runs what it says that it would do in another; both are set up alike.
#[track_caller]
fn same(setup: &str, line: &str) {
    let done = in_a_box_of_its_own(setup, &|| {
        cell(line).ok();
    });
    let running = done.as_object().expect("an object").keys();
    let running = running
        .filter(|key| key.starts_with("mounts of container"))
        .count();
    let scripted = in_a_box_of_its_own(setup, &|| {
        let before = settled();
        let (command, rest) = line.split_once(' ').expect("a command and its words");
        let dry = match command {
            "network" => rest.replacen(' ', " --dry-run ", 1),
            _ => format!("--dry-run {rest}"),
        };
        let script = cell(&format!("{command} {dry}")).ok();
        let mut changed = Vec::new();
        differences("", &before, &everything(), &mut changed);
        changed.truncate(12);
        assert!(
            changed.is_empty(),
            "a dry run changes nothing: {line}:\n{}",
            changed.join("\n")
        );
        fs::write("/run/script", &script).expect("write the script");
        // Whoever watches would make again what the script takes away by hand.
        for (pid, _) in oracle::processes()
            .iter()
            .filter(|(_, name)| name == "netcell")
        {
            step("end a monitor", sys::kill(*pid, libc::SIGKILL));
        }
        let ran = any("sh", &["-e", "/run/script"]);
        assert_eq!(ran.code, 0, "{line}:\n{script}\n{ran:?}");
        // What runs in the background is not there at once.
        wait_until(&format!("{line}: as many run"), || {
            processes_with("sleep 1000").len() == running
        });
    });
    let mut wrong = Vec::new();
    differences("", &done, &scripted, &mut wrong);
    wrong.truncate(12);
    assert!(wrong.is_empty(), "{line}:\n{}", wrong.join("\n"));
}

/// Where two trees differ: what the command made, and what the script did.
fn differences(path: &str, done: &Value, scripted: &Value, wrong: &mut Vec<String>) {
    match (done, scripted) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                differences(&format!("{path}/{key}"), &done[key], &scripted[key], wrong);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}/{at}"), a, b, wrong);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            let only = |x: &[Value], y: &[Value]| -> Vec<String> {
                let only = x.iter().filter(|value| !y.contains(value));
                only.map(Value::to_string).collect()
            };
            wrong.push(format!("{path}: the command's alone: {:#?}", only(a, b)));
            wrong.push(format!("{path}: the script's alone: {:#?}", only(b, a)));
        }
        (a, b) if a != b => wrong.push(format!("{path}: {a} by the command, {b} by the script")),
        _ => {}
    }
}

/// What there is after `act`, in new network and mount namespaces, where `setup` was done before.
#[track_caller]
fn in_a_box_of_its_own(setup: &str, act: &dyn Fn()) -> Value {
    const SEEN: &str = "/var/lib/box/seen";
    let body = || {
        step(
            "leave the box",
            sys::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS),
        );
        for place in ["/run", "/tmp"] {
            step(
                "mount a tmpfs",
                sys::mount(
                    "tmpfs",
                    place,
                    "tmpfs",
                    libc::MS_NOSUID | libc::MS_NODEV,
                    "mode=755",
                ),
            );
        }
        step("mount /sys", sys::mount("sysfs", "/sys", "sysfs", 0, ""));
        fs::write("/proc/sys/net/ipv4/ip_forward", "0").expect("turn forwarding off");
        for line in [
            "link set lo up",
            "link add up0 address 02:00:00:00:00:01 type veth peer name up1 address 02:00:00:00:00:02",
            "address add 198.51.100.1/24 dev up0",
            "link set up0 addrgenmode none",
            "link set up1 addrgenmode none",
            "link set up0 up",
            "link set up1 up",
        ] {
            must("ip", &line.split(' ').collect::<Vec<_>>());
        }
        for line in setup.split("; ").filter(|line| !line.is_empty()) {
            cell(line).ok();
        }
        act();
        let seen = settled();
        for pid in processes_with("sleep 1000") {
            step("end a container", sys::kill(pid, libc::SIGKILL));
        }
        wait_until("the containers have ended", || {
            processes_with("sleep 1000").is_empty()
        });
        fs::write(SEEN, seen.to_string()).expect("write what was seen");
        0
    };
    let child = step("fork", sys::fork(body));
    loop {
        match step("wait", sys::wait_any(true)) {
            Some((pid, ended)) if pid == child => {
                assert!(ended == sys::Ended::Code(0), "a box of its own fails");
                break;
            }
            _ => {}
        }
    }
    let text = fs::read_to_string(SEEN).expect("read what was seen");
    fs::remove_file(SEEN).expect("remove what was seen");
    serde_json::from_str(&text).expect("JSON")
}

/// Everything, when nothing of it changes by itself any more: a removed sandbox goes, a link comes up.
fn settled() -> Value {
    let mut before = everything();
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(200));
        let now = everything();
        // Nothing is about to run out, either.
        if now == before && !now.to_string().contains("\"expires\"") {
            return now;
        }
        before = now;
    }
    panic!("it does not settle: {before}");
}

fn everything() -> Value {
    let mut all = Map::new();
    let mut pins = entries("/run/netns");
    pins.sort();
    look(&mut all, "host", None);
    for pin in &pins {
        look(&mut all, &format!("sandbox {pin}"), Some(pin));
    }
    all.insert("pins".into(), pins.into());
    all.insert("mounts of the host".into(), mounts("/proc/self/mountinfo"));
    let mut containers: Vec<Value> = processes_with("sleep 1000")
        .into_iter()
        .map(|pid| mounts(&format!("/proc/{pid}/mountinfo")))
        .collect();
    containers.sort_by_key(Value::to_string);
    for (number, container) in containers.into_iter().enumerate() {
        all.insert(format!("mounts of container {number}"), container);
    }
    all.into()
}

fn look(all: &mut Map<String, Value>, whose: &str, pin: Option<&str>) {
    let ask = |what: &[&str]| match pin {
        None => ip_json(what),
        Some(name) => ip_json_in(name, what),
    };
    for (what, words) in [
        ("links", &["link"][..]),
        ("addresses", &["address"]),
        ("routes", &["-4", "route", "show", "table", "all"]),
        ("IPv6 routes", &["-6", "route", "show", "table", "all"]),
        ("neighbours", &["neighbour"]),
    ] {
        all.insert(
            format!("{what} of {whose}"),
            in_no_order(lasting(ask(words))),
        );
    }
    let rules = || Value::Array(nft_json(&["list", "ruleset"]));
    let inside = || (rules(), sysctls());
    let (rules, sysctls) = match pin {
        None => inside(),
        Some(name) => in_netns(oracle::pin(name), inside),
    };
    by_table(all, whose, rules);
    all.insert(format!("sysctls of {whose}"), sysctls);
}

/// Which route was made first, and which link has the smaller index, is not part of what there is.
fn in_no_order(mut list: Value) -> Value {
    if let Some(values) = list.as_array_mut() {
        values.sort_by_key(Value::to_string);
    }
    list
}

/// The objects of each table, in order; which table was made first is not part of what there is.
fn by_table(all: &mut Map<String, Value>, whose: &str, rules: Value) {
    for object in rules.as_array().into_iter().flatten() {
        let (kind, inside) = object
            .as_object()
            .and_then(|object| object.iter().next())
            .expect("one object");
        let table = if kind == "table" { "name" } else { "table" };
        let key = format!("{} {} of {whose}", inside["family"], inside[table]);
        let list = all.entry(key).or_insert_with(|| json!([]));
        list.as_array_mut()
            .expect("a list")
            .push(lasting(object.clone()));
    }
}

/// Without what differs from one time to the next: handles, indexes, random names and what derives from them, counters.
fn lasting(value: Value) -> Value {
    const PASSING: [&str; 6] = [
        "handle",
        "ifindex",
        "link_index",
        "link_netnsid",
        "fdb_n_learned",
        "port",
    ];
    match value {
        Value::Object(map) => {
            // The MAC of a random name is random.
            let random = map
                .get("ifname")
                .and_then(Value::as_str)
                .is_some_and(is_port);
            map.into_iter()
                .filter(|(key, _)| !PASSING.contains(&key.as_str()) && !key.ends_with("_timer"))
                .filter(|(key, _)| !(random && key == "address"))
                .map(|(key, value)| (key, lasting(value)))
                .collect()
        }
        Value::Array(values) => values.into_iter().map(lasting).collect(),
        Value::String(text) if is_port(&text) => "a port".into(),
        other => other,
    }
}

/// The random name of the host's end of a pair.
fn is_port(text: &str) -> bool {
    text.len() == 12 && text.starts_with("nc") && text[2..].bytes().all(|b| b.is_ascii_hexdigit())
}

/// The settings of IP and of each link, of the namespace that this thread is in.
fn sysctls() -> Value {
    let mut all = Map::new();
    for version in ["ipv4", "ipv6"] {
        for kind in ["conf", "neigh"] {
            read_below(&format!("/proc/sys/net/{version}/{kind}"), &mut all);
        }
    }
    for file in [
        "ipv4/ip_forward",
        "ipv4/ip_unprivileged_port_start",
        "ipv4/ping_group_range",
        "ipv4/ip_default_ttl",
    ] {
        let text = fs::read_to_string(format!("/proc/sys/net/{file}"));
        all.insert(file.into(), json!(text.unwrap_or_default()));
    }
    all.into()
}

fn read_below(directory: &str, all: &mut Map<String, Value>) {
    for name in entries(directory) {
        let path = format!("{directory}/{name}");
        if Path::new(&path).is_dir() {
            let shown = if is_port(&name) { "a port" } else { &name };
            let mut below = Map::new();
            read_below(&path, &mut below);
            all.insert(format!("{directory}/{shown}"), below.into());
        } else if let Ok(text) = fs::read_to_string(&path) {
            all.insert(name, text.trim().into());
        }
    }
}

/// What is mounted, in order: root, place, options, kind, source and options of the file system; proc_pid_mountinfo(5).
/// Without what another mount covers: nobody reaches that by a path, and mount(8) does not, either.
fn mounts(table: &str) -> Value {
    let text = fs::read_to_string(table).unwrap_or_default();
    let line = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        // The namespace's own number, and where an overlay's layers are open.
        // And a file of the state directory has its sandbox's name.
        let root = match left[3].split('/').collect::<Vec<_>>()[..] {
            _ if left[3].starts_with("net:[") => "a namespace".to_owned(),
            ["", "netcell", "sandboxes", _, file] => format!("a sandbox's {file}"),
            _ => left[3].to_owned(),
        };
        let options = right.split([' ', ',']).filter(|word| {
            !["lowerdir=", "upperdir=", "workdir="]
                .iter()
                .any(|dir| word.starts_with(dir))
        });
        let options: Vec<&str> = options.collect();
        let said = format!("{root} {} {} {}", left[4], left[5], options.join(","));
        Some((left[4].to_owned(), said))
    };
    let mut open: Vec<(String, String)> = Vec::new();
    for (place, said) in text.lines().filter_map(line) {
        let below = format!("{place}/");
        open.retain(|(other, _)| *other != place && !other.starts_with(&below));
        open.push((place, said));
    }
    open.into_iter().map(|(_, said)| said).collect()
}
