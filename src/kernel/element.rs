//! The elements of the sets and maps of netcell's tables: what differs from network to network, from sandbox to
//! sandbox, from port to port.

use super::nft::{TABLE, data, header, kind};
use super::uapi::nf_tables::*;
use crate::netlink::{Attributes, Batch};
use crate::types::{Cidr, IfName, Mac, PortMapping};
use neli::consts::nl::NlmF;
use std::fmt;
use std::net::IpAddr;

/// An element of one of the tables' sets and maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    /// A published port, in one of the maps `publish…` of the family of the host's end.
    Publish {
        /// The host's end and the port inside.
        mapping: PortMapping,
        /// The sandbox's address, of the same family.
        to: IpAddr,
    },
    /// A network's bridge, in `bridges`.
    Bridge(IfName),
    /// A bridge with itself, in `siblings`: between ports of one bridge everything passes.
    Siblings(IfName),
    /// The same, in `isolated`: between ports of one bridge nothing passes, published or not.
    Isolated(IfName),
    /// The bridge of an internal network, in `internal`.
    Internal(IfName),
    /// A bridge and a subnet of it, in `local4` or `local6`.
    Local(IfName, Cidr),
    /// The same, in `masquerade4` or `masquerade6`: what leaves by another interface gets that one's address.
    Masquerade(IfName, Cidr),
    /// IPv4 (true) or IPv6, in `no_transit`: netcell itself turned its forwarding on.
    NoTransit(bool),
    /// A bridge's port and the MAC that it may send from, in `macs` of the guard.
    Mac(IfName, Mac),
    /// A bridge's port and an address that it may send from, in `own4` or `own6` of the guard.
    Own(IfName, IpAddr),
    /// A bridge's port and the IPv6 address that it may answer for, in `targets6` of the guard.
    Target(IfName, IpAddr),
    /// A bridge's port that may send from any, in `free` of the guard.
    Free(IfName),
    /// The port of a sandbox that was removed, in `gone` of the guard: nothing passes it.
    Gone(IfName),
}

impl Element {
    /// The set or map.
    pub fn set(&self) -> &'static str {
        let of = |ipv4: bool, four, six| if ipv4 { four } else { six };
        match self {
            Element::Publish { mapping, .. } => {
                let ipv4 = mapping.host_ip.is_ipv4();
                if mapping.on.is_some() {
                    of(ipv4, "publish4_on", "publish6_on")
                } else if mapping.from.is_some() {
                    of(ipv4, "publish4_from", "publish6_from")
                } else if mapping.host_ip.is_unspecified() {
                    of(ipv4, "publish4", "publish6")
                } else {
                    of(ipv4, "publish4_addr", "publish6_addr")
                }
            }
            Element::Bridge(_) => "bridges",
            Element::Siblings(_) => "siblings",
            Element::Isolated(_) => "isolated",
            Element::Internal(_) => "internal",
            Element::Local(_, subnet) => of(subnet.addr.is_ipv4(), "local4", "local6"),
            Element::Masquerade(_, subnet) => {
                of(subnet.addr.is_ipv4(), "masquerade4", "masquerade6")
            }
            Element::NoTransit(_) => "no_transit",
            Element::Mac(..) => "macs",
            Element::Own(_, address) => of(address.is_ipv4(), "own4", "own6"),
            Element::Target(..) => "targets6",
            Element::Free(_) => "free",
            Element::Gone(_) => "gone",
        }
    }

    /// The family of its table: the guard's, or inet.
    pub(super) fn family(&self) -> u8 {
        if self.is_of_port() {
            NFPROTO_BRIDGE
        } else {
            NFPROTO_INET
        }
    }

    /// Whether it is of one sandbox's port at a bridge.
    fn is_of_port(&self) -> bool {
        matches!(
            self,
            Element::Mac(..)
                | Element::Own(..)
                | Element::Target(..)
                | Element::Free(_)
                | Element::Gone(_)
        )
    }

    /// Whether it is made and goes with one sandbox: then it is new when it is made, and is taken back after a failure.
    pub(super) fn is_of_sandbox(&self) -> bool {
        self.is_of_port() || matches!(self, Element::Publish { .. })
    }

    /// Whether its set has timeouts, so that it can be let run out.
    pub(super) fn can_expire(&self) -> bool {
        self.is_of_port()
            || matches!(self, Element::Publish { mapping, .. } if !mapping.is_limited())
    }

    /// The bridge whose network it is a part of.
    pub(super) fn bridge(&self) -> Option<&IfName> {
        match self {
            Element::Bridge(bridge)
            | Element::Siblings(bridge)
            | Element::Isolated(bridge)
            | Element::Internal(bridge)
            | Element::Local(bridge, _)
            | Element::Masquerade(bridge, _) => Some(bridge),
            _ => None,
        }
    }

    /// The key, each of its fields padded to four bytes; of intervals their first or their last.
    fn key(&self, last: bool) -> heapless::Vec<u8, 64> {
        let mut key = Key(heapless::Vec::new());
        let end = |range: &Cidr| if last { range.last() } else { range.addr };
        match self {
            Element::Publish { mapping, .. } => {
                let port = |key: &mut Key| {
                    key.put(&[mapping.proto.number()]);
                    key.put(&mapping.host_port.to_be_bytes());
                };
                if mapping.is_limited() {
                    port(&mut key);
                    mapping.on.iter().for_each(|on| key.put(&on.padded()));
                    limits(mapping)
                        .iter()
                        .for_each(|range| key.addr(end(range)));
                } else if mapping.host_ip.is_unspecified() {
                    port(&mut key);
                } else {
                    key.addr(mapping.host_ip);
                    port(&mut key);
                }
            }
            Element::Bridge(link)
            | Element::Internal(link)
            | Element::Free(link)
            | Element::Gone(link) => {
                key.put(&link.padded());
            }
            Element::Siblings(bridge) | Element::Isolated(bridge) => {
                key.put(&bridge.padded());
                key.put(&bridge.padded());
            }
            Element::Local(bridge, subnet) | Element::Masquerade(bridge, subnet) => {
                key.put(&bridge.padded());
                key.addr(end(subnet));
            }
            Element::NoTransit(ipv4) => {
                key.0
                    .push(if *ipv4 { NFPROTO_IPV4 } else { NFPROTO_IPV6 })
                    .ok();
            }
            Element::Mac(link, mac) => {
                key.put(&link.padded());
                key.put(&mac.0);
            }
            Element::Own(link, address) | Element::Target(link, address) => {
                key.put(&link.padded());
                key.addr(*address);
            }
        }
        key.0
    }

    fn has_intervals(&self) -> bool {
        match self {
            Element::Publish { mapping, .. } => mapping.is_limited(),
            element => matches!(element, Element::Local(..) | Element::Masquerade(..)),
        }
    }

    /// Writes what finds the element.
    fn encode_key(&self, a: &mut Attributes) {
        data(a, NFTA_SET_ELEM_KEY, &self.key(false));
        if self.has_intervals() {
            data(a, NFTA_SET_ELEM_KEY_END, &self.key(true));
        }
    }

    /// What tells it from all elements of netcell's tables.
    pub(super) fn name_in_table(&self) -> Vec<u8> {
        let mut name = super::elements::beginning(self.family(), self.set());
        name.extend_from_slice(&self.key(false));
        if self.has_intervals() {
            name.extend_from_slice(&self.key(true));
        }
        name
    }

    /// What a map's element leads to; of a set's, nothing.
    pub(super) fn data(&self) -> heapless::Vec<u8, 64> {
        let mut data = Key(heapless::Vec::new());
        if let Element::Publish { mapping, to } = self {
            data.addr(*to);
            data.put(&mapping.container_port.to_be_bytes());
        }
        data.0
    }

    /// Writes what a map's element leads to.
    pub(super) fn encode_data(&self, a: &mut Attributes) {
        if let Element::Publish { .. } = self {
            data(a, NFTA_SET_ELEM_DATA, &self.data());
        }
    }

    pub(super) fn message(
        &self,
        batch: &mut Batch,
        message: u16,
        flags: NlmF,
        more: &dyn Fn(&mut Attributes),
    ) {
        batch.request(kind(message), flags, &header(self.family()), |a| {
            self.list(a, more)
        });
    }

    /// Names the set and, alone in its list, the element.
    pub(super) fn list(&self, a: &mut Attributes, more: &dyn Fn(&mut Attributes)) {
        a.str(NFTA_SET_ELEM_LIST_TABLE, TABLE);
        a.str(NFTA_SET_ELEM_LIST_SET, self.set());
        a.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |a| {
            a.nest(NFTA_LIST_ELEM, |a| {
                self.encode_key(a);
                more(a);
            });
        });
    }

    /// The table and the set, as nft's commands name them.
    pub(super) fn place(&self) -> impl fmt::Display {
        let family = if self.is_of_port() { "bridge" } else { "inet" };
        format!("{family} {TABLE} {}", self.set())
    }
}

/// Whom a limited mapping lets through, and at which addresses of the host.
fn limits(mapping: &PortMapping) -> [Cidr; 2] {
    let any = Cidr::all(mapping.host_ip);
    let width = if mapping.host_ip.is_ipv4() { 32 } else { 128 };
    let at = Cidr {
        addr: mapping.host_ip,
        prefix: width,
    };
    [
        mapping.from.unwrap_or(any),
        if mapping.host_ip.is_unspecified() {
            any
        } else {
            at
        },
    ]
}

/// Fields, each padded to four bytes.
struct Key(heapless::Vec<u8, 64>);

impl Key {
    fn put(&mut self, bytes: &[u8]) {
        let end = (self.0.len() + bytes.len()).next_multiple_of(4);
        let fits = self.0.extend_from_slice(bytes).is_ok() && self.0.resize(end, 0).is_ok();
        debug_assert!(fits);
    }

    fn addr(&mut self, address: IpAddr) {
        self.put(&super::addr::octets(address).1);
    }
}

/// As nft writes it between braces.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Publish { mapping, to } => {
                let port = (mapping.proto, mapping.host_port);
                if mapping.is_limited() {
                    write!(f, "{} . {}", port.0, port.1)?;
                    if let Some(on) = &mapping.on {
                        write!(f, " . \"{on}\"")?;
                    }
                    for range in limits(mapping) {
                        write!(f, " . {range}")?;
                    }
                } else {
                    if !mapping.host_ip.is_unspecified() {
                        write!(f, "{} . ", mapping.host_ip)?;
                    }
                    write!(f, "{} . {}", port.0, port.1)?;
                }
                write!(f, " : {to} . {}", mapping.container_port)
            }
            Element::Bridge(link)
            | Element::Internal(link)
            | Element::Free(link)
            | Element::Gone(link) => {
                write!(f, "\"{link}\"")
            }
            Element::Siblings(bridge) | Element::Isolated(bridge) => {
                write!(f, "\"{bridge}\" . \"{bridge}\"")
            }
            Element::Local(bridge, subnet) | Element::Masquerade(bridge, subnet) => {
                write!(f, "\"{bridge}\" . {subnet}")
            }
            Element::NoTransit(true) => f.write_str("ipv4"),
            Element::NoTransit(false) => f.write_str("ipv6"),
            Element::Mac(link, mac) => write!(f, "\"{link}\" . {mac}"),
            Element::Own(link, address) => write!(f, "\"{link}\" . {address}"),
            Element::Target(link, address) => {
                write!(f, "\"{link}\" . {:#034x}", crate::types::bits(*address))
            }
        }
    }
}
