//! Docker's JSON for networks.

use super::super::age;
use super::super::tree::Object;
use super::complete;
use crate::engine::network_is_default;
use crate::engine::record::{Endpoint, NetworkRecord, SandboxRecord};
use crate::engine::view::Network;
use crate::types::tree::{Map, Value};
use std::fmt::Display;

/// Docker's other keys of a network, for who asks for them.
pub(super) const NETWORK: &str =
    r#"{"Attachable":false,"Ingress":false,"ConfigFrom":{"Network":""},"ConfigOnly":false}"#;

/// The same for the default one.
pub(super) const DEFAULT_NETWORK: &str = r#"{"Attachable":false,"Ingress":false,"ConfigFrom":{"Network":""},"ConfigOnly":false,
"Options":{"com.docker.network.bridge.default_bridge":"true","com.docker.network.bridge.enable_icc":"true",
"com.docker.network.bridge.enable_ip_masquerade":"true","com.docker.network.bridge.host_binding_ipv4":"0.0.0.0"}}"#;

/// A network, as `docker network inspect` has it; its users are sandboxes.
pub fn network(found: &Network) -> Value {
    let record = &found.record;
    let mut users = Object::default();
    for (id, sandbox) in &found.users {
        if let Some(endpoint) = &sandbox.endpoint {
            users.set(&id.to_string(), user(sandbox, endpoint));
        }
    }
    let mut labels = Object::default();
    for label in &record.labels {
        if let Some((key, value)) = label.split_once('=') {
            labels.text(key, &value);
        }
    }
    let mut options = Object::default();
    options
        .text("com.docker.network.bridge.enable_icc", &!record.isolate)
        .text(
            "com.docker.network.bridge.enable_ip_masquerade",
            &!record.no_masquerade,
        )
        .text("com.docker.network.bridge.name", &record.link)
        .text("com.docker.network.driver.mtu", &record.mtu);
    let mut object = Object::default();
    object
        .text("Name", &record.name)
        .text("Id", &record.id)
        .text("Created", &age::moment(Some(record.created)))
        .text("Scope", &"local")
        .text("Driver", &"bridge")
        .set("EnableIPv4", record.subnet(true).is_some().into())
        .set("EnableIPv6", record.subnet(false).is_some().into())
        .set("IPAM", ipam(record))
        .set("Internal", record.internal.into())
        .set("Containers", users.end())
        .set("Options", options.end())
        .set("Labels", labels.end());
    let others = match network_is_default(&record.name) {
        true => DEFAULT_NETWORK,
        false => NETWORK,
    };
    complete(object.end(), others)
}

/// A sandbox on a network.
fn user(sandbox: &SandboxRecord, endpoint: &Endpoint) -> Value {
    let address = |ipv4| endpoint.address(ipv4).map(|cidr| cidr as &dyn Display);
    let mut object = Object::default();
    object
        .text("Name", &sandbox.name)
        .text("EndpointID", &endpoint.id)
        .text("MacAddress", &endpoint.mac)
        .maybe("IPv4Address", address(true))
        .maybe("IPv6Address", address(false));
    object.end()
}

fn ipam(record: &NetworkRecord) -> Value {
    let mut parts = Vec::new();
    for part in &record.subnets {
        let mut object = Object::default();
        object
            .text("Subnet", &part.subnet)
            .text("Gateway", &part.gateway);
        if let Some(range) = &part.range {
            object.text("IPRange", range);
        }
        parts.push(object.end());
    }
    let mut object = Object::default();
    object
        .text("Driver", &"default")
        .set("Options", Value::Object(Map::new()))
        .set("Config", Value::Array(parts));
    object.end()
}
