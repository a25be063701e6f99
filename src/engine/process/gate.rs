//! The gates: what holds a program back until its container is committed, a word of one byte each.
//!
//! The command's gate leads to the monitor, the monitor's to the child. Whoever holds an end alone keeps the other from going on, and
//! a gate whose other end is gone says that, too: by its end.

use crate::sys::fd;
use rustix::fd::OwnedFd;
use rustix::io::{Errno, retry_on_intr};

/// The command's word to go on, which the monitor hands on to the child.
pub(super) const RELEASE: u8 = b'G';

/// The command's word with which it takes that back.
pub(super) const DISMISSAL: u8 = b'N';

/// The child's word that its program has not begun after all.
pub(super) const FAILURE: u8 = b'F';

/// What comes with the master of a terminal, from the child, and on to the command.
pub(super) const TERMINAL: u8 = b'T';

/// Says a word.
pub(super) fn say(gate: &OwnedFd, word: u8) -> Result<(), Errno> {
    fd::write_all(gate, &[word], None)
}

/// Waits for a word; none when nobody is left to say one.
pub(super) fn hear(gate: &OwnedFd) -> Option<u8> {
    let mut word = [0];
    let heard = retry_on_intr(|| rustix::io::read(gate, &mut word)) == Ok(1);
    heard.then_some(word[0])
}
