//! Router-safe: beside the firewalls of others nothing of theirs changes, and what of theirs drops sandboxes' packets is
//! named with the commands that let them pass; which are run here, and then they pass.

use crate::harness::fw4::{fw4, load, own_table, uci};
use crate::harness::*;
use crate::tests;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

const ROOT: &str = "the other engine's files are laid over /usr and /etc, and it wants to be root";

pub const TESTS: &[runner::Test] = tests![
    beside_docker.beside(docker).root_only(ROOT).seconds(120),
    beside_docker_on_legacy_iptables
        .beside(docker_legacy)
        .root_only(ROOT)
        .seconds(120),
    beside_ufw.beside(peers::ufw).root_only(ROOT).seconds(120),
    beside_firewalld
        .beside(peers::firewalld)
        .root_only(ROOT)
        .seconds(120),
    beside_iptables_legacy
        .beside(peers::iptables_legacy)
        .root_only(ROOT),
    beside_fw4.beside(fw4),
    a_firewall_that_comes_later_is_named_by_reconcile_and_info_while_it_drops,
    beside_a_chain_that_rejects_by_its_last_rule.beside(rejects),
    a_table_that_drops_nothing_is_not_spoken_of.beside(harmless),
    a_default_route_learnt_from_a_router_stays,
    with_br_netfilter_on_siblings_pass_when_the_chain_is_open.beside(fw4),
];

fn docker() {
    peers::docker("nft");
}

fn docker_legacy() {
    peers::docker("legacy");
}

/// All rules of others, without what packets count.
fn rules_of_others() -> String {
    let mut text = String::new();
    let listed = must("nft", &["list", "tables"]);
    for table in listed.lines().filter(|table| !table.ends_with(" netcell")) {
        let words: Vec<&str> = ["list"].into_iter().chain(table.split(' ')).collect();
        text += &must("nft", &words);
    }
    for six in ["", "6"] {
        // Only where there is such a table: to list one makes it.
        let tables = fs::read_to_string(format!("/proc/net/ip{six}_tables_names"));
        for table in tables.unwrap_or_default().lines() {
            text += &must(&format!("ip{six}tables-legacy-save"), &["-t", table]);
        }
    }
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| without_counts(line) + "\n").collect()
}

/// Line by line the same; a difference is shown as diff(1) does.
#[track_caller]
fn same_rules(before: &str) {
    let now = rules_of_others();
    if now == before {
        return;
    }
    for (file, text) in [("/tmp/before", before), ("/tmp/now", now.as_str())] {
        step("write rules", fs::write(file, text));
    }
    let difference = any("diff", &["-U2", "/tmp/before", "/tmp/now"]);
    panic!("rules of others changed:\n{}", difference.stdout);
}

/// `counter packets 7 bytes 420` and `[7:420]` are what traffic makes of them.
fn without_counts(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    for at in 1..words.len() {
        if ["packets", "bytes"].contains(&words[at - 1]) {
            words[at] = "0";
        }
    }
    words.retain(|word| !word.starts_with('[') || !word.ends_with(']'));
    words.join(" ")
}

/// Every sysctl of the network, but for those of links that come and go and what forwarding itself turns.
fn settings() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec!["/proc/sys/net".to_owned()];
    while let Some(directory) = waiting.pop() {
        for name in oracle::entries(&directory) {
            let path = format!("{directory}/{name}");
            let of_a_link = ["/conf", "/neigh"]
                .iter()
                .any(|end| directory.ends_with(end));
            let passing = of_a_link && (name.starts_with("netcell") || name.starts_with("nc"));
            let turned = ["ip_forward", "forwarding", "accept_redirects"].contains(&name.as_str());
            if fs::metadata(&path).is_ok_and(|file| file.is_dir()) {
                waiting.extend((!passing).then_some(path));
            } else if !turned && let Ok(text) = fs::read_to_string(&path) {
                // A count of what there is now, and the caches' sizes, are no settings.
                if !["nf_conntrack_count", "dentry-state"].contains(&name.as_str()) {
                    found.insert(path, text);
                }
            }
        }
    }
    found
}

#[track_caller]
fn same_settings(before: &BTreeMap<String, String>) {
    let now = settings();
    let differs = |(key, value): &(&String, &String)| now.get(*key) != Some(*value);
    let changed: Vec<_> = before.iter().filter(differs).map(|(key, _)| key).collect();
    assert!(changed.is_empty(), "changed: {changed:?}");
}

/// The commands below the sentence about a chain.
#[track_caller]
fn way_through(stderr: &str, words: &[&str]) -> String {
    let mut lines = stderr.lines();
    let sentence = lines.find(|line| line.ends_with("to let them pass:"));
    let sentence = sentence.unwrap_or_else(|| panic!("no way through is named in: {stderr}"));
    let commands = lines.take_while(|line| line.starts_with("  "));
    let commands: Vec<_> = commands.map(str::trim_start).collect();
    let commands = commands.join("\n");
    for word in words {
        let named = sentence.contains(word) || commands.contains(word);
        assert!(named, "{word} is not in: {sentence}\n{commands}");
    }
    commands
}

/// Runs a line as the owner of the host would.
#[track_caller]
fn shell(line: &str) {
    must("sh", &["-ec", line]);
}

/// Whether a sandbox reaches a server outside.
fn goes_out(sandbox: &str) -> bool {
    in_netns(pin(sandbox), || ask(outside::OUTSIDE, 7000))
        .is_ok_and(|text| text.starts_with("far "))
}

/// Whether the published port answers a client outside.
fn comes_in(outside: &Outside) -> bool {
    outside
        .run(|| ask(outside::HOST, 8080))
        .is_ok_and(|text| text.starts_with("web "))
}

/// What a firewall is beside which netcell runs.
struct Beside {
    /// What the sentence has to name.
    named: &'static [&'static str],
    /// Whether what is published passes it unasked.
    lets_published_in: bool,
    /// What takes the owner's permission back.
    undo: &'static str,
    /// What runs the commands, where it is not the shell.
    open: fn(&str),
}

impl Beside {
    fn check(&self) {
        let rules = rules_of_others();
        let outside = Outside::new();
        serve_in(&outside.namespace(), 7000, "far");
        let before = settings();
        let answer = cell("create --name web -p 8080:80").exits(0);
        serve_in(&pin("web"), 80, "web");
        let commands = way_through(&answer.stderr, self.named);
        same_rules(&rules);
        same_settings(&before);
        assert!(!goes_out("web"), "nothing dropped it");
        assert_eq!(comes_in(&outside), self.lets_published_in);
        // The host itself is in nobody's way.
        answered(ask(std::net::Ipv4Addr::LOCALHOST, 8080), "web");

        (self.open)(&commands);
        assert!(goes_out("web"), "after: {commands}");
        assert!(comes_in(&outside), "after: {commands}");
        // Who has opened it is not told again, and nothing else was opened: netcell's own chain sees to that.
        let opened = rules_of_others();
        let again = cell("network create --subnet 10.50.0.0/24 lan").exits(0);
        assert!(!again.stderr.contains("to let them pass"), "{again:?}");
        let (address, _) = address_in("web", "eth0");
        outside.run(|| {
            must(
                "ip",
                &["route", "add", &address.to_string(), "via", "198.51.100.1"],
            )
        });
        let direct = outside.run(|| ask(address, 80));
        assert!(
            direct.is_err(),
            "an address inside was reached from outside"
        );
        cell("network rm lan").ok();
        same_rules(&opened);
        cell("rm web").ok();
        cell("network rm bridge").ok();
        same_rules(&opened);
        shell(self.undo);
        same_rules(&rules);
        same_settings(&before);
    }
}

fn beside_docker() {
    Beside {
        named: &[
            "chain FORWARD of table ip filter of Docker",
            "iptables -I DOCKER-USER -i netcell+ -j ACCEPT",
        ],
        lets_published_in: false,
        undo: "for way in -i -o; do iptables -D DOCKER-USER $way netcell+ -j ACCEPT; done",
        open: shell,
    }
    .check();
}

fn beside_docker_on_legacy_iptables() {
    Beside {
        named: &[
            "chain FORWARD of table ip filter of Docker (iptables-legacy)",
            "iptables-legacy -I DOCKER-USER -i netcell+ -j ACCEPT",
        ],
        lets_published_in: false,
        undo: "for way in -i -o; do iptables-legacy -D DOCKER-USER $way netcell+ -j ACCEPT; done",
        open: shell,
    }
    .check();
}

fn beside_ufw() {
    Beside {
        named: &[
            "chain FORWARD of table ip filter of ufw",
            "ufw route allow in on netcell+",
        ],
        lets_published_in: false,
        undo: "ufw route delete allow in on netcell+; ufw route delete allow out on netcell+",
        open: shell,
    }
    .check();
}

fn beside_firewalld() {
    Beside {
        named: &[
            "chain filter_FORWARD of table inet firewalld",
            "firewall-cmd --permanent --zone=trusted --add-interface=netcell+",
        ],
        // It accepts what was translated, unless StrictForwardPorts is on.
        lets_published_in: true,
        undo: "firewall-cmd --permanent --zone=trusted --remove-interface=netcell+; firewall-cmd --reload",
        open: shell,
    }
    .check();
}

fn beside_iptables_legacy() {
    Beside {
        named: &[
            "chain FORWARD of table ip filter (iptables-legacy)",
            "iptables-legacy -I FORWARD -i netcell+ -j ACCEPT",
        ],
        lets_published_in: false,
        undo: "for way in -i -o; do iptables-legacy -D FORWARD $way netcell+ -j ACCEPT; done",
        open: shell,
    }
    .check();
}

fn beside_fw4() {
    // What takes it back in the test is what fw4 renders without the sections.
    step("write a table", fs::write("/tmp/fw4.nft", own_table()));
    Beside {
        named: &[
            "chain forward of table inet fw4 of OpenWrt's firewall",
            "uci set firewall.netcell=zone",
        ],
        lets_published_in: false,
        undo: "nft -f /tmp/fw4.nft",
        open: uci,
    }
    .check();
}

fn a_firewall_that_comes_later_is_named_by_reconcile_and_info_while_it_drops() {
    cell("create --name web -p 8080:80").ok();
    cell("network create --subnet 10.50.0.0/24 lan").ok();
    cell("network create --subnet 10.51.0.0/24 --interface br-iot iot").ok();
    cell("network create --subnet 10.52.0.0/24 --interface br-in --internal in").ok();
    assert_eq!(cell("reconcile").quiet(), "");
    cell("info").quiet();
    assert_eq!(
        cell("info --json").json()["Warnings"],
        serde_json::json!([])
    );

    fw4();
    // Once for all bridges that one rule lets pass, once for the one that has a name of its own; none for what stays inside.
    let answer = cell("reconcile").exits(0);
    assert_eq!(answer.stdout, "");
    let named = |stderr: &str| stderr.matches("chain forward of table inet fw4").count();
    assert_eq!(named(&answer.stderr), 2, "{answer:?}");
    let commands = way_through(
        &answer.stderr,
        &["uci set firewall.netcell.device=netcell+"],
    );
    let about_iot = answer.stderr.contains(".device=br-iot\n");
    assert!(
        about_iot && !answer.stderr.contains("br-in\n"),
        "{answer:?}"
    );
    assert_eq!(
        cell("reconcile --quiet --json").exits(0).stderr,
        answer.stderr
    );
    // What is mended says it once as well.
    must("ip", &["link", "delete", "netcell0"]);
    let answer = cell("reconcile").exits(0);
    assert_eq!(named(&answer.stderr), 2, "{answer:?}");
    let page = cell("info").exits(0);
    assert_eq!(named(&page.stderr), 2, "{page:?}");
    let warnings = cell("info --json").json()["Warnings"].clone();
    assert_eq!(warnings.as_array().map(Vec::len), Some(2), "{warnings}");

    cell("network rm iot in").ok();
    uci(&commands);
    assert_eq!(cell("reconcile").quiet(), "");
    cell("info").quiet();
    cell("rm web").ok();
    cell("network rm lan bridge").ok();
    must("nft", &["delete", "table", "inet", "fw4"]);
}

/// As many distributions' default: a policy of accept, and a reject behind all other rules.
fn rejects() {
    load(
        "table inet mine {\n chain forward { type filter hook forward priority 10; policy accept;\n\
         ct state established,related accept\n tcp dport 22 accept\n counter reject with icmpx admin-prohibited\n }\n}\n",
    );
}

fn beside_a_chain_that_rejects_by_its_last_rule() {
    Beside {
        named: &[
            "chain forward of table inet mine",
            "nft insert rule inet mine forward iifname \"netcell*\" accept",
        ],
        lets_published_in: false,
        undo: "for n in 1 2; do nft delete rule inet mine forward handle \
               $(nft -a list chain inet mine forward | sed -n '/netcell/s/.*handle //p' | head -n 1); done",
        open: shell,
    }
    .check();
}

fn harmless() {
    load(
        "table inet mine {\n chain forward { type filter hook forward priority 0; policy accept;\n\
         tcp dport 23 drop\n iifname \"eth7\" counter drop\n }\n\
         chain input { type filter hook input priority 0; policy drop; ct state established accept; iifname \"lo\" accept; }\n}\n",
    );
}

fn a_table_that_drops_nothing_is_not_spoken_of() {
    let rules = rules_of_others();
    let answer = cell("create --name web").exits(0);
    assert!(!answer.stderr.contains("to let them pass"), "{answer:?}");
    cell("rm web").ok();
    assert_eq!(rules_of_others(), rules);
}

fn a_default_route_learnt_from_a_router_stays() {
    let outside = Outside::new();
    step(
        "take advertisements",
        fs::write("/proc/sys/net/ipv6/conf/up0/accept_ra", "1"),
    );
    let default = || must("ip", &["-6", "route", "show", "default"]);
    outside.run(|| {
        let link = ip_json(&["link", "show", "dev", "up1"]);
        let frame = frames::router_advertisement(frames::mac(link[0]["address"].as_str().unwrap()));
        let socket = step("open a packet socket", sys::PacketSocket::open("up1"));
        wait_until("the router is known", || {
            step("send a frame", socket.send(&frame));
            std::thread::sleep(Duration::from_millis(50));
            in_netns("/proc/1/ns/net", default).contains("proto ra")
        });
    });
    // Its time runs out, and is none of netcell's business.
    let lasting = |text: String| {
        text.split(" expires ")
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let (route, before) = (lasting(default()), settings());
    cell("run -d --name web -p 8080:80 alpine httpd -f -p 80 -h /www").ok();
    assert_eq!(lasting(default()), route);
    same_settings(&before);
    cell("rm -f web").ok();
    cell("network rm bridge").ok();
    assert_eq!(lasting(default()), route);
    same_settings(&before);
}

fn with_br_netfilter_on_siblings_pass_when_the_chain_is_open() {
    let switch = "/proc/sys/net/bridge/bridge-nf-call-iptables";
    if fs::write(switch, "1").is_err() {
        println!("note: this kernel has no br_netfilter loaded");
        return;
    }
    let answer = cell("create --name one").exits(0);
    cell("create --name two").ok();
    let (address, _) = address_in("two", "eth0");
    serve_in(&pin("two"), 80, "two");
    let reaches = || in_netns(pin("one"), || ask(address, 80)).is_ok();
    assert!(!reaches(), "the bridge asks the chain, too");
    uci(&way_through(&answer.stderr, &["fw4"]));
    assert!(reaches());
    assert_eq!(fs::read_to_string(switch).unwrap().trim(), "1");
    cell("rm one two").ok();
    fw4();
}
