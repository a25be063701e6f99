//! The guard at the bridge's ports: `table bridge netcell`, as nft's text and as the kernel's messages.
//!
//! Sandboxes' ports are known by their group, and what a port may send from is an element of a set: the rules are the same
//! however many there are. No sandbox hears a router advertisement, whoever sends it: its addresses and routes are
//! netcell's, and its namespace's own settings need not be written, which would cost more the more namespaces there
//! are. The Ethernet type is the packet's, not the frame's: a VLAN tag is no way around. Nothing passes a port whose
//! sandbox was removed, until the kernel has taken it away.

use super::expression::*;
use super::link::GROUP;
use super::nft::{MendTable, TABLE};
use super::ruleset::{POSTROUTING, PREROUTING, Writer, begin_table};
use super::sets::Field::{Link, Mac, Target, V4, V6};
use super::sets::SetDef;
use super::snapshot::Snapshot;
use super::uapi::nf_tables::*;
use super::{Channel, Holds, Lookup, Operation};
use crate::error::Result;
use crate::netlink::Batch;
use std::fmt;

/// The priority that nft calls `filter` in this family (linux/netfilter_bridge.h).
const FILTER: i32 = -200;

/// Ethernet types (linux/if_ether.h).
const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

/// What of ICMPv6 is looked at (RFC 4861, RFC 3810), and the ports of DHCP servers (RFC 2131, RFC 8415).
const ICMPV6: u8 = 58;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const MULTICAST_REPORT: u8 = 143;
const UDP: u8 = 17;
const DHCP_SERVER: u16 = 67;
const DHCPV6_SERVER: u16 = 547;

pub(super) static SETS: [SetDef; 6] = [
    SetDef::set("gone", &[Link], NFT_SET_TIMEOUT),
    SetDef::set("macs", &[Link, Mac], NFT_SET_TIMEOUT),
    SetDef::set("own4", &[Link, V4], NFT_SET_TIMEOUT),
    SetDef::set("own6", &[Link, V6], NFT_SET_TIMEOUT),
    SetDef::set("targets6", &[Link, Target], NFT_SET_TIMEOUT),
    SetDef::set("free", &[Link], NFT_SET_TIMEOUT),
];

/// Makes the table; EEXIST when it is there, and then nothing of it is changed.
#[derive(Debug, Clone)]
pub struct AddGuard;

/// What nft would be given.
pub(super) fn text() -> String {
    let mut text = format!("table bridge {TABLE} {{\n");
    SETS.iter().for_each(|set| set.text(&mut text));
    text + &format!(
        "\tchain port {{
\t\tiifname @gone drop
\t\tiifname @free accept
\t\tmeta protocol ip6 icmpv6 type nd-router-advert drop
\t\tmeta protocol ip udp sport {DHCP_SERVER} drop
\t\tmeta protocol ip6 udp sport {DHCPV6_SERVER} drop
\t\tiifname . ether saddr != @macs drop
\t\tmeta protocol arp iifname . arp saddr ether != @macs drop
\t\tmeta protocol arp iifname . arp saddr ip != @own4 drop
\t\tmeta protocol ip iifname . ip saddr != @own4 drop
\t\tmeta protocol ip6 icmpv6 type nd-neighbor-advert iifname . @th,64,128 != @targets6 drop
\t\tmeta protocol ip6 ip6 saddr :: icmpv6 type nd-neighbor-solicit accept
\t\tmeta protocol ip6 ip6 saddr :: icmpv6 type mld2-listener-report accept
\t\tmeta protocol ip6 iifname . ip6 saddr != @own6 drop
\t}}
\tchain prerouting {{
\t\ttype filter hook prerouting priority {FILTER}; policy accept;
\t\tiifgroup {GROUP} jump port
\t}}
\tchain postrouting {{
\t\ttype filter hook postrouting priority {FILTER}; policy accept;
\t\toifname @gone drop
\t\toifgroup {GROUP} meta protocol ip6 icmpv6 type nd-router-advert drop
\t}}
}}
"
    )
}

impl fmt::Display for AddGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nft -f - <<'END'\n{}END", text())
    }
}

/// Writes the table as messages; the table's own fails with EEXIST when it is there, unless it is to be mended.
pub(super) fn encode(batch: &mut Batch, mend: bool) {
    let mut table = begin_table(batch, NFPROTO_BRIDGE, &SETS, mend);
    let base = |hook| Some(("filter", hook, FILTER));
    table.chain("port", None);
    table.chain("prerouting", base(PREROUTING));
    table.chain("postrouting", base(POSTROUTING));
    table.rule("port", &|r| {
        r.meta(IIFNAME, 1).within("gone", 1).verdict(DROP, None);
    });
    services(&mut table);
    senders(&mut table);
    table.rule("prerouting", &|r| {
        r.group(IIFGROUP).verdict(JUMP, Some("port"));
    });
    table.rule("postrouting", &|r| {
        r.meta(OIFNAME, 1).within("gone", 1).verdict(DROP, None);
    });
    table.rule("postrouting", &|r| {
        r.group(OIFGROUP)
            .icmpv6(ROUTER_ADVERTISEMENT)
            .verdict(DROP, None);
    });
}

impl Operation for AddGuard {
    fn channel(&self) -> Channel {
        Channel::Nftables
    }

    fn encode(&self, batch: &mut Batch, _: &mut dyn Lookup) -> Result<()> {
        encode(batch, false);
        Ok(())
    }

    fn holds(&self, now: &Snapshot) -> Holds {
        MendTable(NFPROTO_BRIDGE).unless_whole(now.guard, now)
    }
}

/// What no sandbox may be to its neighbours unless it was let: a router, a DHCP server.
fn services(table: &mut Writer) {
    table.rule("port", &|r| {
        r.meta(IIFNAME, 1).within("free", 1).verdict(ACCEPT, None);
    });
    table.rule("port", &|r| {
        r.icmpv6(ROUTER_ADVERTISEMENT).verdict(DROP, None);
    });
    for (ethertype, port) in [(IPV4, DHCP_SERVER), (IPV6, DHCPV6_SERVER)] {
        table.rule("port", &|r| {
            r.protocol(ethertype)
                .meta(L4PROTO, 1)
                .equals(1, &[UDP])
                .payload(BASE_TRANSPORT, 0, 2, 1)
                .equals(1, &port.to_be_bytes())
                .verdict(DROP, None);
        });
    }
}

/// What a sandbox may send from: its own MAC and addresses; and before an IPv6 address is its own, from none.
fn senders(table: &mut Writer) {
    let mut only = |ethertype: Option<u16>, (base, offset, length), set| {
        table.rule("port", &|r| {
            if let Some(ethertype) = ethertype {
                r.protocol(ethertype);
            }
            r.meta(IIFNAME, FIRST)
                .payload(base, offset, length, FIRST + 4)
                .without(set, FIRST)
                .verdict(DROP, None);
        });
    };
    only(None, (BASE_LINK, 6, 6), "macs");
    only(Some(ARP), (BASE_NETWORK, 8, 6), "macs");
    only(Some(ARP), (BASE_NETWORK, 14, 4), "own4");
    only(Some(IPV4), (BASE_NETWORK, IP.source, 4), "own4");
    table.rule("port", &|r| {
        r.icmpv6(NEIGHBOUR_ADVERTISEMENT)
            .meta(IIFNAME, FIRST)
            .payload(BASE_TRANSPORT, 8, 16, FIRST + 4)
            .without("targets6", FIRST)
            .verdict(DROP, None);
    });
    for kind in [NEIGHBOUR_SOLICITATION, MULTICAST_REPORT] {
        table.rule("port", &|r| {
            r.protocol(IPV6)
                .payload(BASE_NETWORK, IP6.source, 16, 1)
                .equals(1, &[0; 16])
                .icmpv6_type(kind)
                .verdict(ACCEPT, None);
        });
    }
    table.rule("port", &|r| {
        r.protocol(IPV6)
            .meta(IIFNAME, FIRST)
            .payload(BASE_NETWORK, IP6.source, 16, FIRST + 4)
            .without("own6", FIRST)
            .verdict(DROP, None);
    });
}

impl Rule<'_, '_> {
    fn group(&mut self, key: u32) -> &mut Self {
        self.meta(key, 1).equals(1, &GROUP.to_ne_bytes())
    }

    fn icmpv6(&mut self, kind: u8) -> &mut Self {
        self.protocol(IPV6).icmpv6_type(kind)
    }

    fn icmpv6_type(&mut self, kind: u8) -> &mut Self {
        self.meta(L4PROTO, 1)
            .equals(1, &[ICMPV6])
            .payload(BASE_TRANSPORT, 0, 1, 1)
            .equals(1, &[kind])
    }
}
