//! Records that stand in the log before readers see them.
//!
//! A projection appends the rows of one step to several logs and makes them visible together. It
//! hides what it appends, writes its commit record elsewhere, and then reveals: no reader ever sees
//! rows that a crash takes back, and no reader has to know of transactions. A partition is written
//! like that by one thread and by nobody else; from the first hidden append on nothing becomes
//! visible by itself.
use storage::{AppendError, Appended, Origin, StorageError};

use super::Partition;

impl Partition {
    /// Appends whole batches above the high watermark: nobody sees them, nobody is woken.
    pub fn append_hidden(&self, records: &[u8]) -> Result<Appended, AppendError> {
        self.log.hide_appends();
        self.append_to_log(records, Origin::Internal)
    }

    /// Raises the high watermark to `offset`, at most to the log end offset, and wakes whoever waits
    /// for it.
    pub fn reveal(&self, offset: i64) {
        self.log.reveal(offset);
        self.stamp(self.high_watermark());
        self.signals.waiters.wake();
    }

    /// From now on the high watermark is `offset`, although the log may be longer. For the start,
    /// before anybody reads: until then everything in the log is visible.
    pub fn hide_from(&self, offset: i64) {
        self.log.hide_from(offset);
    }

    /// Throws away what was appended at `offset` and after; blocks. Whole batches go: `offset` is
    /// where one begins. Not for what readers have seen.
    pub fn cut(&self, offset: i64) -> Result<(), StorageError> {
        self.log.truncate(offset)
    }
}

#[cfg(test)]
#[path = "hidden_test.rs"]
mod tests;
