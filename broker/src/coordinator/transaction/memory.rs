//! What transactional ids take of memory, and whether there is room for more.
//!
//! Everything that a client can make larger is counted where it is kept; what is constant is
//! estimated from above. Each id is counted with some allowance, so that those which are there go on
//! with small transactions when there is no room for more of them.
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use protocol::error::ErrorCode;

use super::state::{Partitions, Transaction};

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

/// The memory of all transactional ids.
#[derive(Debug)]
pub(super) struct Memory {
    bytes: AtomicUsize,
    limit: usize,
    told: AtomicBool,
}

impl Memory {
    /// Room for so many bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            limit,
            told: AtomicBool::new(false),
        }
    }

    /// Bytes that all ids take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether so many bytes fit in, now.
    pub(super) fn check(&self, bytes: usize) -> Result<(), ErrorCode> {
        if bytes <= self.limit.saturating_sub(self.bytes()) {
            return Ok(());
        }
        Err(self.refuse())
    }

    /// Takes so many bytes, if they fit in. Nothing always does.
    pub(super) fn take(&self, bytes: usize) -> Result<(), ErrorCode> {
        if bytes == 0 {
            return Ok(());
        }
        let fits = |taken: usize| taken.checked_add(bytes).filter(|it| *it <= self.limit);
        let taken = self
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        taken.map(|_| ()).map_err(|_| self.refuse())
    }

    /// Takes so many bytes of what the journal has, whether they fit in or not.
    pub(super) fn load(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives so many bytes back.
    pub(super) fn give_back(&self, bytes: usize) {
        let before = self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        if before - bytes < self.limit - self.limit / 8 {
            self.told.store(false, Ordering::Relaxed);
        }
    }

    /// Says so once for each time that there is no room.
    fn refuse(&self) -> ErrorCode {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                bytes = self.bytes(),
                limit = self.limit,
                "no memory is left for transactional ids: new ones are refused"
            );
        }
        ErrorCode::CoordinatorNotAvailable
    }
}
