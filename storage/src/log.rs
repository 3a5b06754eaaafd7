//! One partition's log.
use std::sync::Arc;

use bytes::Bytes;

use crate::{AppendError, LogConfig, ReadError, StorageError};

/// Told about facts of a log by the threads of storage. Implementations must not block and must not
/// call back into the log.
pub trait LogObserver: Send + Sync {
    /// Everything below `offset` is durable.
    fn flushed(&self, offset: i64);
    /// The log start offset moved (retention).
    fn start_moved(&self, offset: i64);
    /// A flush failed: the log takes no more writes.
    fn poisoned(&self);
}

/// Who appends; decides what is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A client's Produce: exactly one batch, everything checked, no control batch.
    Client,
    /// A coordinator or another part of the broker: any number of whole batches, producer state
    /// tracked but not checked, `max.message.bytes` not applied.
    Internal,
}

/// One append.
#[derive(Debug, Clone, Copy)]
pub struct Append {
    /// Who appends.
    pub origin: Origin,
    /// Stamped into the batch.
    pub leader_epoch: i32,
    /// Wall clock, epoch ms.
    pub now_ms: i64,
}

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record; the first answer's again if it was a duplicate.
    pub base_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// Set under `LogAppendTime`, else -1.
    pub log_append_time_ms: i64,
    /// Log start offset at that moment.
    pub log_start_offset: i64,
    /// One of the producer's last five batches: nothing was written.
    pub duplicate: bool,
}

/// What a read found: whole batches, the first of which holds the offset asked for.
#[derive(Debug, Clone)]
pub struct Read {
    /// A slice of one segment's mapping; empty at the end of the log. Never null.
    pub records: Bytes,
    /// Whether the page cache holds it all; if not, touching it may block.
    pub resident: bool,
}

/// A place in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Epoch ms.
    pub timestamp: i64,
    /// Offset of that record.
    pub offset: i64,
    /// Leader epoch of its batch.
    pub leader_epoch: i32,
}

/// End of a leader epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch known that is not above the one asked for.
    pub leader_epoch: i32,
    /// The first offset after it.
    pub end_offset: i64,
}

/// What is known of a producer in this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerInfo {
    /// Producer id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// Sequence of its last record.
    pub last_sequence: i32,
    /// Timestamp of its last batch, epoch ms.
    pub last_timestamp: i64,
    /// Epoch of the coordinator that wrote its last marker, -1 without one.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction, -1 without one.
    pub transaction_start_offset: i64,
}

/// One partition's log: appends, reads and look-ups. All methods may be called from any thread.
#[derive(Debug)]
pub struct Log {}

impl Log {
    /// Appends `records`. On success the batches are in the mapping: visible to reads, safe from a
    /// crash of the process. `wait for durability` = wait until [`LogObserver::flushed`] passes
    /// `last_offset` after a [`Log::request_flush`].
    pub fn append(&self, _records: &[u8], _how: Append) -> Result<Appended, AppendError> {
        todo!()
    }
    /// Whole batches from the one that holds `offset` on, below `up_to` (an offset, exclusive), at
    /// most `max_bytes`, but at least one batch if `min_one_batch`. An offset equal to the end
    /// (or to `up_to`) gives an empty read.
    pub fn read(
        &self,
        _offset: i64,
        _up_to: i64,
        _max_bytes: usize,
        _min_one_batch: bool,
    ) -> Result<Read, ReadError> {
        todo!()
    }
    /// First offset that can be read.
    pub fn start_offset(&self) -> i64 {
        todo!()
    }
    /// Offset of the next append.
    pub fn end_offset(&self) -> i64 {
        todo!()
    }
    /// Everything below is durable.
    pub fn flushed_offset(&self) -> i64 {
        todo!()
    }
    /// Asks the flusher to make everything appended so far durable; returns at once.
    pub fn request_flush(&self) {
        todo!()
    }
    /// Makes everything appended so far durable before it returns.
    pub fn flush(&self) -> Result<(), StorageError> {
        todo!()
    }
    /// The first record at or after `timestamp` (epoch ms) below `up_to`.
    pub fn offset_for_timestamp(
        &self,
        _timestamp: i64,
        _up_to: i64,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        todo!()
    }
    /// The record with the largest timestamp (the first one of several).
    pub fn max_timestamp(&self) -> Result<Option<TimestampOffset>, ReadError> {
        todo!()
    }
    /// KIP-320: where the epoch ends; `None` if nothing is known.
    pub fn epoch_end(&self, _leader_epoch: i32) -> Option<EpochEnd> {
        todo!()
    }
    /// Leader epoch of the last append, -1 for an empty log.
    pub fn latest_epoch(&self) -> i32 {
        todo!()
    }
    /// Moves the log start offset up to `offset` (at most the end) and frees what lies below.
    /// Returns the new log start offset.
    pub fn delete_records(&self, _offset: i64) -> Result<i64, ReadError> {
        todo!()
    }
    /// Cuts everything at and after `offset`.
    pub fn truncate(&self, _offset: i64) -> Result<(), StorageError> {
        todo!()
    }
    /// Producers with state in this log.
    pub fn producers(&self) -> Vec<ProducerInfo> {
        todo!()
    }
    /// Bytes of record batches.
    pub fn size_bytes(&self) -> u64 {
        todo!()
    }
    /// How many segments.
    pub fn segment_count(&self) -> usize {
        todo!()
    }
    /// The settings in force.
    pub fn config(&self) -> Arc<LogConfig> {
        todo!()
    }
    /// Replaces the settings; they hold from the next append on.
    pub fn set_config(&self, _config: LogConfig) {
        todo!()
    }
    /// Sets who is told about flushes; replaces an earlier one.
    pub fn set_observer(&self, _observer: Arc<dyn LogObserver>) {
        todo!()
    }
    /// Whether a flush failed.
    pub fn is_poisoned(&self) -> bool {
        todo!()
    }
}
