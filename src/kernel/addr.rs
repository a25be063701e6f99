//! Addresses (rtnetlink(7), RTM_NEWADDR).

use super::snapshot::Snapshot;
use super::{Channel, Holds, Lookup, Operation, Place, route};
use crate::error::Result;
use crate::netlink::{Batch, flags};
use crate::types::{Cidr, IfName};
use neli::consts::rtnl::{Ifa, Rtm};
use std::fmt;
use std::net::IpAddr;

/// The address's bytes, and the family's number.
pub(super) fn octets(addr: IpAddr) -> (u8, heapless::Vec<u8, 16>) {
    let mut bytes = heapless::Vec::new();
    let (family, fits) = match addr {
        IpAddr::V4(a) => (2, bytes.extend_from_slice(&a.octets())),
        IpAddr::V6(a) => (10, bytes.extend_from_slice(&a.octets())),
    };
    // Sixteen bytes hold either.
    debug_assert!(fits.is_ok());
    (family, bytes)
}

/// Adds an address to a link.
#[derive(Debug, Clone)]
pub struct Add {
    /// Where.
    pub place: Place,
    /// The link.
    pub link: IfName,
    /// The address with its prefix.
    pub address: Cidr,
}

impl fmt::Display for Add {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Add {
            place,
            link,
            address,
        } = self;
        let nodad = if address.addr.is_ipv6() { " nodad" } else { "" };
        write!(f, "{place} address add {address} dev {link}{nodad}")
    }
}

impl Operation for Add {
    fn channel(&self) -> Channel {
        Channel::Route(self.place.clone())
    }

    fn encode(&self, batch: &mut Batch, lookup: &mut dyn Lookup) -> Result<()> {
        /// IFA_F_NODAD (linux/if_addr.h): an address of our own choosing is usable at once.
        const NODAD: u8 = 0x02;
        let index = lookup.index(&self.place, &self.link)?;
        let (family, bytes) = octets(self.address.addr);
        // struct ifaddrmsg: family, prefix, flags, scope, index.
        let mut header = [
            family,
            self.address.prefix,
            if family == 10 { NODAD } else { 0 },
            0,
            0,
            0,
            0,
            0,
        ];
        header[4..8].copy_from_slice(&index.to_ne_bytes());
        batch.request(u16::from(Rtm::Newaddr), flags::create_new(), &header, |a| {
            a.bytes(u16::from(Ifa::Local), &bytes);
            a.bytes(u16::from(Ifa::Address), &bytes);
        });
        Ok(())
    }

    // No inverse: an address goes with its link, and every link it is added to is made in the same plan or stays.

    fn holds(&self, now: &Snapshot) -> Holds {
        let there = now.holds_at(&self.place, |now| now.has_address(&self.link, self.address));
        // The kernel adds the route to the subnet with the address, and once only.
        let connected = route::AddConnected {
            place: self.place.clone(),
            link: self.link.clone(),
            address: self.address,
        };
        match (there, connected.holds(now)) {
            (Holds::Yes, Holds::No) => Holds::Partly(vec![connected.into()]),
            (there, _) => there,
        }
    }
}
