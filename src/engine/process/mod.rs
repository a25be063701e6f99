//! A container's processes: how they begin, what they may do, who watches them, how others join them.
//!
//! `run` is three processes in a chain: the command forks a *monitor* in a session of its own, the monitor clones the
//! *child* into new PID, mount, UTS and IPC namespaces. The child executes a sealed copy of netcell in memory, builds
//! its root, gives up its privileges, reports that it is ready, and waits. The command commits its record and releases
//! it: one byte to the monitor, one from there to the child, which executes the container's program. Each holds only
//! its own ends of the two gates, so the death of one before the release ends the next, and nothing is left behind.
//! Whether the program has begun the command decides: until it knows, it can take its release back.
//!
//! A container never holds a descriptor of the host's: its stdio are pipes and /dev/null, or a new terminal of its own
//! devpts, whoever started it.

mod attach;
mod bare;
pub mod child;
mod door;
mod enter;
mod escape;
mod etc;
mod feed;
mod gate;
mod handle;
mod init;
mod line;
mod lines;
pub mod log;
mod monitor;
mod pipe;
mod program;
mod report;
pub mod rootfs;
mod spawn;
mod users;
mod visit;

pub use attach::Attended;
pub use bare::{Bare, enter_bare};
pub use enter::enter;
pub use etc::{EtcFiles, rebind};
pub use handle::Handle;
pub use lines::{Attach, Stdin};
pub use monitor::Hook;
pub use spawn::{Running, Spawn, Spawned, spawn};
pub use visit::{unwatched, visit};

use crate::engine::settings::Settings;
use crate::sys::limits::Limit;
use crate::sys::pty::Size;
use crate::types::json::json_object;
use std::path::PathBuf;

/// A program to execute, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    /// `KEY=VALUE` entries, later ones winning. PATH, HOSTNAME and HOME are added where they are missing.
    pub env: Vec<String>,
    /// Working directory; the root when absent.
    pub cwd: Option<String>,
    /// `USER[:GROUP]`, looked up in the container's own /etc/passwd and /etc/group; root when absent.
    pub user: Option<String>,
    /// The container's UTS host name.
    pub hostname: String,
    /// The size of its terminal (rows, columns), if it gets one.
    pub terminal: Option<Size>,
    /// Its capabilities, a bit each, while it is root; at most these, once it is not.
    pub capabilities: u64,
    /// It may gain others by executing a program.
    pub new_privileges: bool,
    /// Groups beyond the user's own, names or numbers.
    pub groups: Vec<String>,
    /// Resource limits: of `exec`, the container's; none for the caller's own.
    pub limits: Vec<Limit>,
}
json_object!(Program {
    argv,
    env,
    cwd,
    user,
    hostname,
    terminal,
    capabilities,
    new_privileges,
    groups,
    limits
});

/// All that a container's first process has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildSpec {
    /// What it becomes.
    pub program: Program,
    /// The image's directory; `/` is the host's own root.
    pub image: PathBuf,
    /// The container's directory in the state directory. In the container's mount namespace alone, its writable layer
    /// is mounted over it; nothing of that remains on the host.
    pub stage: PathBuf,
    /// Directories that `/` as an image is not to show: the state directory, /run/netns.
    pub hidden: Vec<PathBuf>,
    /// The sandbox's pin, which exists when the child is spawned; none with `--network host`.
    pub netns: Option<PathBuf>,
    /// The sandbox's files.
    pub etc: EtcFiles,
    /// What else it is set to; none for nothing.
    pub settings: Option<Settings>,
    /// Whether each mount is to be said as it is done.
    pub verbose: bool,
}
json_object!(ChildSpec {
    program,
    image,
    stage,
    hidden,
    netns,
    etc,
    settings,
    verbose
});

impl ChildSpec {
    /// What it is set to.
    fn settings(&self) -> &Settings {
        self.settings.as_ref().unwrap_or(Settings::NONE)
    }
}
