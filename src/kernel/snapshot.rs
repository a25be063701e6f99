//! What a namespace has now: links, addresses, routes, listening sockets, and on the host netcell's table.

use super::elements::Elements;
use super::sockets::{self, Sockets, plain};
use super::uapi::if_link::{
    IFLA_BRPORT_ISOLATED, IFLA_EXT_MASK, IFLA_GROUP, IFLA_INFO_KIND, IFLA_INFO_SLAVE_DATA,
    RTEXT_FILTER_SKIP_STATS,
};
use super::uapi::nf_tables::{NFPROTO_BRIDGE, NFPROTO_INET};
use super::uapi::rtnetlink::{RT_TABLE_MAIN, RTN_UNICAST};
use super::{Holds, Place, link, sysctl};
use crate::error::{Errno, Error, Result};
use crate::netlink::{Message, attributes};
use crate::types::json::json_object;
use crate::types::{Cidr, IfName, Mac};
use neli::consts::rtnl::{Ifa, Ifla, Rta, Rtm};
use std::net::IpAddr;

/// A link.
#[derive(Debug, Clone)]
pub struct Link {
    /// Its index in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its kind (IFLA_INFO_KIND): `bridge`, `veth`; none for hardware and `lo`.
    pub kind: Option<String>,
    /// The flags of linux/if.h, as bits.
    pub flags: u32,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Its MAC, when it has one.
    pub mac: Option<Mac>,
    /// The index of its bridge.
    pub master: Option<u32>,
    /// Its group.
    pub group: u32,
    /// As a bridge's port it is kept from its like.
    pub isolated: bool,
    /// The index of a pair's other end, in its namespace.
    pub peer: Option<u32>,
}
json_object!(Link {
    index,
    name,
    kind,
    flags,
    mtu,
    mac,
    master,
    group; isolated, peer
});

impl Link {
    /// IFF_UP: somebody brought it up.
    pub fn is_up(&self) -> bool {
        self.flags & 1 != 0
    }

    /// IFF_RUNNING: it also has a carrier.
    pub fn is_running(&self) -> bool {
        self.flags & 0x40 != 0
    }

    /// IFF_LOOPBACK.
    pub fn is_loopback(&self) -> bool {
        self.flags & 0x8 != 0
    }
}

/// An address of a link.
#[derive(Debug, Clone)]
pub struct Address {
    /// The link's index.
    pub link: u32,
    /// The address with its prefix.
    pub address: Cidr,
    /// 0 universe, 253 link, 254 host (linux/rtnetlink.h).
    pub scope: u8,
}
json_object!(Address {
    link,
    address,
    scope
});

/// A route of the main table.
#[derive(Debug, Clone)]
pub struct Route {
    /// The destination; none for the default route.
    pub destination: Option<Cidr>,
    /// The next hop.
    pub via: Option<IpAddr>,
    /// The index of the link it leaves by.
    pub link: Option<u32>,
    /// Its metric.
    pub metric: Option<u32>,
    /// The preferred source address.
    pub source: Option<IpAddr>,
}
json_object!(Route {
    destination,
    via,
    link,
    metric,
    source
});

/// What is known of a sandbox's namespace.
#[derive(Debug, Default)]
pub enum Inside {
    /// Nobody looked: what belongs there counts as there.
    #[default]
    Unseen,
    /// There is none: nothing of it is there.
    Gone,
    /// It is like this.
    Seen(Box<Snapshot>),
}

/// A namespace at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Its links, by index.
    pub links: Vec<Link>,
    /// Their addresses.
    pub addresses: Vec<Address>,
    /// The routes of the main table.
    pub routes: Vec<Route>,
    /// On the host: whether netcell's table is there.
    pub table: bool,
    /// On the host: whether the guard of bridges' ports is there.
    pub guard: bool,
    /// On the host: the bridges of the networks that have a part in that table.
    pub networks: Vec<IfName>,
    /// On the host: the value of net.ipv4.ip_forward.
    pub forwarding: Option<String>,
    /// On the host: the value of net.ipv6.conf.all.forwarding; none on a kernel without IPv6.
    pub forwarding6: Option<String>,
    /// On the host: every element of netcell's tables, where they were looked at.
    pub elements: Option<Elements>,
    /// On the host: the namespace of the sandbox that is looked at.
    pub inside: Inside,
}

impl Snapshot {
    /// The host, with what netcell shares there.
    pub fn of_host(sockets: &mut Sockets) -> Result<Self> {
        let mut now = Self::of(sockets.route(&Place::Host)?)?;
        now.table = sockets.has_table(NFPROTO_INET)?;
        now.guard = sockets.has_table(NFPROTO_BRIDGE)?;
        now.networks = sockets.networks()?;
        now.forwarding = sysctl::read(sysctl::FORWARDING);
        now.forwarding6 = sysctl::read(sysctl::FORWARDING6);
        Ok(now)
    }

    /// The same, with every element, chain and rule of netcell's tables; on a kernel without nf_tables, without.
    pub fn of_host_whole(sockets: &mut Sockets) -> Result<Self> {
        let mut now = match Self::of_host(sockets) {
            Err(error) if error.is(Errno::PROTONOSUPPORT) || error.is(Errno::INVAL) => {
                return Self::of(sockets.route(&Place::Host)?);
            }
            now => now?,
        };
        now.elements = Some(Elements::of_host(sockets)?);
        Ok(now)
    }

    /// Takes netcell's tables for whole: what is only said has made them.
    pub fn assume_tables(&mut self) {
        (self.table, self.guard) = (true, true);
        if let Some(elements) = &mut self.elements {
            elements.assume_whole();
        }
    }

    /// Whether something holds of a place; of a namespace that nobody looked at everything does.
    pub fn holds_at(&self, place: &Place, what: impl FnOnce(&Snapshot) -> bool) -> Holds {
        let holds = match (place, &self.inside) {
            (Place::Host, _) => what(self),
            (_, Inside::Unseen) => true,
            (_, Inside::Gone) => false,
            (_, Inside::Seen(inside)) => what(inside),
        };
        if holds { Holds::Yes } else { Holds::No }
    }

    /// A namespace's links, addresses and routes.
    pub fn of(route: &mut sockets::Route) -> Result<Self> {
        let failed = |error| plain(error, "list links, addresses and routes");
        let socket = &mut route.socket;
        let links = socket
            .dump(
                |batch, flags| {
                    let mask = |a: &mut crate::netlink::Attributes| {
                        a.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
                    };
                    batch.message(u16::from(Rtm::Getlink), flags, &link::header(0, 0, 0), mask);
                },
                read_link,
            )
            .map_err(failed)?;
        let addresses = socket
            .dump(
                |batch, flags| batch.message(u16::from(Rtm::Getaddr), flags, &[0; 8], |_| {}),
                read_address,
            )
            .map_err(failed)?;
        let routes = socket
            .dump(
                |batch, flags| batch.message(u16::from(Rtm::Getroute), flags, &[0; 12], |_| {}),
                read_route,
            )
            .map_err(failed)?;
        Ok(Snapshot {
            links,
            addresses,
            routes,
            ..Snapshot::default()
        })
    }

    /// A link by its name.
    pub fn link(&self, name: &IfName) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name.as_str())
    }

    /// As it would be without a link, its addresses and the routes that leave by it.
    pub fn without(&mut self, name: &IfName) {
        let Some(index) = self.link(name).map(|link| link.index) else {
            return;
        };
        self.links.retain(|link| link.index != index);
        self.addresses.retain(|address| address.link != index);
        self.routes.retain(|route| route.link != Some(index));
    }

    /// Whether a network, by its bridge, has its part in netcell's table: all its elements are made in one transaction.
    pub fn has_network(&self, bridge: &IfName) -> bool {
        self.networks.contains(bridge)
    }

    /// Whether a link has an address.
    pub fn has_address(&self, name: &IfName, address: Cidr) -> bool {
        self.link(name).is_some_and(|link| {
            self.addresses
                .iter()
                .any(|a| a.link == link.index && a.address == address)
        })
    }

    /// Whether the subnet of a link's address is routed to the link. While the link is down the kernel has no such route, and
    /// adds it when it comes up; that of a VRF's link is in the VRF's table.
    pub fn is_connected(&self, name: &IfName, address: Cidr) -> bool {
        self.link(name).is_some_and(|link| {
            let subnet = Some(address.subnet());
            !link.is_up()
                || link.master.is_some()
                || self.routes.iter().any(|route| {
                    route.link == Some(link.index)
                        && route.via.is_none()
                        && route.destination == subnet
                })
        })
    }

    /// What is reachable on-link or by a route, default routes left out.
    pub fn subnets(&self) -> impl Iterator<Item = Cidr> {
        let routed = self.routes.iter().filter_map(|route| route.destination);
        self.addresses
            .iter()
            .map(|a| a.address.subnet())
            .chain(routed)
    }

    /// The MTU of the link that the IPv4 default route leaves by, in bytes.
    pub fn uplink_mtu(&self) -> Option<u32> {
        let default = self
            .routes
            .iter()
            .filter(|route| route.destination.is_none());
        let index = default
            .min_by_key(|route| route.metric.unwrap_or(0))?
            .link?;
        self.links
            .iter()
            .find(|link| link.index == index)
            .map(|link| link.mtu)
    }

    /// Whether the host forwards IPv4.
    ///
    /// # Errors
    /// A host without /proc/sys/net cannot be asked, nor told.
    pub fn forwards_ipv4(&self) -> Result<bool> {
        match &self.forwarding {
            Some(value) => Ok(value != "0"),
            None => Err(Error::new(
                "cannot read /proc/sys/net/ipv4/ip_forward: a network needs /proc and a kernel with CONFIG_INET",
            )),
        }
    }
}

pub(super) fn read_link(message: &Message) -> Option<Link> {
    let index = word(message.body, 4)?;
    let flags = word(message.body, 8)?;
    let mut link = Link {
        index,
        name: String::new(),
        kind: None,
        flags,
        mtu: 0,
        mac: None,
        master: None,
        group: 0,
        isolated: false,
        peer: None,
    };
    for a in attributes(message.body.get(16..)?) {
        match a.kind {
            IFLA_GROUP => link.group = a.u32()?,
            kind if kind == u16::from(Ifla::Ifname) => link.name = a.str()?.to_owned(),
            kind if kind == u16::from(Ifla::Mtu) => link.mtu = a.u32()?,
            kind if kind == u16::from(Ifla::Master) => link.master = a.u32(),
            kind if kind == u16::from(Ifla::Link) => link.peer = a.u32(),
            kind if kind == u16::from(Ifla::Address) => link.mac = a.value.try_into().ok().map(Mac),
            kind if kind == u16::from(Ifla::Linkinfo) => {
                for a in a.nested() {
                    match a.kind {
                        IFLA_INFO_KIND => link.kind = a.str().map(str::to_owned),
                        IFLA_INFO_SLAVE_DATA => {
                            let mut port = a.nested();
                            link.isolated =
                                port.any(|a| a.kind == IFLA_BRPORT_ISOLATED && a.value == [1]);
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Some(link)
}

pub(super) fn read_address(message: &Message) -> Option<Address> {
    let head = message.body.get(..8)?;
    let (mut local, mut address) = (None, None);
    for a in attributes(message.body.get(8..)?) {
        match a.kind {
            kind if kind == u16::from(Ifa::Local) => local = a.ip(),
            kind if kind == u16::from(Ifa::Address) => address = a.ip(),
            _ => {}
        }
    }
    let address = Cidr {
        addr: local.or(address)?,
        prefix: head[1],
    };
    Some(Address {
        link: word(message.body, 4)?,
        address,
        scope: head[3],
    })
}

pub(super) fn read_route(message: &Message) -> Option<Route> {
    let head = message.body.get(..12)?;
    if head[4] != RT_TABLE_MAIN || head[7] != RTN_UNICAST {
        return None;
    }
    let mut route = Route {
        destination: None,
        via: None,
        link: None,
        metric: None,
        source: None,
    };
    for a in attributes(message.body.get(12..)?) {
        match a.kind {
            kind if kind == u16::from(Rta::Dst) => {
                route.destination = a.ip().map(|addr| Cidr {
                    addr,
                    prefix: head[1],
                })
            }
            kind if kind == u16::from(Rta::Gateway) => route.via = a.ip(),
            kind if kind == u16::from(Rta::Oif) => route.link = a.u32(),
            kind if kind == u16::from(Rta::Priority) => route.metric = a.u32(),
            kind if kind == u16::from(Rta::Prefsrc) => route.source = a.ip(),
            _ => {}
        }
    }
    Some(route)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
