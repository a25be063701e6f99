//! Chains of others that drop forwarded packets. A drop at a hook is final, whatever netcell's own chain says there.
//!
//! Seen are base chains of nf_tables, which those of iptables-nft are as well, and FORWARD of iptables-legacy, with a
//! policy of drop or an unconditional drop or reject as their last rule. A table with a rule about netcell's link is
//! passed over: its owner has seen to it.

use super::nft::{self, TABLE, inner};
use super::sockets::{Sockets, plain};
use super::uapi::nf_tables::*;
use crate::error::Result;
use crate::netlink::{Attribute, Batch, Message, attributes};
use crate::sys::xtables::{self, Filter};
use crate::types::IfName;

/// A chain of somebody else's that drops forwarded packets, sandboxes' among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppingChain {
    /// Its table's family, as nft names it.
    pub family: &'static str,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// It is iptables-legacy's.
    pub legacy: bool,
    /// The names of all chains of its table, which tell whose it is.
    pub beside: Vec<String>,
}

/// The chains of others that drop what is forwarded from or to a link.
pub fn chains_that_drop(
    sockets: &mut Sockets,
    link: &IfName,
    ipv6: bool,
) -> Result<Vec<DroppingChain>> {
    let chains = chains(sockets)?;
    let mut found = Vec::new();
    for chain in &chains {
        let asked = chain.forwards && (ipv6 || chain.family != NFPROTO_IPV6);
        let Some(family) = family_name(chain.family).filter(|_| asked && chain.table != TABLE)
        else {
            continue;
        };
        let (mut drops, mut opened) = (chain.drops, false);
        for rule in rules(sockets, chain, link)? {
            opened |= rule.names_link;
            if rule.chain == chain.name {
                drops = chain.drops || rule.drops_all;
            }
        }
        if drops && !opened {
            let mut beside = Vec::new();
            for mate in &chains {
                if (mate.family, &mate.table) == (chain.family, &chain.table) {
                    beside.push(mate.name.clone());
                }
            }
            found.push(DroppingChain {
                family,
                table: chain.table.clone(),
                name: chain.name.clone(),
                legacy: false,
                beside,
            });
        }
    }
    for six in [false, true] {
        if (ipv6 || !six)
            && let Some(filter) = xtables::filter(six)
        {
            let family = if six { "ip6" } else { "ip" };
            found.extend(legacy(&filter, six, family, link));
        }
    }
    Ok(found)
}

fn family_name(family: u8) -> Option<&'static str> {
    match family {
        NFPROTO_INET => Some("inet"),
        NFPROTO_IPV4 => Some("ip"),
        NFPROTO_IPV6 => Some("ip6"),
        _ => None,
    }
}

/// A chain of nf_tables.
pub(super) struct Chain {
    family: u8,
    table: String,
    name: String,
    /// It is a base chain at the hook forward.
    forwards: bool,
    /// Its policy is drop.
    drops: bool,
}

fn chains(sockets: &mut Sockets) -> Result<Vec<Chain>> {
    let ask = |batch: &mut Batch, flags| {
        batch.message(nft::kind(NFT_MSG_GETCHAIN), flags, &nft::header(0), |_| {})
    };
    sockets
        .netfilter()?
        .dump(ask, chain)
        .map_err(|error| plain(error, "list the host's chains"))
}

pub(super) fn chain(message: &Message) -> Option<Chain> {
    let family = *message.body.first()?;
    let (mut table, mut name, mut hook, mut policy) = (None, None, None, None);
    for a in attributes(message.body.get(4..)?) {
        match a.kind {
            NFTA_CHAIN_TABLE => table = a.str(),
            NFTA_CHAIN_NAME => name = a.str(),
            NFTA_CHAIN_HOOK => hook = inner(&a, NFTA_HOOK_HOOKNUM).and_then(|a| a.be32()),
            NFTA_CHAIN_POLICY => policy = a.be32(),
            _ => {}
        }
    }
    Some(Chain {
        family,
        table: table?.to_owned(),
        name: name?.to_owned(),
        forwards: hook == Some(NF_INET_FORWARD),
        drops: policy == Some(NF_DROP),
    })
}

/// What matters of a rule.
pub(super) struct Rule {
    chain: String,
    /// It is about the link that was asked about.
    names_link: bool,
    /// No packet gets past it.
    drops_all: bool,
}

/// The rules of a chain's table.
fn rules(sockets: &mut Sockets, chain: &Chain, link: &IfName) -> Result<Vec<Rule>> {
    let ask = |batch: &mut Batch, flags| {
        let header = nft::header(chain.family);
        batch.message(nft::kind(NFT_MSG_GETRULE), flags, &header, |a| {
            a.str(NFTA_RULE_TABLE, &chain.table)
        });
    };
    sockets
        .netfilter()?
        .dump(ask, |message| rule(message, &chain.table, link))
        .map_err(|error| plain(error, "list the host's rules"))
}

pub(super) fn rule(message: &Message, table: &str, link: &IfName) -> Option<Rule> {
    let (mut of, mut chain, mut names_link, mut drops_all) = (None, None, false, false);
    for a in attributes(message.body.get(4..)?) {
        match a.kind {
            NFTA_RULE_TABLE => of = a.str(),
            NFTA_RULE_CHAIN => chain = a.str(),
            NFTA_RULE_EXPRESSIONS => {
                names_link = a
                    .nested()
                    .any(|expression| compares_with(&expression, link));
                drops_all = drops_all_packets(&a);
            }
            _ => {}
        }
    }
    // Kernels before 4.20 do not filter a dump.
    (of == Some(table)).then_some(Rule {
        chain: chain?.to_owned(),
        names_link,
        drops_all,
    })
}

/// The name and the data of an expression.
fn parts<'a>(expression: &Attribute<'a>) -> Option<(&'a str, Option<Attribute<'a>>)> {
    let name = inner(expression, NFTA_EXPR_NAME)?.str()?;
    Some((name, inner(expression, NFTA_EXPR_DATA)))
}

/// Whether an expression compares with the link's name, or with what it begins with (`"netcell*"`).
fn compares_with(expression: &Attribute, link: &IfName) -> bool {
    let Some(("cmp", Some(data))) = parts(expression) else {
        return false;
    };
    let equal = inner(&data, NFTA_CMP_OP).and_then(|a| a.be32()) == Some(0);
    let value = inner(&data, NFTA_CMP_DATA).and_then(|a| inner(&a, NFTA_DATA_VALUE));
    equal && value.is_some_and(|a| is_or_begins(a.value, link))
}

/// Whether bytes are a link's name to its end, or a beginning of at least three letters.
fn is_or_begins(bytes: &[u8], link: &IfName) -> bool {
    bytes.len() > 2 && link.padded().starts_with(bytes)
}

/// Whether a rule's expressions match everything and end with a drop or a reject.
fn drops_all_packets(expressions: &Attribute) -> bool {
    let mut drops = false;
    for expression in expressions.nested() {
        match parts(&expression) {
            Some(("counter" | "log", _)) => {}
            Some(("reject", _)) => drops = true,
            // iptables-nft's REJECT is a target of x_tables.
            Some(("target", Some(data))) => {
                drops = inner(&data, NFTA_TARGET_NAME).and_then(|a| a.str()) == Some("REJECT");
                if !drops {
                    return false;
                }
            }
            Some(("immediate", Some(data))) => {
                let verdict =
                    inner(&data, NFTA_IMMEDIATE_DATA).and_then(|a| inner(&a, NFTA_DATA_VERDICT));
                let code = verdict.and_then(|a| inner(&a, NFTA_VERDICT_CODE));
                drops = code.and_then(|a| a.be32()) == Some(NF_DROP);
                if !drops {
                    return false;
                }
            }
            _ => return false,
        }
    }
    drops
}

/// Where things are in an entry of ip_tables or ip6_tables (struct ipt_entry, ip6t_entry).
struct Layout {
    /// Two names and two masks of links, 16 bytes each.
    links: usize,
    /// The length of what is matched without extensions.
    plain: usize,
    /// The offset of the target in the entry, the offset of the next entry: 16 bits each.
    offsets: usize,
}

const IPV4: Layout = Layout {
    links: 16,
    plain: 84,
    offsets: 88,
};
const IPV6: Layout = Layout {
    links: 64,
    plain: 136,
    offsets: 140,
};

/// FORWARD of iptables-legacy, if it drops what is about a link.
fn legacy(
    filter: &Filter,
    ipv6: bool,
    family: &'static str,
    link: &IfName,
) -> Option<DroppingChain> {
    let layout = if ipv6 { IPV6 } else { IPV4 };
    let (mut beside, mut drops, mut at) = (vec!["FORWARD".to_owned()], false, 0);
    while let Some(entry) = filter.entries.get(at..) {
        let offset = |at: usize| {
            let bytes = entry.get(at..at + 2)?;
            Some(usize::from(u16::from_ne_bytes(bytes.try_into().ok()?)))
        };
        let (Some(target), Some(next)) = (offset(layout.offsets), offset(layout.offsets + 2))
        else {
            break;
        };
        let (Some(matched), Some(target_bytes)) =
            (entry.get(..layout.plain), entry.get(target..next))
        else {
            break;
        };
        let name = text(target_bytes.get(2..31)?);
        let about = |i: usize| {
            let links = layout.links + i * 16;
            let (name, mask) = (
                &matched[links..links + 16],
                &matched[links + 32..links + 48],
            );
            let length = mask.iter().take_while(|byte| **byte == 0xff).count();
            is_or_begins(&name[..length], link)
        };
        if about(0) || about(1) {
            return None;
        }
        // Without extensions the target comes behind the offsets, a word and two counters; the least extension has 32 bytes.
        let all = matched.iter().all(|byte| *byte == 0) && target < layout.offsets + 32;
        let verdict = target_bytes.get(32..36)?.try_into().ok()?;
        match name {
            "ERROR" => beside.push(text(target_bytes.get(32..)?).to_owned()),
            _ if !(filter.forward..=filter.policy).contains(&at) || !all => {}
            "REJECT" => drops = true,
            // A verdict is kept as its negative less one; chains are jumped to by positive ones.
            "" => drops |= i32::from_ne_bytes(verdict) == -1,
            _ => {}
        }
        if next == 0 {
            break;
        }
        at += next;
    }
    drops.then(|| DroppingChain {
        family,
        table: "filter".to_owned(),
        name: "FORWARD".to_owned(),
        legacy: true,
        beside,
    })
}

/// Text up to its NUL.
fn text(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|byte| *byte == 0);
    std::str::from_utf8(&bytes[..end.unwrap_or(bytes.len())]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry of ip_tables without extensions: the names of its links, its target, and what the target holds.
    fn entry(from: &str, target: &str, holds: &[u8]) -> Vec<u8> {
        let length: u16 = 112 + 32 + holds.len().next_multiple_of(8) as u16;
        let mut entry = vec![0; usize::from(length)];
        entry[16..16 + from.len()].copy_from_slice(from.as_bytes());
        entry[48..48 + from.len()].fill(0xff);
        entry[88..90].copy_from_slice(&112u16.to_ne_bytes());
        entry[90..92].copy_from_slice(&length.to_ne_bytes());
        entry[114..114 + target.len()].copy_from_slice(target.as_bytes());
        entry[144..144 + holds.len()].copy_from_slice(holds);
        entry
    }

    /// FORWARD with one rule, its policy, and a chain of the owner's behind it.
    fn filter(rule: &[u8], policy: i32) -> Filter {
        let mut entries = rule.to_vec();
        entries.extend(entry("", "", &policy.to_ne_bytes()));
        entries.extend(entry("", "ERROR", b"DOCKER-USER"));
        Filter {
            entries,
            forward: 0,
            policy: rule.len(),
        }
    }

    fn found(filter: &Filter) -> Option<DroppingChain> {
        legacy(filter, false, "ip", &"netcell0".parse().expect("a link"))
    }

    #[test]
    fn legacy_iptables_drop_by_policy_or_by_their_last_rule() {
        const DROP: i32 = -1;
        const ACCEPT: i32 = -2;
        let other = entry("eth7", "", &ACCEPT.to_ne_bytes());
        let dropping = found(&filter(&other, DROP)).expect("the policy drops");
        assert_eq!(dropping.beside, ["FORWARD", "DOCKER-USER"]);
        assert!(dropping.legacy);
        assert_eq!(found(&filter(&other, ACCEPT)), None);
        let reject = entry("", "REJECT", &[0; 8]);
        assert!(found(&filter(&reject, ACCEPT)).is_some());
        let one_links = entry("eth7", "REJECT", &[0; 8]);
        assert_eq!(found(&filter(&one_links, ACCEPT)), None);
        for opened in ["netcell", "netcell0"] {
            let rule = entry(opened, "", &ACCEPT.to_ne_bytes());
            assert_eq!(found(&filter(&rule, DROP)), None, "{opened}");
        }
    }

    #[test]
    fn a_table_cut_off_anywhere_is_read_to_its_end() {
        let whole = filter(&entry("eth7", "REJECT", &[0; 8]), -1);
        for length in 0..whole.entries.len() {
            let entries = whole.entries[..length].to_vec();
            found(&Filter { entries, ..whole });
        }
    }
}
