//! The records of the metadata log: keyed JSON that can be read by eye, one record per change.
//!
//! ```text
//! key                   value
//! "cluster"             {"cluster_id":"WZPsR9gxQoKqFP6UnOJrug"}
//! {"topic":"events"}    {"id":"AJjhM2cVSVWeRCrjhsFqkA","partitions":3,"configs":{…},"internal":false}
//! {"topic":"activity"}  {…,"owner":"activity"}   a projection's
//! {"topic":"events"}    {…,"deleting":true}      folders are being removed
//! {"topic":"events"}    (null)                   gone
//! {"broker":"1"}        {"log.retention.ms":"1000"}     "" is every broker
//! "producer_ids"        {"next":3000}            all below may have been given out
//! ```
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use super::uuid_text;
use crate::coordinator::Entry;

/// Names and values of configs that somebody set.
pub type Configs = BTreeMap<String, String>;

/// What the log keeps of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicRecord {
    /// Topic id.
    #[serde(serialize_with = "write_id", deserialize_with = "read_id")]
    pub id: Uuid,
    /// How many partitions.
    pub partitions: i32,
    /// Configs that the topic sets itself.
    pub configs: Configs,
    /// Written by the broker alone.
    pub internal: bool,
    /// The projection that owns it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Deleted; the folders may still be there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleting: bool,
}

/// One change of the metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The cluster has this id.
    Cluster(String),
    /// The topic is so now; `None`: gone.
    Topic(String, Option<TopicRecord>),
    /// The broker with this number ("" is every broker) has these dynamic configs and no others.
    Broker(String, Configs),
    /// Producer ids below this one may have been given out.
    ProducerIds(i64),
}

/// Why a record of the metadata log makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum BadRecord {
    /// No JSON, or not of a known shape.
    #[error("metadata record {key}: {error}")]
    Json {
        /// The key, as text.
        key: String,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// A deletion of something that is only ever replaced.
    #[error("metadata record {0} has no value")]
    NoValue(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Key {
    Cluster,
    Topic(String),
    Broker(String),
    ProducerIds,
}

#[derive(Serialize, Deserialize)]
struct Cluster {
    cluster_id: String,
}

#[derive(Serialize, Deserialize)]
struct ProducerIds {
    next: i64,
}

impl Change {
    /// The record.
    pub fn entry(&self) -> Entry {
        let (key, value) = match self {
            Change::Cluster(id) => {
                let cluster_id = id.clone();
                (Key::Cluster, Some(json(&Cluster { cluster_id })))
            }
            Change::Topic(name, topic) => (Key::Topic(name.clone()), topic.as_ref().map(json)),
            Change::Broker(name, configs) => (Key::Broker(name.clone()), Some(json(configs))),
            Change::ProducerIds(next) => {
                (Key::ProducerIds, Some(json(&ProducerIds { next: *next })))
            }
        };
        let key = json(&key);
        Entry { key, value }
    }

    /// The change that a record tells.
    pub fn of(key: &[u8], value: Option<&[u8]>) -> Result<Self, BadRecord> {
        let text = || String::from_utf8_lossy(key).into_owned();
        let bad = |error| BadRecord::Json { key: text(), error };
        let parsed = serde_json::from_slice(key).map_err(bad)?;
        let needed = || value.ok_or_else(|| BadRecord::NoValue(text()));
        Ok(match parsed {
            Key::Cluster => {
                let cluster: Cluster = serde_json::from_slice(needed()?).map_err(bad)?;
                Change::Cluster(cluster.cluster_id)
            }
            Key::Topic(name) => {
                let topic = value.map(serde_json::from_slice).transpose();
                Change::Topic(name, topic.map_err(bad)?)
            }
            Key::Broker(name) => {
                Change::Broker(name, serde_json::from_slice(needed()?).map_err(bad)?)
            }
            Key::ProducerIds => {
                let ids: ProducerIds = serde_json::from_slice(needed()?).map_err(bad)?;
                Change::ProducerIds(ids.next)
            }
        })
    }
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value)
        .expect("strings, numbers and maps with string keys are JSON")
        .into()
}

fn write_id<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&uuid_text::to_text(*id))
}

fn read_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    let text = String::deserialize(deserializer)?;
    uuid_text::from_text(&text).ok_or_else(|| de::Error::custom(format!("{text:?} is no id")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(change: &Change) -> (String, Option<String>) {
        let entry = change.entry();
        let text = |bytes: Bytes| String::from_utf8(bytes.into()).unwrap();
        (text(entry.key), entry.value.map(text))
    }

    #[test]
    fn records_can_be_read_by_eye_and_read_back() {
        let configs: Configs = [("retention.ms".to_owned(), "1000".to_owned())].into();
        let topic = TopicRecord {
            id: Uuid::from_u128(1),
            partitions: 3,
            configs: configs.clone(),
            internal: false,
            owner: None,
            deleting: false,
        };
        let owned = TopicRecord {
            owner: Some("p".to_owned()),
            ..topic.clone()
        };
        let deleting = TopicRecord {
            deleting: true,
            ..topic.clone()
        };
        let events = |topic| Change::Topic("events".to_owned(), topic);
        let id_and_count = r#""id":"AAAAAAAAAAAAAAAAAAAAAQ","partitions":3"#;
        let rest = r#""configs":{"retention.ms":"1000"},"internal":false"#;
        for (change, key, value) in [
            (
                Change::Cluster("x".to_owned()),
                r#""cluster""#,
                Some(r#"{"cluster_id":"x"}"#.to_owned()),
            ),
            (
                events(Some(topic)),
                r#"{"topic":"events"}"#,
                Some(format!("{{{id_and_count},{rest}}}")),
            ),
            (
                events(Some(deleting)),
                r#"{"topic":"events"}"#,
                Some(format!(r#"{{{id_and_count},{rest},"deleting":true}}"#)),
            ),
            (
                events(Some(owned)),
                r#"{"topic":"events"}"#,
                Some(format!(r#"{{{id_and_count},{rest},"owner":"p"}}"#)),
            ),
            (events(None), r#"{"topic":"events"}"#, None),
            (
                Change::Broker("1".to_owned(), configs),
                r#"{"broker":"1"}"#,
                Some(r#"{"retention.ms":"1000"}"#.to_owned()),
            ),
            (
                Change::ProducerIds(7),
                r#""producer_ids""#,
                Some(r#"{"next":7}"#.to_owned()),
            ),
        ] {
            assert_eq!(text(&change), (key.to_owned(), value));
            let entry = change.entry();
            assert_eq!(
                Change::of(&entry.key, entry.value.as_deref()).unwrap(),
                change
            );
        }
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        assert!(Change::of(b"{\"planet\":1}", Some(b"{}")).is_err());
        assert!(Change::of(b"\"cluster\"", None).is_err());
        assert!(Change::of(b"{\"topic\":\"a\"}", Some(b"{\"id\":\"short\"}")).is_err());
    }
}
