//! Seeing off what a removed sandbox leaves to the kernel: its link, and the connections through its ports.
//!
//! Dropping the last reference to a namespace costs nothing, and the kernel takes the links along within some 15 ms; a
//! RTM_DELLINK would make `rm` wait as long for it. But somebody else may hold the namespace (`nsenter`, an open
//! descriptor): then the link would stay. So a process of its own looks after it once the kernel had its time, and
//! deletes it by force. The same process forgets the connections: to find them the kernel walks all of its table, and a
//! packet that met a port on its last tick would have made a new one behind an earlier walk.

use crate::engine::Silence;
use crate::engine::execute::{self, Sockets};
use crate::engine::plan::Plan;
use crate::engine::record::SandboxRecord;
use crate::engine::sandbox;
use crate::kernel::link;
use crate::sys::{fd, process, time};
use crate::types::IfName;
use std::time::Duration;

/// What the kernel gets to do it by itself; `rm` promises that links are gone within 100 ms.
const GRACE: Duration = Duration::from_millis(50);

/// Two ticks of the kernel's clock at 100 Hz: by then no packet meets a port that was let run out.
const TICKS: Duration = Duration::from_millis(20);

/// What is left of the sandboxes that a command removed.
#[derive(Debug, Default)]
#[must_use = "a link that somebody else's descriptor holds would stay"]
pub struct Leaving {
    links: Vec<IfName>,
    connections: Plan,
}

impl Leaving {
    pub(super) fn push(&mut self, sandbox: &SandboxRecord) {
        self.links.extend(
            sandbox
                .endpoint
                .iter()
                .map(|endpoint| endpoint.link.clone()),
        );
        self.connections.extend(sandbox::forget(sandbox));
    }

    /// More of them.
    pub fn extend(&mut self, other: Leaving) {
        self.links.extend(other.links);
        self.connections.extend(other.connections);
    }

    /// The last thing that a command does: every descriptor is closed, so that whoever reads its output need not wait
    /// for the process that stays behind, nor for it to be made.
    pub fn end(self) {
        if !self.links.is_empty() {
            fd::close_from(0, &[]);
            self.see_off();
        }
    }

    /// Leaves a process behind; within 100 ms of the removal the links are gone.
    pub(super) fn see_off(self) {
        if self.links.is_empty() {
            return;
        }
        // Where no process can be made, the next command that wants the address deletes the link.
        let _ = process::fork(move || {
            fd::close_from(0, &[]);
            let _ = rustix::process::setsid();
            let sockets = &mut Sockets::new();
            time::sleep(TICKS);
            execute::teardown(&self.connections, sockets, &mut Silence).ok();
            time::sleep(GRACE - TICKS);
            for link in self.links.into_iter().filter(link::exists) {
                let plan = Plan::of(link::DelLink::veth(link));
                execute::teardown(&plan, sockets, &mut Silence).ok();
            }
            0
        });
    }
}
