//! Runs the tests: one process each, a few at a time, output shown only of those that fail.
//!
//! The runner has no thread, so that a forked test starts as clean as a new program: a user namespace cannot be
//! unshared by a process with two threads (unshare(2), EINVAL), and a lock held by another thread would stay locked.

use super::{boxes, sys};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::time::{Duration, Instant};

/// A test: a sentence that is its name, and a function that panics when the sentence is not true.
#[derive(Clone, Copy)]
pub struct Test {
    pub module: &'static str,
    pub name: &'static str,
    pub run: fn(),
    pub seconds: u64,
    pub root_only: Option<&'static str>,
    pub beside: Option<fn()>,
}

impl Test {
    pub const fn new(module: &'static str, name: &'static str, run: fn()) -> Self {
        Test {
            module,
            name,
            run,
            seconds: 60,
            root_only: None,
            beside: None,
        }
    }

    /// How long it may take.
    pub const fn seconds(mut self, seconds: u64) -> Self {
        self.seconds = seconds;
        self
    }

    /// What of it a normal user's user namespace cannot do.
    pub const fn root_only(mut self, why: &'static str) -> Self {
        self.root_only = Some(why);
        self
    }

    /// What is on the host before netcell is: it is no leak, and has to be there unchanged at the end.
    pub const fn beside(mut self, start: fn()) -> Self {
        self.beside = Some(start);
        self
    }

    /// `file::sentence`.
    pub fn title(&self) -> String {
        let file = self.module.rsplit("::").next().unwrap_or(self.module);
        format!("{file}::{}", self.name)
    }
}

/// Lists tests; each may be followed by what is special about it: `tests![a, b.seconds(300)]`.
#[macro_export]
macro_rules! tests {
    ($($name:ident $(. $special:ident ( $($value:expr),* ))*),* $(,)?) => {
        &[$($crate::harness::runner::Test::new(module_path!(), stringify!($name), $name)
            $(.$special($($value),*))*),*]
    };
}

/// What the command line asks for.
struct Options {
    filters: Vec<String>,
    jobs: usize,
    list: bool,
    show: bool,
}

const USAGE: &str = "usage: [-j JOBS] [--list] [--show-output] [FILTER…]; a test runs when its name holds any FILTER";

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let mut options = Options {
            filters: Vec::new(),
            jobs: cores.clamp(2, 4),
            list: false,
            show: false,
        };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => options.list = true,
                "--show-output" | "--nocapture" => options.show = true,
                "-j" | "--test-threads" => {
                    let jobs = arguments.next().and_then(|jobs| jobs.parse().ok());
                    options.jobs = jobs
                        .filter(|&jobs| jobs > 0)
                        .ok_or("-j wants a number of jobs")?;
                }
                short if short.starts_with("-j") => {
                    options.jobs = short[2..]
                        .parse()
                        .map_err(|_| "-j wants a number of jobs")?;
                }
                unknown if unknown.starts_with('-') => {
                    return Err(format!("unknown option {unknown}; {USAGE}"));
                }
                filter => options.filters.push(filter.to_owned()),
            }
        }
        Ok(options)
    }
}

/// A test under way.
struct Running {
    test: Test,
    pid: sys::Pid,
    output: File,
    started: Instant,
}

/// Runs what the command line asks for; the exit code is 1 when a test failed.
pub fn main(tests: &[&[Test]]) -> i32 {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(text) => {
            eprintln!("{text}");
            return 2;
        }
    };
    let wanted = |test: &Test| {
        let title = test.title();
        options.filters.is_empty() || options.filters.iter().any(|f| title.contains(f))
    };
    let chosen: Vec<Test> = tests
        .iter()
        .flat_map(|tests| tests.iter())
        .filter(|test| wanted(test))
        .copied()
        .collect();
    if options.list {
        for test in &chosen {
            println!("{}: test", test.title());
        }
        return 0;
    }
    let (chosen, left_out): (Vec<_>, Vec<_>) = chosen
        .into_iter()
        .partition(|test| sys::uid() == 0 || test.root_only.is_none());
    for test in left_out {
        let why = test.root_only.unwrap_or_default();
        println!("left out, root only: {} ({why})", test.title());
    }
    run_all(longest_first(chosen), &options)
}

/// Tests that may take long start first, so that the last one to end is a short one.
fn longest_first(mut tests: Vec<Test>) -> VecDeque<Test> {
    tests.sort_by_key(|test| std::cmp::Reverse(test.seconds));
    tests.into()
}

/// So few failures may be the load's doing: they are tried once more, one at a time, and both outcomes are shown.
const A_FEW: usize = 5;

fn run_all(waiting: VecDeque<Test>, options: &Options) -> i32 {
    sys::block_sigchld(true).expect("block SIGCHLD");
    let (mut passed, mut failed) = run_some(waiting, options.jobs, options.show);
    if options.jobs > 1 && (1..=A_FEW).contains(&failed.len()) {
        println!(
            "again, one at a time: {} that failed beside others",
            failed.len()
        );
        let (passed_alone, failed_again) = run_some(failed.into(), 1, options.show);
        passed += passed_alone;
        failed = failed_again;
    }
    for test in &failed {
        println!("failed: {}", test.title());
    }
    println!("{passed} passed, {} failed", failed.len());
    i32::from(!failed.is_empty())
}

/// Runs tests, at most `jobs` at a time: how many passed, and which failed.
fn run_some(mut waiting: VecDeque<Test>, jobs: usize, show: bool) -> (usize, Vec<Test>) {
    let mut running: Vec<Running> = Vec::new();
    let mut passed = 0;
    let mut failed = Vec::new();
    while !waiting.is_empty() || !running.is_empty() {
        while running.len() < jobs
            && let Some(test) = waiting.pop_front()
        {
            running.push(start(test).expect("start a test"));
        }
        sys::child_or_timeout(Duration::from_millis(200));
        while let Ok(Some((pid, ended))) = sys::wait_any(false) {
            let Some(place) = running.iter().position(|test| test.pid == pid) else {
                continue;
            };
            let done = running.swap_remove(place);
            let good = ended == sys::Ended::Code(0);
            if good {
                passed += 1;
            } else {
                failed.push(done.test);
            }
            report(done, good, show, ended);
        }
        running.iter_mut().for_each(stop_if_too_long);
    }
    (passed, failed)
}

fn start(test: Test) -> io::Result<Running> {
    let output = sys::memfd("output of a test")?;
    let output_of_child = output.try_clone()?;
    io::stdout().flush()?;
    let pid = sys::fork(move || {
        sys::block_sigchld(false).expect("unblock SIGCHLD");
        sys::die_with_parent().expect("tie the test to its runner");
        sys::setsid();
        for descriptor in [1, 2] {
            sys::dup_to(&output_of_child, descriptor).expect("catch the output");
        }
        let nothing = File::open("/dev/null").expect("open /dev/null");
        sys::dup_to(&nothing, 0).expect("close stdin");
        boxes::run_in_box(&test)
    })?;
    Ok(Running {
        test,
        pid,
        output,
        started: Instant::now(),
    })
}

/// One line a test; what it printed follows when it failed. Lines that begin with `note: ` are always shown.
fn report(mut done: Running, good: bool, show: bool, ended: sys::Ended) {
    let mut text = Vec::new();
    let read = done
        .output
        .rewind()
        .and_then(|()| done.output.read_to_end(&mut text));
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if let Err(error) = read {
        text.push_str(&format!("(the output cannot be read: {error})\n"));
    }
    let word = if good { "ok" } else { "FAILED" };
    let time = done.started.elapsed().as_secs_f32();
    println!("{word:6} {:6.2} s  {}", time, done.test.title());
    for line in text.lines() {
        if show || !good || line.starts_with("note: ") {
            println!("       | {line}");
        }
    }
    if let sys::Ended::Signal(signal) = ended {
        println!("       | ended by signal {signal}");
    }
}

fn stop_if_too_long(running: &mut Running) {
    let limit = Duration::from_secs(running.test.seconds);
    if running.started.elapsed() < limit {
        return;
    }
    let mut text = format!("stopped after {} s; its processes were:\n", limit.as_secs());
    for line in super::oracle::descendants(running.pid) {
        text.push_str(&format!("    {line}\n"));
    }
    let said = running.output.write_all(text.as_bytes());
    let killed = sys::kill(running.pid, libc::SIGKILL);
    if let Err(error) = said.and(killed) {
        println!("cannot stop {}: {error}", running.test.title());
    }
    // Once is enough: its end is reported like any other's.
    running.started = Instant::now();
}
