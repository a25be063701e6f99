//! A sandbox's link as a port of its network's bridge: kept from its like, closed, made a port again after somebody took
//! the bridge away (rtnetlink(7)).

use super::link::{AF_BRIDGE, AddVeth, header};
use super::snapshot::Snapshot;
use super::uapi::if_link::*;
use super::{Channel, Holds, Lookup, Operation, Place};
use crate::error::Result;
use crate::netlink::{Attributes, Batch, flags};
use crate::types::IfName;
use neli::consts::rtnl::{Ifla, Rtm};
use std::fmt;

/// Makes a link of the host the port of a bridge.
#[derive(Debug, Clone)]
pub struct Attach {
    link: IfName,
    master: IfName,
    hairpin: bool,
}

impl Attach {
    /// What a pair of links was when it was made.
    pub(super) fn again(made: &AddVeth) -> Self {
        Attach {
            link: made.host.clone(),
            master: made.master.clone(),
            hairpin: made.hairpin,
        }
    }
}

impl fmt::Display for Attach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Attach {
            link,
            master,
            hairpin,
        } = self;
        write!(f, "ip link set {link} master {master}")?;
        match hairpin {
            true => write!(f, "\nip link set {link} type bridge_slave hairpin on"),
            false => Ok(()),
        }
    }
}

impl Operation for Attach {
    fn channel(&self) -> Channel {
        Channel::Route(Place::Host)
    }

    fn encode(&self, batch: &mut Batch, lookup: &mut dyn Lookup) -> Result<()> {
        let bridge = lookup.index(&Place::Host, &self.master)?;
        let mut set = |write: &dyn Fn(&mut Attributes)| {
            let (message, head) = (u16::from(Rtm::Newlink), header(0, 0, 0));
            batch.request(message, flags::NONE, &head, |a| {
                a.str(u16::from(Ifla::Ifname), self.link.as_str());
                write(a);
            });
        };
        set(&|a| a.u32(u16::from(Ifla::Master), bridge));
        if self.hairpin {
            set(&|a| {
                a.nest(u16::from(Ifla::Linkinfo), |a| {
                    a.str(IFLA_INFO_SLAVE_KIND, "bridge");
                    a.nest(IFLA_INFO_SLAVE_DATA, |a| a.u8(IFLA_BRPORT_MODE, 1));
                });
            });
        }
        Ok(())
    }
}

/// The attributes of a bridge port (IFLA_PROTINFO of a AF_BRIDGE message, net/bridge/br_netlink.c).
fn port(batch: &mut Batch, index: u32, write: impl FnOnce(&mut Attributes)) {
    batch.request(
        u16::from(Rtm::Setlink),
        flags::NONE,
        &header(AF_BRIDGE, index, 0),
        |a| a.nest(u16::from(Ifla::Protinfo), write),
    );
}

/// Lets a bridge port and others that are isolated exchange nothing.
#[derive(Debug, Clone)]
pub struct Isolate {
    /// The port.
    pub link: IfName,
}

impl fmt::Display for Isolate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ip link set {} type bridge_slave isolated on", self.link)
    }
}

impl Operation for Isolate {
    fn channel(&self) -> Channel {
        Channel::Route(Place::Host)
    }

    fn encode(&self, batch: &mut Batch, _: &mut dyn Lookup) -> Result<()> {
        batch.request(
            u16::from(Rtm::Newlink),
            flags::NONE,
            &header(0, 0, 0),
            |a| {
                a.str(u16::from(Ifla::Ifname), self.link.as_str());
                a.nest(u16::from(Ifla::Linkinfo), |a| {
                    a.str(IFLA_INFO_SLAVE_KIND, "bridge");
                    a.nest(IFLA_INFO_SLAVE_DATA, |a| a.u8(IFLA_BRPORT_ISOLATED, 1));
                });
            },
        );
        Ok(())
    }

    fn holds(&self, now: &Snapshot) -> Holds {
        now.holds_at(&Place::Host, |now| {
            now.link(&self.link).is_some_and(|link| link.isolated)
        })
    }
}

/// Lets nothing more through a bridge port, at once, without the grace period that taking the link down waits for.
#[derive(Debug, Clone)]
pub struct Block {
    /// The port.
    pub link: IfName,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bridge link set dev {} state 0", self.link)
    }
}

impl Operation for Block {
    fn channel(&self) -> Channel {
        Channel::Route(Place::Host)
    }

    fn encode(&self, batch: &mut Batch, lookup: &mut dyn Lookup) -> Result<()> {
        let index = lookup.index(&Place::Host, &self.link)?;
        port(batch, index, |a| a.u8(IFLA_BRPORT_STATE, BR_STATE_DISABLED));
        Ok(())
    }
}
