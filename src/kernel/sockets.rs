//! The sockets that one command talks to the kernel through: the host's, opened when first needed, and a sandbox's,
//! opened while its namespace is entered to be made.

use super::uapi::if_link::{IFLA_EXT_MASK, IFLA_GROUP, RTEXT_FILTER_SKIP_STATS};
use super::uapi::nf_tables::{
    NFPROTO_INET, NFT_MSG_GETSETELEM, NFT_MSG_GETTABLE, NFTA_SET_ELEM_LIST_SET,
    NFTA_SET_ELEM_LIST_TABLE, NFTA_TABLE_NAME,
};
use super::{Found, Lookup, Place, link, netns, nft};
use crate::error::{Errno, Error, Result};
use crate::netlink::{
    Attributes, Batch, Family, Message, Rejected, Socket, TransactError, attributes,
};
use crate::sys::netns::{NetNs, create_and_pin};
use crate::types::{IfName, Mac, Name};
use neli::consts::nl::NlmF;
use neli::consts::rtnl::{Ifla, Rtm};
use rustix::fd::{AsFd, AsRawFd};
use std::path::Path;

/// A namespace's rtnetlink socket, and what it answered about names.
pub struct Route {
    /// The socket.
    pub socket: Socket,
}

impl Route {
    /// Opens one in the namespace that this process is in.
    pub fn open() -> Result<Self> {
        Ok(Route {
            socket: Socket::open(Family::Route)?,
        })
    }

    /// The index of a link: none when there is no such link.
    pub fn index(&self, name: &IfName) -> Result<Option<u32>> {
        self.socket.index(name)
    }

    /// A link by its name: none when there is no such link.
    pub fn link(&mut self, name: &IfName) -> Result<Option<Found>> {
        self.ask(0, Some(name))
            .map_err(|error| plain(error, &format!("look up {name}")))
    }

    /// A link by its index: none when there is no such link.
    pub fn link_at(&mut self, index: u32) -> Result<Option<Found>> {
        self.ask(index, None)
            .map_err(|error| plain(error, "look up a link"))
    }

    fn ask(&mut self, index: u32, name: Option<&IfName>) -> Result<Option<Found>, TransactError> {
        let mut ask = Batch::default();
        ask.message(
            u16::from(Rtm::Getlink),
            NlmF::REQUEST,
            &link::header(0, index, 0),
            |a| {
                if let Some(name) = name {
                    a.str(u16::from(Ifla::Ifname), name.as_str());
                }
                a.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
            },
        );
        self.socket.get(&mut ask, read_link)
    }
}

pub(super) fn read_link(message: &Message) -> Option<Found> {
    let index = u32::from_ne_bytes(message.body.get(4..8)?.try_into().ok()?);
    let mut found = Found {
        index,
        group: 0,
        mac: None,
        // IFF_RUNNING (linux/if.h).
        running: u32::from_ne_bytes(message.body.get(8..12)?.try_into().ok()?) & 0x40 != 0,
    };
    for attribute in attributes(message.body.get(16..)?) {
        match attribute.kind {
            IFLA_GROUP => found.group = attribute.u32()?,
            kind if kind == u16::from(Ifla::Address) => {
                found.mac = attribute.value.try_into().ok().map(Mac)
            }
            _ => {}
        }
    }
    Some(found)
}

struct Inside {
    name: Name,
    namespace: NetNs,
    route: Route,
}

/// Every socket of one command.
#[derive(Default)]
pub struct Sockets {
    /// The namespace that this process is in, to come back to.
    home: Option<NetNs>,
    host: Option<Route>,
    nftables: Option<Socket>,
    inside: Option<Inside>,
}

impl Sockets {
    /// None opened yet.
    pub fn new() -> Self {
        Sockets::default()
    }

    /// The rtnetlink socket of a place.
    pub fn route(&mut self, place: &Place) -> Result<&mut Route> {
        match place {
            Place::Host => {
                if self.host.is_none() {
                    self.host = Some(Route::open()?);
                }
                self.host
                    .as_mut()
                    .ok_or_else(|| Error::new("no socket for rtnetlink"))
            }
            Place::Sandbox(name) => Ok(&mut self.inside(name)?.route),
        }
    }

    /// The nfnetlink socket of the host's namespace.
    pub fn netfilter(&mut self) -> Result<&mut Socket> {
        if self.nftables.is_none() {
            self.nftables = Some(Socket::open(Family::Netfilter)?);
        }
        self.nftables
            .as_mut()
            .ok_or_else(|| Error::new("no socket for nfnetlink"))
    }

    /// A new rtnetlink socket of a namespace.
    pub fn route_of(&mut self, namespace: &NetNs) -> Result<Route> {
        namespace.within(self.home()?, Route::open)?
    }

    /// Makes a sandbox's namespace, pins it, and keeps a socket in it.
    pub fn create_and_pin(&mut self, name: &Name, path: &Path) -> Result<()> {
        let (namespace, route) = create_and_pin(path, self.home()?, Route::open)?;
        self.inside = Some(Inside {
            name: name.clone(),
            namespace,
            route,
        });
        Ok(())
    }

    /// Lets go of a sandbox: an open descriptor would keep its namespace alive.
    pub fn leave(&mut self, name: &Name) {
        if self
            .inside
            .as_ref()
            .is_some_and(|inside| inside.name == *name)
        {
            self.inside = None;
        }
    }

    /// The namespace that this process is in.
    pub fn home(&mut self) -> Result<&NetNs> {
        if self.home.is_none() {
            self.home = Some(NetNs::current()?);
        }
        self.home
            .as_ref()
            .ok_or_else(|| Error::new("no way back to the host's network namespace"))
    }

    /// Does something in a sandbox's namespace, and comes back.
    pub fn within<T>(&mut self, sandbox: &Name, act: impl FnOnce() -> T) -> Result<T> {
        self.home()?;
        self.inside(sandbox)?;
        match (&self.inside, &self.home) {
            (Some(inside), Some(home)) => inside.namespace.within(home, act),
            _ => Err(Error::new("no way into the sandbox")),
        }
    }

    /// A sandbox's namespace, opened by its pin where it was not made just now.
    pub fn namespace(&mut self, name: &Name) -> Result<&NetNs> {
        Ok(&self.inside(name)?.namespace)
    }

    fn inside(&mut self, name: &Name) -> Result<&mut Inside> {
        if self
            .inside
            .as_ref()
            .is_none_or(|inside| inside.name != *name)
        {
            let namespace = netns::open(name)?;
            let route = self.route_of(&namespace)?;
            self.inside = Some(Inside {
                name: name.clone(),
                namespace,
                route,
            });
        }
        self.inside
            .as_mut()
            .ok_or_else(|| Error::new("no socket in the sandbox"))
    }

    /// Whether the host has a link of this name.
    pub fn has_link(&mut self, link: &IfName) -> Result<bool> {
        Ok(self.route(&Place::Host)?.index(link)?.is_some())
    }

    /// Whether the host has netcell's table of that family.
    pub fn has_table(&mut self, family: u8) -> Result<bool> {
        let name = |a: &mut Attributes| a.str(NFTA_TABLE_NAME, nft::TABLE);
        self.has(family, NFT_MSG_GETTABLE, name, "look up table netcell")
    }

    /// Whether the host has netcell's table, and a network's part in it: somebody may have flushed all tables, and then
    /// only one network's part be made again.
    pub fn has_network(&mut self, bridge: &IfName) -> Result<bool> {
        let element = nft::Element::Bridge(bridge.clone());
        let action = "look up a bridge in table inet netcell";
        let list = |a: &mut Attributes| element.list(a, &|_| {});
        self.has(NFPROTO_INET, NFT_MSG_GETSETELEM, list, action)
    }

    /// The bridges of the networks that have a part in netcell's table.
    pub fn networks(&mut self) -> Result<Vec<IfName>> {
        let ask = |batch: &mut Batch, flags| {
            let header = nft::header(NFPROTO_INET);
            batch.message(nft::kind(NFT_MSG_GETSETELEM), flags, &header, |a| {
                a.str(NFTA_SET_ELEM_LIST_TABLE, nft::TABLE);
                a.str(NFTA_SET_ELEM_LIST_SET, nft::BRIDGES);
            });
        };
        match self.netfilter()?.dump(ask, nft::read_names) {
            Err(TransactError::Rejected(rejected)) if rejected.errno == Errno::NOENT => {
                Ok(Vec::new())
            }
            found => Ok(found
                .map_err(|error| plain(error, "list the bridges in table inet netcell"))?
                .concat()),
        }
    }

    fn has(
        &mut self,
        family: u8,
        message: u16,
        write: impl FnOnce(&mut Attributes),
        action: &str,
    ) -> Result<bool> {
        let mut ask = Batch::default();
        let header = nft::header(family);
        ask.message(nft::kind(message), NlmF::REQUEST, &header, write);
        let found = self.netfilter()?.get(&mut ask, |_| Some(()));
        Ok(found
            .map_err(|error| match plain(error, action) {
                // A subsystem that the kernel does not have (nfnetlink_rcv_msg, net/netfilter/nfnetlink.c).
                error if error.is(Errno::INVAL) => {
                    error.because("this kernel lacks CONFIG_NF_TABLES")
                }
                error => error,
            })?
            .is_some())
    }
}

impl Lookup for Sockets {
    fn index(&mut self, place: &Place, link: &IfName) -> Result<u32> {
        let index = self.route(place)?.index(link)?;
        index.ok_or_else(|| Error::os(format_args!("find the link {link}"), Errno::NODEV))
    }

    fn link(&mut self, place: &Place, link: &IfName) -> Result<Found> {
        let found = self.route(place)?.link(link)?;
        found.ok_or_else(|| Error::os(format_args!("find the link {link}"), Errno::NODEV))
    }

    fn namespace(&mut self, sandbox: &Name) -> Result<i32> {
        Ok(Sockets::namespace(self, sandbox)?.as_fd().as_raw_fd())
    }
}

/// A failed exchange as one sentence.
pub fn plain(error: TransactError, action: &str) -> Error {
    match error {
        TransactError::Socket(error) => error,
        TransactError::Rejected(rejected) => refused(&rejected, action),
    }
}

/// A refused message as one sentence.
pub fn refused(rejected: &Rejected, action: &str) -> Error {
    let error = Error::os(action, rejected.errno);
    match &rejected.words {
        Some(words) => error.kernel(words.clone()),
        None => error,
    }
}
