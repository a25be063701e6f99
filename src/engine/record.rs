//! What is known of a container, a sandbox and a network: the JSON records in the state directory.
//!
//! A record is written whole and renamed into place; a container's record (a bare sandbox's own) is the commit of the
//! operation that wrote it. Records of another boot are nobody's: their kernel objects are gone.

use crate::engine::settings::Settings;
use crate::engine::spec::Image;
use crate::engine::store::Process;
use crate::types::json::{Json, Wrong, json_object};
use crate::types::{Cidr, Id, IfName, Labels, Mac, Name, PortMapping};
use std::net::IpAddr;

/// The version of the records that this netcell writes and reads.
pub const VERSION: u32 = 1;

/// Nanoseconds since 1970, UTC.
pub type UnixNanos = u64;

/// `containers/NAME/record.json`.
#[derive(Debug, Clone)]
pub struct ContainerRecord {
    /// [`VERSION`].
    pub version: u32,
    /// /proc/sys/kernel/random/boot_id of the boot that wrote it.
    pub boot: String,
    /// Counts the changing operations on this container; intents name it.
    pub generation: u32,
    /// The container's id.
    pub id: Id,
    /// The container's name.
    pub name: Name,
    /// The sandbox it is a member of; none with `--network host`.
    pub sandbox: Option<Name>,
    /// The network mode as Docker's HostConfig.NetworkMode says it: `bridge`, `none`, `host`, a network's name, `container:<id>`.
    pub network_mode: String,
    /// The ports it asked for itself.
    pub publish: Vec<PortMapping>,
    /// Its root filesystem.
    pub image: Image,
    /// Program and arguments.
    pub command: Vec<String>,
    /// The whole environment, in order.
    pub env: Vec<String>,
    /// Working directory; the root when absent.
    pub workdir: Option<String>,
    /// `USER[:GROUP]` as typed.
    pub user: Option<String>,
    /// The UTS host name.
    pub hostname: String,
    /// When it was created.
    pub created: UnixNanos,
    /// Remove it when its process ends.
    pub auto_remove: bool,
    /// Whether its stdin was kept open.
    pub interactive: bool,
    /// Whether it has a terminal.
    pub terminal: bool,
    /// The most the log may keep, in bytes.
    pub log_max: u64,
    /// What its user has called it, beside its name.
    pub labels: Labels,
    /// What else it is set to; none for nothing.
    pub settings: Option<Settings>,
    /// The file of `apply` that it came from; none for one made by hand.
    pub applied: Option<String>,
    /// What its restart policy has come to; none before its first end, or a start by hand.
    pub again: Option<Again>,
    /// Its last start; none while it has never run.
    pub start: Option<Start>,
    /// Why the last start failed to execute the command, if it did.
    pub failure: Option<Failure>,
}
json_object!(ContainerRecord {
    version,
    boot,
    generation,
    id,
    name,
    sandbox,
    network_mode,
    publish,
    image,
    command,
    env,
    workdir,
    user,
    hostname,
    created,
    auto_remove,
    interactive,
    terminal,
    log_max,
    labels,
    settings,
    applied,
    again,
    start,
    failure
});

impl ContainerRecord {
    /// What else it is set to.
    pub fn settings(&self) -> &Settings {
        self.settings.as_ref().unwrap_or(Settings::NONE)
    }
}

/// One start of a container.
#[derive(Debug, Clone)]
pub struct Start {
    /// When.
    pub at: UnixNanos,
    /// PID 1 of the container, as the host numbers it.
    pub pid: u32,
    /// Its start time in clock ticks since boot (field 22 of /proc/PID/stat, proc(5)): tells a reused pid.
    pub pid_start: u64,
    /// The monitor's pid.
    pub monitor: u32,
    /// The `run` that stays with it, until it ends or leaves it on purpose.
    pub foreground: Option<Process>,
}
json_object!(Start {
    at,
    pid,
    pid_start,
    monitor,
    foreground
});

/// Starts by a policy.
#[derive(Debug, Clone, Default)]
pub struct Again {
    /// How many there were since the last one by hand.
    pub count: u32,
    /// The pause before the last one, in nanoseconds.
    pub pause: u64,
    /// When the next one is due, while it is waited for.
    pub due: Option<UnixNanos>,
    /// The user wants no more of them.
    pub stopped: bool,
}
json_object!(Again {
    count,
    pause,
    due,
    stopped
});

/// A start whose command could not be executed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// 126 or 127.
    pub code: u8,
    /// The sentence.
    pub text: String,
}
json_object!(Failure { code, text });

/// How a container's process ended: the content of its `exit` file.
#[derive(Debug, Clone, Copy)]
pub struct Exit {
    /// The exit status, or 128 plus the signal.
    pub code: u8,
    /// When.
    pub at: UnixNanos,
}
json_object!(Exit { code, at });

/// `sandboxes/NAME/record.json`.
#[derive(Debug, Clone)]
pub struct SandboxRecord {
    /// [`VERSION`].
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

    fn fill(&mut self, value: &crate::types::tree::Value) -> Result<(), Wrong> {
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

/// A subnet of a network.
#[derive(Debug, Clone)]
pub struct Subnet {
    /// The subnet.
    pub subnet: Cidr,
    /// The bridge's address in it.
    pub gateway: IpAddr,
    /// The part of it that sandboxes' addresses are taken from; all of it when absent.
    pub range: Option<Cidr>,
}
json_object!(Subnet {
    subnet,
    gateway,
    range
});

/// `networks/NAME/record.json`.
#[derive(Debug, Clone)]
pub struct NetworkRecord {
    /// [`VERSION`].
    pub version: u32,
    /// The boot that wrote it.
    pub boot: String,
    /// The network's id.
    pub id: Id,
    /// Its name.
    pub name: Name,
    /// When it was created.
    pub created: UnixNanos,
    /// The bridge: `netcell0` for the default network.
    pub link: IfName,
    /// The bridge's MAC.
    pub mac: Mac,
    /// Its subnets, at most one of each family, IPv4 first.
    pub subnets: Vec<Subnet>,
    /// The MTU of its links, in bytes.
    pub mtu: u32,
    /// Its sandboxes have no default route, and reach and are reached by each other and the host alone.
    pub internal: bool,
    /// What leaves by another interface keeps its source address.
    pub no_masquerade: bool,
    /// Its sandboxes do not reach each other.
    pub isolate: bool,
    /// Forwarding is not turned on for it.
    pub no_forwarding: bool,
    /// `KEY=VALUE` each, by key.
    pub labels: Vec<String>,
    /// The kernel has no nf_tables for bridges: nothing guards the ports but each sandbox's own settings.
    pub unguarded: bool,
    /// The file of `apply` that it came from; none for one made by hand.
    pub applied: Option<String>,
}
json_object!(NetworkRecord {
    version,
    boot,
    id,
    name,
    created,
    link,
    mac,
    subnets,
    mtu,
    internal,
    no_masquerade,
    isolate,
    no_forwarding,
    labels,
    unguarded,
    applied
});

impl NetworkRecord {
    /// Its IPv4 subnet, or its IPv6 subnet.
    pub fn subnet(&self, ipv4: bool) -> Option<&Subnet> {
        self.subnets
            .iter()
            .find(|part| part.gateway.is_ipv4() == ipv4)
    }
}
