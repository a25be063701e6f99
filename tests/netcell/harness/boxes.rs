//! The box that a test runs in: namespaces of its own, so that whatever it does ends with it.
//!
//! Three processes: the runner's child unshares and waits; PID 1 prepares the box, then only reaps; the test's body is
//! PID 1's child. When the body ends PID 1 ends, and with PID 1 everything that is left in the box.

use super::runner::Test;
use super::snapshot::{self, Snapshot};
use super::sys::{self, Ended};
use super::{command, image, peers};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;

/// The state directory that netcell uses when it is not told another.
pub const STATE: &str = "/run/netcell";

/// The binary under test, as the box has it: where it was built may be hidden (a clone in /tmp).
pub const BINARY: &str = "/var/lib/box/netcell";

/// The package's sources, as the box has them.
pub const PACKAGE: &str = "/var/lib/box/package";

/// Runs a test in a new box; the exit code is 0 when it passed.
pub fn run_in_box(test: &Test) -> i32 {
    if let Err(error) = enter_namespaces() {
        println!(
            "no box for the test: {error}; the tests need mount, network, PID, IPC and UTS namespaces"
        );
        println!(
            "(as a normal user also user namespaces: sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces)"
        );
        return 3;
    }
    let test = *test;
    let init = sys::fork(move || be_init(&test)).expect("fork PID 1 of the box");
    wait_for(init)
}

/// Waits for one child, whichever others end meanwhile, and translates its end into an exit code.
fn wait_for(child: sys::Pid) -> i32 {
    loop {
        match sys::wait_any(true) {
            Ok(Some((pid, ended))) if pid == child => {
                return match ended {
                    Ended::Code(code) => code,
                    Ended::Signal(signal) => 128 + signal,
                };
            }
            Ok(_) => {}
            Err(error) => panic!("cannot wait: {error}"),
        }
    }
}

fn enter_namespaces() -> io::Result<()> {
    let others = libc::CLONE_NEWNS
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS;
    let (uid, gid) = (sys::uid(), sys::gid());
    if uid == 0 {
        return sys::unshare(others);
    }
    sys::unshare(libc::CLONE_NEWUSER | others)?;
    // user_namespaces(7): an unprivileged process has to give up setgroups before it may map its group.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
}

fn be_init(test: &Test) -> i32 {
    sys::die_with_parent().expect("tie PID 1 of the box to the test");
    prepare().expect("prepare the box");
    let test = *test;
    let body = sys::fork(move || {
        run_body(&test);
        0
    });
    wait_for(body.expect("fork the test's body"))
}

/// Mounts, `lo`, sysctls: a small quiet host, on which nothing of the real one can be written.
fn prepare() -> io::Result<()> {
    let private = libc::MS_REC | libc::MS_PRIVATE;
    sys::mount("none", "/", "", private, "")?;
    sys::everything_read_only()?;
    let binary = File::open(built_binary())?;
    let package = File::open(env!("CARGO_MANIFEST_DIR"))?;
    let peers = File::open(peers::unpacked()).ok();
    let plain = libc::MS_NOSUID | libc::MS_NODEV;
    sys::mount("proc", "/proc", "proc", plain | libc::MS_NOEXEC, "")?;
    sys::mount("sysfs", "/sys", "sysfs", plain | libc::MS_NOEXEC, "")?;
    for (place, mode) in [("/run", "0755"), ("/tmp", "1777"), ("/var/lib", "0755")] {
        sys::mount("tmpfs", place, "tmpfs", plain, &format!("mode={mode}"))?;
    }
    sys::mount("tmpfs", "/dev/shm", "tmpfs", plain, "mode=1777").or_else(|error| {
        (error.kind() == ErrorKind::NotFound)
            .then_some(())
            .ok_or(error)
    })?;
    fs::create_dir("/var/lib/box")?;
    fs::write(BINARY, "")?;
    fs::create_dir(PACKAGE)?;
    let mut shown = vec![(&binary, BINARY), (&package, PACKAGE)];
    if let Some(peers) = &peers {
        fs::create_dir(peers::PLACE)?;
        shown.push((peers, peers::PLACE));
    }
    for (from, to) in shown {
        let from = format!("/proc/self/fd/{}", from.as_raw_fd());
        sys::mount(&from, to, "", libc::MS_BIND, "")?;
    }
    std::env::set_current_dir("/")?;
    sys::sethostname("box")?;
    command::must("ip", &["link", "set", "lo", "up"]);
    // A new namespace copies the first one's settings (net.core.devconf_inherit_init_net), of IPv4 by default: the box
    // decides for itself.
    for setting in [
        "ipv4/ip_forward",
        "ipv4/conf/all/rp_filter",
        "ipv4/conf/default/rp_filter",
    ] {
        fs::write(format!("/proc/sys/net/{setting}"), "0")?;
    }
    let _ = fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "0");
    image::make_alpine(image::ALPINE)
}

/// What cargo built, or what NETCELL_TEST_BINARY names.
fn built_binary() -> String {
    let built = env!("CARGO_BIN_EXE_netcell");
    std::env::var("NETCELL_TEST_BINARY").unwrap_or_else(|_| built.to_owned())
}

fn run_body(test: &Test) {
    if let Some(start) = test.beside {
        start();
    }
    let before = Snapshot::take();
    (test.run)();
    snapshot::check_leaks(&before);
}
