//! A sandbox as plans: what makes it, what takes it down, what changes its published ports. Decides, touches nothing.

use crate::engine::firewall;
use crate::engine::plan::Plan;
use crate::engine::record::{Endpoint, NetworkRecord, SandboxRecord};
use crate::engine::spec::EndpointSpec;
use crate::kernel::announce::Announce;
use crate::kernel::conntrack::Flow;
use crate::kernel::nft::{AddElement, CutOff, DelElement, Element, ExpireElement};
use crate::kernel::{Op, Place, addr, conntrack, link, netns, port, route, sysctl};
use crate::types::{IfName, Mac, Name, PortMapping, Proto};
use std::net::IpAddr;

/// What of the host decides how a sandbox is made.
#[derive(Debug, Clone, Copy)]
pub struct HostFacts {
    /// net.bridge.bridge-nf-call-iptables, or for IPv6 its like, is 1: a port must let a frame out where it came in, for a sandbox that
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
        for address in &endpoint.addresses {
            plan.push(addr::Add {
                place: place.clone(),
                link: link.clone(),
                address: *address,
            });
        }
        for via in &endpoint.gateways {
            plan.push(route::AddDefault {
                place: place.clone(),
                link: link.clone(),
                via: *via,
            });
        }
    }
    plan.extend(guard(sandbox, |element| AddElement(element).into()));
    plan.extend(publish(sandbox, &ports(sandbox)));
    plan.extend(announce(sandbox));
    plan
}

/// The plan that tells the neighbours of a MAC which does not follow from the address: they may know another one of the
/// same address. Where it follows from it none ever had another.
fn announce(sandbox: &SandboxRecord) -> Plan {
    let mut plan = Plan::new();
    let Some(endpoint) = &sandbox.endpoint else {
        return plan;
    };
    let first = endpoint.addresses.first();
    if first.is_none_or(|address| Mac::of(address.addr) == endpoint.mac) {
        return plan;
    }
    let (place, link) = (Place::Sandbox(sandbox.name.clone()), &endpoint.ifname);
    for key in ["ipv4/conf/LINK/arp_notify", "ipv6/conf/LINK/ndisc_notify"] {
        let key = format!("net/{key}").replace("LINK", link.as_str());
        plan.push(sysctl::Set::one(place.clone(), key, "1"));
    }
    plan.push(Announce {
        sandbox: sandbox.name.clone(),
        link: link.clone(),
        mac: endpoint.mac,
        port: endpoint.link.clone(),
    });
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
    if network.isolate {
        plan.push(port::Isolate {
            link: endpoint.link.clone(),
        });
    }
}

/// The plan that makes a sandbox's ports of one member these instead of those.
pub fn change(sandbox: &SandboxRecord, before: &[PortMapping], after: &[PortMapping]) -> Plan {
    let but = |ports, others| PortMapping::not_in(ports, others, PortMapping::to_string);
    let mut plan = withdraw(sandbox, &but(before, after));
    plan.extend(publish(sandbox, &but(after, before)));
    plan
}

/// The plan that makes ports lead to a sandbox.
fn publish(sandbox: &SandboxRecord, ports: &[PortMapping]) -> Plan {
    let mut plan = elements(sandbox, ports, |element| AddElement(element).into());
    for ipv4 in [true, false] {
        let mut datagrams = of_family(ports, ipv4);
        datagrams.retain(|port| port.proto == Proto::Udp);
        if !datagrams.is_empty() {
            plan.push(conntrack::Forget(Flow::To(datagrams)));
        }
    }
    plan
}

/// The plan that withdraws ports from a sandbox that lives on, and the connections that came through them.
fn withdraw(sandbox: &SandboxRecord, ports: &[PortMapping]) -> Plan {
    let mut plan = elements(sandbox, ports, |element| DelElement(element).into());
    plan.extend(forget_through(sandbox, ports));
    plan
}

/// The plan that forgets every connection which came through a sandbox's ports: the last of its removal, when they
/// lead nowhere any more.
pub fn forget(sandbox: &SandboxRecord) -> Plan {
    forget_through(sandbox, &ports(sandbox))
}

fn ports(sandbox: &SandboxRecord) -> Vec<PortMapping> {
    let ports = sandbox.ports.iter();
    ports.map(|port| port.mapping.clone()).collect()
}

fn of_family(ports: &[PortMapping], ipv4: bool) -> Vec<PortMapping> {
    let mut ports = ports.to_vec();
    ports.retain(|port| port.host_ip.is_ipv4() == ipv4);
    ports
}

/// What is done to the element of each port: it leads to the address of its family.
fn elements(sandbox: &SandboxRecord, ports: &[PortMapping], done: fn(Element) -> Op) -> Plan {
    let mut plan = Plan::new();
    for mapping in ports {
        if let Some(to) = sandbox.target(mapping.host_ip) {
            let mapping = mapping.clone();
            plan.push(done(Element::Publish { mapping, to }));
        }
    }
    plan
}

fn forget_through(sandbox: &SandboxRecord, ports: &[PortMapping]) -> Plan {
    let mut plan = Plan::new();
    for to in sandbox.addresses().iter().map(|address| address.addr) {
        let through = of_family(ports, to.is_ipv4());
        if !through.is_empty() {
            plan.push(conntrack::Forget(Flow::Through(through, to)));
        }
    }
    plan
}

/// The plan that undoes a sandbox that never was: nothing is in a hurry, and its link is gone when this is done.
pub fn undo(sandbox: &SandboxRecord) -> Plan {
    let mut plan = guard(sandbox, |element| DelElement(element).into());
    plan.extend(withdraw(sandbox, &ports(sandbox)));
    if let Some(endpoint) = &sandbox.endpoint {
        plan.push(link::DelLink::veth(endpoint.link.clone()));
    }
    plan.push(netns::Unpin {
        name: sandbox.name.clone(),
    });
    plan
}

/// The plan that takes a sandbox down: published ports first, so that nothing new comes in; then its link is cut off, by
/// the guard where there is one, so that packets have stopped; then the pin, if it is its own, goes, and with the last
/// reference to the namespace all its links.
pub fn unmake(sandbox: &SandboxRecord, own_pin: bool) -> Plan {
    let expire = |element| ExpireElement(element).into();
    let mut plan = elements(sandbox, &ports(sandbox), expire);
    plan.extend(guard(sandbox, expire));
    if let Some(endpoint) = &sandbox.endpoint {
        let link = endpoint.link.clone();
        match endpoint.unguarded {
            false => plan.push(CutOff { link }),
            true => plan.push(port::Block { link }),
        }
    }
    if own_pin {
        plan.push(netns::Unpin {
            name: sandbox.name.clone(),
        });
    }
    plan
}

/// What is done to each element of the guard that is the sandbox's.
fn guard(sandbox: &SandboxRecord, done: fn(Element) -> Op) -> Plan {
    let mut plan = Plan::new();
    for endpoint in sandbox
        .endpoint
        .iter()
        .filter(|endpoint| !endpoint.unguarded)
    {
        for element in firewall::guard(endpoint) {
            plan.push(done(element));
        }
    }
    plan
}

/// What is asked of a sandbox's attachment that it has not got.
pub fn other_endpoint(sandbox: &SandboxRecord, asked: &EndpointSpec) -> Option<String> {
    let endpoint = sandbox.endpoint.as_ref();
    let has = |ip: &IpAddr| sandbox.addresses().iter().any(|own| own.addr == *ip);
    if let Some(ip) = asked.addresses().iter().find(|ip| !has(ip)) {
        Some(format!("the address {ip}"))
    } else if let Some(mac) = asked
        .mac
        .filter(|mac| endpoint.is_none_or(|e| e.mac != *mac))
    {
        Some(format!("the MAC {mac}"))
    } else if asked.allow_spoof && endpoint.is_none_or(|endpoint| !endpoint.allow_spoof) {
        Some("--allow-spoof".to_owned())
    } else {
        None
    }
}
