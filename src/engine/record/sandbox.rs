//! A sandbox's record: its attachment, its names, its ports, its members.

use super::UnixNanos;
use crate::types::json::{Json, Wrong, json_object};
use crate::types::tree::Value;
use crate::types::{Cidr, Id, IfName, Mac, Name, PortMapping};
use std::net::IpAddr;

/// `sandboxes/NAME/record.json`.
#[derive(Debug, Clone)]
pub struct SandboxRecord {
    /// [`VERSION`](super::VERSION).
    pub version: u32,
    /// The boot that wrote it.
    pub boot: String,
    /// The sandbox's id (Docker's SandboxID).
    pub id: Id,
    /// Its name, and the name of its pin under /run/netns.
    pub name: Name,
    /// Created alone: it is its own member until `rm`.
    pub bare: bool,
    /// The host name in its /etc/hostname and /etc/hosts.
    pub hostname: String,
    /// When it was created.
    pub created: UnixNanos,
    /// Its attachment; none for the network `none`.
    pub endpoint: Option<Endpoint>,
    /// What it is called and what it finds by name.
    pub names: Names,
    /// The ports that lead to it.
    pub ports: Vec<SandboxPort>,
    /// Who may be its members: those whose container record names it really are.
    pub members: Vec<Name>,
    /// The file of `apply` that a sandbox created alone came from.
    pub applied: Option<String>,
}
json_object!(SandboxRecord {
    version,
    boot,
    id,
    name,
    bare,
    hostname,
    created,
    endpoint,
    names,
    ports,
    members,
    applied
});

impl SandboxRecord {
    /// The addresses that it has on its network, with their subnets' prefixes.
    pub fn addresses(&self) -> &[Cidr] {
        let endpoint = self.endpoint.as_ref();
        endpoint.map_or(&[], |endpoint| &endpoint.addresses)
    }

    /// The address that a published port leads to: of the family of the host's end.
    pub fn target(&self, host_ip: IpAddr) -> Option<IpAddr> {
        let endpoint = self.endpoint.as_ref()?;
        endpoint
            .address(host_ip.is_ipv4())
            .map(|address| address.addr)
    }

    /// What the others on its network call it, as Docker's DNSNames; `short` is its first container's short id, or its
    /// own.
    pub fn called<'a>(&'a self, short: &'a str) -> Vec<&'a str> {
        let aliases = self.names.of("network-alias");
        let mut names = Vec::with_capacity(4);
        let all = std::iter::once(self.name.as_str()).chain(aliases);
        for name in all.chain([short, &self.hostname]) {
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The ports that a member brought.
    pub fn ports_of(&self, member: &Name) -> Vec<PortMapping> {
        self.ports
            .iter()
            .filter(|port| port.member == *member)
            .map(|port| port.mapping.clone())
            .collect()
    }

    /// Replaces the ports that a member brought.
    pub fn set_ports(&mut self, member: &Name, ports: &[PortMapping]) {
        self.ports.retain(|port| port.member != *member);
        self.ports.extend(ports.iter().map(|mapping| SandboxPort {
            mapping: mapping.clone(),
            member: member.clone(),
        }));
    }
}

/// What `--add-host` calls the address that the host has on the sandbox's network.
pub const HOST_GATEWAY: &str = "host-gateway";

/// What a sandbox is called on its network besides its own name, and what it finds by name besides the others there:
/// each as `OPTION VALUE`, those of one option together.
///
/// `network-alias NAME`; `add-host NAME:ADDRESS` or `NAME:host-gateway`; `dns ADDRESS` and `dns-search DOMAIN`, with `.`
/// for none, and `dns-option WORD`, which take the place of what the host's /etc/resolv.conf says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl Json for Names {
    fn write(&self, out: &mut String) {
        self.0.write(out);
    }

    fn blank() -> Self {
        Names::default()
    }

    fn fill(&mut self, value: &Value) -> Result<(), Wrong> {
        self.0.fill(value)
    }

    fn may_be_absent(&self) -> bool {
        true
    }
}

impl Names {
    /// What was asked for with an option.
    pub fn of(&self, option: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(move |entry| {
            let (name, value) = entry.split_once(' ')?;
            (name == option).then_some(value)
        })
    }

    /// Whether anything was asked for with an option.
    pub fn has(&self, option: &str) -> bool {
        self.of(option).next().is_some()
    }
}

/// A published port of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxPort {
    /// What leads where.
    pub mapping: PortMapping,
    /// The member that brought it: a take-over replaces its own, and keeps the others'.
    pub member: Name,
}
json_object!(SandboxPort { mapping, member });

/// A sandbox's attachment to a network.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The endpoint's id.
    pub id: Id,
    /// The network's name.
    pub network: Name,
    /// The network's id.
    pub network_id: Id,
    /// The interface inside: `eth0`.
    pub ifname: IfName,
    /// The host's end: `nc` and ten random hex digits.
    pub link: IfName,
    /// The MAC inside.
    pub mac: Mac,
    /// The addresses inside with their subnets' prefixes, at most one of each family.
    pub addresses: Vec<Cidr>,
    /// The gateways of the default routes, at most one of each family: none on an internal network.
    pub gateways: Vec<IpAddr>,
    /// The MTU, in bytes.
    pub mtu: u32,
    /// Nothing at the bridge's port keeps it from sending from other addresses than its own.
    pub unguarded: bool,
    /// It may send from other MACs and addresses than its own.
    pub allow_spoof: bool,
    /// The addresses that were asked for (`--ip`, `--ip6`).
    pub asked: Vec<IpAddr>,
}
json_object!(Endpoint {
    id,
    network,
    network_id,
    ifname,
    link,
    mac,
    addresses,
    gateways,
    mtu,
    unguarded,
    allow_spoof,
    asked
});

impl Endpoint {
    /// Its IPv4 address, or its IPv6 address.
    pub fn address(&self, ipv4: bool) -> Option<&Cidr> {
        self.addresses
            .iter()
            .find(|address| address.addr.is_ipv4() == ipv4)
    }

    /// The gateway of that family.
    pub fn gateway(&self, ipv4: bool) -> Option<&IpAddr> {
        self.gateways.iter().find(|addr| addr.is_ipv4() == ipv4)
    }
}
