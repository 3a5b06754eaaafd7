//! The log of a coordinator: state changes as keyed records in one partition of an internal topic.
//!
//! A coordinator decides under its own lock, appends here (which does not wait), applies the same
//! change to its state, lets go of the lock, and waits for [`Journal::durable`] before it answers.
//! `state == replay(log)` at every moment.
use std::sync::Arc;

use bytes::Bytes;
use protocol::record::{self, BatchBuilder, BatchHeader, RecordError};
use storage::{AppendError, Marker, Origin, ReadError, StorageError};

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

/// What a replay meets.
#[derive(Debug, Clone, Copy)]
pub enum Replayed<'a> {
    /// A keyed record.
    Entry {
        /// Key.
        key: &'a [u8],
        /// Value; `None` deletes the key.
        value: Option<&'a [u8]>,
        /// Epoch ms.
        timestamp: i64,
        /// Its offset.
        offset: i64,
        /// Whose transaction it is part of, if it is.
        producer_id: Option<i64>,
    },
    /// The end of a producer's transaction.
    End {
        /// The producer.
        producer_id: i64,
        /// Commit, or abort.
        commits: bool,
    },
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
        self.append_batch(BatchBuilder::new(), entries)
    }

    /// As [`Self::append`], as part of a producer's transaction.
    pub fn append_in_transaction(
        &self,
        entries: &[Entry],
        producer_id: i64,
        producer_epoch: i16,
    ) -> Result<i64, AppendError> {
        let batch = BatchBuilder::new().producer(producer_id, producer_epoch, -1);
        self.append_batch(batch.transactional(), entries)
    }

    fn append_batch(&self, mut batch: BatchBuilder, entries: &[Entry]) -> Result<i64, AppendError> {
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

    /// Whether the entry at `offset` is on disk. If it is not, it soon will be.
    pub fn is_durable(&self, offset: i64) -> bool {
        let log = &self.partition.log;
        let durable = log.flushed_offset() > offset;
        if !durable {
            log.request_flush();
        }
        durable
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
        self.replay_all(|replayed| {
            if let Replayed::Entry {
                key,
                value,
                timestamp,
                ..
            } = replayed
            {
                apply(key, value, timestamp);
            }
        })
    }

    /// Hands every record and every transaction marker to `apply`, oldest first.
    pub fn replay_all(&self, mut apply: impl FnMut(Replayed<'_>)) -> Result<(), JournalError> {
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
    apply: &mut impl FnMut(Replayed<'_>),
) -> Result<(), RecordError> {
    let producer_id = header.producer_id;
    if let Some(marker) = Marker::read(header, batch) {
        apply(Replayed::End {
            producer_id,
            commits: marker.commits,
        });
    }
    if header.attributes.is_control() {
        return Ok(());
    }
    let transactional = header.attributes.is_transactional();
    let body = record::decompress(header, batch, BATCH_LIMIT)?;
    for record in record::records(header, &body) {
        let record = record?;
        if let Some(key) = record.key {
            apply(Replayed::Entry {
                key,
                value: record.value,
                timestamp: header.base_timestamp.saturating_add(record.timestamp_delta),
                offset: header.base_offset + i64::from(record.offset_delta),
                producer_id: transactional.then_some(producer_id),
            });
        }
    }
    Ok(())
}
