//! The host's rule set as operations: the tables, a network's part of them, a sandbox's part at its bridge's port.

use crate::engine::plan::Plan;
use crate::engine::record::{Endpoint, NetworkRecord};
use crate::kernel::nft::{AddElement, DelElement, DroppingChain, Element};

fn elements(network: &NetworkRecord) -> Vec<Element> {
    let bridge = || network.link.clone();
    let mut elements = vec![Element::Bridge(bridge())];
    if !network.isolate {
        elements.push(Element::Siblings(bridge()));
    }
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

/// What the owner of a chain that drops forwarded packets has to do for netcell's, as a sentence with the commands.
pub fn way_through(chain: &DroppingChain) -> String {
    let DroppingChain {
        family,
        table,
        name,
    } = chain;
    let insert = format!("nft insert rule {family} {table} {name}");
    format!(
        "chain {name} of table {family} {table} drops what it does not accept, sandboxes' packets too; to let them pass: {insert} iifname \"netcell*\" accept; {insert} oifname \"netcell*\" accept"
    )
}
