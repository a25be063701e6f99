//! `netcell version`.

use super::argv::{self, Options, Usage};
use super::{Cli, output};
use argh::{ArgsInfo, FromArgs};

/// Print the version of netcell.
#[derive(FromArgs, ArgsInfo)]
#[argh(example = "netcell version")]
struct Words {}

/// Carries out `netcell version`.
pub fn main(_: &Cli, words: &[String]) -> Result<u8, Usage> {
    let _: Words = argv::parse("version", words, Options::Anywhere)?;
    output::line(&concat!("netcell ", env!("CARGO_PKG_VERSION")))?;
    Ok(0)
}
