//! Kafka's error codes, as the wire carries them.
pub use kafka_protocol::ResponseError as ErrorCode;

/// The code that says that all is well.
pub const NONE: i16 = 0;
