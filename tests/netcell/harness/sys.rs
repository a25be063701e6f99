//! The few system calls of the harness that std does not have; all of its `unsafe` but the ptracer's.
#![allow(
    unsafe_code,
    reason = "fork, unshare and mount have no safe form in std"
)]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

pub type Pid = libc::pid_t;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Code(i32),
    Signal(i32),
}

impl Ended {
    fn from_wait(status: libc::c_int) -> Self {
        if libc::WIFSIGNALED(status) {
            Ended::Signal(libc::WTERMSIG(status))
        } else {
            Ended::Code(libc::WEXITSTATUS(status))
        }
    }
}

/// Forks; the child runs `body` and exits with what it returns. Only for a process without threads.
pub fn fork(body: impl FnOnce() -> i32) -> io::Result<Pid> {
    // SAFETY: the caller has no other thread, so that the child may do whatever the parent may.
    let pid = check(unsafe { libc::fork() })?;
    if pid == 0 {
        std::process::exit(body());
    }
    Ok(pid)
}

/// Waits for any child; none when `hang` is false and all of them run on.
pub fn wait_any(hang: bool) -> io::Result<Option<(Pid, Ended)>> {
    let flags = if hang { 0 } else { libc::WNOHANG };
    let mut status = 0;
    loop {
        // SAFETY: status is a valid place for the answer.
        match check(unsafe { libc::waitpid(-1, &mut status, flags | libc::__WALL) }) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(0) => return Ok(None),
            Ok(pid) => return Ok(Some((pid, Ended::from_wait(status)))),
        }
    }
}

/// Sends a signal to one process.
pub fn kill(pid: Pid, signal: i32) -> io::Result<()> {
    // SAFETY: plain values only.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Has the kernel kill this process when its parent dies, so that nothing outlives an interrupted test run.
pub fn die_with_parent() -> io::Result<()> {
    // SAFETY: plain values only.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) }).map(drop)
}

/// Takes SIGCHLD away from its default so that [`child_or_timeout`] can wait for it.
pub fn block_sigchld(block: bool) -> io::Result<()> {
    let how = if block {
        libc::SIG_BLOCK
    } else {
        libc::SIG_UNBLOCK
    };
    let set = sigchld();
    // SAFETY: set is initialised, the old set is not asked for.
    check(unsafe { libc::sigprocmask(how, &set, std::ptr::null_mut()) }).map(drop)
}

/// Sleeps until a child's state changes or the time is over. SIGCHLD has to be blocked.
pub fn child_or_timeout(time: Duration) {
    let set = sigchld();
    let time = libc::timespec {
        tv_sec: time.as_secs().cast_signed(),
        tv_nsec: time.subsec_nanos().into(),
    };
    // SAFETY: set and time live through the call; the signal's details are not asked for.
    unsafe { libc::sigtimedwait(&set, std::ptr::null_mut(), &time) };
}

fn sigchld() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises what it is given.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: initialised by the line above.
    let mut set: libc::sigset_t = unsafe { set.assume_init() };
    // SAFETY: set is initialised, SIGCHLD is a signal.
    unsafe { libc::sigaddset(&mut set, libc::SIGCHLD) };
    set
}

/// An anonymous file.
pub fn memfd(name: &str) -> io::Result<File> {
    let name = CString::new(name)?;
    // SAFETY: name is a NUL-terminated string.
    let fd = check(unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) })?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Makes `to` another name of the open file `from`.
pub fn dup_to(from: &impl AsRawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: both are descriptors; what was open at `to` is given up on purpose.
    check(unsafe { libc::dup2(from.as_raw_fd(), to) }).map(drop)
}

/// A pipe, closed in programs that are executed: (read end, write end).
pub fn pipe() -> io::Result<(File, File)> {
    let mut ends = [0; 2];
    // SAFETY: ends has room for two descriptors.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: new and nobody else's.
    let read = unsafe { File::from_raw_fd(ends[0]) };
    // SAFETY: new and nobody else's.
    let write = unsafe { File::from_raw_fd(ends[1]) };
    Ok((read, write))
}

/// Waits until one of the descriptors can be read or its other end is closed.
pub fn readable(fds: &[RawFd], time: Duration) -> io::Result<bool> {
    let mut polls: Vec<libc::pollfd> = fds
        .iter()
        .map(|&fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    let time = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: polls is an array of its own length.
    let ready = check(unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as _, time) })?;
    Ok(ready > 0)
}

pub fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: called where no thread shares the state that is unshared, or in a thread that owns it.
    check(unsafe { libc::unshare(flags) }).map(drop)
}

/// Moves the calling thread into a namespace.
pub fn setns(namespace: &impl AsRawFd, kind: libc::c_int) -> io::Result<()> {
    // SAFETY: plain values only.
    check(unsafe { libc::setns(namespace.as_raw_fd(), kind) }).map(drop)
}

pub fn mount(
    source: &str,
    target: &str,
    kind: &str,
    flags: libc::c_ulong,
    data: &str,
) -> io::Result<()> {
    let (source, target) = (CString::new(source)?, CString::new(target)?);
    let (kind, data) = (CString::new(kind)?, CString::new(data)?);
    // SAFETY: four NUL-terminated strings that live through the call.
    check(unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            flags,
            data.as_ptr().cast(),
        )
    })
    .map(drop)
}

pub fn umount(target: &str) -> io::Result<()> {
    let target = CString::new(target)?;
    // SAFETY: a NUL-terminated string.
    check(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }).map(drop)
}

/// Makes every mount below `/` read-only; where the kernel has no mount_setattr (before 5.12), `/` alone.
pub fn everything_read_only() -> io::Result<()> {
    let attributes = [libc::MOUNT_ATTR_RDONLY, 0, 0, 0];
    // SAFETY: struct mount_attr is four 64-bit words (mount_setattr(2)), which live through the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            c"/".as_ptr(),
            libc::AT_RECURSIVE,
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    };
    if done == 0 {
        return Ok(());
    }
    let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY;
    mount("none", "/", "", flags, "")
}

pub fn sethostname(name: &str) -> io::Result<()> {
    // SAFETY: the length is the string's.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }).map(drop)
}

pub fn uid() -> u32 {
    // SAFETY: always succeeds.
    unsafe { libc::geteuid() }
}

pub fn gid() -> u32 {
    // SAFETY: always succeeds.
    unsafe { libc::getegid() }
}

/// Becomes the leader of a session of its own, away from the terminal of whoever runs the tests.
pub fn setsid() {
    // SAFETY: no arguments; fails only for a group leader, which is as good.
    unsafe { libc::setsid() };
}

/// A raw socket for whole frames on one interface of the calling thread's network namespace.
pub struct PacketSocket {
    fd: OwnedFd,
    ifindex: i32,
}

impl PacketSocket {
    pub fn open(interface: &str) -> io::Result<Self> {
        let name = CString::new(interface)?;
        let all = i32::from((libc::ETH_P_ALL as u16).to_be());
        // SAFETY: plain values only.
        let fd = check(unsafe {
            libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, all)
        })?;
        // SAFETY: new and nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: a NUL-terminated string.
        let ifindex = unsafe { libc::if_nametoindex(name.as_ptr()) };
        let ifindex = i32::try_from(ifindex).unwrap_or(0);
        if ifindex == 0 {
            return Err(io::Error::last_os_error());
        }
        let socket = PacketSocket { fd, ifindex };
        let address = socket.address();
        // SAFETY: address is a whole sockaddr_ll.
        check(unsafe {
            libc::bind(
                socket.fd.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as _,
            )
        })?;
        Ok(socket)
    }

    fn address(&self) -> libc::sockaddr_ll {
        // SAFETY: all zeroes is a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = self.ifindex;
        address
    }

    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: the length is the frame's.
        let sent =
            unsafe { libc::send(self.fd.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// The next frame; none when nothing arrives in time.
    pub fn receive(&self, time: Duration) -> io::Result<Option<Vec<u8>>> {
        if !readable(&[self.fd.as_raw_fd()], time)? {
            return Ok(None);
        }
        let mut frame = vec![0; 65536];
        // SAFETY: the length is the buffer's.
        let got = unsafe {
            libc::recv(
                self.fd.as_raw_fd(),
                frame.as_mut_ptr().cast(),
                frame.len(),
                libc::MSG_DONTWAIT,
            )
        };
        frame.truncate(usize::try_from(got).map_err(|_| io::Error::last_os_error())?);
        Ok(Some(frame))
    }
}

/// Takes a whole-file lock (flock(2)); false when another holds it.
pub fn try_flock(file: &impl AsRawFd, exclusive: bool) -> io::Result<bool> {
    let how = if exclusive {
        libc::LOCK_EX
    } else {
        libc::LOCK_SH
    };
    // SAFETY: plain values only.
    match check(unsafe { libc::flock(file.as_raw_fd(), how | libc::LOCK_NB) }) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        other => other.map(|_| true),
    }
}

/// A new terminal: master and slave.
pub fn terminal() -> io::Result<(File, File)> {
    // SAFETY: plain values only.
    let master =
        check(unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) })?;
    // SAFETY: new and nobody else's.
    let master = unsafe { File::from_raw_fd(master) };
    // SAFETY: a descriptor of a multiplexer.
    check(unsafe { libc::unlockpt(master.as_raw_fd()) })?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the request takes open flags as its value.
    let slave = check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) })?;
    // SAFETY: new and nobody else's.
    Ok((master, unsafe { File::from_raw_fd(slave) }))
}

/// Changes a terminal's size.
pub fn resize(terminal: &impl AsRawFd, rows: u16, columns: u16) -> io::Result<()> {
    let size = libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the request takes a struct winsize, which lives through the call.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }).map(drop)
}

/// Whether a terminal gives lines and echoes them.
pub fn is_cooked(terminal: &impl AsRawFd) -> io::Result<bool> {
    // SAFETY: all zeroes is a valid termios.
    let mut mode: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: mode is a valid place for the answer.
    check(unsafe { libc::tcgetattr(terminal.as_raw_fd(), &raw mut mode) })?;
    let both = libc::ICANON | libc::ECHO;
    Ok(mode.c_lflag & both == both)
}

/// Makes a command the leader of a session whose terminal is its stdin.
pub fn lead_session(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let lead = || {
        // SAFETY: no arguments.
        check(unsafe { libc::setsid() })?;
        // SAFETY: stdin is a terminal, and 0 asks not to steal it.
        check(unsafe { libc::ioctl(0, libc::TIOCSCTTY as _, 0) }).map(drop)
    };
    // SAFETY: both calls are async-signal-safe.
    unsafe { command.pre_exec(lead) };
}

/// Takes a read lease on a file (fcntl(2), F_SETLEASE), or gives it back; its break, a SIGIO, is nothing to this process.
pub fn lease(file: &impl AsRawFd, take: bool) -> io::Result<()> {
    let kind = if take { libc::F_RDLCK } else { libc::F_UNLCK };
    // SAFETY: ignoring a signal needs no handler.
    unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
    // SAFETY: plain values only.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) }).map(drop)
}
