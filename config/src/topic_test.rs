//! Tests of topic configs: defaults, synonyms, refusals and descriptions.
use std::collections::BTreeMap;

use super::*;
use crate::field::Field;
use crate::{Allowed, Cleanup, Kind, Setting};

fn overrides(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn refusal(name: &str, value: &str) -> String {
    let resolved = TopicConfig::resolve(&overrides(&[(name, value)]), &Settings::default());
    let error = resolved.unwrap_err();
    assert_eq!(validate(name, value), Err(error.clone()));
    error.to_string()
}

#[test]
fn every_row_is_sound() {
    for setting in table() {
        assert!(setting.doc.ends_with('.'), "{}", setting.name);
        match setting.fallback {
            Fallback::Fixed(default) => assert_eq!(validate(setting.name, default), Ok(())),
            Fallback::Broker(name) => {
                let broker = Setting::by_kafka_name(name).unwrap();
                assert_eq!(broker.allowed, setting.allowed, "{}", setting.name);
                assert_eq!(broker.kind, setting.kind, "{}", setting.name);
                assert!(broker.dynamic, "{name}");
                assert_eq!(validate(setting.name, broker.default), Ok(()));
            }
        }
    }
    assert!(table().is_sorted_by_key(|setting| setting.name));
}

#[test]
fn synonyms_are_kafkas() {
    for (name, broker) in [
        ("segment.ms", "log.roll.ms"),
        ("segment.index.bytes", "log.index.size.max.bytes"),
        ("file.delete.delay.ms", "log.segment.delete.delay.ms"),
        (
            "min.cleanable.dirty.ratio",
            "log.cleaner.min.cleanable.ratio",
        ),
        ("max.message.bytes", "message.max.bytes"),
    ] {
        assert_eq!(find(name).unwrap().broker_synonym(), Some(broker));
    }
    assert_eq!(
        find("remote.storage.enable").unwrap().broker_synonym(),
        None
    );
}

#[test]
fn a_value_comes_from_topic_then_broker_then_default() {
    let flags = vec![("log-retention-ms".to_owned(), "5000".to_owned())];
    let settings = Settings::load(None, std::iter::empty(), flags).unwrap();
    let config =
        TopicConfig::resolve(&overrides(&[("cleanup.policy", "compact")]), &settings).unwrap();
    assert_eq!(config.cleanup_policy, Cleanup::parse("compact").unwrap());
    assert_eq!(config.retention_ms, 5000);
    assert_eq!(config.segment_bytes, 1 << 30);
    let own = overrides(&[("retention.ms", " -1 "), ("segment.bytes", "1024")]);
    let config = TopicConfig::resolve(&own, &settings).unwrap();
    assert_eq!((config.retention_ms, config.segment_bytes), (-1, 1024));
}

#[test]
fn refusals_are_in_kafkas_words() {
    assert_eq!(
        refusal("segment.bytes", "13"),
        "Invalid value 13 for configuration segment.bytes: Value must be at least 14"
    );
    assert_eq!(
        refusal("retention.ms", "week"),
        "Invalid value week for configuration retention.ms: Not a number of type LONG"
    );
    assert_eq!(
        refusal("message.timestamp.type", "now"),
        "Invalid value now for configuration message.timestamp.type: String must be one of: \
         CreateTime, LogAppendTime"
    );
    assert_eq!(
        refusal("colour", "red"),
        "Unknown topic config name: colour"
    );
    assert_eq!(
        refusal("retention.mss", "1"),
        "Unknown topic config name: retention.mss (did you mean retention.ms?)"
    );
    assert!(refusal("min.cleanable.dirty.ratio", "2").contains("no more than 1"));
    assert!(refusal("compression.gzip.level", "0").contains("between 1 and 9 or equal to -1"));
}

#[test]
fn what_one_node_cannot_honour_is_refused() {
    assert!(refusal("remote.storage.enable", "true").contains("Tiered Storage"));
    assert!(refusal("local.retention.ms", "1000").contains("remote log storage"));
    assert!(refusal("leader.replication.throttled.replicas", "*").contains("throttle"));
    assert_eq!(validate("remote.storage.enable", "FALSE"), Ok(()));
}

#[test]
fn lags_that_exclude_each_other_are_refused() {
    let both = overrides(&[
        ("min.compaction.lag.ms", "10"),
        ("max.compaction.lag.ms", "5"),
    ]);
    let error = TopicConfig::resolve(&both, &Settings::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)"
    );
}

#[test]
fn a_fresh_topic_describes_every_config_as_default() {
    let entries = describe(&BTreeMap::new(), &Settings::default()).unwrap();
    assert_eq!(entries.len(), table().len());
    for entry in &entries {
        assert!(
            entry.is_default() && !entry.read_only && !entry.sensitive,
            "{}",
            entry.name
        );
        assert_eq!(entry.value, entry.default, "{}", entry.name);
        assert!(entry.kind.code() > 0 && !entry.doc.is_empty());
    }
    let policy = entries
        .iter()
        .find(|entry| entry.name == "cleanup.policy")
        .unwrap();
    assert_eq!(
        (policy.kind, policy.value.as_deref()),
        (Kind::List, Some("delete"))
    );
}

#[test]
fn an_override_heads_the_chain_of_synonyms() {
    let flags = vec![("log-roll-ms".to_owned(), "20".to_owned())];
    let settings = Settings::load(None, std::iter::empty(), flags).unwrap();
    let entries = describe(&overrides(&[("segment.ms", "10")]), &settings).unwrap();
    let entry = entries
        .iter()
        .find(|entry| entry.name == "segment.ms")
        .unwrap();
    assert_eq!(
        (entry.source, entry.value.as_deref()),
        (Source::Topic, Some("10"))
    );
    let chain: Vec<_> = entry
        .synonyms
        .iter()
        .map(|s| (s.name, s.value.as_deref().unwrap(), s.source.code()))
        .collect();
    assert_eq!(
        chain,
        [
            ("segment.ms", "10", 1),
            ("log.roll.ms", "20", 4),
            ("log.roll.ms", "604800000", 5)
        ]
    );
    let inherited = describe(&BTreeMap::new(), &settings).unwrap();
    let entry = inherited
        .iter()
        .find(|entry| entry.name == "segment.ms")
        .unwrap();
    assert_eq!(
        (entry.source, entry.value.as_deref()),
        (Source::StaticBroker, Some("20"))
    );
}

#[test]
fn limits_print_for_listings() {
    assert_eq!(find("segment.ms").unwrap().allowed, Allowed::AtLeast(1));
    assert_eq!(Allowed::Between(1, 17).to_string(), "1 to 17");
}
