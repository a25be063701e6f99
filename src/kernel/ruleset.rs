//! The host's rule set, twice: as nft's text, which `-v`, `--dry-run` and the documentation show, and as the kernel's
//! messages, written expression by expression. A test compares what `nft` makes of the one and lists of the other.
//!
//! netcell's table accepts or drops only what enters or leaves by a netcell bridge. `user_forward` is the owner's.

use super::nft::{TABLE, header, kind};
use super::uapi::nf_tables::*;
use crate::netlink::{Attributes, Batch, flags};

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

/// Verdicts (linux/netfilter.h, nf_tables.h).
const DROP: i32 = 0;
const ACCEPT: i32 = 1;
const JUMP: i32 = -3;
const RETURN: i32 = -5;

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
        r.to_local(1).verdict(JUMP, Some("publish"));
    });
    rule(batch, "nat_output", |r| {
        r.to_local(1).verdict(JUMP, Some("publish"));
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
    batch.request(
        kind(NFT_MSG_NEWCHAIN),
        flags::CREATE,
        &header(NFPROTO_INET),
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
    batch.request(
        kind(NFT_MSG_NEWRULE),
        flags::append(),
        &header(NFPROTO_INET),
        |a| {
            a.str(NFTA_RULE_TABLE, TABLE);
            a.str(NFTA_RULE_CHAIN, chain);
            a.nest(NFTA_RULE_EXPRESSIONS, |a| {
                write(&mut Rule(a));
            });
        },
    );
}

/// Keys of meta.
const IIFNAME: u32 = 6;
const OIFNAME: u32 = 7;
const NFPROTO: u32 = 15;
const L4PROTO: u32 = 16;

/// Bases of payload, and offsets of the IPv4 header and of a transport header.
const BASE_NETWORK: u32 = 1;
const BASE_TRANSPORT: u32 = 2;
const SADDR: u32 = 12;
const DADDR: u32 = 16;
const DPORT: u32 = 2;

/// States of a connection, as bits in the host's order (linux/netfilter/nf_conntrack_common.h).
const INVALID: u32 = 1;
const ESTABLISHED: u32 = 2;
const RELATED: u32 = 4;

/// IPS_DST_NAT of the same header.
const DNAT_DONE: u32 = 1 << 5;

/// An interface's name as a register has it.
fn name(text: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

/// The expressions of one rule. Registers 1 to 4 have 16 bytes; 8 to 23 are the same space in fours, 8 the first of 1.
struct Rule<'a, 'b>(&'a mut Attributes<'b>);

impl Rule<'_, '_> {
    fn expression(&mut self, name: &str, write: impl FnOnce(&mut Attributes)) -> &mut Self {
        self.0.nest(NFTA_LIST_ELEM, |a| {
            a.str(NFTA_EXPR_NAME, name);
            a.nest(NFTA_EXPR_DATA, write);
        });
        self
    }

    /// meta KEY => register
    fn meta(&mut self, key: u32, register: u32) -> &mut Self {
        self.expression("meta", |a| {
            a.be32(2, key);
            a.be32(1, register);
        })
    }

    /// payload load LENGTH at BASE + OFFSET => register
    fn payload(&mut self, base: u32, offset: u32, length: u32, register: u32) -> &mut Self {
        self.expression("payload", |a| {
            a.be32(1, register);
            a.be32(2, base);
            a.be32(3, offset);
            a.be32(4, length);
        })
    }

    fn compare(&mut self, register: u32, operator: u32, value: &[u8]) -> &mut Self {
        self.expression("cmp", |a| {
            a.be32(1, register);
            a.be32(2, operator);
            a.nest(3, |a| a.bytes(NFTA_DATA_VALUE, value));
        })
    }

    fn equals(&mut self, register: u32, value: &[u8]) -> &mut Self {
        self.compare(register, 0, value)
    }

    fn differs(&mut self, register: u32, value: &[u8]) -> &mut Self {
        self.compare(register, 1, value)
    }

    /// Only IPv4 packets: the table is of the family inet.
    fn ipv4(&mut self) -> &mut Self {
        self.meta(NFPROTO, 1).equals(1, &[NFPROTO_IPV4])
    }

    /// Only IPv4 packets with an address of 127.0.0.0/8 at this offset.
    fn loopback(&mut self, offset: u32) -> &mut Self {
        self.ipv4()
            .payload(BASE_NETWORK, offset, 1, 1)
            .equals(1, &[127])
    }

    /// Only what neither enters nor leaves by a bridge of netcell's.
    fn foreign(&mut self) -> &mut Self {
        self.meta(IIFNAME, 1)
            .without("bridges", 1)
            .meta(OIFNAME, 1)
            .without("bridges", 1)
    }

    fn lookup(
        &mut self,
        set: &str,
        register: u32,
        more: impl FnOnce(&mut Attributes),
    ) -> &mut Self {
        self.expression("lookup", |a| {
            a.str(1, set);
            a.be32(2, register);
            more(a);
        })
    }

    fn within(&mut self, set: &str, register: u32) -> &mut Self {
        self.lookup(set, register, |_| {})
    }

    fn without(&mut self, set: &str, register: u32) -> &mut Self {
        self.lookup(set, register, |a| a.be32(5, 1))
    }

    /// dnat ip to the address (register 1) and port (the four bytes behind it) that the map has.
    fn dnat(&mut self, map: &str) -> &mut Self {
        self.lookup(map, 1, |a| a.be32(3, 1))
            .expression("nat", |a| {
                a.be32(1, 1);
                a.be32(2, u32::from(NFPROTO_IPV4));
                a.be32(3, 1);
                a.be32(5, 9);
            })
    }

    /// fib daddr type local
    fn to_local(&mut self, register: u32) -> &mut Self {
        const RTN_LOCAL: u32 = 2;
        self.expression("fib", |a| {
            a.be32(1, register);
            a.be32(2, 3);
            a.be32(3, 2);
        })
        .equals(register, &RTN_LOCAL.to_ne_bytes())
    }

    fn bits(&mut self, key: u32, mask: u32) -> &mut Self {
        self.expression("ct", |a| {
            a.be32(1, 1);
            a.be32(2, key);
        })
        .expression("bitwise", |a| {
            a.be32(1, 1);
            a.be32(2, 1);
            a.be32(3, 4);
            a.nest(4, |a| a.bytes(NFTA_DATA_VALUE, &mask.to_ne_bytes()));
            a.nest(5, |a| a.bytes(NFTA_DATA_VALUE, &[0; 4]));
        })
        .differs(1, &[0; 4])
    }

    fn ct_state(&mut self, states: u32) -> &mut Self {
        self.bits(0, states)
    }

    /// ct status dnat
    fn translated(&mut self) -> &mut Self {
        self.bits(2, DNAT_DONE)
    }

    fn masquerade(&mut self) -> &mut Self {
        self.expression("masq", |_| {})
    }

    fn verdict(&mut self, code: i32, chain: Option<&str>) -> &mut Self {
        self.expression("immediate", |a| {
            a.be32(1, 0);
            a.nest(2, |a| {
                a.nest(NFTA_DATA_VERDICT, |a| {
                    a.be32(NFTA_VERDICT_CODE, code as u32);
                    if let Some(chain) = chain {
                        a.str(NFTA_VERDICT_CHAIN, chain);
                    }
                });
            });
        })
    }
}
