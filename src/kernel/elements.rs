//! What netcell's tables have at one moment: every element of their sets and maps, and whether each table is whole.
//!
//! Whole is a table that has all its chains, and in each at least as many rules as it was made with. In `user_forward` the
//! owner's are: none is expected there.

use super::element::Element;
use super::nft::{self, TABLE, data, header, kind};
use super::sets::{Field, SetDef};
use super::sockets::{Sockets, plain};
use super::uapi::nf_tables::*;
use super::{Channel, Lookup, Operation, guard, ruleset};
use crate::error::{Errno, Result};
use crate::netlink::{Attribute, Batch, Message, TransactError, attributes, flags, messages};
use crate::types::{IfName, PortMapping, any};
use std::fmt;
use std::net::IpAddr;

/// An element: its family and set, its key, of intervals both ends; and what it leads to.
type Held = (Vec<u8>, Vec<u8>);

/// The elements of netcell's tables.
#[derive(Debug, Default)]
pub struct Elements {
    /// By key.
    held: Vec<Held>,
    inet: bool,
    bridge: bool,
}

/// A chain, and how many rules it has.
type Chains = Vec<(String, usize)>;

impl Elements {
    /// Those of the host.
    pub fn of_host(sockets: &mut Sockets) -> Result<Self> {
        let mut found = Elements::default();
        let inet = ruleset::SETS.iter().map(|set| (NFPROTO_INET, set));
        let guard = guard::SETS.iter().map(|set| (NFPROTO_BRIDGE, set));
        for (family, set) in inet.chain(guard) {
            found.held.extend(in_set(sockets, family, set)?);
        }
        found.held.sort_unstable();
        let mut made = Batch::default();
        ruleset::encode(&mut made, false);
        found.inet = is_whole(sockets, NFPROTO_INET, &mut made)?;
        made.clear();
        guard::encode(&mut made, false);
        found.bridge = is_whole(sockets, NFPROTO_BRIDGE, &mut made)?;
        Ok(found)
    }

    /// Whether the table of a family has all chains and rules.
    pub fn is_whole(&self, family: u8) -> bool {
        match family {
            NFPROTO_BRIDGE => self.bridge,
            _ => self.inet,
        }
    }

    /// What an element leads to, which for one of a set is nothing; none where it is not there.
    pub(super) fn get(&self, element: &Element) -> Option<&[u8]> {
        let wanted = element.name_in_table();
        let at = self.held.binary_search_by(|(key, _)| key.cmp(&wanted));
        Some(&self.held.get(at.ok()?)?.1)
    }

    /// Whether a published port leads anywhere.
    pub(super) fn leads(&self, port: &PortMapping) -> bool {
        let (mapping, to) = (port.clone(), any(port.host_ip));
        self.get(&Element::Publish { mapping, to }).is_some()
    }

    /// The sandbox's port that a published one leads to.
    pub fn port_behind(&self, port: &PortMapping) -> Option<u16> {
        let (mapping, to) = (port.clone(), any(port.host_ip));
        let data = self.get(&Element::Publish { mapping, to })?;
        let (_, port) = data.split_at_checked(if to.is_ipv4() { 4 } else { 16 })?;
        Some(u16::from_be_bytes(*port.first_chunk()?))
    }

    /// The elements that name a port of a sandbox at its bridge, each with the port.
    pub fn of_ports(&self) -> Vec<(IfName, DropElement)> {
        let mut found = Vec::new();
        for set in &guard::SETS {
            // What cuts a port off goes by itself.
            if set.name == "gone" {
                continue;
            }
            for (element, _) in self.in_set(NFPROTO_BRIDGE, set) {
                if let Some(port) = element.link() {
                    found.push((port, element));
                }
            }
        }
        found
    }

    /// The elements that name a bridge, twice where there are two names, each with the bridge.
    pub fn of_bridges(&self) -> Vec<(IfName, DropElement)> {
        let mut found = Vec::new();
        for set in &ruleset::SETS {
            if !set.to.is_empty() || set.key[0] != Field::Link {
                continue;
            }
            for (element, _) in self.in_set(NFPROTO_INET, set) {
                let one = set.key.get(1) != Some(&Field::Link)
                    || element.key.get(..16) == element.key.get(16..);
                if let (true, Some(bridge)) = (one, element.link()) {
                    found.push((bridge, element));
                }
            }
        }
        found
    }

    /// The published ports, each with the address and the port that it leads to.
    pub fn published(&self) -> Vec<(IpAddr, DropElement)> {
        let mut found = Vec::new();
        for set in ruleset::SETS.iter().filter(|set| !set.to.is_empty()) {
            let width = if set.to[0] == Field::V4 { 4 } else { 16 };
            for (element, to) in self.in_set(NFPROTO_INET, set) {
                if let Some(to) = to.get(..width).and_then(field) {
                    found.push((to, element));
                }
            }
        }
        found
    }

    /// A set's elements, each with what it leads to.
    fn in_set(&self, family: u8, set: &'static SetDef) -> Vec<(DropElement, &[u8])> {
        let begin = beginning(family, set.name);
        let mut found = Vec::new();
        for (key, to) in &self.held {
            if let Some(key) = key.strip_prefix(begin.as_slice()) {
                let key = key.to_vec();
                found.push((DropElement { family, set, key }, to.as_slice()));
            }
        }
        found
    }

    pub(super) fn assume_whole(&mut self) {
        (self.inet, self.bridge) = (true, true);
    }
}

/// What the names of a set's elements begin with.
pub(super) fn beginning(family: u8, set: &str) -> Vec<u8> {
    let mut name = Vec::with_capacity(64);
    name.push(family);
    name.extend_from_slice(set.as_bytes());
    name.push(0);
    name
}

/// A dump; nothing where the table, the set or the whole subsystem is not there.
fn list<T>(
    sockets: &mut Sockets,
    (family, message): (u8, u16),
    names: &[(u16, &str)],
    read: impl Fn(&Message) -> Option<T>,
) -> Result<Vec<T>> {
    let ask = |batch: &mut Batch, flags| {
        batch.message(kind(message), flags, &header(family), |a| {
            names.iter().for_each(|(kind, name)| a.str(*kind, name));
        });
    };
    match sockets.netfilter()?.dump(ask, read) {
        Err(TransactError::Rejected(rejected)) if rejected.errno == Errno::NOENT => Ok(Vec::new()),
        found => found.map_err(|error| plain(error, "list what table netcell has")),
    }
}

fn in_set(sockets: &mut Sockets, family: u8, set: &SetDef) -> Result<Vec<Held>> {
    let names = [
        (NFTA_SET_ELEM_LIST_TABLE, TABLE),
        (NFTA_SET_ELEM_LIST_SET, set.name),
    ];
    let read = |message: &Message| {
        let mut some = Vec::new();
        for element in nft::listed(message)? {
            some.push(held(family, set.name, &element));
        }
        Some(some)
    };
    let mut all = Vec::new();
    for some in list(sockets, (family, NFT_MSG_GETSETELEM), &names, read)? {
        all.extend(some);
    }
    Ok(all)
}

fn held(family: u8, set: &str, element: &Attribute) -> Held {
    let value = |wanted| {
        let value = nft::inner(element, wanted).and_then(|a| nft::inner(&a, NFTA_DATA_VALUE));
        value.map_or(&[][..], |a| a.value)
    };
    let mut key = beginning(family, set);
    key.extend_from_slice(value(NFTA_SET_ELEM_KEY));
    key.extend_from_slice(value(NFTA_SET_ELEM_KEY_END));
    (key, value(NFTA_SET_ELEM_DATA).to_vec())
}

/// Whether a table has what the messages that make it would give it.
fn is_whole(sockets: &mut Sockets, family: u8, made: &mut Batch) -> Result<bool> {
    let mut wanted = Chains::new();
    for message in messages(made.finish(1)) {
        count(chain_of(&message), &mut wanted);
    }
    let mut there = Chains::new();
    for (message, of) in [
        (NFT_MSG_GETCHAIN, NFTA_CHAIN_TABLE),
        (NFT_MSG_GETRULE, NFTA_RULE_TABLE),
    ] {
        for found in list(sockets, (family, message), &[(of, TABLE)], chain_of)? {
            count(Some(found), &mut there);
        }
    }
    let has = |(name, rules): &(String, usize)| {
        let mut there = there.iter();
        there.any(|(other, count)| other == name && count >= rules)
    };
    Ok(wanted.iter().all(has))
}

/// The name of a chain of netcell's table, and whether the message is about a rule in it.
pub(super) fn chain_of(message: &Message) -> Option<(String, bool)> {
    let text = |wanted: u16| {
        let mut all = attributes(message.body.get(4..)?);
        all.find(|a| a.kind == wanted)?.str()
    };
    let is_rule = message.kind == kind(NFT_MSG_NEWRULE);
    let name = match is_rule {
        true => NFTA_RULE_CHAIN,
        false if message.kind == kind(NFT_MSG_NEWCHAIN) => NFTA_CHAIN_NAME,
        false => return None,
    };
    // A table is the first attribute of either, and so is named by the same number.
    let table = text(NFTA_CHAIN_TABLE).filter(|table| *table == TABLE);
    Some((text(name).filter(|_| table.is_some())?.to_owned(), is_rule))
}

/// Counts a chain, or a rule of one that is known.
fn count(found: Option<(String, bool)>, chains: &mut Chains) {
    let Some((name, is_rule)) = found else { return };
    match chains.iter_mut().find(|(chain, _)| *chain == name) {
        Some((_, rules)) => *rules += usize::from(is_rule),
        None if is_rule => {}
        None => chains.push((name, 0)),
    }
}

impl nft::AddElement {
    /// What is to be done for it, beside what is there.
    pub(super) fn missing(&self, now: &Elements) -> super::Holds {
        let element = &self.0;
        let again = || nft::RestoreElement(element.clone()).into();
        match now.get(element) {
            None => super::Holds::Partly(vec![again()]),
            Some(data) if data == element.data().as_slice() => super::Holds::Yes,
            // Somebody made it lead elsewhere.
            Some(_) => super::Holds::Partly(vec![nft::DelElement(element.clone()).into(), again()]),
        }
    }
}

fn field(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(<[u8; 4]>::try_from(bytes).ok()?.into()),
        _ => Some(<[u8; 16]>::try_from(bytes).ok()?.into()),
    }
}

/// Takes an element out that was found there, and is nobody's.
#[derive(Debug, Clone)]
pub struct DropElement {
    family: u8,
    set: &'static SetDef,
    /// Of intervals both ends.
    key: Vec<u8>,
}

/// What tells an element from all others.
pub fn key_of(element: &Element) -> Vec<u8> {
    element.name_in_table()
}

impl DropElement {
    /// What tells it from all others, as [`key_of`] has it.
    pub fn name(&self) -> Vec<u8> {
        let mut name = beginning(self.family, self.set.name);
        name.extend_from_slice(&self.key);
        name
    }

    /// The link that its key begins with.
    fn link(&self) -> Option<IfName> {
        let name = self.key.get(..16)?.split(|byte| *byte == 0).next()?;
        std::str::from_utf8(name).ok()?.parse().ok()
    }

    /// The key, and of intervals its end.
    fn ends(&self) -> (&[u8], Option<&[u8]>) {
        match self.set.flags & NFT_SET_INTERVAL {
            0 => (&self.key, None),
            _ => {
                let (first, last) = self.key.split_at(self.key.len() / 2);
                (first, Some(last))
            }
        }
    }
}

impl fmt::Display for DropElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.family == NFPROTO_BRIDGE {
            "bridge"
        } else {
            "inet"
        };
        write!(
            f,
            "nft delete element {family} {TABLE} {} '{{ ",
            self.set.name
        )?;
        let (first, last) = self.ends();
        let mut at = 0;
        for (number, kind) in self.set.key.iter().enumerate() {
            let length = kind.length();
            let end = at + length;
            let value = |key: &[u8]| kind.show(key.get(at..end).unwrap_or_default());
            let from = value(first);
            f.write_str(if number > 0 { " . " } else { "" })?;
            match last.map(value).filter(|to| *to != from) {
                Some(to) => write!(f, "{from}-{to}")?,
                None => f.write_str(&from)?,
            }
            at = end.next_multiple_of(4);
        }
        f.write_str(" }'")
    }
}

impl Operation for DropElement {
    fn channel(&self) -> Channel {
        Channel::Nftables
    }

    fn encode(&self, batch: &mut Batch, _: &mut dyn Lookup) -> Result<()> {
        let (first, last) = self.ends();
        let message = kind(NFT_MSG_DELSETELEM);
        batch.request(message, flags::NONE, &header(self.family), |a| {
            a.str(NFTA_SET_ELEM_LIST_TABLE, TABLE);
            a.str(NFTA_SET_ELEM_LIST_SET, self.set.name);
            a.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |a| {
                a.nest(NFTA_LIST_ELEM, |a| {
                    data(a, NFTA_SET_ELEM_KEY, first);
                    if let Some(last) = last {
                        data(a, NFTA_SET_ELEM_KEY_END, last);
                    }
                });
            });
        });
        Ok(())
    }
}
