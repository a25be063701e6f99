//! What the fuzz target `records` in tests/fuzz calls: the readers of state files. Whatever the bytes, none of them panics,
//! and what one takes it writes as it reads it.

use super::{Intent, Lease, records};
use crate::engine::record::{ContainerRecord, Exit, NetworkRecord, SandboxRecord};
use crate::types::json::{self, Json};

/// A state file.
pub fn records(bytes: &[u8]) {
    again::<ContainerRecord>(bytes, records::from_slice);
    again::<SandboxRecord>(bytes, records::from_slice);
    again::<NetworkRecord>(bytes, records::from_slice);
    again::<Lease>(bytes, json::from_slice);
    again::<Exit>(bytes, json::from_slice);
    if let Ok(intent) = Intent::parse(bytes) {
        let text = json::to_text(&intent) + "\n";
        assert!(Intent::parse(text.as_bytes()).is_ok(), "{text}");
    }
}

fn again<T: Json>(bytes: &[u8], read: fn(&[u8]) -> Result<T, String>) {
    if let Ok(value) = read(bytes) {
        let text = json::to_text(&value);
        let twice = read(text.as_bytes()).map(|value| json::to_text(&value));
        assert_eq!(twice, Ok(text));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_of_state_files_does_no_harm() {
        crate::error::replay("records", super::records);
    }
}
