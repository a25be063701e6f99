//! netcell gives a process or container on a small Linux host its own network namespace, without a daemon.
//!
//! Imports go only downwards: `main` → [`face`] → [`engine`] → [`kernel`] → [`netlink`] → [`sys`]; [`error`] and
//! [`types`] may be imported by all, and import [`sys`] at most. src/README.md has the architecture on a page.

pub mod engine;
pub mod error;
pub mod face;
pub mod kernel;
pub mod netlink;
pub mod sys;
pub mod types;
