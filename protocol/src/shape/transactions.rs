//! The shapes of the requests for idempotent producers and transactions.
use kafka_protocol::messages::ApiKey;

use super::Type::{Array, Bool, Int16, Int32, Int64, NullableString, String, Struct};
use super::{Request, field};

/// Key 22.
pub(super) const INIT_PRODUCER_ID: Request = Request {
    key: ApiKey::InitProducerId,
    versions: 0..=5,
    flexible_since: Some(2),
    fields: &[
        field("transactional_id", NullableString),
        field("transaction_timeout_ms", Int32),
        field("producer_id", Int64).since(3),
        field("producer_epoch", Int16).since(3),
    ],
};

/// Key 24.
pub(super) const ADD_PARTITIONS_TO_TXN: Request = Request {
    key: ApiKey::AddPartitionsToTxn,
    versions: 0..=5,
    flexible_since: Some(3),
    fields: &[
        field(
            "transactions",
            Array(&Struct(&[
                field("transactional_id", String).since(4),
                field("producer_id", Int64).since(4),
                field("producer_epoch", Int16).since(4),
                field("verify_only", Bool).since(4),
                field(
                    "topics",
                    Array(&Struct(&[
                        field("name", String),
                        field("partitions", Array(&Int32)),
                    ])),
                )
                .since(4),
            ])),
        )
        .since(4),
        field("v3_and_below_transactional_id", String).until(3),
        field("v3_and_below_producer_id", Int64).until(3),
        field("v3_and_below_producer_epoch", Int16).until(3),
        field(
            "v3_and_below_topics",
            Array(&Struct(&[
                field("name", String),
                field("partitions", Array(&Int32)),
            ])),
        )
        .until(3),
    ],
};

/// Key 25.
pub(super) const ADD_OFFSETS_TO_TXN: Request = Request {
    key: ApiKey::AddOffsetsToTxn,
    versions: 0..=4,
    flexible_since: Some(3),
    fields: &[
        field("transactional_id", String),
        field("producer_id", Int64),
        field("producer_epoch", Int16),
        field("group_id", String),
    ],
};

/// Key 26.
pub(super) const END_TXN: Request = Request {
    key: ApiKey::EndTxn,
    versions: 0..=5,
    flexible_since: Some(3),
    fields: &[
        field("transactional_id", String),
        field("producer_id", Int64),
        field("producer_epoch", Int16),
        field("committed", Bool),
    ],
};

/// Key 27.
pub(super) const WRITE_TXN_MARKERS: Request = Request {
    key: ApiKey::WriteTxnMarkers,
    versions: 1..=1,
    flexible_since: Some(1),
    fields: &[field(
        "markers",
        Array(&Struct(&[
            field("producer_id", Int64),
            field("producer_epoch", Int16),
            field("transaction_result", Bool),
            field(
                "topics",
                Array(&Struct(&[
                    field("name", String),
                    field("partition_indexes", Array(&Int32)),
                ])),
            ),
            field("coordinator_epoch", Int32),
        ])),
    )],
};

/// Key 28.
pub(super) const TXN_OFFSET_COMMIT: Request = Request {
    key: ApiKey::TxnOffsetCommit,
    versions: 0..=5,
    flexible_since: Some(3),
    fields: &[
        field("transactional_id", String),
        field("group_id", String),
        field("producer_id", Int64),
        field("producer_epoch", Int16),
        field("generation_id", Int32).since(3),
        field("member_id", String).since(3),
        field("group_instance_id", NullableString).since(3),
        field(
            "topics",
            Array(&Struct(&[
                field("name", String),
                field(
                    "partitions",
                    Array(&Struct(&[
                        field("partition_index", Int32),
                        field("committed_offset", Int64),
                        field("committed_leader_epoch", Int32).since(2),
                        field("committed_metadata", NullableString),
                    ])),
                ),
            ])),
        ),
    ],
};

/// Key 61.
pub(super) const DESCRIBE_PRODUCERS: Request = Request {
    key: ApiKey::DescribeProducers,
    versions: 0..=0,
    flexible_since: Some(0),
    fields: &[field(
        "topics",
        Array(&Struct(&[
            field("name", String),
            field("partition_indexes", Array(&Int32)),
        ])),
    )],
};

/// Key 65.
pub(super) const DESCRIBE_TRANSACTIONS: Request = Request {
    key: ApiKey::DescribeTransactions,
    versions: 0..=0,
    flexible_since: Some(0),
    fields: &[field("transactional_ids", Array(&String))],
};

/// Key 66.
pub(super) const LIST_TRANSACTIONS: Request = Request {
    key: ApiKey::ListTransactions,
    versions: 0..=2,
    flexible_since: Some(0),
    fields: &[
        field("state_filters", Array(&String)),
        field("producer_id_filters", Array(&Int64)),
        field("duration_filter", Int64).since(1),
        field("transactional_id_pattern", NullableString).since(2),
    ],
};
