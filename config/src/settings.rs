//! The table of all broker settings, and the struct that it makes.
//!
//! A row is: documentation, key and type, Kafka's name, default, what is allowed, and whether it
//! can be altered while the broker runs. Names and defaults are Apache Kafka 4's where it has the
//! setting (`ServerLogConfigs`, `GroupCoordinatorConfig`, `SocketServerConfigs` and others);
//! where the default differs, the documentation says why.
use std::path::PathBuf;

use crate::allowed::Allowed::{
    self, Address, Any, AtLeast, Between, BetweenOr, ListOf, NonEmpty, OneOf, OptionalAddress,
    Ratio,
};
use crate::entry::Source;
use crate::field::Field;
use crate::setting::Setting;
use crate::words::{Cleanup, CompressionType, FlushPolicy, TimestampType};

/// Values that somebody set: table row, level, and text; the weakest level first.
pub(crate) type Assigned = Vec<(usize, Source, String)>;

macro_rules! settings {
    (@dynamic dynamic) => { true };
    (@dynamic fixed) => { false };
    ($(
        $(#[doc = $doc:literal])+
        $key:ident: $type:ty = $kafka_name:literal, $default:literal, $allowed:expr, $scope:ident;
    )+) => {
        /// All broker settings, typed. Made by [`Settings::load`] or [`Settings::default`].
        #[derive(Debug, Clone, PartialEq)]
        pub struct Settings {
            $($(#[doc = $doc])+ pub $key: $type,)+
            /// What was set, and where: for `DescribeConfigs`.
            pub(crate) assigned: Assigned,
        }

        pub(crate) const TABLE: &[Setting] = &[$(Setting {
            key: stringify!($key),
            kafka_name: $kafka_name,
            kind: <$type as Field>::KIND,
            default: $default,
            allowed: $allowed,
            dynamic: settings!(@dynamic $scope),
            doc: concat!($($doc),+).trim_ascii_start(),
        }),+];

        impl Default for Settings {
            fn default() -> Self {
                Settings {
                    $($key: Field::parse($default).expect("a test reads every default"),)+
                    assigned: Assigned::new(),
                }
            }
        }

        impl Settings {
            /// Reads `text` into the field of `setting`; the error is the reason.
            pub(crate) fn assign(&mut self, setting: &Setting, text: &str) -> Result<(), String> {
                setting.allowed.check_parsed(text, || match setting.key {
                    $(stringify!($key) => {
                        self.$key = Field::parse(text)?;
                        Ok(())
                    })+
                    key => unreachable!("{key} is in the table"),
                })
            }

            /// The value in force as `DescribeConfigs` shows it.
            pub(crate) fn shown(&self, setting: &Setting) -> Option<String> {
                match setting.key {
                    $(stringify!($key) => self.$key.show(),)+
                    key => unreachable!("{key} is in the table"),
                }
            }
        }
    };
}

const CLEANUP: Allowed = ListOf(&["compact", "delete"]);

settings! {
    /// Directory that holds the logs; made when it is not there.
    data_dir: PathBuf = "log.dirs", "./data", NonEmpty, fixed;
    /// Address to accept connections on. Port 0 takes a free one.
    listen: String = "listeners", "127.0.0.1:9092", Address, fixed;
    /// Address that clients are told to connect to. Without it each client is told the address
    /// that it dialled, which is right unless a container, a proxy or address translation stands
    /// between.
    advertise: Option<String> = "advertised.listeners", "", OptionalAddress, fixed;
    /// Address for health checks, metrics and views over HTTP; off without one. Anybody who reaches
    /// it may read views and order rebuilds: keep it on a loopback address.
    http: Option<String> = "http", "", OptionalAddress, fixed;
    /// How long a client over HTTP may take nothing of an answer or a stream before its connection
    /// is closed.
    http_write_timeout_ms: i64 = "http.write.timeout.ms", "30000", AtLeast(1), fixed;
    /// Number of this node, in every answer that names a broker. `broker_id` is the same.
    node_id: i32 = "node.id", "1", AtLeast(0), fixed;
    /// Rack that the node says it stands in.
    rack: Option<String> = "broker.rack", "", Any, fixed;
    /// What the log on standard error tells: a level, or `target=level` with commas between.
    log_level: String = "log.level", "info", NonEmpty, fixed;
    /// When a produce with acks=all is answered: `commit` after the disk has the bytes (survives
    /// the loss of power), `os` when the operating system has them (survives a crash).
    flush: FlushPolicy = "flush", "commit", OneOf(FlushPolicy::WORDS), fixed;
    /// How long a stop may take before what still runs is cut off.
    shutdown_timeout_ms: i64 = "shutdown.timeout.ms", "10000", AtLeast(0), fixed;

    /// Makes a topic when a client first names it.
    auto_create_topics_enable: bool = "auto.create.topics.enable", "true", Any, fixed;
    /// Partitions of a topic whose maker does not say how many.
    num_partitions: i32 = "num.partitions", "1", AtLeast(1), fixed;
    /// Replicas of a topic whose maker does not say how many. One node can hold one.
    default_replication_factor: i16 = "default.replication.factor", "1", Between(1, 1), fixed;
    /// Takes a requested replication factor above 1 as 1 in place of refusing it: for software
    /// that asks for 3 whatever there is.
    clamp_replication_factor: bool = "clamp.replication.factor", "false", Any, fixed;
    /// Whether topics can be deleted.
    delete_topic_enable: bool = "delete.topic.enable", "true", Any, fixed;

    /// Largest Produce request.
    socket_request_max_bytes: i32 = "socket.request.max.bytes", "104857600", AtLeast(1024), fixed;
    /// Largest request of any other key: none of them needs more, so none may ask for more memory.
    request_max_bytes: i32 = "request.max.bytes", "1048576", AtLeast(1024), fixed;
    /// Bytes of requests that may be in the broker at once; when they are used up, no more is read
    /// from any socket until some are answered.
    queued_max_request_bytes: i64 =
        "queued.max.request.bytes", "536870912", AtLeast(1_048_576), fixed;
    /// Bytes of replies, records not counted, that may wait for their clients at once; when they are
    /// used up, no further request is started, and clients that take nothing are cut off.
    queued_max_response_bytes: i64 =
        "queued.max.response.bytes", "134217728", AtLeast(65536), fixed;
    /// Requests of one connection that may be unanswered at once; when there are as many, the
    /// connection is not read until one is answered.
    max_requests_in_flight: i32 = "max.requests.in.flight", "256", Between(1, 65536), fixed;
    /// Open connections; further ones are closed at once.
    max_connections: i32 = "max.connections", "20000", AtLeast(1), fixed;
    /// How long a connection may be silent before it is closed; -1 for ever.
    connections_max_idle_ms: i64 = "connections.max.idle.ms", "600000", AtLeast(-1), fixed;

    /// Most bytes that one Fetch is answered with, save that the first batch is always whole.
    fetch_max_bytes: i32 = "fetch.max.bytes", "57671680", AtLeast(1024), fixed;
    /// Incremental fetch sessions that are remembered (KIP-227).
    max_incremental_fetch_session_cache_slots: i32 =
        "max.incremental.fetch.session.cache.slots", "1000", AtLeast(0), fixed;

    /// How long an empty group waits for more members before its first rebalance. Kafka's default
    /// of 3000 makes every first join slow for the sake of large groups.
    group_initial_rebalance_delay_ms: i32 =
        "group.initial.rebalance.delay.ms", "0", AtLeast(0), fixed;
    /// Shortest session timeout that a member may ask for.
    group_min_session_timeout_ms: i32 = "group.min.session.timeout.ms", "6000", AtLeast(1), fixed;
    /// Longest session timeout that a member may ask for.
    group_max_session_timeout_ms: i32 =
        "group.max.session.timeout.ms", "1800000", AtLeast(1), fixed;
    /// Members that a group may have.
    group_max_size: i32 = "group.max.size", "2147483647", AtLeast(1), fixed;
    /// Memory that all groups may take, their members and offsets included; when it is used up, what
    /// would need more is refused with COORDINATOR_NOT_AVAILABLE.
    groups_memory_max_bytes: i64 = "groups.memory.max.bytes", "268435456", AtLeast(65536), fixed;
    /// How often a member of a group of the consumer protocol (KIP-848) reports.
    group_consumer_heartbeat_interval_ms: i32 =
        "group.consumer.heartbeat.interval.ms", "5000", AtLeast(1), fixed;
    /// How long a member of a group of the consumer protocol (KIP-848) may be silent.
    group_consumer_session_timeout_ms: i32 =
        "group.consumer.session.timeout.ms", "45000", AtLeast(1), fixed;
    /// Bytes of metadata that an offset commit may carry.
    offset_metadata_max_bytes: i32 = "offset.metadata.max.bytes", "4096", AtLeast(0), fixed;
    /// How long the offsets of a group without members are kept.
    offsets_retention_minutes: i32 = "offsets.retention.minutes", "10080", AtLeast(1), fixed;
    /// How often offsets past their time are looked for.
    offsets_retention_check_interval_ms: i64 =
        "offsets.retention.check.interval.ms", "600000", AtLeast(1), fixed;
    /// Partitions of `__consumer_offsets`. Kafka has 50 to spread groups over brokers; a single
    /// node flushes one log cheaper than 50. Fixed once the topic is made.
    offsets_topic_num_partitions: i32 =
        "offsets.topic.num.partitions", "1", Between(1, 1000), fixed;

    /// How long a producer id is remembered after its last batch.
    producer_id_expiration_ms: i32 = "producer.id.expiration.ms", "86400000", AtLeast(1), fixed;
    /// How long a transactional id is remembered after its last transaction.
    transactional_id_expiration_ms: i32 =
        "transactional.id.expiration.ms", "604800000", AtLeast(1), fixed;
    /// Memory that all transactional ids may take, the partitions of their transactions included; when
    /// it is used up, what would need more is refused with COORDINATOR_NOT_AVAILABLE.
    transactions_memory_max_bytes: i64 =
        "transactions.memory.max.bytes", "67108864", AtLeast(65536), fixed;
    /// Partitions of `__transaction_state`. Kafka has 50 to spread transactional ids over brokers; a
    /// single node flushes one log cheaper than 50. Fixed once the topic is made.
    transaction_state_log_num_partitions: i32 =
        "transaction.state.log.num.partitions", "1", Between(1, 1000), fixed;
    /// How often transactions past their timeout are looked for.
    transaction_abort_timed_out_transaction_cleanup_interval_ms: i32 =
        "transaction.abort.timed.out.transaction.cleanup.interval.ms", "10000", AtLeast(1), fixed;
    /// How often transactional ids that nobody uses are looked for.
    transaction_remove_expired_transaction_cleanup_interval_ms: i32 =
        "transaction.remove.expired.transaction.cleanup.interval.ms", "3600000", AtLeast(1), fixed;
    /// Longest transaction timeout that a producer may ask for.
    transaction_max_timeout_ms: i32 = "transaction.max.timeout.ms", "900000", AtLeast(1), fixed;

    /// Views that the broker keeps up to date, each as `VIEW` or `VIEW:TOPIC` to make it from
    /// another topic than its own; empty for none. Nothing is made before the topic's first record.
    projections: Vec<String> = "projections", "user_activity,daily_revenue", Any, fixed;
    /// Further names for fields of events, each as `TOPIC.FIELD=NAME`.
    projection_aliases: Vec<String> = "projection.aliases", "", Any, fixed;
    /// How long, in event time, a view remembers the id of an event to suppress duplicates; -1 for
    /// ever. Another value builds the views anew.
    projection_dedup_window_ms: i64 = "projection.dedup.window.ms", "600000", AtLeast(-1), fixed;
    /// How far an event's time may lie ahead of its record's timestamp. Another value builds the
    /// views anew.
    projection_max_future_skew_ms: i64 =
        "projection.max.future.skew.ms", "3600000", AtLeast(0), fixed;
    /// Most records that a view takes in one commit.
    projection_commit_max_records: i32 =
        "projection.commit.max.records", "10000", AtLeast(1), fixed;
    /// Bytes of records after which a view commits.
    projection_commit_max_bytes: i32 =
        "projection.commit.max.bytes", "1048576", AtLeast(1), fixed;
    /// Longest time that a view takes in records before it commits.
    projection_commit_max_ms: i64 = "projection.commit.max.ms", "200", AtLeast(1), fixed;
    /// Memory that the rows and the remembered events of one view may take; a view that needs more
    /// pauses.
    projection_memory_max_bytes: i64 =
        "projection.memory.max.bytes", "1073741824", AtLeast(1_048_576), fixed;

    /// Largest batch, as sent; a topic's `max.message.bytes`.
    message_max_bytes: i32 = "message.max.bytes", "1048588", AtLeast(0), dynamic;
    /// Codec that batches are kept in; a topic's `compression.type`.
    compression_type: CompressionType =
        "compression.type", "producer", OneOf(CompressionType::WORDS), dynamic;
    /// Level of gzip where the broker compresses; a topic's `compression.gzip.level`.
    compression_gzip_level: i32 = "compression.gzip.level", "-1", BetweenOr(1, 9, -1), dynamic;
    /// Level of LZ4 where the broker compresses; a topic's `compression.lz4.level`.
    compression_lz4_level: i32 = "compression.lz4.level", "9", Between(1, 17), dynamic;
    /// Level of Zstandard where the broker compresses; a topic's `compression.zstd.level`.
    compression_zstd_level: i32 = "compression.zstd.level", "3", Between(-131_072, 22), dynamic;
    /// Replicas that must have a batch before acks=all is answered; a topic's
    /// `min.insync.replicas`. One node has one.
    min_insync_replicas: i32 = "min.insync.replicas", "1", AtLeast(1), dynamic;
    /// Whether a replica that lags may lead; a topic's `unclean.leader.election.enable`. One node
    /// has no such replica.
    unclean_leader_election_enable: bool = "unclean.leader.election.enable", "false", Any, dynamic;

    /// Bytes after which a segment is closed; a topic's `segment.bytes`.
    log_segment_bytes: i32 = "log.segment.bytes", "1073741824", AtLeast(14), dynamic;
    /// Time after which a segment is closed; a topic's `segment.ms`.
    log_roll_ms: i64 = "log.roll.ms", "604800000", AtLeast(1), dynamic;
    /// Random time taken off `log_roll_ms`; a topic's `segment.jitter.ms`.
    log_roll_jitter_ms: i64 = "log.roll.jitter.ms", "0", AtLeast(0), dynamic;
    /// Largest size of an index file; a topic's `segment.index.bytes`.
    log_index_size_max_bytes: i32 = "log.index.size.max.bytes", "10485760", AtLeast(4), dynamic;
    /// Bytes of log between two index entries; a topic's `index.interval.bytes`.
    log_index_interval_bytes: i32 = "log.index.interval.bytes", "4096", AtLeast(0), dynamic;
    /// Records after which a log is flushed whatever the acks; a topic's `flush.messages`.
    log_flush_interval_messages: i64 =
        "log.flush.interval.messages", "9223372036854775807", AtLeast(1), dynamic;
    /// Time after which a log is flushed whatever the acks; a topic's `flush.ms`.
    log_flush_interval_ms: i64 = "log.flush.interval.ms", "9223372036854775807", AtLeast(0), dynamic;
    /// Time after which a record may be deleted, -1 for never; a topic's `retention.ms`.
    log_retention_ms: i64 = "log.retention.ms", "604800000", AtLeast(-1), dynamic;
    /// Bytes of a partition above which its oldest segments may be deleted, -1 for no limit; a
    /// topic's `retention.bytes`.
    log_retention_bytes: i64 = "log.retention.bytes", "-1", Any, dynamic;
    /// How often segments past retention are looked for.
    log_retention_check_interval_ms: i64 =
        "log.retention.check.interval.ms", "300000", AtLeast(1), fixed;
    /// `delete` old segments, `compact` to the latest value of each key, or both; a topic's
    /// `cleanup.policy`.
    log_cleanup_policy: Cleanup = "log.cleanup.policy", "delete", CLEANUP, dynamic;
    /// Time between the deletion of a segment and the removal of its files; a topic's
    /// `file.delete.delay.ms`.
    log_segment_delete_delay_ms: i64 = "log.segment.delete.delay.ms", "60000", AtLeast(0), dynamic;
    /// Whether space for a segment is reserved when it is made; a topic's `preallocate`. The
    /// space of mapped segments is always reserved.
    log_preallocate: bool = "log.preallocate", "false", Any, dynamic;
    /// Whose time a record carries; a topic's `message.timestamp.type`.
    log_message_timestamp_type: TimestampType =
        "log.message.timestamp.type", "CreateTime", OneOf(TimestampType::WORDS), dynamic;
    /// How far a record's timestamp may lie in the past; a topic's
    /// `message.timestamp.before.max.ms`.
    log_message_timestamp_before_max_ms: i64 =
        "log.message.timestamp.before.max.ms", "9223372036854775807", AtLeast(0), dynamic;
    /// How far a record's timestamp may lie in the future; a topic's
    /// `message.timestamp.after.max.ms`.
    log_message_timestamp_after_max_ms: i64 =
        "log.message.timestamp.after.max.ms", "3600000", AtLeast(0), dynamic;

    /// How long the cleaner sleeps when there is nothing to compact.
    log_cleaner_backoff_ms: i64 = "log.cleaner.backoff.ms", "15000", AtLeast(0), fixed;
    /// Bytes per second that the cleaner reads and writes together at most.
    log_cleaner_io_max_bytes_per_second: f64 =
        "log.cleaner.io.max.bytes.per.second", "1.7976931348623157e308", Any, fixed;
    /// Memory that the cleaner may use to remember keys, in bytes; a log with more keys is
    /// compacted in several passes.
    log_cleaner_dedupe_buffer_size: i64 =
        "log.cleaner.dedupe.buffer.size", "134217728", AtLeast(1 << 20), fixed;
    /// Share of a log that must be dirty before it is compacted; a topic's
    /// `min.cleanable.dirty.ratio`.
    log_cleaner_min_cleanable_ratio: f64 = "log.cleaner.min.cleanable.ratio", "0.5", Ratio, dynamic;
    /// How long tombstones are kept in a compacted topic; a topic's `delete.retention.ms`.
    log_cleaner_delete_retention_ms: i64 =
        "log.cleaner.delete.retention.ms", "86400000", AtLeast(0), dynamic;
    /// How long a record stays uncompacted at least; a topic's `min.compaction.lag.ms`.
    log_cleaner_min_compaction_lag_ms: i64 =
        "log.cleaner.min.compaction.lag.ms", "0", AtLeast(0), dynamic;
    /// How long a record stays uncompacted at most; a topic's `max.compaction.lag.ms`.
    log_cleaner_max_compaction_lag_ms: i64 =
        "log.cleaner.max.compaction.lag.ms", "9223372036854775807", AtLeast(1), dynamic;
}

impl Settings {
    /// Every setting there is, in the order of the documentation.
    pub fn table() -> &'static [Setting] {
        TABLE
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_default_is_allowed_and_shown_as_written() {
        let mut settings = Settings::default();
        for setting in TABLE {
            assert_eq!(
                settings.assign(setting, setting.default),
                Ok(()),
                "{}",
                setting.key
            );
            assert_eq!(settings.shown(setting).unwrap_or_default(), setting.default);
            assert!(setting.doc.ends_with('.'), "{}", setting.key);
            assert!(!setting.doc.contains("  "), "{}", setting.key);
        }
    }

    #[test]
    fn keys_are_kafkas_names_in_snake_case() {
        let own = ["data_dir", "listen", "advertise", "rack"];
        for setting in TABLE.iter().filter(|setting| !own.contains(&setting.key)) {
            assert_eq!(setting.key, setting.kafka_name.replace('.', "_"));
        }
        let names: BTreeSet<_> = TABLE.iter().map(|setting| setting.kafka_name).collect();
        assert_eq!(names.len(), TABLE.len());
    }
}
