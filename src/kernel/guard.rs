//! The guard at the bridge's ports: `table bridge netcell`, as nft's text and as the kernel's messages.
//!
//! Sandboxes' ports are known by their group, so the rules are the same however many there are. No sandbox hears a
//! router advertisement, whoever sends it: its addresses and routes are netcell's, and its namespace's own settings
//! need not be written, which would cost more the more namespaces there are.

use super::expression::*;
use super::link::GROUP;
use super::nft::{TABLE, header, kind};
use super::ruleset::{chain_of, rule_of};
use super::snapshot::Snapshot;
use super::uapi::nf_tables::*;
use super::{Channel, Holds, Lookup, Operation};
use crate::error::Result;
use crate::netlink::{Batch, flags};
use std::fmt;

/// Hooks and the priority that nft calls `filter` in this family (linux/netfilter_bridge.h).
const PREROUTING: u32 = 0;
const POSTROUTING: u32 = 4;
const FILTER: i32 = -200;

/// ETH_P_IPV6 (linux/if_ether.h), and what of ICMPv6 is looked at (RFC 4861).
const IPV6: u16 = 0x86dd;
const ICMPV6: u8 = 58;
const ROUTER_ADVERTISEMENT: u8 = 134;

/// Makes the table; EEXIST when it is there, and then nothing of it is changed.
#[derive(Debug, Clone)]
pub struct AddGuard;

impl fmt::Display for AddGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "nft -f - <<'END'
table bridge {TABLE} {{
\tchain prerouting {{
\t\ttype filter hook prerouting priority {FILTER}; policy accept;
\t\tiifgroup {GROUP} meta protocol ip6 icmpv6 type nd-router-advert drop
\t}}
\tchain postrouting {{
\t\ttype filter hook postrouting priority {FILTER}; policy accept;
\t\toifgroup {GROUP} meta protocol ip6 icmpv6 type nd-router-advert drop
\t}}
}}
END"
        )
    }
}

impl Operation for AddGuard {
    fn channel(&self) -> Channel {
        Channel::Nftables
    }

    fn encode(&self, batch: &mut Batch, _: &mut dyn Lookup) -> Result<()> {
        batch.request(
            kind(NFT_MSG_NEWTABLE),
            flags::create_new(),
            &header(NFPROTO_BRIDGE),
            |a| a.str(NFTA_TABLE_NAME, TABLE),
        );
        for (chain, hook, group) in [
            ("prerouting", PREROUTING, IIFGROUP),
            ("postrouting", POSTROUTING, OIFGROUP),
        ] {
            chain_of(batch, NFPROTO_BRIDGE, chain, Some(("filter", hook, FILTER)));
            rule_of(batch, NFPROTO_BRIDGE, chain, |r| {
                r.meta(group, 1)
                    .equals(1, &GROUP.to_ne_bytes())
                    .protocol(IPV6)
                    .meta(L4PROTO, 1)
                    .equals(1, &[ICMPV6])
                    .payload(BASE_TRANSPORT, 0, 1, 1)
                    .equals(1, &[ROUTER_ADVERTISEMENT])
                    .verdict(DROP, None);
            });
        }
        Ok(())
    }

    fn holds(&self, now: &Snapshot) -> Holds {
        if now.guard { Holds::Yes } else { Holds::No }
    }
}
