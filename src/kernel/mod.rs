//! Rung 2: one kernel object a file, with its operations and its snapshot.
//!
//! An operation is data. It can encode or do itself, name its inverse, say itself as the `ip`, `nft` or `mount` line
//! that does the same (its `Display`), and tell from a snapshot whether it already holds. Nothing here knows a store,
//! a record or a path under the state directory; nothing here decides: plans are made by the engine and run by its
//! executor alone.

pub mod addr;
pub mod announce;
pub mod conntrack;
mod element;
pub mod elements;
mod expression;
pub mod foreign;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
#[cfg(test)]
#[cfg(target_endian = "little")]
mod golden;
pub mod guard;
pub mod link;
pub mod listening;
pub mod mount;
pub mod neigh;
pub mod netns;
pub mod nft;
pub mod notice;
pub mod owner;
pub mod port;
pub mod probe;
pub mod route;
pub mod ruleset;
mod sets;
pub mod snapshot;
pub mod sockets;
pub mod sysctl;
pub mod tables;
#[allow(missing_docs)]
pub mod uapi;

use crate::error::Result;
use crate::netlink::Batch;
use crate::types::{IfName, Mac, Name};
use snapshot::Snapshot;
use sockets::Sockets;
use std::fmt;

/// The network namespace that an operation is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The one netcell was started in.
    Host,
    /// The one pinned at `/run/netns/NAME`.
    Sandbox(Name),
}

/// How an operation reaches the kernel; consecutive operations on the same netlink channel go out as one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// A message on the rtnetlink socket of that namespace.
    Route(Place),
    /// A message in an nf_tables transaction of the host's namespace.
    Nftables,
    /// System calls, done one by one.
    Syscall,
}

/// Whether an operation's effect is already there.
#[derive(Debug, Clone)]
pub enum Holds {
    /// Nothing to do.
    Yes,
    /// To be done.
    No,
    /// Some of it is there: what does the rest.
    Partly(Vec<Op>),
    /// Something else is in its place: what.
    Differs(String),
}

/// A link that was looked up by name.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// Its index in its namespace.
    pub index: u32,
    /// Its group.
    pub group: u32,
    /// Its MAC, if it has one of 48 bits.
    pub mac: Option<Mac>,
    /// It is up and has a carrier, and as a bridge's port it forwards.
    pub running: bool,
}

/// What an operation needs to know while it encodes itself: indexes of links, and the sandbox's namespace.
pub trait Lookup {
    /// The index of a link in a place, asked for without taking the kernel's lock for links.
    ///
    /// # Errors
    /// ENODEV when there is none of this name.
    fn index(&mut self, place: &Place, link: &IfName) -> Result<u32>;
    /// A link in a place, with what tells whose it is.
    ///
    /// # Errors
    /// As [`Lookup::index`].
    fn link(&mut self, place: &Place, link: &IfName) -> Result<Found>;
    /// The descriptor of a sandbox's namespace.
    fn namespace(&mut self, sandbox: &Name) -> Result<i32>;
}

/// What each operation can do. Its `Display` is the command line that does the same.
pub trait Operation: fmt::Display {
    /// How it reaches the kernel.
    fn channel(&self) -> Channel;

    /// Writes itself into a batch of its netlink channel.
    fn encode(&self, _batch: &mut Batch, _lookup: &mut dyn Lookup) -> Result<()> {
        Ok(())
    }

    /// Does itself, when its channel is [`Channel::Syscall`].
    fn act(&self, _sockets: &mut Sockets) -> Result<()> {
        Ok(())
    }

    /// What takes its effect back, if it has one that outlives the rest.
    fn inverse(&self) -> Option<Op> {
        None
    }

    /// Whether its effect is there, as far as the snapshot can tell; an operation in a sandbox is asked by its
    /// [`Snapshot::inside`].
    fn holds(&self, _now: &Snapshot) -> Holds {
        Holds::No
    }
}

/// The enum over every operation, and its delegation.
macro_rules! operations {
    ($($(#[$doc:meta])* $variant:ident($type:ty)),* $(,)?) => {
        /// Any operation.
        #[derive(Debug, Clone)]
        pub enum Op {
            $($(#[$doc])* $variant($type),)*
        }

        impl Op {
            fn inner(&self) -> &dyn Operation {
                match self {
                    $(Op::$variant(operation) => operation,)*
                }
            }
        }

        $(impl From<$type> for Op {
            fn from(operation: $type) -> Self {
                Op::$variant(operation)
            }
        })*
    };
}

operations! {
    /// Make and pin a namespace.
    Pin(netns::Pin),
    /// Take a pin away.
    Unpin(netns::Unpin),
    /// Pin a namespace once more.
    Repin(netns::Repin),
    /// Pin the namespace that a process is in.
    PinOf(netns::PinOf),
    /// Make a bridge.
    AddBridge(link::AddBridge),
    /// Make a sandbox's pair of links.
    AddVeth(link::AddVeth),
    /// Bring a link up.
    SetUp(link::SetUp),
    /// Make a sandbox's link a bridge's port again.
    Attach(port::Attach),
    /// Keep a bridge port from its like.
    Isolate(port::Isolate),
    /// Let nothing more through a bridge port.
    Block(port::Block),
    /// Delete a link of netcell's.
    DelLink(link::DelLink),
    /// Add an address.
    AddAddr(addr::Add),
    /// Add a default route.
    AddDefault(route::AddDefault),
    /// Add the route to an address's subnet again.
    AddConnected(route::AddConnected),
    /// Set a sysctl.
    Sysctl(sysctl::Set),
    /// Make the host's table.
    AddTable(nft::AddTable),
    /// Put back what a table of netcell's lacks.
    MendTable(nft::MendTable),
    /// Make the guard of bridges' ports.
    AddGuard(guard::AddGuard),
    /// Add an element to a set or map.
    AddElement(nft::AddElement),
    /// Put an element back into a set or map.
    RestoreElement(nft::RestoreElement),
    /// Take an element out of a set or map.
    DelElement(nft::DelElement),
    /// Take out an element that is nobody's.
    DropElement(elements::DropElement),
    /// Let nothing more through a guarded bridge port.
    CutOff(nft::CutOff),
    /// Let an element of a set or map run out.
    ExpireElement(nft::ExpireElement),
    /// Tell the neighbours of a link.
    Announce(announce::Announce),
    /// Forget the connections of a published port.
    Forget(conntrack::Forget),
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner().fmt(f)
    }
}

impl Operation for Op {
    fn channel(&self) -> Channel {
        self.inner().channel()
    }

    fn encode(&self, batch: &mut Batch, lookup: &mut dyn Lookup) -> Result<()> {
        self.inner().encode(batch, lookup)
    }

    fn act(&self, sockets: &mut Sockets) -> Result<()> {
        self.inner().act(sockets)
    }

    fn inverse(&self) -> Option<Op> {
        self.inner().inverse()
    }

    fn holds(&self, now: &Snapshot) -> Holds {
        self.inner().holds(now)
    }
}

/// `ip`, or `ip -n NAME` in a sandbox.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Host => f.write_str("ip"),
            Place::Sandbox(name) => write!(f, "ip -n {name}"),
        }
    }
}
