//! What a container is set to besides its program, from the options of `run` and `create`.

use super::kill;
use super::options::Given;
use crate::engine::files;
use crate::engine::settings::{Restart, Settings, Volume, destination_of};
use crate::engine::spec::NetworkMode;
use crate::error::{Errno, Error, Result};
use crate::types::{Labels, capability};
use std::ffi::OsStr;

impl Given {
    /// The settings; none where nothing is set.
    pub fn settings(&self, network: &NetworkMode) -> Result<Option<Settings>> {
        let stop_timeout = self.read("--stop-timeout", stop_timeout)?;
        let stop_signal = self.read("--stop-signal", kill::signal)?;
        let mut volumes: Vec<Volume> = Vec::new();
        for volume in self.read_all("--volume", volume)? {
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
            restart: self.read("--restart", Restart::parse)?.flatten(),
        };
        if settings.restart.is_some() && self.has("--rm") {
            let both = "conflicting options: cannot specify both --restart and --rm";
            return Err(self.blame("--restart", Error::new(both)));
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
            .map_err(|error| error.at(&format!("invalid {field}")))
    }

    /// `--label` and `--label-file`, of which the options come later.
    pub fn labels(&self) -> Result<Labels> {
        let mut labels = Vec::new();
        for of_file in self.read_all("--label-file", label_file)? {
            labels.extend(of_file);
        }
        labels.extend(self.read_all("--label", label)?);
        Ok(Labels::new(labels))
    }

    /// `--env-file` and `--env`, of which the options come later.
    pub fn environment(&self) -> Result<Vec<String>> {
        let mut env = Vec::new();
        for of_file in self.read_all("--env-file", env_file)? {
            env.extend(of_file);
        }
        env.extend(self.read_all("--env", variable)?.into_iter().flatten());
        Ok(env)
    }
}

fn env_file(path: &str) -> Result<Vec<String>> {
    let mut env = Vec::new();
    for line in file(path)? {
        let key = line.split('=').next().unwrap_or_default();
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err(Error::new(format_args!(
                "invalid env file ({path}): variable '{key}' contains whitespaces or is empty"
            )));
        }
        env.extend(variable(&line)?);
    }
    Ok(env)
}

/// `-e KEY=VALUE`; `-e KEY` takes the caller's value, and is left out where the caller has none.
fn variable(entry: &str) -> Result<Option<String>> {
    match entry.split_once('=') {
        Some(("", _)) => Err(Error::new(format_args!(
            "invalid environment variable: {entry}"
        ))),
        Some(_) => Ok(Some(entry.to_owned())),
        None if entry.is_empty() => Err(Error::new("invalid environment variable: it is empty")),
        None => {
            let value = files::variable(entry).and_then(OsStr::to_str);
            Ok(value.map(|value| format!("{entry}={value}")))
        }
    }
}

/// `KEY=VALUE`, or a key alone.
pub(super) fn label(text: &str) -> Result<(String, String)> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() {
        return Err(Error::new(format_args!(
            "invalid label '{text}': empty name"
        )));
    }
    Ok((key.to_owned(), value.to_owned()))
}

fn label_file(path: &str) -> Result<Vec<(String, String)>> {
    file(path)?.iter().map(|line| label(line)).collect()
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
            // Labels of SELinux, which means nothing without it.
            "z" | "Z" if !files::is_directory("/sys/fs/selinux".as_ref()) => {}
            "z" | "Z" => {
                return Err(Error::new(format_args!(
                    "-v {text}: labels of SELinux are not changed: leave out {word}, and see chcon(1) for {source}"
                )));
            }
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
