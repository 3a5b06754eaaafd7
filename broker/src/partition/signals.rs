//! Facts that come up from the log's own threads.
use storage::{AppendError, LogObserver};
use tokio::sync::watch;

use super::Waiters;

/// How far a log is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durability {
    /// Everything below is durable.
    pub flushed: i64,
    /// A flush failed; no more will come.
    pub poisoned: bool,
    /// The partition was deleted; no more will come.
    pub deleted: bool,
}

impl Durability {
    /// Whether everything up to and with `last_offset` is durable; `None` while that may still
    /// become so.
    pub fn covers(self, last_offset: i64) -> Option<Result<(), AppendError>> {
        if self.poisoned {
            Some(Err(AppendError::Poisoned))
        } else if self.flushed > last_offset {
            Some(Ok(()))
        } else if self.deleted {
            Some(Err(AppendError::Closed))
        } else {
            None
        }
    }
}

/// Where the log reports to and where the broker waits.
#[derive(Debug)]
pub struct Signals {
    durability: watch::Sender<Durability>,
    /// Threads that wait for the disk.
    pub disk_waiters: Waiters,
    /// Fetches that wait for offsets to move.
    pub waiters: Waiters,
}

impl Signals {
    /// Signals of a log that is durable below `flushed`.
    pub fn new(flushed: i64) -> Self {
        let durability = watch::Sender::new(Durability {
            flushed,
            poisoned: false,
            deleted: false,
        });
        Self {
            durability,
            disk_waiters: Waiters::default(),
            waiters: Waiters::default(),
        }
    }

    /// The partition was deleted: nobody need wait any longer.
    pub fn deleted(&self) {
        self.durability.send_modify(|now| now.deleted = true);
        self.disk_waiters.wake();
        self.waiters.wake();
    }

    /// A view of how far the log is on disk.
    pub fn durability(&self) -> watch::Receiver<Durability> {
        self.durability.subscribe()
    }
}

impl LogObserver for Signals {
    fn flushed(&self, offset: i64) {
        self.durability.send_if_modified(|now| {
            let moved = offset > now.flushed;
            now.flushed = now.flushed.max(offset);
            moved
        });
        self.disk_waiters.wake();
    }

    fn start_moved(&self, _offset: i64) {
        self.waiters.wake();
    }

    fn poisoned(&self) {
        self.durability.send_modify(|now| now.poisoned = true);
        self.disk_waiters.wake();
    }

    fn truncated(&self, offset: i64) {
        // What takes the place of what was cut is not on disk yet.
        self.durability
            .send_modify(|now| now.flushed = now.flushed.min(offset));
    }
}
