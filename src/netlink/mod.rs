//! Rung 1: netlink messages on the wire (netlink(7), rtnetlink(7), linux/netfilter/nfnetlink.h).
//!
//! A [`Batch`] is messages in a buffer of fixed size, written with neli's vocabulary of types; a [`Socket`] sends it and
//! says which message the kernel refused, in the kernel's own words. Request and ack flags are added here and nowhere
//! else. Nothing here knows what a sandbox is.

mod batch;
mod decode;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod socket;

pub use batch::{Attributes, Batch, flags};
pub use decode::{Attribute, Message, attributes, messages};
pub use socket::{Notifications, Rejected, Socket, TransactError};

pub use crate::sys::socket::{Family, Instruction};
