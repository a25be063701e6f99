//! nf_tables on the host: netcell's own table, and the elements of its sets and maps (linux/netfilter/nf_tables.h).
//!
//! Published ports are elements: one look-up whatever their number. Every change of one plan goes in one transaction.

use super::ruleset;
use super::snapshot::Snapshot;
use super::uapi::nf_tables::*;
use super::{Channel, Holds, Lookup, Op, Operation};
use crate::error::Result;
use crate::netlink::{Attributes, Batch, Message, attributes, flags};
use crate::types::{Cidr, IfName, PortMapping};
use neli::consts::nl::NlmF;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// The table's name; its family is inet.
pub const TABLE: &str = "netcell";

/// The set of the networks' bridges.
pub(super) const BRIDGES: &str = "bridges";

/// struct nfgenmsg: family, version, resource.
pub(super) fn header(family: u8) -> [u8; 4] {
    [family, 0, 0, 0]
}

/// The type of a message of the nf_tables subsystem.
pub(super) fn kind(message: u16) -> u16 {
    NFNL_SUBSYS_NFTABLES << 8 | message
}

/// Begins a transaction.
pub fn begin(batch: &mut Batch) {
    batch.message(NFNL_MSG_BATCH_BEGIN, NlmF::REQUEST, &around(), |_| {});
}

/// Ends a transaction.
pub fn end(batch: &mut Batch) {
    batch.message(NFNL_MSG_BATCH_END, NlmF::REQUEST, &around(), |_| {});
}

/// The resource of a transaction's first and last message is the subsystem, big-endian.
fn around() -> [u8; 4] {
    let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
    [0, 0, high, low]
}

/// Makes the host's table with its chains, sets and rules; EEXIST when it is there, and then nothing of it is changed.
#[derive(Debug, Clone)]
pub struct AddTable {
    /// netcell itself turned IPv4 forwarding on: what has nothing to do with it is still not forwarded.
    pub stop_transit: bool,
}

impl fmt::Display for AddTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "nft -f - <<'END'\n{}END",
            ruleset::text(self.stop_transit)
        )
    }
}

impl Operation for AddTable {
    fn channel(&self) -> Channel {
        Channel::Nftables
    }

    fn encode(&self, batch: &mut Batch, _: &mut dyn Lookup) -> Result<()> {
        ruleset::encode(batch, self.stop_transit);
        Ok(())
    }

    fn holds(&self, now: &Snapshot) -> Holds {
        if now.table { Holds::Yes } else { Holds::No }
    }
}

/// An element of one of the table's sets and maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    /// A published port, in `publish4` or, for one address of the host, in `publish4_addr`.
    Publish {
        /// The host's end and the port inside.
        mapping: PortMapping,
        /// The sandbox's address.
        to: Ipv4Addr,
    },
    /// A network's bridge, in `bridges`.
    Bridge(IfName),
    /// A bridge with itself, in `siblings`: between ports of one bridge everything passes.
    Siblings(IfName),
    /// A bridge and its subnet, in `local4`.
    Local(IfName, Cidr),
}

impl Element {
    fn set(&self) -> &'static str {
        match self {
            Element::Publish { mapping, .. } if mapping.host_ip.is_unspecified() => "publish4",
            Element::Publish { .. } => "publish4_addr",
            Element::Bridge(_) => BRIDGES,
            Element::Siblings(_) => "siblings",
            Element::Local(..) => "local4",
        }
    }

    /// The key, each of its fields padded to four bytes.
    fn key(&self) -> heapless::Vec<u8, 32> {
        let mut key = heapless::Vec::new();
        let mut put = |bytes: &[u8]| {
            let fits = key.extend_from_slice(bytes);
            debug_assert!(fits.is_ok());
        };
        match self {
            Element::Publish { mapping, .. } => {
                if !mapping.host_ip.is_unspecified() {
                    put(&mapping.host_ip.octets());
                }
                put(&[mapping.proto.number(), 0, 0, 0]);
                put(&padded(mapping.host_port));
            }
            Element::Bridge(bridge) => put(&bridge.padded()),
            Element::Siblings(bridge) => {
                put(&bridge.padded());
                put(&bridge.padded());
            }
            Element::Local(bridge, subnet) => {
                put(&bridge.padded());
                put(&bounds(subnet).0);
            }
        }
        key
    }

    /// Writes what finds the element.
    fn encode_key(&self, a: &mut Attributes) {
        a.nest(NFTA_SET_ELEM_KEY, |a| a.bytes(NFTA_DATA_VALUE, &self.key()));
        if let Element::Local(bridge, subnet) = self {
            let mut end = [0; 20];
            end[..16].copy_from_slice(&bridge.padded());
            end[16..].copy_from_slice(&bounds(subnet).1);
            a.nest(NFTA_SET_ELEM_KEY_END, |a| a.bytes(NFTA_DATA_VALUE, &end));
        }
    }

    /// Writes what a map's element leads to.
    fn encode_data(&self, a: &mut Attributes) {
        if let Element::Publish { mapping, to } = self {
            let mut data = [0; 8];
            data[..4].copy_from_slice(&to.octets());
            data[4..].copy_from_slice(&padded(mapping.container_port));
            a.nest(NFTA_SET_ELEM_DATA, |a| a.bytes(NFTA_DATA_VALUE, &data));
        }
    }

    fn message(
        &self,
        batch: &mut Batch,
        message: u16,
        flags: NlmF,
        more: impl FnOnce(&mut Attributes),
    ) {
        batch.request(kind(message), flags, &header(NFPROTO_INET), |a| {
            self.list(a, more)
        });
    }

    /// Names the set and, alone in its list, the element.
    pub(super) fn list(&self, a: &mut Attributes, more: impl FnOnce(&mut Attributes)) {
        a.str(NFTA_SET_ELEM_LIST_TABLE, TABLE);
        a.str(NFTA_SET_ELEM_LIST_SET, self.set());
        a.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |a| {
            a.nest(NFTA_LIST_ELEM, |a| {
                self.encode_key(a);
                more(a);
            });
        });
    }
}

/// The names of links in one of the answers to a dump of a set of them.
pub(super) fn read_names(message: &Message) -> Option<Vec<IfName>> {
    let lists =
        attributes(message.body.get(4..)?).filter(|a| a.kind == NFTA_SET_ELEM_LIST_ELEMENTS);
    let keys = lists
        .flat_map(|list| list.nested())
        .flat_map(|element| element.nested())
        .filter(|a| a.kind == NFTA_SET_ELEM_KEY);
    let names = keys
        .flat_map(|key| key.nested())
        .filter(|a| a.kind == NFTA_DATA_VALUE)
        .filter_map(|value| value.str()?.parse().ok());
    Some(names.collect())
}

/// As nft writes it between braces.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Publish { mapping, to } => {
                if !mapping.host_ip.is_unspecified() {
                    write!(f, "{} . ", mapping.host_ip)?;
                }
                write!(
                    f,
                    "{} . {} : {to} . {}",
                    mapping.proto, mapping.host_port, mapping.container_port
                )
            }
            Element::Bridge(bridge) => write!(f, "\"{bridge}\""),
            Element::Siblings(bridge) => write!(f, "\"{bridge}\" . \"{bridge}\""),
            Element::Local(bridge, subnet) => write!(f, "\"{bridge}\" . {subnet}"),
        }
    }
}

fn padded(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

/// The first and the last address of an IPv4 subnet.
fn bounds(subnet: &Cidr) -> ([u8; 4], [u8; 4]) {
    match subnet.subnet().addr {
        IpAddr::V4(first) => {
            let last =
                first.to_bits() | u32::MAX.checked_shr(u32::from(subnet.prefix)).unwrap_or(0);
            (first.octets(), last.to_be_bytes())
        }
        IpAddr::V6(_) => ([0; 4], [0; 4]),
    }
}

/// Adds an element.
#[derive(Debug, Clone)]
pub struct AddElement(pub Element);

impl fmt::Display for AddElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "nft add element inet {TABLE} {} '{{ {} }}'",
            self.0.set(),
            self.0
        )
    }
}

impl Operation for AddElement {
    fn channel(&self) -> Channel {
        Channel::Nftables
    }

    fn encode(&self, batch: &mut Batch, _: &mut dyn Lookup) -> Result<()> {
        // A port that was just withdrawn may still be there, about to expire: adding it must wait until it is gone, or
        // it would go with it (EXCL). The others may be there already.
        let flags = if matches!(self.0, Element::Publish { .. }) {
            flags::create_new()
        } else {
            flags::CREATE
        };
        self.0
            .message(batch, NFT_MSG_NEWSETELEM, flags, |a| self.0.encode_data(a));
        Ok(())
    }

    fn inverse(&self) -> Option<Op> {
        // What a network's sandboxes share is nobody's to undo.
        matches!(self.0, Element::Publish { .. }).then(|| DelElement(self.0.clone()).into())
    }

    fn holds(&self, now: &Snapshot) -> Holds {
        match &self.0 {
            Element::Bridge(bridge) | Element::Siblings(bridge) | Element::Local(bridge, _)
                if now.has_network(bridge) =>
            {
                Holds::Yes
            }
            _ => Holds::No,
        }
    }
}

/// A base chain of somebody else's at the hook forward whose policy is to drop: a drop there is final for everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppingChain {
    /// Its table's family, as nft names it.
    pub family: &'static str,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
}

/// Reads one of the answers to a dump of chains; none for a chain that does not drop forwarded IPv4 packets by policy.
pub fn dropping_chain(message: &Message) -> Option<DroppingChain> {
    let family = match *message.body.first()? {
        NFPROTO_INET => "inet",
        NFPROTO_IPV4 => "ip",
        _ => return None,
    };
    let (mut table, mut name, mut hook, mut policy) = (None, None, None, None);
    for a in attributes(message.body.get(4..)?) {
        match a.kind {
            NFTA_CHAIN_TABLE => table = a.str(),
            NFTA_CHAIN_NAME => name = a.str(),
            NFTA_CHAIN_HOOK => {
                hook = a
                    .nested()
                    .find(|a| a.kind == NFTA_HOOK_HOOKNUM)
                    .and_then(|a| a.be32())
            }
            NFTA_CHAIN_POLICY => policy = a.be32(),
            _ => {}
        }
    }
    let drops = hook == Some(NF_INET_FORWARD) && policy == Some(NF_DROP);
    let (table, name) = (table?.to_owned(), name?.to_owned());
    (drops && table != TABLE).then_some(DroppingChain {
        family,
        table,
        name,
    })
}

/// Takes an element out. Closing the socket afterwards waits 13 to 15 ms for an RCU grace period.
#[derive(Debug, Clone)]
pub struct DelElement(pub Element);

impl fmt::Display for DelElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "nft delete element inet {TABLE} {} '{{ {} }}'",
            self.0.set(),
            self.0
        )
    }
}

impl Operation for DelElement {
    fn channel(&self) -> Channel {
        Channel::Nftables
    }

    fn encode(&self, batch: &mut Batch, _: &mut dyn Lookup) -> Result<()> {
        self.0
            .message(batch, NFT_MSG_DELSETELEM, flags::NONE, |_| {});
        Ok(())
    }

    fn inverse(&self) -> Option<Op> {
        Some(AddElement(self.0.clone()).into())
    }
}

/// Lets an element of a map with timeouts run out: it is gone at the next tick of the kernel's clock, 1 to 10 ms later,
/// and nobody waits for a grace period. Timeouts can be changed since 6.12 (NFT_TRANS_UPD_TIMEOUT in
/// net/netfilter/nf_tables_api.c); an older kernel deletes.
#[derive(Debug, Clone)]
pub struct ExpireElement(pub Element);

impl fmt::Display for ExpireElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        DelElement(self.0.clone()).fmt(f)
    }
}

impl Operation for ExpireElement {
    fn channel(&self) -> Channel {
        Channel::Nftables
    }

    fn encode(&self, batch: &mut Batch, lookup: &mut dyn Lookup) -> Result<()> {
        if !crate::sys::release::at_least(6, 12) {
            return DelElement(self.0.clone()).encode(batch, lookup);
        }
        self.0
            .message(batch, NFT_MSG_NEWSETELEM, flags::CREATE, |a| {
                self.0.encode_data(a);
                a.be64(NFTA_SET_ELEM_TIMEOUT, 1);
            });
        Ok(())
    }
}
