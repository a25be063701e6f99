//! Docker's JSON for ports.

use super::super::tree::Object;
use crate::engine::record::SandboxRecord;
use crate::types::PortMapping;
use crate::types::tree::{Map, Value};
use std::fmt::Display;

/// Docker's map of ports that answer: `"80/tcp": [{"HostIp": …, "HostPort": …}]`.
pub fn ports(ports: &[PortMapping]) -> Value {
    bindings(ports, false)
}

/// The same as it was asked for, where Docker leaves the address of all addresses empty.
pub(super) fn bindings(ports: &[PortMapping], as_asked: bool) -> Value {
    let mut all = Value::Object(Map::new());
    for port in ports {
        let is_named = !(port.host_ip.is_unspecified() && as_asked);
        let mut binding = Object::default();
        let binding = binding
            .maybe("HostIp", is_named.then_some(&port.host_ip as &dyn Display))
            .text("HostPort", &port.host_port)
            .end();
        let bindings = &mut all[inside(port).as_str()];
        if bindings.is_null() {
            *bindings = Value::Array(Vec::new());
        }
        if let Value::Array(bindings) = bindings
            // Both families' ends of one port were asked for as one.
            && !bindings.contains(&binding)
        {
            bindings.push(binding);
        }
    }
    if let Value::Object(all) = &mut all {
        all.sort_keys();
    }
    all
}

/// `80/tcp`.
fn inside(port: &PortMapping) -> String {
    format!("{}/{}", port.container_port, port.proto)
}

/// Docker's map of ports that a container has.
pub(super) fn exposed(ports: &[PortMapping]) -> Value {
    let mut object = Object::default();
    for port in ports {
        object.set(&inside(port), Value::Object(Map::new()));
    }
    object.end()
}

/// The ports that lead to a sandbox.
pub fn mappings(sandbox: &SandboxRecord) -> Vec<PortMapping> {
    let ports = sandbox.ports.iter();
    ports.map(|port| port.mapping.clone()).collect()
}
