//! Processes: fork, clone, exec, namespaces, identity.
//!
//! netcell is single-threaded, so a forked child may allocate and call anything. A child is a closure that never
//! returns to its caller's frames: nothing that the parent owns is dropped twice.

use crate::sys::last_errno;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};
use rustix::thread::{ThreadNameSpaceType, UnshareFlags};
use std::ffi::{CStr, CString, NulError, c_char, c_int, c_long, c_void};
use std::ptr;

/// The child becomes a sibling. See clone(2).
pub const CLONE_PARENT: c_int = libc::CLONE_PARENT;

/// What a container has of its own besides the network namespace, which is its sandbox's.
pub const CONTAINER_NAMESPACES: c_int =
    libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC;

/// Ends the process at once, without destructors or exit handlers: what a forked child does. See _exit(2).
pub fn exit_now(code: u8) -> ! {
    // SAFETY: _exit(2) takes no pointers and does not return.
    unsafe { libc::_exit(c_int::from(code)) }
}

/// Runs `child` in a forked process, which ends with the code it returns. See fork(2).
pub fn fork(child: impl FnOnce() -> u8) -> Result<Pid, Errno> {
    // SAFETY: the process has one thread, so the child may do all that the parent may (fork(2)).
    match unsafe { libc::fork() } {
        0 => exit_now(child()),
        pid => made(pid).ok_or_else(last_errno),
    }
}

/// The pid that a call which makes a process has returned; none for -1.
fn made(pid: c_int) -> Option<Pid> {
    Some(pid).filter(|&pid| pid > 0).and_then(Pid::from_raw)
}

/// Bytes of stack of a process that outlives the command it was forked from; only what is used is ever there.
const STACK: usize = 2 << 20;

/// Like [`fork`], on a stack of its own: nothing of the caller's frames is needed by the child. See clone(2).
///
/// What `child` owns it owns in both processes: in this one it is dropped before this returns.
pub fn fork_apart(child: Box<dyn FnOnce() -> u8>) -> Result<Pid, Errno> {
    extern "C" fn begin(child: *mut c_void) -> c_int {
        // SAFETY: the pointer that `fork_apart` made of the box; in this process nobody else makes a box of it.
        let child = unsafe { Box::from_raw(child.cast::<Box<dyn FnOnce() -> u8>>()) };
        exit_now(child())
    }
    let stack = Stack::new(STACK)?;
    let child = Box::into_raw(Box::new(child));
    // SAFETY: without CLONE_VM the child has a copy of everything, runs `begin` on its copy of the new stack, and never
    // returns; with one thread it may do there all that the parent may.
    let pid = unsafe { libc::clone(begin, stack.top(), libc::SIGCHLD, child.cast()) };
    let error = last_errno();
    // SAFETY: made by into_raw above, and in this process not used since.
    drop(unsafe { Box::from_raw(child) });
    made(pid).ok_or(error)
}

/// A mapping to be used as a stack, with a page below it that cannot be touched.
struct Stack {
    start: *mut c_void,
    len: usize,
}

impl Stack {
    fn new(len: usize) -> Result<Self, Errno> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(last_errno());
        }
        // SAFETY: the first page of the mapping, which nothing uses yet.
        unsafe { libc::mprotect(start, rustix::param::page_size(), libc::PROT_NONE) };
        Ok(Stack { start, len })
    }

    /// Where the first frame goes: stacks grow down.
    fn top(&self) -> *mut c_void {
        self.start.wrapping_byte_add(self.len)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length; only the child runs on it, on its own copy.
        unsafe { libc::munmap(self.start, self.len) };
    }
}

/// struct clone_args of include/uapi/linux/sched.h, its first version (CLONE_ARGS_SIZE_VER0).
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
}

/// Runs `child` in a process that begins in new namespaces (`CLONE_NEW*`), or with `CLONE_PARENT` as its sibling.
///
/// clone3(2), or clone(2) where a seccomp filter or an emulator does not know it. Like fork it copies the address
/// space, so the child may do all that the parent may.
pub fn clone(flags: c_int, child: impl FnOnce() -> u8) -> Result<Pid, Errno> {
    let exit_signal = if flags & libc::CLONE_PARENT != 0 {
        0 // CLONE_PARENT takes the caller's own; clone3 refuses another (kernel/fork.c, copy_process).
    } else {
        libc::SIGCHLD
    };
    let args = CloneArgs {
        flags: flags as u64,
        exit_signal: exit_signal as u64,
        ..CloneArgs::default()
    };
    // SAFETY: the argument is a live struct clone_args of the size given; without CLONE_VM and without a stack the
    // child goes on with a copy of this one, as after fork(2).
    let mut pid =
        unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    if pid < 0 && last_errno() == Errno::NOSYS {
        let flags = c_long::from(flags | exit_signal);
        // The stack and the flags; s390 alone has them the other way round (clone(2), C library/kernel differences).
        let [first, second] = match cfg!(target_arch = "s390x") {
            true => [0, flags],
            false => [flags, 0],
        };
        // SAFETY: as above, by clone(2).
        pid = unsafe { libc::syscall(libc::SYS_clone, first, second, 0, 0, 0) };
    }
    match pid {
        0 => exit_now(child()),
        pid => i32::try_from(pid)
            .ok()
            .and_then(made)
            .ok_or_else(last_errno),
    }
}

/// A null-terminated array of pointers to `strings`, which it borrows.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings
        .iter()
        .map(|s| s.as_ptr())
        .chain([ptr::null()])
        .collect()
}

/// Replaces the program by the one at `path`; returns only with an error. See execve(2).
pub fn execve(path: &CStr, argv: &[CString], env: &[CString]) -> Errno {
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: path is a C string, argv and env are null-terminated arrays of C strings that outlive the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    last_errno()
}

/// Replaces the program by the file that `program` is open on; returns only with an error. See execveat(2).
///
/// Where TOMOYO is among the kernel's security modules (Debian's 5.10) the file also needs a path, and the kernel calls it
/// /dev/fd/N, which no device file system makes by itself (tomoyo_find_next_domain in security/tomoyo/domain.c, fs/exec.c):
/// then the same file is executed by its path under /proc.
pub fn execve_fd(program: BorrowedFd<'_>, argv: &[CString], env: &[CString]) -> Errno {
    let (arguments, variables) = (pointers(argv), pointers(env));
    // SAFETY: an empty C string as path, and null-terminated arrays of C strings that outlive the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            arguments.as_ptr(),
            variables.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    match (last_errno(), fd_path(program)) {
        (Errno::NOENT, Ok(path)) => execve(&path, argv, env),
        (errno, _) => errno,
    }
}

/// The path under /proc of an open file, for this process. See proc_pid_fd(5).
fn fd_path(fd: BorrowedFd<'_>) -> Result<CString, NulError> {
    CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Enters a container's five namespaces; its PID namespace only for the caller's later children.
///
/// By pidfd (Linux 5.8), atomically: all or none.
pub fn enter_container(pidfd: impl AsFd) -> Result<(), Errno> {
    rustix::thread::move_into_thread_name_spaces(
        pidfd.as_fd(),
        ThreadNameSpaceType::MOUNT
            | ThreadNameSpaceType::PROCESS_ID
            | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
            | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
            | ThreadNameSpaceType::NETWORK,
    )
}

/// Takes a mount namespace of the caller's own. See unshare(2).
pub fn unshare_mounts() -> Result<(), Errno> {
    // SAFETY: only CLONE_FILES could make other threads' descriptors invalid; it is not asked for.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }
}

/// Whether the process is root, if at all, in a user namespace only (user_namespaces(7)).
pub fn in_user_namespace() -> bool {
    super::file::text("/proc/self/uid_map")
        .is_ok_and(|map| !map.split_ascii_whitespace().eq(["0", "0", "4294967295"]))
}

/// Leaves the session keyring of whoever started the process for a new, empty one. See keyctl(2).
///
/// A kernel without keyrings has nothing to leave.
pub fn leave_session_keyring() {
    const KEYCTL_JOIN_SESSION_KEYRING: c_int = 1;
    // SAFETY: a null name asks for an anonymous keyring; nothing else is passed.
    unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            KEYCTL_JOIN_SESSION_KEYRING,
            ptr::null::<c_char>(),
        )
    };
}

/// Waits for a child to end: its exit status, or the signal that killed it.
pub fn wait_status(child: Pid) -> Result<Result<u8, i32>, Errno> {
    let status = loop {
        match rustix::process::waitid(WaitId::Pid(child), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            other => break other?.ok_or(Errno::CHILD)?,
        }
    };
    Ok(match status.exit_status() {
        Some(code) => Ok((code & 0xff) as u8),
        None => Err(status.terminating_signal().unwrap_or(0)),
    })
}

/// Waits for a child to end: its exit status, or 128 plus the signal that killed it.
pub fn wait(child: Pid) -> Result<u8, Errno> {
    Ok(wait_status(child)?.unwrap_or_else(|signal| 128u8.wrapping_add(signal as u8)))
}

/// The field 22 of /proc/PID/stat: when the process started, in clock ticks since boot. See proc_pid_stat(5).
///
/// Together with the pid it names a process for good: a pid is used again, a pair is not.
pub fn start_time(pid: Pid) -> Result<u64, Errno> {
    stat(pid, 22)
}

/// The process's parent: field 4 there.
pub fn parent(pid: Pid) -> Result<Option<Pid>, Errno> {
    let parent = stat(pid, 4)?;
    Ok(i32::try_from(parent).ok().and_then(Pid::from_raw))
}

fn stat(pid: Pid, field: usize) -> Result<u64, Errno> {
    let path = format!("/proc/{}/stat", pid.as_raw_pid());
    let stat = super::file::bytes(path).map_err(|errno| match errno {
        Errno::NOENT => Errno::SRCH,
        errno => errno,
    })?;
    parse(&stat, field).ok_or(Errno::SRCH)
}

/// The command's name, field 2, may contain spaces and parentheses: fields are counted from its last parenthesis.
fn parse(stat: &[u8], field: usize) -> Option<u64> {
    let after = stat.iter().rposition(|&b| b == b')')? + 1;
    let text = std::str::from_utf8(&stat[after..]).ok()?;
    text.split_ascii_whitespace().nth(field - 3)?.parse().ok()
}

/// Whether a process is the first one of a PID namespace right within this one (NSpid of proc_pid_status(5)); not one that
/// has entered it. Its name in there is bytes of its own choice, but for line feeds.
pub fn is_first_within(pid: Pid) -> bool {
    let status = super::file::bytes(format!("/proc/{}/status", pid.as_raw_pid()));
    let status = status.unwrap_or_default();
    let mut lines = status.split(|byte| *byte == b'\n');
    let pids = lines.find_map(|line| std::str::from_utf8(line.strip_prefix(b"NSpid:")?).ok());
    let mut pids = pids.unwrap_or_default().split_ascii_whitespace().skip(1);
    (pids.next(), pids.next()) == (Some("1"), None)
}

/// A pidfd of the process that has this pid and started at that time; ESRCH if it is another, or none.
pub fn pidfd(pid: Pid, started: u64) -> Result<OwnedFd, Errno> {
    // The descriptor first and the time after: from then on it cannot become another process.
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    if start_time(pid)? == started {
        Ok(pidfd)
    } else {
        Err(Errno::SRCH)
    }
}

/// Sends a signal, real-time signals among them, to the process of a pidfd. See pidfd_send_signal(2).
pub fn signal(pidfd: impl AsFd, signal: i32) -> Result<(), Errno> {
    let pidfd = pidfd.as_fd().as_raw_fd();
    let none = ptr::null::<libc::siginfo_t>();
    // SAFETY: no pointer but a null siginfo, which the call allows.
    match unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, signal, none, 0) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

/// A file descriptor that a parent left open at a fixed number.
///
/// Only the start of a re-executed process may call it, once a number: what it returns closes it.
pub fn inherited(number: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: F_GETFD only asks whether the number is open.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(last_errno());
    }
    // SAFETY: it is open, and by the contract above nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_the_last_parenthesis() {
        let stat =
            b"17 (a) b (c)) S 1 17 17 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 2000\n";
        assert_eq!(parse(stat, 4), Some(1));
        assert_eq!(parse(stat, 22), Some(987_654));
        assert_eq!(parse(b"17 (torn", 22), None);
    }

    #[test]
    fn a_pidfd_of_another_start_time_is_refused() {
        let me = rustix::process::getpid();
        let started = start_time(me).unwrap();
        assert!(pidfd(me, started).is_ok());
        assert_eq!(pidfd(me, started + 1).unwrap_err(), Errno::SRCH);
    }
}
