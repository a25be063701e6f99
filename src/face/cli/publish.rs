//! `netcell publish` and `netcell unpublish`.

use super::Cli;
use super::argv::Usage;
use super::options::{DRY_RUN, Given, Page, VERBOSE};
use super::output::{self, Voice};
use super::port::arrow;
use crate::error::Error;
use crate::types::PortSpec;
use argh::FlagInfo;

const OPTIONS: [FlagInfo<'static>; 2] = [VERBOSE, DRY_RUN];

pub(super) static PUBLISH: Page = Page {
    command: "publish",
    words: "NAME PORT…",
    about: "Publish more ports of a sandbox that lives, by any of its members.",
    own: &OPTIONS,
    end: "Example:
  netcell publish web 8080:80 127.0.0.1::9090 8443:443,on=eth0

PORT is as with run -p: [IP:][HOST[-HOST]:]CONTAINER[-CONTAINER][/tcp|/udp|/sctp][,on=IFACE][,from=CIDR].

Exit codes: 1 an error; then nothing was published.
",
};

pub(super) static UNPUBLISH: Page = Page {
    command: "unpublish",
    words: "NAME PORT…",
    about: "Withdraw published ports of a sandbox, and the connections that came through them.",
    own: &OPTIONS,
    end: "Example:
  netcell unpublish web 8080:80

PORT names what was published: 80/tcp all that leads to port 80, 8080:80 what does from 8080.

Exit codes: 1 an error, or a port is not published.
",
};

/// The name, and what the ports say.
pub(super) fn specs(given: &Given) -> Result<(&str, Vec<PortSpec>), Usage> {
    let (name, ports) = given.first()?;
    let mut specs = Vec::new();
    for (number, port) in ports.iter().enumerate() {
        let spec = port.parse();
        specs.push(spec.map_err(|error: Error| error.nth("--publish", number))?);
    }
    Ok((name, specs))
}

/// Carries out `netcell publish`.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let (name, specs) = specs(given)?;
    let voice = given.voice();
    let new = cli.engine(voice, |engine, run| engine.publish(name, &specs, run))?;
    if voice != Voice::Script {
        output::text(&new.iter().map(arrow).collect::<String>())?;
    }
    Ok(0)
}

/// Carries out `netcell unpublish`.
pub fn withdraw(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let (name, specs) = specs(given)?;
    cli.engine(given.voice(), |engine, run| {
        engine.unpublish(name, &specs, run)
    })?;
    Ok(0)
}
