//! The keys that detach, found in what is typed.

use crate::types::DetachKeys;

/// A filter for what is typed: it holds back what may become the keys, and lets it go when it does not.
pub(super) struct Escape {
    keys: Vec<u8>,
    /// How many of the keys have been typed.
    seen: usize,
}

impl Escape {
    /// Looks for these keys.
    pub fn new(keys: &DetachKeys) -> Self {
        Escape {
            keys: keys.bytes().to_vec(),
            seen: 0,
        }
    }

    /// Adds to `out` what is for the program; true when the keys are complete, and nothing after them counts.
    pub fn pass(&mut self, typed: &[u8], out: &mut Vec<u8>) -> bool {
        for &byte in typed {
            if byte != self.keys[self.seen] {
                // The first key again may begin them anew; no other start can lie inside what was held back but of
                // keys that repeat themselves, which are then to be typed from their beginning.
                out.extend_from_slice(&self.keys[..self.seen]);
                self.seen = 0;
            }
            if byte == self.keys[self.seen] {
                self.seen += 1;
                if self.seen == self.keys.len() {
                    return true;
                }
            } else {
                out.push(byte);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(typed: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut escape = Escape::new(&DetachKeys::default());
        let mut out = Vec::new();
        let found = typed.iter().any(|typed| escape.pass(typed, &mut out));
        (out, found)
    }

    #[test]
    fn the_keys_are_found_wherever_they_are_cut() {
        assert_eq!(passed(&[b"ab\x10\x11cd"]), (b"ab".to_vec(), true));
        assert_eq!(passed(&[b"ab\x10", b"\x11"]), (b"ab".to_vec(), true));
        assert_eq!(passed(&[b"\x10\x10\x11"]), (b"\x10".to_vec(), true));
    }

    #[test]
    fn what_is_not_the_keys_goes_through() {
        assert_eq!(passed(&[b"\x10x\x11"]), (b"\x10x\x11".to_vec(), false));
        assert_eq!(passed(&[b"\x10", b"a"]), (b"\x10a".to_vec(), false));
        assert_eq!(passed(&[b"\x10"]), (vec![], false));
    }
}
