//! What `info` tells of this host: what its kernel has, what there is, and where the ends are. Who is not root hears of
//! what can be seen.

use super::view::Subject;
use super::{Engine, Run, ipam, ports};
use crate::error::Result;
use crate::kernel::probe::{self, FEATURES};
use crate::sys::release;

pub use crate::kernel::netns::DIRECTORY as PINS;
pub use crate::kernel::probe::Answer;

/// An option of the kernel's.
#[derive(Debug)]
pub struct KernelOption {
    /// Its name, with `CONFIG_`; or what else the kernel has to let be done.
    pub name: String,
    /// Whether the kernel has it.
    pub there: Answer,
    /// What is not there without it.
    pub without: &'static str,
}

/// What the kernel has of what netcell needs.
pub fn kernel() -> Vec<KernelOption> {
    let mut answers = probe::ask().into_iter();
    let mut options = Vec::new();
    for feature in &FEATURES {
        for name in feature.options() {
            options.push(KernelOption {
                name: match name.contains(' ') {
                    true => name.to_owned(),
                    false => format!("CONFIG_{name}"),
                },
                there: answers.next().unwrap_or(Answer::Unknown),
                without: feature.without,
            });
        }
    }
    options
}

/// The kernel's release, as in `6.1.0-18-arm64`.
pub fn kernel_release() -> String {
    release::name()
}

/// The ends of things, in words: what it is, and where it ends.
pub fn limits() -> [(&'static str, String); 6] {
    let pools: Vec<_> = ipam::pools().collect();
    let ends = [pools.first(), pools.get(14), pools.get(15), pools.last()];
    let [first, second, third, last] =
        ends.map(|pool| pool.map_or(String::new(), |p| p.to_string()));
    let free = ports::ephemeral();
    [
        ("Pools", format!("{first} to {second}, {third} to {last}")),
        (
            "Ports",
            format!(
                "{} to {}, for -p without a host's port",
                free.first, free.last
            ),
        ),
        ("Sandboxes", "1023 on a network".into()),
        ("Names", "63 characters".into()),
        ("Logs", "1 MiB, unless --log-max-size says otherwise".into()),
        (
            "Writable",
            "a quarter of the memory, what a container writes to its root".into(),
        ),
    ]
}

/// How many there are.
#[derive(Debug, Default)]
pub struct Counts {
    /// Containers, and sandboxes without one.
    pub containers: usize,
    /// Of these those whose process runs.
    pub running: usize,
    /// Networks that are made.
    pub networks: usize,
}

impl Engine {
    /// How many of each there are.
    pub fn counts(&self, run: &mut Run) -> Result<Counts> {
        let containers = self.containers(run)?;
        let runs = |subject: &&Subject| match subject {
            Subject::Container(container) => container.pid() != 0,
            Subject::Sandbox(..) => false,
        };
        Ok(Counts {
            running: containers.iter().filter(runs).count(),
            containers: containers.len(),
            networks: self.networks(run)?.len(),
        })
    }
}
