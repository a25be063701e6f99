//! An error at every system call: one call of one process fails with an errno that its man page allows and a small host
//! meets, or is asked for less than the caller wanted. Then the command has succeeded, which is verified, or says why not
//! in one sentence and has left everything as it was; it never hangs, and never dies of a signal.
//!
//! What has run out (ENOSPC, EMFILE, EROFS) is tried once more for good: every later call of the kind fails, too. Then
//! nothing can be undone, perhaps, and the next command has to be able to do it. A try costs some 100 ms, and there are
//! thousands: `NETCELL_SWEEP=all` (`tests/run --sweep`) tries them all, otherwise one in [`USUAL`] is.

use crate::crash::is_first_uses;
use crate::crash::{
    lan_exists, network_is_made, nothing_is_made, says_gone, web_has_a_port, web_is_alone, web_runs,
};
use crate::harness::fault::registers;
use crate::harness::inject::{Call, Fault, Point, Role, Trace, fault_at, record};
use crate::harness::sample::Sample;
use crate::harness::snapshot::{Snapshot, restored, restored_but};
use crate::harness::*;
use crate::tests;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

pub const TESTS: &[runner::Test] = tests![
    create_with_an_error_at_any_call_makes_all_or_nothing.seconds(2400),
    the_first_create_of_a_boot_with_an_error_at_any_call_makes_all_or_nothing.seconds(2400),
    run_with_an_error_at_any_call_of_its_command_makes_all_or_nothing.seconds(2400),
    run_with_an_error_at_any_call_of_its_monitor_or_child_makes_all_or_nothing.seconds(2400),
    run_in_the_foreground_with_an_error_at_any_call_makes_all_or_nothing.seconds(2400),
    start_with_an_error_at_any_call_starts_or_does_not.seconds(2400),
    stop_with_an_error_at_any_call_stops_or_does_not.seconds(2400),
    kill_with_an_error_at_any_call_kills_or_does_not.seconds(2400),
    restart_with_an_error_at_any_call_leaves_a_whole_container.seconds(2400),
    rm_with_an_error_at_any_call_removes_all_or_nothing.seconds(2400),
    rm_of_a_member_with_an_error_at_any_call_removes_all_of_it_or_nothing.seconds(2400),
    rename_with_an_error_at_any_call_renames_all_or_nothing.seconds(2400),
    publish_with_an_error_at_any_call_publishes_or_does_not.seconds(2400),
    unpublish_with_an_error_at_any_call_withdraws_or_does_not.seconds(2400),
    network_create_with_an_error_at_any_call_makes_all_or_nothing.seconds(2400),
    network_rm_with_an_error_at_any_call_removes_all_or_nothing.seconds(2400),
    reconcile_with_an_error_at_any_call_repairs_or_the_next_one_does.seconds(2400),
    apply_with_an_error_at_any_call_makes_it_or_the_next_one_does.seconds(2400),
    memory_that_runs_out_is_said_and_the_next_command_goes_on.seconds(120),
];

/// Without being asked for all, one point in so many is tried.
const USUAL: usize = 97;

/// So many calls of one kind in a row are one case, and the rest of the row is the same.
const ALIKE: usize = 3;

/// What holds, or what does not.
type Verdict = Result<(), String>;

/// A command at whose calls something fails, and what stands around it.
struct Sweep {
    /// Run for every point.
    reset: fn(),
    /// What the command needs.
    before: Option<fn()>,
    line: &'static [&'static str],
    /// Whose calls.
    roles: fn(&Role) -> bool,
    /// Who of them meets errors: what a container's child does, and what comes of its errors, is the same whichever command
    /// starts it, and is tried with `run -d`.
    errs: fn(&Role) -> bool,
    /// Whether the command has done its work.
    done: fn() -> Verdict,
    /// What else a failure may leave besides what was before.
    or: Option<fn() -> Verdict>,
    /// Whether its processes are killed at their calls, too; for others crash.rs does that.
    kills: bool,
    /// What every sample has besides: where it went wrong once.
    always: fn(&Target) -> bool,
    /// Brings the host back.
    undo: &'static [&'static [&'static str]],
}

const RM_WEB: &[&[&str]] = &[&["rm", "-f", "web"]];
const RM_LAN: &[&[&str]] = &[&["network", "rm", "lan"]];

const MOST: Sweep = Sweep {
    reset: network_is_made,
    before: None,
    line: &[],
    roles: everybody,
    errs: everybody,
    done: || Ok(()),
    or: None,
    kills: false,
    always: |_| false,
    undo: RM_WEB,
};

fn everybody(_: &Role) -> bool {
    true
}

fn command_alone(role: &Role) -> bool {
    // Helpers that the command forks besides its monitor count as the command.
    role.0.first() != Some(&0)
}

fn all_but_the_command(role: &Role) -> bool {
    !command_alone(role)
}

fn all_but_the_child(role: &Role) -> bool {
    role.0 != [0, 0]
}

fn web_is_created() {
    cell("create --name web -p 8080:80 alpine sleep 1000").ok();
}

fn holds(what: &str, is: bool) -> Verdict {
    if is {
        Ok(())
    } else {
        Err(format!("not so: {what}"))
    }
}

/// By `ip`, `nft` and the files: the sandbox of this name has its interface, and one port leads to it.
fn leads_to(name: &str) -> Verdict {
    let address = any(
        "ip",
        &["-n", name, "-j", "-4", "address", "show", "dev", "eth0"],
    );
    let up = address.stdout.contains("\"UP\"") && address.stdout.contains("172.17.");
    holds("eth0 is up and has an address", up)?;
    holds(
        "one port is published",
        elements("map", "publish4").len() == 1,
    )?;
    // What is committed may leave its intent to the next command.
    holds("its port is known", cell(&format!("port {name}")).code == 0)?;
    let record = std::fs::read_to_string(format!("/run/netcell/sandboxes/{name}/record.json"));
    holds(
        "it has a record",
        record.is_ok_and(|text| text.ends_with("}\n")),
    )?;
    no_intent()
}

fn no_intent() -> Verdict {
    let intents = entries("/run/netcell/intents");
    holds(
        &format!("nothing is under way: {intents:?}"),
        intents.is_empty(),
    )
}

fn sandbox_stands() -> Verdict {
    leads_to("web")
}

fn runs() -> Verdict {
    leads_to("web")?;
    holds("its process runs", processes_with("sleep 1000").len() == 1)?;
    let said = cell("inspect --format {{.State.Status}} web").stdout;
    holds(&format!("it is running: {said}"), said == "running\n")
}

fn stands_still() -> Verdict {
    holds(
        "no process is left",
        processes_with("sleep 1000").is_empty(),
    )?;
    let said = cell("inspect --format {{.State.Status}} web").stdout;
    holds(&format!("it has stopped: {said}"), said == "exited\n")?;
    leads_to("web")
}

fn is_gone(name: &str) -> Verdict {
    holds(
        "it is not known",
        says_gone(&cell(&format!("inspect {name}"))),
    )?;
    holds(
        "its pin is gone",
        !std::path::Path::new(&pin(name)).exists(),
    )?;
    holds(
        "no process is left",
        processes_with("sleep 1000").is_empty(),
    )
}

fn web_is_gone() -> Verdict {
    is_gone("web")
}

fn create_with_an_error_at_any_call_makes_all_or_nothing() {
    Sweep {
        line: &["create", "--name", "web", "-p", "8080:80"],
        done: sandbox_stands,
        ..MOST
    }
    .run();
}

fn the_first_create_of_a_boot_with_an_error_at_any_call_makes_all_or_nothing() {
    Sweep {
        reset: nothing_is_made,
        line: &["create", "--name", "web", "-p", "8080:80"],
        done: sandbox_stands,
        undo: &[&["rm", "-f", "web"], &["network", "rm", "bridge"]],
        ..MOST
    }
    .run();
}

const RUN: Sweep = Sweep {
    line: &[
        "run", "-d", "--name", "web", "-p", "8080:80", "alpine", "sleep", "1000",
    ],
    done: runs,
    ..MOST
};

fn run_with_an_error_at_any_call_of_its_command_makes_all_or_nothing() {
    Sweep {
        roles: command_alone,
        ..RUN
    }
    .run();
}

fn run_with_an_error_at_any_call_of_its_monitor_or_child_makes_all_or_nothing() {
    Sweep {
        roles: all_but_the_command,
        // The monitor ended its watch, and waited for a child that waited for it.
        always: |(point, call)| {
            point.fault == Fault::Fail(libc::ENOMEM) && call.is(libc::SYS_ppoll)
        },
        ..RUN
    }
    .run();
}

fn run_in_the_foreground_with_an_error_at_any_call_makes_all_or_nothing() {
    Sweep {
        line: &[
            "run", "--rm", "--name", "web", "-p", "8080:80", "alpine", "true",
        ],
        errs: all_but_the_child,
        done: web_is_gone,
        kills: true,
        // Killed between its release and its program it had begun for its monitor, which then waited for the command to remove
        // it, and had not for the command, which waited for its monitor.
        always: |(point, call)| {
            point.fault == Fault::Kill
                && point.role.0 == [0, 0]
                && call.is(libc::SYS_write)
                && call.leads_to.starts_with("pipe:")
        },
        ..MOST
    }
    .run();
}

fn start_with_an_error_at_any_call_starts_or_does_not() {
    Sweep {
        before: Some(web_is_created),
        line: &["start", "web"],
        errs: all_but_the_child,
        done: runs,
        kills: true,
        ..MOST
    }
    .run();
}

fn stop_with_an_error_at_any_call_stops_or_does_not() {
    Sweep {
        before: Some(web_runs),
        line: &["stop", "-t", "0", "web"],
        done: stands_still,
        or: Some(stands_still),
        kills: true,
        ..MOST
    }
    .run();
}

fn kill_with_an_error_at_any_call_kills_or_does_not() {
    Sweep {
        before: Some(web_runs),
        line: &["kill", "web"],
        done: stands_still,
        or: Some(stands_still),
        kills: true,
        ..MOST
    }
    .run();
}

/// Where its program could not be executed again it counts as created, as with Docker.
fn stands_still_or_is_created() -> Verdict {
    let said = cell("inspect --format {{.State.Status}} web").stdout;
    match said.as_str() {
        "created\n" => {
            let none = processes_with("sleep 1000").is_empty();
            holds("no process is left", none)?;
            leads_to("web")
        }
        _ => stands_still(),
    }
}

fn restart_with_an_error_at_any_call_leaves_a_whole_container() {
    Sweep {
        before: Some(web_runs),
        line: &["restart", "-t", "0", "web"],
        // What it starts is what `start` does, whose child is killed there.
        roles: |role| role.0.len() < 2,
        done: runs,
        or: Some(stands_still_or_is_created),
        kills: true,
        // Where the end of the old process could not be waited for, it counted as running, and nothing was started.
        always: |(point, call)| {
            point.fault == Fault::Fail(libc::ENOLCK) && call.is(libc::SYS_flock)
        },
        ..MOST
    }
    .run();
}

fn rm_with_an_error_at_any_call_removes_all_or_nothing() {
    Sweep {
        before: Some(web_runs),
        line: &["rm", "-f", "web"],
        done: web_is_gone,
        or: Some(web_is_gone),
        ..MOST
    }
    .run();
}

fn web_has_a_member() {
    web_is_created();
    cell("run -d --name side --network container:web -p 9090:90 alpine sleep 1000").ok();
}

/// And the sandbox that it was in stands, with the other's port.
fn member_is_gone() -> Verdict {
    holds("it is not known", says_gone(&cell("inspect side")))?;
    holds(
        "no process is left",
        processes_with("sleep 1000").is_empty(),
    )?;
    leads_to("web")
}

fn rm_of_a_member_with_an_error_at_any_call_removes_all_of_it_or_nothing() {
    Sweep {
        before: Some(web_has_a_member),
        line: &["rm", "-f", "side"],
        done: member_is_gone,
        or: Some(member_is_gone),
        kills: true,
        undo: &[&["rm", "-f", "side"], &["rm", "-f", "web"]],
        ..MOST
    }
    .run();
}

fn new_name_leads() -> Verdict {
    leads_to("new")?;
    holds("the old name is not known", says_gone(&cell("inspect web")))?;
    holds(
        "the old pin is gone",
        !std::path::Path::new(&pin("web")).exists(),
    )
}

fn rename_with_an_error_at_any_call_renames_all_or_nothing() {
    Sweep {
        before: Some(web_runs),
        line: &["rename", "web", "new"],
        done: new_name_leads,
        or: Some(new_name_leads),
        undo: &[&["rm", "-f", "web"], &["rm", "-f", "new"]],
        // What could not be looked at counted as not there, and was not moved.
        always: |(point, call)| {
            point.fault == Fault::Fail(libc::ENOMEM) && call.is(libc::SYS_newfstatat)
        },
        ..MOST
    }
    .run();
}

fn publish_with_an_error_at_any_call_publishes_or_does_not() {
    Sweep {
        before: Some(web_is_alone),
        line: &["publish", "web", "8080:80"],
        done: sandbox_stands,
        ..MOST
    }
    .run();
}

fn port_is_withdrawn() -> Verdict {
    holds("netcell says none", cell("port web").stdout.is_empty())?;
    // On kernels that can, an element is given a millisecond to live.
    std::thread::sleep(Duration::from_millis(15));
    holds(
        "no element leads in",
        elements("map", "publish4").is_empty(),
    )?;
    no_intent()
}

fn unpublish_with_an_error_at_any_call_withdraws_or_does_not() {
    Sweep {
        before: Some(web_has_a_port),
        line: &["unpublish", "web", "8080:80"],
        done: port_is_withdrawn,
        ..MOST
    }
    .run();
}

fn lan_stands() -> Verdict {
    let bridge = any("ip", &["-j", "-4", "address", "show", "dev", "netcell1"]);
    holds(
        "the bridge has its address",
        bridge.stdout.contains("10.50.0.1"),
    )?;
    holds("it is inspected", cell("network inspect lan").code == 0)?;
    let known = elements("set", "bridges")
        .iter()
        .any(|element| element == "netcell1");
    holds("the rules know the bridge", known)
}

fn lan_is_gone() -> Verdict {
    holds("it is not known", says_gone(&cell("network inspect lan")))?;
    holds(
        "its bridge is gone",
        !links().contains(&"netcell1".to_owned()),
    )?;
    let known = elements("set", "bridges")
        .iter()
        .any(|element| element == "netcell1");
    holds("the rules have forgotten the bridge", !known)
}

fn network_create_with_an_error_at_any_call_makes_all_or_nothing() {
    Sweep {
        line: &["network", "create", "--subnet", "10.50.0.0/24", "lan"],
        done: lan_stands,
        undo: RM_LAN,
        ..MOST
    }
    .run();
}

fn network_rm_with_an_error_at_any_call_removes_all_or_nothing() {
    Sweep {
        before: Some(lan_exists),
        line: &["network", "rm", "lan"],
        done: lan_is_gone,
        or: Some(lan_is_gone),
        undo: RM_LAN,
        ..MOST
    }
    .run();
}

/// A sandbox without a process, so that no watcher comes first.
fn web_has_lost_all() {
    web_has_a_port();
    must("nft", &["delete", "table", "inet", "netcell"]);
    must("ip", &["link", "delete", "netcell0"]);
}

fn anything() -> Verdict {
    Ok(())
}

fn reconcile_with_an_error_at_any_call_repairs_or_the_next_one_does() {
    Sweep {
        before: Some(web_has_lost_all),
        line: &["reconcile"],
        done: sandbox_stands,
        or: Some(anything),
        // What could not be looked at counted as another command's, and was left out in silence.
        always: |(point, call)| {
            point.fault == Fault::Fail(libc::ENOMEM) && call.is(libc::SYS_newfstatat)
        },
        undo: &[&["reconcile"], &["rm", "-f", "web"]],
        ..MOST
    }
    .run();
}

const FILE: &str = "/tmp/web.conf";

fn a_file_asks_for_web() {
    let text = "run -d --name web -p 8080:80 alpine sleep 1000\n";
    step("write a file", std::fs::write(FILE, text));
}

fn apply_with_an_error_at_any_call_makes_it_or_the_next_one_does() {
    Sweep {
        before: Some(a_file_asks_for_web),
        line: &["apply", FILE],
        roles: command_alone,
        done: runs,
        or: Some(anything),
        kills: true,
        undo: &[&["apply", FILE], &["rm", "-f", "web"]],
        ..MOST
    }
    .run();
    step("remove a file", std::fs::remove_file(FILE));
}

fn memory_that_runs_out_is_said_and_the_next_command_goes_on() {
    let with = |kibibytes: usize, line: &str| {
        let line = format!("ulimit -v {kibibytes}; exec {} {line}", boxes::BINARY);
        any("sh", &["-c", &line])
    };
    let (mut started, mut said) = (0, 0);
    // From enough for the loader to enough for all, which it is when it was so in a row.
    let least = (2_000..12_000)
        .step_by(20)
        .find(|&kibibytes| with(kibibytes, "--version").code == 0);
    for kibibytes in (least.expect("enough for the loader")..12_000).step_by(20) {
        let answer = with(kibibytes, "create --name web -p 8080:80");
        assert!([0, 1, 125].contains(&answer.code), "{answer:?}");
        assert!(!answer.stderr.contains("panicked"), "{answer:?}");
        started = if answer.code == 0 { started + 1 } else { 0 };
        said += usize::from(answer.stderr.contains("netcell: cannot"));
        let undone = cell("rm -f web");
        assert!(undone.code == 0 || says_gone(&undone), "{undone:?}");
        if started == 20 {
            break;
        }
    }
    println!("note: {said} said that there was no memory, before {started} succeeded");
    assert_eq!(started, 20, "never enough");
    assert!(said > 0, "never too little for netcell itself");
}

/// A point, and the call that stands there.
type Target = (Point, Call);

impl Sweep {
    fn run(&self) {
        if !registers::KNOWN {
            println!("note: left out: on this architecture no call can be made to fail");
            return;
        }
        let (started, sample) = (Instant::now(), Sample::of_one_in(USUAL));
        let all = self.targets();
        let (line, count) = (self.line.join(" "), all.len());
        assert!(count > 60, "so few points cannot be all: {count}");
        let mut baseline = self.baseline();
        let (mut wrong, mut succeeded, mut tried) = (Vec::new(), 0, 0);
        let (always, others) = all.into_iter().partition::<Vec<_>, _>(self.always);
        for target in always.into_iter().chain(sample.of(others)) {
            tried += 1;
            match self.try_target(&target, &baseline) {
                Ok(true) => succeeded += 1,
                Ok(false) => {}
                Err(story) => {
                    println!("{story}");
                    wrong.push(story);
                    // What is left behind now is told once.
                    let _ = self.bring_back();
                    baseline = self.baseline();
                }
            }
            assert!(
                wrong.len() < most_failures(),
                "{tried} tried, too many went wrong: {line}"
            );
        }
        let seconds = started.elapsed().as_secs();
        println!(
            "note: `{line}`: {count} points, {tried} tried ({sample}), {succeeded} succeeded nevertheless, {} failed, {seconds} s",
            wrong.len()
        );
        assert!(
            wrong.is_empty(),
            "{} of {tried} went wrong:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }

    /// What there is to try, as an undisturbed run makes its calls.
    fn targets(&self) -> Vec<Target> {
        self.stand();
        let trace = record(self.line);
        assert_eq!(
            trace.ended,
            Some(sys::Ended::Code(0)),
            "undisturbed: {}",
            trace.output
        );
        if let Err(story) = (self.done)() {
            panic!("undisturbed: {story}");
        }
        let _ = self.bring_back();
        let mut targets = Vec::new();
        for (role, calls) in trace.calls.iter().filter(|(role, _)| (self.roles)(role)) {
            let own = calls.iter().filter(|call| !call.runtime).count();
            println!("{role}: {own} system calls");
            for (at, call) in calls.iter().enumerate() {
                let target = |fault| {
                    let (index, of) = (call.nth, Some(call.number));
                    let point = Point {
                        role: role.clone(),
                        index,
                        of,
                        fault,
                    };
                    (point, call.clone())
                };
                if self.kills {
                    targets.push(target(Fault::Kill));
                }
                let row = calls[..at]
                    .iter()
                    .rev()
                    .take_while(|before| before.is_like(call));
                if call.runtime || !(self.errs)(role) || row.count() >= ALIKE {
                    continue;
                }
                targets.extend(faults(role, call).into_iter().map(target));
            }
        }
        targets
    }

    fn stand(&self) {
        (self.reset)();
        if let Some(before) = self.before {
            before();
        }
    }

    /// The host before any point, when the processes and links of what was before are gone.
    fn baseline(&self) -> Snapshot {
        (self.reset)();
        Snapshot::idle()
    }

    /// Whether the command succeeded in spite of it.
    ///
    /// # Errors
    /// What is not as it should be, with all that is needed to see it again.
    fn try_target(&self, (point, call): &Target, baseline: &Snapshot) -> Result<bool, String> {
        self.stand();
        let standing = self.before.map(|_| Snapshot::but_sysctls());
        let trace = fault_at(self.line, point);
        let story = |text: String| {
            let (role, index, fault) = (&point.role, point.index, said(point.fault));
            let mut story = format!("{role}, {} ({index}): {fault}: {text}", trace.place);
            let _ = write!(
                story,
                "\n    exit {:?}: {}",
                trace.ended,
                trace.output.trim_end()
            );
            story
        };
        if !trace.reached {
            return self.settle(baseline).map(|()| true).map_err(story);
        }
        let judged = self.judge(&trace, point, call, standing.as_ref().unwrap_or(baseline));
        let settled = self.settle(baseline);
        judged
            .and_then(|succeeded| settled.map(|()| succeeded))
            .map_err(story)
    }

    fn judge(
        &self,
        trace: &Trace,
        point: &Point,
        call: &Call,
        standing: &Snapshot,
    ) -> Result<bool, String> {
        if point.fault == Fault::Kill {
            return match trace.ended {
                Some(_) => Ok(false),
                None => Err("no end".to_owned()),
            };
        }
        let code = match trace.ended {
            None => return Err("no end".to_owned()),
            Some(sys::Ended::Signal(signal)) => return Err(format!("killed by signal {signal}")),
            Some(sys::Ended::Code(code)) => code,
        };
        holds("nothing panicked", !trace.errors.contains("panicked"))?;
        if code == 0 {
            // Without descriptors or room a monitor cannot remove its container.
            let stays = matches!(point.fault, Fault::FailOn(_)) && self.line.contains(&"--rm");
            return match stays {
                true => Ok(true),
                false => patiently(self.done).map(|()| true),
            };
        }
        let interrupted = point.fault == Fault::Fail(libc::EINTR) && call.restarts();
        holds("an interrupted call is made again", !interrupted)?;
        holds("a short read or write goes on", point.fault != Fault::Short)?;
        holds(
            &format!("the exit code is one of netcell's: {code}"),
            [1, 125, 126, 127].contains(&code),
        )?;
        let lines: Vec<&str> = trace.errors.lines().collect();
        holds(
            "netcell says why",
            !lines.is_empty() && lines.iter().all(|line| line.starts_with("netcell: ")),
        )?;
        // A command that cannot be executed leaves its container created, as Docker does.
        let created = [126, 127].contains(&code);
        if created || leaves_it_to_the_next(point.fault, call) {
            return Ok(false);
        }
        // What was turned on stays on, and is told besides; so is what a container has to do without.
        let turned_on = |line: &&&str| line.starts_with("netcell: turned on net.");
        let reasons = lines.len() - lines.iter().filter(turned_on).count();
        // And who does many things has a sentence for each.
        let does_many = ["apply", "reconcile"].contains(&self.line[0]);
        let does_without = point.role.0.len() > 1 || does_many;
        holds(
            "netcell says why in one sentence",
            reasons == 1 || does_without,
        )?;
        let other = |or: fn() -> Verdict| patiently(or).is_ok();
        let first = !standing.holds("netcell0");
        let may_stay = |line: &str| may_stay(line, first);
        let lines = match self.or {
            Some(or) if other(or) => Vec::new(),
            _ => restored_but(standing, Duration::from_secs(5), &may_stay)
                .err()
                .unwrap_or_default(),
        };
        holds(
            &format!("it is as it was:\n    {}", lines.join("\n    ")),
            lines.is_empty(),
        )?;
        Ok(false)
    }

    /// The next command can do what it is asked to, and then the host is as it was before everything.
    fn settle(&self, baseline: &Snapshot) -> Verdict {
        self.bring_back()?;
        let mut left = restored(baseline, Duration::from_secs(3))
            .err()
            .unwrap_or_default();
        if !left.is_empty() && left.iter().all(|line| line.contains("/hosts/")) {
            self.names_are_renewed();
            left = restored(baseline, Duration::from_secs(3))
                .err()
                .unwrap_or_default();
        }
        holds(
            &format!("nothing is left:\n    {}", left.join("\n    ")),
            left.is_empty(),
        )
    }

    /// Where the others' names could not be brought up to date, which is said, the next change on their network does it.
    fn names_are_renewed(&self) {
        cell("create --name again").ok();
        cell("rm again").ok();
    }

    fn bring_back(&self) -> Verdict {
        for line in self.undo {
            let undone = netcell(line);
            holds(
                &format!("the next command succeeds: {undone:?}"),
                undone.code == 0 || says_gone(&undone),
            )?;
        }
        Ok(())
    }
}

/// What a failure may leave: the network of a first use; what a start derives from the records, and a container's own
/// log, which go with them.
fn may_stay(line: &str, first: bool) -> bool {
    let derived = [
        "sandboxes/web/hosts",
        "sandboxes/web/hostname",
        "sandboxes/web/resolv.conf",
        "containers/web/exit",
        "containers/web/log",
        "containers/web/attach",
    ];
    first && (is_first_uses(line) || line.contains("networks/bridge/"))
        || line.contains("/hosts/") && !line.contains("/hosts/.")
        || derived.iter().any(|file| line.ends_with(file))
}

/// What is tried at a call. A child makes hundreds of mounts one like the other, and whatever fails there is reported the
/// same way: of the errnos of each call it meets one, in turn.
fn faults(role: &Role, call: &Call) -> Vec<Fault> {
    let all = call.faults();
    let (errnos, others): (Vec<Fault>, Vec<Fault>) = all
        .into_iter()
        .partition(|fault| matches!(fault, Fault::Fail(errno) if *errno != libc::EINTR));
    if role.0.len() < 2 || errnos.is_empty() {
        return [errnos, others].concat();
    }
    let one = errnos[call.nth % errnos.len()];
    std::iter::once(one).chain(others).collect()
}

/// So many failures of one sweep are told before it ends.
fn most_failures() -> usize {
    std::env::var("NETCELL_FAILURES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(6)
}

/// What ends a moment later ends in time, too.
fn patiently(holds: fn() -> Verdict) -> Verdict {
    let started = Instant::now();
    loop {
        match holds() {
            Err(_) if started.elapsed() < Duration::from_millis(500) => {
                std::thread::sleep(Duration::from_millis(20))
            }
            verdict => return verdict,
        }
    }
}

/// Where what has run out does not come back, or there is no memory to go on with, the next command undoes it.
fn leaves_it_to_the_next(fault: Fault, call: &Call) -> bool {
    matches!(fault, Fault::FailOn(_)) || call.is(libc::SYS_mmap) || call.is(libc::SYS_mremap)
}

fn said(fault: Fault) -> String {
    match fault {
        Fault::Kill => "killed".to_owned(),
        Fault::Short => "half of it".to_owned(),
        Fault::Fail(errno) => std::io::Error::from_raw_os_error(errno).to_string(),
        Fault::FailOn(errno) => format!("{} from now on", std::io::Error::from_raw_os_error(errno)),
    }
}
