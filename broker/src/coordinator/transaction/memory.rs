//! What transactional ids take of memory.
//!
//! Everything that a client can make larger is counted where it is kept; what is constant is
//! estimated from above. Each id is counted with some allowance, so that those which are there go on
//! with small transactions when there is no room for more of them.
use protocol::error::ErrorCode;

use super::state::{Partitions, Transaction};
use crate::coordinator::Memory;

/// A transactional id, its place in the set, its state.
const ID: usize = 1024;
/// Partitions of each transaction up to this count as much.
const SOME_PARTITIONS: usize = 1024;
/// A topic of a transaction, besides its name: there, and where its markers are missing.
const TOPIC: usize = 192;
/// A partition of a transaction, as often.
const PARTITION: usize = 32;

/// Bytes that an id takes with this transaction.
pub(super) fn of(id: &str, transaction: &Transaction) -> usize {
    of_id(id) + of_partitions(&transaction.partitions).saturating_sub(SOME_PARTITIONS)
}

/// Bytes that an id takes which has done nothing. Its name is there once: the set and the place share
/// it.
pub(super) fn of_id(id: &str) -> usize {
    ID + SOME_PARTITIONS + id.len()
}

fn of_partitions(partitions: &Partitions) -> usize {
    let topics = partitions.iter();
    let each = topics.map(|(name, indexes)| TOPIC + name.len() + PARTITION * indexes.len());
    each.sum()
}

/// Says that something was refused for want of memory, and what the client is told.
pub(super) fn refused(memory: &Memory) -> ErrorCode {
    memory.tell_refusal();
    ErrorCode::CoordinatorNotAvailable
}
