//! Names of containers, sandboxes and networks, and of network interfaces.

use crate::error::{Error, Result};
use crate::types::json::json_text;
use heapless::String;
use std::fmt;
use std::str::FromStr;

/// A container's, sandbox's or network's name: 2 to 63 characters, `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, Docker's alphabet.
///
/// 63 is the length of a DNS label (RFC 1035, 2.3.4), because sandboxes find each other by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String<63>);

impl Name {
    /// The longest name, in bytes.
    pub const MAX: usize = 63;

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bytes = text.as_bytes();
        if bytes.len() > Self::MAX {
            return Err(Error::new(format_args!(
                "Invalid name ({text}): {} characters, at most {} are allowed",
                bytes.len(),
                Self::MAX
            )));
        }
        let head = bytes.first().is_some_and(u8::is_ascii_alphanumeric);
        let tail = bytes.len() >= 2
            && bytes
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(b));
        match String::try_from(text) {
            Ok(name) if head && tail => Ok(Name(name)),
            _ => Err(Error::new(format_args!(
                "Invalid container name ({text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, two characters or more"
            ))),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A network interface's name: 1 to 15 bytes, no slash, colon or white space, not `.` or `..`
/// (dev_valid_name in net/core/dev.c).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfName(String<15>);

impl IfName {
    /// The interface's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `lo`, which every network namespace has.
    pub fn lo() -> Self {
        IfName(String::try_from("lo").unwrap_or_default())
    }

    /// The name padded with NUL to IFNAMSIZ (16) bytes, as nf_tables keys want it.
    pub fn padded(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..self.0.len()].copy_from_slice(self.0.as_bytes());
        bytes
    }
}

impl FromStr for IfName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let allowed = |b: u8| b.is_ascii_graphic() && b != b'/' && b != b':';
        match String::try_from(text) {
            Ok(name)
                if !text.is_empty() && text != "." && text != ".." && text.bytes().all(allowed) =>
            {
                Ok(IfName(name))
            }
            _ => Err(Error::new(format_args!(
                "Invalid interface name ({text}): 1 to 15 printable characters without '/' and ':' are allowed"
            ))),
        }
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

json_text!(Name = Name(String::new()), IfName = IfName(String::new()));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dockers_and_at_most_63_long() {
        for good in ["ab", "web-1", "A.b_c", &"x".repeat(63)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "-ab",
            "bad/name",
            "ünicode",
            "a b",
            &"x".repeat(64),
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn interface_names_are_the_kernels() {
        assert!("eth0.100".parse::<IfName>().is_ok());
        for bad in ["", ".", "..", "a/b", "a:b", "a b", "sixteencharacter"] {
            assert!(bad.parse::<IfName>().is_err(), "{bad}");
        }
    }
}
