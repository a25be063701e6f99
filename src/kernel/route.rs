//! Routes (rtnetlink(7), RTM_NEWROUTE).

use super::snapshot::Snapshot;
use super::uapi::rtnetlink::{RT_TABLE_MAIN, RTN_UNICAST, RTPROT_KERNEL};
use super::{Channel, Holds, Lookup, Operation, Place, addr};
use crate::error::Result;
use crate::netlink::{Batch, flags};
use crate::types::{Cidr, IfName};
use neli::consts::rtnl::{Rta, Rtm};
use std::fmt;
use std::net::IpAddr;

const RT_SCOPE_UNIVERSE: u8 = 0;

/// struct rtmsg (linux/rtnetlink.h): family, lengths of destination and source, tos, table main, protocol, scope, type
/// unicast, and no flags.
fn header([family, prefix]: [u8; 2], protocol: u8, scope: u8) -> [u8; 12] {
    [
        family,
        prefix,
        0,
        0,
        RT_TABLE_MAIN,
        protocol,
        scope,
        RTN_UNICAST,
        0,
        0,
        0,
        0,
    ]
}

/// Adds the default route of a sandbox.
#[derive(Debug, Clone)]
pub struct AddDefault {
    /// Where.
    pub place: Place,
    /// The link it leaves by.
    pub link: IfName,
    /// The gateway.
    pub via: IpAddr,
}

impl fmt::Display for AddDefault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} route add default via {} dev {}",
            self.place, self.via, self.link
        )
    }
}

impl Operation for AddDefault {
    fn channel(&self) -> Channel {
        Channel::Route(self.place.clone())
    }

    fn encode(&self, batch: &mut Batch, lookup: &mut dyn Lookup) -> Result<()> {
        /// What `ip route add` gives (linux/rtnetlink.h).
        const RTPROT_BOOT: u8 = 3;
        let index = lookup.index(&self.place, &self.link)?;
        let (family, bytes) = addr::octets(self.via);
        batch.request(
            u16::from(Rtm::Newroute),
            flags::create_new(),
            &header([family, 0], RTPROT_BOOT, RT_SCOPE_UNIVERSE),
            |a| {
                a.bytes(u16::from(Rta::Gateway), &bytes);
                a.u32(u16::from(Rta::Oif), index);
            },
        );
        Ok(())
    }

    fn holds(&self, now: &Snapshot) -> Holds {
        now.holds_at(&self.place, |now| {
            let index = now.link(&self.link).map(|link| link.index);
            let mut routes = now.routes.iter();
            routes.any(|route| {
                route.destination.is_none() && route.via == Some(self.via) && route.link == index
            })
        })
    }
}

/// Adds the route to the subnet of an address again, as the kernel adds it with the address (fib_add_ifaddr in
/// net/ipv4/fib_frontend.c, addrconf_prefix_route in net/ipv6/addrconf.c).
#[derive(Debug, Clone)]
pub struct AddConnected {
    /// Where.
    pub place: Place,
    /// The link.
    pub link: IfName,
    /// The address with its prefix.
    pub address: Cidr,
}

impl fmt::Display for AddConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, link, subnet) = (&self.place, &self.link, self.address.subnet());
        let source = self.address.addr;
        match source.is_ipv4() {
            true => write!(
                f,
                "{place} route add {subnet} dev {link} proto kernel scope link src {source}"
            ),
            false => write!(
                f,
                "{place} route append {subnet} dev {link} proto kernel metric {METRIC6}"
            ),
        }
    }
}

/// IP6_RT_PRIO_ADDRCONF (linux/ipv6_route.h).
const METRIC6: u32 = 256;

impl Operation for AddConnected {
    fn channel(&self) -> Channel {
        Channel::Route(self.place.clone())
    }

    fn encode(&self, batch: &mut Batch, lookup: &mut dyn Lookup) -> Result<()> {
        const RT_SCOPE_LINK: u8 = 253;
        let index = lookup.index(&self.place, &self.link)?;
        let (family, source) = addr::octets(self.address.addr);
        let (_, subnet) = addr::octets(self.address.subnet().addr);
        // fe80::/64 is every link's, with one metric: it has to be possible beside others. IPv4's is netcell's alone, and
        // that somebody routes it elsewhere is to be said.
        let (flags, scope) = match self.address.addr.is_ipv4() {
            true => (flags::create_new(), RT_SCOPE_LINK),
            false => (flags::append(), RT_SCOPE_UNIVERSE),
        };
        let header = header([family, self.address.prefix], RTPROT_KERNEL, scope);
        batch.request(u16::from(Rtm::Newroute), flags, &header, |a| {
            a.bytes(u16::from(Rta::Dst), &subnet);
            match self.address.addr.is_ipv4() {
                true => a.bytes(u16::from(Rta::Prefsrc), &source),
                false => a.u32(u16::from(Rta::Priority), METRIC6),
            }
            a.u32(u16::from(Rta::Oif), index);
        });
        Ok(())
    }

    fn holds(&self, now: &Snapshot) -> Holds {
        now.holds_at(&self.place, |now| {
            now.is_connected(&self.link, self.address)
        })
    }
}
