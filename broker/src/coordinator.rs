//! Coordinators keep their state in an internal topic: decide, append, apply, and answer when the
//! append is durable. Recovery is applying everything again.

pub mod group;
mod journal;

pub use group::Groups;
pub use journal::{Entry, Journal, JournalError};
