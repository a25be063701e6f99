//! What a sandbox cannot say at its bridge's port, to its neighbours or to the host: who it is not.

use crate::harness::frames::{self, Mac};
use crate::harness::*;
use crate::tests;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

pub const TESTS: &[runner::Test] = tests![
    a_sandbox_sends_from_its_own_mac_and_addresses_alone,
    nobody_takes_a_neighbours_address_over,
    a_sandbox_that_may_pretend_is_let,
    a_guard_that_was_flushed_is_made_again_for_those_who_are_there,
    what_a_sandbox_leaves_at_the_guard_is_gone_with_it,
    each_of_twenty_sandboxes_adds_elements_and_no_rule,
];

struct Party {
    name: &'static str,
    mac: Mac,
    four: Ipv4Addr,
    six: Ipv6Addr,
    socket: sys::PacketSocket,
}

fn party(name: &'static str, options: &str) -> Party {
    cell(&format!("create --name {name} --network lan {options}")).ok();
    let link = ip_json_in(name, &["link", "show", "eth0"]);
    Party {
        name,
        mac: frames::mac(link[0]["address"].as_str().unwrap()),
        four: address_in(name, "eth0").0,
        six: address6_in(name, "eth0").0,
        socket: in_netns(pin(name), || sys::PacketSocket::open("eth0")).unwrap(),
    }
}

fn lan() {
    cell("network create --subnet 10.50.0.0/24 --subnet fd00:50::/64 lan").ok();
}

const MARK: &[u8] = b"a mark that nobody else sends";

/// What of these frames, each with [`MARK`] or a claim in it, arrives at a neighbour.
fn arriving<'a>(from: &Party, to: &Party, frames: &[(&'a str, Vec<u8>)]) -> Vec<&'a str> {
    while to
        .socket
        .receive(Duration::from_millis(20))
        .unwrap()
        .is_some()
    {}
    for (_, frame) in frames {
        from.socket.send(frame).unwrap();
    }
    let mut heard = Vec::new();
    while let Some(frame) = to.socket.receive(Duration::from_millis(200)).unwrap() {
        heard.push(frame);
    }
    // A tag may be taken off on the way; what follows it stays.
    let same = |sent: &[u8], heard: &Vec<u8>| {
        let tail = &sent[sent.len() - 24..];
        heard[..12] == sent[..12] && heard.windows(24).any(|part| part == tail)
    };
    frames
        .iter()
        .filter(|(_, sent)| heard.iter().any(|heard| same(sent, heard)))
        .map(|(name, _)| *name)
        .collect()
}

/// Honest frames, and dishonest ones.
fn attempts(evil: &Party, victim: &Party) -> [Vec<(&'static str, Vec<u8>)>; 2] {
    let other4: Ipv4Addr = "10.50.0.250".parse().unwrap();
    let other6: Ipv6Addr = "fd00:50::250".parse().unwrap();
    let strange: Mac = [2, 0, 0, 0, 0, 9];
    let ether = |from, kind, packet: &[u8]| frames::ethernet(victim.mac, from, kind, packet);
    let four = |from, port| frames::udp((from, port), (victim.four, 9), MARK);
    let six = |from, port| frames::udp6((from, port), (victim.six, 9), MARK);
    let honest = vec![
        (
            "arp",
            frames::arp_reply(evil.mac, evil.mac, evil.four, evil.four),
        ),
        ("ipv4", ether(evil.mac, 0x0800, &four(evil.four, 9))),
        ("ipv6", ether(evil.mac, 0x86dd, &six(evil.six, 9))),
        (
            "na",
            frames::neighbour_advertisement(evil.mac, evil.six, evil.six),
        ),
        ("other protocol", ether(evil.mac, 0x88b5, MARK)),
    ];
    let dishonest = vec![
        ("mac", ether(strange, 0x0800, &four(evil.four, 9))),
        (
            "arp mac",
            frames::arp_reply(evil.mac, strange, evil.four, evil.four),
        ),
        (
            "arp address",
            frames::arp_reply(evil.mac, evil.mac, other4, other4),
        ),
        (
            "arp of the gateway",
            frames::arp_reply(evil.mac, evil.mac, [10, 50, 0, 1].into(), victim.four),
        ),
        ("ipv4 source", ether(evil.mac, 0x0800, &four(other4, 9))),
        ("ipv6 source", ether(evil.mac, 0x86dd, &six(other6, 9))),
        (
            "na target",
            frames::neighbour_advertisement(evil.mac, evil.six, other6),
        ),
        (
            "na source",
            frames::neighbour_advertisement(evil.mac, other6, evil.six),
        ),
        ("dhcp server", ether(evil.mac, 0x0800, &four(evil.four, 67))),
        (
            "dhcpv6 server",
            ether(evil.mac, 0x86dd, &six(evil.six, 547)),
        ),
        // Last: the bridge takes the victim to be where it came from.
        (
            "mac of the victim",
            frames::ethernet([0xff; 6], victim.mac, 0x88b5, MARK),
        ),
    ];
    [honest, dishonest]
}

fn a_sandbox_sends_from_its_own_mac_and_addresses_alone() {
    lan();
    let (evil, victim) = (party("evil", ""), party("victim", ""));
    let [honest, dishonest] = attempts(&evil, &victim);
    let names: Vec<&str> = honest.iter().map(|(name, _)| *name).collect();
    assert_eq!(arriving(&evil, &victim, &honest), names);
    assert_eq!(arriving(&evil, &victim, &dishonest), [""; 0]);
    // A tag is no way around, be it of VLAN 0, which is none, or of another.
    for vlan in [0, 5] {
        let tagged: Vec<_> = dishonest
            .iter()
            .map(|(name, frame)| (*name, frames::tagged(frame, vlan)))
            .collect();
        assert_eq!(arriving(&evil, &victim, &tagged), [""; 0], "VLAN {vlan}");
    }
    let advertisement = [("ra", frames::router_advertisement(evil.mac))];
    assert_eq!(arriving(&evil, &victim, &advertisement), [""; 0]);
    // Without the guard each of them arrives: the frames are good ones.
    must("nft", &["delete", "table", "bridge", "netcell"]);
    let names: Vec<&str> = dishonest.iter().map(|(name, _)| *name).collect();
    assert_eq!(arriving(&evil, &victim, &dishonest), names);
    assert_eq!(arriving(&evil, &victim, &advertisement), ["ra"]);
    cell(&format!("rm {} {}", evil.name, victim.name)).ok();
}

fn nobody_takes_a_neighbours_address_over() {
    lan();
    let evil = party("evil", "");
    let (victim, near) = (party("victim", ""), party("near", ""));
    serve_all_in(&pin("victim"), 80, "victim");
    serve_all_in(&pin("evil"), 80, "evil");
    let ask_all = || {
        for address in [std::net::IpAddr::from(victim.four), victim.six.into()] {
            answered(in_netns(pin("near"), || ask(address, 80)), "victim");
            answered(ask(address, 80), "victim");
        }
    };
    ask_all();
    for _ in 0..3 {
        for frame in [
            frames::arp_reply(evil.mac, evil.mac, victim.four, near.four),
            frames::arp_reply(evil.mac, evil.mac, [10, 50, 0, 1].into(), near.four),
            frames::neighbour_advertisement(evil.mac, evil.six, victim.six),
            frames::neighbour_advertisement(evil.mac, victim.six, victim.six),
            frames::ethernet([0xff; 6], victim.mac, 0x88b5, MARK),
        ] {
            evil.socket.send(&frame).unwrap();
        }
    }
    let neighbours = must("ip", &["-n", "near", "neigh"]) + &must("ip", &["neigh"]);
    let evil_mac = ip_json_in("evil", &["link", "show", "eth0"])[0]["address"].clone();
    for line in neighbours.lines() {
        let claims = line.contains(evil_mac.as_str().unwrap());
        assert!(
            !claims
                || line.starts_with(&evil.four.to_string())
                || line.starts_with(&evil.six.to_string()),
            "{line}"
        );
    }
    ask_all();
    cell("rm evil victim near").ok();
}

fn a_sandbox_that_may_pretend_is_let() {
    lan();
    let (free, victim) = (party("free", "--allow-spoof"), party("victim", ""));
    let [mut all, dishonest] = attempts(&free, &victim);
    all.extend(dishonest);
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    assert_eq!(arriving(&free, &victim, &all), names);
    // Routes stay netcell's all the same.
    let advertisement = [("ra", frames::router_advertisement(free.mac))];
    assert_eq!(arriving(&free, &victim, &advertisement), [""; 0]);
    cell("rm free victim").ok();
}

fn a_guard_that_was_flushed_is_made_again_for_those_who_are_there() {
    lan();
    let (evil, victim) = (party("evil", "-p 8080:80"), party("victim", ""));
    serve_all_in(&pin("evil"), 80, "evil");
    must("nft", &["flush", "ruleset"]);
    cell("create --name more --network lan").ok();
    let [honest, dishonest] = attempts(&evil, &victim);
    let names: Vec<&str> = honest.iter().map(|(name, _)| *name).collect();
    assert_eq!(arriving(&evil, &victim, &honest), names);
    assert_eq!(arriving(&evil, &victim, &dishonest), [""; 0]);
    answered(ask(Ipv4Addr::LOCALHOST, 8080), "evil");
    cell("rm evil victim more").ok();
}

/// The elements of the guard's sets, as nft prints them.
fn guarded() -> usize {
    let objects = nft_json(&["list", "table", "bridge", "netcell"]);
    let sets = objects
        .iter()
        .filter_map(|object| object["set"]["elem"].as_array());
    sets.map(Vec::len).sum()
}

/// The only element of a set of links of the guard.
fn element_of(set: &str) -> String {
    let objects = nft_json(&["list", "set", "bridge", "netcell", set]);
    let elements = objects
        .iter()
        .find_map(|object| object["set"]["elem"].as_array());
    let element = &elements.expect("a set with elements")[0];
    // With its timeout it is an object.
    let value = element["elem"].get("val").unwrap_or(element);
    value.as_str().expect("the name of a link").to_owned()
}

fn what_a_sandbox_leaves_at_the_guard_is_gone_with_it() {
    lan();
    for options in ["", "--allow-spoof"] {
        cell(&format!("create --name web --network lan {options}")).ok();
        assert_eq!(guarded(), if options.is_empty() { 4 } else { 1 });
        cell("rm web").ok();
        // What cuts its port off stays until the link is gone for certain.
        wait_within(Duration::from_millis(50), "they have run out", || {
            guarded() == 1
        });
        let link = element_of("gone");
        assert!(link.starts_with("nc"), "{link}");
        wait_within(Duration::from_millis(1500), "that, too", || guarded() == 0);
        assert!(!Path::new("/sys/class/net").join(link).exists());
    }
}

fn each_of_twenty_sandboxes_adds_elements_and_no_rule() {
    lan();
    let rules = || {
        let all = nft_json(&["list", "ruleset"]);
        all.iter()
            .filter(|object| object.get("rule").is_some())
            .count()
    };
    cell("create --name box-0 --network lan").ok();
    let first = rules();
    for n in 1..20 {
        cell(&format!(
            "create --name box-{n} --network lan -p {}:80",
            9000 + n
        ))
        .ok();
    }
    assert_eq!((rules(), guarded()), (first, 80));
    let names: String = (0..20).map(|n| format!(" box-{n}")).collect();
    cell(&format!("rm{names}")).ok();
}
