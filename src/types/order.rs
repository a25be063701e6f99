//! The one sort for things of all kinds: each kind of its own would have the whole sort once more in the released file.

use std::cmp::Ordering;

/// The places of so many things in the order that `compare` says; equal ones stay in theirs.
pub fn order(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|one, other| compare(*one, *other));
    order
}
