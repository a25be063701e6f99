//! A sandbox's files as its members find them in /etc, and how they come back there.

use crate::engine::record::ContainerRecord;
use crate::error::{Errno, Error, Result};
use crate::kernel::mount::Held;
use crate::sys::process;
use crate::types::json::json_object;
use std::path::{Path, PathBuf};

/// The three files of a sandbox that its members find in /etc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcFiles {
    /// /etc/hosts.
    pub hosts: PathBuf,
    /// /etc/hostname.
    pub hostname: PathBuf,
    /// /etc/resolv.conf.
    pub resolv: PathBuf,
}
json_object!(EtcFiles {
    hosts,
    hostname,
    resolv
});

impl EtcFiles {
    /// Each with its name in /etc.
    pub fn named(&self) -> [(&'static str, &PathBuf); 3] {
        [
            ("hosts", &self.hosts),
            ("hostname", &self.hostname),
            ("resolv.conf", &self.resolv),
        ]
    }

    /// Those that exist, held for another mount namespace.
    pub(super) fn hold(&self) -> Vec<Held> {
        let held = |(name, path): (_, &PathBuf)| Held::take(path, name).ok();
        self.named().into_iter().filter_map(held).collect()
    }
}

/// Binds a sandbox's files over those in /etc of a running container with the host's own root again, where a file that was
/// renamed over one took the mount away: whether that was so.
pub fn rebind(record: &ContainerRecord, etc: &EtcFiles) -> Result<bool> {
    const WAS: u8 = 2;
    let failed = |errno| {
        Error::os(
            format_args!("bind files in container {}", record.name),
            errno,
        )
    };
    let Some(start) = record
        .start
        .as_ref()
        .filter(|_| record.image.root == Path::new("/"))
    else {
        return Ok(false);
    };
    let container = start.process().open().map_err(failed)?;
    let files = etc.hold();
    let child = process::fork(|| {
        if process::enter_container(container).is_err() {
            return 1;
        }
        let renewed: Vec<_> = files.into_iter().map(|file| file.renew()).collect();
        match renewed.iter().any(Result::is_err) {
            true => 1,
            false if renewed.iter().flatten().any(|was| *was) => WAS,
            false => 0,
        }
    })
    .map_err(failed)?;
    match process::wait(child).map_err(failed)? {
        0 => Ok(false),
        WAS => Ok(true),
        _ => Err(failed(Errno::PERM)),
    }
}
