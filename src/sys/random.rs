//! Random ids, from getrandom(2).

use crate::error::{Error, Result};
use crate::types::{Id, IfName};
use rustix::io::retry_on_intr;
use rustix::rand::{GetRandomFlags, getrandom};

/// Bytes that nobody can guess and that no other object of any boot has.
fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    match retry_on_intr(|| getrandom(&mut bytes[..], GetRandomFlags::empty())) {
        // Up to 256 bytes come whole.
        Ok(_) => Ok(bytes),
        Err(errno) => Err(Error::os("read random bytes", errno)),
    }
}

/// A new id of 256 bits.
pub fn id() -> Result<Id> {
    bytes().map(Id)
}

/// A new name for a host's link: `nc` and ten hex digits, never derived from a sandbox's name.
pub fn link() -> Result<IfName> {
    let [a, b, c, d, e] = bytes()?;
    format!("nc{a:02x}{b:02x}{c:02x}{d:02x}{e:02x}").parse()
}
