//! A network's record: its bridge and its subnets.

use super::UnixNanos;
use crate::types::json::json_object;
use crate::types::{Cidr, Id, IfName, Mac, Name};
use std::net::IpAddr;

/// `networks/NAME/record.json`.
#[derive(Debug, Clone)]
pub struct NetworkRecord {
    /// [`VERSION`](super::VERSION).
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
