//! Docker's JSON for a container, and for a sandbox alone in the shape of one.

use super::super::tree::{Object, texts};
use super::super::{age, kill};
use super::complete;
use super::endpoint::{list, network_settings, some};
use super::ports::{bindings, exposed, mappings};
use super::settings;
use crate::engine::record::{ContainerRecord, Names, SandboxRecord};
use crate::engine::view::{Container, Files, Status};
use crate::types::tree::Value;
use std::fmt::Display;

/// Docker's other keys, for who asks for them: what netcell does not do, or always does. Limits are those of no control
/// group; /dev/shm, masks and read-only paths are the ones of engine/process/rootfs.rs.
pub(super) const CONTAINER: &str = r#"{
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

/// A container.
pub(super) fn container(found: &Container) -> Value {
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

/// A sandbox alone.
pub(super) fn alone(sandbox: &SandboxRecord, files: &Files) -> Value {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Labels;
    use crate::types::json::Json;
    use crate::types::tree::Map;

    /// Each looked for among all before it would be 10^10 comparisons here.
    #[test]
    fn a_great_many_labels_are_shown() {
        let count = 200_000;
        let mut record = ContainerRecord::blank();
        let given = (0..count).map(|n| (format!("{n:06}"), n.to_string()));
        record.labels = Labels::new(given.collect());
        let labels = &config(&record)["Labels"];
        assert_eq!(labels.as_object().map(Map::len), Some(count));
        assert!(super::super::labels(labels).starts_with("000000=0,000001=1,"));
    }
}
