//! A host whose /proc/sys is mounted read-only, as container engines leave it: what needs a sysctl says which, and what
//! needs none works.

use crate::harness::*;
use crate::tests;
use std::fs;
use std::net::Ipv4Addr;

pub const TESTS: &[runner::Test] = tests![
    what_would_have_to_turn_forwarding_on_says_so_and_leaves_nothing,
    with_forwarding_on_already_ports_answer_but_at_loopback,
];

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// /proc/sys is read-only for as long as this lives.
struct Sealed;

impl Sealed {
    fn new() -> Self {
        let (sys, bind) = ("/proc/sys", libc::MS_BIND);
        step("bind /proc/sys", sys::mount(sys, sys, "", bind, ""));
        let flags = bind | libc::MS_REMOUNT | libc::MS_RDONLY | libc::MS_NOSUID;
        let flags = flags | libc::MS_NODEV | libc::MS_NOEXEC;
        step("seal /proc/sys", sys::mount("", sys, "", flags, ""));
        let errno = fs::write(FORWARDING, "1").map_err(|error| error.raw_os_error());
        assert_eq!(errno, Err(Some(libc::EROFS)));
        Sealed
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        step("unseal /proc/sys", sys::umount("/proc/sys"));
    }
}

fn what_would_have_to_turn_forwarding_on_says_so_and_leaves_nothing() {
    let before = links();
    let sealed = Sealed::new();
    let words = ["cannot set net.ipv4.ip_forward to 1: /proc/sys is mounted read-only"];
    cell("run --rm -p 8080:80 / true").refused(125, &words);
    cell("network create lan").refused(1, &words);
    let spoken = cell("network create --ipv6 six").refused(1, &["/proc/sys is mounted read-only"]);
    assert_eq!(spoken.lines().count(), 1, "{spoken}");
    assert_eq!(links(), before);
    no_port_is_published();
    cell("run --rm --network none / true").quiet();
    cell("network create --internal --subnet 10.50.0.0/24 quiet").quiet();
    cell("create --name near --network quiet").ok();
    cell("create --name far --network quiet").ok();
    serve_all_in(&pin("far"), 80, "far");
    let far = address_in("far", "eth0").0;
    answered(in_netns(pin("near"), || ask(far, 80)), "far");
    cell("rm -f near far").ok();
    drop(sealed);
}

fn with_forwarding_on_already_ports_answer_but_at_loopback() {
    let outside = Outside::new();
    step("turn forwarding on", fs::write(FORWARDING, "1"));
    let sealed = Sealed::new();
    let made = cell("create --name web -p 8080:80");
    let words = "net.ipv4.conf.netcell0.route_localnet stays off";
    assert!(made.stderr.contains(words), "{}", made.stderr);
    made.ok();
    serve_all_in(&pin("web"), 80, "web");
    let host = Ipv4Addr::new(198, 51, 100, 1);
    answered(outside.run(|| ask(host, 8080)), "web");
    answered(ask(host, 8080), "web");
    assert!(ask(Ipv4Addr::LOCALHOST, 8080).is_err());
    // Said once: the second sandbox finds the network as it is.
    let second = cell("create --name other -p 8081:80");
    assert_eq!(second.stderr, "");
    second.ok();
    cell("rm -f web other").ok();
    drop(sealed);
}
