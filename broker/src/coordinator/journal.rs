//! The log of a coordinator: state changes as keyed records in one partition of an internal topic.
//!
//! A coordinator decides under its own lock, appends here (which does not wait), applies the same
//! change to its state, lets go of the lock, and waits for [`Journal::durable`] before it answers.
//! `state == replay(log)` at every moment.
use std::sync::Arc;

use bytes::Bytes;
use protocol::record::{self, BatchBuilder, BatchHeader, RecordError};
use storage::{AppendError, Origin, ReadError, StorageError};

use crate::partition::{Partition, now_ms};

/// Bytes that one read of a replay asks for.
const REPLAY_BYTES: usize = 4 << 20;
/// The most that one batch of an internal topic may decompress to.
const BATCH_LIMIT: usize = 256 << 20;

/// A keyed record: `None` deletes the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Key, in the format of the topic.
    pub key: Bytes,
    /// Value, in the format of the topic.
    pub value: Option<Bytes>,
}

/// Why a journal could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The log refused the read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A batch that cannot be decoded.
    #[error("at offset {offset}: {error}")]
    Record {
        /// Base offset of the batch.
        offset: i64,
        /// What is wrong with it.
        error: RecordError,
    },
}

/// One partition of an internal topic, as its coordinator writes and replays it.
#[derive(Debug, Clone)]
pub struct Journal {
    partition: Arc<Partition>,
}

impl Journal {
    /// A journal in `partition`.
    pub fn new(partition: Arc<Partition>) -> Self {
        Self { partition }
    }

    /// Where the journal stands.
    pub fn partition(&self) -> &Arc<Partition> {
        &self.partition
    }

    /// Appends all `entries` as one batch: all or none survive. Returns the offset of the last one,
    /// for [`Self::durable`]. Does not wait.
    pub fn append(&self, entries: &[Entry]) -> Result<i64, AppendError> {
        let mut batch = BatchBuilder::new();
        let now = now_ms();
        for entry in entries {
            batch.push(now, Some(&entry.key), entry.value.as_deref());
        }
        let appended = self.partition.append(&batch.build(), Origin::Internal)?;
        Ok(appended.last_offset)
    }

    /// Waits until the entry at `offset` is on disk.
    pub async fn durable(&self, offset: i64) -> Result<(), AppendError> {
        self.partition.durable(offset).await
    }

    /// Makes everything appended so far durable; blocks.
    pub fn flush(&self) -> Result<(), StorageError> {
        self.partition.log.flush()
    }

    /// Entries that a loss of power would take.
    #[cfg(test)]
    pub fn unflushed(&self) -> i64 {
        let log = &self.partition.log;
        log.end_offset() - log.flushed_offset()
    }

    /// Hands every record to `apply`, oldest first: key, value, timestamp (epoch ms).
    pub fn replay(
        &self,
        mut apply: impl FnMut(&[u8], Option<&[u8]>, i64),
    ) -> Result<(), JournalError> {
        let log = &self.partition.log;
        let mut offset = log.start_offset();
        let end = log.end_offset();
        while offset < end {
            let read = log.read(offset, end, REPLAY_BYTES, true)?;
            if read.records.is_empty() {
                break;
            }
            let mut rest = &read.records[..];
            while !rest.is_empty() {
                let at = offset;
                let failed = |error| JournalError::Record { offset: at, error };
                let header = BatchHeader::parse(rest).map_err(failed)?;
                let (batch, next) = rest.split_at(header.size().min(rest.len()));
                replay_batch(&header, batch, &mut apply).map_err(failed)?;
                offset = header.last_offset() + 1;
                rest = next;
            }
        }
        Ok(())
    }
}

fn replay_batch(
    header: &BatchHeader,
    batch: &[u8],
    apply: &mut impl FnMut(&[u8], Option<&[u8]>, i64),
) -> Result<(), RecordError> {
    if header.attributes.is_control() {
        return Ok(());
    }
    let body = record::decompress(header, batch, BATCH_LIMIT)?;
    for record in record::records(header, &body) {
        let record = record?;
        if let Some(key) = record.key {
            apply(
                key,
                record.value,
                header.base_timestamp.saturating_add(record.timestamp_delta),
            );
        }
    }
    Ok(())
}
