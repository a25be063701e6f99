//! Capabilities by name, and the set that a container gets (capabilities(7)).

use crate::error::{Error, Result};

/// Those of linux/capability.h, by their number.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Docker's default: CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD
/// AUDIT_WRITE SETFCAP, a bit each.
const DEFAULT: u64 = 0xa804_25fb;

/// A capability as Docker's inspect says it, `CAP_NET_ADMIN` or `ALL`, from a name with or without `CAP_` in any case.
///
/// # Errors
/// A name that there is none of.
pub fn capability(text: &str) -> Result<String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if name == "ALL" {
        return Ok("ALL".into());
    }
    if NAMES.contains(&name) {
        return Ok(format!("CAP_{name}"));
    }
    Err(Error::new(format_args!(
        "unknown capability: \"CAP_{name}\""
    )))
}

/// The set, a bit each, that Docker's rules make of these: an added one stays though it is dropped, too; with ALL added,
/// what is dropped goes; with ALL dropped, what is added stays.
pub fn capabilities(add: &[String], drop: &[String]) -> u64 {
    let bits = |names: &[String]| {
        let named = |name: &String| {
            NAMES
                .iter()
                .position(|known| name.strip_prefix("CAP_") == Some(known))
        };
        names
            .iter()
            .filter_map(named)
            .fold(0, |set, bit| set | 1 << bit)
    };
    let all = |names: &[String]| names.iter().any(|name| name == "ALL");
    if all(add) {
        return !bits(drop);
    }
    let kept = if all(drop) { 0 } else { DEFAULT & !bits(drop) };
    kept | bits(add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(add: &[&str], drop: &[&str]) -> u64 {
        let names = |list: &[&str]| {
            list.iter()
                .map(|name| capability(name).expect("a capability"))
                .collect::<Vec<_>>()
        };
        capabilities(&names(add), &names(drop))
    }

    #[test]
    fn capabilities_are_added_and_dropped_by_dockers_rules() {
        assert_eq!(set(&[], &[]), DEFAULT);
        assert_eq!(set(&["net_admin"], &[]), DEFAULT | 1 << 12);
        assert_eq!(set(&[], &["CAP_NET_RAW"]), DEFAULT & !(1 << 13));
        assert_eq!(set(&["CHOWN"], &["all"]), 1);
        assert_eq!(set(&["ALL"], &["sys_admin"]), !(1 << 21));
        assert_eq!(set(&["chown"], &["chown"]), DEFAULT);
        assert!(capability("NOPE").is_err() && capability("").is_err());
    }
}
