//! What members of a consumer group tell each other through the coordinator: Kafka's
//! `ConsumerProtocolSubscription` and `ConsumerProtocolAssignment`, version 0.
//!
//! ```text
//! subscription = version:i16, topics:[string], user_data:bytes
//! assignment   = version:i16, [topic:string, partitions:[i32]], user_data:bytes
//! ```
//! Later versions add fields at the end, so that readers of version 0 can read them.
use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};

/// The subscription of a member to these topics.
pub(crate) fn encode_subscription(topics: &[String]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(0);
    out.put_i32(topics.len() as i32);
    for topic in topics {
        put_string(&mut out, topic);
    }
    out.put_i32(-1);
    out.freeze()
}

/// The partitions that a member is to read.
pub(crate) fn encode_assignment(partitions: &BTreeMap<String, Vec<i32>>) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(0);
    out.put_i32(partitions.len() as i32);
    for (topic, indexes) in partitions {
        put_string(&mut out, topic);
        out.put_i32(indexes.len() as i32);
        for index in indexes {
            out.put_i32(*index);
        }
    }
    out.put_i32(-1);
    out.freeze()
}

/// The topics of a subscription; `None` for bytes that are none.
pub(crate) fn decode_subscription(bytes: &[u8]) -> Option<Vec<String>> {
    let mut reader = Reader(bytes);
    reader.i16()?;
    let count = reader.count()?;
    (0..count).map(|_| reader.string()).collect()
}

/// The partitions of an assignment; `None` for bytes that are none. No bytes are no partitions.
pub(crate) fn decode_assignment(bytes: &[u8]) -> Option<BTreeMap<String, Vec<i32>>> {
    if bytes.is_empty() {
        return Some(BTreeMap::new());
    }
    let mut reader = Reader(bytes);
    reader.i16()?;
    let mut partitions = BTreeMap::new();
    for _ in 0..reader.count()? {
        let topic = reader.string()?;
        let count = reader.count()?;
        let indexes: Option<Vec<i32>> = (0..count).map(|_| reader.i32()).collect();
        partitions.insert(topic, indexes?);
    }
    Some(partitions)
}

fn put_string(out: &mut BytesMut, text: &str) {
    out.put_i16(text.len() as i16);
    out.put_slice(text.as_bytes());
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// The length of an array, which cannot be longer than the bytes that are left.
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.i32()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    fn string(&mut self) -> Option<String> {
        let len = usize::try_from(self.i16()?).ok()?;
        String::from_utf8(self.take(len)?.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_read_back_what_was_written() {
        let topics = vec!["a".to_owned(), "topic".to_owned()];
        assert_eq!(
            decode_subscription(&encode_subscription(&topics)),
            Some(topics)
        );
        let partitions = BTreeMap::from([("a".to_owned(), vec![0, 2]), ("b".to_owned(), vec![])]);
        assert_eq!(
            decode_assignment(&encode_assignment(&partitions)),
            Some(partitions)
        );
        assert_eq!(decode_assignment(b""), Some(BTreeMap::new()));
    }

    #[test]
    fn lies_about_lengths_are_refused() {
        assert_eq!(decode_subscription(&[0, 0, 0x7f, 0xff, 0xff, 0xff]), None);
        assert_eq!(decode_assignment(&[0, 0, 0, 0, 0, 1, 0, 9, b'x']), None);
        let whole = encode_assignment(&BTreeMap::from([("t".to_owned(), vec![1, 2, 3])]));
        for cut in 1..whole.len() - 4 {
            assert_eq!(decode_assignment(&whole[..cut]), None, "{cut}");
        }
    }
}
