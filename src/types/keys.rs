//! The keys that leave a container's terminal without ending its program.

use crate::error::{Error, Result};
use std::str::FromStr;

/// The bytes that those keys send, at least one: ctrl-p and ctrl-q unless others are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys(Vec<u8>);

impl Default for DetachKeys {
    fn default() -> Self {
        DetachKeys(vec![16, 17])
    }
}

impl DetachKeys {
    /// The bytes, in the order in which the keys are pressed.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A byte of ASCII by its character, `ctrl-X`, or `DEL`.
fn byte(key: &str) -> Option<u8> {
    match (key.as_bytes(), key.strip_prefix("ctrl-").map(str::as_bytes)) {
        ([byte], _) if byte.is_ascii() => Some(*byte),
        (b"DEL", _) => Some(127),
        (_, Some([letter @ (b'@' | b'a'..=b'z' | b'[' | b'\\' | b']' | b'^' | b'_')])) => {
            Some(letter & 0x1f)
        }
        _ => None,
    }
}

impl FromStr for DetachKeys {
    type Err = Error;

    /// A list as in `ctrl-p,ctrl-q`; an empty one is Docker's way to say: as usual.
    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(DetachKeys::default());
        }
        let bytes = text.split(',').map(|key| {
            byte(key).ok_or_else(|| {
                Error::new(format_args!(
                    "invalid detach keys ({text}) provided: Unknown character: '{key}'"
                ))
            })
        });
        bytes.collect::<Result<_>>().map(DetachKeys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_characters_and_control_characters() {
        let keys = |text: &str| text.parse::<DetachKeys>().map(|keys| keys.0);
        assert_eq!(keys("ctrl-p,ctrl-q").expect("keys"), [16, 17]);
        assert_eq!(keys("").expect("keys"), [16, 17]);
        assert_eq!(
            keys("a,ctrl-\\,ctrl-@,DEL").expect("keys"),
            [b'a', 28, 0, 127]
        );
        for bad in ["ctrl-", "ctrl-P", "ab", "a,,b", "ctrl-1", "é"] {
            let error = keys(bad).expect_err(bad).to_string();
            assert!(error.starts_with("invalid detach keys ("), "{error}");
        }
    }
}
