//! `netcell network create`.

use super::super::argv::Usage;
use super::super::options::{DRY_RUN, Given, Page, VERBOSE, option, switch};
use super::super::output::{self, Voice};
use super::super::{Cli, settings};
use crate::engine::spec::NetworkSpec;
use crate::error::{Error, Result};
use crate::types::Labels;
use std::net::IpAddr;

pub static CREATE: Page = Page {
    command: "network create",
    words: "NAME",
    about: "Create a network: its bridge, gateway addresses and rules.",
    own: &[
        option("--driver", Some('d'), "DRIVER", "bridge"),
        option(
            "--subnet",
            None,
            "CIDR",
            "a subnet, IPv4 or IPv6; may be repeated; else a free one of Docker's",
        ),
        option(
            "--gateway",
            None,
            "ADDRESS",
            "the bridge's address in a subnet; may be repeated; else its first",
        ),
        option(
            "--ip-range",
            None,
            "CIDR",
            "the part of a subnet that addresses are taken from; may be repeated",
        ),
        switch(
            "--ipv6",
            None,
            "IPv6 too, with a unique local subnet where none is given",
        ),
        switch("--ipv4", None, "--ipv4=false: no IPv4"),
        switch(
            "--internal",
            None,
            "no way out and none in: sandboxes reach each other and the host",
        ),
        switch(
            "--no-masquerade",
            None,
            "what goes out keeps its source address",
        ),
        switch("--isolate", None, "no traffic between its own sandboxes"),
        switch(
            "--no-forwarding",
            None,
            "leave the host's forwarding as it is",
        ),
        option("--mtu", None, "BYTES", "the MTU; else the uplink's"),
        option(
            "--interface",
            None,
            "NAME",
            "the bridge's name; else the first free netcellN",
        ),
        option(
            "--label",
            None,
            "KEY[=VALUE]",
            "set a label; may be repeated",
        ),
        option(
            "--opt",
            Some('o'),
            "KEY=VALUE",
            "an option in Docker's spelling; may be repeated",
        ),
        VERBOSE,
        DRY_RUN,
    ],
    end: "Example:
  netcell network create --subnet 10.50.0.0/24 --ipv6 lan

-o knows Docker's com.docker.network.bridge.name, .enable_icc, .enable_ip_masquerade and
com.docker.network.driver.mtu.

Exit codes: 1 an error.
",
};

/// What `network create` is asked for.
pub fn asked(given: &Given) -> Result<NetworkSpec, Usage> {
    Ok(wanted(given, given.one_name()?)?)
}

/// Carries it out.
pub fn main(cli: &Cli, given: &Given) -> Result<u8, Usage> {
    let spec = asked(given)?;
    let voice = given.voice();
    let id = cli.engine(voice, |engine, run| engine.network_create(&spec, run))?;
    if voice != Voice::Script {
        output::line(&id)?;
    }
    Ok(0)
}

fn wanted(given: &Given, name: &str) -> Result<NetworkSpec> {
    let driver = given.last("--driver").unwrap_or("bridge");
    if driver != "bridge" {
        let error = Error::new(format_args!(
            "plugin \"{driver}\" not found: bridge is the driver there is"
        ));
        return Err(error.of("--driver"));
    }
    let mut labels = Vec::new();
    for (key, value) in Labels::new(given.read_all("--label", settings::label)?).iter() {
        labels.push(format!("{key}={value}"));
    }
    labels.sort_unstable();
    let mut spec = NetworkSpec {
        subnets: given.read_all("--subnet", str::parse)?,
        gateways: given.read_all("--gateway", gateway)?,
        ranges: given.read_all("--ip-range", str::parse)?,
        ipv6: given.has("--ipv6"),
        no_ipv4: given.last("--ipv4") == Some("false"),
        internal: given.has("--internal"),
        no_masquerade: given.has("--no-masquerade"),
        isolate: given.has("--isolate"),
        no_forwarding: given.has("--no-forwarding"),
        interface: given.read("--interface", str::parse)?,
        mtu: given.read("--mtu", mtu)?,
        labels,
        ..NetworkSpec::named(name.parse().map_err(|error: Error| error.of("--name"))?)
    };
    for (number, option) in given.all("--opt").into_iter().enumerate() {
        set(&mut spec, option).map_err(|error| error.nth("--opt", number))?;
    }
    Ok(spec)
}

/// An option in Docker's spelling.
fn set(spec: &mut NetworkSpec, option: &str) -> Result<()> {
    let (key, value) = option.split_once('=').unwrap_or((option, "true"));
    match key.strip_prefix("com.docker.network.") {
        Some("bridge.name") => spec.interface = Some(value.parse()?),
        Some("bridge.enable_icc") => spec.isolate = !truth(key, value)?,
        Some("bridge.enable_ip_masquerade") => spec.no_masquerade = !truth(key, value)?,
        Some("driver.mtu") => spec.mtu = Some(mtu(value)?),
        _ => {
            return Err(Error::new(format_args!(
                "unknown option {key}: com.docker.network.bridge.name, .enable_icc, .enable_ip_masquerade and com.docker.network.driver.mtu are known"
            )));
        }
    }
    Ok(())
}

fn truth(key: &str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" => Ok(true),
        "0" | "f" | "false" => Ok(false),
        _ => Err(Error::new(format_args!(
            "invalid value {value} for {key}: true or false is wanted"
        ))),
    }
}

fn gateway(text: &str) -> Result<IpAddr> {
    text.parse()
        .map_err(|_| Error::new(format_args!("invalid gateway {text}: an address is wanted")))
}

fn mtu(text: &str) -> Result<u32> {
    text.parse().map_err(|_| {
        Error::new(format_args!(
            "invalid MTU {text}: a number of bytes is wanted"
        ))
    })
}
