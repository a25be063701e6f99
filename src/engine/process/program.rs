//! The last steps of every process that becomes a container's: identity, privileges, environment, exec.

use super::Program;
use super::users::User;
use crate::error::{Errno, Error, Result, exit};
use crate::sys::caps;
use crate::sys::process;
use crate::types::quoted;
use rustix::fd::OwnedFd;
use rustix::fs::{Access, AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::process::DumpableBehavior;
use rustix::stdio;
use rustix::thread::CapabilitySet;
use std::ffi::CString;
use std::fmt;

/// Docker's default PATH.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What Docker says of every terminal.
const TERM: &str = "TERM=xterm";

/// Nobody may trace this process or open its /proc/PID/exe until it executes its program.
pub fn hide() -> Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|e| Error::os("make the process untraceable", e))
}

/// Makes stdio the container's: pipes belong to its user, and /dev/null is its own.
///
/// So that the user may open /dev/stdout again, as programs do, and root does not hold a file of the host's whose
/// owner and mode it could change.
pub fn own_stdio(user: &User) -> Result<()> {
    for (fd, put) in [
        (stdio::stdin(), stdio::dup2_stdin as fn(OwnedFd) -> _),
        (stdio::stdout(), stdio::dup2_stdout),
        (stdio::stderr(), stdio::dup2_stderr),
    ] {
        let own = || -> Result<(), Errno> {
            if FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) == FileType::Fifo {
                // An id that is not mapped here is refused with a better sentence when it is taken.
                let _ = rustix::fs::fchown(fd, Some(Uid::from_raw(user.uid)), None);
                return Ok(());
            }
            put(rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())?)
        };
        own().map_err(|e| Error::os("open the container's own /dev/null", e))?;
    }
    Ok(())
}

/// Becomes the user, with no more of root's power than the program is to have, for good: no exec can bring it back.
pub fn become_user(user: &User, program: &Program) -> Result<()> {
    let most = CapabilitySet::from_bits_retain(program.capabilities);
    caps::bound(most).map_err(|e| Error::os("limit the capabilities", e))?;
    switch_user(user)?;
    let keep = if user.uid == 0 {
        most
    } else {
        CapabilitySet::empty()
    };
    caps::limit(keep).map_err(|e| Error::os("limit the capabilities", e))?;
    if !program.new_privileges {
        rustix::thread::set_no_new_privs(true)
            .map_err(|e| Error::os("rule out new privileges", e))?;
    }
    // The change of user made it traceable by the user's other processes (commit_creds in kernel/cred.c).
    hide()
}

fn unmapped(action: fmt::Arguments<'_>, errno: Errno) -> Error {
    let error = Error::os(action, errno);
    match errno {
        Errno::INVAL => error.because("the id is not mapped in this user namespace"),
        _ => error,
    }
}

/// Takes the user's ids and groups, and no more.
pub fn switch_user(user: &User) -> Result<()> {
    let groups: Vec<Gid> = user.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
    match rustix::thread::set_thread_groups(&groups) {
        // A user namespace made without privilege has setgroups denied (user_namespaces(7)).
        Err(Errno::PERM) if process::in_user_namespace() => {}
        other => {
            other.map_err(|e| Error::os(format_args!("take the groups of user {}", user.uid), e))?
        }
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .map_err(|e| unmapped(format_args!("take the group {}", user.gid), e))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
        .map_err(|e| unmapped(format_args!("become the user {}", user.uid), e))
}

/// Changes to the working directory; 127 if there is none, 126 if it is closed to the user.
pub fn enter_directory(cwd: Option<&str>) -> Result<()> {
    let cwd = cwd.filter(|cwd| !cwd.is_empty()).unwrap_or("/");
    rustix::process::chdir(cwd).map_err(|errno| {
        let code = match errno {
            Errno::NOENT => exit::NOT_FOUND,
            _ => exit::CANNOT_EXECUTE,
        };
        Error::os(format_args!("change to the working directory {cwd}"), errno).exit(code)
    })
}

/// Makes a working directory and those above it, as Docker does for `run`; what cannot be made is missed at chdir.
pub fn make_directory(cwd: Option<&str>) {
    let mut path = String::from("/");
    for name in cwd.unwrap_or("").split('/').filter(|name| !name.is_empty()) {
        path.push_str(name);
        let _ = rustix::fs::mkdirat(CWD, &*path, Mode::from_raw_mode(0o755));
        path.push('/');
    }
}

/// The environment: the program's own over PATH, HOSTNAME and HOME. Of entries with the same key the last one holds.
fn environment(program: &Program, home: &str) -> Vec<String> {
    let mut env = vec![
        format!("PATH={PATH}"),
        format!("HOSTNAME={}", program.hostname),
    ];
    if program.terminal.is_some() {
        env.push(TERM.to_owned());
    }
    let own = program.env.iter().cloned();
    for entry in own {
        set(&mut env, entry);
    }
    if !env.iter().any(|entry| entry.starts_with("HOME=")) {
        env.push(format!("HOME={home}"));
    }
    env
}

/// Sets one `KEY=VALUE`, in the place of an earlier one of that key.
pub fn set(env: &mut Vec<String>, entry: String) {
    let key = entry.split('=').next().unwrap_or("");
    let same = |other: &&mut String| other.split('=').next() == Some(key);
    match env.iter_mut().find(same) {
        Some(old) => *old = entry,
        None => env.push(entry),
    }
}

/// Executes the program; returns only with the reason why it could not, and 126 or 127 with it.
pub fn execute(program: &Program, home: &str) -> Error {
    execute_with(&program.argv, &environment(program, home))
}

/// Executes a program with this environment, found in the PATH of that environment.
pub fn execute_with(argv: &[String], env: &[String]) -> Error {
    let Some(name) = argv.first() else {
        return Error::new("no command is given").exit(exit::RUN);
    };
    let path = env
        .iter()
        .find_map(|entry| entry.strip_prefix("PATH="))
        .unwrap_or("");
    let strings = |list: &[String]| -> Result<Vec<CString>, _> {
        list.iter().map(|s| CString::new(s.as_str())).collect()
    };
    let (Ok(argv), Ok(env)) = (strings(argv), strings(env)) else {
        return Error::new(format_args!(
            "exec: {}: an argument has a NUL byte in it",
            quoted(name)
        ))
        .exit(exit::CANNOT_EXECUTE);
    };
    if name.contains('/') {
        let errno = at(name, &argv, &env);
        return refused(name, errno);
    }
    let mut denied = false;
    for dir in path.split(':').filter(|_| !name.is_empty()) {
        let file = match dir {
            "" => format!("./{name}"),
            dir => format!("{dir}/{name}"),
        };
        match at(&file, &argv, &env) {
            Errno::NOENT | Errno::NOTDIR if !exists(&file) => {}
            Errno::ACCESS => denied = true,
            errno => return refused(&file, errno),
        }
    }
    if denied {
        return Error::new(format_args!("exec: {}: permission denied", quoted(name)))
            .exit(exit::CANNOT_EXECUTE);
    }
    Error::new(format_args!(
        "exec: {}: executable file not found in $PATH",
        quoted(name)
    ))
    .exit(exit::NOT_FOUND)
}

fn at(file: &str, argv: &[CString], env: &[CString]) -> Errno {
    match CString::new(file) {
        Ok(path) => process::execve(&path, argv, env),
        Err(_) => Errno::INVAL,
    }
}

fn exists(file: &str) -> bool {
    rustix::fs::accessat(CWD, file, Access::EXISTS, AtFlags::empty()).is_ok()
}

/// Docker's words and exit codes for what execve(2) answers.
fn refused(file: &str, errno: Errno) -> Error {
    let directory = || crate::sys::path::directory(file).is_ok();
    let (text, code) = match errno {
        // The file is there, so it is its interpreter or loader that is missing.
        Errno::NOENT if exists(file) => (
            format!("exec {file}: no such file or directory (its interpreter is missing)"),
            exit::NOT_FOUND,
        ),
        Errno::NOENT | Errno::NOTDIR => (
            format!(
                "exec: {}: stat {file}: no such file or directory",
                quoted(file)
            ),
            exit::NOT_FOUND,
        ),
        Errno::ACCESS if directory() => (
            format!("exec: {}: is a directory", quoted(file)),
            exit::CANNOT_EXECUTE,
        ),
        Errno::ACCESS => (
            format!("exec: {}: permission denied", quoted(file)),
            exit::CANNOT_EXECUTE,
        ),
        Errno::NOEXEC => (
            format!("exec {file}: exec format error"),
            exit::CANNOT_EXECUTE,
        ),
        errno => {
            return Error::os(format_args!("execute {file}"), errno).exit(exit::CANNOT_EXECUTE);
        }
    };
    Error::new(text).exit(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_has_dockers_defaults_and_the_last_of_each_key() {
        let program = Program {
            argv: vec!["true".into()],
            env: vec![
                "A=1".into(),
                "PATH=/bin".into(),
                "A=2=3".into(),
                "B=".into(),
            ],
            cwd: None,
            user: None,
            hostname: "web".into(),
            terminal: None,
            capabilities: 0,
            new_privileges: false,
            groups: Vec::new(),
            limits: Vec::new(),
        };
        assert_eq!(
            environment(&program, "/root"),
            ["PATH=/bin", "HOSTNAME=web", "A=2=3", "B=", "HOME=/root"]
        );
    }

    #[test]
    fn what_cannot_be_executed_is_said_in_dockers_words() {
        let env = [String::from("PATH=/nosuchdir:/usr/bin")];
        let no = |name: &str| execute_with(&[name.to_owned()], &env);
        let missing = no("nosuchcommand");
        assert_eq!(
            missing.to_string(),
            "exec: \"nosuchcommand\": executable file not found in $PATH"
        );
        assert_eq!(missing.exit_code(), Some(127));
        assert_eq!(
            no("/no/such").to_string(),
            "exec: \"/no/such\": stat /no/such: no such file or directory"
        );
        assert_eq!(no("/etc").exit_code(), Some(126));
        assert_eq!(
            no("/etc/passwd").to_string(),
            "exec: \"/etc/passwd\": permission denied"
        );
    }
}
