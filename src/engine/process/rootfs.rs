//! A container's root file system, as a list of mount operations for its first process to do.
//!
//! An image directory becomes the lower layer of an overlay whose upper is a bounded tmpfs in the container's own
//! mount namespace, and the process's root. `/` stays where it is, in a namespace whose mounts lead nowhere: without
//! devices but the usual ones, with its own /proc, /sys and /dev, and the state directory out of sight. What Docker's
//! runc mounts, masks and makes read-only, so does this.

use super::{ChildSpec, EtcFiles};
use crate::engine::settings::Settings;
use crate::error::{Errno, Error, Result};
use crate::kernel::mount::{
    At, Bind, Blank, Cover, Device, Directory, EtcFile, Filesystem, HostDevices, HostSysfs, INERT,
    Keep, Mask, Memory, Move, NoDevices, Overlay, Pivot, ReadOnly, ReadOnlyImage, ReadOnlyRoot,
    Step, Symlink,
};
use crate::kernel::sysctl;
use crate::sys::mount::{Attr, Propagation};
use crate::sys::{file, process};
use std::path::{Path, PathBuf};

/// What a container's writable layer may grow to: a share of the host's memory (tmpfs(5)).
const UPPER: &[(&str, &str)] = &[("size", "25%"), ("mode", "755")];

/// Paths that show nothing: the OCI default list.
const MASKED: [&str; 12] = [
    "proc/acpi",
    "proc/asound",
    "proc/interrupts",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/sched_debug",
    "proc/scsi",
    "proc/timer_list",
    "proc/timer_stats",
    "sys/devices/virtual/powercap",
    "sys/firmware",
];

/// Paths that are only to be read: the OCI default list.
const READ_ONLY: [&str; 5] = [
    "proc/bus",
    "proc/fs",
    "proc/irq",
    "proc/sys",
    "proc/sysrq-trigger",
];

/// What a container's network namespace has unlike a new one, as Docker's: key, the kernel's value, the container's.
/// Any user may listen on any port and send pings, and no router advertisement gives an address or a route.
const SYSCTLS: [(&str, &str, &str); 4] = [
    ("net/ipv4/ip_unprivileged_port_start", "1024", "0"),
    (sysctl::PING_GROUPS, "1\t0", "0 2147483647"),
    ("net/ipv6/conf/default/accept_ra", "1", "0"),
    ("net/ipv6/conf/eth0/accept_ra", "1", "0"),
];

const DEVICES: [(&str, &str); 6] = [
    ("/dev/null", "dev/null"),
    ("/dev/zero", "dev/zero"),
    ("/dev/full", "dev/full"),
    ("/dev/random", "dev/random"),
    ("/dev/urandom", "dev/urandom"),
    ("/dev/tty", "dev/tty"),
];

const PTS: &[(&str, &str)] = &[("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620")];

/// The group of terminals is 5 wherever there is one; a user namespace may have no such id.
const PTS_OF_GROUP: &[(&str, &str)] = &[PTS[0], PTS[1], PTS[2], ("gid", "5")];

const LINKS: [(&str, &str); 5] = [
    ("dev/fd", "/proc/self/fd"),
    ("dev/stdin", "/proc/self/fd/0"),
    ("dev/stdout", "/proc/self/fd/1"),
    ("dev/stderr", "/proc/self/fd/2"),
    ("dev/ptmx", "pts/ptmx"),
];

/// A step, and what becomes of its failure.
pub struct Planned {
    /// What to do.
    pub step: Box<dyn Step>,
    /// What then, when it cannot be done.
    pub otherwise: Otherwise,
}

/// What the failure of a step means.
pub enum Otherwise {
    /// There is no container without it.
    Fail,
    /// The container goes on without; the words say what it lacks.
    Note(&'static str),
    /// This is done in its place, and the words say so.
    Instead(&'static str, Vec<Planned>),
}

/// The steps that give a container its root.
pub fn plan(spec: &ChildSpec) -> Vec<Planned> {
    let mut plan = Plan {
        steps: Vec::new(),
        root: spec.stage.join("root"),
        blank: spec.stage.join("blank"),
        user: process::in_user_namespace(),
        open: spec.settings().privileged,
    };
    plan.must(Keep(Propagation::Private));
    if spec.image == Path::new("/") {
        plan.host_root(spec);
    } else {
        plan.image_root(spec);
    }
    plan.steps
}

/// Does the steps in the calling process's mount namespace.
///
/// `said` gets each line when it is done, `note` a sentence for each thing that the container goes without.
pub fn build(
    steps: &[Planned],
    said: &mut dyn FnMut(&dyn Step),
    note: &mut dyn FnMut(String),
) -> Result<()> {
    for planned in steps {
        match (planned.step.act(), &planned.otherwise) {
            (Ok(()), _) => said(&*planned.step),
            (Err(error), Otherwise::Fail) => return Err(error),
            (Err(error), Otherwise::Note(what)) => note(format!("{what}: {error}")),
            (Err(error), Otherwise::Instead(..)) if !lacking(&error) => return Err(error),
            (Err(error), Otherwise::Instead(what, instead)) => {
                note(format!("{what}: {error}"));
                build(instead, said, note)?;
            }
        }
    }
    Ok(())
}

/// Whether it is the kernel, or its configuration, that cannot do it.
fn lacking(error: &Error) -> bool {
    [
        Errno::NODEV,
        Errno::PERM,
        Errno::INVAL,
        Errno::OPNOTSUPP,
        Errno::NOSYS,
        Errno::BUSY,
    ]
    .into_iter()
    .any(|errno| error.is(errno))
}

struct Plan {
    steps: Vec<Planned>,
    /// The root that steps are for, a path of the host.
    root: PathBuf,
    /// What covers files that are to show nothing.
    blank: PathBuf,
    /// Whether this is root in a user namespace only.
    user: bool,
    /// Whether it is privileged: nothing of the kernel's is kept from it.
    open: bool,
}

impl Plan {
    /// An empty plan for the same root.
    fn alternative(&self) -> Plan {
        Plan {
            steps: Vec::new(),
            root: self.root.clone(),
            blank: self.blank.clone(),
            user: self.user,
            open: self.open,
        }
    }

    fn add(&mut self, step: Box<dyn Step>, otherwise: Otherwise) {
        self.steps.push(Planned { step, otherwise });
    }

    fn must(&mut self, step: impl Step + 'static) {
        self.add(Box::new(step), Otherwise::Fail);
    }

    fn may(&mut self, step: impl Step + 'static, without: &'static str) {
        self.add(Box::new(step), Otherwise::Note(without));
    }

    fn at(&self, path: &'static str) -> At {
        At::Within {
            root: self.root.clone(),
            path,
        }
    }

    fn directory(&mut self, path: &'static str) {
        let (at, mode) = (self.at(path), 0o755);
        self.must(Directory { at, mode });
    }

    fn tmpfs(&self, at: At, options: &'static [(&'static str, &'static str)]) -> Filesystem {
        Filesystem {
            kind: "tmpfs",
            options,
            at,
            attr: Attr::MOUNT_ATTR_NOSUID | Attr::MOUNT_ATTR_NODEV,
        }
    }

    fn stage(&mut self, spec: &ChildSpec, options: &'static [(&'static str, &'static str)]) {
        let at = At::Host(spec.stage.clone());
        self.must(self.tmpfs(at, options));
        self.must(Blank(self.blank.clone()));
    }

    fn image_root(&mut self, spec: &ChildSpec) {
        self.stage(spec, UPPER);
        let overlay = Overlay {
            image: spec.image.clone(),
            stage: spec.stage.clone(),
            user: self.user,
        };
        let mut instead = self.alternative();
        instead.must(ReadOnlyImage {
            image: spec.image.clone(),
            stage: spec.stage.clone(),
        });
        for path in ["tmp", "run"] {
            let tmpfs = instead.tmpfs(instead.at(path), &[("size", "25%"), ("mode", "1777")]);
            instead.may(tmpfs, "the image has no directory for a writable tmpfs");
        }
        let without = "overlayfs cannot be used (CONFIG_OVERLAY_FS), so the root is read-only and only /tmp and /run can be written";
        self.add(
            Box::new(overlay),
            Otherwise::Instead(without, instead.steps),
        );
        self.etc(&spec.etc);
        for path in ["proc", "sys", "dev"] {
            self.directory(path);
        }
        self.proc_and_sys(spec);
        self.dev();
        self.mounts(spec.settings());
        if spec.settings().read_only {
            self.must(ReadOnlyRoot {
                root: self.root.clone(),
                attr: Attr::MOUNT_ATTR_NODEV,
                recursive: false,
            });
        }
        self.must(Pivot {
            root: self.root.clone(),
        });
    }

    fn host_root(&mut self, spec: &ChildSpec) {
        self.must(NoDevices);
        self.root = PathBuf::from("/");
        if spec.settings().read_only {
            self.must(ReadOnlyRoot {
                root: self.root.clone(),
                attr: Attr::MOUNT_ATTR_NODEV,
                recursive: true,
            });
        }
        self.etc(&spec.etc);
        // The devices are the host's, so the new /dev is built aside before it covers the old one.
        self.stage(spec, &[("size", "64k"), ("mode", "755")]);
        self.root = spec.stage.clone();
        self.directory("dev");
        self.dev();
        self.must(Move {
            from: spec.stage.join("dev"),
            to: PathBuf::from("/dev"),
        });
        self.root = PathBuf::from("/");
        self.proc_and_sys(spec);
        self.mounts(spec.settings());
        for path in &spec.hidden {
            self.must(Cover(path.clone()));
        }
    }

    fn etc(&mut self, etc: &EtcFiles) {
        for (name, source) in etc.named() {
            // The host's own need not be there, and then the container has none either.
            if source.starts_with("/etc") && file::resolved(source) == Err(Errno::NOENT) {
                continue;
            }
            let file = EtcFile {
                source: source.clone(),
                root: self.root.clone(),
                name,
            };
            self.may(file, "a file of the sandbox is not in the container's /etc");
        }
    }

    fn proc_and_sys(&mut self, spec: &ChildSpec) {
        self.must(Filesystem {
            kind: "proc",
            options: &[],
            at: self.at("proc"),
            attr: INERT - Attr::MOUNT_ATTR_RDONLY,
        });
        let sysfs = Filesystem {
            kind: "sysfs",
            options: &[],
            at: self.at("sys"),
            attr: match self.open {
                true => INERT - Attr::MOUNT_ATTR_RDONLY,
                false => INERT,
            },
        };
        let mut host = self.alternative();
        host.may(HostSysfs(self.at("sys")), "the container has no /sys");
        self.add(
            Box::new(sysfs),
            Otherwise::Instead(
                "/sys is the host's and shows the host's interfaces",
                host.steps,
            ),
        );
        if spec.netns.is_some() {
            for (key, from, to) in SYSCTLS {
                let root = self.root.clone();
                self.must(sysctl::Inside {
                    root,
                    key,
                    from,
                    to,
                });
            }
        }
        for sysctl in &spec.settings().sysctls {
            self.must(sysctl::Asked {
                root: self.root.clone(),
                key: sysctl.key.replace('.', "/"),
                value: sysctl.value.clone(),
            });
        }
        if self.open {
            return;
        }
        for path in READ_ONLY {
            self.must(ReadOnly(self.at(path)));
        }
        for path in MASKED {
            let (at, blank) = (self.at(path), self.blank.clone());
            self.must(Mask { at, blank });
        }
    }

    /// What the user wants to see; what lies in another comes after it.
    fn mounts(&mut self, settings: &Settings) {
        let attr = match self.open {
            true => Attr::empty(),
            false => Attr::MOUNT_ATTR_NODEV,
        };
        let mut mounts: Vec<(usize, Box<dyn Step>)> = Vec::new();
        let depth = |destination: &str| destination.matches('/').count();
        for volume in &settings.volumes {
            let read_only = match volume.read_only {
                true => Attr::MOUNT_ATTR_RDONLY,
                false => Attr::empty(),
            };
            let bind = Bind {
                source: volume.source.clone(),
                root: self.root.clone(),
                destination: volume.destination.clone(),
                attr: attr | read_only,
            };
            mounts.push((depth(&volume.destination), Box::new(bind)));
        }
        for tmpfs in &settings.tmpfs {
            let (attr, options) = tmpfs.split();
            let memory = Memory {
                root: self.root.clone(),
                destination: tmpfs.destination.clone(),
                options,
                attr,
            };
            mounts.push((depth(&tmpfs.destination), Box::new(memory)));
        }
        mounts.sort_by_key(|(depth, _)| *depth);
        self.steps
            .extend(mounts.into_iter().map(|(_, step)| Planned {
                step,
                otherwise: Otherwise::Fail,
            }));
    }

    fn dev(&mut self) {
        let attr = Attr::MOUNT_ATTR_NOSUID | Attr::MOUNT_ATTR_NOEXEC;
        let nodev = match self.open {
            true => Attr::empty(),
            false => Attr::MOUNT_ATTR_NODEV,
        };
        let tmpfs = Filesystem {
            attr: attr | nodev,
            ..self.tmpfs(self.at("dev"), &[("mode", "755"), ("size", "64k")])
        };
        self.must(tmpfs);
        for (source, path) in DEVICES {
            let at = self.at(path);
            self.may(Device { source, at }, "the container lacks a device");
        }
        if self.open {
            let root = self.root.clone();
            self.may(
                HostDevices { root },
                "the container lacks the host's devices",
            );
        }
        for (path, to) in LINKS {
            let at = self.at(path);
            self.must(Symlink { at, to });
        }
        for path in ["dev/pts", "dev/shm", "dev/mqueue"] {
            self.directory(path);
        }
        let pts = Filesystem {
            kind: "devpts",
            options: if self.user { PTS } else { PTS_OF_GROUP },
            at: self.at("dev/pts"),
            attr,
        };
        let shm = Filesystem {
            attr: attr | Attr::MOUNT_ATTR_NODEV,
            ..self.tmpfs(self.at("dev/shm"), &[("mode", "1777"), ("size", "64m")])
        };
        let mqueue = Filesystem {
            kind: "mqueue",
            options: &[],
            at: self.at("dev/mqueue"),
            attr: attr | Attr::MOUNT_ATTR_NODEV,
        };
        self.may(
            pts,
            "the container has no pseudo-terminals (CONFIG_UNIX98_PTYS)",
        );
        self.must(shm);
        self.may(
            mqueue,
            "the container has no /dev/mqueue (CONFIG_POSIX_MQUEUE)",
        );
    }
}
