//! What is known of a container, a sandbox and a network: the JSON records in the state directory.
//!
//! A record is written whole and renamed into place; a container's record (a bare sandbox's own) is the commit of the
//! operation that wrote it. Records of another boot are nobody's: their kernel objects are gone.

mod container;
mod network;
mod sandbox;

pub use container::{Again, ContainerRecord, Exit, Failure, Start};
pub use network::{NetworkRecord, Subnet};
pub use sandbox::{Endpoint, HOST_GATEWAY, Names, SandboxPort, SandboxRecord};

use crate::types::json::json_object;

/// The version of the records that this netcell writes and reads.
pub const VERSION: u32 = 1;

/// Nanoseconds since 1970, UTC.
pub type UnixNanos = u64;

/// A process, so that no later one of the same number is taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its pid on the host.
    pub pid: u32,
    /// Its start time in clock ticks since boot: field 22 of /proc/PID/stat, proc(5).
    pub start: u64,
}
json_object!(Process { pid, start });
