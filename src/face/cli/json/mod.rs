//! Docker's JSON for containers, sandboxes and networks: its keys, in its order, for what netcell has.

mod network;

use super::tree::{self, Object, texts};
use super::{age, kill, settings};
use crate::engine::network_is_default;
use crate::engine::record::{ContainerRecord, Endpoint, Names, SandboxRecord};
use crate::engine::view::{Container, Files, Status, Subject};
use crate::types::json::{Json, to_text};
use crate::types::tree::{Map, Value};
use crate::types::{Id, PortMapping};
pub use network::network;
use std::fmt::Display;
use std::path::Path;

/// The tree of what has a JSON text of its own.
pub fn tree(value: &impl Json) -> Value {
    // It was written just now, by those who read it.
    tree::parse(&to_text(value))
}

/// The labels of an object, as lists have them.
pub fn labels(labels: &Value) -> String {
    let mut text = String::new();
    for (key, value) in labels.as_object().into_iter().flatten() {
        text.push_str(if text.is_empty() { "" } else { "," });
        text.push_str(key);
        text.push('=');
        text.push_str(value.as_str().unwrap_or_default());
    }
    text
}

/// Docker's map of ports that answer: `"80/tcp": [{"HostIp": …, "HostPort": …}]`.
pub fn ports(ports: &[PortMapping]) -> Value {
    bindings(ports, false)
}

/// The same as it was asked for, where Docker leaves the address of all addresses empty.
fn bindings(ports: &[PortMapping], as_asked: bool) -> Value {
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

/// A container, or a sandbox alone in the shape of one.
pub fn subject(subject: &Subject) -> Value {
    match subject {
        Subject::Container(found) => container(found),
        Subject::Sandbox(sandbox, files) => alone(sandbox, files),
    }
}

fn container(found: &Container) -> Value {
    let record = &found.record;
    // What was asked for with the sandbox is its first container's.
    let own = found.sandbox.as_ref().filter(|s| s.name == record.name);
    let again = record.again.as_ref().map_or(0, |again| again.count);
    let mut object = Object::default();
    object
        .text("Id", &record.id)
        .text("Created", &age::moment(Some(record.created)))
        .maybe(
            "Path",
            record
                .command
                .first()
                .map(|program| program as &dyn Display),
        )
        .set("Args", texts(record.command.get(1..).unwrap_or_default()))
        .set("State", state(found))
        .text("Image", &record.image.root.display())
        .text("ResolvConfPath", &found.files.resolv.display())
        .text("HostnamePath", &found.files.hostname.display())
        .text("HostsPath", &found.files.hosts.display())
        .text("LogPath", &found.files.log.display())
        .text("Name", &format_args!("/{}", record.name))
        .set("RestartCount", again.into())
        .text("Platform", &"linux")
        .set(
            "HostConfig",
            host_config(record, own.map(|sandbox| &sandbox.names)),
        )
        .set("Mounts", settings::mounts(record.settings()))
        .set("Config", config(record))
        .set(
            "NetworkSettings",
            network_settings(
                found.sandbox.as_deref(),
                own.map(|_| record.id),
                &found.files,
            ),
        );
    complete(object.end(), CONTAINER)
}

fn host_config(record: &ContainerRecord, names: Option<&Names>) -> Value {
    let mut log = Object::default();
    let log = log.text("max-size", &record.log_max).end();
    let mut driver = Object::default();
    let driver = driver.text("Type", &"netcell").set("Config", log).end();
    let mut config = Object::default();
    config
        .set("LogConfig", driver)
        .text("NetworkMode", &record.network_mode)
        .set("PortBindings", bindings(&record.publish, true))
        .set("RestartPolicy", settings::restart(record.settings()))
        .set("AutoRemove", record.auto_remove.into());
    asked_names(&mut config, names.unwrap_or(&Names::default()));
    config
        .text("IpcMode", &"private")
        .set("PublishAllPorts", false.into());
    settings::host_config(record, &mut config);
    config.end()
}

/// What a sandbox was asked to find by name.
fn asked_names(config: &mut Object, names: &Names) {
    config
        .set("Dns", list(names, "dns"))
        .set("DnsOptions", list(names, "dns-option"))
        .set("DnsSearch", list(names, "dns-search"))
        .set("ExtraHosts", some(names, "add-host"));
}

fn config(record: &ContainerRecord) -> Value {
    let settings = record.settings();
    // A record may say that it has an entrypoint, and have no command.
    let (entrypoint, command) = record
        .command
        .split_at_checked(usize::from(settings.entrypoint))
        .unwrap_or((&[], &record.command));
    let entrypoint = match settings.entrypoint {
        true => texts(entrypoint),
        false => Value::Null,
    };
    let mut labels = Object::default();
    for (key, value) in record.labels.iter() {
        labels.push(key, value.as_str().into());
    }
    let mut config = Object::default();
    config
        .text("Hostname", &record.hostname)
        .text("Domainname", &"")
        .text("User", &record.user.as_deref().unwrap_or_default())
        .set("ExposedPorts", exposed(&record.publish))
        .set("Tty", record.terminal.into())
        .set("OpenStdin", record.interactive.into())
        .set("Env", texts(&record.env))
        .set("Cmd", texts(command))
        .text("Image", &record.image.name)
        .text("WorkingDir", &record.workdir.as_deref().unwrap_or_default())
        .set("Entrypoint", entrypoint)
        .set("Labels", labels.end());
    if let Some(signal) = settings.stop_signal {
        config.text("StopSignal", &kill::name(signal));
    }
    if let Some(seconds) = settings.stop_timeout {
        config.set("StopTimeout", seconds.into());
    }
    config.end()
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

/// Puts in what an object has not of another, which is JSON.
fn complete(mut object: Value, others: &str) -> Value {
    fn fill(object: &mut Value, missing: Value) {
        let (Value::Object(object), Value::Object(missing)) = (object, missing) else {
            return;
        };
        for (key, value) in missing {
            match object.get(&key) {
                Some(_) => fill(object.entry(&key), value),
                None => *object.entry(&key) = value,
            }
        }
    }
    fill(&mut object, tree::parse(others));
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
    let started = record.start.as_ref().filter(|_| failed.is_none());
    let mut state = Object::default();
    state
        .text("Status", &status)
        .set("Running", running.into())
        .set("Paused", false.into())
        .set("Restarting", (found.status == Status::Restarting).into())
        .set("OOMKilled", false.into())
        .set("Dead", false.into())
        .set("Pid", found.pid().into())
        .set("ExitCode", code.into())
        .maybe("Error", failed.map(|failure| &failure.text as &dyn Display))
        .text("StartedAt", &age::moment(started.map(|start| start.at)))
        .text("FinishedAt", &age::moment(found.exit.map(|exit| exit.at)));
    state.end()
}

fn alone(sandbox: &SandboxRecord, files: &Files) -> Value {
    let endpoint = sandbox.endpoint.as_ref();
    let mut state = Object::default();
    state
        .text("Status", &"created")
        .set("Running", false.into())
        .set("Pid", 0.into())
        .set("ExitCode", 0.into())
        .text("Error", &"")
        .text("StartedAt", &age::moment(None))
        .text("FinishedAt", &age::moment(None));
    let mut host = Object::default();
    host.text(
        "NetworkMode",
        &endpoint.map_or("none", |endpoint| endpoint.network.as_str()),
    )
    .set("PortBindings", bindings(&mappings(sandbox), true));
    asked_names(&mut host, &sandbox.names);
    let mut config = Object::default();
    config.text("Hostname", &sandbox.hostname);
    let mut object = Object::default();
    object
        .text("Id", &sandbox.id)
        .text("Created", &age::moment(Some(sandbox.created)))
        .text("ResolvConfPath", &files.resolv.display())
        .text("HostnamePath", &files.hostname.display())
        .text("HostsPath", &files.hosts.display())
        .text("Name", &format_args!("/{}", sandbox.name))
        .set("State", state.end())
        .set("HostConfig", host.end())
        .set("Config", config.end())
        .set(
            "NetworkSettings",
            network_settings(Some(sandbox), Some(sandbox.id), files),
        );
    complete(object.end(), CONTAINER)
}

/// The ports that lead to a sandbox.
pub fn mappings(sandbox: &SandboxRecord) -> Vec<PortMapping> {
    let ports = sandbox.ports.iter();
    ports.map(|port| port.mapping.clone()).collect()
}

fn exposed(ports: &[PortMapping]) -> Value {
    let mut object = Object::default();
    for port in ports {
        object.set(&inside(port), Value::Object(Map::new()));
    }
    object.end()
}

/// The sandbox's: what a member that joined has is what its first one has.
/// `id` is the first container's, or the sandbox's own, where it is known.
fn network_settings(sandbox: Option<&SandboxRecord>, id: Option<Id>, files: &Files) -> Value {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Labels;
    use serde_json::json;

    /// Each looked for among all before it would be 10^10 comparisons here.
    #[test]
    fn a_great_many_labels_are_shown() {
        let count = 200_000;
        let mut record = ContainerRecord::blank();
        let given = (0..count).map(|n| (format!("{n:06}"), n.to_string()));
        record.labels = Labels::new(given.collect());
        let labels = &config(&record)["Labels"];
        assert_eq!(labels.as_object().map(Map::len), Some(count));
        assert!(super::labels(labels).starts_with("000000=0,000001=1,"));
    }

    #[test]
    fn dockers_other_keys_are_put_in_and_change_nothing() {
        for text in [CONTAINER, network::NETWORK, network::DEFAULT_NETWORK] {
            assert!(!tree::parse(text).is_null(), "{text}");
        }
        let own = json!({"Path": "sleep", "State": {"Paused": true}, "Config": {"Cmd": ["sleep"]}});
        let whole = complete(own.into(), CONTAINER);
        assert_eq!(
            (&whole["Path"], &whole["State"]["Paused"]),
            (&"sleep".into(), &true.into())
        );
        assert_eq!(whole["Config"]["Cmd"], json!(["sleep"]).into());
        assert_eq!(
            (&whole["Config"]["Labels"], &whole["HostConfig"]["Memory"]),
            (&json!({}).into(), &0.into())
        );
    }
}
