//! The set of logs in one data directory.
use std::sync::Arc;

use crate::{Log, LogConfig, OpenError, StorageError, StorageOptions};

/// What opening found in one partition folder.
#[derive(Debug)]
pub struct PartitionDir {
    /// Topic name.
    pub topic: String,
    /// Partition index.
    pub partition: i32,
    /// From `partition.metadata`; zero if there is none.
    pub topic_id: [u8; 16],
    /// The opened log, with default settings until the broker sets the topic's.
    pub log: Arc<Log>,
}

/// What opening did.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Every partition folder found.
    pub partitions: Vec<PartitionDir>,
    /// Whether the last shutdown was clean.
    pub clean: bool,
    /// Batches that were checked because they lay above a recovery point.
    pub scanned_batches: u64,
    /// Bytes that were cut off as torn (copies are kept as `.corrupt`).
    pub truncated_bytes: u64,
}

/// The set of logs in one data directory, with its flusher and housekeeping threads.
#[derive(Debug)]
pub struct Logs {}

impl Logs {
    /// Takes the lock file, opens every `<topic>-<partition>` folder with `default_config`.
    pub fn open(
        _options: StorageOptions,
        _default_config: &LogConfig,
    ) -> Result<(Self, Recovery), OpenError> {
        todo!()
    }
    /// Creates the log of a new partition (its folder and `partition.metadata`, durable).
    pub fn create(
        &self,
        _topic: &str,
        _partition: i32,
        _topic_id: [u8; 16],
        _config: LogConfig,
    ) -> Result<Arc<Log>, StorageError> {
        todo!()
    }
    /// Creates several at once, with one directory fsync for all.
    pub fn create_many(
        &self,
        _topic: &str,
        _partitions: std::ops::Range<i32>,
        _topic_id: [u8; 16],
        _config: &LogConfig,
    ) -> Result<Vec<Arc<Log>>, StorageError> {
        todo!()
    }
    /// Takes the partition out of the set and its files off the disk; readers that hold slices keep
    /// them. Renames to `<topic>-<partition>.<hex>-delete` first.
    pub fn delete(&self, _topic: &str, _partition: i32) -> Result<(), StorageError> {
        todo!()
    }
    /// Bytes that the data directory's file system has in all, and free for us.
    pub fn disk_space(&self) -> Result<(u64, u64), StorageError> {
        todo!()
    }
    /// Seconds that each `fdatasync` of the flusher took are passed to `observe`.
    pub fn on_flush_latency(&self, _observe: Box<dyn Fn(f64) + Send + Sync>) {
        todo!()
    }
    /// Flushes everything, writes checkpoints and snapshots, marks the shutdown clean, lets go of the
    /// lock file.
    pub fn close(&self) -> Result<(), StorageError> {
        todo!()
    }
}
