//! Somebody at a terminal: types, reads the screen, changes the window's size, pulls the plug.

use super::boxes::BINARY;
use super::command::{line_of, netcell_command, step};
use super::sys::{self, Pid};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// How long something may take to appear.
const PATIENCE: Duration = Duration::from_secs(15);

/// A terminal with a command on it, which is the leader of the terminal's session.
pub struct Typist {
    master: File,
    /// Kept open, so that the terminal's mode can be seen when the command has ended.
    slave: File,
    child: Child,
    line: String,
    /// What was read and not yet looked at.
    screen: String,
}

impl Typist {
    /// netcell on a new terminal of 24 rows and 80 columns.
    #[track_caller]
    pub fn netcell(arguments: &[&str]) -> Self {
        Self::at(netcell_command(arguments))
    }

    /// A command line as one would type it; only spaces separate words.
    #[track_caller]
    pub fn cell(line: &str) -> Self {
        Self::netcell(&line.split(' ').collect::<Vec<_>>())
    }

    /// netcell on a line that knows no size and is no session's terminal, as a serial console is to what an init starts.
    #[track_caller]
    pub fn on_a_serial_line(arguments: &[&str]) -> Self {
        Self::begin(netcell_command(arguments), |_| {}, (0, 0))
    }

    /// Busybox's shell on a terminal, where the lines are typed.
    #[track_caller]
    pub fn shell() -> Self {
        let mut shell = Command::new("busybox");
        shell.args(["sh", "-i"]).env("PS1", "host% ");
        shell.env("NETCELL_IMAGES", super::image::IMAGES);
        shell.env_remove("NETCELL_ROOT").env_remove("ENV");
        let mut typist = Self::at(shell);
        typist.prompt();
        typist.says(&format!("netcell() {{ command {BINARY} \"$@\"; }}"));
        typist
    }

    #[track_caller]
    fn at(command: Command) -> Self {
        Self::begin(command, sys::lead_session, (24, 80))
    }

    #[track_caller]
    fn begin(mut command: Command, session: fn(&mut Command), (rows, columns): (u16, u16)) -> Self {
        let line = line_of(&command);
        let (master, slave) = step("open a terminal", sys::terminal());
        step("set its size", sys::resize(&master, rows, columns));
        for put in [Command::stdin, Command::stdout, Command::stderr] {
            put(&mut command, step("dup", slave.try_clone()));
        }
        session(&mut command);
        let child = step("start a command on a terminal", command.spawn());
        Typist {
            master,
            slave,
            child,
            line,
            screen: String::new(),
        }
    }

    pub fn pid(&self) -> Pid {
        self.child.id().cast_signed()
    }

    #[track_caller]
    pub fn types(&mut self, keys: &str) {
        step("type", self.master.write_all(keys.as_bytes()));
    }

    /// Waits until this is on the screen; what came before it, which is then forgotten with it.
    #[track_caller]
    pub fn sees(&mut self, what: &str) -> String {
        let started = Instant::now();
        loop {
            if let Some(at) = self.screen.find(what) {
                let before = self.screen[..at].to_owned();
                self.screen.drain(..at + what.len());
                return before;
            }
            let late = started.elapsed() > PATIENCE;
            assert!(!late, "{}: {what:?} is not in {:?}", self.line, self.screen);
            self.reads();
        }
    }

    /// Waits for the prompt of busybox's shell, whose editor then asks for the cursor's position.
    #[track_caller]
    pub fn prompt(&mut self) -> String {
        self.sees("\x1b[6n")
    }

    /// Types a line at the prompt; what is printed until the next one.
    #[track_caller]
    pub fn says(&mut self, line: &str) -> String {
        self.types(line);
        self.types("\r");
        self.prompt()
    }

    /// Reads what is there, or comes in a moment.
    fn reads(&mut self) {
        let fd = self.master.as_raw_fd();
        if !step("poll", sys::readable(&[fd], Duration::from_millis(20))) {
            return;
        }
        let mut part = [0; 4096];
        match self.master.read(&mut part) {
            Ok(got) => {
                let text = String::from_utf8_lossy(&part[..got]);
                self.screen.push_str(&text);
            }
            // Nobody has the terminal open (EIO).
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(_) => {}
        }
    }

    #[track_caller]
    pub fn resizes(&self, rows: u16, columns: u16) {
        step("change the size", sys::resize(&self.master, rows, columns));
    }

    /// Whether keys come line by line and are echoed, as a shell leaves its terminal.
    pub fn is_cooked(&self) -> bool {
        step("ask for the mode", sys::is_cooked(&self.slave))
    }

    /// Takes the terminal away: nobody reads it any more, and the command is not waited for.
    pub fn pulls_the_plug(self) {
        let Typist { master, slave, .. } = &self;
        let null = step("open /dev/null", File::open("/dev/null"));
        for end in [slave, master] {
            step("close a terminal", sys::dup_to(&null, end.as_raw_fd()));
        }
        let started = Instant::now();
        let mut typist = self;
        while step("wait", typist.child.try_wait()).is_none() {
            let late = started.elapsed() > PATIENCE;
            assert!(!late, "{}: lives on without its terminal", typist.line);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the command's end: its exit code, and what is left on the screen.
    #[track_caller]
    pub fn ends(mut self) -> (i32, String) {
        let started = Instant::now();
        let status = loop {
            self.reads();
            if let Some(status) = step("wait", self.child.try_wait()) {
                break status;
            }
            let late = started.elapsed() > PATIENCE;
            assert!(!late, "{}: does not end: {:?}", self.line, self.screen);
        };
        self.reads();
        assert!(self.is_cooked(), "{}: leaves the terminal raw", self.line);
        use std::os::unix::process::ExitStatusExt;
        let code = status.code().or(status.signal().map(|signal| 128 + signal));
        (code.unwrap_or(-1), std::mem::take(&mut self.screen))
    }
}

impl Drop for Typist {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
