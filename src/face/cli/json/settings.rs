//! Docker's JSON for what a container is set to.

use super::super::tree::{Object, texts};
use crate::engine::record::ContainerRecord;
use crate::engine::settings::Settings;
use crate::types::tree::Value;

/// Docker's `Mounts`.
pub(super) fn mounts(settings: &Settings) -> Value {
    let mut mounts = Vec::new();
    for volume in &settings.volumes {
        let mut mount = Object::default();
        mount
            .text("Type", &"bind")
            .text("Source", &volume.source.display())
            .text("Destination", &volume.destination)
            .text("Mode", &if volume.read_only { "ro" } else { "" })
            .set("RW", (!volume.read_only).into())
            .text("Propagation", &"rprivate");
        mounts.push(mount.end());
    }
    Value::Array(mounts)
}

/// Docker's `RestartPolicy`.
pub(super) fn restart(settings: &Settings) -> Value {
    let (name, most) = match settings.restart {
        Some(restart) => (restart.when.word(), restart.most),
        None => ("no", 0),
    };
    let mut policy = Object::default();
    policy
        .text("Name", &name)
        .set("MaximumRetryCount", most.into())
        .end()
}

/// What of it stands in `HostConfig`.
pub(super) fn host_config(record: &ContainerRecord, config: &mut Object) {
    let settings = record.settings();
    let mut binds = Vec::new();
    for volume in &settings.volumes {
        let mode = if volume.read_only { ":ro" } else { "" };
        let source = volume.source.display();
        binds.push(format!("{source}:{}{mode}", volume.destination));
    }
    let number = |value: Option<u64>| value.and_then(|v| i64::try_from(v).ok()).unwrap_or(-1);
    let mut limits = Vec::new();
    for limit in &settings.limits {
        let mut object = Object::default();
        object
            .text("Name", &limit.name())
            .set("Hard", number(limit.maximum).into())
            .set("Soft", number(limit.current).into());
        limits.push(object.end());
    }
    let list = |list: &[String]| match list {
        [] => Value::Null,
        list => texts(list),
    };
    config
        .set("Binds", list(&binds))
        .set("CapAdd", list(&settings.cap_add))
        .set("CapDrop", list(&settings.cap_drop))
        .set("GroupAdd", list(&settings.groups))
        .set("Privileged", settings.privileged.into())
        .set("ReadonlyRootfs", settings.read_only.into())
        .set("Ulimits", Value::Array(limits));
    // What Docker leaves out where there is none.
    if settings.init {
        config.set("Init", true.into());
    }
    let (mut tmpfs, mut sysctls) = (Object::default(), Object::default());
    for place in &settings.tmpfs {
        tmpfs.text(&place.destination, &place.options.join(","));
    }
    for sysctl in &settings.sysctls {
        sysctls.text(&sysctl.key, &sysctl.value);
    }
    for (key, mut map) in [("Tmpfs", tmpfs), ("Sysctls", sysctls)] {
        if !map.is_empty() {
            config.set(key, map.end());
        }
    }
}
