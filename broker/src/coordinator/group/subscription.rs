//! Which topics a member of the "consumer" protocol type subscribes to, out of its metadata.
//!
//! ```text
//! version:i16  topics:[string]  user data:bytes …
//! ```
//! Later versions only add fields at the end. The bytes come from the client: every length is checked
//! against the bytes that are left. Source: Kafka's `ConsumerProtocolSubscription.json`.

/// The topics, or `None` if the bytes are something else.
pub fn topics(metadata: &[u8]) -> Option<Vec<&str>> {
    let (version, rest) = metadata.split_first_chunk::<2>()?;
    if i16::from_be_bytes(*version) < 0 {
        return None;
    }
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let count = usize::try_from(i32::from_be_bytes(*count)).ok()?;
    let mut topics = Vec::with_capacity(count.min(rest.len() / 2));
    for _ in 0..count {
        let (length, tail) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        let (topic, tail) = tail.split_at_checked(length)?;
        topics.push(std::str::from_utf8(topic).ok()?);
        rest = tail;
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_found_whatever_follows() {
        let bytes = b"\0\x03\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff\0\0\0\0";
        assert_eq!(topics(bytes), Some(vec!["a", "bc"]));
    }

    #[test]
    fn nonsense_is_refused() {
        for bytes in [
            &b""[..],
            b"\xff\xff\0\0\0\0",
            b"\0\0\x7f\xff\xff\xff",
            b"\0\0\xff\xff\xff\xff",
            b"\0\0\0\0\0\x01\0\x05abc",
            b"\0\0\0\0\0\x01\0\x01\xff",
        ] {
            assert_eq!(topics(bytes), None);
        }
    }
}
