//! The headers of a dead letter.
use crate::Rejection;

/// Where a record came from and why it was rejected, as headers to add to those that it has:
/// `dlq.*`, and Kafka Streams' `__streams.errors.*` (KIP-1034).
pub fn dead_letter_headers(
    projection: &str,
    topic: &str,
    partition: i32,
    offset: i64,
    timestamp: i64,
    rejection: &Rejection,
) -> Vec<(&'static str, String)> {
    vec![
        ("dlq.reason", rejection.reason.as_str().to_owned()),
        ("dlq.message", rejection.message.clone()),
        ("dlq.topic", topic.to_owned()),
        ("dlq.partition", partition.to_string()),
        ("dlq.offset", offset.to_string()),
        ("dlq.timestamp", timestamp.to_string()),
        ("dlq.projection", projection.to_owned()),
    ]
}
