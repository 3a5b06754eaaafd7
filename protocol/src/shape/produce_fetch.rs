//! The shapes of the requests for producing and fetching records.
use kafka_protocol::messages::ApiKey;

use super::Type::{
    Array, Int8, Int16, Int32, Int64, NullableBytes, NullableString, String, Struct, Uuid,
};
use super::{Request, field};

/// Key 0.
pub(super) const PRODUCE: Request = Request {
    key: ApiKey::Produce,
    versions: 3..=13,
    flexible_since: Some(9),
    fields: &[
        field("transactional_id", NullableString),
        field("acks", Int16),
        field("timeout_ms", Int32),
        field(
            "topic_data",
            Array(&Struct(&[
                field("name", String).until(12),
                field("topic_id", Uuid).since(13),
                field(
                    "partition_data",
                    Array(&Struct(&[
                        field("index", Int32),
                        field("records", NullableBytes),
                    ])),
                ),
            ])),
        ),
    ],
};

/// Key 1.
pub(super) const FETCH: Request = Request {
    key: ApiKey::Fetch,
    versions: 4..=18,
    flexible_since: Some(12),
    fields: &[
        field("replica_id", Int32).until(14),
        field("max_wait_ms", Int32),
        field("min_bytes", Int32),
        field("max_bytes", Int32),
        field("isolation_level", Int8),
        field("session_id", Int32).since(7),
        field("session_epoch", Int32).since(7),
        field(
            "topics",
            Array(&Struct(&[
                field("topic", String).until(12),
                field("topic_id", Uuid).since(13),
                field(
                    "partitions",
                    Array(&Struct(&[
                        field("partition", Int32),
                        field("current_leader_epoch", Int32).since(9),
                        field("fetch_offset", Int64),
                        field("last_fetched_epoch", Int32).since(12),
                        field("log_start_offset", Int64).since(5),
                        field("partition_max_bytes", Int32),
                        field("replica_directory_id", Uuid).since(17).tag(0),
                        field("high_watermark", Int64).since(18).tag(1),
                    ])),
                ),
            ])),
        ),
        field(
            "forgotten_topics_data",
            Array(&Struct(&[
                field("topic", String).since(7).until(12),
                field("topic_id", Uuid).since(13),
                field("partitions", Array(&Int32)).since(7),
            ])),
        )
        .since(7),
        field("rack_id", String).since(11),
        field("cluster_id", NullableString).tag(0),
        field(
            "replica_state",
            Struct(&[
                field("replica_id", Int32).since(15),
                field("replica_epoch", Int64).since(15),
            ]),
        )
        .since(15)
        .tag(1),
    ],
};

/// Key 2.
pub(super) const LIST_OFFSETS: Request = Request {
    key: ApiKey::ListOffsets,
    versions: 1..=10,
    flexible_since: Some(6),
    fields: &[
        field("replica_id", Int32),
        field("isolation_level", Int8).since(2),
        field(
            "topics",
            Array(&Struct(&[
                field("name", String),
                field(
                    "partitions",
                    Array(&Struct(&[
                        field("partition_index", Int32),
                        field("current_leader_epoch", Int32).since(4),
                        field("timestamp", Int64),
                    ])),
                ),
            ])),
        ),
        field("timeout_ms", Int32).since(10),
    ],
};

/// Key 23.
pub(super) const OFFSET_FOR_LEADER_EPOCH: Request = Request {
    key: ApiKey::OffsetForLeaderEpoch,
    versions: 2..=4,
    flexible_since: Some(4),
    fields: &[
        field("replica_id", Int32).since(3),
        field(
            "topics",
            Array(&Struct(&[
                field("topic", String),
                field(
                    "partitions",
                    Array(&Struct(&[
                        field("partition", Int32),
                        field("current_leader_epoch", Int32),
                        field("leader_epoch", Int32),
                    ])),
                ),
            ])),
        ),
    ],
};
