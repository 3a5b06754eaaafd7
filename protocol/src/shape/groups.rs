//! The shapes of the requests for consumer groups and their offsets.
use kafka_protocol::messages::ApiKey;

use super::Type::{
    Array, Bool, Bytes, Int8, Int32, Int64, NullableArray, NullableString, String, Struct, Uuid,
};
use super::{Request, field};

/// Key 8.
pub(super) const OFFSET_COMMIT: Request = Request {
    key: ApiKey::OffsetCommit,
    versions: 2..=9,
    flexible_since: Some(8),
    fields: &[
        field("group_id", String),
        field("generation_id_or_member_epoch", Int32),
        field("member_id", String),
        field("group_instance_id", NullableString).since(7),
        field("retention_time_ms", Int64).until(4),
        field(
            "topics",
            Array(&Struct(&[
                field("name", String),
                field(
                    "partitions",
                    Array(&Struct(&[
                        field("partition_index", Int32),
                        field("committed_offset", Int64),
                        field("committed_leader_epoch", Int32).since(6),
                        field("committed_metadata", NullableString),
                    ])),
                ),
            ])),
        ),
    ],
};

/// Key 9.
pub(super) const OFFSET_FETCH: Request = Request {
    key: ApiKey::OffsetFetch,
    versions: 1..=9,
    flexible_since: Some(6),
    fields: &[
        field("group_id", String).until(7),
        field(
            "topics",
            NullableArray(&Struct(&[
                field("name", String).until(7),
                field("partition_indexes", Array(&Int32)).until(7),
            ])),
        )
        .until(7),
        field(
            "groups",
            Array(&Struct(&[
                field("group_id", String).since(8),
                field("member_id", NullableString).since(9),
                field("member_epoch", Int32).since(9),
                field(
                    "topics",
                    NullableArray(&Struct(&[
                        field("name", String).since(8),
                        field("partition_indexes", Array(&Int32)).since(8),
                    ])),
                )
                .since(8),
            ])),
        )
        .since(8),
        field("require_stable", Bool).since(7),
    ],
};

/// Key 10.
pub(super) const FIND_COORDINATOR: Request = Request {
    key: ApiKey::FindCoordinator,
    versions: 0..=6,
    flexible_since: Some(3),
    fields: &[
        field("key", String).until(3),
        field("key_type", Int8).since(1),
        field("coordinator_keys", Array(&String)).since(4),
    ],
};

/// Key 11.
pub(super) const JOIN_GROUP: Request = Request {
    key: ApiKey::JoinGroup,
    versions: 0..=9,
    flexible_since: Some(6),
    fields: &[
        field("group_id", String),
        field("session_timeout_ms", Int32),
        field("rebalance_timeout_ms", Int32).since(1),
        field("member_id", String),
        field("group_instance_id", NullableString).since(5),
        field("protocol_type", String),
        field(
            "protocols",
            Array(&Struct(&[field("name", String), field("metadata", Bytes)])),
        ),
        field("reason", NullableString).since(8),
    ],
};

/// Key 12.
pub(super) const HEARTBEAT: Request = Request {
    key: ApiKey::Heartbeat,
    versions: 0..=4,
    flexible_since: Some(4),
    fields: &[
        field("group_id", String),
        field("generation_id", Int32),
        field("member_id", String),
        field("group_instance_id", NullableString).since(3),
    ],
};

/// Key 13.
pub(super) const LEAVE_GROUP: Request = Request {
    key: ApiKey::LeaveGroup,
    versions: 0..=5,
    flexible_since: Some(4),
    fields: &[
        field("group_id", String),
        field("member_id", String).until(2),
        field(
            "members",
            Array(&Struct(&[
                field("member_id", String).since(3),
                field("group_instance_id", NullableString).since(3),
                field("reason", NullableString).since(5),
            ])),
        )
        .since(3),
    ],
};

/// Key 14.
pub(super) const SYNC_GROUP: Request = Request {
    key: ApiKey::SyncGroup,
    versions: 0..=5,
    flexible_since: Some(4),
    fields: &[
        field("group_id", String),
        field("generation_id", Int32),
        field("member_id", String),
        field("group_instance_id", NullableString).since(3),
        field("protocol_type", NullableString).since(5),
        field("protocol_name", NullableString).since(5),
        field(
            "assignments",
            Array(&Struct(&[
                field("member_id", String),
                field("assignment", Bytes),
            ])),
        ),
    ],
};

/// Key 15.
pub(super) const DESCRIBE_GROUPS: Request = Request {
    key: ApiKey::DescribeGroups,
    versions: 0..=6,
    flexible_since: Some(5),
    fields: &[
        field("groups", Array(&String)),
        field("include_authorized_operations", Bool).since(3),
    ],
};

/// Key 16.
pub(super) const LIST_GROUPS: Request = Request {
    key: ApiKey::ListGroups,
    versions: 0..=5,
    flexible_since: Some(3),
    fields: &[
        field("states_filter", Array(&String)).since(4),
        field("types_filter", Array(&String)).since(5),
    ],
};

/// Key 42.
pub(super) const DELETE_GROUPS: Request = Request {
    key: ApiKey::DeleteGroups,
    versions: 0..=2,
    flexible_since: Some(2),
    fields: &[field("groups_names", Array(&String))],
};

/// Key 47.
pub(super) const OFFSET_DELETE: Request = Request {
    key: ApiKey::OffsetDelete,
    versions: 0..=0,
    flexible_since: None,
    fields: &[
        field("group_id", String),
        field(
            "topics",
            Array(&Struct(&[
                field("name", String),
                field(
                    "partitions",
                    Array(&Struct(&[field("partition_index", Int32)])),
                ),
            ])),
        ),
    ],
};

/// Key 68.
pub(super) const CONSUMER_GROUP_HEARTBEAT: Request = Request {
    key: ApiKey::ConsumerGroupHeartbeat,
    versions: 0..=1,
    flexible_since: Some(0),
    fields: &[
        field("group_id", String),
        field("member_id", String),
        field("member_epoch", Int32),
        field("instance_id", NullableString),
        field("rack_id", NullableString),
        field("rebalance_timeout_ms", Int32),
        field("subscribed_topic_names", NullableArray(&String)),
        field("subscribed_topic_regex", NullableString).since(1),
        field("server_assignor", NullableString),
        field(
            "topic_partitions",
            NullableArray(&Struct(&[
                field("topic_id", Uuid),
                field("partitions", Array(&Int32)),
            ])),
        ),
    ],
};

/// Key 69.
pub(super) const CONSUMER_GROUP_DESCRIBE: Request = Request {
    key: ApiKey::ConsumerGroupDescribe,
    versions: 0..=1,
    flexible_since: Some(0),
    fields: &[
        field("group_ids", Array(&String)),
        field("include_authorized_operations", Bool),
    ],
};
