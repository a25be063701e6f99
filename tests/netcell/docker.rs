//! Against the real engine, as it was recorded: what Docker 20.10.24 answered to 52 lines, and the JSON it printed of five
//! objects (`tests/data/docker-*`). The differences are in lists here, each with its reason; a line that is neither in a
//! list nor answered alike fails.

use crate::harness::answers::{normal, same_sense, words};
use crate::harness::*;
use crate::tests;
use serde_json::Value;

pub const TESTS: &[runner::Test] = tests![
    the_lines_that_were_recorded_are_answered_alike.seconds(120),
    a_running_container_is_inspected_with_dockers_keys,
    a_joined_container_is_inspected_with_dockers_keys,
    a_container_of_a_users_network_is_inspected_with_dockers_keys,
    networks_are_inspected_with_dockers_keys,
];

const CASES: &str = include_str!("../data/docker-cases.txt");

/// What netcell has not yet, by the option or command that says so: compared as soon as it is there.
const NOT_BUILT: [(&str, &str); 2] = [
    ("connect", "a sandbox has one network"),
    ("disconnect", "a sandbox has one network"),
];

/// Another answer on purpose: the line, the exit code, words of stdout or stderr, and why.
const OTHERWISE: &[(&str, i32, &str, &str)] = &[
    (
        "run --rm --ip 999.1.1.1 alpine true",
        125,
        "invalid IP address: 999.1.1.1",
        "one sentence for both families",
    ),
    (
        "run --rm --ip 10.50.0.9 alpine true",
        125,
        "no configured subnet contains IP address 10.50.0.9",
        "a static address is good on the default network, too; this one is not in its subnet",
    ),
    (
        "network create --gateway 10.52.0.1 lan2",
        1,
        "invalid gateway 10.52.0.1",
        "the subnet is chosen, and named with what does not fit it",
    ),
    (
        "run --rm alpine /etc",
        126,
        "exec: \"/etc\": is a directory",
        "the kernel's errno is EACCES, the reason is said (interfaces.md A4)",
    ),
    (
        "run --rm --network none alpine ip addr",
        0,
        "inet6 ::1/128 scope host",
        "lo has ::1, too (design.md: the guide this project makes real)",
    ),
    (
        "exec web nosuchcommand",
        127,
        "exec: \"nosuchcommand\": executable file not found in $PATH",
        "127 and on stderr, as in version 29 (interfaces.md A4)",
    ),
    (
        "exec -w /nosuch web true",
        127,
        "/nosuch: No such file or directory",
        "127 and on stderr, as in version 29 (interfaces.md A4)",
    ),
    (
        "exec -u 1000 web id",
        0,
        "uid=1000",
        "the image of the tests knows user 1000, the recorded one did not",
    ),
    (
        "network create --subnet nonsense lan2",
        1,
        "invalid CIDR address: nonsense",
        "bad input ends before anybody is asked (style.md: parse, do not validate)",
    ),
    (
        "network rm lan",
        1,
        "network lan has active endpoints: web",
        "names who holds it, instead of the network's id",
    ),
    (
        "network rm bridge",
        1,
        "network bridge has active endpoints: main-container, myapp",
        "bridge is made on first use, and can be removed when nobody uses it: nothing stays on a host that netcell leaves",
    ),
    (
        "run --rm -v relative:/x alpine ls /x",
        125,
        "named volumes are not supported",
        "there are no named volumes: what is kept is a directory of the host",
    ),
    (
        "run --rm --sysctl kernel.panic=1 alpine true",
        125,
        "sysctl 'kernel.panic=1' is not allowed",
        "without the words of Docker's command-line parser around it",
    ),
    (
        "create --name web alpine",
        1,
        "names none",
        "an image is a directory, which names no command (design.md: Nouns)",
    ),
];

/// One recorded line and its answer.
#[derive(Debug, Default, Clone)]
struct Case {
    line: String,
    code: i32,
    out: Vec<String>,
    err: Vec<String>,
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in CASES.lines() {
        if let Some(line) = line.strip_prefix("$ docker ") {
            cases.push(Case {
                line: line.to_owned(),
                ..Case::default()
            });
        }
        let Some(case) = cases.last_mut() else {
            continue;
        };
        if let Some(code) = line.strip_prefix("exit ") {
            case.code = code.parse().expect("an exit code");
        } else if let Some(out) = line.strip_prefix("out: ") {
            case.out.push(out.to_owned());
        } else if let Some(err) = line.strip_prefix("err: ") {
            case.err.push(err.to_owned());
        }
    }
    cases
}

/// The objects that the recording was made with.
fn the_recorded_host() {
    cell("network create --subnet 10.50.0.0/24 lan").ok();
    cell("run -d --name myapp alpine sleep 1000").ok();
    cell("run -d --name main-container alpine httpd -f -p 80").ok();
    cell("run -d --network container:main-container --name sidecar alpine sleep 1000").ok();
    cell(
        "run -d --name web --network lan --ip 10.50.0.7 -p 8080:80 -p 127.0.0.1:8081:81/udp alpine httpd -f -p 80",
    )
    .ok();
}

fn the_lines_that_were_recorded_are_answered_alike() {
    the_recorded_host();
    let cases = cases();
    assert_eq!(cases.len(), 52);
    let (mut alike, mut otherwise, mut missing) = (0, 0, 0);
    let mut wrong = Vec::new();
    for case in &cases {
        let arguments = words(&case.line);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let got = netcell(&arguments);
        if NOT_BUILT.iter().any(|(word, _)| arguments.contains(word)) && is_missing(&got) {
            missing += 1;
            continue;
        }
        if let Some((_, code, said, _)) = OTHERWISE.iter().find(|(line, ..)| *line == case.line) {
            otherwise += 1;
            let all = format!("{}{}", got.stdout, got.stderr).to_lowercase();
            if got.code != *code || !all.contains(&said.to_lowercase()) {
                wrong.push(format!("{got:?}wanted otherwise: exit {code}, {said:?}"));
            }
            continue;
        }
        alike += 1;
        if got.code != case.code
            || normal(&got.stdout) != normal(&case.out.join("\n"))
            || !same_sense(&case.err.join("\n"), &got.stderr)
        {
            wrong.push(format!("{got:?}Docker: {case:#?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    for (line, ..) in OTHERWISE {
        assert!(
            cases.iter().any(|case| case.line == *line),
            "not recorded: {line}"
        );
    }
    println!("{alike} alike, {otherwise} otherwise on purpose, {missing} not built");
    cell("rm -f web myapp sidecar main-container").ok();
    cell("network rm lan").ok();
}

/// Whether netcell says that it has no such thing.
fn is_missing(answer: &Output) -> bool {
    [
        "it is not built",
        "not built yet",
        "is not a netcell command",
        "unknown shorthand flag",
        "Unable to find image 'relative:/x'",
    ]
    .iter()
    .any(|said| answer.stderr.contains(said))
}

/// Keys that Docker has and netcell has not, by their path, and why.
const MISSING: &[(&str, &str)] = &[
    (
        "/Driver",
        "an image is a directory: there is no storage driver",
    ),
    (
        "/GraphDriver",
        "an image is a directory: there is no storage driver",
    ),
    (
        "/ExecIDs",
        "nobody counts the commands that run in a container",
    ),
    (
        "/HostConfig/MaskedPaths",
        "the same paths, always: rootfs.rs",
    ),
    (
        "/HostConfig/ReadonlyPaths",
        "the same paths, always: rootfs.rs",
    ),
    ("/HostConfig/KernelMemory", "gone in Docker, too"),
    ("/HostConfig/KernelMemoryTCP", "gone in Docker, too"),
    ("/Config/AttachStdin", "who is attached is nobody's record"),
    ("/Config/AttachStdout", "who is attached is nobody's record"),
    ("/Config/AttachStderr", "who is attached is nobody's record"),
    ("/Config/Labels/k", "the test's container has no label"),
];

/// Keys that netcell has and Docker had not.
const MORE: &[(&str, &str)] = &[
    (
        "/HostConfig/LogConfig/Config/max-size",
        "the log's bound, always",
    ),
    (
        "/Config/ExposedPorts",
        "an empty map, so that a template can range over it",
    ),
    (
        "/NetworkSettings/Networks/bridge",
        "a joined container has its sandbox's (design.md, difference 1)",
    ),
    ("/EnableIPv4", "as version 29 has it"),
    (
        "/NetworkSettings/Networks/bridge/DNSNames",
        "as version 29 has it",
    ),
    (
        "/NetworkSettings/Networks/lan/DNSNames",
        "as version 29 has it",
    ),
    (
        "/Options/com.docker.network.bridge.enable_icc",
        "of each network",
    ),
    (
        "/Options/com.docker.network.bridge.enable_ip_masquerade",
        "of each network",
    ),
    (
        "/Options/com.docker.network.bridge.name",
        "its bridge, of each network",
    ),
    (
        "/Options/com.docker.network.driver.mtu",
        "its MTU, of each network",
    ),
    (
        "/IPAM/Config/Gateway",
        "its gateway, whether it was asked for or not",
    ),
];

/// Compares the keys of two objects, and what kind of value each has.
fn compare(path: &str, docker: &Value, own: &Value, wrong: &mut Vec<String>) {
    let known = |list: &[(&str, &str)]| list.iter().any(|(known, _)| *known == path);
    match (docker, own) {
        (Value::Object(docker), Value::Object(own)) => {
            for (key, value) in docker {
                let path = format!("{path}/{key}");
                match own.get(key) {
                    Some(own) => compare(&path, value, own, wrong),
                    None if MISSING.iter().any(|(known, _)| *known == path) => {}
                    None => wrong.push(format!("{path} is missing: {value}")),
                }
            }
            for key in own.keys().filter(|key| !docker.contains_key(*key)) {
                let path = format!("{path}/{key}");
                if !MORE.iter().any(|(known, _)| *known == path) {
                    wrong.push(format!("{path} is netcell's alone"));
                }
            }
        }
        (docker, own) => {
            let kind = |value: &Value| match value {
                Value::Null => "null",
                Value::Bool(_) => "a bool",
                Value::Number(_) => "a number",
                Value::String(_) => "a string",
                Value::Array(_) => "a list",
                Value::Object(_) => "an object",
            };
            let absent = docker.is_null() || own.is_null();
            if !absent && kind(docker) != kind(own) && !known(MORE) {
                wrong.push(format!(
                    "{path} is {}, Docker has {}",
                    kind(own),
                    kind(docker)
                ));
            }
        }
    }
}

#[track_caller]
fn alike(recorded: &str, own: &Value) {
    let docker: Value = serde_json::from_str(recorded).expect("recorded JSON");
    let docker = docker.get(0).unwrap_or(&docker).clone();
    let mut wrong = Vec::new();
    compare("", &docker, own, &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn a_running_container_is_inspected_with_dockers_keys() {
    cell("run -d --name myapp alpine sleep 1000").ok();
    alike(
        include_str!("../data/docker-inspect-running.json"),
        &cell("inspect myapp").json()[0],
    );
    cell("rm -f myapp").ok();
}

fn a_joined_container_is_inspected_with_dockers_keys() {
    cell("run -d --name main-container alpine httpd -f -p 80").ok();
    cell("run -d --network container:main-container --name sidecar alpine sleep 1000").ok();
    alike(
        include_str!("../data/docker-inspect-joined.json"),
        &cell("inspect sidecar").json()[0],
    );
    cell("rm -f sidecar main-container").ok();
}

fn a_container_of_a_users_network_is_inspected_with_dockers_keys() {
    cell("network create --subnet 10.50.0.0/24 lan").ok();
    cell("run -d --name web --network lan -p 8080:80 -p 127.0.0.1:8081:81/udp alpine sleep 1000")
        .ok();
    let own = &cell("inspect web").json()[0];
    alike(
        include_str!("../data/docker-inspect-user-network-ports.json"),
        own,
    );
    cell("rm -f web").ok();
    cell("network rm lan").ok();
}

fn networks_are_inspected_with_dockers_keys() {
    cell("network create --subnet 10.50.0.0/24 lan").ok();
    cell("create --name web --network lan").ok();
    cell("create --name myapp").ok();
    // Docker has an entry for each container, under its id.
    let one = |mut network: Value| {
        let users = network["Containers"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        network["Containers"] = users
            .into_iter()
            .next()
            .map(|(_, user)| user)
            .into_iter()
            .collect();
        network
    };
    for (name, recorded) in [
        (
            "lan",
            include_str!("../data/docker-network-inspect-lan.json"),
        ),
        (
            "bridge",
            include_str!("../data/docker-network-inspect-bridge.json"),
        ),
    ] {
        let docker: Value = serde_json::from_str(recorded).expect("recorded JSON");
        let docker = docker.get(0).unwrap_or(&docker).clone();
        let own = cell(&format!("network inspect {name}")).json()[0].clone();
        alike(&one(docker).to_string(), &one(own));
    }
    cell("rm web myapp").ok();
    cell("network rm lan").ok();
}
