//! `partition.metadata`: the topic id of a partition folder, as Apache Kafka's
//! `PartitionMetadataFile`.
//!
//! ```text
//! version: 0
//! topic_id: bZ7Sc1HzSk2OQvJjNXrMnw     16 bytes in URL-safe base64 without padding
//! ```
use std::path::Path;

use crate::StorageError;
use crate::files::Files;

/// The file's name.
pub(crate) const FILE: &str = "partition.metadata";

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The file's content for a topic id.
pub(crate) fn encode(topic_id: [u8; 16]) -> String {
    let number = u128::from_be_bytes(topic_id);
    // 128 bits are 21 digits of 6 bits and one of 2, which stands in the high bits of the last.
    let digits = (0..22).map(|i| {
        let value = match i {
            21 => (number & 0b11) << 4,
            _ => number >> (122 - 6 * i),
        };
        char::from(ALPHABET[(value & 63) as usize])
    });
    format!("version: 0\ntopic_id: {}", digits.collect::<String>())
}

fn decode(content: &str) -> Option<[u8; 16]> {
    let mut lines = content.lines();
    if lines.next()?.strip_prefix("version:")?.trim() != "0" {
        return None;
    }
    let text = lines.next()?.strip_prefix("topic_id:")?.trim();
    if text.len() != 22 {
        return None;
    }
    let mut number = 0_u128;
    for (i, digit) in text.bytes().enumerate() {
        let value = ALPHABET.iter().position(|&letter| letter == digit)? as u128;
        number = match i {
            21 => (number << 2) | (value >> 4),
            _ => (number << 6) | value,
        };
    }
    Some(number.to_be_bytes())
}

/// The topic id in the partition folder `dir`; zero if there is none or it cannot be read.
pub(crate) fn read(files: &Files, dir: &Path) -> Result<[u8; 16], StorageError> {
    let path = dir.join(FILE);
    let Some(content) = files.read(&path)? else {
        return Ok([0; 16]);
    };
    let id = std::str::from_utf8(&content).ok().and_then(decode);
    if id.is_none() {
        tracing::warn!(path = %path.display(), "the topic id cannot be read");
    }
    Ok(id.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_kafka_writes_them() {
        // Kafka's Uuid.METADATA_TOPIC_ID is (0, 1), "AAAAAAAAAAAAAAAAAAAAAQ".
        let one = 1_u128.to_be_bytes();
        assert_eq!(encode(one), "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ");
        for id in [one, [0xff; 16], *b"0123456789abcdef"] {
            assert_eq!(decode(&encode(id)), Some(id));
        }
        assert_eq!(decode("version: 0\ntopic_id: short"), None);
        assert_eq!(decode("version: 1\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ"), None);
    }
}
