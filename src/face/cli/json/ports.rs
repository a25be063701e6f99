//! Docker's JSON for ports.

use super::super::tree::Object;
use crate::engine::record::SandboxRecord;
use crate::types::tree::{Map, Value};
use crate::types::{PortMapping, order};
use std::fmt::Display;

/// Docker's map of ports that answer: `"80/tcp": [{"HostIp": …, "HostPort": …}]`.
pub fn ports(ports: &[PortMapping]) -> Value {
    bindings(ports, false)
}

/// The same as it was asked for, where Docker leaves the address of all addresses empty.
pub(super) fn bindings(ports: &[PortMapping], as_asked: bool) -> Value {
    let inside: Vec<String> = ports.iter().map(inside).collect();
    let mut all = Vec::<(usize, Vec<Value>)>::new();
    for at in order(ports.len(), &|one, other| inside[one].cmp(&inside[other])) {
        let port = &ports[at];
        let is_named = !(port.host_ip.is_unspecified() && as_asked);
        let mut binding = Object::default();
        let binding = binding
            .maybe("HostIp", is_named.then_some(&port.host_ip as &dyn Display))
            .text("HostPort", &port.host_port)
            .end();
        match all.last_mut() {
            Some((of, bindings)) if inside[*of] == inside[at] => {
                // Both families' ends of one port were asked for as one.
                if !bindings.contains(&binding) {
                    bindings.push(binding);
                }
            }
            _ => all.push((at, vec![binding])),
        }
    }
    let mut object = Object::default();
    for (at, bindings) in all {
        object.push(&inside[at], Value::Array(bindings));
    }
    object.end()
}

/// `80/tcp`.
fn inside(port: &PortMapping) -> String {
    format!("{}/{}", port.container_port, port.proto)
}

/// Docker's map of ports that a container has.
pub(super) fn exposed(ports: &[PortMapping]) -> Value {
    let mut object = Map::new();
    for port in ports {
        object.push(inside(port), Value::Object(Map::new()));
    }
    object.unite();
    Value::Object(object)
}

/// The ports that lead to a sandbox.
pub fn mappings(sandbox: &SandboxRecord) -> Vec<PortMapping> {
    let ports = sandbox.ports.iter();
    ports.map(|port| port.mapping.clone()).collect()
}
