//! What the body of every request looks like, and a walk that checks one before it is decoded.
//!
//! The decoder of the `kafka-protocol` crate reserves memory for as many array elements as the wire
//! claims before it has seen one, so four hostile bytes can abort the process. [`check`] walks over a
//! body first and allocates nothing: it refuses lengths that reach past the end, counts whose elements
//! are not all there, tagged fields whose size is not that of their value, and unknown tagged fields
//! in more structures than any client would send. What passes makes the decoder allocate at most 80 times the body's size (a test measures 59).
//!
//! The tables follow Kafka's message definitions (`clients/src/main/resources/common/message`) for
//! the versions that the crate knows; a test decodes and encodes every one of them.
mod admin;
mod groups;
mod produce_fetch;
mod security;
mod topics;
mod transactions;
mod walk;

use std::ops::RangeInclusive;

use kafka_protocol::messages::ApiKey;

pub use walk::check;

/// The shape of one request's body.
#[derive(Debug)]
pub struct Request {
    /// Which request it is.
    pub key: ApiKey,
    /// The versions that the table describes.
    pub versions: RangeInclusive<i16>,
    /// The first version with compact lengths and tagged fields (KIP-482), if there is one.
    pub flexible_since: Option<i16>,
    /// The fields in wire order; tagged ones last.
    pub fields: &'static [Field],
}

impl Request {
    /// Whether this version has compact lengths and tagged fields.
    pub fn is_flexible(&self, version: i16) -> bool {
        self.flexible_since.is_some_and(|since| version >= since)
    }
}

/// A field of a request or of a structure in it.
#[derive(Debug)]
pub struct Field {
    /// Its name, for errors.
    pub name: &'static str,
    /// What it holds.
    pub kind: Type,
    /// The first version that has it.
    pub since: i16,
    /// The last version that has it.
    pub until: i16,
    /// Its number if it is a tagged field.
    pub tag: Option<u32>,
}

impl Field {
    const fn since(self, version: i16) -> Self {
        Self {
            since: version,
            ..self
        }
    }
    const fn until(self, version: i16) -> Self {
        Self {
            until: version,
            ..self
        }
    }
    const fn tag(self, tag: u32) -> Self {
        Self {
            tag: Some(tag),
            ..self
        }
    }
    /// Whether this version has the field.
    pub fn is_in(&self, version: i16) -> bool {
        self.since <= version && version <= self.until
    }
}

/// A field that every version has.
const fn field(name: &'static str, kind: Type) -> Field {
    Field {
        name,
        kind,
        since: 0,
        until: i16::MAX,
        tag: None,
    }
}

/// What a field holds. Strings, bytes and arrays have compact lengths in flexible versions.
#[derive(Debug)]
pub enum Type {
    /// One byte, 0 or 1.
    Bool,
    /// One byte.
    Int8,
    /// Two bytes.
    Int16,
    /// Two bytes without a sign.
    UInt16,
    /// Four bytes.
    Int32,
    /// Eight bytes.
    Int64,
    /// Eight bytes, IEEE 754.
    Float64,
    /// Sixteen bytes.
    Uuid,
    /// UTF-8 with a 16-bit or compact length.
    String,
    /// A string or null.
    NullableString,
    /// Bytes with a 32-bit or compact length.
    Bytes,
    /// Bytes or null.
    NullableBytes,
    /// The fields of a structure, one after the other.
    Struct(&'static [Field]),
    /// A structure behind a byte that is 1, or the byte -1 and nothing.
    NullableStruct(&'static [Field]),
    /// Elements with a 32-bit or compact count.
    Array(&'static Type),
    /// An array or null.
    NullableArray(&'static Type),
}

impl Type {
    /// The bytes that every value takes, if that is one number.
    pub const fn fixed_size(&self) -> Option<usize> {
        match self {
            Self::Bool | Self::Int8 => Some(1),
            Self::Int16 | Self::UInt16 => Some(2),
            Self::Int32 => Some(4),
            Self::Int64 | Self::Float64 => Some(8),
            Self::Uuid => Some(16),
            _ => None,
        }
    }
}

/// The shape of a request, if the broker may serve it.
pub fn of(key: ApiKey) -> Option<&'static Request> {
    let found = REQUESTS.binary_search_by_key(&(key as i16), |request| request.key as i16);
    found.ok().map(|at| REQUESTS[at])
}

/// Every shape, by ascending key.
pub static REQUESTS: [&Request; 54] = [
    &produce_fetch::PRODUCE,
    &produce_fetch::FETCH,
    &produce_fetch::LIST_OFFSETS,
    &topics::METADATA,
    &groups::OFFSET_COMMIT,
    &groups::OFFSET_FETCH,
    &groups::FIND_COORDINATOR,
    &groups::JOIN_GROUP,
    &groups::HEARTBEAT,
    &groups::LEAVE_GROUP,
    &groups::SYNC_GROUP,
    &groups::DESCRIBE_GROUPS,
    &groups::LIST_GROUPS,
    &security::SASL_HANDSHAKE,
    &admin::API_VERSIONS,
    &topics::CREATE_TOPICS,
    &topics::DELETE_TOPICS,
    &topics::DELETE_RECORDS,
    &transactions::INIT_PRODUCER_ID,
    &produce_fetch::OFFSET_FOR_LEADER_EPOCH,
    &transactions::ADD_PARTITIONS_TO_TXN,
    &transactions::ADD_OFFSETS_TO_TXN,
    &transactions::END_TXN,
    &transactions::WRITE_TXN_MARKERS,
    &transactions::TXN_OFFSET_COMMIT,
    &security::DESCRIBE_ACLS,
    &security::CREATE_ACLS,
    &security::DELETE_ACLS,
    &admin::DESCRIBE_CONFIGS,
    &admin::ALTER_CONFIGS,
    &admin::DESCRIBE_LOG_DIRS,
    &security::SASL_AUTHENTICATE,
    &topics::CREATE_PARTITIONS,
    &groups::DELETE_GROUPS,
    &topics::ELECT_LEADERS,
    &admin::INCREMENTAL_ALTER_CONFIGS,
    &topics::ALTER_PARTITION_REASSIGNMENTS,
    &topics::LIST_PARTITION_REASSIGNMENTS,
    &groups::OFFSET_DELETE,
    &admin::DESCRIBE_CLIENT_QUOTAS,
    &admin::ALTER_CLIENT_QUOTAS,
    &security::DESCRIBE_USER_SCRAM_CREDENTIALS,
    &security::ALTER_USER_SCRAM_CREDENTIALS,
    &admin::DESCRIBE_QUORUM,
    &admin::DESCRIBE_CLUSTER,
    &transactions::DESCRIBE_PRODUCERS,
    &transactions::DESCRIBE_TRANSACTIONS,
    &transactions::LIST_TRANSACTIONS,
    &groups::CONSUMER_GROUP_HEARTBEAT,
    &groups::CONSUMER_GROUP_DESCRIBE,
    &admin::GET_TELEMETRY_SUBSCRIPTIONS,
    &admin::PUSH_TELEMETRY,
    &admin::LIST_CONFIG_RESOURCES,
    &topics::DESCRIBE_TOPIC_PARTITIONS,
];
