//! What a container is set to besides its program, from the options of `run` and `create`; and as inspect shows it.

use super::kill;
use super::options::Given;
use super::run::environment;
use crate::engine::record::ContainerRecord;
use crate::engine::settings::{Restart, Settings, Volume, destination_of};
use crate::engine::spec::NetworkMode;
use crate::error::{Error, Result};
use crate::types::capability;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

impl Given {
    /// The settings; none where nothing is set.
    pub fn settings(&self, network: &NetworkMode) -> Result<Option<Settings>> {
        fn all<'a, T>(
            values: impl Iterator<Item = &'a str>,
            parse: impl FnMut(&'a str) -> Result<T>,
        ) -> Result<Vec<T>> {
            values.map(parse).collect()
        }
        let capabilities = |option, field: &str| {
            let named = |text: &str| {
                capability(text).map_err(|error| Error::new(format!("invalid {field}: {error}")))
            };
            all(self.all(option), named)
        };
        let stop_timeout = match self.last("--stop-timeout") {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| {
                Error::new(format!(
                    "invalid argument \"{text}\" for \"--stop-timeout\" flag: a number of seconds is wanted"
                ))
            })?),
        };
        let stop_signal = self.last("--stop-signal").map(kill::signal).transpose()?;
        let mut volumes: Vec<Volume> = Vec::new();
        for text in self.all("--volume") {
            let volume = volume(text)?;
            // The same twice is once, as with Docker.
            if !volumes.contains(&volume) {
                volumes.push(volume);
            }
        }
        let settings = Settings {
            volumes,
            tmpfs: all(self.all("--tmpfs"), str::parse)?,
            read_only: self.has("--read-only"),
            privileged: self.has("--privileged"),
            cap_add: capabilities("--cap-add", "CapAdd")?,
            cap_drop: capabilities("--cap-drop", "CapDrop")?,
            groups: self.all("--group-add").map(str::to_owned).collect(),
            limits: all(self.all("--ulimit"), str::parse)?,
            sysctls: all(self.all("--sysctl"), str::parse)?,
            init: self.has("--init"),
            entrypoint: self
                .last("--entrypoint")
                .is_some_and(|entry| !entry.is_empty()),
            stop_signal: stop_signal.map(i32::unsigned_abs),
            stop_timeout,
            restart: Restart::parse(self.last("--restart").unwrap_or("no"))?,
        };
        if settings.restart.is_some() && self.has("--rm") {
            return Err(Error::new(
                "conflicting options: cannot specify both --restart and --rm",
            ));
        }
        check(&settings, network)?;
        Ok((settings != *Settings::NONE).then_some(settings))
    }

    /// `--label` and `--label-file`, of which the options come later.
    pub fn labels(&self) -> Result<BTreeMap<String, String>> {
        let mut labels = BTreeMap::new();
        let mut lines = Vec::new();
        for path in self.all("--label-file") {
            lines.extend(file(path)?);
        }
        lines.extend(self.all("--label").map(str::to_owned));
        for line in lines {
            let (key, value) = line.split_once('=').unwrap_or((&line, ""));
            if key.is_empty() {
                return Err(Error::new(format!("invalid label '{line}': empty name")));
            }
            labels.insert(key.to_owned(), value.to_owned());
        }
        Ok(labels)
    }

    /// `--env-file` and `--env`, of which the options come later.
    pub fn environment(&self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for path in self.all("--env-file") {
            for line in file(path)? {
                let key = line.split('=').next().unwrap_or_default();
                if key.is_empty() || key.contains(char::is_whitespace) {
                    return Err(Error::new(format!(
                        "invalid env file ({path}): variable '{key}' contains whitespaces or is empty"
                    )));
                }
                lines.push(line);
            }
        }
        lines.extend(self.all("--env").map(str::to_owned));
        environment(lines.iter().map(String::as_str))
    }
}

/// The lines of a file that say something.
fn file(path: &str) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        let errno = crate::error::Errno::from_io_error(&e);
        match errno {
            Some(errno) => Error::os(format_args!("open {path}"), errno),
            None => Error::new(format!("cannot read {path}: {e}")),
        }
    })?;
    let lines = text.trim_start_matches('\u{feff}').lines();
    let says = |line: &&str| !line.is_empty() && !line.starts_with('#');
    Ok(lines
        .map(str::trim_start)
        .filter(says)
        .map(str::to_owned)
        .collect())
}

/// What contradicts itself.
fn check(settings: &Settings, network: &NetworkMode) -> Result<()> {
    let volumes = settings.volumes.iter().map(|volume| &volume.destination);
    let tmpfs = settings.tmpfs.iter().map(|tmpfs| &tmpfs.destination);
    let mut places: Vec<_> = volumes.chain(tmpfs).collect();
    places.sort_unstable();
    if let Some(twice) = places.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::new(format!("Duplicate mount point: {}", twice[0])));
    }
    let of_network = settings
        .sysctls
        .iter()
        .find(|sysctl| sysctl.key.starts_with("net."));
    match of_network {
        Some(sysctl) if *network == NetworkMode::Host => Err(Error::new(format!(
            "sysctl \"{}\" not allowed in host network namespace",
            sysctl.key
        ))),
        _ => Ok(()),
    }
}

/// `SOURCE:DESTINATION[:MODE,…]`.
fn volume(text: &str) -> Result<Volume> {
    let mut parts = text.split(':');
    let (Some(source), Some(destination), mode, None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(match text.contains(':') {
            true => Error::new(format!("invalid volume specification: '{text}'")),
            false => Error::new(format!(
                "-v {text} has no source: what a container writes vanishes when it stops, and --tmpfs {text} does the same"
            )),
        });
    };
    if !source.starts_with(['/', '.']) {
        return Err(Error::new(format!(
            "-v {text}: named volumes are not supported: the source has to be a path that begins with / or ."
        )));
    }
    let mut read_only = false;
    for word in mode.unwrap_or("rw").split(',') {
        match word {
            "ro" => read_only = true,
            // What Docker ignores on Linux, too.
            "rw" | "cached" | "delegated" | "consistent" => {}
            _ => return Err(Error::new(format!("invalid mode: {word}"))),
        }
    }
    let absolute = std::path::absolute(source);
    Ok(Volume {
        source: absolute.map_err(|e| Error::new(format!("cannot find {source}: {e}")))?,
        destination: destination_of(destination)?,
        read_only,
    })
}

/// Docker's `Mounts`.
pub(super) fn mounts(settings: &Settings) -> Value {
    let mount = |volume: &Volume| {
        json!({
            "Type": "bind",
            "Source": volume.source,
            "Destination": volume.destination,
            "Mode": if volume.read_only { "ro" } else { "" },
            "RW": !volume.read_only,
            "Propagation": "rprivate",
        })
    };
    settings.volumes.iter().map(mount).collect()
}

/// Docker's `RestartPolicy`.
pub(super) fn restart(settings: &Settings) -> Value {
    let (name, most) = match settings.restart {
        Some(restart) => (restart.when.word(), restart.most),
        None => ("no", 0),
    };
    json!({"Name": name, "MaximumRetryCount": most})
}

/// What of it stands in `HostConfig`.
pub(super) fn host_config(record: &ContainerRecord, config: &mut Value) {
    let settings = record.settings();
    let bind = |volume: &Volume| {
        let mode = if volume.read_only { ":ro" } else { "" };
        format!("{}:{}{mode}", volume.source.display(), volume.destination)
    };
    let list = |list: &[String]| match list {
        [] => Value::Null,
        list => list.into(),
    };
    let binds: Vec<_> = settings.volumes.iter().map(bind).collect();
    let sysctls = settings
        .sysctls
        .iter()
        .map(|s| (s.key.clone(), s.value.as_str().into()));
    let tmpfs = settings.tmpfs.iter();
    let tmpfs = tmpfs.map(|tmpfs| (tmpfs.destination.clone(), tmpfs.options.join(",").into()));
    let limits = settings.limits.iter().map(|limit| {
        let value = |value: Option<u64>| value.and_then(|v| i64::try_from(v).ok()).unwrap_or(-1);
        json!({"Name": limit.name(), "Hard": value(limit.maximum), "Soft": value(limit.current)})
    });
    for (key, value) in [
        ("Binds", list(&binds)),
        ("CapAdd", list(&settings.cap_add)),
        ("CapDrop", list(&settings.cap_drop)),
        ("GroupAdd", list(&settings.groups)),
        ("Privileged", settings.privileged.into()),
        ("ReadonlyRootfs", settings.read_only.into()),
        ("Ulimits", limits.collect()),
    ] {
        config[key] = value;
    }
    // What Docker leaves out where there is none.
    if settings.init {
        config["Init"] = true.into();
    }
    for (key, map) in [
        ("Tmpfs", tmpfs.collect::<Map<_, _>>()),
        ("Sysctls", sysctls.collect()),
    ] {
        if !map.is_empty() {
            config[key] = Value::Object(map);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_has_a_source_a_destination_and_a_mode() {
        let parsed = volume("/a/b:/c//d/../e/:ro").expect("a volume");
        assert_eq!(parsed.source, std::path::Path::new("/a/b"));
        assert_eq!(
            (parsed.destination.as_str(), parsed.read_only),
            ("/c/e", true)
        );
        assert!(volume("./x:/y").expect("a volume").source.is_absolute());
        for (bad, why) in [
            ("/a", "has no source"),
            ("name:/a", "named volumes"),
            ("/a:b", "must be absolute"),
            ("/a:/", "can't be '/'"),
            ("/a:/x/..", "can't be '/'"),
            ("/a:/proc/sys", "inside /proc"),
            ("/a:/b:wo", "invalid mode: wo"),
            ("/a:/b:ro:x", "invalid volume specification"),
        ] {
            let error = volume(bad).expect_err(bad).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
