//! Links: the bridge of a network, the pair of a sandbox (rtnetlink(7), RTM_NEWLINK).

use super::snapshot::{Inside, Snapshot};
use super::uapi::if_link::*;
use super::{Channel, Holds, Lookup, Op, Operation, Place};
use crate::error::{Errno, Error, Result};
use crate::netlink::{Attributes, Batch, flags};
use crate::sys::socket::has_ipv6;
use crate::types::{IfName, Mac, Name};
use neli::consts::rtnl::{Ifla, Rtm};
use std::fmt;

/// The group that netcell's links are in on the host ("nc" in ASCII): what is not in it is not ours to delete.
pub const GROUP: u32 = 28259;

/// IFF_UP (linux/if.h).
const IFF_UP: u32 = 1;

pub(super) const AF_BRIDGE: u8 = 7;
const AF_INET6: u16 = 10;

/// struct ifinfomsg (linux/rtnetlink.h).
pub(super) fn header(family: u8, index: u32, up: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[0] = family;
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&up.to_ne_bytes());
    bytes[12..16].copy_from_slice(&up.to_ne_bytes());
    bytes
}

/// Whether the host has a link of this name; asks by ioctl, without a netlink socket.
pub fn exists(link: &IfName) -> bool {
    crate::sys::port::link_exists(link)
}

/// No IPv6 link-local address: on a bridge with many ports its chatter floods every start.
fn no_link_local(a: &mut Attributes) {
    // A kernel without it refuses the family (rtnl_af_lookup in net/core/rtnetlink.c).
    if !has_ipv6() {
        return;
    }
    a.nest(u16::from(Ifla::AfSpec), |a| {
        a.nest(AF_INET6, |a| {
            a.u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE)
        })
    });
}

/// Makes a bridge.
#[derive(Debug, Clone)]
pub struct AddBridge {
    /// Its name.
    pub name: IfName,
    /// Its MAC, fixed, so that it does not change with its ports.
    pub mac: Mac,
    /// Its MTU in bytes.
    pub mtu: u32,
}

impl fmt::Display for AddBridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AddBridge { name, mac, mtu } = self;
        write!(
            f,
            "ip link add {name} group {GROUP} address {mac} mtu {mtu} type bridge mcast_snooping 0"
        )?;
        match has_ipv6() {
            true => write!(f, "\nip link set {name} addrgenmode none"),
            false => Ok(()),
        }
    }
}

impl Operation for AddBridge {
    fn channel(&self) -> Channel {
        Channel::Route(Place::Host)
    }

    fn encode(&self, batch: &mut Batch, _: &mut dyn Lookup) -> Result<()> {
        batch.request(
            u16::from(Rtm::Newlink),
            flags::create_new(),
            &header(0, 0, 0),
            |a| {
                a.str(u16::from(Ifla::Ifname), self.name.as_str());
                a.bytes(u16::from(Ifla::Address), &self.mac.0);
                a.u32(u16::from(Ifla::Mtu), self.mtu);
                a.u32(IFLA_GROUP, GROUP);
                a.nest(u16::from(Ifla::Linkinfo), |a| {
                    a.str(IFLA_INFO_KIND, "bridge");
                    // br_add_if floods a query to every port when it is on: nine per cent of a create at 1,000 ports.
                    a.nest(IFLA_INFO_DATA, |a| a.u8(IFLA_BR_MCAST_SNOOPING, 0));
                });
            },
        );
        batch.request(
            u16::from(Rtm::Newlink),
            flags::NONE,
            &header(0, 0, 0),
            |a| {
                a.str(u16::from(Ifla::Ifname), self.name.as_str());
                no_link_local(a);
            },
        );
        Ok(())
    }

    fn inverse(&self) -> Option<Op> {
        Some(DelLink::bridge(self.name.clone(), self.mac).into())
    }

    fn holds(&self, now: &Snapshot) -> Holds {
        match now.link(&self.name) {
            None => Holds::No,
            Some(link) if link.kind.as_deref() == Some("bridge") && link.group == GROUP => {
                Holds::Yes
            }
            Some(_) => Holds::Differs(format!(
                "a link {} that is not netcell's is there",
                self.name
            )),
        }
    }
}

/// Makes a sandbox's pair of links, the inner one born in the sandbox, the outer one a port of the bridge and up.
#[derive(Debug, Clone)]
pub struct AddVeth {
    /// The host's end.
    pub host: IfName,
    /// The sandbox's end.
    pub peer: IfName,
    /// The sandbox.
    pub sandbox: Name,
    /// The inner end's MAC.
    pub mac: Mac,
    /// The MTU of both, in bytes.
    pub mtu: u32,
    /// The bridge.
    pub master: IfName,
    /// The bridge may send a frame back through the port it came from: a sandbox that reaches itself by its published
    /// port, while br_netfilter translates addresses on the bridge.
    pub hairpin: bool,
}

impl fmt::Display for AddVeth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AddVeth {
            host,
            peer,
            sandbox,
            mac,
            mtu,
            master,
            hairpin,
        } = self;
        write!(f, "ip link add {host} group {GROUP}")?;
        if let Some(mac) = Mac::of_link(host.as_str()) {
            write!(f, " address {mac}")?;
        }
        writeln!(
            f,
            " mtu {mtu} {QUEUES} master {master} type veth peer name {peer} address {mac} mtu {mtu} {QUEUES} netns {sandbox}"
        )?;
        if *hairpin {
            writeln!(f, "ip link set {host} type bridge_slave hairpin on")?;
        }
        if has_ipv6() {
            writeln!(f, "ip link set {host} addrgenmode none")?;
        }
        write!(f, "ip link set {host} up")
    }
}

/// One queue a link: veth makes as many as there are processors, takes all but one out of use at once and waits for a
/// grace period (veth_init_queues in drivers/net/veth.c).
const QUEUES: &str = "numtxqueues 1 numrxqueues 1";

fn one_queue(a: &mut Attributes) {
    a.u32(u16::from(Ifla::NumTxQueues), 1);
    a.u32(u16::from(Ifla::NumRxQueues), 1);
}

impl Operation for AddVeth {
    fn channel(&self) -> Channel {
        Channel::Route(Place::Host)
    }

    fn encode(&self, batch: &mut Batch, lookup: &mut dyn Lookup) -> Result<()> {
        let bridge = lookup.index(&Place::Host, &self.master)?;
        let namespace = lookup.namespace(&self.sandbox)?;
        batch.request(
            u16::from(Rtm::Newlink),
            flags::create_new(),
            &header(0, 0, 0),
            |a| {
                a.str(u16::from(Ifla::Ifname), self.host.as_str());
                if let Some(mac) = Mac::of_link(self.host.as_str()) {
                    a.bytes(u16::from(Ifla::Address), &mac.0);
                }
                a.u32(u16::from(Ifla::Mtu), self.mtu);
                a.u32(IFLA_GROUP, GROUP);
                a.u32(u16::from(Ifla::Master), bridge);
                one_queue(a);
                a.nest(u16::from(Ifla::Linkinfo), |a| {
                    a.str(IFLA_INFO_KIND, "veth");
                    a.nest(IFLA_INFO_DATA, |a| {
                        a.nest_behind(VETH_INFO_PEER, &header(0, 0, 0), |a| {
                            a.str(u16::from(Ifla::Ifname), self.peer.as_str());
                            a.bytes(u16::from(Ifla::Address), &self.mac.0);
                            a.u32(u16::from(Ifla::Mtu), self.mtu);
                            one_queue(a);
                            // A namespace's descriptor, as the kernel's int of 32 bits.
                            a.u32(IFLA_NET_NS_FD, namespace as u32);
                        });
                    });
                });
            },
        );
        // IFLA_AF_SPEC is refused while a veth is made (EAFNOSUPPORT), so the rest is messages of their own. A port's attributes
        // need its bridge, hence not a moment earlier (rtnl_changelink in net/core/rtnetlink.c).
        let name = u16::from(Ifla::Ifname);
        batch.request(
            u16::from(Rtm::Newlink),
            flags::NONE,
            &header(0, 0, 0),
            |a| {
                a.str(name, self.host.as_str());
                if self.hairpin {
                    a.nest(u16::from(Ifla::Linkinfo), |a| {
                        a.str(IFLA_INFO_SLAVE_KIND, "bridge");
                        a.nest(IFLA_INFO_SLAVE_DATA, |a| a.u8(IFLA_BRPORT_MODE, 1));
                    });
                }
                no_link_local(a);
            },
        );
        // IFF_UP goes alone: a change of attributes of a link that is up and has no carrier yet makes addrconf_notify
        // (net/ipv6/addrconf.c) walk all IPv6 routes of the host, of which each port of the bridge has one.
        batch.request(
            u16::from(Rtm::Newlink),
            flags::NONE,
            &header(0, 0, IFF_UP),
            |a| a.str(name, self.host.as_str()),
        );
        Ok(())
    }

    fn inverse(&self) -> Option<Op> {
        // It would go with the namespace, a little later; after a failure nothing is to be left even then.
        Some(DelLink::veth(self.host.clone()).into())
    }

    fn holds(&self, now: &Snapshot) -> Holds {
        let AddVeth { host, peer, .. } = self;
        let Some(link) = now.link(host) else {
            return Holds::No;
        };
        if link.group != GROUP || link.kind.as_deref() != Some("veth") {
            return Holds::Differs(format!("a link {host} that is not netcell's is there"));
        }
        if let Inside::Gone = now.inside {
            // The end of an earlier namespace, which goes before this is made.
            return Holds::No;
        }
        let inside = Place::Sandbox(self.sandbox.clone());
        if let Holds::No = now.holds_at(&inside, |now| now.link(peer).is_some()) {
            return Holds::Differs(format!(
                "the other end of {host} is not {peer} in the sandbox any more: somebody renamed or moved it"
            ));
        }
        let bridge = now.link(&self.master);
        if bridge.is_some_and(|bridge| bridge.group != GROUP) {
            return Holds::Differs(format!("its bridge {} is not netcell's", self.master));
        }
        let mut rest = Vec::new();
        if link.master.is_none() || link.master != bridge.map(|bridge| bridge.index) {
            rest.push(super::port::Attach::again(self).into());
        }
        if !link.is_up() {
            let (place, link) = (Place::Host, host.clone());
            rest.push(SetUp { place, link }.into());
        }
        match rest.is_empty() {
            true => Holds::Yes,
            false => Holds::Partly(rest),
        }
    }
}

/// Brings a link up.
#[derive(Debug, Clone)]
pub struct SetUp {
    /// Where.
    pub place: Place,
    /// The link.
    pub link: IfName,
}

impl fmt::Display for SetUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SetUp { place, link } = self;
        if self.in_sandbox() && has_ipv6() {
            writeln!(f, "{place} link set {link} addrgenmode none")?;
        }
        write!(f, "{place} link set {link} up")
    }
}

impl SetUp {
    /// A sandbox's own link sends no router solicitation, and has no link-local address to send it from.
    fn in_sandbox(&self) -> bool {
        self.place != Place::Host && self.link != IfName::lo()
    }
}

impl Operation for SetUp {
    fn channel(&self) -> Channel {
        Channel::Route(self.place.clone())
    }

    fn encode(&self, batch: &mut Batch, _: &mut dyn Lookup) -> Result<()> {
        let name = u16::from(Ifla::Ifname);
        if self.in_sandbox() {
            // Before it is up: do_setlink (net/core/rtnetlink.c) brings a link up before it looks at IFLA_AF_SPEC.
            batch.request(
                u16::from(Rtm::Newlink),
                flags::NONE,
                &header(0, 0, 0),
                |a| {
                    a.str(name, self.link.as_str());
                    no_link_local(a);
                },
            );
        }
        batch.request(
            u16::from(Rtm::Newlink),
            flags::NONE,
            &header(0, 0, IFF_UP),
            |a| {
                a.str(name, self.link.as_str());
            },
        );
        Ok(())
    }

    fn holds(&self, now: &Snapshot) -> Holds {
        now.holds_at(&self.place, |now| {
            now.link(&self.link).is_some_and(|link| link.is_up())
        })
    }
}

/// Deletes a link of the host if it is netcell's: the name, netcell's group and, for a bridge, the MAC match.
#[derive(Debug, Clone)]
pub struct DelLink {
    name: IfName,
    mac: Option<Mac>,
}

impl DelLink {
    /// A network's bridge, or another link that is known by its MAC.
    pub fn bridge(name: IfName, mac: Mac) -> Self {
        DelLink {
            name,
            mac: Some(mac),
        }
    }

    /// The host's end of a sandbox's pair, whose random name nothing else has.
    pub fn veth(name: IfName) -> Self {
        DelLink { name, mac: None }
    }
}

impl fmt::Display for DelLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ip link delete {}", self.name)
    }
}

impl Operation for DelLink {
    fn channel(&self) -> Channel {
        Channel::Route(Place::Host)
    }

    fn encode(&self, batch: &mut Batch, lookup: &mut dyn Lookup) -> Result<()> {
        let found = match lookup.link(&Place::Host, &self.name) {
            // Whoever wants it gone has what was wanted: to be buried, and gone by itself.
            Err(error) if error.is(Errno::NODEV) => return Ok(()),
            found => found?,
        };
        if found.group != GROUP || self.mac.is_some_and(|mac| found.mac != Some(mac)) {
            return Err(Error::new(format_args!(
                "cannot delete {}: it is not the link that netcell made",
                self.name
            )));
        }
        batch.request(
            u16::from(Rtm::Dellink),
            flags::NONE,
            &header(0, found.index, 0),
            |_| {},
        );
        Ok(())
    }
}
