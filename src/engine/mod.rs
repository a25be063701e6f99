//! Rung 3: decides and does. What is asked, and what is read of the host, becomes a plan; one executor runs it.
//!
//! The engine never prints, never reads the environment and never sees the command line: what it has to say goes
//! through [`Say`], what it was asked arrives as the types of [`spec`].

pub mod derived;
pub mod ipam;
pub mod record;
pub mod spec;
pub mod store;
pub mod view;

use std::fmt::Display;

/// Where the engine says what it does.
pub trait Say {
    /// One operation, as the `ip`, `nft` or `mount` line that does the same, after it was done (or planned).
    fn operation(&mut self, line: &dyn Display);
    /// One sentence the user should know though nothing failed.
    fn note(&mut self, sentence: &dyn Display);
}
