//! The sets and maps of netcell's tables: each is described once, and written from that as nft's text and as the
//! kernel's message.

use super::nft::{TABLE, data, header, kind};
use super::uapi::nf_tables::*;
use crate::netlink::{Batch, flags};
use crate::types::{Mac, from_bits};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A field of a key, or of what a map leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Family,
    V4,
    V6,
    Mac,
    Proto,
    Port,
    Link,
    /// The target of a neighbour advertisement, for which nft 1.0.6 has no name.
    Target,
}

impl Field {
    /// Its length in bytes.
    pub fn length(self) -> usize {
        self.facts().2 as usize
    }

    /// A value, as nft writes it between braces.
    pub fn show(self, bytes: &[u8]) -> String {
        let number = || {
            bytes
                .iter()
                .fold(0_u128, |all, byte| all << 8 | u128::from(*byte))
        };
        let of = |like: IpAddr| from_bits(number(), like).to_string();
        match self {
            Field::V4 => of(Ipv4Addr::UNSPECIFIED.into()),
            Field::V6 => of(Ipv6Addr::UNSPECIFIED.into()),
            Field::Mac => bytes
                .try_into()
                .map_or(String::new(), |mac| Mac(mac).to_string()),
            Field::Link => {
                let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
                format!("\"{}\"", String::from_utf8_lossy(name))
            }
            Field::Target => format!("{:#034x}", number()),
            Field::Family | Field::Proto | Field::Port => number().to_string(),
        }
    }

    /// nft's name, nft's number for the type (the kernel only keeps it), and the length in bytes.
    fn facts(self) -> (&'static str, u32, u32) {
        match self {
            Field::Family => ("nf_proto", 2, 1),
            Field::Target => ("@th,64,128", 4, 16),
            Field::V4 => ("ipv4_addr", 7, 4),
            Field::V6 => ("ipv6_addr", 8, 16),
            Field::Mac => ("ether_addr", 9, 6),
            Field::Proto => ("inet_proto", 12, 1),
            Field::Port => ("inet_service", 13, 2),
            Field::Link => ("ifname", 41, 16),
        }
    }
}

/// A set, or with `to` a map.
#[derive(Debug)]
pub(super) struct SetDef {
    pub name: &'static str,
    pub key: &'static [Field],
    pub to: &'static [Field],
    /// NFT_SET_TIMEOUT, or NFT_SET_INTERVAL.
    pub flags: u32,
}

impl SetDef {
    pub const fn set(name: &'static str, key: &'static [Field], flags: u32) -> Self {
        SetDef {
            name,
            key,
            to: &[],
            flags,
        }
    }

    /// What nft would be given.
    pub fn text(&self, out: &mut String) {
        let class = if self.to.is_empty() { "set" } else { "map" };
        let flag = match self.flags {
            NFT_SET_TIMEOUT => "\t\tflags timeout\n",
            NFT_SET_INTERVAL => "\t\tflags interval\n",
            _ => "",
        };
        let _ = write!(out, "\t{class} {} {{\n\t\t", self.name);
        if self.key.contains(&Field::Target) {
            out.push_str("typeof iifname . @th,64,128");
        } else {
            out.push_str("type ");
            names(self.key, out);
        }
        if !self.to.is_empty() {
            out.push_str(" : ");
            names(self.to, out);
        }
        let _ = writeln!(out, "\n{flag}\t}}");
    }

    /// The message that makes it; its number within the transaction is `id`.
    pub fn encode(&self, batch: &mut Batch, family: u8, id: u32) {
        let concatenated = self.key.len() > 1 && self.flags & NFT_SET_INTERVAL != 0;
        let mut set_flags = self.flags;
        if !self.to.is_empty() {
            set_flags |= NFT_SET_MAP;
        }
        if concatenated {
            set_flags |= NFT_SET_CONCAT;
        }
        batch.request(kind(NFT_MSG_NEWSET), flags::CREATE, &header(family), |a| {
            a.str(NFTA_SET_TABLE, TABLE);
            a.str(NFTA_SET_NAME, self.name);
            a.be32(NFTA_SET_FLAGS, set_flags);
            let (key_type, length) = together(self.key);
            a.be32(NFTA_SET_KEY_TYPE, key_type);
            a.be32(NFTA_SET_KEY_LEN, length);
            if !self.to.is_empty() {
                let (data_type, length) = together(self.to);
                a.be32(NFTA_SET_DATA_TYPE, data_type);
                a.be32(NFTA_SET_DATA_LEN, length);
            }
            a.be32(NFTA_SET_ID, id);
            if let [Field::Link] = self.key {
                a.bytes(NFTA_SET_USERDATA, &host_order());
            } else if self.key.contains(&Field::Target) {
                a.bytes(NFTA_SET_USERDATA, &typeof_target());
            }
            if concatenated {
                a.nest(NFTA_SET_DESC, |a| {
                    a.nest(NFTA_SET_DESC_CONCAT, |a| {
                        for field in self.key {
                            let length = field.facts().2.next_multiple_of(4);
                            a.nest(NFTA_LIST_ELEM, |a| a.be32(NFTA_SET_FIELD_LEN, length));
                        }
                    });
                });
            }
        });
    }
}

fn names(fields: &[Field], out: &mut String) {
    for (at, field) in fields.iter().enumerate() {
        out.push_str(if at > 0 { " . " } else { "" });
        out.push_str(field.facts().0);
    }
}

/// The type of a concatenation, six bits a field, and its length, each field padded to four bytes.
fn together(fields: &[Field]) -> (u32, u32) {
    if let [field] = fields {
        let (_, number, length) = field.facts();
        return (number, length);
    }
    fields.iter().fold((0, 0), |(number, length), field| {
        let (_, one, bytes) = field.facts();
        (number << 6 | one, length + bytes.next_multiple_of(4))
    })
}

/// What nft needs to print the elements of a set whose key is one interface name: the key's byte order, as a TLV of
/// libnftnl's that the kernel only keeps (NFTNL_UDATA_SET_KEYBYTEORDER in libnftnl/udata.h).
fn host_order() -> [u8; 6] {
    const KEY_BYTE_ORDER: u8 = 0;
    const HOST_ENDIAN: u32 = 1;
    let [a, b, c, d] = HOST_ENDIAN.to_ne_bytes();
    [KEY_BYTE_ORDER, 4, a, b, c, d]
}

/// What nft needs to know that the key is `iifname . @th,64,128`: without the length of its second field nft 1.0.6 fails an
/// assertion when it sorts the elements. TLVs as set_make_key in nft's src/netlink.c writes them, numbers in the host's
/// order: the key's byte order, none; then a concatenation of a meta and a payload expression.
fn typeof_target() -> heapless::Vec<u8, 80> {
    const CONCAT: u32 = 13;
    const META: [u32; 2] = [9, 6];
    const PAYLOAD: u32 = 7;
    const UNKNOWN_TYPE_BASE_OFFSET_LENGTH: [u32; 5] = [0, 0, 3, 64, 128];
    let mut bytes = heapless::Vec::new();
    let mut head = |kind: u8, length: u8, value: Option<u32>| {
        let fits = bytes.extend_from_slice(&[kind, length]).is_ok()
            && value.is_none_or(|value| bytes.extend_from_slice(&value.to_ne_bytes()).is_ok());
        debug_assert!(fits);
    };
    head(0, 4, Some(0));
    head(3, 64, None);
    head(0, 4, Some(CONCAT));
    head(1, 56, None);
    head(0, 14, None);
    head(0, 4, Some(META[0]));
    head(1, 6, None);
    head(0, 4, Some(META[1]));
    head(1, 38, None);
    head(0, 4, Some(PAYLOAD));
    head(1, 30, None);
    for (kind, value) in (0..).zip(UNKNOWN_TYPE_BASE_OFFSET_LENGTH) {
        head(kind, 4, Some(value));
    }
    bytes
}

/// A set without a name, of the protocols that have ports, for the one rule that names it by `id`.
pub(super) fn protocols_with_ports(batch: &mut Batch, id: u32) {
    const ANONYMOUS_CONSTANT: u32 = 1 | 2;
    const PROTOCOLS: [u8; 3] = [6, 17, 132];
    let (_, number, length) = Field::Proto.facts();
    let family = header(NFPROTO_INET);
    batch.request(kind(NFT_MSG_NEWSET), flags::CREATE, &family, |a| {
        a.str(NFTA_SET_TABLE, TABLE);
        a.str(NFTA_SET_NAME, ANONYMOUS);
        a.be32(NFTA_SET_FLAGS, ANONYMOUS_CONSTANT);
        a.be32(NFTA_SET_KEY_TYPE, number);
        a.be32(NFTA_SET_KEY_LEN, length);
        a.be32(NFTA_SET_ID, id);
    });
    batch.request(kind(NFT_MSG_NEWSETELEM), flags::CREATE, &family, |a| {
        a.str(NFTA_SET_ELEM_LIST_TABLE, TABLE);
        a.str(NFTA_SET_ELEM_LIST_SET, ANONYMOUS);
        a.be32(NFTA_SET_ELEM_LIST_SET_ID, id);
        a.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |a| {
            for protocol in PROTOCOLS {
                a.nest(NFTA_LIST_ELEM, |a| {
                    data(a, NFTA_SET_ELEM_KEY, &[protocol]);
                });
            }
        });
    });
}

/// The name that the kernel completes with a number (nf_tables_set_alloc_name in net/netfilter/nf_tables_api.c).
pub(super) const ANONYMOUS: &str = "__set%d";
