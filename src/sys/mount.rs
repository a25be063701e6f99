//! Mounts by descriptor (Linux 5.2): a mount is made detached, and put on a place that is already open.
//!
//! No path is walked twice, so nothing can change under the walk.

use crate::sys::last_errno;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
pub use rustix::mount::MountAttrFlags as Attr;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags,
};
use std::path::Path;

/// One option of a file system.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// Alone: `ro`.
    Flag,
    /// With a value: `size=64m`; at most 255 bytes.
    Text(&'a str),
}

/// A new mount of a new file system, attached nowhere yet. See fsopen(2), fsconfig(2), fsmount(2).
pub fn filesystem<'a>(
    kind: &str,
    options: impl IntoIterator<Item = (&'a str, Value<'a>)>,
    attr: Attr,
) -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(&context, "source", kind)?;
    for (key, value) in options {
        match value {
            Value::Flag => rustix::mount::fsconfig_set_flag(&context, key)?,
            Value::Text(text) => rustix::mount::fsconfig_set_string(&context, key, text)?,
        }
    }
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attr)
}

/// Whether there are file systems of this kind: ENODEV where there are none. A module that has it is loaded. See fsopen(2).
pub fn has_filesystem(kind: &str) -> Result<(), Errno> {
    rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map(drop)
}

/// A copy of the mount that `place` lies on, from `place` down, attached nowhere yet. See open_tree(2).
pub fn copy(place: impl AsFd, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(place, "", flags)
}

/// Puts a mount, detached or attached elsewhere, on a place. See move_mount(2).
pub fn attach(mount: impl AsFd, place: impl AsFd) -> Result<(), Errno> {
    rustix::mount::move_mount(
        mount,
        "",
        place,
        "",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )
}

/// struct mount_attr of include/uapi/linux/mount.h.
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Sets and clears attributes of a mount, or of all mounts from there down. See mount_setattr(2), Linux 5.12.
///
/// ENOSYS before 5.12: a single attached mount can then be changed by [`remount`].
pub fn set(mount: impl AsFd, on: Attr, off: Attr, recursive: bool) -> Result<(), Errno> {
    let attr = MountAttr {
        attr_set: u64::from(on.bits()),
        attr_clr: u64::from(off.bits()),
        propagation: 0,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: an empty C string as path, and a live struct mount_attr of the size given.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

/// Gives the attached mount that `mount` is the root of exactly these attributes, as every kernel can.
pub fn remount(mount: BorrowedFd<'_>, attr: Attr) -> Result<(), Errno> {
    let mut flags = MountFlags::empty();
    for (one, flag) in [
        (Attr::MOUNT_ATTR_RDONLY, MountFlags::RDONLY),
        (Attr::MOUNT_ATTR_NOSUID, MountFlags::NOSUID),
        (Attr::MOUNT_ATTR_NODEV, MountFlags::NODEV),
        (Attr::MOUNT_ATTR_NOEXEC, MountFlags::NOEXEC),
        (Attr::MOUNT_ATTR_NOATIME, MountFlags::NOATIME),
        (Attr::MOUNT_ATTR_NODIRATIME, MountFlags::NODIRATIME),
    ] {
        if attr.contains(one) {
            flags |= flag;
        }
    }
    rustix::mount::mount_remount(of(mount), MountFlags::BIND | flags, "")
}

/// Whether mounts and unmounts of the host reach the caller's mount namespace; the other way they never do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They do not.
    Private,
    /// They do.
    Slave,
}

/// Sets the propagation of every mount of the namespace. See mount_namespaces(7).
pub fn propagate(how: Propagation) -> Result<(), Errno> {
    let flags = match how {
        Propagation::Private => MountPropagationFlags::PRIVATE,
        Propagation::Slave => MountPropagationFlags::DOWNSTREAM,
    };
    rustix::mount::mount_change("/", flags | MountPropagationFlags::REC)
}

/// Unmounts what is on top of `path` and all below it, at once for the namespace, later for its users (umount2(2)).
pub fn detach(path: impl AsRef<Path>) -> Result<(), Errno> {
    rustix::mount::unmount(path.as_ref(), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
}

/// Makes the mount that `root` is open on the root of the mount namespace, and detaches the old one.
///
/// See pivot_root(2) under "pivot_root(".", ".")". EINVAL where the old root is the ramdisk that the kernel started
/// with (rootfs), which cannot be moved: [`switch`] then.
pub fn pivot(root: impl AsFd) -> Result<(), Errno> {
    rustix::process::fchdir(&root)?;
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")
}

/// Moves the mount that `root` is open on over the root of the mount namespace, and makes it the process's root.
///
/// `beneath` are the mount points, relative to the old root, that are detached from there: nothing of them can be
/// reached any more, but they would be held as long as the namespace lives.
pub fn switch(root: impl AsFd, beneath: &[impl AsRef<Path>]) -> Result<(), Errno> {
    let old = crate::sys::path::directory("/")?;
    rustix::process::fchdir(&old)?;
    attach(&root, &old)?;
    for point in beneath {
        // A path from the working directory, which is still the old root's.
        let _ = detach(point);
    }
    rustix::process::fchdir(&root)?;
    rustix::process::chroot(".")?;
    rustix::process::chdir("/")
}

/// The path that leads to what a descriptor is open on; needs /proc.
pub fn of(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}
