//! The watcher: one process of the host hears what is taken away of netcell's objects, and has it made again.
//!
//! Every monitor, and `reconcile --watch`, stands for election: who gets the lock of `watch/lock` watches, for five hundred
//! listeners would make each `create` twice as dear. The others hold the reading end of a FIFO that the watcher alone
//! writes to: its death hangs it up, and they elect anew. So no process waits for another by polling.
//!
//! What is heard is let be for a moment, so that a burst is one repair and nobody is woken for each message. A repair is
//! `netcell:reconcile`, executed anew: the monitor has none of its memory. Where somebody takes away again and again what
//! was made again the pauses grow to a minute, and `watch/trouble` says who it is until then.

mod pace;

use crate::engine::restart::{anew, places};
use crate::engine::spec::Places;
use crate::engine::store::Directory;
use crate::engine::{Depth, Engine, Run, Say, Silence};
use crate::error::{Error, Result};
use crate::kernel::notice::Notices;
use crate::sys::fd::is_ready;
use crate::sys::lock::{self, Hold};
use crate::sys::{process, signal};
use pace::Pace;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, mknodat};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

/// `argv[0]` of a repair: `main` calls [`main`] when it sees it.
pub const NAME: &str = "netcell:reconcile";

/// How long what is heard is let be; but for tables, chains and rules. With the last rule the kernel lets go of connections and
/// their translated addresses, and answers what comes in for them with a reset: each millisecond counts.
const BURST: Duration = Duration::from_millis(100);

/// The winner of an election has opened the FIFO by then, or is dead.
const ELECTION: Duration = Duration::from_millis(100);

const LOCK: &str = "watch/lock";
const FIFO: &str = "watch/fifo";

/// One who stands for election, and watches when elected.
pub struct Watcher {
    places: Places,
    root: Directory,
    seat: Seat,
}

enum Seat {
    /// Another one watches.
    Waiting {
        /// Hung up when it dies.
        fifo: OwnedFd,
        /// When to look once more whether there is one.
        again: Option<Instant>,
    },
    Taken(Box<Watch>),
    /// This process cannot hear what is to be heard.
    Unfit,
}

struct Watch {
    notices: Notices,
    /// When to hear what has been told.
    due: Option<Instant>,
    /// Something is lost.
    wanted: bool,
    repair: Option<Repair>,
    pace: Pace,
    _lock: OwnedFd,
    _fifo: OwnedFd,
}

/// A repair under way.
struct Repair {
    pid: Pid,
    pidfd: OwnedFd,
    began: Instant,
}

impl Watcher {
    /// Stands for election; none where the state directory is gone.
    pub fn stand(places: &Places) -> Option<Self> {
        let root = Directory::open(&places.state).ok()?;
        root.make("watch").ok()?;
        let fifo = listen(&root).ok()?;
        let mut watcher = Watcher {
            places: places.clone(),
            root,
            seat: Seat::Waiting { fifo, again: None },
        };
        if !watcher.elect(None) {
            watcher.wait_again();
        }
        Some(watcher)
    }

    /// Takes the seat if it is free: whether it was. `due` is when to look at once what the last one may have missed.
    fn elect(&mut self, due: Option<Instant>) -> bool {
        let lock = self.root.open_lock(LOCK).ok();
        let Some(lock) = lock.filter(|lock| lock::try_lock(lock, Hold::Exclusive) == Ok(true))
        else {
            return false;
        };
        // Read, too: else it could not be opened while nobody listens.
        let fifo = self.root.open_file(FIFO, OFlags::RDWR | OFlags::NONBLOCK);
        self.seat = match (fifo, Notices::open()) {
            (Ok(Some(fifo)), Ok(notices)) => Seat::Taken(Box::new(Watch {
                notices,
                due: None,
                wanted: due.is_some(),
                repair: None,
                pace: Pace::new(),
                _lock: lock,
                _fifo: fifo,
            })),
            _ => Seat::Unfit,
        };
        true
    }

    /// Waits for the end of whoever was quicker, who may not have opened the FIFO yet.
    fn wait_again(&mut self) {
        self.seat = match listen(&self.root) {
            Ok(fifo) => Seat::Waiting {
                fifo,
                again: Some(Instant::now() + ELECTION),
            },
            Err(_) => Seat::Unfit,
        };
    }

    /// What to wait for, besides [`Watcher::due`].
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let (mut fds, watch) = (
            [None; 3],
            match &self.seat {
                Seat::Taken(watch) => Some(watch),
                _ => None,
            },
        );
        if let Seat::Waiting { fifo, .. } = &self.seat {
            fds[0] = Some(fifo.as_fd());
        }
        if let Some(watch) = watch {
            fds[0] = watch.repair.as_ref().map(|repair| repair.pidfd.as_fd());
            // While a burst is let be it wakes nobody.
            if watch.due.is_none() {
                let [route, tables] = watch.notices.descriptors();
                (fds[1], fds[2]) = (Some(route), Some(tables));
            }
        }
        fds.into_iter().flatten()
    }

    /// In how long it wants to be called though nothing happens.
    pub fn due(&self) -> Option<Duration> {
        let due = match &self.seat {
            Seat::Waiting { again, .. } => *again,
            Seat::Taken(watch) => watch.due,
            Seat::Unfit => None,
        };
        due.map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// Whether it watches itself.
    pub fn is_elected(&self) -> bool {
        matches!(self.seat, Seat::Taken(_))
    }

    /// Does what is to be done when one of the descriptors is ready or the time has come.
    pub fn step(&mut self, say: &mut dyn Say) {
        let now = Instant::now();
        match &mut self.seat {
            Seat::Waiting { fifo, again } => {
                let dead = is_ready(fifo.as_fd(), PollFlags::IN);
                let late = again.is_some_and(|again| again <= now);
                if !dead && !late {
                    return;
                }
                *again = None;
                if !self.elect(Some(now)) && dead {
                    self.wait_again();
                } else if let Seat::Taken(watch) = &mut self.seat {
                    watch.step(&self.places, &self.root, say);
                }
            }
            Seat::Taken(watch) => watch.step(&self.places, &self.root, say),
            Seat::Unfit => {}
        }
    }
}

/// Opens the FIFO that the watcher's death hangs up.
fn listen(root: &Directory) -> Result<OwnedFd> {
    let mode = Mode::RUSR | Mode::WUSR;
    match mknodat(root, FIFO, FileType::Fifo, mode, 0) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(root.error("make", FIFO, errno)),
    }
    // One that is opened while nobody writes is not hung up before somebody has (pipe_poll in fs/pipe.c).
    let fifo = root.open_file(FIFO, OFlags::RDONLY | OFlags::NONBLOCK)?;
    fifo.ok_or_else(|| root.error("open", FIFO, Errno::NOENT))
}

impl Watch {
    fn step(&mut self, places: &Places, root: &Directory, say: &mut dyn Say) {
        let now = Instant::now();
        if let Some(repair) = self
            .repair
            .take_if(|repair| is_ready(repair.pidfd.as_fd(), PollFlags::IN))
        {
            let code = process::wait(repair.pid).unwrap_or(FAILED);
            self.wanted |= self.pace.after(code, now.duration_since(repair.began), now);
            if code & REPAIRED != 0 {
                self.tell(root, say);
            }
        }
        if self.due.is_none()
            && self
                .notices
                .descriptors()
                .into_iter()
                .any(|fd| is_ready(fd, PollFlags::IN))
        {
            let torn = self.notices.hear();
            self.due = Some(if torn { now } else { now + BURST });
        }
        if self.due.is_some_and(|due| due <= now) {
            let (lost, again) = self.notices.look();
            self.wanted |= lost;
            self.due = again.then(|| now + BURST);
        }
        if !self.wanted || self.repair.is_some() {
            return;
        }
        if now < self.pace.next {
            self.due = Some(
                self.due
                    .map_or(self.pace.next, |due| due.min(self.pace.next)),
            );
            return;
        }
        self.wanted = false;
        match begin(places) {
            Ok((pid, pidfd)) => {
                self.repair = Some(Repair {
                    pid,
                    pidfd,
                    began: now,
                })
            }
            Err(_) => self.wanted = self.pace.after(FAILED, Duration::ZERO, now),
        }
    }

    /// Says what was made again, and who is at it where that happens again and again.
    fn tell(&mut self, root: &Directory, say: &mut dyn Say) {
        let by = self.notices.by();
        let by = by.as_deref().unwrap_or("somebody");
        match self.pace.trouble(by) {
            Some(trouble) => {
                say.note(&trouble.sentence);
                root.write_json(TROUBLE, &trouble).ok();
            }
            None => say.note(&format_args!("made again what {by} had taken away")),
        }
    }
}

const TROUBLE: &str = "watch/trouble";

/// What a repair's exit code consists of.
const FAILED: u8 = 1;
const REPAIRED: u8 = 2;
const SKIPPED: u8 = 4;

/// Begins a repair, which has none of this process's descriptors.
fn begin(places: &Places) -> Result<(Pid, OwnedFd), Errno> {
    let child = process::fork(|| {
        let words = [
            NAME.as_bytes(),
            places.state.as_os_str().as_bytes(),
            places.images.as_os_str().as_bytes(),
        ];
        anew(&words)
    })?;
    let pidfd = rustix::process::pidfd_open(child, PidfdFlags::empty());
    if pidfd.is_err() {
        // Nobody would hear of its end: another one is begun a little later.
        let _ = rustix::process::kill_process(child, Signal::KILL);
        let _ = process::wait(child);
    }
    Ok((child, pidfd?))
}

/// The whole of a repair: `words` are what [`begin`] gave it, without the first.
pub fn main(mut words: impl Iterator<Item = OsString>) -> u8 {
    signal::reset();
    signal::ignore_broken_pipes();
    let Some(places) = places(&mut words) else {
        return FAILED;
    };
    let run = &mut Run {
        say: &mut Silence,
        dry_run: false,
    };
    let Ok(engine) = Engine::open(&places, run) else {
        return FAILED;
    };
    let done = engine.reconcile(Depth::Host, run);
    engine.leaving().see_off();
    match done {
        Ok(done) => {
            let bit = |bit, is: bool| if is { bit } else { 0 };
            bit(FAILED, !done.errors.is_empty())
                | bit(REPAIRED, !done.is_empty())
                | bit(SKIPPED, !done.skipped.is_empty())
        }
        Err(_) => FAILED,
    }
}

/// Watches, or waits to, until SIGTERM or SIGINT comes: `reconcile --watch`.
pub fn stay(places: &Places, say: &mut dyn Say) -> Result<()> {
    const ENDS: [Signal; 4] = [Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP];
    let run = &mut Run {
        say,
        dry_run: false,
    };
    // First of all what was lost before; and whether this may be done at all.
    let engine = Engine::open(places, run)?;
    engine.reconcile(Depth::Whole, run)?;
    engine.leaving().see_off();
    drop(engine);
    let unfit = || Error::new("cannot listen to the kernel's notifications of links and rules");
    let failed = |errno| Error::os("wait for the kernel's notifications", errno);
    let all = signal::Set::all();
    let signals = all.descriptor().map_err(failed)?;
    all.block();
    let mut watcher = Watcher::stand(places).ok_or_else(unfit)?;
    if !watcher.is_elected() {
        run.say
            .note(&"another process watches already; this one takes its place when it ends");
    }
    loop {
        if let Seat::Unfit = watcher.seat {
            return Err(unfit());
        }
        let mut fds = vec![PollFd::new(&signals, PollFlags::IN)];
        let others = watcher.descriptors();
        fds.extend(others.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let due = watcher.due().and_then(|due| Timespec::try_from(due).ok());
        match poll(&mut fds, due.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
        while let Some(number) = signal::next(&signals) {
            if ENDS.iter().any(|signal| signal.as_raw() == number) {
                return Ok(());
            }
        }
        watcher.step(run.say);
    }
}

impl Engine {
    /// Why the watcher waits before it mends again, while it does.
    pub fn watcher_trouble(&self) -> Option<String> {
        let trouble = self.store.root.read_json::<pace::Trouble>(TROUBLE).ok()??;
        trouble.lasts().then_some(trouble.sentence)
    }
}
