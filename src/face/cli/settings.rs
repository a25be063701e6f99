//! What a container is set to besides its program, from the options of `run` and `create`; and as inspect shows it.

use super::kill;
use super::options::Given;
use super::run::environment;
use super::tree::{Object, texts};
use crate::engine::files;
use crate::engine::record::ContainerRecord;
use crate::engine::settings::{Restart, Settings, Volume, destination_of};
use crate::engine::spec::NetworkMode;
use crate::error::Errno;
use crate::error::{Error, Result};
use crate::types::tree::Value;
use crate::types::{Labels, capability};

impl Given {
    /// The settings; none where nothing is set.
    pub fn settings(&self, network: &NetworkMode) -> Result<Option<Settings>> {
        let stop_timeout = self.read("--stop-timeout", stop_timeout)?;
        let stop_signal = self.read("--stop-signal", kill::signal)?;
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
            tmpfs: self.read_all("--tmpfs", str::parse)?,
            read_only: self.has("--read-only"),
            privileged: self.has("--privileged"),
            cap_add: self.capabilities("--cap-add", "CapAdd")?,
            cap_drop: self.capabilities("--cap-drop", "CapDrop")?,
            groups: self.texts("--group-add"),
            limits: self.read_all("--ulimit", str::parse)?,
            sysctls: self.read_all("--sysctl", str::parse)?,
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

    /// An option's values.
    pub fn texts(&self, option: &'static str) -> Vec<String> {
        self.all(option).into_iter().map(str::to_owned).collect()
    }

    fn capabilities(&self, option: &'static str, field: &str) -> Result<Vec<String>> {
        self.read_all(option, capability)
            .map_err(|error| Error::new(format_args!("invalid {field}: {error}")))
    }

    /// `--label` and `--label-file`, of which the options come later.
    pub fn labels(&self) -> Result<Labels> {
        let mut lines = Vec::new();
        for path in self.all("--label-file") {
            lines.extend(file(path)?);
        }
        lines.extend(self.texts("--label"));
        labels(lines)
    }

    /// `--env-file` and `--env`, of which the options come later.
    pub fn environment(&self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for path in self.all("--env-file") {
            for line in file(path)? {
                let key = line.split('=').next().unwrap_or_default();
                if key.is_empty() || key.contains(char::is_whitespace) {
                    return Err(Error::new(format_args!(
                        "invalid env file ({path}): variable '{key}' contains whitespaces or is empty"
                    )));
                }
                lines.push(line);
            }
        }
        lines.extend(self.texts("--env"));
        environment(lines)
    }
}

/// `KEY=VALUE` each, or a key alone.
pub(super) fn labels(lines: Vec<String>) -> Result<Labels> {
    let mut labels = Vec::new();
    for line in lines {
        let (key, value) = line.split_once('=').unwrap_or((&line, ""));
        if key.is_empty() {
            return Err(Error::new(format_args!(
                "invalid label '{line}': empty name"
            )));
        }
        labels.push((key.to_owned(), value.to_owned()));
    }
    Ok(Labels::new(labels))
}

fn stop_timeout(text: &str) -> Result<u32> {
    text.parse().map_err(|_| {
        Error::new(format_args!(
            "invalid argument \"{text}\" for \"--stop-timeout\" flag: a number of seconds is wanted"
        ))
    })
}

/// The lines of a file that say something.
fn file(path: &str) -> Result<Vec<String>> {
    let text = files::text(path).map_err(|errno| match errno {
        Errno::ILSEQ => Error::new(format_args!(
            "cannot read {path}: stream did not contain valid UTF-8"
        )),
        errno => Error::os(format_args!("open {path}"), errno),
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
        return Err(Error::new(format_args!(
            "Duplicate mount point: {}",
            twice[0]
        )));
    }
    let of_network = settings
        .sysctls
        .iter()
        .find(|sysctl| sysctl.key.starts_with("net."));
    match of_network {
        Some(sysctl) if *network == NetworkMode::Host => Err(Error::new(format_args!(
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
            true => Error::new(format_args!("invalid volume specification: '{text}'")),
            false => Error::new(format_args!(
                "-v {text} has no source: what a container writes vanishes when it stops, and --tmpfs {text} does the same"
            )),
        });
    };
    if !source.starts_with(['/', '.']) {
        return Err(Error::new(format_args!(
            "-v {text}: named volumes are not supported: the source has to be a path that begins with / or ."
        )));
    }
    let mut read_only = false;
    for word in mode.unwrap_or("rw").split(',') {
        match word {
            "ro" => read_only = true,
            // What Docker ignores on Linux, too.
            "rw" | "cached" | "delegated" | "consistent" => {}
            _ => return Err(Error::new(format_args!("invalid mode: {word}"))),
        }
    }
    let absolute = files::absolute(source.as_ref());
    Ok(Volume {
        source: absolute.map_err(|e| Error::new(format_args!("cannot find {source}: {e}")))?,
        destination: destination_of(destination)?,
        read_only,
    })
}

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
