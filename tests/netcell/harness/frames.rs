//! Ethernet frames made by hand, for what no honest program sends.

use std::net::{Ipv4Addr, Ipv6Addr};

pub type Mac = [u8; 6];

/// Parses what `ip -j link` calls an address.
pub fn mac(text: &str) -> Mac {
    let mut bytes = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).expect("a MAC"));
    [(); 6].map(|()| bytes.next().expect("six bytes"))
}

/// RFC 1071.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let bytes = parts.concat();
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&b| u32::from(b)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

pub fn ethernet(to: Mac, from: Mac, kind: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from[..], &kind.to_be_bytes(), payload].concat()
}

fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len())
        .expect("a short packet")
        .to_be_bytes();
    let mut header = vec![
        0x45, 0, length[0], length[1], 0, 1, 0, 0, 64, protocol, 0, 0,
    ];
    header.extend(from.octets());
    header.extend(to.octets());
    let sum = checksum(&[&header]);
    header[10..12].copy_from_slice(&sum);
    [&header[..], payload].concat()
}

/// A TCP SYN.
pub fn syn(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16)) -> Vec<u8> {
    let mut tcp = Vec::new();
    tcp.extend(from.1.to_be_bytes());
    tcp.extend(to.1.to_be_bytes());
    tcp.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
    let pseudo = [&from.0.octets()[..], &to.0.octets()[..], &[0, 6, 0, 20]].concat();
    let sum = checksum(&[&pseudo, &tcp]);
    tcp[16..18].copy_from_slice(&sum);
    ipv4(from.0, to.0, 6, &tcp)
}

/// A UDP datagram without a checksum, which IPv4 allows.
pub fn udp(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), payload: &[u8]) -> Vec<u8> {
    let mut udp = Vec::new();
    udp.extend(from.1.to_be_bytes());
    udp.extend(to.1.to_be_bytes());
    udp.extend(
        u16::try_from(8 + payload.len())
            .expect("a short packet")
            .to_be_bytes(),
    );
    udp.extend([0, 0]);
    udp.extend(payload);
    ipv4(from.0, to.0, 17, &udp)
}

/// A router advertisement (RFC 4861, 4.2) that offers a default route and the prefix fd00:bad::/64.
pub fn router_advertisement(from: Mac) -> Vec<u8> {
    let source: Ipv6Addr = "fe80::bad".parse().expect("an address");
    let all_nodes: Ipv6Addr = "ff02::1".parse().expect("an address");
    let prefix: Ipv6Addr = "fd00:bad::".parse().expect("an address");
    let mut body = vec![134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
    // Source link-layer address, then prefix information: on-link, autonomous, an hour.
    body.extend([1, 1]);
    body.extend(from);
    body.extend([
        3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0,
    ]);
    body.extend(prefix.octets());
    let length = u8::try_from(body.len()).expect("short");
    let pseudo = [
        &source.octets()[..],
        &all_nodes.octets()[..],
        &[0, 0, 0, length, 0, 0, 0, 58],
    ]
    .concat();
    let sum = checksum(&[&pseudo, &body]);
    body[2..4].copy_from_slice(&sum);
    let mut packet = vec![0x60, 0, 0, 0, 0, length, 58, 255];
    packet.extend(source.octets());
    packet.extend(all_nodes.octets());
    packet.extend(body);
    ethernet([0x33, 0x33, 0, 0, 0, 1], from, 0x86dd, &packet)
}

/// An ARP reply: `from` says that `sender` is at `claimed` (RFC 826).
pub fn arp_reply(from: Mac, claimed: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut body = vec![0, 1, 8, 0, 6, 4, 0, 2];
    body.extend(claimed);
    body.extend(sender.octets());
    body.extend([0xff; 6]);
    body.extend(target.octets());
    ethernet([0xff; 6], from, 0x0806, &body)
}

/// An IPv6 packet.
pub fn ipv6(from: Ipv6Addr, to: Ipv6Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("short").to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], protocol, 255];
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(payload);
    packet
}

/// What is hashed with an IPv6 payload (RFC 8200, 8.1).
fn pseudo6(from: Ipv6Addr, to: Ipv6Addr, protocol: u8, payload: &[u8]) -> [u8; 2] {
    let length = u8::try_from(payload.len()).expect("short");
    let tail = [0, 0, 0, length, 0, 0, 0, protocol];
    checksum(&[&from.octets(), &to.octets(), &tail, payload])
}

/// An unsolicited neighbour advertisement to all nodes (RFC 4861, 4.4), from an address, about a target.
pub fn neighbour_advertisement(from: Mac, source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let all: Ipv6Addr = "ff02::1".parse().expect("an address");
    let mut body = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
    body.extend(target.octets());
    body.extend([2, 1]);
    body.extend(from);
    let sum = pseudo6(source, all, 58, &body);
    body[2..4].copy_from_slice(&sum);
    let packet = ipv6(source, all, 58, &body);
    ethernet([0x33, 0x33, 0, 0, 0, 1], from, 0x86dd, &packet)
}

/// A UDP datagram over IPv6.
pub fn udp6(from: (Ipv6Addr, u16), to: (Ipv6Addr, u16), payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len())
        .expect("short")
        .to_be_bytes();
    let mut udp = [from.1.to_be_bytes(), to.1.to_be_bytes(), length, [0, 0]].concat();
    udp.extend(payload);
    let sum = pseudo6(from.0, to.0, 17, &udp);
    udp[6..8].copy_from_slice(&sum);
    ipv6(from.0, to.0, 17, &udp)
}

/// The same frame with a VLAN tag (IEEE 802.1Q).
pub fn tagged(frame: &[u8], vlan: u8) -> Vec<u8> {
    [&frame[..12], &[0x81, 0, 0, vlan], &frame[12..]].concat()
}
