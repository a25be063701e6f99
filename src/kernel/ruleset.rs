//! The host's rule set, twice: as nft's text, which `-v`, `--dry-run` and the documentation show, and as the kernel's
//! messages, written expression by expression. A test compares what `nft` makes of the one and lists of the other.
//!
//! netcell's table accepts or drops only what enters or leaves by a netcell bridge. `user_forward` is the owner's.

use super::expression::*;
use super::nft::{TABLE, header, kind};
use super::uapi::nf_tables::*;
use crate::netlink::{Batch, flags};

/// What nft would be given.
pub fn text(stop_transit: bool) -> String {
    let stop = if stop_transit {
        "\t\tmeta nfproto ipv4 iifname != @bridges oifname != @bridges drop\n"
    } else {
        ""
    };
    format!(
        "table inet {TABLE} {{
\tmap publish4 {{
\t\ttype inet_proto . inet_service : ipv4_addr . inet_service
\t\tflags timeout
\t}}
\tmap publish4_addr {{
\t\ttype ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
\t\tflags timeout
\t}}
\tset bridges {{
\t\ttype ifname
\t}}
\tset siblings {{
\t\ttype ifname . ifname
\t}}
\tset local4 {{
\t\ttype ifname . ipv4_addr
\t\tflags interval
\t}}
\tchain user_forward {{
\t}}
\tchain raw_prerouting {{
\t\ttype filter hook prerouting priority -300; policy accept;
\t\tip daddr 127.0.0.0/8 iifname @bridges drop
\t\tip saddr 127.0.0.0/8 iifname @bridges drop
\t}}
\tchain publish {{
\t\tdnat ip to ip daddr . meta l4proto . th dport map @publish4_addr
\t\tmeta nfproto ipv4 dnat ip to meta l4proto . th dport map @publish4
\t}}
\tchain nat_prerouting {{
\t\ttype nat hook prerouting priority -100; policy accept;
\t\tip daddr 127.0.0.0/8 iifname != \"lo\" return
\t\tfib daddr type local jump publish
\t}}
\tchain nat_output {{
\t\ttype nat hook output priority -100; policy accept;
\t\tfib daddr type local jump publish
\t}}
\tchain nat_postrouting {{
\t\ttype nat hook postrouting priority 100; policy accept;
\t\toifname . ip saddr @local4 ct status dnat masquerade
\t\tip saddr 127.0.0.0/8 oifname @bridges masquerade
\t\tiifname . ip saddr @local4 oifname != @bridges masquerade
\t}}
\tchain forward {{
\t\ttype filter hook forward priority 0; policy accept;
\t\tjump user_forward
{stop}\t\tiifname != @bridges oifname != @bridges accept
\t\tct state established,related accept
\t\tct state invalid drop
\t\tiifname . oifname @siblings accept
\t\toifname @bridges ct status dnat accept
\t\toifname @bridges drop
\t}}
}}
"
    )
}

/// Hooks (linux/netfilter.h).
const PREROUTING: u32 = 0;
const FORWARD: u32 = 2;
const OUTPUT: u32 = 3;
const POSTROUTING: u32 = 4;

/// Writes the table as messages; the table's own fails with EEXIST when it is there.
pub fn encode(batch: &mut Batch, stop_transit: bool) {
    batch.request(
        kind(NFT_MSG_NEWTABLE),
        flags::create_new(),
        &header(NFPROTO_INET),
        |a| a.str(NFTA_TABLE_NAME, TABLE),
    );
    sets(batch);
    chains(batch);
    rule(batch, "raw_prerouting", |r| {
        r.loopback(DADDR)
            .meta(IIFNAME, 1)
            .within("bridges", 1)
            .verdict(DROP, None);
    });
    rule(batch, "raw_prerouting", |r| {
        r.loopback(SADDR)
            .meta(IIFNAME, 1)
            .within("bridges", 1)
            .verdict(DROP, None);
    });
    rule(batch, "publish", |r| {
        r.ipv4()
            .payload(BASE_NETWORK, DADDR, 4, 1)
            .meta(L4PROTO, 9)
            .payload(BASE_TRANSPORT, DPORT, 2, 10)
            .dnat("publish4_addr");
    });
    rule(batch, "publish", |r| {
        r.ipv4()
            .meta(L4PROTO, 1)
            .payload(BASE_TRANSPORT, DPORT, 2, 9)
            .dnat("publish4");
    });
    rule(batch, "nat_prerouting", |r| {
        r.loopback(DADDR)
            .meta(IIFNAME, 1)
            .differs(1, &name("lo"))
            .verdict(RETURN, None);
    });
    rule(batch, "nat_prerouting", |r| {
        r.reaches_host(1).verdict(JUMP, Some("publish"));
    });
    rule(batch, "nat_output", |r| {
        r.reaches_host(1).verdict(JUMP, Some("publish"));
    });
    rule(batch, "nat_postrouting", |r| {
        r.ipv4()
            .meta(OIFNAME, 1)
            .payload(BASE_NETWORK, SADDR, 4, 2)
            .within("local4", 1)
            .translated()
            .masquerade();
    });
    rule(batch, "nat_postrouting", |r| {
        r.loopback(SADDR)
            .meta(OIFNAME, 1)
            .within("bridges", 1)
            .masquerade();
    });
    rule(batch, "nat_postrouting", |r| {
        r.ipv4()
            .meta(IIFNAME, 1)
            .payload(BASE_NETWORK, SADDR, 4, 2)
            .within("local4", 1)
            .meta(OIFNAME, 1)
            .without("bridges", 1)
            .masquerade();
    });
    forward(batch, stop_transit);
}

fn forward(batch: &mut Batch, stop_transit: bool) {
    rule(batch, "forward", |r| {
        r.verdict(JUMP, Some("user_forward"));
    });
    if stop_transit {
        rule(batch, "forward", |r| {
            r.ipv4().foreign().verdict(DROP, None);
        });
    }
    rule(batch, "forward", |r| {
        r.foreign().verdict(ACCEPT, None);
    });
    rule(batch, "forward", |r| {
        r.ct_state(ESTABLISHED | RELATED).verdict(ACCEPT, None);
    });
    rule(batch, "forward", |r| {
        r.ct_state(INVALID).verdict(DROP, None);
    });
    rule(batch, "forward", |r| {
        r.meta(IIFNAME, 1)
            .meta(OIFNAME, 2)
            .within("siblings", 1)
            .verdict(ACCEPT, None);
    });
    rule(batch, "forward", |r| {
        r.meta(OIFNAME, 1)
            .within("bridges", 1)
            .translated()
            .verdict(ACCEPT, None);
    });
    rule(batch, "forward", |r| {
        r.meta(OIFNAME, 1).within("bridges", 1).verdict(DROP, None);
    });
}

fn sets(batch: &mut Batch) {
    // nft's own numbers for types, six bits a field; the kernel only keeps them.
    const INTERFACE: u32 = 41;
    set(
        batch,
        1,
        "publish4",
        NFT_SET_MAP | NFT_SET_TIMEOUT,
        (0x30d, &[4, 4]),
        Some((0x1cd, 8)),
    );
    set(
        batch,
        2,
        "publish4_addr",
        NFT_SET_MAP | NFT_SET_TIMEOUT,
        (0x730d, &[4, 4, 4]),
        Some((0x1cd, 8)),
    );
    set(batch, 3, "bridges", 0, (INTERFACE, &[16]), None);
    set(
        batch,
        4,
        "siblings",
        0,
        (INTERFACE << 6 | INTERFACE, &[16, 16]),
        None,
    );
    set(
        batch,
        5,
        "local4",
        NFT_SET_INTERVAL | NFT_SET_CONCAT,
        (INTERFACE << 6 | 7, &[16, 4]),
        None,
    );
}

fn set(
    batch: &mut Batch,
    id: u32,
    name: &str,
    set_flags: u32,
    key: (u32, &[u32]),
    data: Option<(u32, u32)>,
) {
    let (key_type, fields) = key;
    batch.request(
        kind(NFT_MSG_NEWSET),
        flags::CREATE,
        &header(NFPROTO_INET),
        |a| {
            a.str(NFTA_SET_TABLE, TABLE);
            a.str(NFTA_SET_NAME, name);
            a.be32(NFTA_SET_FLAGS, set_flags);
            a.be32(NFTA_SET_KEY_TYPE, key_type);
            a.be32(NFTA_SET_KEY_LEN, fields.iter().sum());
            if let Some((data_type, length)) = data {
                a.be32(NFTA_SET_DATA_TYPE, data_type);
                a.be32(NFTA_SET_DATA_LEN, length);
            }
            a.be32(NFTA_SET_ID, id);
            if let [_] = fields {
                a.bytes(NFTA_SET_USERDATA, &host_order());
            }
            if set_flags & NFT_SET_CONCAT != 0 {
                a.nest(NFTA_SET_DESC, |a| {
                    a.nest(NFTA_SET_DESC_CONCAT, |a| {
                        for field in fields {
                            a.nest(NFTA_LIST_ELEM, |a| a.be32(NFTA_SET_FIELD_LEN, *field));
                        }
                    });
                });
            }
        },
    );
}

/// What nft needs to print the elements of a set whose key is one interface name: the key's byte order, as a TLV of
/// libnftnl's that the kernel only keeps (NFTNL_UDATA_SET_KEYBYTEORDER in libnftnl/udata.h).
fn host_order() -> [u8; 6] {
    const KEY_BYTE_ORDER: u8 = 0;
    const HOST_ENDIAN: u32 = 1;
    let [a, b, c, d] = HOST_ENDIAN.to_ne_bytes();
    [KEY_BYTE_ORDER, 4, a, b, c, d]
}

fn chains(batch: &mut Batch) {
    chain(batch, "user_forward", None);
    chain(batch, "raw_prerouting", Some(("filter", PREROUTING, -300)));
    chain(batch, "publish", None);
    chain(batch, "nat_prerouting", Some(("nat", PREROUTING, -100)));
    chain(batch, "nat_output", Some(("nat", OUTPUT, -100)));
    chain(batch, "nat_postrouting", Some(("nat", POSTROUTING, 100)));
    chain(batch, "forward", Some(("filter", FORWARD, 0)));
}

fn chain(batch: &mut Batch, name: &str, base: Option<(&str, u32, i32)>) {
    chain_of(batch, NFPROTO_INET, name, base);
}

/// Writes a chain of a table of that family, with its type, hook and priority where it is a base chain.
pub(super) fn chain_of(batch: &mut Batch, family: u8, name: &str, base: Option<(&str, u32, i32)>) {
    batch.request(
        kind(NFT_MSG_NEWCHAIN),
        flags::CREATE,
        &header(family),
        |a| {
            a.str(NFTA_CHAIN_TABLE, TABLE);
            a.str(NFTA_CHAIN_NAME, name);
            if let Some((class, hook, priority)) = base {
                a.nest(NFTA_CHAIN_HOOK, |a| {
                    a.be32(NFTA_HOOK_HOOKNUM, hook);
                    a.be32(NFTA_HOOK_PRIORITY, priority as u32);
                });
                a.be32(NFTA_CHAIN_POLICY, NF_ACCEPT);
                a.str(NFTA_CHAIN_TYPE, class);
            }
        },
    );
}

fn rule(batch: &mut Batch, chain: &str, write: impl FnOnce(&mut Rule)) {
    rule_of(batch, NFPROTO_INET, chain, write);
}

/// Writes a rule at the end of a chain of a table of that family.
pub(super) fn rule_of(batch: &mut Batch, family: u8, chain: &str, write: impl FnOnce(&mut Rule)) {
    batch.request(
        kind(NFT_MSG_NEWRULE),
        flags::append(),
        &header(family),
        |a| {
            a.str(NFTA_RULE_TABLE, TABLE);
            a.str(NFTA_RULE_CHAIN, chain);
            a.nest(NFTA_RULE_EXPRESSIONS, |a| {
                write(&mut Rule(a));
            });
        },
    );
}
