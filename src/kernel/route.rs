//! Routes (rtnetlink(7), RTM_NEWROUTE).

use super::snapshot::Snapshot;
use super::{Channel, Holds, Lookup, Operation, Place, addr};
use crate::error::Result;
use crate::netlink::{Batch, flags};
use crate::types::IfName;
use neli::consts::rtnl::{Rta, Rtm};
use std::fmt;
use std::net::IpAddr;

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
        const RT_TABLE_MAIN: u8 = 254;
        const RTPROT_BOOT: u8 = 3;
        const RTN_UNICAST: u8 = 1;
        let index = lookup.index(&self.place, &self.link)?;
        let (family, bytes) = addr::octets(self.via);
        // struct rtmsg: family, lengths of destination and source, tos, table, protocol (what `ip route add` gives),
        // scope universe, type, and no flags.
        let header = [
            family,
            0,
            0,
            0,
            RT_TABLE_MAIN,
            RTPROT_BOOT,
            0,
            RTN_UNICAST,
            0,
            0,
            0,
            0,
        ];
        batch.request(
            u16::from(Rtm::Newroute),
            flags::create_new(),
            &header,
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
