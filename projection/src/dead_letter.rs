//! The headers of a dead letter.
use crate::Rejection;

/// Where a record came from and why it was rejected, as headers to add to those that it has:
/// `dlq.*`, and those that Kafka Streams gives its dead letters (KIP-1034, `ExceptionHandlerUtils`):
/// all of them UTF-8 text, numbers in decimal digits, the exception as `name: message`, and a stack
/// trace that begins with it. There is no stack here, so that the trace ends there too.
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
        ("__streams.errors.exception", rejection.to_string()),
        ("__streams.errors.message", rejection.message.clone()),
        ("__streams.errors.stacktrace", format!("{rejection}\n")),
        ("__streams.errors.topic", topic.to_owned()),
        ("__streams.errors.partition", partition.to_string()),
        ("__streams.errors.offset", offset.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    #[test]
    fn both_families_of_headers_say_where_from_and_why() {
        let rejection = Rejection::new(Reason::MissingField, "event_id: missing");
        let headers = dead_letter_headers("user_activity", "events", 3, 42, -1, &rejection);
        let expected = [
            ("dlq.reason", "MISSING_FIELD"),
            ("dlq.message", "event_id: missing"),
            ("dlq.topic", "events"),
            ("dlq.partition", "3"),
            ("dlq.offset", "42"),
            ("dlq.timestamp", "-1"),
            ("dlq.projection", "user_activity"),
            (
                "__streams.errors.exception",
                "MISSING_FIELD: event_id: missing",
            ),
            ("__streams.errors.message", "event_id: missing"),
            (
                "__streams.errors.stacktrace",
                "MISSING_FIELD: event_id: missing\n",
            ),
            ("__streams.errors.topic", "events"),
            ("__streams.errors.partition", "3"),
            ("__streams.errors.offset", "42"),
        ];
        assert_eq!(
            headers,
            expected.map(|(name, value)| (name, value.to_owned()))
        );
    }
}
