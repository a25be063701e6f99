//! The host's rule set as operations: the table, a network's part of it, a published port.

use crate::engine::plan::Plan;
use crate::engine::record::NetworkRecord;
use crate::kernel::Op;
use crate::kernel::nft::{AddElement, AddTable, DelElement, DroppingChain, Element, ExpireElement};
use crate::types::PortMapping;
use std::net::Ipv4Addr;

/// netcell's table; `stop_transit` when netcell itself turned forwarding on.
pub fn table(stop_transit: bool) -> Plan {
    Plan::of(AddTable { stop_transit })
}

fn elements(network: &NetworkRecord) -> [Element; 3] {
    let bridge = &network.link;
    [
        Element::Bridge(bridge.clone()),
        Element::Siblings(bridge.clone()),
        Element::Local(bridge.clone(), network.subnet),
    ]
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

/// Makes a port of the host lead to a sandbox.
pub fn add_port(mapping: PortMapping, to: Ipv4Addr) -> Op {
    AddElement(Element::Publish { mapping, to }).into()
}

/// Withdraws it.
pub fn remove_port(mapping: PortMapping, to: Ipv4Addr) -> Op {
    DelElement(Element::Publish { mapping, to }).into()
}

/// Withdraws it within a moment, without the wait that a deletion ends with.
pub fn expire_port(mapping: PortMapping, to: Ipv4Addr) -> Op {
    ExpireElement(Element::Publish { mapping, to }).into()
}
