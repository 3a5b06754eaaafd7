//! A dead letter as JSON.
use serde::Serialize;

use crate::http::base64;
use crate::http::reading::Found;

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Letter {
    /// Place of the record, to choose it by: topic, partition, offset.
    pub(super) id: String,
    /// Kind of reason.
    pub(super) reason: String,
    /// What is wrong.
    pub(super) message: String,
    /// Where the record is from.
    pub(super) topic: String,
    pub(super) partition: Option<i32>,
    pub(super) offset: Option<i64>,
    /// The record's own, epoch ms.
    pub(super) timestamp: Option<i64>,
    #[serde(flatten)]
    pub(super) key: Key,
    #[serde(flatten)]
    pub(super) value: Value,
    /// Place of the letter in the topic of dead letters.
    pub(super) dlq_offset: i64,
}

/// The record's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Key {
    key: Option<String>,
    key_encoding: Option<&'static str>,
}

/// The record's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Value {
    value: Option<String>,
    value_encoding: Option<&'static str>,
}

impl Letter {
    /// The letter in a record; `None` for a record that nobody rejected.
    pub(super) fn of(found: Found<'_>) -> Option<Self> {
        let header = |name: &str| {
            // The record's own headers come first, and may have the same names.
            let all = found.record.headers();
            let header = all.filter(|header| header.key == name.as_bytes()).last()?;
            String::from_utf8(header.value?.to_vec()).ok()
        };
        let number = |name| header(name)?.parse().ok();
        let (topic, offset) = (
            header("dlq.topic").unwrap_or_default(),
            number("dlq.offset"),
        );
        let partition = header("dlq.partition").and_then(|text| text.parse().ok());
        let (key, key_encoding) = text(found.record.key);
        let (value, value_encoding) = text(found.record.value);
        Some(Self {
            id: match (partition, offset) {
                (Some(partition), Some(offset)) => format!("{topic}-{partition}@{offset}"),
                _ => String::new(),
            },
            reason: header("dlq.reason")?,
            message: header("dlq.message").unwrap_or_default(),
            topic,
            partition,
            offset,
            timestamp: number("dlq.timestamp"),
            key: Key { key, key_encoding },
            value: Value {
                value,
                value_encoding,
            },
            dlq_offset: found.offset,
        })
    }

    /// Bytes of its texts.
    pub(super) fn bytes(&self) -> usize {
        let texts = [&self.key.key, &self.value.value].into_iter().flatten();
        texts.map(String::len).sum::<usize>() + self.message.len()
    }
}

/// Bytes as text, and how.
fn text(bytes: Option<&[u8]>) -> (Option<String>, Option<&'static str>) {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => (None, None),
        Some((_, Ok(text))) => (Some(text.to_owned()), Some("utf-8")),
        Some((bytes, Err(_))) => (Some(base64::standard(bytes)), Some("base64")),
    }
}
