//! Seeing off the links of removed sandboxes.
//!
//! Dropping the last reference to a namespace costs nothing, and the kernel takes the links along within some 15 ms; a
//! RTM_DELLINK would make `rm` wait as long for it. But somebody else may hold the namespace (`nsenter`, an open
//! descriptor): then the link would stay. So a process of its own looks after it once the kernel had its time, and
//! deletes it by force.

use crate::engine::Silence;
use crate::engine::execute::{self, Sockets};
use crate::engine::plan::Plan;
use crate::kernel::link;
use crate::sys::{fd, process};
use crate::types::IfName;
use std::time::Duration;

/// What the kernel gets to do it by itself; `rm` promises that links are gone within 100 ms.
const GRACE: Duration = Duration::from_millis(50);

/// The links of the sandboxes that a command removed.
#[derive(Debug, Default)]
#[must_use = "a link that somebody else's descriptor holds would stay"]
pub struct Leaving(Vec<IfName>);

impl Leaving {
    pub(super) fn push(&mut self, link: IfName) {
        self.0.push(link);
    }

    /// More of them.
    pub fn extend(&mut self, other: Leaving) {
        self.0.extend(other.0);
    }

    /// The last thing that a command does: every descriptor is closed, so that whoever reads its output need not wait
    /// for the process that stays behind.
    pub fn see_off_last(self) {
        if !self.0.is_empty() {
            fd::close_from(0, &[]);
            self.see_off();
        }
    }

    /// Returns at once; within 100 ms of the removal the links are gone.
    pub fn see_off(self) {
        if self.0.is_empty() {
            return;
        }
        // Where no process can be made, the next command that wants the address deletes the link.
        let _ = process::fork(move || {
            fd::close_from(0, &[]);
            let _ = rustix::process::setsid();
            std::thread::sleep(GRACE);
            for link in self.0.into_iter().filter(link::exists) {
                let plan = Plan::of(link::DelLink::veth(link));
                execute::teardown(&plan, &mut Sockets::new(), &mut Silence).ok();
            }
            0
        });
    }
}
