//! Docker's JSON for containers, sandboxes and networks: its keys, in its order, for what netcell has.

use super::{age, kill, settings};
use crate::engine::network_is_default;
use crate::engine::record::{Endpoint, Names, SandboxRecord, Subnet};
use crate::engine::view::{Container, Files, Network, Status, Subject};
use crate::types::json::{Json, to_text};
use crate::types::{Id, PortMapping};
use serde_json::{Map, Value, json};

/// With Docker's indent of four.
pub fn text(value: &Value) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    // A Value has no key or number that JSON could not hold, and a Vec takes every byte.
    let _ = serde::Serialize::serialize(value, &mut serializer);
    String::from_utf8(bytes).unwrap_or_default()
}

/// The tree of what has a JSON text of its own.
pub fn tree(value: &impl Json) -> Value {
    // It was written just now, by those who read it.
    serde_json::from_str(&to_text(value)).unwrap_or_default()
}

/// A line of a list for templates: its fields, and under no name its labels, which `.Label` looks in.
pub fn line(labels: &Value, fields: Vec<(&str, String)>) -> Value {
    let mut map = Map::new();
    map.insert(String::new(), labels.clone());
    for (name, text) in fields {
        map.insert(name.to_owned(), Value::String(text));
    }
    map.into()
}

/// Docker's map of ports that answer: `"80/tcp": [{"HostIp": …, "HostPort": …}]`.
pub fn ports(ports: &[PortMapping]) -> Value {
    bindings(ports, false)
}

/// The same as it was asked for, where Docker leaves the address of all addresses empty.
fn bindings(ports: &[PortMapping], as_asked: bool) -> Value {
    let mut map = Map::new();
    for port in ports {
        let host_ip = match port.host_ip.is_unspecified() && as_asked {
            true => String::new(),
            false => port.host_ip.to_string(),
        };
        let binding = json!({"HostIp": host_ip, "HostPort": port.host_port.to_string()});
        let key = format!("{}/{}", port.container_port, port.proto);
        if let Value::Array(bindings) = map.entry(key).or_insert_with(|| json!([])) {
            // Both families' ends of one port were asked for as one.
            if !bindings.contains(&binding) {
                bindings.push(binding)
            }
        }
    }
    map.sort_keys();
    map.into()
}

/// A container, or a sandbox alone in the shape of one.
pub fn subject(subject: &Subject) -> Value {
    match subject {
        Subject::Container(found) => container(found),
        Subject::Sandbox(sandbox, files) => alone(sandbox, files),
    }
}

fn container(found: &Container) -> Value {
    let record = &found.record;
    let program = record.command.first().cloned().unwrap_or_default();
    // What was asked for with the sandbox is its first container's.
    let own = found.sandbox.as_ref().filter(|s| s.name == record.name);
    let names = own.map(|sandbox| sandbox.names.clone()).unwrap_or_default();
    let mut object = json!({
        "Id": record.id,
        "Created": age::moment(Some(record.created)),
        "Path": program,
        "Args": record.command.get(1..).unwrap_or_default(),
        "State": state(found),
        "Image": record.image.root,
        "ResolvConfPath": found.files.resolv,
        "HostnamePath": found.files.hostname,
        "HostsPath": found.files.hosts,
        "LogPath": found.files.log,
        "Name": format!("/{}", record.name),
        "RestartCount": record.again.as_ref().map_or(0, |again| again.count),
        "Platform": "linux",
        "HostConfig": {
            "LogConfig": {"Type": "netcell", "Config": {"max-size": record.log_max.to_string()}},
            "NetworkMode": record.network_mode,
            "PortBindings": bindings(&record.publish, true),
            "RestartPolicy": settings::restart(record.settings()),
            "AutoRemove": record.auto_remove,
            "Dns": list(&names, "dns"),
            "DnsOptions": list(&names, "dns-option"),
            "DnsSearch": list(&names, "dns-search"),
            "ExtraHosts": some(&names, "add-host"),
            "IpcMode": "private",
            "PublishAllPorts": false,
        },
        "Mounts": settings::mounts(record.settings()),
        "Config": {
            "Hostname": record.hostname,
            "Domainname": "",
            "User": record.user.as_deref().unwrap_or_default(),
            "ExposedPorts": exposed(&record.publish),
            "Tty": record.terminal,
            "OpenStdin": record.interactive,
            "Env": record.env,
            "Cmd": &record.command[usize::from(record.settings().entrypoint)..],
            "Image": record.image.name,
            "WorkingDir": record.workdir.as_deref().unwrap_or_default(),
            "Entrypoint": record.settings().entrypoint.then(|| &record.command[..1]),
            "Labels": record.labels,
        },
    });
    settings::host_config(record, &mut object["HostConfig"]);
    let set = record.settings();
    if let Some(signal) = set.stop_signal {
        object["Config"]["StopSignal"] = kill::name(signal).into();
    }
    if let Some(seconds) = set.stop_timeout {
        object["Config"]["StopTimeout"] = seconds.into();
    }
    object["NetworkSettings"] = network_settings(
        found.sandbox.as_deref(),
        own.map(|_| record.id),
        &found.files,
    );
    complete(object, CONTAINER)
}

/// Docker's other keys, for who asks for them: what netcell does not do, or always does. Limits are those of no control
/// group; /dev/shm, masks and read-only paths are the ones of engine/process/rootfs.rs.
const CONTAINER: &str = r#"{
"Path":"","Args":[],"Image":"","LogPath":"","RestartCount":0,"Platform":"linux",
"MountLabel":"","ProcessLabel":"","AppArmorProfile":"",
"State":{"Paused":false,"Restarting":false,"OOMKilled":false,"Dead":false},
"HostConfig":{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"netcell","Config":{}},
"RestartPolicy":{"Name":"no","MaximumRetryCount":0},"AutoRemove":false,
"VolumeDriver":"","VolumesFrom":null,"ConsoleSize":[0,0],"CapAdd":null,"CapDrop":null,"CgroupnsMode":"host",
"Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,"GroupAdd":null,"IpcMode":"private","Cgroup":"","Links":null,
"OomScoreAdj":0,"PidMode":"","Privileged":false,"PublishAllPorts":false,"ReadonlyRootfs":false,
"SecurityOpt":["no-new-privileges"],"UTSMode":"","UsernsMode":"","ShmSize":67108864,"Runtime":"netcell","Isolation":"",
"CpuShares":0,"Memory":0,"NanoCpus":0,"CgroupParent":"","BlkioWeight":0,"BlkioWeightDevice":[],"BlkioDeviceReadBps":[],
"BlkioDeviceWriteBps":[],"BlkioDeviceReadIOps":[],"BlkioDeviceWriteIOps":[],"CpuPeriod":0,"CpuQuota":0,
"CpuRealtimePeriod":0,"CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"","Devices":[],"DeviceCgroupRules":null,
"DeviceRequests":null,"MemoryReservation":0,"MemorySwap":0,"MemorySwappiness":null,"OomKillDisable":false,
"PidsLimit":null,"Ulimits":null,"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,"IOMaximumBandwidth":0},
"Mounts":[],
"Config":{"Domainname":"","User":"","ExposedPorts":{},"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,
"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":{}}}"#;

/// The same for a network.
const NETWORK: &str =
    r#"{"Attachable":false,"Ingress":false,"ConfigFrom":{"Network":""},"ConfigOnly":false}"#;

/// And for the default one.
const DEFAULT_NETWORK: &str = r#"{"Attachable":false,"Ingress":false,"ConfigFrom":{"Network":""},"ConfigOnly":false,
"Options":{"com.docker.network.bridge.default_bridge":"true","com.docker.network.bridge.enable_icc":"true",
"com.docker.network.bridge.enable_ip_masquerade":"true","com.docker.network.bridge.host_binding_ipv4":"0.0.0.0"}}"#;

/// Puts in what an object has not of another, which is JSON.
fn complete(mut object: Value, others: &str) -> Value {
    fn fill(object: &mut Value, missing: Value) {
        let (Value::Object(object), Value::Object(missing)) = (object, missing) else {
            return;
        };
        for (key, value) in missing {
            match object.get_mut(&key) {
                Some(own) => fill(own, value),
                None => _ = object.insert(key, value),
            }
        }
    }
    fill(
        &mut object,
        serde_json::from_str(others).unwrap_or_default(),
    );
    object
}

fn state(found: &Container) -> Value {
    let record = &found.record;
    let (status, running) = match found.status {
        Status::Created => ("created", false),
        Status::Running => ("running", true),
        Status::Restarting => ("restarting", true),
        Status::Exited => ("exited", false),
    };
    let failed = record.failure.as_ref();
    let code = found
        .exit
        .map(|exit| exit.code)
        .or(failed.map(|failure| failure.code))
        .unwrap_or(0);
    let started = record
        .start
        .as_ref()
        .filter(|_| failed.is_none())
        .map(|start| start.at);
    json!({
        "Status": status,
        "Running": running,
        "Paused": false,
        "Restarting": found.status == Status::Restarting,
        "OOMKilled": false,
        "Dead": false,
        "Pid": found.pid(),
        "ExitCode": code,
        "Error": failed.map(|failure| failure.text.as_str()).unwrap_or_default(),
        "StartedAt": age::moment(started),
        "FinishedAt": age::moment(found.exit.map(|exit| exit.at)),
    })
}

fn alone(sandbox: &SandboxRecord, files: &Files) -> Value {
    let names = &sandbox.names;
    let mappings: Vec<_> = sandbox
        .ports
        .iter()
        .map(|port| port.mapping.clone())
        .collect();
    let mode = sandbox
        .endpoint
        .as_ref()
        .map_or("none", |endpoint| endpoint.network.as_str());
    let own = json!({
        "Id": sandbox.id,
        "Created": age::moment(Some(sandbox.created)),
        "ResolvConfPath": files.resolv,
        "HostnamePath": files.hostname,
        "HostsPath": files.hosts,
        "Name": format!("/{}", sandbox.name),
        "State": {
            "Status": "created",
            "Running": false,
            "Pid": 0,
            "ExitCode": 0,
            "Error": "",
            "StartedAt": age::moment(None),
            "FinishedAt": age::moment(None),
        },
        "HostConfig": {
            "NetworkMode": mode,
            "PortBindings": bindings(&mappings, true),
            "Dns": list(names, "dns"),
            "DnsOptions": list(names, "dns-option"),
            "DnsSearch": list(names, "dns-search"),
            "ExtraHosts": some(names, "add-host"),
        },
        "Config": {"Hostname": sandbox.hostname},
        "NetworkSettings": network_settings(Some(sandbox), Some(sandbox.id), files),
    });
    complete(own, CONTAINER)
}

fn exposed(ports: &[PortMapping]) -> Value {
    let keys = ports
        .iter()
        .map(|port| (format!("{}/{}", port.container_port, port.proto), json!({})));
    Value::Object(keys.collect())
}

/// The sandbox's: what a member that joined has is what its first one has.
/// `id` is the first container's, or the sandbox's own, where it is known.
fn network_settings(sandbox: Option<&SandboxRecord>, id: Option<Id>, files: &Files) -> Value {
    let endpoint = sandbox.and_then(|sandbox| sandbox.endpoint.as_ref());
    let mappings: Vec<_> = sandbox
        .map(|s| s.ports.iter().map(|port| port.mapping.clone()).collect())
        .unwrap_or_default();
    let mut networks = Map::new();
    if let (Some(sandbox), Some(endpoint)) = (sandbox, endpoint) {
        let mut value = attachment(endpoint);
        let short = id.map(|id| id.short()).unwrap_or_default();
        value["Aliases"] = some(&sandbox.names, "network-alias");
        value["DNSNames"] = json!(sandbox.called(&short));
        networks.insert(endpoint.network.to_string(), value);
    }
    // The fields of before networks had names, which scripts still read: of the default network only.
    let legacy = endpoint.filter(|endpoint| network_is_default(&endpoint.network));
    let mut settings = json!({
        "Bridge": "",
        "SandboxID": sandbox.map(|sandbox| sandbox.id.to_string()).unwrap_or_default(),
        "HairpinMode": false,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "Ports": ports(&mappings),
        "SandboxKey": files.pin.as_ref().map(|pin| pin.display().to_string()).unwrap_or_default(),
        "SecondaryIPAddresses": null,
        "SecondaryIPv6Addresses": null,
        "EndpointID": legacy.map(|endpoint| endpoint.id.to_string()).unwrap_or_default(),
        "MacAddress": legacy.map(|endpoint| endpoint.mac.to_string()).unwrap_or_default(),
    });
    addresses(&mut settings, legacy);
    settings["Networks"] = networks.into();
    settings
}

/// What was asked for with an option.
fn list(names: &Names, option: &str) -> Value {
    names.of(option).map(Value::from).collect()
}

/// The same, with Docker's null for nothing.
fn some(names: &Names, option: &str) -> Value {
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

fn attachment(endpoint: &Endpoint) -> Value {
    let mut value = json!({
        "IPAMConfig": asked(endpoint),
        "Links": null,
        "Aliases": null,
        "NetworkID": endpoint.network_id,
        "EndpointID": endpoint.id,
        "MacAddress": endpoint.mac,
        "DriverOpts": null,
    });
    addresses(&mut value, Some(endpoint));
    value
}

/// Docker's six keys for an endpoint's addresses; what it has not is empty.
fn addresses(value: &mut Value, endpoint: Option<&Endpoint>) {
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
        value[gateway] = via.map(|via| via.to_string()).unwrap_or_default().into();
        value[address] = has
            .map(|has| has.addr.to_string())
            .unwrap_or_default()
            .into();
        value[length] = has.map_or(0, |has| has.prefix).into();
    }
}

/// A network, as `docker network inspect` has it; its users are sandboxes.
pub fn network(found: &Network) -> Value {
    let record = &found.record;
    let user = |(id, sandbox): &(Id, SandboxRecord)| {
        let endpoint = sandbox.endpoint.as_ref()?;
        let address = |ipv4| {
            endpoint
                .address(ipv4)
                .map(|a| a.to_string())
                .unwrap_or_default()
        };
        let value = json!({
            "Name": sandbox.name,
            "EndpointID": endpoint.id,
            "MacAddress": endpoint.mac,
            "IPv4Address": address(true),
            "IPv6Address": address(false),
        });
        Some((id.to_string(), value))
    };
    let subnet = |part: &Subnet| {
        let mut value = json!({"Subnet": part.subnet, "Gateway": part.gateway});
        if let Some(range) = part.range {
            value["IPRange"] = range.to_string().into();
        }
        value
    };
    let labels = record
        .labels
        .iter()
        .filter_map(|label| label.split_once('='));
    let labels = labels.map(|(key, value)| (key.to_owned(), value.into()));
    let others = match network_is_default(&record.name) {
        true => DEFAULT_NETWORK,
        false => NETWORK,
    };
    let own = json!({
        "Name": record.name,
        "Id": record.id,
        "Created": age::moment(Some(record.created)),
        "Scope": "local",
        "Driver": "bridge",
        "EnableIPv4": record.subnet(true).is_some(),
        "EnableIPv6": record.subnet(false).is_some(),
        "IPAM": {
            "Driver": "default",
            "Options": {},
            "Config": record.subnets.iter().map(subnet).collect::<Vec<_>>(),
        },
        "Internal": record.internal,
        "Containers": Value::Object(found.users.iter().filter_map(user).collect()),
        "Options": {
            "com.docker.network.bridge.enable_icc": (!record.isolate).to_string(),
            "com.docker.network.bridge.enable_ip_masquerade": (!record.no_masquerade).to_string(),
            "com.docker.network.bridge.name": record.link,
            "com.docker.network.driver.mtu": record.mtu.to_string(),
        },
        "Labels": Value::Object(labels.collect()),
    });
    complete(own, others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_other_keys_are_put_in_and_change_nothing() {
        for text in [CONTAINER, NETWORK, DEFAULT_NETWORK] {
            assert!(serde_json::from_str::<Value>(text).is_ok(), "{text}");
        }
        let own = json!({"Path": "sleep", "State": {"Paused": true}, "Config": {"Cmd": ["sleep"]}});
        let whole = complete(own, CONTAINER);
        assert_eq!(
            (&whole["Path"], &whole["State"]["Paused"]),
            (&json!("sleep"), &json!(true))
        );
        assert_eq!(whole["Config"]["Cmd"], json!(["sleep"]));
        assert_eq!(
            (&whole["Config"]["Labels"], &whole["HostConfig"]["Memory"]),
            (&json!({}), &json!(0))
        );
    }
}
