//! What the kernel tells of changes on the host, as far as netcell may have lost something by them.
//!
//! What is made is no loss: only what goes is looked at. Of nf_tables each transaction ends with the name of the process that
//! made it; netcell's own are its own affair. A port that `rm` sees off stands in the set `gone` before its link goes. A
//! link that is down or without its bridge may be on its way up: it counts only when it still is at the next look. Whose a
//! link is that an address or a route has gone from is asked when it is looked: one that is gone by then tells so itself.
//!
//! A router's BGP changes thousands of routes a second. To wake up for each would cost it more than the routes do, and what
//! does not fit in the socket would count as lost. So the kernel drops them before they are queued: only the routes that
//! came with an address go by it (proto kernel, table main), which is as seldom as an address goes.

use super::link::GROUP;
use super::nft::{TABLE, kind};
use super::sockets::Route;
use super::uapi::if_link::{IFLA_GROUP, IFLA_INFO_KIND};
use super::uapi::nf_tables::*;
use super::uapi::rtnetlink::*;
use crate::error::Result;
use crate::netlink::{Attribute, Family, Instruction, Message, Notifications, attributes};
use crate::sys::file;
use crate::types::IfName;
use neli::consts::rtnl::{Ifla, Rta, Rtm};
use rustix::fd::{AsFd, BorrowedFd};

const NEWROUTE: u16 = 24;
const DELROUTE: u16 = 25;

/// So many links are remembered; where there are more it is looked once too often.
const LINKS: usize = 64;

/// What IFF_UP and IFF_RUNNING are together (linux/if.h).
const UP: u32 = 0x41;

/// What is told of a set or its elements names the table first, and then the set.
const SET_NAME: u16 = NFTA_SET_ELEM_LIST_SET;

/// Lets all through but routes that are made, and of those that go the ones that an address brought.
///
/// Offsets are of the message's header (16 bytes, its type at 4) and of struct rtmsg behind it. What is loaded is taken for
/// big-endian.
const ROUTES: [Instruction; 7] = {
    // BPF_LD | BPF_H | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_RET | BPF_K (linux/bpf_common.h).
    const HALF: u16 = 0x28;
    const EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const fn load(code: u16, at: u32) -> Instruction {
        step(code, [0, 0], at)
    }
    const fn step(code: u16, [jt, jf]: [u8; 2], k: u32) -> Instruction {
        Instruction { code, jt, jf, k }
    }
    [
        load(HALF, 4),
        step(EQUAL, [4, 0], NEWROUTE.to_be() as u32),
        step(EQUAL, [0, 2], DELROUTE.to_be() as u32),
        load(HALF, 20),
        step(
            EQUAL,
            [0, 1],
            u16::from_be_bytes([RT_TABLE_MAIN, RTPROT_KERNEL]) as u32,
        ),
        step(RETURN, [0, 0], u32::MAX),
        step(RETURN, [0, 0], 0),
    ]
};

/// What was heard and not yet asked for.
pub struct Notices {
    route: Notifications,
    tables: Notifications,
    heard: Heard,
}

#[derive(Default)]
pub(super) struct Heard {
    /// Something is gone.
    lost: bool,
    /// By whom, as the last transaction says.
    by: Option<String>,
    /// Something went in a transaction whose end is not told yet; and more than elements.
    going: bool,
    tearing: bool,
    /// A table, a chain or a rule is gone.
    torn: bool,
    /// Links that an address or a route has gone from: their indexes.
    lacking: Vec<u32>,
    /// Links that are not as they should be: their indexes, and whether they were so at the last look.
    ailing: Vec<(u32, bool)>,
    /// Links that a removal sees off.
    leaving: Vec<IfName>,
    /// What netcell's own processes are called.
    own: String,
}

impl Notices {
    /// Listens in the namespace that this process is in.
    pub fn open() -> Result<Self> {
        let bit = |group: u32| 1 << (group - 1);
        let groups = [
            RTNLGRP_LINK,
            RTNLGRP_IPV4_IFADDR,
            RTNLGRP_IPV6_IFADDR,
            RTNLGRP_IPV4_ROUTE,
            RTNLGRP_IPV6_ROUTE,
            RTNLGRP_IPV4_NETCONF,
            RTNLGRP_IPV6_NETCONF,
        ];
        let groups = groups.into_iter().map(bit).sum();
        let own = file::text("/proc/self/comm").unwrap_or_default();
        Ok(Notices {
            route: Notifications::open(Family::Route, groups, Some(&ROUTES))?,
            tables: Notifications::open(Family::Netfilter, bit(NFNLGRP_NFTABLES), None)?,
            heard: Heard {
                own: own.trim_end().to_owned(),
                ..Heard::default()
            },
        })
    }

    /// What to wait for.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.route.as_fd(), self.tables.as_fd()]
    }

    /// Hears all there is: whether somebody took a table, a chain or a rule away, without which connections break.
    pub fn hear(&mut self) -> bool {
        let heard = &mut self.heard;
        // Tables first: what leaves is announced there.
        let whole = self.tables.hear(&mut |message| heard.table(&message));
        let whole = self.route.hear(&mut |message| heard.link(&message)) && whole;
        heard.lost |= !whole;
        std::mem::take(&mut heard.torn)
    }

    /// Hears all there is: whether something is lost, and whether to listen again a moment later.
    pub fn look(&mut self) -> (bool, bool) {
        self.hear();
        let heard = &mut self.heard;
        let still = heard.ailing.iter().any(|(_, seen)| *seen);
        heard.ailing.iter_mut().for_each(|(_, seen)| *seen = true);
        let lacking = std::mem::take(&mut heard.lacking);
        let lost = heard.lost || still || is_any_ours(&lacking);
        let again = !lost && !heard.ailing.is_empty();
        if lost {
            heard.lost = false;
            heard.ailing.clear();
        }
        (lost, again)
    }

    /// Who took something away last, as far as that was told.
    pub fn by(&mut self) -> Option<String> {
        self.heard.by.take()
    }
}

impl Heard {
    pub(super) fn table(&mut self, message: &Message) {
        let all = || attributes(message.body.get(4..).unwrap_or_default());
        let text = |wanted| all().find(|a| a.kind == wanted).and_then(|a| a.str());
        const DELETIONS: [u16; 5] = [
            NFT_MSG_DELTABLE,
            NFT_MSG_DELCHAIN,
            NFT_MSG_DELRULE,
            NFT_MSG_DELSET,
            NFT_MSG_DELSETELEM,
        ];
        if message.kind == kind(NFT_MSG_NEWGEN) {
            let name = text(NFTA_GEN_PROC_NAME).unwrap_or_default();
            let tearing = std::mem::take(&mut self.tearing);
            if std::mem::take(&mut self.going) && !self.is_own(name) {
                let pid = all().find(|a| a.kind == NFTA_GEN_PROC_PID);
                let pid = pid.and_then(|a| a.be32()).unwrap_or(0);
                self.by = Some(format!("{name} (process {pid})"));
                self.lost = true;
                self.torn |= tearing;
            }
            return;
        }
        // A table is the first attribute of all, and so is named by the same number.
        if text(NFTA_TABLE_NAME) != Some(TABLE) {
            return;
        }
        let mut deletions = DELETIONS.into_iter();
        let deletion = deletions.find(|deletion| message.kind == kind(*deletion));
        if let Some(deletion) = deletion {
            let element = deletion == NFT_MSG_DELSETELEM;
            // The owner may let the host be a router for others.
            self.going |= !element || text(SET_NAME) != Some("no_transit");
            self.tearing |= !element && deletion != NFT_MSG_DELSET;
        } else if message.kind == kind(NFT_MSG_NEWSETELEM) && text(SET_NAME) == Some("gone") {
            if self.leaving.len() == LINKS {
                self.leaving.remove(0);
            }
            self.leaving
                .extend(super::nft::read_names(message).into_iter().flatten());
        }
    }

    fn is_own(&self, name: &str) -> bool {
        // What executes itself by /proc/self/exe is called by that.
        [self.own.as_str(), "netcell", "exe"].contains(&name)
    }

    pub(super) fn link(&mut self, message: &Message) {
        const NEW: u16 = 16;
        const GONE: u16 = 17;
        debug_assert!((NEW, GONE) == (Rtm::Newlink.into(), Rtm::Dellink.into()));
        debug_assert!((NEWROUTE, DELROUTE) == (Rtm::Newroute.into(), Rtm::Delroute.into()));
        match message.kind {
            kind if kind == u16::from(Rtm::Deladdr) => self.lacks(word(message, 4)),
            DELROUTE => {
                let mut all = attributes(message.body.get(12..).unwrap_or_default());
                let link = all.find(|a| a.kind == u16::from(Rta::Oif));
                self.lacks(link.and_then(|a| a.u32()));
            }
            RTM_NEWNETCONF => self.lost |= turns_forwarding_off(message),
            // Of family AF_UNSPEC: what a bridge tells of its ports has the bridge's.
            NEW | GONE if message.body.first() == Some(&0) => {
                self.changed(message, message.kind == GONE);
            }
            _ => {}
        }
    }

    fn lacks(&mut self, link: Option<u32>) {
        match link {
            Some(link) if self.lacking.contains(&link) => {}
            Some(link) if self.lacking.len() < LINKS => self.lacking.push(link),
            _ => self.lost = true,
        }
    }

    fn changed(&mut self, message: &Message, gone: bool) -> Option<()> {
        let (index, flags) = (word(message, 4)?, word(message, 8)?);
        let (mut name, mut ours, mut port, mut bridge) = (None, false, false, false);
        for a in attributes(message.body.get(16..)?) {
            match a.kind {
                IFLA_GROUP => ours = a.u32() == Some(GROUP),
                kind if kind == u16::from(Ifla::Ifname) => name = a.str(),
                kind if kind == u16::from(Ifla::Master) => port = true,
                kind if kind == u16::from(Ifla::Linkinfo) => bridge = is_bridge(&a),
                _ => {}
            }
        }
        self.ailing.retain(|(ailing, _)| *ailing != index);
        if !ours {
            return None;
        }
        let well = if bridge {
            flags & 1 != 0
        } else {
            port && flags & UP == UP
        };
        if gone {
            let leaving = self
                .leaving
                .iter()
                .position(|link| Some(link.as_str()) == name);
            match leaving {
                Some(at) => drop(self.leaving.remove(at)),
                None => self.lost = true,
            }
        } else if !well && self.ailing.len() == LINKS {
            self.lost = true;
        } else if !well {
            self.ailing.push((index, false));
        }
        None
    }
}

fn word(message: &Message, at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(
        message.body.get(at..at + 4)?.try_into().ok()?,
    ))
}

/// Whether one of the links is there and netcell's, as far as the kernel can be asked.
fn is_any_ours(links: &[u32]) -> bool {
    if links.is_empty() {
        return false;
    }
    let Ok(mut route) = Route::open() else {
        return true;
    };
    links.iter().any(|link| match route.link_at(*link) {
        Ok(found) => found.is_some_and(|link| link.group == GROUP),
        Err(_) => true,
    })
}

fn is_bridge(info: &Attribute) -> bool {
    let mut kinds = info.nested().filter(|a| a.kind == IFLA_INFO_KIND);
    kinds.any(|a| a.str() == Some("bridge"))
}

fn turns_forwarding_off(message: &Message) -> bool {
    let all = || attributes(message.body.get(4..).unwrap_or_default());
    let is = |wanted, value| all().any(|a| a.kind == wanted && a.u32() == Some(value));
    is(NETCONFA_IFINDEX, NETCONFA_IFINDEX_ALL) && is(NETCONFA_FORWARDING, 0)
}
