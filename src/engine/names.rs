//! Temporary.
use crate::error::Result;
use crate::types::Name;
pub fn generate() -> Result<Name> {
    crate::sys::random::id()?.short().parse()
}
