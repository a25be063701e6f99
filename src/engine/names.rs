//! Names for those who ask for none: an adjective and the surname of somebody who moved networking forward.

use crate::error::Result;
use crate::sys::random;
use crate::types::Name;

const ADJECTIVES: [&str; 32] = [
    "agile", "amber", "brave", "bright", "calm", "clear", "clever", "eager", "early", "fair",
    "gentle", "happy", "honest", "keen", "kind", "lively", "lucid", "merry", "modest", "neat",
    "noble", "patient", "proud", "quick", "quiet", "ready", "silent", "steady", "sunny", "swift",
    "warm", "wise",
];

const SURNAMES: [&str; 32] = [
    "baran",
    "bellovin",
    "berners",
    "cerf",
    "clark",
    "cohen",
    "crocker",
    "davies",
    "deering",
    "dijkstra",
    "estrin",
    "feinler",
    "floyd",
    "hopper",
    "jacobson",
    "kahn",
    "kleinrock",
    "lamarr",
    "licklider",
    "lovelace",
    "metcalfe",
    "mockapetris",
    "moy",
    "nagle",
    "paxson",
    "perlman",
    "postel",
    "pouzin",
    "rekhter",
    "shannon",
    "turing",
    "zimmermann",
];

/// One of 1,024 pairs, with three hex digits so that a full house still has room.
pub fn generate() -> Result<Name> {
    let id = random::id()?.0;
    let adjective = ADJECTIVES[usize::from(id[0]) % ADJECTIVES.len()];
    let surname = SURNAMES[usize::from(id[1]) % SURNAMES.len()];
    format!(
        "{adjective}_{surname}{:03x}",
        u16::from_be_bytes([id[2], id[3]]) & 0xfff
    )
    .parse()
}
