//! The shapes of the requests for topics and their partitions.
use kafka_protocol::messages::ApiKey;

use super::Type::{
    Array, Bool, Int8, Int16, Int32, Int64, NullableArray, NullableString, NullableStruct, String,
    Struct, Uuid,
};
use super::{Request, field};

/// Key 3.
pub(super) const METADATA: Request = Request {
    key: ApiKey::Metadata,
    versions: 0..=13,
    flexible_since: Some(9),
    fields: &[
        field(
            "topics",
            NullableArray(&Struct(&[
                field("topic_id", Uuid).since(10),
                field("name", NullableString),
            ])),
        ),
        field("allow_auto_topic_creation", Bool).since(4),
        field("include_cluster_authorized_operations", Bool)
            .since(8)
            .until(10),
        field("include_topic_authorized_operations", Bool).since(8),
    ],
};

/// Key 19.
pub(super) const CREATE_TOPICS: Request = Request {
    key: ApiKey::CreateTopics,
    versions: 2..=7,
    flexible_since: Some(5),
    fields: &[
        field(
            "topics",
            Array(&Struct(&[
                field("name", String),
                field("num_partitions", Int32),
                field("replication_factor", Int16),
                field(
                    "assignments",
                    Array(&Struct(&[
                        field("partition_index", Int32),
                        field("broker_ids", Array(&Int32)),
                    ])),
                ),
                field(
                    "configs",
                    Array(&Struct(&[
                        field("name", String),
                        field("value", NullableString),
                    ])),
                ),
            ])),
        ),
        field("timeout_ms", Int32),
        field("validate_only", Bool),
    ],
};

/// Key 20.
pub(super) const DELETE_TOPICS: Request = Request {
    key: ApiKey::DeleteTopics,
    versions: 1..=6,
    flexible_since: Some(4),
    fields: &[
        field(
            "topics",
            Array(&Struct(&[
                field("name", NullableString).since(6),
                field("topic_id", Uuid).since(6),
            ])),
        )
        .since(6),
        field("topic_names", Array(&String)).until(5),
        field("timeout_ms", Int32),
    ],
};

/// Key 21.
pub(super) const DELETE_RECORDS: Request = Request {
    key: ApiKey::DeleteRecords,
    versions: 0..=2,
    flexible_since: Some(2),
    fields: &[
        field(
            "topics",
            Array(&Struct(&[
                field("name", String),
                field(
                    "partitions",
                    Array(&Struct(&[
                        field("partition_index", Int32),
                        field("offset", Int64),
                    ])),
                ),
            ])),
        ),
        field("timeout_ms", Int32),
    ],
};

/// Key 37.
pub(super) const CREATE_PARTITIONS: Request = Request {
    key: ApiKey::CreatePartitions,
    versions: 0..=3,
    flexible_since: Some(2),
    fields: &[
        field(
            "topics",
            Array(&Struct(&[
                field("name", String),
                field("count", Int32),
                field(
                    "assignments",
                    NullableArray(&Struct(&[field("broker_ids", Array(&Int32))])),
                ),
            ])),
        ),
        field("timeout_ms", Int32),
        field("validate_only", Bool),
    ],
};

/// Key 43.
pub(super) const ELECT_LEADERS: Request = Request {
    key: ApiKey::ElectLeaders,
    versions: 0..=2,
    flexible_since: Some(2),
    fields: &[
        field("election_type", Int8).since(1),
        field(
            "topic_partitions",
            NullableArray(&Struct(&[
                field("topic", String),
                field("partitions", Array(&Int32)),
            ])),
        ),
        field("timeout_ms", Int32),
    ],
};

/// Key 45.
pub(super) const ALTER_PARTITION_REASSIGNMENTS: Request = Request {
    key: ApiKey::AlterPartitionReassignments,
    versions: 0..=1,
    flexible_since: Some(0),
    fields: &[
        field("timeout_ms", Int32),
        field("allow_replication_factor_change", Bool).since(1),
        field(
            "topics",
            Array(&Struct(&[
                field("name", String),
                field(
                    "partitions",
                    Array(&Struct(&[
                        field("partition_index", Int32),
                        field("replicas", NullableArray(&Int32)),
                    ])),
                ),
            ])),
        ),
    ],
};

/// Key 46.
pub(super) const LIST_PARTITION_REASSIGNMENTS: Request = Request {
    key: ApiKey::ListPartitionReassignments,
    versions: 0..=0,
    flexible_since: Some(0),
    fields: &[
        field("timeout_ms", Int32),
        field(
            "topics",
            NullableArray(&Struct(&[
                field("name", String),
                field("partition_indexes", Array(&Int32)),
            ])),
        ),
    ],
};

/// Key 75.
pub(super) const DESCRIBE_TOPIC_PARTITIONS: Request = Request {
    key: ApiKey::DescribeTopicPartitions,
    versions: 0..=0,
    flexible_since: Some(0),
    fields: &[
        field("topics", Array(&Struct(&[field("name", String)]))),
        field("response_partition_limit", Int32),
        field(
            "cursor",
            NullableStruct(&[field("topic_name", String), field("partition_index", Int32)]),
        ),
    ],
};
