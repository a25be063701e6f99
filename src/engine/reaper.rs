//! Seeing off a removed sandbox's link.
//!
//! Dropping the last reference to a namespace costs nothing, and the kernel takes the links along within some 15 ms; a
//! RTM_DELLINK would make `rm` wait as long for it. But somebody else may hold the namespace (`nsenter`, an open
//! descriptor): then the link would stay. So a process of its own looks after it once the kernel had its time, and
//! deletes it by force.

use crate::engine::Silence;
use crate::engine::execute::{self, Sockets};
use crate::engine::plan::Plan;
use crate::error::{Error, Result};
use crate::kernel::link;
use crate::sys::{fd, process};
use crate::types::IfName;
use std::time::Duration;

/// What the kernel gets to do it by itself; `rm` promises that links are gone within 100 ms.
const GRACE: Duration = Duration::from_millis(50);

/// Returns at once; the link is gone within 100 ms.
pub(super) fn see_off(link: IfName) -> Result<()> {
    let child = process::fork(|| {
        // Whoever reads this command's output must not wait for this process, nor a lock for it.
        fd::close_from(0, &[]);
        let _ = rustix::process::setsid();
        std::thread::sleep(GRACE);
        if link::exists(&link) {
            let plan = Plan::of(link::DelLink::veth(link));
            execute::teardown(&plan, &mut Sockets::new(), &mut Silence).ok();
        }
        0
    });
    child.map(drop).map_err(|errno| Error::os("fork", errno))
}
