//! nf_tables on the host: netcell's own table, and the elements of its sets and maps (linux/netfilter/nf_tables.h).
//!
//! Published ports are elements: one look-up whatever their number. Every change of one plan goes in one transaction.

pub use super::element::Element;
use super::ruleset;
use super::snapshot::Snapshot;
use super::uapi::nf_tables::*;
use super::{Channel, Holds, Lookup, Op, Operation};
use crate::error::Result;
use crate::netlink::{Attribute, Attributes, Batch, Message, attributes, flags};
use crate::types::IfName;
use neli::consts::nl::NlmF;
use std::fmt;

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

/// A value, alone in an attribute.
pub(super) fn data(a: &mut Attributes, attribute: u16, value: &[u8]) {
    a.nest(attribute, |a| a.bytes(NFTA_DATA_VALUE, value));
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
pub struct AddTable;

impl fmt::Display for AddTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nft -f - <<'END'\n{}END", ruleset::text())
    }
}

impl Operation for AddTable {
    fn channel(&self) -> Channel {
        Channel::Nftables
    }

    fn encode(&self, batch: &mut Batch, _: &mut dyn Lookup) -> Result<()> {
        ruleset::encode(batch, false);
        Ok(())
    }

    fn holds(&self, now: &Snapshot) -> Holds {
        MendTable(NFPROTO_INET).unless_whole(now.table, now)
    }
}

/// Puts back what a table of netcell's lacks of chains, sets and rules, with all rules of its chains but `user_forward`, in one
/// transaction; its elements stay.
#[derive(Debug, Clone)]
pub struct MendTable(pub u8);

impl MendTable {
    /// Whether a table is there, and if so what it lacks.
    pub(super) fn unless_whole(self, there: bool, now: &Snapshot) -> Holds {
        match &now.elements {
            _ if !there => Holds::No,
            Some(elements) if !elements.is_whole(self.0) => Holds::Partly(vec![self.into()]),
            _ => Holds::Yes,
        }
    }
}

impl fmt::Display for MendTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (family, text) = match self.0 {
            NFPROTO_BRIDGE => ("bridge", super::guard::text()),
            _ => ("inet", ruleset::text()),
        };
        // The chains without their rules first, so that each can be flushed.
        f.write_str("nft -f - <<'END'\n")?;
        let (mut chain, mut chains) = (false, Vec::new());
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("\tchain ") {
                chains.extend(name.split(' ').next());
                chain = true;
            } else if line.starts_with("\t}") {
                chain = false;
            }
            if !chain || !line.starts_with("\t\t") || line.starts_with("\t\ttype ") {
                writeln!(f, "{line}")?;
            }
        }
        for chain in chains.into_iter().filter(|chain| *chain != ruleset::OWNERS) {
            writeln!(f, "flush chain {family} {TABLE} {chain}")?;
        }
        write!(f, "{text}END")
    }
}

impl Operation for MendTable {
    fn channel(&self) -> Channel {
        Channel::Nftables
    }

    fn encode(&self, batch: &mut Batch, _: &mut dyn Lookup) -> Result<()> {
        match self.0 {
            NFPROTO_BRIDGE => super::guard::encode(batch, true),
            _ => ruleset::encode(batch, true),
        }
        Ok(())
    }
}

/// The attribute of a kind within one.
pub(super) fn inner<'a>(attribute: &Attribute<'a>, kind: u16) -> Option<Attribute<'a>> {
    attribute.nested().find(|a| a.kind == kind)
}

/// The elements in one of the answers to a dump of a set.
pub(super) fn listed<'a>(message: &Message<'a>) -> Option<Vec<Attribute<'a>>> {
    let mut elements = Vec::new();
    for list in attributes(message.body.get(4..)?) {
        if list.kind == NFTA_SET_ELEM_LIST_ELEMENTS {
            list.nested().for_each(|element| elements.push(element));
        }
    }
    Some(elements)
}

/// The names of links in one of the answers to a dump of a set of them.
pub(super) fn read_names(message: &Message) -> Option<Vec<IfName>> {
    let mut names = Vec::new();
    for element in listed(message)? {
        let value = inner(&element, NFTA_SET_ELEM_KEY).and_then(|key| inner(&key, NFTA_DATA_VALUE));
        if let Some(Ok(name)) = value.and_then(|value| value.str()).map(str::parse) {
            names.push(name);
        }
    }
    Some(names)
}

/// Adds an element.
#[derive(Debug, Clone)]
pub struct AddElement(pub Element);

impl fmt::Display for AddElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nft add element {} '{{ {} }}'", self.0.place(), self.0)
    }
}

impl Operation for AddElement {
    fn channel(&self) -> Channel {
        Channel::Nftables
    }

    fn encode(&self, batch: &mut Batch, _: &mut dyn Lookup) -> Result<()> {
        // A port that was just withdrawn may still be there, about to expire: adding it must wait until it is gone, or
        // it would go with it (EXCL). The others may be there already.
        let flags = if self.0.is_of_sandbox() {
            flags::create_new()
        } else {
            flags::CREATE
        };
        self.0
            .message(batch, NFT_MSG_NEWSETELEM, flags, &|a| self.0.encode_data(a));
        Ok(())
    }

    fn inverse(&self) -> Option<Op> {
        // What a network's sandboxes share is nobody's to undo.
        self.0
            .is_of_sandbox()
            .then(|| DelElement(self.0.clone()).into())
    }

    fn holds(&self, now: &Snapshot) -> Holds {
        if let Some(elements) = &now.elements {
            return self.missing(elements);
        }
        match self.0.bridge() {
            Some(bridge) if now.has_network(bridge) => Holds::Yes,
            _ => Holds::No,
        }
    }
}

/// Puts an element back that somebody else's flush took away; fine if it is there.
#[derive(Debug, Clone)]
pub struct RestoreElement(pub Element);

impl fmt::Display for RestoreElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nft add element {} '{{ {} }}'", self.0.place(), self.0)
    }
}

impl Operation for RestoreElement {
    fn channel(&self) -> Channel {
        Channel::Nftables
    }

    fn encode(&self, batch: &mut Batch, _: &mut dyn Lookup) -> Result<()> {
        let data = |a: &mut crate::netlink::Attributes| self.0.encode_data(a);
        self.0
            .message(batch, NFT_MSG_NEWSETELEM, flags::CREATE, &data);
        Ok(())
    }
}

/// Takes an element out. Closing the socket afterwards waits 13 to 15 ms for an RCU grace period.
#[derive(Debug, Clone)]
pub struct DelElement(pub Element);

impl fmt::Display for DelElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "nft delete element {} '{{ {} }}'",
            self.0.place(),
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
            .message(batch, NFT_MSG_DELSETELEM, flags::NONE, &|_| {});
        Ok(())
    }

    fn inverse(&self) -> Option<Op> {
        Some(AddElement(self.0.clone()).into())
    }
}

/// Lets nothing more through the bridge's port of a sandbox that goes, at once: by the guard, and not by a message to
/// rtnetlink, which would wait while the kernel sees off the sandbox removed before. The element goes by itself.
#[derive(Debug, Clone)]
pub struct CutOff {
    /// The port.
    pub link: IfName,
}

/// How long, in milliseconds: the link is gone before.
const CUT_OFF: u64 = 1000;

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let element = Element::Gone(self.link.clone());
        let place = element.place();
        write!(
            f,
            "nft add element {place} '{{ {element} timeout {CUT_OFF}ms }}'"
        )
    }
}

impl Operation for CutOff {
    fn channel(&self) -> Channel {
        Channel::Nftables
    }

    fn encode(&self, batch: &mut Batch, _: &mut dyn Lookup) -> Result<()> {
        Element::Gone(self.link.clone()).message(batch, NFT_MSG_NEWSETELEM, flags::CREATE, &|a| {
            a.be64(NFTA_SET_ELEM_TIMEOUT, CUT_OFF);
        });
        Ok(())
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
        if !self.0.can_expire() || !crate::sys::release::at_least(6, 12) {
            return DelElement(self.0.clone()).encode(batch, lookup);
        }
        self.0
            .message(batch, NFT_MSG_NEWSETELEM, flags::CREATE, &|a| {
                self.0.encode_data(a);
                a.be64(NFTA_SET_ELEM_TIMEOUT, 1);
            });
        Ok(())
    }
}
