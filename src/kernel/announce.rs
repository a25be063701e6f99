//! Telling the neighbours of an address: a gratuitous ARP and an unsolicited neighbour advertisement.
//!
//! The kernel sends both when a link whose arp_notify and ndisc_notify are on gets a MAC, be it the one that it has
//! (inetdev_event in net/ipv4/devinet.c, ndisc_netdev_event in net/ipv6/ndisc.c). It would send them when the link comes
//! up, too, but then the bridge's port forwards nothing yet: its carrier is noticed a moment later.

use super::snapshot::Snapshot;
use super::sockets::{Sockets, plain};
use super::{Channel, Holds, Lookup, Operation, Place};
use crate::error::Result;
use crate::netlink::{Batch, flags};
use crate::sys::time;
use crate::types::{IfName, Mac, Name};
use neli::consts::rtnl::{Ifla, Rtm};
use std::fmt;
use std::time::Duration;

/// How often it is looked whether the port forwards, and how long is waited in between.
const PATIENCE: (u32, Duration) = (50, Duration::from_millis(1));

/// Makes a sandbox's link tell its neighbours of itself.
#[derive(Debug, Clone)]
pub struct Announce {
    /// The sandbox.
    pub sandbox: Name,
    /// Its link.
    pub link: IfName,
    /// Its MAC.
    pub mac: Mac,
    /// The host's end, a bridge's port.
    pub port: IfName,
}

impl fmt::Display for Announce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Announce {
            sandbox, link, mac, ..
        } = self;
        write!(f, "ip -n {sandbox} link set {link} address {mac}")
    }
}

impl Operation for Announce {
    fn channel(&self) -> Channel {
        Channel::Syscall
    }

    fn act(&self, sockets: &mut Sockets) -> Result<()> {
        for _ in 0..PATIENCE.0 {
            if Lookup::link(sockets, &Place::Host, &self.port)?.running {
                break;
            }
            time::sleep(PATIENCE.1);
        }
        let mut batch = Batch::default();
        let head = super::link::header(0, 0, 0);
        batch.request(u16::from(Rtm::Newlink), flags::NONE, &head, |a| {
            a.str(u16::from(Ifla::Ifname), self.link.as_str());
            a.bytes(u16::from(Ifla::Address), &self.mac.0);
        });
        let route = sockets.route(&Place::Sandbox(self.sandbox.clone()))?;
        let sent = route.socket.transact(&mut batch);
        sent.map_err(|error| plain(error, &format!("announce {} to its neighbours", self.mac)))
    }

    fn holds(&self, now: &Snapshot) -> Holds {
        // Its neighbours heard of a link that is still there.
        let place = Place::Sandbox(self.sandbox.clone());
        now.holds_at(&place, |now| now.link(&self.link).is_some())
    }
}
