//! The table of mounts: /proc/self/mountinfo (proc_pid_mountinfo(5)).

use super::Attr;
use crate::sys::file;
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// The table of the calling process's mount namespace.
pub(super) fn read() -> Result<String, Errno> {
    file::text("/proc/self/mountinfo")
}

/// The mount points of the mounts that lie directly on the root's, relative to it: the others lie on these.
pub(super) fn beneath_root(table: &str) -> Vec<PathBuf> {
    let mut mounts = Vec::new();
    for line in table.lines() {
        let mut fields = line.split(' ');
        if let (Some(id), Some(parent), Some((point, _))) =
            (fields.next(), fields.next(), parse(line))
        {
            mounts.push((id, parent, point));
        }
    }
    let root = mounts.iter().find(|(.., point)| point == Path::new("/"));
    let Some((root, ..)) = root else {
        return Vec::new();
    };
    let mut beneath = Vec::new();
    for (_, parent, point) in &mounts {
        match point.strip_prefix("/") {
            Ok(point) if parent == root && point != Path::new("") => {
                beneath.push(point.to_owned());
            }
            _ => {}
        }
    }
    beneath
}

/// Mount point and attributes of a line of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
pub(super) fn parse(line: &str) -> Option<(PathBuf, Attr)> {
    let mut fields = line.split(' ').skip(4);
    let (point, options) = (fields.next()?, fields.next()?);
    let attr = options.split(',').map(|option| match option {
        "ro" => Attr::MOUNT_ATTR_RDONLY,
        "nosuid" => Attr::MOUNT_ATTR_NOSUID,
        "nodev" => Attr::MOUNT_ATTR_NODEV,
        "noexec" => Attr::MOUNT_ATTR_NOEXEC,
        "noatime" => Attr::MOUNT_ATTR_NOATIME,
        "nodiratime" => Attr::MOUNT_ATTR_NODIRATIME,
        _ => Attr::empty(),
    });
    Some((unescape(point), attr.collect()))
}

/// Space, tab, newline and backslash are written as a backslash and three octal digits.
fn unescape(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let digits = text.get(i + 1..i + 4).filter(|_| bytes[i] == b'\\');
        match digits.and_then(|d| u8::from_str_radix(d, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                i += 4;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_gives_place_and_attributes() {
        let line = r"36 35 98:0 /mnt1 /mnt\040two rw,noatime,nosuid master:1 - ext3 /dev/root rw,errors=continue";
        let (place, attr) = parse(line).unwrap();
        assert_eq!(place, Path::new("/mnt two"));
        assert_eq!(attr, Attr::MOUNT_ATTR_NOATIME | Attr::MOUNT_ATTR_NOSUID);
        assert!(parse("36 35 98:0 /").is_none());
    }

    #[test]
    fn the_mounts_on_the_root_are_told_from_those_on_them() {
        let table = "1 1 0:2 / / rw - rootfs none rw\n\
                     21 1 0:20 / /proc rw - proc proc rw\n\
                     22 1 0:21 / /run rw - tmpfs tmpfs rw\n\
                     23 22 0:22 / /run/netns rw - tmpfs tmpfs rw\n";
        assert_eq!(beneath_root(table), [Path::new("proc"), Path::new("run")]);
    }
}
