//! The table of all topic configs, and the struct that it makes.
//!
//! A row is: documentation, field and type, name, what is allowed, and either the broker setting
//! that it falls back to or (with `fixed`) its default.
use super::row::{Fallback, TopicSetting};
use crate::allowed::Allowed::{self, Any, AtLeast, Between, BetweenOr, ListOf, OneOf, Only, Ratio};
use crate::field::Field;
use crate::words::{Cleanup, CompressionType, TimestampType};
use crate::{Setting, Settings};

macro_rules! topic_configs {
    (@fallback $setting:ident) => {
        Fallback::Broker(broker_name(stringify!($setting)))
    };
    (@fallback fixed $default:literal) => {
        Fallback::Fixed($default)
    };
    (@value $settings:ident, $setting:ident) => {
        $settings.$setting
    };
    (@value $settings:ident, fixed $default:literal) => {
        Field::parse($default).expect("a test reads every default")
    };
    ($(
        $(#[doc = $doc:literal])+
        $field:ident: $type:ty = $name:literal, $allowed:expr, ($($fallback:tt)+);
    )+) => {
        /// The configs of a topic, typed, with broker settings and defaults filled in. Made by
        /// [`TopicConfig::resolve`].
        #[derive(Debug, Clone, PartialEq)]
        pub struct TopicConfig {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        pub(super) const TABLE: &[TopicSetting] = &[$(TopicSetting {
            name: $name,
            kind: <$type as Field>::KIND,
            fallback: topic_configs!(@fallback $($fallback)+),
            allowed: $allowed,
            doc: concat!($($doc),+).trim_ascii_start(),
        }),+];

        impl TopicConfig {
            /// The configs of a topic that sets none.
            pub(super) fn of(settings: &Settings) -> TopicConfig {
                TopicConfig { $($field: topic_configs!(@value settings, $($fallback)+),)+ }
            }

            /// Reads `text` into the field of `setting`; the error is the reason.
            pub(super) fn assign(
                &mut self,
                setting: &TopicSetting,
                text: &str,
            ) -> Result<(), String> {
                setting.allowed.check_parsed(text, || match setting.name {
                    $($name => {
                        self.$field = Field::parse(text)?;
                        Ok(())
                    })+
                    name => unreachable!("{name} is in the table"),
                })
            }

            /// The value in force as `DescribeConfigs` shows it.
            pub(super) fn shown(&self, setting: &TopicSetting) -> Option<String> {
                match setting.name {
                    $($name => self.$field.show(),)+
                    name => unreachable!("{name} is in the table"),
                }
            }
        }
    };
}

/// Kafka's name of the broker setting with this key; runs when the table is compiled.
const fn broker_name(key: &str) -> &'static str {
    let table: &[Setting] = crate::settings::TABLE;
    let mut row = 0;
    while row < table.len() {
        if same(table[row].key, key) {
            return table[row].kafka_name;
        }
        row += 1;
    }
    panic!("a topic config falls back to a setting that is not in the table")
}

const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}

const CLEANUP: Allowed = ListOf(&["compact", "delete"]);
const NO_TIERING: &str = "Tiered Storage functionality is disabled in the broker. \
                          Topic cannot be configured with remote log storage.";
const NO_LOCAL: &str = "Local retention is part of remote log storage, which this broker does \
                        not have; use retention.ms and retention.bytes";
const NO_REPLICAS: &str = "A single node has no replication to throttle";

topic_configs! {
    /// `delete` old segments, `compact` to the latest value of each key, or both.
    cleanup_policy: Cleanup = "cleanup.policy", CLEANUP, (log_cleanup_policy);
    /// Level of gzip where the broker compresses.
    compression_gzip_level: i32 =
        "compression.gzip.level", BetweenOr(1, 9, -1), (compression_gzip_level);
    /// Level of LZ4 where the broker compresses.
    compression_lz4_level: i32 = "compression.lz4.level", Between(1, 17), (compression_lz4_level);
    /// Codec that batches are kept in: `producer` keeps them as they came.
    compression_type: CompressionType =
        "compression.type", OneOf(CompressionType::WORDS), (compression_type);
    /// Level of Zstandard where the broker compresses.
    compression_zstd_level: i32 =
        "compression.zstd.level", Between(-131_072, 22), (compression_zstd_level);
    /// How long tombstones are kept in a compacted topic.
    delete_retention_ms: i64 =
        "delete.retention.ms", AtLeast(0), (log_cleaner_delete_retention_ms);
    /// Time between the deletion of a segment and the removal of its files.
    file_delete_delay_ms: i64 = "file.delete.delay.ms", AtLeast(0), (log_segment_delete_delay_ms);
    /// Records after which the log is flushed whatever the acks.
    flush_messages: i64 = "flush.messages", AtLeast(1), (log_flush_interval_messages);
    /// Time after which the log is flushed whatever the acks.
    flush_ms: i64 = "flush.ms", AtLeast(0), (log_flush_interval_ms);
    /// Replicas whose fetches are throttled; there are none on a single node.
    follower_replication_throttled_replicas: Vec<String> =
        "follower.replication.throttled.replicas", Only("", NO_REPLICAS), (fixed "");
    /// Bytes of log between two index entries.
    index_interval_bytes: i32 = "index.interval.bytes", AtLeast(0), (log_index_interval_bytes);
    /// Replicas whose reads are throttled; there are none on a single node.
    leader_replication_throttled_replicas: Vec<String> =
        "leader.replication.throttled.replicas", Only("", NO_REPLICAS), (fixed "");
    /// Bytes kept here when the rest is in remote storage, which this broker does not have.
    local_retention_bytes: i64 = "local.retention.bytes", Only("-2", NO_LOCAL), (fixed "-2");
    /// Time kept here when the rest is in remote storage, which this broker does not have.
    local_retention_ms: i64 = "local.retention.ms", Only("-2", NO_LOCAL), (fixed "-2");
    /// How long a record stays uncompacted at most.
    max_compaction_lag_ms: i64 =
        "max.compaction.lag.ms", AtLeast(1), (log_cleaner_max_compaction_lag_ms);
    /// Largest batch, as sent.
    max_message_bytes: i32 = "max.message.bytes", AtLeast(0), (message_max_bytes);
    /// How far a record's timestamp may lie in the future.
    message_timestamp_after_max_ms: i64 =
        "message.timestamp.after.max.ms", AtLeast(0), (log_message_timestamp_after_max_ms);
    /// How far a record's timestamp may lie in the past.
    message_timestamp_before_max_ms: i64 =
        "message.timestamp.before.max.ms", AtLeast(0), (log_message_timestamp_before_max_ms);
    /// Whose time a record carries: the producer's (`CreateTime`) or the broker's
    /// (`LogAppendTime`).
    message_timestamp_type: TimestampType =
        "message.timestamp.type", OneOf(TimestampType::WORDS), (log_message_timestamp_type);
    /// Share of the log that must be dirty before it is compacted.
    min_cleanable_dirty_ratio: f64 =
        "min.cleanable.dirty.ratio", Ratio, (log_cleaner_min_cleanable_ratio);
    /// How long a record stays uncompacted at least.
    min_compaction_lag_ms: i64 =
        "min.compaction.lag.ms", AtLeast(0), (log_cleaner_min_compaction_lag_ms);
    /// Replicas that must have a batch before acks=all is answered. Never more than a topic has,
    /// which is one on a single node.
    min_insync_replicas: i32 = "min.insync.replicas", AtLeast(1), (min_insync_replicas);
    /// Whether space for a segment is reserved when it is made; the space of mapped segments
    /// always is.
    preallocate: bool = "preallocate", Any, (log_preallocate);
    /// Whether no more is copied to remote storage, which this broker does not have.
    remote_log_copy_disable: bool =
        "remote.log.copy.disable", Only("false", NO_TIERING), (fixed "false");
    /// Whether remote data goes when remote storage is turned off; this broker has none.
    remote_log_delete_on_disable: bool =
        "remote.log.delete.on.disable", Only("false", NO_TIERING), (fixed "false");
    /// Whether old segments move to remote storage, which this broker does not have.
    remote_storage_enable: bool =
        "remote.storage.enable", Only("false", NO_TIERING), (fixed "false");
    /// Bytes of a partition above which its oldest segments may be deleted, -1 for no limit.
    retention_bytes: i64 = "retention.bytes", Any, (log_retention_bytes);
    /// Time after which a record may be deleted, -1 for never.
    retention_ms: i64 = "retention.ms", AtLeast(-1), (log_retention_ms);
    /// Bytes after which a segment is closed. Small ones are taken, as before Kafka 4 (KIP-1030
    /// asks for 1 MiB there): tests of clients and compaction at small scale need them.
    segment_bytes: i32 = "segment.bytes", AtLeast(14), (log_segment_bytes);
    /// Largest size of an index file.
    segment_index_bytes: i32 = "segment.index.bytes", AtLeast(4), (log_index_size_max_bytes);
    /// Random time taken off `segment.ms`.
    segment_jitter_ms: i64 = "segment.jitter.ms", AtLeast(0), (log_roll_jitter_ms);
    /// Time after which a segment is closed.
    segment_ms: i64 = "segment.ms", AtLeast(1), (log_roll_ms);
    /// Whether a replica that lags may lead; a single node has no such replica.
    unclean_leader_election_enable: bool =
        "unclean.leader.election.enable", Any, (unclean_leader_election_enable);
}
