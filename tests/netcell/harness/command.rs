//! Commands and what they answered: netcell's, and those of the programs that judge it.

use super::boxes::BINARY;
use super::{image, sys};
use serde_json::Value;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a command may take before the test gives up on it.
const PATIENCE: Duration = Duration::from_secs(40);

/// What a command answered. A death by signal n is the code 128 + n.
#[derive(Clone, PartialEq, Eq)]
pub struct Output {
    pub line: String,
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "$ {}\nexit {}", self.line, self.code)?;
        for (name, text) in [("out", &self.stdout), ("err", &self.stderr)] {
            text.lines()
                .try_for_each(|line| writeln!(f, "{name}: {line}"))?;
        }
        Ok(())
    }
}

impl Output {
    /// Exit code 0; what it printed without the last newline.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "should succeed: {self:?}");
        self.stdout.trim_end_matches('\n').to_owned()
    }

    /// As [`ok`](Self::ok), and nothing on stderr.
    #[track_caller]
    pub fn quiet(self) -> String {
        assert_eq!(self.stderr, "", "should say nothing: {self:?}");
        self.ok()
    }

    /// This exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "should exit with {code}: {self:?}");
        self
    }

    /// A refusal: this exit code and one sentence on stderr that holds every one of `words`. Returns the sentence.
    #[track_caller]
    pub fn refused(self, code: i32, words: &[&str]) -> String {
        assert_eq!(self.code, code, "should exit with {code}: {self:?}");
        let sentence = self.sentence();
        assert_eq!(
            sentence.lines().count(),
            1,
            "should say one sentence: {self:?}"
        );
        assert!(
            sentence.starts_with("netcell: "),
            "should begin with netcell: {self:?}"
        );
        assert!(!sentence.contains("panicked"), "should not panic: {self:?}");
        for word in words {
            let said = sentence.to_lowercase().contains(&word.to_lowercase());
            assert!(said, "should name {word:?}: {self:?}");
        }
        sentence
    }

    /// What it said on stderr, but for the note of a first use and the pointer to --help.
    fn sentence(&self) -> String {
        let lines = self.stderr.lines();
        let own = lines.filter(|line| {
            !line.starts_with("netcell: turned on net.ipv4.ip_forward")
                && !line.starts_with("Run 'netcell ")
        });
        own.collect::<Vec<_>>().join("\n")
    }

    /// stdout as JSON.
    #[track_caller]
    pub fn json(self) -> Value {
        let text = self.clone().ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }
}

/// A netcell command that has not started yet.
pub fn netcell_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).stdin(Stdio::null());
    command
        .env("NETCELL_IMAGES", image::IMAGES)
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env_remove("NETCELL_ROOT");
    command
}

/// Runs netcell to its end.
#[track_caller]
pub fn netcell(arguments: &[&str]) -> Output {
    finish(netcell_command(arguments), "")
}

/// A command line as one would type it; only spaces separate words.
#[track_caller]
pub fn cell(line: &str) -> Output {
    let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
    netcell(&words)
}

/// Runs netcell with something on its stdin.
#[track_caller]
pub fn netcell_with(arguments: &[&str], stdin: &str) -> Output {
    finish(netcell_command(arguments), stdin)
}

/// Runs a command to its end, with `stdin` written to it.
///
/// It has ended when its process has: a descriptor of its stdout or stderr that lives on in another process is an error
/// of its own, because `id=$(netcell run -d …)` in a script would hang.
#[track_caller]
pub fn finish(mut command: Command, stdin: &str) -> Output {
    let line = line_of(&command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if !stdin.is_empty() {
        command.stdin(Stdio::piped());
    }
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {line}: {error}"));
    if let Some(mut pipe) = child.stdin.take() {
        // A command that does not read its stdin is no error here.
        let _ = pipe.write_all(stdin.as_bytes());
    }
    collect(child, line)
}

/// Waits for a child's end and takes what it printed.
#[track_caller]
pub fn collect(mut child: Child, line: String) -> Output {
    let mut pipes: Vec<Box<dyn Pipe>> = Vec::new();
    pipes.extend(
        child
            .stdout
            .take()
            .map(|pipe| Box::new(pipe) as Box<dyn Pipe>),
    );
    pipes.extend(
        child
            .stderr
            .take()
            .map(|pipe| Box::new(pipe) as Box<dyn Pipe>),
    );
    let mut texts = vec![Vec::new(); pipes.len()];
    let mut open: Vec<usize> = (0..pipes.len()).collect();
    let started = Instant::now();
    let mut ended: Option<Instant> = None;
    while !open.is_empty() {
        let descriptors: Vec<_> = open.iter().map(|&i| pipes[i].as_raw_fd()).collect();
        step(
            "poll",
            sys::readable(&descriptors, Duration::from_millis(20)),
        );
        open.retain(|&i| {
            if !step(
                "poll",
                sys::readable(&[pipes[i].as_raw_fd()], Duration::ZERO),
            ) {
                return true;
            }
            let mut part = [0; 65536];
            let got = step("read a command's output", pipes[i].read(&mut part));
            texts[i].extend_from_slice(&part[..got]);
            got > 0
        });
        if ended.is_none() && child.try_wait().expect("wait").is_some() {
            ended = Some(Instant::now());
        }
        let held = ended.is_some_and(|ended| ended.elapsed() > Duration::from_secs(5));
        assert!(!held, "{line}: its output is held open after its end");
        if started.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("{line}: no end after {} s", PATIENCE.as_secs());
        }
    }
    let status = child.wait().expect("wait for a command");
    let mut texts = texts
        .into_iter()
        .map(|text| String::from_utf8_lossy(&text).into_owned());
    Output {
        line,
        stdout: texts.next().unwrap_or_default(),
        stderr: texts.next().unwrap_or_default(),
        code: status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
    }
}

/// A readable end of a pipe.
trait Pipe: Read + AsRawFd {}
impl<T: Read + AsRawFd> Pipe for T {}

pub fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let line = words.join(" ");
    line.replace(BINARY, "netcell")
}

/// Runs a program that has to succeed; its stdout.
#[track_caller]
pub fn must(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    finish(command, "").ok()
}

/// Runs a program, whatever comes of it.
#[track_caller]
pub fn any(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    finish(command, "")
}

/// A background process that is killed when the test lets go of it.
pub struct Background(pub Child);

impl Background {
    #[track_caller]
    pub fn spawn(command: &mut Command) -> Self {
        let line = line_of(command);
        let child = command.spawn();
        Background(child.unwrap_or_else(|error| panic!("cannot start {line}: {error}")))
    }

    pub fn pid(&self) -> sys::Pid {
        self.0.id().cast_signed()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many containers `ps -a` lists.
#[track_caller]
pub fn containers() -> usize {
    let list = netcell(&["ps", "-a"]).ok();
    list.lines().count() - 1
}

/// Waits until something holds, at most 10 s.
#[track_caller]
pub fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    wait_within(Duration::from_secs(10), what, holds);
}

/// Waits until something holds, at most for `time`: a look that began by then counts, however long it takes.
#[track_caller]
pub fn wait_within(time: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    loop {
        let late = started.elapsed() > time;
        if holds() {
            return;
        }
        assert!(!late, "not so after {} ms: {what}", time.as_millis());
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// The io::Result of a step of the test itself.
#[track_caller]
pub fn step<T>(what: &str, result: io::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("cannot {what}: {error}"))
}
