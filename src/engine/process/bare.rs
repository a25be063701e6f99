//! `exec` in a sandbox without a container: the caller's own root and privileges, and the sandbox's network.

use super::pipe::{null, pipe};
use super::report::{Report, Reporter, Reports};
use super::{EtcFiles, program, users};
use crate::engine::spec::ExecSpec;
use crate::error::{Error, Result, exit};
use crate::kernel::mount::{At, EtcFile, Filesystem, INERT, Keep, Step};
use crate::sys::mount::{Attr, Propagation};
use crate::sys::netns::NetNs;
use crate::sys::{fd, process, signal};
use crate::types::Name;
use rustix::fd::AsFd;

/// A sandbox to run a command in with the caller's own root and privileges.
pub struct Bare<'a> {
    /// The sandbox's namespace.
    pub netns: &'a NetNs,
    /// Its name.
    pub name: &'a Name,
    /// Its files, which cover the host's.
    pub etc: &'a EtcFiles,
    /// The caller's environment, `KEY=VALUE`.
    pub env: &'a [String],
}

/// Runs a command in a sandbox without a container, as `ip netns exec` does: with the caller's root and privileges,
/// the sandbox's network namespace, a /sys that shows it, and its hosts and resolv.conf in /etc.
///
/// Returns only with an error, or 0 with `detach`: the command takes the caller's place.
pub fn enter_bare(sandbox: &Bare<'_>, spec: &ExecSpec) -> Result<u8> {
    if !spec.detach {
        return Err(become_command(sandbox, spec));
    }
    let (reports, report) = pipe()?;
    let null = null()?;
    let report = Reporter(report);
    let child = process::fork(|| {
        let _ = rustix::process::setsid();
        let stdio = [null.as_fd(), null.as_fd(), null.as_fd(), report.0.as_fd()];
        let error = match fd::place(&stdio) {
            Ok(()) => match process::inherited(3) {
                Ok(handed) => {
                    let _ = fd::close_on_exec(handed.as_fd());
                    let error = become_command(sandbox, spec);
                    Reporter(handed).fail(&error);
                    return exit::RUN;
                }
                Err(errno) => errno,
            },
            Err(errno) => errno,
        };
        report.fail(&Error::os("start the command", error));
        exit::RUN
    })
    .map_err(|e| Error::os("fork", e))?;
    drop(report);
    match Reports::new(reports).next()? {
        Some(Report::Failed(code, text)) => {
            let _ = process::wait(child);
            let error = Error::new(text);
            Err(if code == exit::RUN {
                error
            } else {
                error.exit(code)
            })
        }
        _ => Ok(0),
    }
}

fn become_command(sandbox: &Bare<'_>, spec: &ExecSpec) -> Error {
    let enter = || -> Result<()> {
        process::unshare_mounts().map_err(|e| Error::os("take a mount namespace", e))?;
        Keep(Propagation::Slave).act()?;
        let entered = sandbox.netns.enter();
        entered.map_err(|e| Error::os(format_args!("enter the sandbox {}", sandbox.name), e))?;
        // What a caller without /sys or the two files has not, its command has not, either.
        let _ = Filesystem {
            kind: "sysfs",
            options: &[],
            at: At::Host("/sys".into()),
            attr: INERT - Attr::MOUNT_ATTR_RDONLY,
        }
        .act();
        // The host name is the caller's, so /etc/hostname is, too.
        let files = sandbox.etc.named().into_iter();
        for (name, source) in files.filter(|(name, _)| *name != "hostname") {
            let _ = EtcFile {
                source: source.clone(),
                root: "/".into(),
                name,
            }
            .act();
        }
        if let Some(user) = &spec.user {
            program::switch_user(&users::named(user)?)?;
        }
        match &spec.workdir {
            Some(cwd) => program::enter_directory(Some(cwd)),
            None => Ok(()),
        }
    };
    if let Err(error) = enter() {
        return error;
    }
    let mut env = sandbox.env.to_vec();
    for entry in &spec.env {
        program::set(&mut env, entry.clone());
    }
    signal::reset();
    program::execute_with(&spec.command, &env)
}
