//! A plan: what is to be done to the kernel, in order.

use crate::engine::Say;
use crate::error::{Error, Result};
use crate::kernel::snapshot::Snapshot;
use crate::kernel::{Holds, Op, Operation};

/// Operations, in the order in which they are carried out.
#[derive(Debug, Clone, Default)]
pub struct Plan(Vec<Op>);

impl Plan {
    /// Nothing to do.
    pub fn new() -> Self {
        Plan::default()
    }

    /// One operation.
    pub fn of(operation: impl Into<Op>) -> Self {
        Plan(vec![operation.into()])
    }

    /// Adds an operation at the end.
    pub fn push(&mut self, operation: impl Into<Op>) {
        self.0.push(operation.into());
    }

    /// Adds another plan at the end.
    pub fn extend(&mut self, other: Plan) {
        self.0.extend(other.0);
    }

    /// This plan, and then another.
    pub fn chain(mut self, other: Plan) -> Self {
        self.extend(other);
        self
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The operations.
    pub fn operations(&self) -> std::slice::Iter<'_, Op> {
        self.0.iter()
    }

    /// Says each operation.
    pub fn say(&self, say: &mut dyn Say) {
        self.0.iter().for_each(|op| say.operation(op));
    }

    /// What of it is still to be done.
    ///
    /// # Errors
    /// Something else is where an operation's effect would be.
    pub fn without_what_holds(self, now: &Snapshot) -> Result<Self> {
        let mut rest = Vec::with_capacity(self.0.len());
        for op in self.0 {
            match op.holds(now) {
                Holds::Yes => {}
                Holds::No => rest.push(op),
                Holds::Partly(more) => rest.extend(more),
                Holds::Differs(what) => return Err(Error::new(what)),
            }
        }
        Ok(Plan(rest))
    }
}
