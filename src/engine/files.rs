//! What faces read and write, how they make paths whole, and what time it is: by the kernel's own calls, as the engine does.

pub use crate::sys::fd::write_all;
pub use crate::sys::file::{absolute, here, is_directory, names, resolved, rest, text};
pub use crate::sys::path::file as open;
pub use crate::sys::start::{environment, variable};
pub use crate::sys::time::now;
