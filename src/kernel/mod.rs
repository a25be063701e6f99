//! Rung 2: one kernel object a file, with its operations and its snapshot.
//!
//! An operation is data. It can encode or do itself, name its inverse, say itself as the `ip`, `nft` or `mount` line
//! that does the same (its `Display`), and tell from a snapshot whether it already holds. Nothing here knows a store,
//! a record or a path under the state directory; nothing here decides: plans are made by the engine and run by its
//! executor alone.

use crate::types::Name;

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
    /// A message in an nf_tables transaction of that namespace.
    Nftables(Place),
    /// System calls, done one by one.
    Syscall,
}

/// Whether an operation's effect is already there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// Nothing to do.
    Yes,
    /// To be done.
    No,
    /// Something else is in its place: what.
    Differs(String),
}
