//! The tables and chains of nf_tables in a namespace, whoever made them, with how many rules each has.

use super::nft::{header, kind};
use super::sockets::plain;
use super::uapi::nf_tables::*;
use crate::error::{Errno, Result};
use crate::netlink::{Family, Message, Socket, TransactError, attributes};
use crate::types::json::json_object;

/// A chain.
#[derive(Debug, Clone)]
pub struct Chain {
    /// Its table's family, as nft names it.
    pub family: String,
    /// Its table.
    pub table: String,
    /// Its name; empty where a table has no chain.
    pub name: String,
    /// A base chain's type: `filter`, `nat`, `route`.
    pub kind: Option<String>,
    /// A base chain's hook, as nft names it.
    pub hook: Option<String>,
    /// A base chain's priority; smaller ones come first.
    pub priority: Option<String>,
    /// Whether a base chain drops what none of its rules decided on.
    pub drops: bool,
    /// How many rules it has.
    pub rules: u32,
}
json_object!(Chain {
    family,
    table,
    name,
    kind,
    hook,
    priority,
    drops,
    rules
});

/// Those of the namespace that this process is in; none on a kernel without nf_tables.
pub fn list() -> Result<Vec<Chain>> {
    let socket = &mut match Socket::open(Family::Netfilter) {
        Err(error) if error.is(Errno::PROTONOSUPPORT) => return Ok(Vec::new()),
        socket => socket?,
    };
    let tables = dump(socket, NFT_MSG_GETTABLE, |message| {
        Some(Chain {
            table: name(message, NFTA_TABLE_NAME)?,
            ..empty(message)?
        })
    })?;
    let mut chains = dump(socket, NFT_MSG_GETCHAIN, chain)?;
    let rules = dump(socket, NFT_MSG_GETRULE, |message| {
        let (table, chain) = (
            name(message, NFTA_RULE_TABLE)?,
            name(message, NFTA_RULE_CHAIN)?,
        );
        Some((empty(message)?.family, table, chain))
    })?;
    for (family, table, name) in rules {
        let mut all = chains.iter_mut();
        if let Some(chain) =
            all.find(|c| (&c.family, &c.table, &c.name) == (&family, &table, &name))
        {
            chain.rules += 1;
        }
    }
    let has_chains = |table: &Chain| {
        chains
            .iter()
            .any(|chain| (&chain.family, &chain.table) == (&table.family, &table.table))
    };
    let lonely: Vec<_> = tables
        .into_iter()
        .filter(|table| !has_chains(table))
        .collect();
    chains.extend(lonely);
    Ok(chains)
}

fn dump<T>(
    socket: &mut Socket,
    message: u16,
    read: impl Fn(&Message) -> Option<T>,
) -> Result<Vec<T>> {
    let ask = |batch: &mut crate::netlink::Batch, flags| {
        batch.message(kind(message), flags, &header(0), |_| {});
    };
    match socket.dump(ask, read) {
        // The subsystem is not there (nfnetlink_rcv_msg in net/netfilter/nfnetlink.c).
        Err(TransactError::Rejected(rejected)) if rejected.errno == Errno::INVAL => Ok(Vec::new()),
        found => found.map_err(|error| plain(error, "list tables, chains and rules")),
    }
}

fn name(message: &Message, wanted: u16) -> Option<String> {
    attributes(message.body.get(4..)?)
        .find(|a| a.kind == wanted)
        .and_then(|a| a.str())
        .map(str::to_owned)
}

/// A chain of which nothing is known but the family of its table.
fn empty(message: &Message) -> Option<Chain> {
    let family = match *message.body.first()? {
        NFPROTO_INET => "inet",
        NFPROTO_IPV4 => "ip",
        3 => "arp",
        5 => "netdev",
        NFPROTO_BRIDGE => "bridge",
        NFPROTO_IPV6 => "ip6",
        _ => return None,
    };
    Some(Chain {
        family: family.to_owned(),
        table: String::new(),
        name: String::new(),
        kind: None,
        hook: None,
        priority: None,
        drops: false,
        rules: 0,
    })
}

fn chain(message: &Message) -> Option<Chain> {
    const HOOKS: [&str; 5] = ["prerouting", "input", "forward", "output", "postrouting"];
    let mut chain = empty(message)?;
    for a in attributes(message.body.get(4..)?) {
        match a.kind {
            NFTA_CHAIN_TABLE => chain.table = a.str()?.to_owned(),
            NFTA_CHAIN_NAME => chain.name = a.str()?.to_owned(),
            NFTA_CHAIN_TYPE => chain.kind = a.str().map(str::to_owned),
            NFTA_CHAIN_POLICY => chain.drops = a.be32() == Some(NF_DROP),
            NFTA_CHAIN_HOOK => {
                for a in a.nested() {
                    match a.kind {
                        NFTA_HOOK_HOOKNUM => {
                            let number = a.be32()? as usize;
                            let name = match chain.family.as_str() {
                                "netdev" => ["ingress", "egress"].get(number),
                                "arp" => ["input", "output"].get(number),
                                _ => HOOKS.get(number).or(Some(&"ingress")),
                            };
                            chain.hook = name.map(|name| (*name).to_owned());
                        }
                        NFTA_HOOK_PRIORITY => {
                            chain.priority = a.be32().map(|p| (p as i32).to_string());
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Some(chain)
}
