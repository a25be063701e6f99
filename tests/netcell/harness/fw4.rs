//! OpenWrt's firewall, as far as it forwards: the table that it renders from its zones, and what uci(1) makes of commands.

use super::{must, step};
use std::collections::BTreeMap;
use std::fs;

/// A zone of OpenWrt's firewall: its name, its links, whether what it forwards to itself is accepted.
struct Zone(String, String, bool);

/// The table that fw4 renders from zones and forwardings (root/usr/share/firewall4/templates/ruleset.uc of firewall4).
fn fw4_table(zones: &[Zone], forwardings: &[(String, String)]) -> String {
    let mut jumps = String::new();
    let mut chains = String::new();
    for Zone(name, link, forward) in zones {
        let link = link.replace('+', "*");
        jumps += &format!(
            "iifname \"{link}\" jump forward_{name} comment \"!fw4: Handle {name} forward traffic\"\n"
        );
        chains += &format!("chain accept_to_{name} {{ oifname \"{link}\" counter accept; }}\n");
        chains += &format!(
            "chain reject_to_{name} {{ oifname \"{link}\" counter jump handle_reject; }}\n"
        );
        chains += &format!("chain forward_{name} {{\n");
        for (_, to) in forwardings.iter().filter(|(from, _)| from == name) {
            chains += &format!(
                "jump accept_to_{to} comment \"!fw4: Accept {name} to {to} forwarding\"\n"
            );
        }
        let verdict = if *forward { "accept" } else { "reject" };
        chains += &format!("jump {verdict}_to_{name}\n}}\n");
    }
    format!(
        "table inet fw4\ndelete table inet fw4\ntable inet fw4 {{\n\
         chain forward {{ type filter hook forward priority filter; policy drop;\n\
         ct state established,related accept comment \"!fw4: Allow forwarded established and related flows\"\n{jumps}\
         jump handle_reject\n}}\n\
         chain handle_reject {{ meta l4proto tcp reject with tcp reset; reject with icmpx type port-unreachable; }}\n\
         {chains}\
         chain dstnat {{ type nat hook prerouting priority dstnat; policy accept; }}\n\
         chain srcnat {{ type nat hook postrouting priority srcnat; policy accept; oifname \"up0\" jump srcnat_wan; }}\n\
         chain srcnat_wan {{ meta nfproto ipv4 masquerade comment \"!fw4: Masquerade IPv4 wan traffic\"; }}\n}}\n"
    )
}

/// Loads a table that is written as nft(8) has it.
#[track_caller]
pub fn load(table: &str) {
    step("write a table", fs::write("/tmp/table.nft", table));
    must("nft", &["-f", "/tmp/table.nft"]);
    step("remove a file", fs::remove_file("/tmp/table.nft"));
}

fn openwrts_own() -> (Vec<Zone>, Vec<(String, String)>) {
    let zones = vec![
        Zone("lan".into(), "br-lan".into(), true),
        Zone("wan".into(), "up0".into(), false),
    ];
    (zones, vec![("lan".into(), "wan".into())])
}

/// Begins with the zones that OpenWrt comes with, or goes back to them.
pub fn fw4() {
    load(&own_table());
}

/// The table of those zones.
pub fn own_table() -> String {
    let (zones, forwardings) = openwrts_own();
    fw4_table(&zones, &forwardings)
}

/// What uci(1) and fw4 make of the commands: the sections that they set are read here, and the table rendered anew.
pub fn uci(commands: &str) {
    // Only the two that OpenWrt has are called.
    let script = "uci() { echo \"$*\"; }; reload() { echo \"reload $*\"; };";
    let line = commands.replace("/etc/init.d/firewall reload", "reload firewall");
    let said = must("sh", &["-ec", &format!("{script} {line}")]);
    let mut set = BTreeMap::new();
    for line in said.lines() {
        if let Some(assignment) = line.strip_prefix("set firewall.") {
            let (key, value) = assignment.split_once('=').expect("KEY=VALUE");
            set.insert(key.to_owned(), value.to_owned());
        }
    }
    assert!(said.ends_with("commit firewall\nreload firewall"), "{said}");
    let (mut zones, mut forwardings) = openwrts_own();
    for (section, _) in set.iter().filter(|(_, value)| *value == "zone") {
        let option = |name: &str| set[&format!("{section}.{name}")].clone();
        assert_eq!(
            (option("input"), option("output")),
            ("REJECT".into(), "ACCEPT".into())
        );
        zones.push(Zone(
            option("name"),
            option("device"),
            option("forward") == "ACCEPT",
        ));
    }
    for (section, _) in set.iter().filter(|(_, value)| *value == "forwarding") {
        let option = |name: &str| set[&format!("{section}.{name}")].clone();
        forwardings.push((option("src"), option("dest")));
    }
    load(&fw4_table(&zones, &forwardings));
}
