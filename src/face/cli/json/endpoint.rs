//! Docker's JSON for what a container has of its network.

use super::super::tree::Object;
use super::ports::{mappings, ports};
use crate::engine::network_is_default;
use crate::engine::record::{Endpoint, Names, SandboxRecord};
use crate::engine::view::Files;
use crate::types::Id;
use crate::types::tree::Value;
use std::fmt::Display;
use std::path::Path;

/// The sandbox's: what a member that joined has is what its first one has.
/// `id` is the first container's, or the sandbox's own, where it is known.
pub(super) fn network_settings(
    sandbox: Option<&SandboxRecord>,
    id: Option<Id>,
    files: &Files,
) -> Value {
    let endpoint = sandbox.and_then(|sandbox| sandbox.endpoint.as_ref());
    let mut networks = Object::default();
    if let (Some(sandbox), Some(endpoint)) = (sandbox, endpoint) {
        let short = id.map(|id| id.short()).unwrap_or_default();
        networks.set(
            endpoint.network.as_str(),
            attachment(endpoint, sandbox, &short),
        );
    }
    // The fields of before networks had names, which scripts still read: of the default network only.
    let legacy = endpoint.filter(|endpoint| network_is_default(&endpoint.network));
    let mut settings = Object::default();
    settings
        .text("Bridge", &"")
        .maybe(
            "SandboxID",
            sandbox.map(|sandbox| &sandbox.id as &dyn Display),
        )
        .set("HairpinMode", false.into())
        .text("LinkLocalIPv6Address", &"")
        .set("LinkLocalIPv6PrefixLen", 0.into())
        .set("Ports", ports(&sandbox.map(mappings).unwrap_or_default()))
        .text(
            "SandboxKey",
            &files.pin.as_deref().unwrap_or(Path::new("")).display(),
        )
        .set("SecondaryIPAddresses", Value::Null)
        .set("SecondaryIPv6Addresses", Value::Null)
        .maybe(
            "EndpointID",
            legacy.map(|endpoint| &endpoint.id as &dyn Display),
        )
        .maybe(
            "MacAddress",
            legacy.map(|endpoint| &endpoint.mac as &dyn Display),
        );
    addresses(&mut settings, legacy);
    settings.set("Networks", networks.end());
    settings.end()
}

/// What was asked for with an option.
pub(super) fn list(names: &Names, option: &str) -> Value {
    names.of(option).map(Value::from).collect()
}

/// The same, with Docker's null for nothing.
pub(super) fn some(names: &Names, option: &str) -> Value {
    match list(names, option) {
        Value::Array(list) if list.is_empty() => Value::Null,
        list => list,
    }
}

/// The addresses that were asked for; null where none was.
fn asked(endpoint: &Endpoint) -> Value {
    let mut value = Value::Null;
    for ip in &endpoint.asked {
        let key = if ip.is_ipv4() {
            "IPv4Address"
        } else {
            "IPv6Address"
        };
        value[key] = ip.to_string().into();
    }
    value
}

fn attachment(endpoint: &Endpoint, sandbox: &SandboxRecord, short: &str) -> Value {
    let mut object = Object::default();
    object
        .set("IPAMConfig", asked(endpoint))
        .set("Links", Value::Null)
        .set("Aliases", some(&sandbox.names, "network-alias"))
        .text("NetworkID", &endpoint.network_id)
        .text("EndpointID", &endpoint.id)
        .text("MacAddress", &endpoint.mac)
        .set("DriverOpts", Value::Null);
    addresses(&mut object, Some(endpoint));
    let names = sandbox.called(short);
    object.set("DNSNames", names.into_iter().collect());
    object.end()
}

/// Docker's six keys for an endpoint's addresses; what it has not is empty.
fn addresses(object: &mut Object, endpoint: Option<&Endpoint>) {
    const KEYS: [(bool, [&str; 3]); 2] = [
        (true, ["Gateway", "IPAddress", "IPPrefixLen"]),
        (
            false,
            ["IPv6Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen"],
        ),
    ];
    for (ipv4, [gateway, address, length]) in KEYS {
        let has = endpoint.and_then(|endpoint| endpoint.address(ipv4));
        let via = endpoint.and_then(|endpoint| endpoint.gateway(ipv4));
        object
            .maybe(gateway, via.map(|via| via as &dyn Display))
            .maybe(address, has.map(|has| &has.addr as &dyn Display))
            .set(length, has.map_or(0, |has| has.prefix).into());
    }
}
