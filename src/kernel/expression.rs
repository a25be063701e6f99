//! The expressions of a rule as nf_tables takes them (linux/netfilter/nf_tables.h; `nft --debug=netlink` shows the same).

use super::nft::data;
use super::sets::ANONYMOUS;
use super::uapi::nf_tables::*;
use crate::netlink::Attributes;

/// Verdicts (linux/netfilter.h, nf_tables.h).
pub const DROP: i32 = 0;
pub const ACCEPT: i32 = 1;
pub const JUMP: i32 = -3;
pub const RETURN: i32 = -5;

/// The first of the registers of four bytes; register 1, of sixteen, is the same space.
pub const FIRST: u32 = 8;

/// Keys of meta.
const PROTOCOL: u32 = 1;
pub const IIFGROUP: u32 = 21;
pub const OIFGROUP: u32 = 22;
pub const IIFNAME: u32 = 6;
pub const OIFNAME: u32 = 7;
pub const NFPROTO: u32 = 15;
pub const L4PROTO: u32 = 16;

/// Bases of payload, and where a transport header has the port that is aimed at.
pub const BASE_LINK: u32 = 0;
pub const BASE_NETWORK: u32 = 1;
pub const BASE_TRANSPORT: u32 = 2;
const DPORT: u32 = 2;

/// A version of IP: where its header has the addresses, and the names of its sets and maps.
pub struct Ip {
    pub number: u8,
    pub source: u32,
    pub destination: u32,
    /// Of an address, in bytes.
    pub length: u32,
    /// At one address of the host, at all, for some senders, and for what arrives by one interface.
    pub maps: [&'static str; 4],
    pub local: &'static str,
    pub masquerade: &'static str,
}

impl Ip {
    /// The length of an address, in registers of four bytes.
    pub const fn words(&self) -> u32 {
        self.length / 4
    }
}

pub const IP: Ip = Ip {
    number: NFPROTO_IPV4,
    source: 12,
    destination: 16,
    length: 4,
    maps: ["publish4_addr", "publish4", "publish4_from", "publish4_on"],
    local: "local4",
    masquerade: "masquerade4",
};

pub const IP6: Ip = Ip {
    number: NFPROTO_IPV6,
    source: 8,
    destination: 24,
    length: 16,
    maps: ["publish6_addr", "publish6", "publish6_from", "publish6_on"],
    local: "local6",
    masquerade: "masquerade6",
};

/// States of a connection, as bits in the host's order (linux/netfilter/nf_conntrack_common.h).
pub const INVALID: u32 = 1;
pub const ESTABLISHED: u32 = 2;
pub const RELATED: u32 = 4;

/// IPS_DST_NAT of the same header.
const DNAT_DONE: u32 = 1 << 5;

/// An interface's name as a register has it.
pub fn name(text: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

fn write(a: &mut Attributes, numbers: &[(u16, u32)]) {
    for (kind, number) in numbers {
        a.be32(*kind, *number);
    }
}

/// The expressions of one rule. Registers 1 to 4 have 16 bytes; 8 to 23 are the same space in fours, 8 the first of 1.
pub struct Rule<'a, 'b>(pub &'a mut Attributes<'b>);

impl Rule<'_, '_> {
    /// An expression by its name, with those attributes that are numbers, and behind them what `more` writes.
    fn expression(
        &mut self,
        name: &str,
        numbers: &[(u16, u32)],
        more: &dyn Fn(&mut Attributes),
    ) -> &mut Self {
        self.0.nest(NFTA_LIST_ELEM, |a| {
            a.str(NFTA_EXPR_NAME, name);
            a.nest(NFTA_EXPR_DATA, |a| {
                write(a, numbers);
                more(a);
            });
        });
        self
    }

    /// An expression that is numbers alone.
    fn plain(&mut self, name: &str, numbers: &[(u16, u32)]) -> &mut Self {
        self.expression(name, numbers, &|_| {})
    }

    /// An expression of which only the name is said.
    pub fn named(&mut self, name: &str) -> &mut Self {
        self.plain(name, &[])
    }

    /// meta KEY => register
    pub fn meta(&mut self, key: u32, register: u32) -> &mut Self {
        self.plain("meta", &[(2, key), (1, register)])
    }

    /// payload load LENGTH at BASE + OFFSET => register
    pub fn payload(&mut self, base: u32, offset: u32, length: u32, register: u32) -> &mut Self {
        self.plain(
            "payload",
            &[(1, register), (2, base), (3, offset), (4, length)],
        )
    }

    fn compare(&mut self, register: u32, operator: u32, value: &[u8]) -> &mut Self {
        self.expression("cmp", &[(1, register), (2, operator)], &|a| {
            data(a, 3, value)
        })
    }

    /// Only frames of this Ethernet type, also below a VLAN tag: the type at its place in the frame would be the tag's.
    pub fn protocol(&mut self, ethertype: u16) -> &mut Self {
        self.meta(PROTOCOL, 1).equals(1, &ethertype.to_be_bytes())
    }

    pub fn equals(&mut self, register: u32, value: &[u8]) -> &mut Self {
        self.compare(register, 0, value)
    }

    pub fn differs(&mut self, register: u32, value: &[u8]) -> &mut Self {
        self.compare(register, 1, value)
    }

    /// Only packets of this version: the table is of the family inet.
    pub fn family(&mut self, ip: &Ip) -> &mut Self {
        self.meta(NFPROTO, 1).equals(1, &[ip.number])
    }

    /// Only IPv4 packets with an address of 127.0.0.0/8 at this offset.
    pub fn loopback(&mut self, offset: u32) -> &mut Self {
        self.family(&IP)
            .payload(BASE_NETWORK, offset, 1, 1)
            .equals(1, &[127])
    }

    /// The protocol and the port that is aimed at.
    pub fn port(&mut self, register: u32) -> &mut Self {
        self.meta(L4PROTO, register)
            .payload(BASE_TRANSPORT, DPORT, 2, register + 1)
    }

    /// Both addresses, the sender's first.
    pub fn ends(&mut self, ip: &Ip, register: u32) -> &mut Self {
        self.payload(BASE_NETWORK, ip.source, ip.length, register)
            .payload(
                BASE_NETWORK,
                ip.destination,
                ip.length,
                register + ip.words(),
            )
    }

    /// Only what neither enters nor leaves by a bridge of netcell's.
    pub fn foreign(&mut self) -> &mut Self {
        self.meta(IIFNAME, 1)
            .without("bridges", 1)
            .meta(OIFNAME, 1)
            .without("bridges", 1)
    }

    fn lookup(&mut self, set: &str, numbers: &[(u16, u32)]) -> &mut Self {
        self.expression("lookup", &[], &|a| {
            a.str(1, set);
            write(a, numbers);
        })
    }

    pub fn within(&mut self, set: &str, register: u32) -> &mut Self {
        self.lookup(set, &[(2, register)])
    }

    pub fn without(&mut self, set: &str, register: u32) -> &mut Self {
        self.lookup(set, &[(2, register), (5, 1)])
    }

    /// As [`Rule::within`], of the set without a name that has this number within the transaction.
    pub fn within_anonymous(&mut self, id: u32) -> &mut Self {
        self.lookup(ANONYMOUS, &[(2, 1), (4, id)])
    }

    /// dnat to the address and the port behind it that the map has for what begins at the first register.
    pub fn dnat(&mut self, ip: &Ip, map: &str) -> &mut Self {
        let (version, port) = (u32::from(ip.number), FIRST + ip.words());
        self.lookup(map, &[(2, FIRST), (3, FIRST)])
            .plain("nat", &[(1, 1), (2, version), (3, FIRST), (5, port)])
    }

    /// fib daddr type local
    pub fn reaches_host(&mut self, register: u32) -> &mut Self {
        const RTN_LOCAL: u32 = 2;
        self.plain("fib", &[(1, register), (2, 3), (3, 2)])
            .equals(register, &RTN_LOCAL.to_ne_bytes())
    }

    fn bits(&mut self, key: u32, mask: u32) -> &mut Self {
        self.plain("ct", &[(1, 1), (2, key)])
            .expression("bitwise", &[(1, 1), (2, 1), (3, 4)], &|a| {
                data(a, 4, &mask.to_ne_bytes());
                data(a, 5, &[0; 4]);
            })
            .differs(1, &[0; 4])
    }

    pub fn ct_state(&mut self, states: u32) -> &mut Self {
        self.bits(0, states)
    }

    /// ct status dnat
    pub fn translated(&mut self) -> &mut Self {
        self.bits(2, DNAT_DONE)
    }

    pub fn masquerade(&mut self) -> &mut Self {
        self.named("masq")
    }

    pub fn verdict(&mut self, code: i32, chain: Option<&str>) -> &mut Self {
        self.expression("immediate", &[(1, 0)], &|a| {
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
