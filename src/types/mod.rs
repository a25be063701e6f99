//! Values that cannot be wrong: parsed once at the face, trusted by everything below.
//!
//! Each type has one `parse` (through `FromStr`) whose error is a sentence that names the word and what is allowed.
//! They know nothing of the kernel, of files or of each other's users; every rung may import them.

mod addr;
mod capability;
mod id;
pub mod json;
mod keys;
mod labels;
mod name;
mod order;
mod port;
mod quoted;
pub mod tree;

pub use addr::{Cidr, Mac, any, bits, from_bits};
pub use capability::{capabilities, capability};
pub use id::Id;
pub use keys::DetachKeys;
pub use labels::Labels;
pub use name::{IfName, Name};
pub use order::order;
pub use port::{PortIndex, PortMapping, PortSpec, Ports, Proto};
pub use quoted::quoted;
