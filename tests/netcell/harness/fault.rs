//! What can be done to a system call at whose entry a traced process stands: it fails without having been tried, or it
//! is asked for less. And which errnos a call may fail with on a small host, by its man page.
#![allow(unsafe_code, reason = "ptrace has no safe form")]

use super::sys::Pid;
use std::io;

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process dies of SIGKILL.
    Kill,
    /// This one call fails with this errno.
    Fail(i32),
    /// This call fails, and every later one like it, in whichever process: what has run out does not come back.
    FailOn(i32),
    /// A read or write is asked for half of what the caller wanted.
    Short,
}

/// A system call as it was entered.
#[derive(Clone, Debug, Default)]
pub struct Call {
    pub number: u64,
    pub arguments: [u64; 6],
    /// What the first argument's descriptor leads to, where it is one that matters: `pipe:[…]`, a path.
    pub leads_to: String,
    /// How many calls of the same number the process had made before.
    pub nth: usize,
    /// Made before the program's own `main`: by the loader.
    pub runtime: bool,
}

impl Call {
    pub fn is(&self, number: libc::c_long) -> bool {
        u64::try_from(number) == Ok(self.number)
    }

    fn is_one_of(&self, numbers: &[libc::c_long]) -> bool {
        numbers.iter().any(|&number| self.is(number))
    }

    /// The same call with the same arguments: what can come of it is the same, too.
    pub fn is_like(&self, other: &Call) -> bool {
        self.number == other.number && self.leads_to == other.leads_to
    }

    /// Reads and writes, whose third argument is a count.
    pub fn has_a_count(&self) -> bool {
        self.is_one_of(&[
            libc::SYS_read,
            libc::SYS_write,
            libc::SYS_pread64,
            libc::SYS_pwrite64,
        ])
    }

    /// Whether this call asks for what has run out where an earlier one failed for good.
    pub fn fails_with(&self, other: &Call, errno: i32) -> bool {
        let takes_room = match self.number {
            _ if self.is(libc::SYS_openat) => self.creates(),
            _ if self.is(libc::SYS_write) => !self.is_for_a_reader(),
            _ => true,
        };
        self.number == other.number && (![libc::ENOSPC, libc::EROFS].contains(&errno) || takes_room)
    }

    fn creates(&self) -> bool {
        let flags = i32::try_from(self.arguments[2] & 0xffff_ffff).unwrap_or_default();
        flags & libc::O_CREAT != 0
    }

    /// A pipe, a socket, or the command's own output: a disk behind that may be full, but that undoes nothing.
    fn is_for_a_reader(&self) -> bool {
        let marks = ["pipe:", "socket:", "/memfd:output", "/memfd:errors"];
        marks.iter().any(|mark| self.leads_to.starts_with(mark))
    }

    /// What is worth trying at this call.
    pub fn faults(&self) -> Vec<Fault> {
        let errnos = self.errnos();
        let runs_out = [libc::ENOSPC, libc::EMFILE, libc::EROFS];
        let mut faults = Vec::with_capacity(6);
        for errno in errnos {
            faults.push(Fault::Fail(errno));
            if runs_out.contains(&errno) {
                faults.push(Fault::FailOn(errno));
            }
        }
        // A write to a pipe of at most PIPE_BUF is never cut short (pipe(7)).
        let writes = self.is_one_of(&[libc::SYS_write, libc::SYS_pwrite64]);
        if self.has_a_count() && self.arguments[2] > 1 && !(writes && self.is_for_a_reader()) {
            faults.push(Fault::Short);
        }
        faults
    }

    /// Whether an interrupted call has to be made again, so that nobody notices.
    pub fn restarts(&self) -> bool {
        !self.errnos_but_interruption().1.is_empty()
    }

    fn errnos(&self) -> Vec<i32> {
        let (mut errnos, interrupted) = self.errnos_but_interruption();
        errnos.extend(interrupted);
        errnos
    }

    /// The errnos of each man page that a small host meets; and EINTR where the call can wait.
    fn errnos_but_interruption(&self) -> (Vec<i32>, Vec<i32>) {
        for &(numbers, errnos, waits) in TABLE {
            if !self.is_one_of(numbers) {
                continue;
            }
            let mut errnos = errnos.to_vec();
            if self.is(libc::SYS_openat) && self.creates() {
                errnos.extend([libc::ENOSPC, libc::EROFS]);
            }
            if self.is(libc::SYS_write) && self.is_for_a_reader() {
                errnos.clear();
            }
            let interrupted = if waits { vec![libc::EINTR] } else { Vec::new() };
            return (errnos, interrupted);
        }
        (Vec::new(), Vec::new())
    }
}

/// Calls, the errnos that they may fail with, and whether they can wait, and so be interrupted.
type Row = (&'static [libc::c_long], &'static [i32], bool);

const TABLE: &[Row] = {
    use libc::*;
    &[
        (&[SYS_openat], &[EMFILE, ENOMEM, EACCES], false),
        (&[SYS_mkdirat], &[ENOSPC, ENOMEM, EROFS], false),
        (&[SYS_unlinkat], &[EROFS, ENOMEM], false),
        (&[SYS_renameat, SYS_renameat2], &[ENOSPC, EROFS], false),
        (&[SYS_linkat, SYS_symlinkat], &[ENOSPC, ENOMEM], false),
        (&[SYS_write], &[ENOSPC], true),
        (&[SYS_pwrite64], &[ENOSPC], true),
        (&[SYS_read, SYS_pread64], &[], true),
        (&[SYS_sendfile], &[ENOMEM], true),
        (&[SYS_ftruncate], &[EPERM], true),
        (
            &[SYS_fchmod, SYS_fchown, SYS_fchmodat, SYS_fchownat],
            &[EPERM],
            false,
        ),
        (
            &[SYS_newfstatat, SYS_fstat, SYS_statx, SYS_fstatfs],
            &[ENOMEM],
            false,
        ),
        (&[SYS_getdents64], &[ENOMEM], false),
        (&[SYS_readlinkat], &[ENOMEM], false),
        (&[SYS_flock], &[ENOLCK], true),
        (&[SYS_fcntl], &[EMFILE, EPERM], false),
        (&[SYS_dup, SYS_dup3], &[EMFILE], false),
        (&[SYS_memfd_create], &[EMFILE, ENOMEM], false),
        (&[SYS_pipe2], &[EMFILE], false),
        (
            &[SYS_socket, SYS_socketpair],
            &[EMFILE, ENOBUFS, EPERM],
            false,
        ),
        (&[SYS_setsockopt], &[ENOMEM], false),
        (&[SYS_bind, SYS_connect, SYS_listen], &[ENOMEM], false),
        (&[SYS_sendto, SYS_sendmsg], &[ENOBUFS, EPERM, EAGAIN], true),
        (
            &[SYS_recvmsg, SYS_recvfrom],
            &[ENOBUFS, ENOMEM, EAGAIN],
            true,
        ),
        (&[SYS_ppoll], &[ENOMEM], true),
        (&[SYS_clone, SYS_clone3], &[EAGAIN, ENOMEM], false),
        (&[SYS_unshare, SYS_setns], &[ENOMEM, EPERM], false),
        (&[SYS_wait4, SYS_waitid], &[], true),
        (&[SYS_execve, SYS_execveat], &[ENOMEM, EACCES], false),
        (&[SYS_mount], &[ENOMEM, EPERM, EBUSY], false),
        (&[SYS_umount2], &[ENOMEM, EBUSY], false),
        (
            &[SYS_open_tree, SYS_fsopen, SYS_fsmount],
            &[EMFILE, EPERM, ENOMEM],
            false,
        ),
        (
            &[SYS_fsconfig, SYS_move_mount, SYS_mount_setattr],
            &[EPERM, ENOMEM],
            false,
        ),
        (&[SYS_pivot_root], &[EBUSY, EPERM], false),
        (&[SYS_chroot, SYS_sethostname], &[EPERM], false),
        (&[SYS_chdir, SYS_fchdir], &[ENOMEM, EACCES], false),
        (&[SYS_mknodat], &[ENOSPC, EPERM], false),
        (&[SYS_setresuid, SYS_setresgid], &[EAGAIN, EPERM], false),
        (&[SYS_setgroups], &[ENOMEM, EPERM], false),
        (&[SYS_capset, SYS_prctl], &[EPERM], false),
        (&[SYS_prlimit64], &[EPERM], false),
        (&[SYS_keyctl], &[ENOMEM, EPERM], false),
        (&[SYS_setsid], &[EPERM], false),
        (&[SYS_pidfd_open], &[EMFILE, ENOMEM], false),
        (&[SYS_pidfd_send_signal], &[EPERM], false),
        (&[SYS_clock_nanosleep, SYS_nanosleep], &[], true),
        (&[SYS_getrandom], &[], true),
        (&[SYS_ioctl], &[ENOMEM], false),
        (&[SYS_close_range], &[ENOMEM], false),
        (&[SYS_mmap, SYS_mremap], &[ENOMEM], false),
    ]
};

/// The name of a call, for a story about it.
pub fn name(number: u64) -> String {
    let found = NAMES
        .iter()
        .find(|(known, _)| u64::try_from(*known) == Ok(number));
    found.map_or_else(|| format!("call {number}"), |(_, name)| (*name).to_owned())
}

macro_rules! names {
    ($($name:ident),* $(,)?) => { &[$((libc::$name, stringify!($name)),)*] };
}

const NAMES: &[(libc::c_long, &str)] = names![
    SYS_openat,
    SYS_mkdirat,
    SYS_unlinkat,
    SYS_renameat,
    SYS_renameat2,
    SYS_linkat,
    SYS_symlinkat,
    SYS_write,
    SYS_pwrite64,
    SYS_read,
    SYS_pread64,
    SYS_sendfile,
    SYS_ftruncate,
    SYS_fchmod,
    SYS_fchown,
    SYS_fchmodat,
    SYS_fchownat,
    SYS_newfstatat,
    SYS_fstat,
    SYS_statx,
    SYS_fstatfs,
    SYS_getdents64,
    SYS_readlinkat,
    SYS_flock,
    SYS_fcntl,
    SYS_dup,
    SYS_dup3,
    SYS_memfd_create,
    SYS_pipe2,
    SYS_socket,
    SYS_socketpair,
    SYS_setsockopt,
    SYS_bind,
    SYS_connect,
    SYS_listen,
    SYS_sendto,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_recvfrom,
    SYS_ppoll,
    SYS_clone,
    SYS_clone3,
    SYS_unshare,
    SYS_setns,
    SYS_wait4,
    SYS_waitid,
    SYS_execve,
    SYS_execveat,
    SYS_mount,
    SYS_umount2,
    SYS_open_tree,
    SYS_fsopen,
    SYS_fsmount,
    SYS_fsconfig,
    SYS_move_mount,
    SYS_mount_setattr,
    SYS_pivot_root,
    SYS_chroot,
    SYS_sethostname,
    SYS_chdir,
    SYS_fchdir,
    SYS_mknodat,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setgroups,
    SYS_capset,
    SYS_prctl,
    SYS_prlimit64,
    SYS_keyctl,
    SYS_setsid,
    SYS_pidfd_open,
    SYS_pidfd_send_signal,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_getrandom,
    SYS_ioctl,
    SYS_close_range,
    SYS_mmap,
    SYS_mremap,
    SYS_close,
    SYS_munmap,
    SYS_brk,
    SYS_futex,
    SYS_lseek,
    SYS_kill,
    SYS_exit_group,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_sigaltstack,
    SYS_umask,
    SYS_getpid,
    SYS_geteuid,
    SYS_mprotect,
];

/// The registers of a stopped process: only where a call can be changed.
#[cfg(target_arch = "x86_64")]
pub mod registers {
    use super::*;

    pub const KNOWN: bool = true;
    pub use libc::user_regs_struct as Registers;

    fn read(pid: Pid) -> io::Result<Registers> {
        let mut registers = std::mem::MaybeUninit::<Registers>::uninit();
        // SAFETY: the kernel fills the whole structure in.
        let got = unsafe {
            libc::ptrace(
                libc::PTRACE_GETREGS,
                pid,
                std::ptr::null_mut::<u8>(),
                registers.as_mut_ptr(),
            )
        };
        if got == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: filled in by the call above.
        Ok(unsafe { registers.assume_init() })
    }

    fn write(pid: Pid, registers: &Registers) -> io::Result<()> {
        // SAFETY: the structure lives over the call.
        match unsafe {
            libc::ptrace(
                libc::PTRACE_SETREGS,
                pid,
                std::ptr::null_mut::<u8>(),
                &raw const *registers,
            )
        } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    fn change(pid: Pid, change: impl FnOnce(&mut Registers)) -> io::Result<()> {
        let mut registers = read(pid)?;
        change(&mut registers);
        write(pid, &registers)
    }

    /// At the entry of a call: there is no such call, so that nothing is done.
    pub fn skip(pid: Pid) -> io::Result<()> {
        change(pid, |registers| registers.orig_rax = u64::MAX)
    }

    /// At the exit of a call: what it answers.
    pub fn answer(pid: Pid, errno: i32) -> io::Result<()> {
        change(pid, |registers| {
            registers.rax = i64::from(-errno).cast_unsigned()
        })
    }

    /// The third argument of a call.
    pub fn set_count(pid: Pid, count: u64) -> io::Result<()> {
        change(pid, |registers| registers.rdx = count)
    }
}

/// Elsewhere nothing is changed, and who sweeps has to say so.
#[cfg(not(target_arch = "x86_64"))]
pub mod registers {
    use super::*;

    pub const KNOWN: bool = false;

    pub fn skip(_: Pid) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn answer(_: Pid, _: i32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn set_count(_: Pid, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
