//! `apply`: a file of command lines, and what runs made so. What is as asked stays as it is, to the process.

use crate::harness::*;
use crate::tests;
use std::fs;

pub const TESTS: &[runner::Test] = tests![
    a_file_brings_all_up_in_an_order_that_works,
    what_is_as_asked_is_not_touched,
    dry_run_says_what_would_be_done_and_does_nothing,
    a_changed_container_is_made_again_and_the_others_run_on,
    a_changed_owner_keeps_its_sandbox_and_its_members,
    a_changed_sandbox_is_made_again_with_its_members,
    a_changed_network_is_made_again_with_its_users_alone,
    ports_change_while_it_runs,
    what_has_ended_or_was_stopped_starts,
    prune_removes_what_came_from_the_file_and_nothing_else,
    each_option_that_changes_is_noticed,
    an_error_in_a_file_changes_nothing_and_has_its_place,
    what_can_be_seen_before_is_refused_before,
    ports_in_each_others_way_are_refused_before_at_the_later_one,
    thousands_of_ports_of_two_lines_are_compared_by_number.seconds(60),
    what_would_take_others_along_is_refused,
    after_an_error_half_way_the_rest_is_done_and_what_was_not_is_said,
    a_directory_is_its_files_in_order_and_stdin_is_a_file,
    variables_come_from_the_environment,
    two_at_once_do_not_meet,
    a_death_half_way_is_made_good_by_the_next_run,
    lines_may_be_long_and_many,
];

const FILE: &str = "/tmp/net.conf";

const BASE: &str = "
# Members before their owners, users before their networks.
run -d --stop-timeout 0 --name side --network container:web alpine sleep 1001
run -d --stop-timeout 0 --name web --network lan -p 8080:80 \\
    alpine sleep 1002
run -d --stop-timeout 0 --name other alpine sleep 1003
create --name lab --network lan -p 9090:90
network create lan --subnet 10.50.0.0/24
";

/// Runs apply on a file with this text.
#[track_caller]
fn apply_with(options: &[&str], text: &str) -> Output {
    fs::write(FILE, text).unwrap();
    let words: Vec<&str> = ["apply"]
        .iter()
        .chain(options)
        .chain(&[FILE])
        .copied()
        .collect();
    netcell(&words)
}

#[track_caller]
fn apply(text: &str) -> Output {
    apply_with(&[], text)
}

/// The steps, sorted where their order does not matter.
fn steps(printed: &str) -> Vec<&str> {
    let mut steps: Vec<&str> = printed.lines().collect();
    steps.sort_unstable();
    steps
}

fn inspect(name: &str, template: &str) -> String {
    netcell(&["inspect", name, "--format", template]).quiet()
}

fn id(name: &str) -> String {
    inspect(name, "{{.Id}}")
}

fn all_ids() -> Vec<String> {
    ["web", "side", "other", "lab"]
        .iter()
        .map(|name| id(name))
        .collect()
}

/// What each sleeps for tells the containers apart.
fn pid(seconds: u32) -> sys::Pid {
    let found = processes_with(&format!("sleep {seconds}"));
    assert_eq!(found.len(), 1, "sleep {seconds}");
    found[0]
}

fn clear() {
    cell("rm -f web side other lab").ok();
    cell("network rm lan").ok();
}

fn a_file_brings_all_up_in_an_order_that_works() {
    let printed = apply(BASE).ok();
    assert_eq!(
        printed,
        "+ network lan\n+ container web\n+ container side\n+ container other\n+ sandbox lab"
    );
    assert_eq!(address_in("web", "eth0").1, 24);
    assert!(
        address_in("web", "eth0")
            .0
            .to_string()
            .starts_with("10.50.0.")
    );
    assert_eq!(
        inspect("side", "{{.NetworkSettings.SandboxKey}}"),
        "/run/netns/web"
    );
    assert_eq!(elements("map", "publish4").len(), 2);
    let (web, side) = (pid(1002), pid(1001));
    let namespace = |pid| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    assert_eq!(namespace(web), namespace(side));
    clear();
}

fn what_is_as_asked_is_not_touched() {
    apply(BASE).ok();
    let before = (
        all_ids(),
        pid(1001),
        pid(1002),
        pid(1003),
        nft_json(&["list", "ruleset"]),
    );
    assert_eq!(apply(BASE).quiet(), "");
    assert_eq!(apply_with(&["--prune"], BASE).quiet(), "");
    let after = (
        all_ids(),
        pid(1001),
        pid(1002),
        pid(1003),
        nft_json(&["list", "ruleset"]),
    );
    assert!(before == after);
    // Whoever made it.
    clear();
    cell("network create --subnet 10.50.0.0/24 lan").ok();
    cell("run -d --stop-timeout 0 --name web --network lan -p 8080:80 alpine sleep 1002").ok();
    cell("run -d --stop-timeout 0 --name side --network container:web alpine sleep 1001").ok();
    let kept = (id("web"), id("side"));
    assert_eq!(
        steps(&apply(BASE).ok()),
        ["+ container other", "+ sandbox lab"]
    );
    assert_eq!((id("web"), id("side")), kept);
    clear();
}

fn dry_run_says_what_would_be_done_and_does_nothing() {
    let said = apply_with(&["--dry-run"], BASE).quiet();
    assert_eq!(
        said,
        "+ network lan\n+ container web\n+ container side\n+ container other\n+ sandbox lab"
    );
    assert_eq!(containers(), 0);
    assert!(!fs::exists("/run/netcell/networks/lan").unwrap());
    apply(BASE).ok();
    let ids = all_ids();
    let changed = BASE
        .replace("sleep 1003", "sleep 1004")
        .replace("create --name lab --network lan -p 9090:90\n", "");
    assert_eq!(
        apply_with(&["--dry-run", "--prune"], &changed).quiet(),
        "- sandbox lab\n~ container other: command differs"
    );
    assert_eq!(all_ids(), ids);
    clear();
}

fn a_changed_container_is_made_again_and_the_others_run_on() {
    apply(BASE).ok();
    let (ids, web, address) = (all_ids(), pid(1002), address_in("other", "eth0").0);
    let changed = BASE.replace("--name other alpine", "-e A=1 --user 7 --name other alpine");
    assert_eq!(
        apply(&changed).ok(),
        "~ container other: environment and user differ"
    );
    assert_eq!(inspect("other", "{{.Config.User}}"), "7");
    assert_eq!(
        (id("web"), id("side"), pid(1002)),
        (ids[0].clone(), ids[1].clone(), web)
    );
    assert_ne!(id("other"), ids[2]);
    assert_eq!(address_in("other", "eth0").0, address);
    assert_eq!(apply(&changed).quiet(), "");
    clear();
}

fn a_changed_owner_keeps_its_sandbox_and_its_members() {
    apply(BASE).ok();
    let (side, namespace, address) = (
        pid(1001),
        oracle::namespace_id(&pin("web")),
        address_in("web", "eth0").0,
    );
    let changed = BASE
        .replace("alpine sleep 1002", "alpine sleep 1005")
        .replace("8080:80", "8081:80");
    assert_eq!(apply(&changed).ok(), "~ container web: command differs");
    assert_eq!(pid(1001), side);
    assert_eq!(oracle::namespace_id(&pin("web")), namespace);
    assert_eq!(address_in("web", "eth0").0, address);
    pid(1005);
    let ports = entries("/run/netcell/ports");
    assert!(ports.contains(&"tcp-8081".to_owned()) && !ports.contains(&"tcp-8080".to_owned()));
    clear();
}

fn a_changed_sandbox_is_made_again_with_its_members() {
    apply(BASE).ok();
    let (other, lab) = (id("other"), id("lab"));
    let changed = BASE.replace("--name web", "--ip 10.50.0.77 --name web");
    assert_eq!(
        steps(&apply(&changed).ok()),
        [
            "~ container side: sandbox web differs",
            "~ container web: address differs"
        ]
    );
    assert_eq!(address_in("web", "eth0").0.to_string(), "10.50.0.77");
    assert_eq!(
        inspect("side", "{{.NetworkSettings.SandboxKey}}"),
        "/run/netns/web"
    );
    assert_eq!((id("other"), id("lab")), (other, lab));
    assert_eq!(apply(&changed).quiet(), "");
    clear();
}

fn a_changed_network_is_made_again_with_its_users_alone() {
    apply(BASE).ok();
    let other = pid(1003);
    let changed = BASE.replace("10.50.0.0/24", "10.60.0.0/24");
    assert_eq!(
        steps(&apply(&changed).ok()),
        [
            "~ container side: its network lan differs",
            "~ container web: its network lan differs",
            "~ network lan: IPv4 subnet differs",
            "~ sandbox lab: its network lan differs",
        ]
    );
    assert!(
        address_in("lab", "eth0")
            .0
            .to_string()
            .starts_with("10.60.0.")
    );
    assert_eq!(pid(1003), other);
    assert_eq!(apply(&changed).quiet(), "");
    clear();
}

fn ports_change_while_it_runs() {
    apply(BASE).ok();
    let (web, lab) = (pid(1002), id("lab"));
    let changed = BASE
        .replace("8080:80", "8081:80")
        .replace("9090:90", "9090:91")
        + "publish web 8443:443\n";
    assert_eq!(
        steps(&apply(&changed).ok()),
        [
            "> container web: its ports change",
            "> sandbox lab: its ports change"
        ]
    );
    assert_eq!((pid(1002), id("lab")), (web, lab));
    assert_eq!(
        steps(&cell("port web").ok()),
        ["443/tcp -> 0.0.0.0:8443", "80/tcp -> 0.0.0.0:8081"]
    );
    assert_eq!(cell("port lab").ok(), "91/tcp -> 0.0.0.0:9090");
    let outside = Outside::new();
    serve_in(&pin("lab"), 91, "lab");
    let seen = outside.run(|| ask(outside::HOST, 9090));
    answered(seen, "lab");
    assert_eq!(apply(&changed).quiet(), "");
    clear();
}

fn what_has_ended_or_was_stopped_starts() {
    apply(BASE).ok();
    let (web, namespace) = (id("web"), oracle::namespace_id(&pin("web")));
    cell("stop web").ok();
    cell("kill other").ok();
    wait_until("it has ended", || {
        inspect("other", "{{.State.Status}}") == "exited"
    });
    assert_eq!(
        apply(BASE).ok(),
        "> container web: it starts\n> container other: it starts"
    );
    assert_eq!(
        (id("web"), oracle::namespace_id(&pin("web"))),
        (web, namespace)
    );
    pid(1002);
    pid(1003);
    // What create made is not started, and --rm leaves nothing to start.
    let text = "create --name idle alpine sleep 1004\nrun -d --rm --name once alpine sleep 1006\n";
    assert_eq!(apply(text).ok(), "+ container idle\n+ container once");
    assert_eq!(inspect("idle", "{{.State.Status}}"), "created");
    cell("stop -t 0 once").ok();
    wait_until("it is removed", || cell("inspect once").code != 0);
    assert_eq!(apply(text).ok(), "+ container once");
    cell("rm -f idle once").ok();
    clear();
}

fn prune_removes_what_came_from_the_file_and_nothing_else() {
    apply(BASE).ok();
    cell("run -d --name hand alpine sleep 1007").ok();
    cell("network create --subnet 10.70.0.0/24 mine").ok();
    fs::write("/tmp/second.conf", "create --name second\n").unwrap();
    cell("apply /tmp/second.conf").ok();
    let less = "run -d --stop-timeout 0 --name other alpine sleep 1003\n";
    assert_eq!(apply(less).quiet(), "");
    assert_eq!(containers(), 6);
    assert_eq!(
        steps(&apply_with(&["--prune"], less).ok()),
        [
            "- container side",
            "- container web",
            "- network lan",
            "- sandbox lab"
        ]
    );
    for name in ["hand", "second", "other"] {
        id(name);
    }
    cell("network inspect mine").ok();
    assert_eq!(cell("network inspect lan").code, 1);
    // Empty is a file, too.
    assert_eq!(apply_with(&["--prune"], "").ok(), "- container other");
    cell("rm -f hand second").ok();
    cell("network rm mine").ok();
}

fn each_option_that_changes_is_noticed() {
    let base = "run -d --stop-timeout 0 --name web alpine sleep 1002";
    apply(base).ok();
    for (options, words) in [
        ("--hostname here", "host name differs"),
        ("--network none", "network differs"),
        ("--network-alias www", "name or DNS setting differs"),
        ("--mac-address 02:00:00:00:00:09", "address differs"),
        ("--allow-spoof", "address differs"),
        ("--env A=1", "environment differs"),
        ("--workdir /tmp", "working directory differs"),
        ("--label a=b", "label differs"),
        ("--read-only", "setting differs"),
        ("-i", "--interactive differs"),
        ("-t", "--tty differs"),
        ("--log-max-size 64k", "--log-max-size differs"),
    ] {
        let line = base.replace("--name web", &format!("{options} --name web"));
        let words = format!("~ container web: {words}");
        assert_eq!(apply(&line).ok(), words, "{options}");
        assert_eq!(apply(&line).quiet(), "", "{options}");
        assert_eq!(apply(base).ok(), words, "without {options}");
    }
    assert_eq!(
        apply("create --name web\n").ok(),
        "~ sandbox web: kind differs"
    );
    assert_eq!(apply(base).ok(), "~ container web: kind differs");
    cell("rm -f web").ok();
    let base = "network create lan --subnet 10.50.0.0/24";
    apply(base).ok();
    for (options, words) in [
        ("--gateway 10.50.0.9", "IPv4 subnet differs"),
        ("--ip-range 10.50.0.64/26", "IPv4 subnet differs"),
        ("--ipv6", "IPv6 subnet differs"),
        ("--internal", "--internal differs"),
        ("--no-masquerade", "masquerading differs"),
        ("--isolate", "--isolate differs"),
        ("--label a=b", "label differs"),
    ] {
        let words = format!("~ network lan: {words}");
        assert_eq!(apply(&format!("{base} {options}")).ok(), words);
        assert_eq!(apply(&format!("{base} {options}")).quiet(), "");
        assert_eq!(apply(base).ok(), words);
    }
    assert_eq!(
        apply(&format!("{base} --mtu 1400")).ok(),
        "~ network lan: MTU differs"
    );
    cell("network rm lan").ok();
}

fn an_error_in_a_file_changes_nothing_and_has_its_place() {
    for (text, words) in [
        (
            "create --name lab\nnetwork create lan --subnett 10.0.0.0/8",
            vec!["/tmp/net.conf:2:20:", "--subnett", "did you mean"],
        ),
        (
            "create --name lab\ncreate --name \\\n  'b d'",
            vec!["/tmp/net.conf:3:3:", "b d"],
        ),
        (
            "create --name lab\n  rm lab",
            vec!["/tmp/net.conf:2:3:", "'rm'"],
        ),
        (
            "create --name lab\nrun -d --name web alpine 'sleep",
            vec!["/tmp/net.conf:2:26:", "quote"],
        ),
        (
            "create --name lab\ncreate --name lab",
            vec!["/tmp/net.conf:2:15:", "lab", "before"],
        ),
        (
            "create --name lab\nnetwork create lan --subnet $NET",
            vec!["/tmp/net.conf:2:29:", "NET", "not set"],
        ),
        ("create --name lab\0", vec!["/tmp/net.conf:1:18:", "NUL"]),
        ("create --name lab & true", vec!["/tmp/net.conf:1:19:", "&"]),
    ] {
        apply(text).refused(1, &words);
        assert_eq!(containers(), 0, "{text:?}");
    }
    fs::write(FILE, b"create --name lab\n# \xff").unwrap();
    netcell(&["apply", FILE]).refused(1, &["/tmp/net.conf:2:3:", "UTF-8"]);
    fs::write(FILE, vec![b' '; (4 << 20) + 1]).unwrap();
    netcell(&["apply", FILE]).refused(1, &[FILE, "at most"]);
    cell("apply /tmp/none.conf").refused(1, &["/tmp/none.conf", "No such file"]);
    cell("apply /tmp/a /tmp/b").refused(1, &["at most 1 argument"]);
    assert_eq!(containers(), 0);
}

fn what_can_be_seen_before_is_refused_before() {
    cell("create --name held -p 7070:70").ok();
    let first = "create --name lab\n";
    for (text, words) in [
        (
            "create --name web --network lan",
            vec![":2:29:", "network lan not found"],
        ),
        (
            "create --name lab2 --network container:nobody",
            vec![":2:", "conflicting options"],
        ),
        (
            "run -d --name web --network container:nobody alpine true",
            vec![":2:", "nobody"],
        ),
        ("run -d --name web nosuch true", vec![":2:19:", "nosuch"]),
        (
            "run -d --name web --hostname -x alpine true",
            vec![":2:30:", "-x"],
        ),
        ("create --name web -p 7070:70", vec![":2:", "7070", "held"]),
        (
            "create --name aa -p 80:80\ncreate --name bb -p 80:81",
            vec![":3:", "80", "aa"],
        ),
        (
            "create --name web --network none -p 80:80",
            vec![":2:", "80"],
        ),
        (
            "run -d --name web --network host alpine true\npublish web 80:80",
            vec![":3:13:", "80:80", "the host's own network"],
        ),
        (
            "run -d --name aa --network host alpine true\nrun -d --name bb --network container:aa alpine true\npublish bb 80:80",
            vec![":4:12:", "80:80", "the host's own network"],
        ),
        ("network create bridge", vec![":2:16:", "predefined"]),
        (
            "network create lan --subnet 10.50.0.0/24\nnetwork create wan --subnet 10.50.0.0/25",
            vec![":3:29:", "overlaps"],
        ),
        (
            "network create lan --subnet 10.50.0.0/24 --gateway 10.51.0.1",
            vec![":2:52:", "gateway"],
        ),
        (
            "network create lan --subnet 10.50.0.0/24\ncreate --name web --network lan --ip 10.51.0.1",
            vec![":3:38:", "10.51.0.1"],
        ),
        (
            "network create lan --subnet 10.50.0.0/24\ncreate --name aa --network lan --ip 10.50.0.7\ncreate --name bb --network lan --ip 10.50.0.7",
            vec![":4:37:", "10.50.0.7"],
        ),
        (
            "run -d --name aa --network container:bb alpine true\nrun -d --name bb --network container:aa alpine true",
            vec!["join itself"],
        ),
        (
            "run -d --name aa --network container:aa alpine true",
            vec![":2:28:", "aa would join itself"],
        ),
        (
            "create --name aa --network aa",
            vec![":2:28:", "network aa not found"],
        ),
        (
            "run -d --name web -e FOO=nope nope sleep",
            vec![":2:31:", "image 'nope'"],
        ),
        ("run -d --name web '' sleep", vec![":2:19:", "image ''"]),
        (
            "create --name image --hostname image --network image",
            vec![":2:48:", "network image not found"],
        ),
        (
            "network create lan --subnet 10.50.0.0/24\ncreate --name address --network lan --ip 10.51.0.1",
            vec![":3:42:", "10.51.0.1"],
        ),
    ] {
        apply(&format!("{first}{text}")).refused(1, &words);
        assert_eq!(containers(), 1, "{text:?}");
        assert!(
            !fs::exists("/run/netcell/networks/lan").unwrap(),
            "{text:?}"
        );
    }
    cell("rm -f held").ok();
}

fn ports_in_each_others_way_are_refused_before_at_the_later_one() {
    let lan = "network create lan --subnet 10.50.0.0/24\n";
    let both = "network create lan --subnet 10.50.0.0/24 --ipv6\n";
    cell("create --name bare --network none").ok();
    for (start, text, words) in [
        (
            lan,
            "create --name web -p 80:81\npublish web 80:82",
            [":3:13:", "80"],
        ),
        (
            lan,
            "publish web 80:82\ncreate --name web -p 80:81",
            [":2:13:", "80"],
        ),
        (lan, "create --name web -p 80:80 -p 80:80", [":2:31:", "80"]),
        (
            lan,
            "create --name web --network lan -p 70:70 -p 80-85:80-85 -p 84:80",
            [":2:60:", "84"],
        ),
        (
            lan,
            "run -d --name web -p80:81/udp alpine true\npublish web 80:81/tcp 80:82/udp",
            [":3:23:", "80"],
        ),
        (
            lan,
            "create --name aa --network lan -p 70:80\ncreate --name bb -p 71:70 -p 70:71",
            [":3:30:", "aa has port 70"],
        ),
        (
            both,
            "create --name aa --network lan -p 70:80\ncreate --name bb --network lan -p [::]:70:71",
            [":3:35:", "aa has port 70"],
        ),
        (
            lan,
            "run -d --name web --network container:bare -p 80:80 alpine true",
            [":2:47:", "network none"],
        ),
        (
            lan,
            "create --name web -p [fd00::1]:80:80",
            [":2:22:", "no IPv6"],
        ),
    ] {
        for options in [&["--dry-run"][..], &[]] {
            apply_with(options, &format!("{start}{text}")).refused(1, &words);
            assert_eq!(containers(), 1, "{text:?}");
            assert!(
                !fs::exists("/run/netcell/networks/lan").unwrap(),
                "{text:?}"
            );
        }
    }
    // What only looks alike goes.
    let text = "create --name web -p 80:80 -p 80:80/udp -p 127.0.0.1:81:80 -p 127.0.0.2:81:80\n";
    assert_eq!(apply(text).ok(), "+ sandbox web");
    assert_eq!(apply(text).quiet(), "");
    cell("rm -f web bare").ok();
}

fn thousands_of_ports_of_two_lines_are_compared_by_number() {
    let line = |at: u8| {
        let end = format!("127.0.0.{at}:10000-49999");
        format!("create --name web{at} -p {end}:10000-49999\n")
    };
    let text = line(1) + &line(2);
    let started = std::time::Instant::now();
    apply_with(&["--dry-run"], &text).exits(0);
    let took = started.elapsed();
    println!("two lines of 40,000 ports are looked at in {took:?}");
    // By the square of their number it would take half a minute: two lines of 18,000 took seven seconds.
    assert!(took < std::time::Duration::from_secs(25), "{took:?}");
    let text = text + "create --name last -p 49999:1\n";
    apply_with(&["--dry-run"], &text).refused(1, &[":3:23:", "web1 has port 49999"]);
}

fn what_would_take_others_along_is_refused() {
    apply(BASE).ok();
    cell("create --name hand --network lan").ok();
    let ids = all_ids();
    let changed = BASE.replace("10.50.0.0/24", "10.60.0.0/24");
    apply(&changed).refused(1, &[":8:", "hand", "no line names", "network lan differs"]);
    apply_with(&["--prune"], "").refused(1, &["hand", "network lan goes"]);
    cell("rm hand").ok();
    apply_with(&["--prune"], "create --name more --network lan\n")
        .refused(1, &[":1:30:", "network lan", "--prune"]);
    cell("run -d --name hand --network container:web alpine sleep 1008").ok();
    apply(&BASE.replace("--name web", "--hostname new --name web"))
        .refused(1, &[":4:", "hand", "sandbox web"]);
    assert_eq!(all_ids(), ids);
    // A container of its own sandbox does not need it to go.
    apply(&BASE.replace("sleep 1002", "sleep 1005")).ok();
    pid(1008);
    cell("rm -f hand").ok();
    clear();
}

fn after_an_error_half_way_the_rest_is_done_and_what_was_not_is_said() {
    // A pin that is not netcell's is only seen when the sandbox is made.
    must("ip", &["netns", "add", "web"]);
    let done = apply(BASE).exits(1);
    assert_eq!(
        steps(&done.stdout),
        ["+ container other", "+ network lan", "+ sandbox lab"]
    );
    let said: Vec<&str> = done
        .stderr
        .lines()
        .filter(|line| !line.contains("ip_forward"))
        .collect();
    assert_eq!(said.len(), 3, "{done:?}");
    assert!(
        said[0].starts_with("netcell: /tmp/net.conf:4:") && said[0].contains("/run/netns/web"),
        "{done:?}"
    );
    assert!(
        said[1].contains("container side needs container web"),
        "{done:?}"
    );
    assert!(
        said[2].contains("3 of 5 steps")
            && said[2].ends_with("not: + container web, + container side"),
        "{done:?}"
    );
    must("ip", &["netns", "del", "web"]);
    assert_eq!(apply(BASE).ok(), "+ container web\n+ container side");
    clear();
}

fn a_directory_is_its_files_in_order_and_stdin_is_a_file() {
    fs::create_dir("/tmp/conf").unwrap();
    fs::write("/tmp/conf/20-web.conf", "create --name web --network lan\n").unwrap();
    fs::write(
        "/tmp/conf/10-lan.conf",
        "network create lan --subnet 10.50.0.0/24\ncreate --name lab\n",
    )
    .unwrap();
    fs::write("/tmp/conf/README", "not for apply").unwrap();
    fs::write("/tmp/conf/.hidden.conf", "neither").unwrap();
    assert_eq!(
        cell("apply /tmp/conf").ok(),
        "+ network lan\n+ sandbox lab\n+ sandbox web"
    );
    // What moves from one file of it to another is still of the directory.
    fs::write(
        "/tmp/conf/10-lan.conf",
        "network create lan --subnet 10.50.0.0/24\n",
    )
    .unwrap();
    fs::rename("/tmp/conf/20-web.conf", "/tmp/conf/99-web.conf").unwrap();
    assert_eq!(cell("apply --prune /tmp/conf/").ok(), "- sandbox lab");
    fs::write("/tmp/conf/99-web.conf", "create --nmae web\n").unwrap();
    cell("apply --prune /tmp/conf").refused(1, &["/tmp/conf/99-web.conf:1:8:"]);
    let line = "create --name web --network lan\n";
    assert_eq!(netcell_with(&["apply", "-"], line).quiet(), "");
    assert_eq!(
        netcell_with(&["apply", "-"], &format!("{line}create --name in\n")).ok(),
        "+ sandbox in"
    );
    assert_eq!(
        netcell_with(&["apply", "--prune", "-"], line).ok(),
        "- sandbox in"
    );
    netcell_with(&["apply", "-"], "x\n").refused(1, &["stdin:1:1:", "'x'"]);
    cell("rm -f web").ok();
    cell("network rm lan").ok();
}

fn variables_come_from_the_environment() {
    let text = "network create lan --subnet ${LAN:-10.50.0.0/24}\ncreate --name web --network lan -p $PORT:80\n";
    fs::write(FILE, text).unwrap();
    cell(&format!("apply {FILE}")).refused(1, &[":2:36:", "PORT"]);
    let mut command = netcell_command(&["apply", FILE]);
    command.env("PORT", "8085").env("LAN", "10.51.0.0/24");
    let status = command
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(cell("port web").ok(), "80/tcp -> 0.0.0.0:8085");
    assert!(
        address_in("web", "eth0")
            .0
            .to_string()
            .starts_with("10.51.0.")
    );
    cell("rm -f web").ok();
    cell("network rm lan").ok();
}

fn two_at_once_do_not_meet() {
    fs::write(FILE, BASE).unwrap();
    let spawn = || {
        let mut command = netcell_command(&["apply", FILE]);
        command.stdout(std::process::Stdio::null());
        Background::spawn(&mut command)
    };
    let mut all: Vec<Background> = (0..8).map(|_| spawn()).collect();
    for one in &mut all {
        assert!(one.0.wait().unwrap().success());
    }
    assert_eq!(containers(), 4);
    assert_eq!(apply(BASE).quiet(), "");
    clear();
}

fn a_death_half_way_is_made_good_by_the_next_run() {
    let changed = BASE.replace("10.50.0.0/24", "10.60.0.0/24");
    fs::write("/tmp/old.conf", BASE).unwrap();
    fs::write(FILE, &changed).unwrap();
    for turn in 0..12 {
        cell("apply /tmp/old.conf").ok();
        let mut command = netcell_command(&["apply", FILE]);
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let killed = Background::spawn(&mut command);
        std::thread::sleep(std::time::Duration::from_millis(turn * 8));
        drop(killed);
        cell(&format!("apply {FILE}")).ok();
        assert_eq!(containers(), 4);
        assert_eq!(cell(&format!("apply --dry-run {FILE}")).quiet(), "");
        assert_eq!(elements("map", "publish4").len(), 2);
        for seconds in [1001, 1002, 1003] {
            pid(seconds);
        }
    }
    clear();
}

fn lines_may_be_long_and_many() {
    let ports: String = (0..300)
        .map(|port| format!(" -p {}:80", 20000 + port))
        .collect();
    let mut text = format!("create --name long{ports}\n");
    (0..200).for_each(|at| text += &format!("create --name lab{at}\n"));
    assert_eq!(apply(&text).ok().lines().count(), 201);
    assert_eq!(apply(&text).quiet(), "");
    assert_eq!(apply_with(&["--prune"], "").ok().lines().count(), 201);
}
