//! What operations send, beside what the command that they say sends: the bytes below are iproute2's and nft's own, taken
//! from `strace -e write=all` of the very line (iproute2 6.1, nft 1.0.6).
//!
//! Compared is the meaning: message type, flags, fixed header, and the tree of attributes in any order; NLA_F_NESTED,
//! which iproute2 leaves out, only guides the comparison. Where a command first asks for an index, the operation names
//! the link in the same message instead.
#![cfg(test)]

use super::nft::{AddElement, DelElement, Element, ExpireElement};
use super::*;
use crate::error::Error;
use crate::types::{Cidr, PortMapping, Proto};
use std::net::Ipv4Addr;

const BRIDGE: u32 = 3;
const VETH: u32 = 4;
const ETH0: u32 = 2;

/// The host on which the commands were traced: its indexes, and the descriptor of the namespace.
struct Traced;

impl Lookup for Traced {
    fn index(&mut self, _: &Place, link: &IfName) -> Result<u32> {
        match link.as_str() {
            "netcell0" => Ok(BRIDGE),
            "eth0" => Ok(ETH0),
            "nc0123456789" => Ok(VETH),
            _ => Err(Error::new("no such link was traced")),
        }
    }

    fn link(&mut self, place: &Place, link: &IfName) -> Result<Found> {
        Ok(Found {
            index: self.index(place, link)?,
            group: link::GROUP,
            mac: None,
            running: true,
        })
    }

    fn namespace(&mut self, _: &Name) -> Result<i32> {
        Ok(4)
    }
}

/// One message: type, flags, and what follows the header.
#[derive(Debug, Clone, PartialEq)]
struct Sent(u16, u16, Vec<u8>);

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits"))
        .collect()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn sends(op: &Op) -> Vec<Sent> {
    let mut batch = Batch::default();
    op.encode(&mut batch, &mut Traced).expect("it encodes");
    assert!(!batch.overflowed());
    let mut rest = batch.finish(1);
    let mut sent = Vec::new();
    while !rest.is_empty() {
        let length = usize::from(u16_at(rest, 0));
        sent.push(Sent(
            u16_at(rest, 4),
            u16_at(rest, 6),
            rest[16..length].to_vec(),
        ));
        rest = &rest[length.next_multiple_of(4)..];
    }
    sent
}

/// Attributes with their type as it stands in the message, by type.
fn parts(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut all = Vec::new();
    while bytes.len() >= 4 {
        let length = usize::from(u16_at(bytes, 0));
        all.push((u16_at(bytes, 2), &bytes[4..length]));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    all.sort_by_key(|(kind, _)| kind & 0x3fff);
    all
}

fn same_attributes(ours: &[u8], theirs: &[u8]) {
    let (ours, theirs) = (parts(ours), parts(theirs));
    let kinds = |all: &[(u16, &[u8])]| {
        all.iter()
            .map(|(kind, _)| kind & 0x3fff)
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(&ours), kinds(&theirs));
    for ((kind, ours), (_, theirs)) in ours.into_iter().zip(theirs) {
        if kind & 1 << 15 == 0 {
            // iproute2 leaves a kind's NUL out.
            let unterminated = ours.strip_suffix(&[0]) == Some(theirs);
            assert!(
                unterminated || ours == theirs,
                "{kind}: {ours:?} {theirs:?}"
            );
        } else if u16_at(ours, 0) == 0 {
            // VETH_INFO_PEER begins with a struct ifinfomsg of zeros.
            assert_eq!(ours[..16], theirs[..16]);
            same_attributes(&ours[16..], &theirs[16..]);
        } else {
            same_attributes(ours, theirs);
        }
    }
}

/// The operation says `line`, and sends what that line sends: `header` bytes fixed, then attributes.
fn same(op: impl Into<Op>, line: &str, kind: u16, flags: u16, header: usize, theirs: &str) {
    let op = op.into();
    assert_eq!(op.to_string(), line);
    let sent = sends(&op);
    assert_eq!(sent.len(), 1, "{line}");
    same_message(&sent[0], kind, flags, header, &hex(theirs));
}

fn same_message(sent: &Sent, kind: u16, flags: u16, header: usize, theirs: &[u8]) {
    let Sent(our_kind, our_flags, ours) = sent;
    assert_eq!((*our_kind, *our_flags), (kind, flags));
    assert_eq!(ours[..header], theirs[..header]);
    same_attributes(&ours[header..], &theirs[header..]);
}

/// A message that names its link, as if it had its index.
fn by_index(sent: &Sent, name: &str, index: u32) -> Sent {
    const IFLA_IFNAME: u16 = 3;
    let Sent(kind, flags, mut body) = sent.clone();
    let length = 4 + name.len() + 1;
    assert_eq!(
        (u16_at(&body, 16), u16_at(&body, 18)),
        (length as u16, IFLA_IFNAME)
    );
    assert_eq!(&body[20..20 + name.len()], name.as_bytes());
    body.drain(16..16 + length.next_multiple_of(4));
    body[4..8].copy_from_slice(&index.to_le_bytes());
    Sent(kind, flags, body)
}

fn ifname(text: &str) -> IfName {
    text.parse().expect("a name of a link")
}

fn web() -> Place {
    Place::Sandbox("web".parse().expect("a name"))
}

const REQUEST_ACK: u16 = 0x5;
const CREATE_EXCL: u16 = 0x605;
const CREATE_APPEND: u16 = 0xc05;
const CREATE: u16 = 0x405;

const ADDRGENMODE_NONE: &str = "1000 1a00 0c00 0a00 0500 0800 01000000";

#[test]
fn a_bridge_is_iproute2s() {
    let op = Op::from(link::AddBridge {
        name: ifname("netcell0"),
        mac: crate::types::Mac([2, 0, 10, 50, 0, 1]),
        mtu: 1500,
    });
    assert_eq!(
        op.to_string(),
        "ip link add netcell0 group 28259 address 02:00:0a:32:00:01 mtu 1500 type bridge mcast_snooping 0\n\
         ip link set netcell0 addrgenmode none"
    );
    let sent = sends(&op);
    let made = "00000000000000000000000000000000 0800 1b00 636e0000 0a00 0100 02000a3200010000 0800 0400 dc050000
        0d00 0300 6e657463656c6c3000000000 1c00 1200 0a00 0100 6272696467650000 0c00 0200 0500 1700 00000000";
    same_message(&sent[0], 16, CREATE_EXCL, 16, &hex(made));
    let quiet = format!("00000000 03000000 00000000 00000000 {ADDRGENMODE_NONE}");
    let ours = by_index(&sent[1], "netcell0", BRIDGE);
    same_message(&ours, 16, REQUEST_ACK, 16, &hex(&quiet));
}

#[test]
fn a_pair_of_links_is_iproute2s_in_three_messages_for_four() {
    let veth = |hairpin| {
        Op::from(link::AddVeth {
            host: ifname("nc0123456789"),
            peer: ifname("eth0"),
            sandbox: "web".parse().expect("a name"),
            mac: crate::types::Mac([2, 0, 10, 50, 0, 2]),
            mtu: 1500,
            master: ifname("netcell0"),
            hairpin,
        })
    };
    assert_eq!(
        veth(true).to_string(),
        "ip link add nc0123456789 group 28259 address 06:01:23:45:67:89 mtu 1500 numtxqueues 1 numrxqueues 1 master netcell0 type veth peer name eth0 address 02:00:0a:32:00:02 mtu 1500 numtxqueues 1 numrxqueues 1 netns web\n\
         ip link set nc0123456789 type bridge_slave hairpin on\n\
         ip link set nc0123456789 addrgenmode none\n\
         ip link set nc0123456789 up"
    );
    assert!(!veth(false).to_string().contains("hairpin"));
    let made = "00000000000000000000000000000000 0a00 0100 0601234567890000 0800 1b00 636e0000 0800 0400 dc050000 0800 1f00 01000000 0800 2000 01000000
        0800 0a00 03000000 1100 0300 6e6330313233343536373839 00000000 5c00 1200 0800 0100 76657468 5000 0200 4c00 0100
        00000000000000000000000000000000 0a00 0100 02000a3200020000 0800 0400 dc050000 0800 1f00 01000000
        0800 2000 01000000 0800 1c00 04000000 0900 0300 6574683000000000";
    // But for the kind: iproute2 sends "bridge_slave" as IFLA_INFO_KIND, for which the kernel would look for a module.
    let hairpin = "1c00 1280 0b00 0400 62726964676500 00 0c00 0580 0500 0400 01000000";
    for (op, port) in [(veth(false), ""), (veth(true), hairpin)] {
        let sent = sends(&op);
        assert_eq!(sent.len(), 3);
        same_message(&sent[0], 16, CREATE_EXCL, 16, &hex(made));
        let set = format!("00000000 04000000 00000000 00000000 {port} {ADDRGENMODE_NONE}");
        let ours = by_index(&sent[1], "nc0123456789", VETH);
        same_message(&ours, 16, REQUEST_ACK, 16, &hex(&set));
        let up = hex("00000000 04000000 01000000 01000000");
        let ours = by_index(&sent[2], "nc0123456789", VETH);
        same_message(&ours, 16, REQUEST_ACK, 16, &up);
    }
}

#[test]
fn a_port_is_attached_again_as_by_iproute2() {
    let made = link::AddVeth {
        host: ifname("nc0123456789"),
        peer: ifname("eth0"),
        sandbox: "web".parse().expect("a name"),
        mac: crate::types::Mac([2, 0, 10, 50, 0, 2]),
        mtu: 1500,
        master: ifname("netcell0"),
        hairpin: false,
    };
    let ours = by_index(
        &sends(&port::Attach::again(&made).into())[0],
        "nc0123456789",
        VETH,
    );
    let theirs = hex("00000000 04000000 00000000 00000000 0800 0a00 03000000");
    same_message(&ours, 16, REQUEST_ACK, 16, &theirs);
}

#[test]
fn links_come_up_as_with_iproute2() {
    let lo = Op::from(link::SetUp {
        place: web(),
        link: IfName::lo(),
    });
    assert_eq!(lo.to_string(), "ip -n web link set lo up");
    let theirs = hex("00000000 01000000 01000000 01000000");
    same_message(
        &by_index(&sends(&lo)[0], "lo", 1),
        16,
        REQUEST_ACK,
        16,
        &theirs,
    );
    let eth0 = Op::from(link::SetUp {
        place: web(),
        link: ifname("eth0"),
    });
    assert_eq!(
        eth0.to_string(),
        "ip -n web link set eth0 addrgenmode none\nip -n web link set eth0 up"
    );
    let sent = sends(&eth0);
    let none = format!("00000000 02000000 00000000 00000000 {ADDRGENMODE_NONE}");
    for (sent, theirs) in sent
        .iter()
        .zip([none.as_str(), "00000000 02000000 01000000 01000000"])
    {
        let ours = by_index(sent, "eth0", ETH0);
        same_message(&ours, 16, REQUEST_ACK, 16, &hex(theirs));
    }
    assert_eq!(sent.len(), 2);
}

#[test]
fn a_bridge_port_is_blocked_and_a_link_deleted_as_iproute2_does() {
    let link = || ifname("nc0123456789");
    same(
        port::Block { link: link() },
        "bridge link set dev nc0123456789 state 0",
        19,
        REQUEST_ACK,
        16,
        "07000000 04000000 00000000 00000000 0c00 0c80 0500 0100 00000000",
    );
    same(
        link::DelLink::veth(link()),
        "ip link delete nc0123456789",
        17,
        REQUEST_ACK,
        16,
        "00000000 04000000 00000000 00000000",
    );
}

#[test]
fn addresses_and_routes_are_iproute2s() {
    let add = |address: &str, prefix| addr::Add {
        place: web(),
        link: ifname("eth0"),
        address: Cidr {
            addr: address.parse().expect("an address"),
            prefix,
        },
    };
    same(
        add("10.50.0.2", 24),
        "ip -n web address add 10.50.0.2/24 dev eth0",
        20,
        CREATE_EXCL,
        8,
        "02180000 02000000 0800 0200 0a320002 0800 0100 0a320002",
    );
    same(
        add("fd00::2", 64),
        "ip -n web address add fd00::2/64 dev eth0 nodad",
        20,
        CREATE_EXCL,
        8,
        "0a400200 02000000 1400 0200 fd000000000000000000000000000002 1400 0100 fd000000000000000000000000000002",
    );
    same(
        route::AddDefault {
            place: web(),
            link: ifname("eth0"),
            via: Ipv4Addr::new(10, 50, 0, 1).into(),
        },
        "ip -n web route add default via 10.50.0.1 dev eth0",
        24,
        CREATE_EXCL,
        12,
        "02000000 fe030001 00000000 0800 0500 0a320001 0800 0400 02000000",
    );
    let connected = |address: &str, prefix| {
        let add = add(address, prefix);
        route::AddConnected {
            place: add.place,
            link: add.link,
            address: add.address,
        }
    };
    same(
        connected("10.50.0.2", 24),
        "ip -n web route add 10.50.0.0/24 dev eth0 proto kernel scope link src 10.50.0.2",
        24,
        CREATE_EXCL,
        12,
        "02180000 fe02fd01 00000000 0800 0100 0a320000 0800 0700 0a320002 0800 0400 02000000",
    );
    same(
        connected("fd00::2", 64),
        "ip -n web route append fd00::/64 dev eth0 proto kernel metric 256",
        24,
        CREATE_APPEND,
        12,
        "0a400000 fe020001 00000000 1400 0100 fd000000000000000000000000000000 0800 0600 00010000 0800 0400 02000000",
    );
}

/// nft's messages without NFTA_SET_ELEM_LIST_SET_ID, which it sends as 0; it asks for no acknowledgement.
const TCP_8081: &str = "01000000 0c00 0100 6e657463656c6c00 0d00 0200 7075626c69736834 00000000
    2800 0380 2400 0180 1000 0180 0c00 0100 06000000 1f910000";

fn tcp_8081() -> Element {
    Element::Publish {
        mapping: PortMapping {
            proto: Proto::Tcp,
            host_ip: Ipv4Addr::UNSPECIFIED.into(),
            host_port: 8081,
            container_port: 80,
            on: None,
            from: None,
        },
        to: Ipv4Addr::new(10, 50, 0, 2).into(),
    }
}

#[test]
fn published_ports_are_nfts_elements() {
    let data = "1000 0280 0c00 0100 0a320002 00500000";
    // More than nft asks for: EEXIST where the element is about to run out.
    same(
        AddElement(tcp_8081()),
        "nft add element inet netcell publish4 '{ tcp . 8081 : 10.50.0.2 . 80 }'",
        0x0a0c,
        CREATE_EXCL,
        4,
        &format!("{TCP_8081} {data}"),
    );
    let on_an_address = Element::Publish {
        mapping: PortMapping {
            proto: Proto::Udp,
            host_ip: Ipv4Addr::new(198, 51, 100, 1).into(),
            host_port: 53,
            container_port: 5353,
            on: None,
            from: None,
        },
        to: Ipv4Addr::new(10, 50, 0, 2).into(),
    };
    same(
        AddElement(on_an_address),
        "nft add element inet netcell publish4_addr '{ 198.51.100.1 . udp . 53 : 10.50.0.2 . 5353 }'",
        0x0a0c,
        CREATE_EXCL,
        4,
        "01000000 0c00 0100 6e657463656c6c00 1200 0200 7075626c697368345f6164647200 0000 2c00 0380 2800 0180
         1400 0180 1000 0100 c6336401 11000000 00350000 1000 0280 0c00 0100 0a320002 14e90000",
    );
}

#[test]
fn elements_go_as_with_nft() {
    same(
        DelElement(tcp_8081()),
        "nft delete element inet netcell publish4 '{ tcp . 8081 : 10.50.0.2 . 80 }'",
        0x0a0e,
        REQUEST_ACK,
        4,
        "01000000 0c00 0100 6e657463656c6c00 0d00 0200 7075626c69736834 00000000
         1800 0380 1400 0180 1000 0180 0c00 0100 06000000 1f910000",
    );
    // nft add element inet netcell publish4 '{ tcp . 8081 timeout 1ms : 10.50.0.2 . 80 }'
    let sent = sends(&ExpireElement(tcp_8081()).into());
    if crate::sys::release::at_least(6, 12) {
        let with_timeout = TCP_8081
            .replace("2800 0380 2400", "3400 0380 3000")
            .to_owned()
            + " 1000 0280 0c00 0100 0a320002 00500000 0c00 0400 0000000000000001";
        same_message(&sent[0], 0x0a0c, CREATE, 4, &hex(&with_timeout));
    } else {
        assert_eq!(sent, sends(&DelElement(tcp_8081()).into()));
    }
}

#[test]
fn a_networks_elements_are_nfts() {
    let bridge = || ifname("netcell1");
    let padded = "6e657463656c6c31 0000000000000000";
    let table = "01000000 0c00 0100 6e657463656c6c00";
    same(
        AddElement(Element::Bridge(bridge())),
        "nft add element inet netcell bridges '{ \"netcell1\" }'",
        0x0a0c,
        CREATE,
        4,
        &format!(
            "{table} 0c00 0200 6272696467657300 2000 0380 1c00 0180 1800 0180 1400 0100 {padded}"
        ),
    );
    same(
        AddElement(Element::Siblings(bridge())),
        "nft add element inet netcell siblings '{ \"netcell1\" . \"netcell1\" }'",
        0x0a0c,
        CREATE,
        4,
        &format!(
            "{table} 0d00 0200 7369626c696e677300000000 3000 0380 2c00 0180 2800 0180 2400 0100 {padded} {padded}"
        ),
    );
    same(
        AddElement(Element::Local(
            bridge(),
            Cidr::v4(Ipv4Addr::new(10, 50, 0, 0), 24),
        )),
        "nft add element inet netcell local4 '{ \"netcell1\" . 10.50.0.0/24 }'",
        0x0a0c,
        CREATE,
        4,
        &format!(
            "{table} 0b00 0200 6c6f63616c340000 4000 0380 3c00 0180 1c00 0180 1800 0100 {padded} 0a320000
             1c00 0a80 1800 0100 {padded} 0a3200ff"
        ),
    );
}
