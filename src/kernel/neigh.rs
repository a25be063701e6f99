//! Neighbours: who of a link's other end is known by which address (rtnetlink(7), RTM_GETNEIGH).

use super::sockets::{Route, plain};
use crate::error::Result;
use crate::netlink::{Message, attributes};
use crate::types::Mac;
use crate::types::json::json_object;
use neli::consts::rtnl::Rtm;
use std::net::IpAddr;

/// A neighbour.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// The index of the link it is at.
    pub link: u32,
    /// Its address.
    pub address: IpAddr,
    /// Its MAC; none while it is asked for, or where nobody answered.
    pub mac: Option<Mac>,
    /// What is thought of it, in `ip neighbour`'s words.
    pub state: String,
}
json_object!(Neighbour {
    link,
    address,
    mac,
    state
});

/// Those of a namespace; not those that need not be asked for, such as of loopback and of groups.
pub fn list(route: &mut Route) -> Result<Vec<Neighbour>> {
    // struct ndmsg (linux/neighbour.h).
    let ask = |batch: &mut crate::netlink::Batch, flags| {
        batch.message(u16::from(Rtm::Getneigh), flags, &[0; 12], |_| {});
    };
    let mut all = route
        .socket
        .dump(ask, read)
        .map_err(|error| plain(error, "list neighbours"))?;
    all.sort_unstable_by_key(|neighbour| (neighbour.link, neighbour.address));
    Ok(all)
}

fn read(message: &Message) -> Option<Neighbour> {
    const DST: u16 = 1;
    const LLADDR: u16 = 2;
    let head = message.body.get(..12)?;
    // NUD_NONE and NUD_NOARP have no word: they are left out.
    let state = match u16::from_ne_bytes([head[8], head[9]]) {
        0x01 => "incomplete",
        0x02 => "reachable",
        0x04 => "stale",
        0x08 => "delay",
        0x10 => "probe",
        0x20 => "failed",
        0x80 => "permanent",
        _ => return None,
    };
    let (mut address, mut mac) = (None, None);
    for a in attributes(message.body.get(12..)?) {
        match a.kind {
            DST => address = a.ip(),
            LLADDR => mac = a.value.try_into().ok().map(Mac),
            _ => {}
        }
    }
    Some(Neighbour {
        link: u32::from_ne_bytes(head[4..8].try_into().ok()?),
        address: address?,
        mac,
        state: state.to_owned(),
    })
}
