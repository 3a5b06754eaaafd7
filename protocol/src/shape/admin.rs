//! The shapes of the requests for versions, configs, quotas, log directories and the cluster.
use kafka_protocol::messages::ApiKey;

use super::Type::{
    Array, Bool, Bytes, Float64, Int8, Int32, NullableArray, NullableString, String, Struct, Uuid,
};
use super::{Request, field};

/// Key 18.
pub(super) const API_VERSIONS: Request = Request {
    key: ApiKey::ApiVersions,
    versions: 0..=4,
    flexible_since: Some(3),
    fields: &[
        field("client_software_name", String).since(3),
        field("client_software_version", String).since(3),
    ],
};

/// Key 32.
pub(super) const DESCRIBE_CONFIGS: Request = Request {
    key: ApiKey::DescribeConfigs,
    versions: 1..=4,
    flexible_since: Some(4),
    fields: &[
        field(
            "resources",
            Array(&Struct(&[
                field("resource_type", Int8),
                field("resource_name", String),
                field("configuration_keys", NullableArray(&String)),
            ])),
        ),
        field("include_synonyms", Bool),
        field("include_documentation", Bool).since(3),
    ],
};

/// Key 33.
pub(super) const ALTER_CONFIGS: Request = Request {
    key: ApiKey::AlterConfigs,
    versions: 0..=2,
    flexible_since: Some(2),
    fields: &[
        field(
            "resources",
            Array(&Struct(&[
                field("resource_type", Int8),
                field("resource_name", String),
                field(
                    "configs",
                    Array(&Struct(&[
                        field("name", String),
                        field("value", NullableString),
                    ])),
                ),
            ])),
        ),
        field("validate_only", Bool),
    ],
};

/// Key 35.
pub(super) const DESCRIBE_LOG_DIRS: Request = Request {
    key: ApiKey::DescribeLogDirs,
    versions: 1..=4,
    flexible_since: Some(2),
    fields: &[field(
        "topics",
        NullableArray(&Struct(&[
            field("topic", String),
            field("partitions", Array(&Int32)),
        ])),
    )],
};

/// Key 44.
pub(super) const INCREMENTAL_ALTER_CONFIGS: Request = Request {
    key: ApiKey::IncrementalAlterConfigs,
    versions: 0..=1,
    flexible_since: Some(1),
    fields: &[
        field(
            "resources",
            Array(&Struct(&[
                field("resource_type", Int8),
                field("resource_name", String),
                field(
                    "configs",
                    Array(&Struct(&[
                        field("name", String),
                        field("config_operation", Int8),
                        field("value", NullableString),
                    ])),
                ),
            ])),
        ),
        field("validate_only", Bool),
    ],
};

/// Key 48.
pub(super) const DESCRIBE_CLIENT_QUOTAS: Request = Request {
    key: ApiKey::DescribeClientQuotas,
    versions: 0..=1,
    flexible_since: Some(1),
    fields: &[
        field(
            "components",
            Array(&Struct(&[
                field("entity_type", String),
                field("match_type", Int8),
                field("_match", NullableString),
            ])),
        ),
        field("strict", Bool),
    ],
};

/// Key 49.
pub(super) const ALTER_CLIENT_QUOTAS: Request = Request {
    key: ApiKey::AlterClientQuotas,
    versions: 0..=1,
    flexible_since: Some(1),
    fields: &[
        field(
            "entries",
            Array(&Struct(&[
                field(
                    "entity",
                    Array(&Struct(&[
                        field("entity_type", String),
                        field("entity_name", NullableString),
                    ])),
                ),
                field(
                    "ops",
                    Array(&Struct(&[
                        field("key", String),
                        field("value", Float64),
                        field("remove", Bool),
                    ])),
                ),
            ])),
        ),
        field("validate_only", Bool),
    ],
};

/// Key 55.
pub(super) const DESCRIBE_QUORUM: Request = Request {
    key: ApiKey::DescribeQuorum,
    versions: 0..=2,
    flexible_since: Some(0),
    fields: &[field(
        "topics",
        Array(&Struct(&[
            field("topic_name", String),
            field(
                "partitions",
                Array(&Struct(&[field("partition_index", Int32)])),
            ),
        ])),
    )],
};

/// Key 60.
pub(super) const DESCRIBE_CLUSTER: Request = Request {
    key: ApiKey::DescribeCluster,
    versions: 0..=2,
    flexible_since: Some(0),
    fields: &[
        field("include_cluster_authorized_operations", Bool),
        field("endpoint_type", Int8).since(1),
        field("include_fenced_brokers", Bool).since(2),
    ],
};

/// Key 71.
pub(super) const GET_TELEMETRY_SUBSCRIPTIONS: Request = Request {
    key: ApiKey::GetTelemetrySubscriptions,
    versions: 0..=0,
    flexible_since: Some(0),
    fields: &[field("client_instance_id", Uuid)],
};

/// Key 72.
pub(super) const PUSH_TELEMETRY: Request = Request {
    key: ApiKey::PushTelemetry,
    versions: 0..=0,
    flexible_since: Some(0),
    fields: &[
        field("client_instance_id", Uuid),
        field("subscription_id", Int32),
        field("terminating", Bool),
        field("compression_type", Int8),
        field("metrics", Bytes),
    ],
};

/// Key 74.
pub(super) const LIST_CONFIG_RESOURCES: Request = Request {
    key: ApiKey::ListConfigResources,
    versions: 0..=1,
    flexible_since: Some(0),
    fields: &[field("resource_types", Array(&Int8)).since(1)],
};
