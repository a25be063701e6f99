//! What a container is set to besides its program: asked for by a face, kept in its record, done by its first process.

use crate::error::{Error, Result};
use crate::sys::limits::{self, Limit};
use crate::sys::mount::Attr;
use crate::types::json::{json_object, json_words};
use std::path::PathBuf;
use std::str::FromStr;

/// The interface of a container's first network.
const IFNAME: &str = "eth0";

/// All of it; a container without any of it has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Files and directories of the host's.
    pub volumes: Vec<Volume>,
    /// File systems in memory.
    pub tmpfs: Vec<Tmpfs>,
    /// The root cannot be written.
    pub read_only: bool,
    /// Every capability and device, nothing masked: no boundary any more.
    pub privileged: bool,
    /// Capabilities beyond the usual, as `CAP_NET_ADMIN` or `ALL`.
    pub cap_add: Vec<String>,
    /// Capabilities less than the usual.
    pub cap_drop: Vec<String>,
    /// Groups beyond the user's own, names or numbers.
    pub groups: Vec<String>,
    /// Resource limits.
    pub limits: Vec<Limit>,
    /// Sysctls of its namespaces.
    pub sysctls: Vec<Sysctl>,
    /// A first process that only hands signals on and reaps.
    pub init: bool,
    /// The first word of the command is the entrypoint.
    pub entrypoint: bool,
    /// What `stop` sends; SIGTERM when absent.
    pub stop_signal: Option<u32>,
    /// How long `stop` waits before SIGKILL, in seconds; 10 when absent.
    pub stop_timeout: Option<u32>,
    /// When it is started again by itself; never when absent.
    pub restart: Option<Restart>,
}
json_object!(Settings {
    volumes,
    tmpfs,
    read_only,
    privileged,
    cap_add,
    cap_drop,
    groups,
    limits,
    sysctls,
    init,
    entrypoint,
    stop_signal,
    stop_timeout,
    restart
});

impl Settings {
    /// Nothing of it.
    pub const NONE: &'static Settings = &Settings {
        volumes: Vec::new(),
        tmpfs: Vec::new(),
        read_only: false,
        privileged: false,
        cap_add: Vec::new(),
        cap_drop: Vec::new(),
        groups: Vec::new(),
        limits: Vec::new(),
        sysctls: Vec::new(),
        init: false,
        entrypoint: false,
        stop_signal: None,
        stop_timeout: None,
        restart: None,
    };

    /// The capabilities, a bit each.
    pub fn capabilities(&self) -> u64 {
        match self.privileged {
            true => !0,
            false => crate::types::capabilities(&self.cap_add, &self.cap_drop),
        }
    }
}

/// When a container is started again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// When.
    pub when: When,
    /// How often at most, on failure; 0 is as often as it fails.
    pub most: u32,
}
json_object!(Restart { when, most });

/// What makes a container start again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Its end, until it is stopped.
    Always,
    /// The same: there is no daemon whose start could tell the two apart.
    UnlessStopped,
    /// Its end with another exit code than 0.
    OnFailure,
}
json_words!(When {
    Always = "always",
    UnlessStopped = "unless-stopped",
    OnFailure = "on-failure"
});

impl When {
    /// Docker's word.
    pub fn word(self) -> &'static str {
        match self {
            When::Always => "always",
            When::UnlessStopped => "unless-stopped",
            When::OnFailure => "on-failure",
        }
    }
}

impl Restart {
    /// `no`, `always`, `unless-stopped`, `on-failure[:N]`; none for the first.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let (word, most) = match text.split_once(':') {
            Some((word, most)) => (word, Some(most)),
            None => (text, None),
        };
        let when = match word {
            "no" | "" => None,
            "always" => Some(When::Always),
            "unless-stopped" => Some(When::UnlessStopped),
            "on-failure" => Some(When::OnFailure),
            _ => {
                return Err(Error::new(format_args!(
                    "invalid restart policy: unknown policy '{word}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
                )));
            }
        };
        let most = most.map(str::parse::<u32>).transpose().map_err(|_| {
            Error::new("invalid restart policy format: maximum retry count must be an integer")
        })?;
        if most.is_some() && when != Some(When::OnFailure) {
            return Err(Error::new(
                "invalid restart policy: maximum retry count can only be used with 'on-failure'",
            ));
        }
        Ok(when.map(|when| Restart {
            when,
            most: most.unwrap_or(0),
        }))
    }
}

/// A file or directory of the host's in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Where it is on the host; a directory is made where there is nothing.
    pub source: PathBuf,
    /// Where it is inside.
    pub destination: String,
    /// Only to be read.
    pub read_only: bool,
}
json_object!(Volume {
    source,
    destination,
    read_only
});

/// A file system in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    /// Where it is inside.
    pub destination: String,
    /// Its options as mount(8) has them, over `noexec,nosuid,nodev`.
    pub options: Vec<String>,
}
json_object!(Tmpfs {
    destination,
    options
});

/// A sysctl of a container's namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysctl {
    /// Its name with dots; `IFNAME` stands for the interface's.
    pub key: String,
    /// Its value.
    pub value: String,
}
json_object!(Sysctl { key, value });

impl Tmpfs {
    /// What of its options is the mount's, and what the file system's.
    pub fn split(&self) -> (Attr, Vec<String>) {
        let mut attr = Attr::MOUNT_ATTR_NOEXEC | Attr::MOUNT_ATTR_NOSUID | Attr::MOUNT_ATTR_NODEV;
        let mut own = Vec::new();
        for option in &self.options {
            match flag(option) {
                Some((bit, on)) => attr.set(bit, on),
                None => own.push(option.clone()),
            }
        }
        (attr, own)
    }
}

/// A mount's flag by mount(8)'s word, and whether that sets it.
fn flag(word: &str) -> Option<(Attr, bool)> {
    Some(match word {
        "ro" => (Attr::MOUNT_ATTR_RDONLY, true),
        "rw" => (Attr::MOUNT_ATTR_RDONLY, false),
        "noexec" => (Attr::MOUNT_ATTR_NOEXEC, true),
        "exec" => (Attr::MOUNT_ATTR_NOEXEC, false),
        "nosuid" => (Attr::MOUNT_ATTR_NOSUID, true),
        "suid" => (Attr::MOUNT_ATTR_NOSUID, false),
        "nodev" => (Attr::MOUNT_ATTR_NODEV, true),
        "noatime" => (Attr::MOUNT_ATTR_NOATIME, true),
        _ => return None,
    })
}

impl FromStr for Tmpfs {
    type Err = Error;

    /// `DESTINATION[:OPTION,…]`.
    fn from_str(text: &str) -> Result<Self> {
        const OWN: [&str; 7] = [
            "size",
            "mode",
            "uid",
            "gid",
            "nr_inodes",
            "nr_blocks",
            "mpol",
        ];
        let (destination, options) = text.split_once(':').unwrap_or((text, ""));
        let options: Vec<_> = options
            .split(',')
            .filter(|option| !option.is_empty())
            .collect();
        for option in &options {
            let own = option
                .split_once('=')
                .is_some_and(|(key, _)| OWN.contains(&key));
            if !own && flag(option).is_none() {
                return Err(Error::new(format_args!(
                    "invalid tmpfs option \"{option}\""
                )));
            }
        }
        Ok(Tmpfs {
            destination: destination_of(destination)?,
            options: options.into_iter().map(str::to_owned).collect(),
        })
    }
}

/// A place inside a container, without `.` and `..`, as Docker cleans it.
pub fn destination_of(text: &str) -> Result<String> {
    if !text.starts_with('/') {
        return Err(Error::new(format_args!(
            "invalid mount path: '{text}' mount path must be absolute"
        )));
    }
    let mut clean = Vec::new();
    for name in text.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                clean.pop();
            }
            name => clean.push(name),
        }
    }
    match clean.first() {
        None => Err(Error::new(
            "invalid specification: destination can't be '/'",
        )),
        Some(&"proc") => Err(Error::new(format_args!(
            "{text} cannot be mounted because it is inside /proc"
        ))),
        Some(_) => Ok(format!("/{}", clean.join("/"))),
    }
}

impl FromStr for Limit {
    type Err = Error;

    /// `NAME=SOFT[:HARD]`; -1 is unlimited.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::new(format_args!("invalid ulimit argument: {text}"));
        let (name, values) = text.split_once('=').ok_or_else(wrong)?;
        let index = limits::index(name)
            .ok_or_else(|| Error::new(format_args!("invalid ulimit type: {name}")))?;
        let number = |text: &str| match text {
            "-1" => Ok(None),
            text => text.parse::<u64>().map(Some).map_err(|_| wrong()),
        };
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let (current, maximum) = (number(soft)?, number(hard)?);
        // No limit is more than any.
        if current.unwrap_or(u64::MAX) > maximum.unwrap_or(u64::MAX) {
            return Err(Error::new(format_args!(
                "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
            )));
        }
        Ok(Limit {
            index,
            current,
            maximum,
        })
    }
}

impl FromStr for Sysctl {
    type Err = Error;

    /// `KEY=VALUE`, of what the container has namespaces of.
    fn from_str(text: &str) -> Result<Self> {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        const IPC: [&str; 8] = [
            "msgmax",
            "msgmnb",
            "msgmni",
            "sem",
            "shmall",
            "shmmax",
            "shmmni",
            "shm_rmid_forced",
        ];
        let ipc = key
            .strip_prefix("kernel.")
            .is_some_and(|key| IPC.contains(&key));
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let own = key.starts_with("net.") || key.starts_with("fs.mqueue.") || ipc;
        if !own || value.is_empty() || !key.chars().all(plain) || key.contains("..") {
            return Err(Error::new(format_args!("sysctl '{text}' is not allowed")));
        }
        let named = |part: &'_ str| match part.eq_ignore_ascii_case("IFNAME") {
            true => IFNAME.to_owned(),
            false => part.to_owned(),
        };
        Ok(Sysctl {
            key: key.split('.').map(named).collect::<Vec<_>>().join("."),
            value: value.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ulimits_have_a_soft_and_a_hard_value() {
        let limit = |text: &str| {
            let limit = text.parse::<Limit>();
            limit
                .map(|limit| (limit.current, limit.maximum))
                .map_err(|e| e.to_string())
        };
        assert_eq!(limit("nofile=10"), Ok((Some(10), Some(10))));
        assert_eq!(limit("core=0:-1"), Ok((Some(0), None)));
        assert_eq!(limit("x=1"), Err("invalid ulimit type: x".into()));
        for bad in [
            "nofile",
            "nofile=",
            "nofile=1:",
            "nofile=2:1",
            "nofile=-1:1",
            "nofile=1:2:3",
        ] {
            assert!(limit(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_sysctls_of_namespaces_are_allowed() {
        assert!(
            "net.ipv4.conf.IFNAME.log_martians=1"
                .parse::<Sysctl>()
                .is_ok()
        );
        assert!("kernel.shmmax=1".parse::<Sysctl>().is_ok());
        for bad in [
            "kernel.core_pattern=|x",
            "net/ipv4/x=1",
            "net.../x=1",
            "vm.x=1",
            "net.x",
        ] {
            assert!(bad.parse::<Sysctl>().is_err(), "{bad}");
        }
    }
}
