//! From settings and topic configs to what storage is told.
use config::{Cleanup, FlushPolicy, Settings, TimestampType, TopicConfig};
use protocol::record;
use storage::{LogConfig, StorageOptions};

/// The options of the whole data directory.
pub fn storage_options(settings: &Settings) -> StorageOptions {
    StorageOptions {
        data_dir: settings.data_dir.clone(),
        flush: match settings.flush {
            FlushPolicy::Commit => storage::FlushPolicy::Commit,
            FlushPolicy::Os => storage::FlushPolicy::Os,
        },
        producer_id_expiration_ms: i64::from(settings.producer_id_expiration_ms),
        retention_check_interval_ms: settings.log_retention_check_interval_ms as u64,
        cleaner_backoff_ms: settings.log_cleaner_backoff_ms as u64,
        cleaner_bytes_per_second: settings.log_cleaner_io_max_bytes_per_second,
        cleaner_map_bytes: settings.log_cleaner_dedupe_buffer_size as usize,
    }
}

/// The settings of one log.
pub fn log_config(config: &TopicConfig) -> LogConfig {
    LogConfig {
        segment_bytes: config.segment_bytes as u32,
        segment_ms: config.segment_ms,
        segment_index_bytes: config.segment_index_bytes as u32,
        index_interval_bytes: config.index_interval_bytes as u32,
        retention_ms: config.retention_ms,
        retention_bytes: config.retention_bytes,
        max_message_bytes: config.max_message_bytes as u32,
        timestamp_type: match config.message_timestamp_type {
            TimestampType::CreateTime => record::TimestampType::CreateTime,
            TimestampType::LogAppendTime => record::TimestampType::LogAppendTime,
        },
        timestamp_before_max_ms: config.message_timestamp_before_max_ms,
        timestamp_after_max_ms: config.message_timestamp_after_max_ms,
        cleanup: cleanup(config.cleanup_policy),
        flush_messages: config.flush_messages,
        flush_ms: config.flush_ms,
        file_delete_delay_ms: config.file_delete_delay_ms,
        delete_retention_ms: config.delete_retention_ms,
        min_compaction_lag_ms: config.min_compaction_lag_ms,
        max_compaction_lag_ms: config.max_compaction_lag_ms,
        min_cleanable_dirty_ratio: config.min_cleanable_dirty_ratio,
    }
}

fn cleanup(policy: Cleanup) -> storage::Cleanup {
    storage::Cleanup {
        delete: policy.delete,
        compact: policy.compact,
    }
}
