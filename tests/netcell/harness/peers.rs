//! The engines that share a host's firewall with netcell: Docker's, ufw, firewalld, iptables-legacy, as Debian has them.
//!
//! `tests/run` unpacks their packages below target/ and installs none of them: an installed one would run on the machine
//! itself, at the latest after its next boot. In a box their files are laid over /usr and /etc.

use super::command::{Background, any, must, step, wait_until};
use super::sys;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the box has them.
pub const PLACE: &str = "/var/lib/box/peers";

/// Where `tests/run` has unpacked them.
pub fn unpacked() -> PathBuf {
    match std::env::var_os("NETCELL_TEST_PEERS") {
        Some(place) => place.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers"),
    }
}

/// Lays their files over /usr and /etc, which can be written from then on. iptables is what `kind` says, nft or legacy.
fn lay_over(kind: &str) {
    let there = Path::new(PLACE).join("complete").exists();
    assert!(
        there,
        "Docker's engine, ufw and firewalld are not unpacked: run tests/run once as root on Debian"
    );
    for tree in ["usr", "etc"] {
        let above = format!("/var/lib/box/over-{tree}");
        for part in ["upper", "work"] {
            step(
                "make a directory",
                fs::create_dir_all(format!("{above}/{part}")),
            );
        }
        let options =
            format!("lowerdir={PLACE}/{tree}:/{tree},upperdir={above}/upper,workdir={above}/work");
        step(
            "mount an overlay",
            sys::mount("overlay", &format!("/{tree}"), "overlay", 0, &options),
        );
    }
    // What Debian's alternatives choose.
    for six in ["", "6"] {
        for action in ["", "-save", "-restore"] {
            let link = format!("/usr/sbin/ip{six}tables{action}");
            let _ = fs::remove_file(&link);
            step(
                "choose an iptables",
                symlink(format!("ip{six}tables-{kind}{action}"), link),
            );
        }
    }
}

/// A process that stays until the box ends.
fn stays(program: &str, arguments: &[&str]) {
    let log = step(
        "make a log",
        fs::File::create(format!("/var/lib/box/{}.log", program)),
    );
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let both = step("share a log", log.try_clone());
    command.stdout(log).stderr(both);
    std::mem::forget(Background::spawn(&mut command));
}

/// Docker's engine, with its bridge docker0, and rules by nft's or the legacy iptables.
pub fn docker(kind: &str) {
    lay_over(kind);
    step(
        "mount the control groups",
        sys::mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, ""),
    );
    stays(
        "dockerd",
        &[
            "--data-root=/var/lib/box/docker",
            "--exec-root=/run/docker-exec",
            "--pidfile=/run/docker.pid",
            "--storage-driver=vfs",
            "--default-ulimit=nofile=1024:1024",
        ],
    );
    wait_until("Docker answers", || any("docker", &["version"]).code == 0);
}

/// ufw, enabled, as its package's first installation has it.
pub fn ufw() {
    lay_over("nft");
    for name in ["before", "after", "user"] {
        for six in ["", "6"] {
            let file = format!("{name}{six}.rules");
            let from = format!("/usr/share/ufw/iptables/{file}");
            step(
                "copy a template of ufw's",
                fs::copy(from, format!("/etc/ufw/{file}")),
            );
        }
        let _ = fs::copy(
            format!("/usr/share/ufw/{name}.init"),
            format!("/etc/ufw/{name}.init"),
        );
    }
    step(
        "copy ufw.conf",
        fs::copy("/usr/share/ufw/ufw.conf", "/etc/ufw/ufw.conf"),
    );
    must("ufw", &["--force", "enable"]);
    // Its first rule makes it write its files anew, and load them again.
    must("ufw", &["route", "allow", "in", "on", "nosuch"]);
    must("ufw", &["route", "delete", "allow", "in", "on", "nosuch"]);
}

/// firewalld, on a message bus of its own.
pub fn firewalld() {
    lay_over("nft");
    step("make a directory", fs::create_dir_all("/run/dbus"));
    let bus = "<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>\
               <auth>EXTERNAL</auth><policy context=\"default\"><allow own=\"*\"/><allow send_destination=\"*\"/>\
               <allow receive_sender=\"*\"/></policy></busconfig>";
    step(
        "write the bus's configuration",
        fs::write("/var/lib/box/bus.conf", bus),
    );
    stays(
        "dbus-daemon",
        &["--config-file=/var/lib/box/bus.conf", "--nofork"],
    );
    wait_until("the bus is there", || {
        Path::new("/run/dbus/system_bus_socket").exists()
    });
    stays("firewalld", &["--nofork", "--nopid"]);
    wait_until("firewalld answers", || {
        any("firewall-cmd", &["--state"]).code == 0
    });
}

/// iptables-legacy whose FORWARD drops.
pub fn iptables_legacy() {
    lay_over("legacy");
    must("iptables-legacy", &["-P", "FORWARD", "DROP"]);
    must(
        "iptables-legacy",
        &[
            "-t",
            "nat",
            "-A",
            "POSTROUTING",
            "-o",
            "nosuch",
            "-j",
            "MASQUERADE",
        ],
    );
}
