//! 256-bit random ids, written as 64 hex digits: containers, sandboxes, networks, endpoints.

use crate::error::{Error, Result};
use crate::types::json::json_text;
use std::fmt;
use std::str::FromStr;

/// A random id of 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; 32]);

impl Id {
    /// The id that always belongs to these words: four FNV-1a hashes of 64 bits (draft-eastlake-fnv), each begun anew.
    pub fn derived(words: &[&str]) -> Self {
        let mut bytes = [0; 32];
        for (salt, part) in bytes.chunks_mut(8).enumerate() {
            let text = words.iter().flat_map(|word| word.bytes().chain([0]));
            let salted = std::iter::once(salt as u8).chain(text);
            let hash = salted.fold(0xcbf2_9ce4_8422_2325_u64, |h, byte| {
                (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
            });
            part.copy_from_slice(&hash.to_be_bytes());
        }
        Id(bytes)
    }

    /// The first 12 digits, as lists show it.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl FromStr for Id {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::new(format_args!("{text} is not an id of 64 hex digits"));
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Id(bytes))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

json_text!(Id = Id([0; 32]));
