//! Resource limits of other processes. See getrlimit(2).

use crate::types::json::json_object;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit};

/// A resource limit: its line in /proc/PID/limits, the soft and the hard value; none is unlimited. See getrlimit(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The line, from 0.
    pub index: u32,
    /// The soft limit.
    pub current: Option<u64>,
    /// The hard limit.
    pub maximum: Option<u64>,
}
json_object!(Limit {
    index,
    current,
    maximum
});

/// The names of /proc/PID/limits (fs/proc/base.c, lnames).
const LIMITS: [(&str, Resource); 16] = {
    use Resource as R;
    [
        ("Max cpu time", R::Cpu),
        ("Max file size", R::Fsize),
        ("Max data size", R::Data),
        ("Max stack size", R::Stack),
        ("Max core file size", R::Core),
        ("Max resident set", R::Rss),
        ("Max processes", R::Nproc),
        ("Max open files", R::Nofile),
        ("Max locked memory", R::Memlock),
        ("Max address space", R::As),
        ("Max file locks", R::Locks),
        ("Max pending signals", R::Sigpending),
        ("Max msgqueue size", R::Msgqueue),
        ("Max nice priority", R::Nice),
        ("Max realtime priority", R::Rtprio),
        ("Max realtime timeout", R::Rttime),
    ]
};

/// The resource limits of a process, in the kernel's order; none where they cannot be read.
///
/// From /proc/PID/limits: prlimit(2) on another user's process would take CAP_SYS_RESOURCE.
pub fn of(pid: Pid) -> Vec<Limit> {
    let path = format!("/proc/{}/limits", pid.as_raw_pid());
    parse(&super::file::text(path).unwrap_or_default())
}

fn parse(text: &str) -> Vec<Limit> {
    let parse = |line: &str| {
        let index = LIMITS.iter().position(|(name, _)| line.starts_with(name))?;
        let mut values = line[LIMITS[index].0.len()..].split_ascii_whitespace();
        let mut value = || match values.next()? {
            "unlimited" => Some(None),
            number => number.parse().ok().map(Some),
        };
        Some(Limit {
            index: index as u32,
            current: value()?,
            maximum: value()?,
        })
    };
    text.lines().filter_map(parse).collect()
}

/// ulimit(1)'s and Docker's words for the lines.
const NAMES: [&str; LIMITS.len()] = [
    "cpu",
    "fsize",
    "data",
    "stack",
    "core",
    "rss",
    "nproc",
    "nofile",
    "memlock",
    "as",
    "locks",
    "sigpending",
    "msgqueue",
    "nice",
    "rtprio",
    "rttime",
];
impl Limit {
    /// What Docker calls it.
    pub fn name(&self) -> &'static str {
        NAMES.get(self.index as usize).copied().unwrap_or_default()
    }
}

/// The line of a limit that one of those words names.
pub fn index(name: &str) -> Option<u32> {
    let at = NAMES.iter().position(|known| *known == name)?;
    u32::try_from(at).ok()
}

/// Sets a resource limit.
pub fn set(limit: &Limit) -> Result<(), Errno> {
    let (_, resource) = LIMITS.get(limit.index as usize).ok_or(Errno::INVAL)?;
    let &Limit {
        current, maximum, ..
    } = limit;
    rustix::process::setrlimit(*resource, Rlimit { current, maximum })
}

/// Takes over resource limits from [`of`]; one that may not be raised stays as it is.
pub fn take(limits: &[Limit]) {
    for limit in limits {
        let _ = set(limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_the_kernel_prints_them() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max cpu time              unlimited            unlimited            seconds   \n\
                    Max open files            1024                 524288               files     \n";
        assert_eq!(
            parse(text),
            [
                Limit {
                    index: 0,
                    current: None,
                    maximum: None
                },
                Limit {
                    index: 7,
                    current: Some(1024),
                    maximum: Some(524_288)
                }
            ]
        );
        assert_eq!(of(rustix::process::getpid()).len(), LIMITS.len());
    }
}
