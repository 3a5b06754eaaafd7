//! What a log and the set of logs can be told.
use std::path::PathBuf;

use protocol::record::TimestampType;

/// When acks=all is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlushPolicy {
    /// After `fdatasync`, by group commit: survives the loss of power.
    Commit,
    /// From the mapping: survives a crash of the process, as Apache Kafka on one node.
    Os,
}

/// What happens to old records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleanup {
    /// Segments past retention are deleted.
    pub delete: bool,
    /// Only the latest value of each key is kept.
    pub compact: bool,
}

/// Settings of one log; the names are Kafka's topic settings with units spelled out.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`
    pub segment_bytes: u32,
    /// `segment.ms`
    pub segment_ms: i64,
    /// `segment.index.bytes`
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`
    pub index_interval_bytes: u32,
    /// `retention.ms`, -1 for ever
    pub retention_ms: i64,
    /// `retention.bytes`, -1 without limit
    pub retention_bytes: i64,
    /// `max.message.bytes`: largest batch, as sent
    pub max_message_bytes: u32,
    /// `message.timestamp.type`
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`
    pub timestamp_after_max_ms: i64,
    /// `cleanup.policy`
    pub cleanup: Cleanup,
    /// `flush.messages`: records after which a flush is forced, whatever the acks
    pub flush_messages: i64,
    /// `flush.ms`
    pub flush_ms: i64,
    /// `file.delete.delay.ms`
    pub file_delete_delay_ms: i64,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`
    pub max_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`
    pub min_cleanable_dirty_ratio: f64,
}

/// Settings of the whole set.
#[derive(Debug, Clone)]
pub struct StorageOptions {
    /// The directory that holds one folder per partition.
    pub data_dir: PathBuf,
    /// When a flush is asked for.
    pub flush: FlushPolicy,
    /// `producer.id.expiration.ms`
    pub producer_id_expiration_ms: i64,
    /// `log.retention.check.interval.ms`
    pub retention_check_interval_ms: u64,
    /// `log.cleaner.backoff.ms`
    pub cleaner_backoff_ms: u64,
    /// `log.cleaner.io.max.bytes.per.second`: read and written together
    pub cleaner_bytes_per_second: f64,
    /// `log.cleaner.dedupe.buffer.size`: memory for the latest offsets of keys
    pub cleaner_map_bytes: usize,
}

impl LogConfig {
    /// How long a segment takes appends: a compacted log must seal what `max.compaction.lag.ms` says
    /// is due.
    pub(crate) fn roll_ms(&self) -> i64 {
        if self.cleanup.compact {
            self.segment_ms.min(self.max_compaction_lag_ms)
        } else {
            self.segment_ms
        }
    }
}

/// Kafka's defaults, for tests.
#[cfg(test)]
pub(crate) fn sample() -> LogConfig {
    LogConfig {
        segment_bytes: 1 << 30,
        segment_ms: 604_800_000,
        segment_index_bytes: 10 << 20,
        index_interval_bytes: 4096,
        retention_ms: -1,
        retention_bytes: -1,
        max_message_bytes: 1_048_588,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        cleanup: Cleanup {
            delete: true,
            compact: false,
        },
        flush_messages: i64::MAX,
        flush_ms: i64::MAX,
        file_delete_delay_ms: 60_000,
        delete_retention_ms: 86_400_000,
        min_compaction_lag_ms: 0,
        max_compaction_lag_ms: i64::MAX,
        min_cleanable_dirty_ratio: 0.5,
    }
}

/// Options for tests.
#[cfg(test)]
pub(crate) fn sample_options(data_dir: &std::path::Path) -> StorageOptions {
    StorageOptions {
        data_dir: data_dir.to_owned(),
        flush: FlushPolicy::Commit,
        producer_id_expiration_ms: i64::MAX,
        retention_check_interval_ms: 300_000,
        cleaner_backoff_ms: 3_600_000,
        cleaner_bytes_per_second: f64::MAX,
        cleaner_map_bytes: 1 << 20,
    }
}
