//! The shapes of the requests for authentication, access control lists and tokens.
use kafka_protocol::messages::ApiKey;

use super::Type::{Array, Bytes, Int8, Int32, NullableArray, NullableString, String, Struct};
use super::{Request, field};

/// Key 17.
pub(super) const SASL_HANDSHAKE: Request = Request {
    key: ApiKey::SaslHandshake,
    versions: 0..=1,
    flexible_since: None,
    fields: &[field("mechanism", String)],
};

/// Key 29.
pub(super) const DESCRIBE_ACLS: Request = Request {
    key: ApiKey::DescribeAcls,
    versions: 1..=3,
    flexible_since: Some(2),
    fields: &[
        field("resource_type_filter", Int8),
        field("resource_name_filter", NullableString),
        field("pattern_type_filter", Int8),
        field("principal_filter", NullableString),
        field("host_filter", NullableString),
        field("operation", Int8),
        field("permission_type", Int8),
    ],
};

/// Key 30.
pub(super) const CREATE_ACLS: Request = Request {
    key: ApiKey::CreateAcls,
    versions: 1..=3,
    flexible_since: Some(2),
    fields: &[field(
        "creations",
        Array(&Struct(&[
            field("resource_type", Int8),
            field("resource_name", String),
            field("resource_pattern_type", Int8),
            field("principal", String),
            field("host", String),
            field("operation", Int8),
            field("permission_type", Int8),
        ])),
    )],
};

/// Key 31.
pub(super) const DELETE_ACLS: Request = Request {
    key: ApiKey::DeleteAcls,
    versions: 1..=3,
    flexible_since: Some(2),
    fields: &[field(
        "filters",
        Array(&Struct(&[
            field("resource_type_filter", Int8),
            field("resource_name_filter", NullableString),
            field("pattern_type_filter", Int8),
            field("principal_filter", NullableString),
            field("host_filter", NullableString),
            field("operation", Int8),
            field("permission_type", Int8),
        ])),
    )],
};

/// Key 36.
pub(super) const SASL_AUTHENTICATE: Request = Request {
    key: ApiKey::SaslAuthenticate,
    versions: 0..=2,
    flexible_since: Some(2),
    fields: &[field("auth_bytes", Bytes)],
};

/// Key 50.
pub(super) const DESCRIBE_USER_SCRAM_CREDENTIALS: Request = Request {
    key: ApiKey::DescribeUserScramCredentials,
    versions: 0..=0,
    flexible_since: Some(0),
    fields: &[field(
        "users",
        NullableArray(&Struct(&[field("name", String)])),
    )],
};

/// Key 51.
pub(super) const ALTER_USER_SCRAM_CREDENTIALS: Request = Request {
    key: ApiKey::AlterUserScramCredentials,
    versions: 0..=0,
    flexible_since: Some(0),
    fields: &[
        field(
            "deletions",
            Array(&Struct(&[field("name", String), field("mechanism", Int8)])),
        ),
        field(
            "upsertions",
            Array(&Struct(&[
                field("name", String),
                field("mechanism", Int8),
                field("iterations", Int32),
                field("salt", Bytes),
                field("salted_password", Bytes),
            ])),
        ),
    ],
};
