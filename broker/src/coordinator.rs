//! Coordinators keep their state in an internal topic: decide, append, apply, and answer when the
//! append is durable. Recovery is applying everything again.
//!
//! A transaction is locked before a group is, and either before the log that is written to.

mod fields;
pub mod group;
mod journal;
mod journals;
mod memory;
pub mod transaction;

pub use group::Groups;
pub use journal::{Entry, Journal, JournalError, Replayed};
pub use journals::Journals;
pub use memory::Memory;
pub use transaction::Transactions;

/// The partition of a name, as Kafka reckons it: Java's hash of the name's UTF-16.
fn partition_of(name: &str, partitions: usize) -> usize {
    let hash = name.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    // The one number without a positive counterpart counts as 0.
    hash.checked_abs().unwrap_or(0) as usize % partitions
}
