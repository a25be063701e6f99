//! A sandbox as plans: what makes it, what takes it down, what changes its published ports. Decides, touches nothing.

use crate::engine::firewall;
use crate::engine::plan::Plan;
use crate::engine::record::{Endpoint, NetworkRecord, SandboxRecord};
use crate::kernel::conntrack::Flow;
use crate::kernel::{Op, Place, addr, conntrack, link, netns, route, sysctl};
use crate::types::{IfName, Name, PortMapping, Proto};
use std::net::{IpAddr, Ipv4Addr};

/// What of the host decides how a sandbox is made.
#[derive(Debug, Clone, Copy)]
pub struct HostFacts {
    /// net.bridge.bridge-nf-call-iptables is 1: a port must let a frame out where it came in, for a sandbox that
    /// reaches itself by its published port.
    pub bridge_netfilter: bool,
}

/// No address or route from a router advertisement, which a hostile neighbour could send: where no guard at the bridge's
/// ports rules it out for all.
const NO_ADVERTISEMENT: (&str, &str) = ("net/ipv6/conf/default/accept_ra", "0");

/// The plan that makes a sandbox: namespace, links, addresses, routes, published ports.
pub fn make(sandbox: &SandboxRecord, network: Option<&NetworkRecord>, host: HostFacts) -> Plan {
    let name = &sandbox.name;
    let inside = Place::Sandbox(name.clone());
    let mut plan = Plan::new();
    plan.push(netns::Pin { name: name.clone() });
    if network.is_some_and(|network| network.unguarded) {
        let (key, value) = NO_ADVERTISEMENT;
        plan.push(sysctl::Set::one(inside.clone(), key, value));
    }
    if let (Some(endpoint), Some(network)) = (&sandbox.endpoint, network) {
        attach(&mut plan, name, endpoint, network, host);
    }
    plan.push(link::SetUp {
        place: inside.clone(),
        link: IfName::lo(),
    });
    if let Some(endpoint) = &sandbox.endpoint {
        let (place, link) = (inside, endpoint.ifname.clone());
        plan.push(link::SetUp {
            place: place.clone(),
            link: link.clone(),
        });
        plan.push(addr::Add {
            place: place.clone(),
            link: link.clone(),
            address: endpoint.address,
        });
        plan.push(route::AddDefault {
            place,
            link,
            via: IpAddr::V4(endpoint.gateway),
        });
    }
    plan.extend(publish(
        sandbox,
        sandbox.ports.iter().map(|port| &port.mapping),
    ));
    plan
}

fn attach(
    plan: &mut Plan,
    sandbox: &Name,
    endpoint: &Endpoint,
    network: &NetworkRecord,
    host: HostFacts,
) {
    plan.push(link::AddVeth {
        host: endpoint.link.clone(),
        peer: endpoint.ifname.clone(),
        sandbox: sandbox.clone(),
        mac: endpoint.mac,
        mtu: endpoint.mtu,
        master: network.link.clone(),
        hairpin: host.bridge_netfilter,
    });
}

/// The plan that makes ports lead to a sandbox.
pub fn publish<'a>(
    sandbox: &SandboxRecord,
    ports: impl Iterator<Item = &'a PortMapping> + Clone,
) -> Plan {
    let mut plan = Plan::new();
    if let Some(to) = address(sandbox) {
        ports
            .clone()
            .for_each(|mapping| plan.push(firewall::add_port(*mapping, to)));
        ports
            .filter(|mapping| mapping.proto == Proto::Udp)
            .for_each(|mapping| plan.push(conntrack::Forget(Flow::To(*mapping))));
    }
    plan
}

/// The plan that withdraws ports from a sandbox that lives on, and the connections that came through them.
pub fn withdraw<'a>(
    sandbox: &SandboxRecord,
    ports: impl Iterator<Item = &'a PortMapping> + Clone,
) -> Plan {
    let mut plan = Plan::new();
    if let Some(to) = address(sandbox) {
        ports
            .clone()
            .for_each(|mapping| plan.push(firewall::remove_port(*mapping, to)));
        plan.extend(forget_through(ports, to));
    }
    plan
}

/// The plan that forgets every connection which came through a sandbox's ports: the last of its removal, when they
/// lead nowhere any more.
pub fn forget(sandbox: &SandboxRecord) -> Plan {
    let ports = sandbox.ports.iter().map(|port| &port.mapping);
    address(sandbox)
        .map(|to| forget_through(ports, to))
        .unwrap_or_default()
}

fn address(sandbox: &SandboxRecord) -> Option<Ipv4Addr> {
    sandbox.leased().map(|(_, address)| address)
}

fn forget_through<'a>(ports: impl Iterator<Item = &'a PortMapping>, to: Ipv4Addr) -> Plan {
    let ports: Vec<_> = ports.copied().collect();
    if ports.is_empty() {
        return Plan::new();
    }
    Plan::of(conntrack::Forget(Flow::Through(ports, to)))
}

/// The plan that undoes a sandbox that never was: nothing is in a hurry, and its link is gone when this is done.
pub fn undo(sandbox: &SandboxRecord) -> Plan {
    let ports = withdraw(sandbox, sandbox.ports.iter().map(|port| &port.mapping));
    take_down(ports, sandbox, |link| link::DelLink::veth(link).into())
}

/// The plan that takes a sandbox down: published ports first, so that nothing new comes in; then its link is blocked,
/// so that packets have stopped; then the pin goes, and with the last reference to the namespace all its links.
pub fn unmake(sandbox: &SandboxRecord) -> Plan {
    let mut ports = Plan::new();
    if let Some(to) = address(sandbox) {
        for port in &sandbox.ports {
            ports.push(firewall::expire_port(port.mapping, to));
        }
    }
    take_down(ports, sandbox, |link| link::Block { link }.into())
}

fn take_down(mut plan: Plan, sandbox: &SandboxRecord, cut_off: fn(IfName) -> Op) -> Plan {
    if let Some(endpoint) = &sandbox.endpoint {
        plan.push(cut_off(endpoint.link.clone()));
    }
    plan.push(netns::Unpin {
        name: sandbox.name.clone(),
    });
    plan
}
