//! What is asked of the engine: parsed by a face, complete, and not validated again below.

pub use crate::engine::record::{HOST_GATEWAY, Names};
use crate::engine::settings::Settings;
use crate::types::json::json_object;
use crate::types::{Cidr, DetachKeys, IfName, Labels, Mac, Name, PortSpec};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// Where netcell keeps its things; a face fills it from options and the environment.
#[derive(Debug, Clone)]
pub struct Places {
    /// Records, leases, intents: `/run/netcell`.
    pub state: PathBuf,
    /// Root filesystems by name: `/var/lib/netcell/images`.
    pub images: PathBuf,
}

/// The network a sandbox is to have, as `--network` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkMode {
    /// A namespace with `lo` alone.
    None,
    /// No namespace of its own.
    Host,
    /// The sandbox of another container, by name, id or unique id prefix.
    Container(String),
    /// A network by name, id or unique id prefix; `bridge` is made on first use.
    Network(String),
}

/// A container to create, and with `run` to start.
#[derive(Debug, Clone)]
pub struct ContainerSpec {
    /// Its name; generated when absent.
    pub name: Option<Name>,
    /// The image as typed: a name under the image directory, or a path with a slash; `/` is the host's own root.
    pub image: String,
    /// The program and its arguments; empty only for `run` without a command and a bare `create`.
    pub command: Vec<String>,
    /// `KEY=VALUE` entries, in order, added to netcell's defaults.
    pub env: Vec<String>,
    /// The working directory inside; the root when absent.
    pub workdir: Option<String>,
    /// `USER[:GROUP]`, names or numbers; root when absent.
    pub user: Option<String>,
    /// The UTS host name; the short id when absent.
    pub hostname: Option<String>,
    /// The network.
    pub network: NetworkMode,
    /// Aliases, extra hosts, resolvers; none with another's sandbox or the host's network.
    pub names: Names,
    /// Ports to publish.
    pub publish: Vec<PortSpec>,
    /// What its attachment to the network is to be.
    pub endpoint: EndpointSpec,
    /// Remove the container when its process ends.
    pub auto_remove: bool,
    /// Keep stdin open.
    pub interactive: bool,
    /// Give it a terminal.
    pub terminal: bool,
    /// The most that the log may keep, in bytes, in two files together.
    pub log_max: u64,
    /// What its user calls it, beside its name.
    pub labels: Labels,
    /// What else it is set to; none for nothing.
    pub settings: Option<Settings>,
    /// The file of `apply` that asks for it.
    pub applied: Option<String>,
}

/// How a command stays with a container's process.
#[derive(Debug, Clone)]
pub struct Stay {
    /// Hand the command's stdin on, where the container keeps its own open.
    pub stdin: bool,
    /// Which outputs come here: stdout, stderr. A terminal has one for both.
    pub streams: [bool; 2],
    /// Hand its signals on.
    pub proxy: bool,
    /// What leaves a terminal without ending its program.
    pub keys: DetachKeys,
}

/// A sandbox to create without any container.
#[derive(Debug, Clone)]
pub struct SandboxSpec {
    /// Its name; generated when absent.
    pub name: Option<Name>,
    /// The host name its files say; the name when absent.
    pub hostname: Option<String>,
    /// The network; host and container modes are refused.
    pub network: NetworkMode,
    /// Aliases, extra hosts, resolvers; none with another's sandbox or the host's network.
    pub names: Names,
    /// Ports to publish.
    pub publish: Vec<PortSpec>,
    /// What its attachment to the network is to be.
    pub endpoint: EndpointSpec,
    /// The file of `apply` that asks for it.
    pub applied: Option<String>,
}

/// A command to run in a container or a bare sandbox.
#[derive(Debug, Clone)]
pub struct ExecSpec {
    /// The program and its arguments; never empty.
    pub command: Vec<String>,
    /// `KEY=VALUE` entries added to the container's own.
    pub env: Vec<String>,
    /// The working directory; the container's when absent.
    pub workdir: Option<String>,
    /// `USER[:GROUP]`; the container's when absent.
    pub user: Option<String>,
    /// Hand stdin on.
    pub interactive: bool,
    /// Give it a terminal.
    pub terminal: bool,
    /// What leaves that without ending the program.
    pub keys: DetachKeys,
    /// Return at once, without its output.
    pub detach: bool,
    /// The caller's own environment, `KEY=VALUE`: what a command in a bare sandbox has.
    pub caller_env: Vec<String>,
}

/// A network to create.
#[derive(Debug, Clone)]
pub struct NetworkSpec {
    /// Its name.
    pub name: Name,
    /// Its subnets, at most one of each family; the first free IPv4 pool where there is none of IPv4.
    pub subnets: Vec<Cidr>,
    /// The bridge's addresses; each subnet's first where there is none in it.
    pub gateways: Vec<IpAddr>,
    /// Parts of the subnets that sandboxes' addresses are taken from.
    pub ranges: Vec<Cidr>,
    /// An IPv6 subnet of netcell's choice where none is given.
    pub ipv6: bool,
    /// No IPv4 subnet of netcell's choice.
    pub no_ipv4: bool,
    /// No way out, and none in.
    pub internal: bool,
    /// Keep the source address of what leaves by another interface.
    pub no_masquerade: bool,
    /// No traffic between its own sandboxes.
    pub isolate: bool,
    /// Do not turn forwarding on.
    pub no_forwarding: bool,
    /// The MTU in bytes; the uplink's when absent.
    pub mtu: Option<u32>,
    /// The bridge's name; the first free `netcellN` when absent.
    pub interface: Option<IfName>,
    /// `KEY=VALUE` each, by key.
    pub labels: Vec<String>,
    /// The file of `apply` that asks for it.
    pub applied: Option<String>,
}

impl NetworkSpec {
    /// With nothing asked for but a name.
    pub fn named(name: Name) -> Self {
        NetworkSpec {
            name,
            subnets: Vec::new(),
            gateways: Vec::new(),
            ranges: Vec::new(),
            ipv6: false,
            no_ipv4: false,
            internal: false,
            no_masquerade: false,
            isolate: false,
            no_forwarding: false,
            mtu: None,
            interface: None,
            labels: Vec::new(),
            applied: None,
        }
    }
}

/// What is asked of a sandbox's attachment to its network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointSpec {
    /// Its IPv4 address.
    pub ip: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub ip6: Option<Ipv6Addr>,
    /// Its MAC; the one that belongs to its address when absent.
    pub mac: Option<Mac>,
    /// It may send from other MACs and addresses than its own.
    pub allow_spoof: bool,
}

impl EndpointSpec {
    /// The addresses that are asked for.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let mut addresses = Vec::new();
        addresses.extend(self.ip.map(IpAddr::V4));
        addresses.extend(self.ip6.map(IpAddr::V6));
        addresses
    }
}

/// An image: a root filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// As it was typed, for lists.
    pub name: String,
    /// The directory; `/` is the host's own root.
    pub root: PathBuf,
}
json_object!(Image { name, root });
