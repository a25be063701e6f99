//! Death at every system call: one process of a command is killed at one call, for each process and each call. After
//! that the same command succeeds or `rm -f` restores the host, and what it left is repaired by the next command.
//!
//! After each kill the command is repeated, and in a second try `rm -f` is the first to come by. The system calls of a
//! run in which nothing is killed are the points; their number is printed.

use crate::harness::boxes::STATE;
use crate::harness::inject::{Call, Fault, Point, Role, fault_at, record};
use crate::harness::sample::Sample;
use crate::harness::snapshot::{Snapshot, restored_but};
use crate::harness::*;
use crate::tests;
use std::time::{Duration, Instant};

pub const TESTS: &[runner::Test] = tests![
    create_killed_at_any_call_leaves_nothing_that_the_next_command_does_not_repair.seconds(900),
    run_killed_at_any_call_of_its_command_leaves_nothing.seconds(900),
    run_killed_at_any_call_of_its_monitor_leaves_nothing.seconds(900),
    run_killed_at_any_call_of_its_child_leaves_nothing.seconds(900),
    rm_killed_at_any_call_is_completed_by_the_next_command.seconds(900),
    the_first_create_of_a_boot_killed_at_any_call_leaves_nothing.seconds(900),
    the_first_run_of_a_boot_killed_at_any_call_leaves_nothing.seconds(900),
    publish_killed_at_any_call_is_undone_by_the_next_command.seconds(900),
    unpublish_killed_at_any_call_is_undone_or_done.seconds(900),
    network_create_killed_at_any_call_is_repaired_by_the_next_command.seconds(900),
    network_rm_killed_at_any_call_is_completed_by_the_next_command.seconds(900),
    reconcile_killed_at_any_call_is_completed_by_the_next_one.seconds(900),
    a_monitor_that_may_not_kill_its_child_still_ends_with_its_command,
];

const CREATE: &[&str] = &["create", "--name", "web", "-p", "8080:80"];
const RUN: &[&str] = &[
    "run", "-d", "--name", "web", "-p", "8080:80", "alpine", "sleep", "1000",
];
const RM: &[&str] = &["rm", "-f", "web"];
const PUBLISH: &[&str] = &["publish", "web", "8080:80"];
const UNPUBLISH: &[&str] = &["unpublish", "web", "8080:80"];
const NETWORK_CREATE: &[&str] = &["network", "create", "--subnet", "10.50.0.0/24", "lan"];
const NETWORK_RM: &[&str] = &["network", "rm", "lan"];

/// A command that is killed, and what stands around it.
struct Sweep {
    /// Run before the snapshot, for every point.
    reset: fn(),
    /// Run after the snapshot, for every point.
    before: fn(),
    line: &'static [&'static str],
    /// Brings the host back.
    undo: &'static [&'static str],
    /// Whose calls.
    roles: fn(&Role) -> bool,
}

/// What the first use of a boot makes for all that follow: not in the undo of the command that came first.
pub fn is_first_uses(line: &str) -> bool {
    ["netcell0", "172.17.", "fe80"]
        .iter()
        .any(|mark| line.contains(mark))
}

fn nothing() {}

fn everybody(_: &Role) -> bool {
    true
}

pub fn network_is_made() {
    if !links().contains(&"netcell0".to_owned()) {
        cell("create --name first").ok();
        cell("rm -f first").ok();
    }
}

/// As if netcell had never run since the boot.
pub fn nothing_is_made() {
    let _ = any("ip", &["link", "delete", "netcell0"]);
    for family in ["inet", "bridge"] {
        let _ = any("nft", &["delete", "table", family, "netcell"]);
    }
    let _ = sys::umount("/run/netns");
    let _ = std::fs::remove_dir_all("/run/netns");
    let _ = std::fs::remove_dir_all(STATE);
    step(
        "turn forwarding off",
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0"),
    );
}

pub fn web_runs() {
    cell("run -d --name web -p 8080:80 alpine sleep 1000").ok();
}

pub fn web_is_alone() {
    cell("create --name web").ok();
}

pub fn web_has_a_port() {
    cell("create --name web -p 8080:80").ok();
}

pub fn lan_exists() {
    cell("network create --subnet 10.50.0.0/24 lan").ok();
}

fn create_killed_at_any_call_leaves_nothing_that_the_next_command_does_not_repair() {
    Sweep {
        reset: network_is_made,
        before: nothing,
        line: CREATE,
        undo: RM,
        roles: everybody,
    }
    .run();
}

fn run_killed_at_any_call_of_its_command_leaves_nothing() {
    // Helpers that the command forks besides its monitor count as the command.
    let roles = |role: &Role| role.0.is_empty() || role.0[0] > 0;
    Sweep {
        reset: network_is_made,
        before: nothing,
        line: RUN,
        undo: RM,
        roles,
    }
    .run();
}

fn run_killed_at_any_call_of_its_monitor_leaves_nothing() {
    let roles = |role: &Role| role.0 == [0];
    Sweep {
        reset: network_is_made,
        before: nothing,
        line: RUN,
        undo: RM,
        roles,
    }
    .run();
}

fn run_killed_at_any_call_of_its_child_leaves_nothing() {
    let roles = |role: &Role| role.0.len() > 1 && role.0[0] == 0;
    Sweep {
        reset: network_is_made,
        before: nothing,
        line: RUN,
        undo: RM,
        roles,
    }
    .run();
}

fn rm_killed_at_any_call_is_completed_by_the_next_command() {
    Sweep {
        reset: network_is_made,
        before: web_runs,
        line: RM,
        undo: RM,
        roles: everybody,
    }
    .run();
}

fn the_first_create_of_a_boot_killed_at_any_call_leaves_nothing() {
    Sweep {
        reset: nothing_is_made,
        before: nothing,
        line: CREATE,
        undo: RM,
        roles: everybody,
    }
    .run();
}

fn the_first_run_of_a_boot_killed_at_any_call_leaves_nothing() {
    let roles = |role: &Role| role.0.is_empty();
    Sweep {
        reset: nothing_is_made,
        before: nothing,
        line: RUN,
        undo: RM,
        roles,
    }
    .run();
}

fn publish_killed_at_any_call_is_undone_by_the_next_command() {
    Sweep {
        reset: network_is_made,
        before: web_is_alone,
        line: PUBLISH,
        undo: RM,
        roles: everybody,
    }
    .run();
}

fn unpublish_killed_at_any_call_is_undone_or_done() {
    Sweep {
        reset: network_is_made,
        before: web_has_a_port,
        line: UNPUBLISH,
        undo: RM,
        roles: everybody,
    }
    .run();
}

/// Of everything something: rules, the bridge, the pair, and of another sandbox the pin.
fn much_is_lost() {
    cell("create --name web -p 8080:80").ok();
    cell("create --name other --network none").ok();
    must("ip", &["-n", "web", "link", "delete", "eth0"]);
    must("ip", &["link", "delete", "netcell0"]);
    must("nft", &["flush", "ruleset"]);
    must("busybox", &["umount", "/run/netns/other"]);
}

fn reconcile_killed_at_any_call_is_completed_by_the_next_one() {
    Sweep {
        reset: network_is_made,
        before: much_is_lost,
        line: &["reconcile"],
        undo: &["rm", "-f", "web", "other"],
        roles: everybody,
    }
    .run();
}

fn network_create_killed_at_any_call_is_repaired_by_the_next_command() {
    Sweep {
        reset: network_is_made,
        before: nothing,
        line: NETWORK_CREATE,
        undo: NETWORK_RM,
        roles: everybody,
    }
    .run();
}

fn network_rm_killed_at_any_call_is_completed_by_the_next_command() {
    Sweep {
        reset: network_is_made,
        before: lan_exists,
        line: NETWORK_RM,
        undo: NETWORK_RM,
        roles: everybody,
    }
    .run();
}

fn a_monitor_that_may_not_kill_its_child_still_ends_with_its_command() {
    network_is_made();
    let undisturbed = record(RUN);
    cell("rm -f web").ok();
    // The command's last is the sandbox's name for the others, between the commit and the release.
    let writes = &undisturbed.calls[&Role::default()];
    let writes = writes.iter().filter(|call| call.is(libc::SYS_pwrite64));
    let dies = format!("inject=pwrite64:signal=KILL:when={}", writes.count());
    let mut command = std::process::Command::new("strace");
    command
        .args(["-f", "-qq", "-o", "/dev/null"])
        .args(["-e", "trace=pwrite64,pidfd_send_signal"])
        .args(["-e", &dies])
        .args(["-e", "inject=pidfd_send_signal:error=EPERM"])
        .arg(boxes::BINARY)
        .args(RUN)
        .env("NETCELL_IMAGES", image::IMAGES);
    // It ends when all that it traces have ended.
    let output = command::finish(command, "");
    assert_eq!((output.code, &*output.stdout), (137, ""), "{output:?}");
    cell("inspect web").ok();
    let alive = oracle::processes();
    let left = alive.iter().filter(|(_, name)| name == "netcell").count();
    assert_eq!(left, 0, "{alive:?}");
    cell("rm -f web").ok();
}

/// What the next command is after the kill.
#[derive(Clone, Copy, Debug)]
enum Then {
    Repeat,
    Undo,
}

impl Sweep {
    fn run(&self) {
        let started = Instant::now();
        let mut points = self.points();
        if self.line[0] == "reconcile" {
            // It asks much, of which each answer could be the last: elsewhere in every run.
            let sample = Sample::of_one_in(7);
            println!("{sample}");
            points = sample.of(points);
        }
        let mut before = self.baseline();
        let mut wrong = Vec::new();
        let mut tried = 0;
        for (point, follow_ups) in &points {
            for &then in *follow_ups {
                tried += 1;
                if let Err(story) = self.try_point(point, then, &before) {
                    wrong.push(story);
                    // What is left behind now is told once.
                    before = self.baseline();
                }
            }
            assert!(
                wrong.len() < 6,
                "{tried} tried, too many went wrong:\n{}",
                wrong.join("\n")
            );
        }
        let (line, seconds) = (self.line.join(" "), started.elapsed().as_secs());
        println!(
            "note: killed at {} points of `{line}`, {tried} tries, {seconds} s",
            points.len()
        );
        assert!(
            wrong.is_empty(),
            "{} of {tried} went wrong:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
        assert!(
            points.len() > 20,
            "so few calls cannot be all: {}",
            points.len()
        );
    }

    /// Every system call of the wanted processes, as an undisturbed run makes them.
    fn points(&self) -> Vec<(Point, &'static [Then])> {
        (self.reset)();
        (self.before)();
        let trace = record(self.line);
        assert_eq!(
            trace.ended,
            Some(sys::Ended::Code(0)),
            "undisturbed: {}",
            trace.output
        );
        // Whatever is there now; a removal has nothing left to undo.
        let _ = netcell(self.undo);
        let mut points = Vec::new();
        for (role, calls) in &trace.calls {
            println!("{role}: {} system calls", calls.len());
            if !(self.roles)(role) {
                continue;
            }
            for index in 0..calls.len() {
                let point = Point {
                    role: role.clone(),
                    index,
                    of: None,
                    fault: Fault::Kill,
                };
                let same = index > 0 && changes_nothing(&calls[index - 1]);
                points.push((point, follow_ups(index, same)));
            }
        }
        points
    }

    /// The host before any point, when the processes and links of what was before are gone.
    fn baseline(&self) -> Snapshot {
        (self.reset)();
        Snapshot::idle()
    }

    /// # Errors
    /// What is not as it should be, with all that is needed to see it again.
    fn try_point(&self, point: &Point, then: Then, before: &Snapshot) -> Result<(), String> {
        (self.reset)();
        (self.before)();
        let trace = fault_at(self.line, point);
        let story = |text: String| {
            let (role, index, place) = (&point.role, point.index, &trace.place);
            format!("{role} killed at call {index} ({place}), then {then:?}: {text}")
        };
        if trace.ended.is_none() {
            return Err(story(format!("no end: {}", trace.output)));
        }
        if let Then::Repeat = then {
            self.repeat().map_err(&story)?;
        }
        let undone = netcell(self.undo);
        if undone.code != 0 && !says_gone(&undone) {
            return Err(story(format!("{undone:?}")));
        }
        let mends = self.line[0] == "reconcile";
        if mends {
            // What was lost of the network is not the sandboxes' that are gone.
            cell("reconcile").ok();
        }
        // After a first use the network goes too, if it came so far; its link is all that may stay otherwise.
        let first = !before.holds("netcell0");
        let network_gone = first && cell("network rm bridge").code == 0;
        let may_stay = |line: &str| first && !network_gone && is_first_uses(line);
        // On a loaded machine the kernel may take seconds to see a namespace off; what hangs does so for longer.
        match restored_but(before, Duration::from_secs(10), &may_stay) {
            Ok(()) => Ok(()),
            Err(lines) => Err(story(format!(
                "{}\n{undone:?}{}",
                lines.join("\n"),
                what_runs()
            ))),
        }
    }

    /// The same command succeeds, or says truly that its work is done already.
    fn repeat(&self) -> Result<(), String> {
        let again = netcell(self.line);
        let exists = || match self.line[0] {
            "network" => cell("network inspect lan").code == 0,
            _ => cell("inspect web").code == 0,
        };
        let done_before = match self.line[0] {
            "rm" => says_gone(&again) && !exists(),
            "network" if self.line[1] == "rm" => says_gone(&again) && !exists(),
            "publish" => leads_in(),
            "unpublish" => !leads_in(),
            "reconcile" => false,
            _ => exists(),
        };
        if again.code != 0 && !done_before {
            return Err(format!("{again:?}"));
        }
        let lacks = match self.line[0] {
            "reconcile" => cell("reconcile --dry-run").stdout,
            _ => String::new(),
        };
        // The head of a script, and nothing in it.
        match lacks.lines().nth(2) {
            None => Ok(()),
            Some(line) => Err(format!("still to be made again: {line}")),
        }
    }
}

/// Whether the port is published, by what netcell says and by the kernel's map: the two agree.
fn leads_in() -> bool {
    let said = cell("port web").stdout.contains(":8080");
    let there = elements("map", "publish4").len() == 1;
    assert_eq!(said, there, "the record and the kernel disagree");
    said
}

/// The processes of netcell that are still there: a process that hangs says where, and one that a tracer has stopped too.
fn what_runs() -> String {
    let all = oracle::processes();
    let own = all.iter().filter(|(_, name)| name.contains("netcell"));
    own.map(|&(pid, _)| oracle::descendants(pid).join("; ") + "\n")
        .collect()
}

/// Where the call before the point changed nothing, the host is as at the point before: once is enough there, and both
/// follow-ups take turns.
fn follow_ups(index: usize, same: bool) -> &'static [Then] {
    match (same, index % 2) {
        (false, _) => &[Then::Repeat, Then::Undo],
        (true, 0) => &[Then::Repeat],
        (true, _) => &[Then::Undo],
    }
}

/// Calls that only ask, or that change nothing but the process's own memory and signals.
fn changes_nothing(call: &Call) -> bool {
    let calls = [
        libc::SYS_read,
        libc::SYS_pread64,
        libc::SYS_lseek,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_mprotect,
        libc::SYS_brk,
        libc::SYS_fstat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_fstatfs,
        libc::SYS_readlinkat,
        libc::SYS_getdents64,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_getuid,
        libc::SYS_geteuid,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_sigaltstack,
        libc::SYS_futex,
        libc::SYS_getrandom,
        libc::SYS_ppoll,
        libc::SYS_prlimit64,
        libc::SYS_set_robust_list,
        libc::SYS_set_tid_address,
        libc::SYS_rseq,
        libc::SYS_recvmsg,
        libc::SYS_recvfrom,
    ];
    calls.iter().any(|&known| call.is(known))
}

pub fn says_gone(output: &Output) -> bool {
    let text = output.stderr.to_lowercase();
    text.contains("no such") || text.contains("not found")
}
