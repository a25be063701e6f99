//! The host's rule set, twice: as nft's text, which `-v`, `--dry-run` and the documentation show, and as the kernel's
//! messages, written expression by expression. A test compares what `nft` makes of the one and lists of the other.
//!
//! netcell's table accepts or drops only what enters or leaves by a netcell bridge. `user_forward` is the owner's.

use super::expression::*;
use super::nft::{TABLE, header, kind};
use super::sets::Field::{Family, Link, Port, Proto, V4, V6};
use super::sets::{SetDef, protocols_with_ports};
use super::uapi::nf_tables::*;
use crate::netlink::{Batch, flags};

const TIMEOUT: u32 = NFT_SET_TIMEOUT;
const INTERVAL: u32 = NFT_SET_INTERVAL;

const fn map4(name: &'static str, key: &'static [super::sets::Field], flags: u32) -> SetDef {
    SetDef {
        to: &[V4, Port],
        ..SetDef::set(name, key, flags)
    }
}

const fn map6(name: &'static str, key: &'static [super::sets::Field], flags: u32) -> SetDef {
    SetDef {
        to: &[V6, Port],
        ..SetDef::set(name, key, flags)
    }
}

/// Published ports are elements of the maps: at each address of the host or at one, for all or for some.
pub(super) static SETS: [SetDef; 17] = [
    map4("publish4", &[Proto, Port], TIMEOUT),
    map4("publish4_addr", &[V4, Proto, Port], TIMEOUT),
    map4("publish4_from", &[Proto, Port, V4, V4], INTERVAL),
    map4("publish4_on", &[Proto, Port, Link, V4, V4], INTERVAL),
    map6("publish6", &[Proto, Port], TIMEOUT),
    map6("publish6_addr", &[V6, Proto, Port], TIMEOUT),
    map6("publish6_from", &[Proto, Port, V6, V6], INTERVAL),
    map6("publish6_on", &[Proto, Port, Link, V6, V6], INTERVAL),
    SetDef::set("bridges", &[Link], 0),
    SetDef::set("siblings", &[Link, Link], 0),
    SetDef::set("isolated", &[Link, Link], 0),
    SetDef::set("internal", &[Link], 0),
    SetDef::set("local4", &[Link, V4], INTERVAL),
    SetDef::set("local6", &[Link, V6], INTERVAL),
    SetDef::set("masquerade4", &[Link, V4], INTERVAL),
    SetDef::set("masquerade6", &[Link, V6], INTERVAL),
    SetDef::set("no_transit", &[Family], 0),
];

/// The chains, as nft would be given them.
const CHAINS: &str = r#"	chain user_forward {
	}
	chain raw_prerouting {
		type filter hook prerouting priority -300; policy accept;
		ip daddr 127.0.0.0/8 iifname @bridges drop
		ip saddr 127.0.0.0/8 iifname @bridges drop
	}
	chain publish {
		dnat ip to ip daddr . meta l4proto . th dport map @publish4_addr
		meta nfproto ipv4 dnat ip to meta l4proto . th dport map @publish4
		meta l4proto { tcp, udp, sctp } dnat ip to meta l4proto . th dport . ip saddr . ip daddr map @publish4_from
		meta l4proto { tcp, udp, sctp } dnat ip to meta l4proto . th dport . iifname . ip saddr . ip daddr map @publish4_on
		dnat ip6 to ip6 daddr . meta l4proto . th dport map @publish6_addr
		meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @publish6
		meta l4proto { tcp, udp, sctp } dnat ip6 to meta l4proto . th dport . ip6 saddr . ip6 daddr map @publish6_from
		meta l4proto { tcp, udp, sctp } dnat ip6 to meta l4proto . th dport . iifname . ip6 saddr . ip6 daddr map @publish6_on
	}
	chain nat_prerouting {
		type nat hook prerouting priority -100; policy accept;
		ip daddr 127.0.0.0/8 iifname != "lo" return
		fib daddr type local jump publish
	}
	chain nat_output {
		type nat hook output priority -100; policy accept;
		fib daddr type local jump publish
	}
	chain nat_postrouting {
		type nat hook postrouting priority 100; policy accept;
		oifname . ip saddr @local4 ct status dnat masquerade
		oifname . ip6 saddr @local6 ct status dnat masquerade
		ip saddr 127.0.0.0/8 oifname @bridges masquerade
		iifname . ip saddr @masquerade4 oifname != @bridges masquerade
		iifname . ip6 saddr @masquerade6 oifname != @bridges masquerade
	}
	chain forward {
		type filter hook forward priority 0; policy accept;
		jump user_forward
		meta nfproto @no_transit iifname != @bridges oifname != @bridges drop
		iifname != @bridges oifname != @bridges accept
		ct state established,related accept
		ct state invalid drop
		iifname . oifname @siblings accept
		iifname . oifname @isolated drop
		iifname @internal drop
		oifname @internal drop
		oifname @bridges ct status dnat accept
		oifname @bridges drop
	}
"#;

/// What nft would be given.
pub fn text() -> String {
    let mut text = format!("table inet {TABLE} {{\n");
    SETS.iter().for_each(|set| set.text(&mut text));
    text.push_str(CHAINS);
    text.push_str("}\n");
    text
}

/// Hooks (linux/netfilter.h).
pub(super) const PREROUTING: u32 = 0;
const FORWARD: u32 = 2;
const OUTPUT: u32 = 3;
pub(super) const POSTROUTING: u32 = 4;

/// The chain whose rules are the owner's.
pub(super) const OWNERS: &str = "user_forward";

/// Writes the table as messages; the table's own fails with EEXIST when it is there, unless it is to be mended.
pub fn encode(batch: &mut Batch, mend: bool) {
    let mut table = begin_table(batch, NFPROTO_INET, &SETS, mend);
    table.chain(OWNERS, None);
    table.chain("raw_prerouting", Some(("filter", PREROUTING, -300)));
    table.chain("publish", None);
    table.chain("nat_prerouting", Some(("nat", PREROUTING, -100)));
    table.chain("nat_output", Some(("nat", OUTPUT, -100)));
    table.chain("nat_postrouting", Some(("nat", POSTROUTING, 100)));
    table.chain("forward", Some(("filter", FORWARD, 0)));
    for address in [IP.destination, IP.source] {
        table.rule("raw_prerouting", &|r| {
            r.loopback(address)
                .meta(IIFNAME, 1)
                .within("bridges", 1)
                .verdict(DROP, None);
        });
    }
    publish(&mut table, &IP);
    publish(&mut table, &IP6);
    translate(&mut table);
    forward(&mut table);
}

/// Begins a table: itself, and its sets with their numbers within the transaction.
pub(super) fn begin_table<'a>(
    batch: &'a mut Batch,
    family: u8,
    sets: &[SetDef],
    mend: bool,
) -> Writer<'a> {
    let message = kind(NFT_MSG_NEWTABLE);
    let new = if mend {
        flags::CREATE
    } else {
        flags::create_new()
    };
    batch.request(message, new, &header(family), |a| {
        a.str(NFTA_TABLE_NAME, TABLE);
    });
    for (id, set) in (1..).zip(sets) {
        set.encode(batch, family, id);
    }
    Writer {
        batch,
        family,
        last_set: sets.len() as u32,
        mend,
    }
}

/// The maps of one family: at one address, at all, for some senders, for some that arrive by one interface.
fn publish(table: &mut Writer, ip: &'static Ip) {
    let [at_one, at_all, from, on] = ip.maps;
    table.rule("publish", &|r| {
        r.family(ip)
            .payload(BASE_NETWORK, ip.destination, ip.length, FIRST)
            .port(FIRST + ip.words())
            .dnat(ip, at_one);
    });
    table.rule("publish", &|r| {
        r.family(ip).port(FIRST).dnat(ip, at_all);
    });
    table.rule_for_ports("publish", &|r| {
        r.family(ip).port(FIRST).ends(ip, FIRST + 2).dnat(ip, from);
    });
    table.rule_for_ports("publish", &|r| {
        r.family(ip)
            .port(FIRST)
            .meta(IIFNAME, FIRST + 2)
            .ends(ip, FIRST + 6)
            .dnat(ip, on);
    });
}

fn translate(table: &mut Writer) {
    table.rule("nat_prerouting", &|r| {
        r.loopback(IP.destination)
            .meta(IIFNAME, 1)
            .differs(1, &name("lo"))
            .verdict(RETURN, None);
    });
    for chain in ["nat_prerouting", "nat_output"] {
        table.rule(chain, &|r| {
            r.reaches_host(1).verdict(JUMP, Some("publish"));
        });
    }
    let back = |r: &mut Rule, ip: &Ip| {
        r.family(ip)
            .meta(OIFNAME, FIRST)
            .payload(BASE_NETWORK, ip.source, ip.length, FIRST + 4)
            .within(ip.local, FIRST)
            .translated()
            .masquerade();
    };
    table.rule("nat_postrouting", &|r| back(r, &IP));
    table.rule("nat_postrouting", &|r| back(r, &IP6));
    table.rule("nat_postrouting", &|r| {
        r.loopback(IP.source)
            .meta(OIFNAME, 1)
            .within("bridges", 1)
            .masquerade();
    });
    let out = |r: &mut Rule, ip: &Ip| {
        r.family(ip)
            .meta(IIFNAME, FIRST)
            .payload(BASE_NETWORK, ip.source, ip.length, FIRST + 4)
            .within(ip.masquerade, FIRST)
            .meta(OIFNAME, 1)
            .without("bridges", 1)
            .masquerade();
    };
    table.rule("nat_postrouting", &|r| out(r, &IP));
    table.rule("nat_postrouting", &|r| out(r, &IP6));
}

fn forward(table: &mut Writer) {
    let mut rule = |write: &dyn Fn(&mut Rule)| table.rule("forward", write);
    rule(&|r| {
        r.verdict(JUMP, Some("user_forward"));
    });
    rule(&|r| {
        r.meta(NFPROTO, 1)
            .within("no_transit", 1)
            .foreign()
            .verdict(DROP, None);
    });
    rule(&|r| {
        r.foreign().verdict(ACCEPT, None);
    });
    rule(&|r| {
        r.ct_state(ESTABLISHED | RELATED).verdict(ACCEPT, None);
    });
    rule(&|r| {
        r.ct_state(INVALID).verdict(DROP, None);
    });
    for (set, verdict) in [("siblings", ACCEPT), ("isolated", DROP)] {
        rule(&|r| {
            r.meta(IIFNAME, FIRST)
                .meta(OIFNAME, FIRST + 4)
                .within(set, FIRST)
                .verdict(verdict, None);
        });
    }
    for name in [IIFNAME, OIFNAME] {
        rule(&|r| {
            r.meta(name, 1).within("internal", 1).verdict(DROP, None);
        });
    }
    rule(&|r| {
        r.meta(OIFNAME, 1)
            .within("bridges", 1)
            .translated()
            .verdict(ACCEPT, None);
    });
    rule(&|r| {
        r.meta(OIFNAME, 1).within("bridges", 1).verdict(DROP, None);
    });
}

/// Writes the chains and rules of one table.
pub(super) struct Writer<'a> {
    pub batch: &'a mut Batch,
    pub family: u8,
    /// The number of the last set within the transaction.
    pub last_set: u32,
    /// The table may be there: rules that its chains have go first, all but the owner's.
    pub mend: bool,
}

impl Writer<'_> {
    /// A chain; a base chain with its type, hook and priority.
    pub fn chain(&mut self, name: &str, base: Option<(&str, u32, i32)>) {
        let message = kind(NFT_MSG_NEWCHAIN);
        self.batch
            .request(message, flags::CREATE, &header(self.family), |a| {
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
            });
        if self.mend && name != OWNERS {
            let message = kind(NFT_MSG_DELRULE);
            self.batch
                .request(message, flags::NONE, &header(self.family), |a| {
                    a.str(NFTA_RULE_TABLE, TABLE);
                    a.str(NFTA_RULE_CHAIN, name);
                });
        }
    }

    /// A rule at the end of a chain.
    pub fn rule(&mut self, chain: &str, write: &dyn Fn(&mut Rule)) {
        let message = kind(NFT_MSG_NEWRULE);
        self.batch
            .request(message, flags::append(), &header(self.family), |a| {
                a.str(NFTA_RULE_TABLE, TABLE);
                a.str(NFTA_RULE_CHAIN, chain);
                a.nest(NFTA_RULE_EXPRESSIONS, |a| write(&mut Rule(a)));
            });
    }

    /// A rule for the protocols that have ports: without that nft takes no map of intervals.
    fn rule_for_ports(&mut self, chain: &str, write: &dyn Fn(&mut Rule)) {
        self.last_set += 1;
        let id = self.last_set;
        protocols_with_ports(self.batch, id);
        self.rule(chain, &|r| write(r.meta(L4PROTO, 1).within_anonymous(id)));
    }
}
