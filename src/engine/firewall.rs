//! The host's rule set as operations: the tables, a network's part of them, a sandbox's part at its bridge's port.

use crate::engine::plan::Plan;
use crate::engine::record::{Endpoint, NetworkRecord};
use crate::kernel::foreign::DroppingChain;
use crate::kernel::nft::{AddElement, DelElement, Element};
use crate::types::IfName;

fn elements(network: &NetworkRecord) -> Vec<Element> {
    let bridge = || network.link.clone();
    let mut elements = vec![Element::Bridge(bridge())];
    elements.push(match network.isolate {
        false => Element::Siblings(bridge()),
        true => Element::Isolated(bridge()),
    });
    if network.internal {
        elements.push(Element::Internal(bridge()));
    }
    for part in &network.subnets {
        elements.push(Element::Local(bridge(), part.subnet));
        if !network.internal && !network.no_masquerade {
            elements.push(Element::Masquerade(bridge(), part.subnet));
        }
    }
    elements
}

/// A network's part of the table.
pub fn add_network(network: &NetworkRecord) -> Plan {
    let mut plan = Plan::new();
    elements(network)
        .into_iter()
        .for_each(|element| plan.push(AddElement(element)));
    plan
}

/// The same, taken out.
pub fn remove_network(network: &NetworkRecord) -> Plan {
    let mut plan = Plan::new();
    elements(network)
        .into_iter()
        .for_each(|element| plan.push(DelElement(element)));
    plan
}

/// What a sandbox's port may send from.
pub fn guard(endpoint: &Endpoint) -> Vec<Element> {
    let link = || endpoint.link.clone();
    if endpoint.allow_spoof {
        return vec![Element::Free(link())];
    }
    let mut elements = vec![Element::Mac(link(), endpoint.mac)];
    for address in endpoint.addresses.iter().map(|address| address.addr) {
        elements.push(Element::Own(link(), address));
        if address.is_ipv6() {
            elements.push(Element::Target(link(), address));
        }
    }
    elements
}

/// What begins the names of the bridges that netcell names itself: all of them are let pass by one rule.
const BRIDGES: &str = "netcell";

/// What the owner of a chain that drops forwarded packets has to do for netcell's, as a sentence, and the commands on
/// lines below it.
///
/// netcell's own chain still decides what may be forwarded to a sandbox: only what a published port brought, and
/// answers.
pub fn way_through(chain: &DroppingChain, link: &IfName) -> String {
    let DroppingChain {
        family,
        table,
        name,
        ..
    } = chain;
    let (all, link) = match link.as_str().starts_with(BRIDGES) {
        true => (true, BRIDGES),
        false => (false, link.as_str()),
    };
    let (nft, xtables) = match all {
        true => (format!("{link}*"), format!("{link}+")),
        false => (link.to_owned(), link.to_owned()),
    };
    let has = |name: &str| chain.beside.iter().any(|chain| chain == name);
    let legacy = if chain.legacy {
        " (iptables-legacy)"
    } else {
        ""
    };
    let iptables = match (*family == "ip6", chain.legacy) {
        (false, false) => "iptables",
        (true, false) => "ip6tables",
        (false, true) => "iptables-legacy",
        (true, true) => "ip6tables-legacy",
    };
    let insert = |into: &str| {
        format!(
            "{iptables} -I {into} -i {xtables} -j ACCEPT; {iptables} -I {into} -o {xtables} -j ACCEPT"
        )
    };
    let (owner, commands) = if table == "fw4" || has("forwarding_rule") {
        (" of OpenWrt's firewall", openwrt(&xtables))
    } else if table == "firewalld" {
        let add = format!("--zone=trusted --add-interface={xtables}");
        let commands = format!("firewall-cmd --permanent {add}; firewall-cmd {add}");
        (" of firewalld", commands)
    } else if has("DOCKER-USER") {
        (" of Docker", insert("DOCKER-USER"))
    } else if has("ufw-before-forward") || has("ufw6-before-forward") {
        let commands = format!("ufw route allow in on {xtables}; ufw route allow out on {xtables}");
        (" of ufw", commands)
    } else if chain.legacy {
        ("", insert(name))
    } else {
        let insert = format!("nft insert rule {family} {table} {name}");
        (
            "",
            format!("{insert} iifname \"{nft}\" accept; {insert} oifname \"{nft}\" accept"),
        )
    };
    let commands = commands.replace("; ", "\n  ");
    format!(
        "chain {name} of table {family} {table}{owner}{legacy} drops what it does not accept, sandboxes' packets too; to let them pass:\n  {commands}"
    )
}

/// A zone for the bridges, and who may forward to whom.
fn openwrt(link: &str) -> String {
    let forwarding = |from: &str, to: &str| {
        let section = format!("uci set firewall.{from}_to_{to}");
        format!("{section}=forwarding; {section}.src={from}; {section}.dest={to};")
    };
    format!(
        "uci set firewall.netcell=zone; uci set firewall.netcell.name=netcell; uci set firewall.netcell.device={link}; uci set firewall.netcell.input=REJECT; uci set firewall.netcell.output=ACCEPT; uci set firewall.netcell.forward=ACCEPT; {} {} {} uci commit firewall; /etc/init.d/firewall reload",
        forwarding("netcell", "wan"),
        forwarding("wan", "netcell"),
        forwarding("lan", "netcell")
    )
}
