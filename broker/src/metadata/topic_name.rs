//! Which names a topic can have (Kafka's `Topic`).

/// The metadata log; hidden from clients.
pub const METADATA_TOPIC: &str = "__klamm_metadata";
/// Names that no client can use: folders of this name hold the metadata of klamm or Apache Kafka.
const HIDDEN: &[&str] = &[METADATA_TOPIC, "__cluster_metadata"];
/// Topics that only the broker writes.
const INTERNAL: &[&str] = &[
    "__consumer_offsets",
    "__transaction_state",
    "__share_group_state",
];
/// How the names of the topics begin that only projections use, views and dead letters aside.
const PROJECTIONS: &str = "__projection";
/// Longest name; with `-` and a partition it is still a file name.
const MAX_LEN: usize = 249;

/// What is wrong with a name, in Kafka's words, if anything is.
pub fn reason_invalid(name: &str) -> Option<String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let reason = match name {
        "" => "the empty string is not allowed".to_owned(),
        "." | ".." => format!("'{name}' is not allowed"),
        _ if name.len() > MAX_LEN => {
            format!("the length of '{name}' is longer than the max allowed length {MAX_LEN}")
        }
        _ if !name.bytes().all(legal) => format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' \
             and '-'"
        ),
        _ => return None,
    };
    Some(format!("Topic name is invalid: {reason}"))
}

/// The name with what metric names cannot tell apart made the same.
pub fn unified(name: &str) -> String {
    name.replace('.', "_")
}

/// Whether only the broker makes and writes the topic.
pub fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name) || name.starts_with(PROJECTIONS)
}

/// Whether the name is kept from clients altogether.
pub fn is_hidden(name: &str) -> bool {
    HIDDEN.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kafka() {
        for good in ["a", "A.b_c-9", "...", "__x", &"x".repeat(MAX_LEN)] {
            assert_eq!(reason_invalid(good), None, "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a b",
            "a/b",
            "ä",
            "a\0",
            &"x".repeat(MAX_LEN + 1),
        ] {
            assert!(reason_invalid(bad).is_some(), "{bad}");
        }
        assert_eq!(unified("a.b"), unified("a_b"));
        assert_ne!(unified("a-b"), unified("a_b"));
    }
}
