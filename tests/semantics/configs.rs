//! Configs as admin clients see them: all keys with default and source, also of a fresh topic.
use std::collections::BTreeMap;

use anyhow::{Context, Result};
use harness::{Broker, Options, ask, rd, unique};
use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use rdkafka::admin::{AlterConfig, ConfigEntry, ConfigSource, ResourceSpecifier};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;

type Entries = BTreeMap<String, ConfigEntry>;

fn described(broker: &Broker, resource: &ResourceSpecifier<'_>) -> Result<Entries> {
    let admin = rd::admin(broker.bootstrap())?;
    let answers = rd::block_on(admin.describe_configs([resource], &rd::admin_options()))??;
    let answer = answers.into_iter().next().context("no answer")?;
    let resource = answer.map_err(|code| anyhow::anyhow!("refused: {code}"))?;
    Ok(resource
        .entries
        .into_iter()
        .map(|entry| (entry.name.clone(), entry))
        .collect())
}

/// Keys and defaults of Apache Kafka 4 that tools rely on.
const TOPIC_DEFAULTS: &[(&str, &str)] = &[
    ("cleanup.policy", "delete"),
    ("compression.type", "producer"),
    ("delete.retention.ms", "86400000"),
    ("file.delete.delay.ms", "60000"),
    ("flush.messages", "9223372036854775807"),
    ("flush.ms", "9223372036854775807"),
    ("index.interval.bytes", "4096"),
    ("max.compaction.lag.ms", "9223372036854775807"),
    ("max.message.bytes", "1048588"),
    ("message.timestamp.type", "CreateTime"),
    ("min.cleanable.dirty.ratio", "0.5"),
    ("min.compaction.lag.ms", "0"),
    ("preallocate", "false"),
    ("retention.bytes", "-1"),
    ("retention.ms", "604800000"),
    ("segment.bytes", "1073741824"),
    ("segment.index.bytes", "10485760"),
    ("segment.jitter.ms", "0"),
    ("segment.ms", "604800000"),
    ("unclean.leader.election.enable", "false"),
];

#[test]
fn a_fresh_topic_tells_every_key_with_its_default() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("fresh");
    rd::create_topic(broker.bootstrap(), &topic, 1, &[])?;
    let entries = described(&broker, &ResourceSpecifier::Topic(&topic))?;
    for (key, value) in TOPIC_DEFAULTS {
        let entry = entries.get(*key).with_context(|| format!("no {key}"))?;
        assert_eq!(entry.value.as_deref(), Some(*value), "{key}");
        assert_eq!(entry.source, ConfigSource::Default, "{key}");
        assert!(
            entry.is_default && !entry.is_read_only && !entry.is_sensitive,
            "{entry:?}"
        );
    }
    assert!(
        !entries.contains_key("partition_count"),
        "no keys that Kafka does not have"
    );
    Ok(())
}

#[test]
fn a_set_key_shows_its_source_and_survives_kill_9() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let topic = unique("set");
    rd::create_topic(broker.bootstrap(), &topic, 1, &[("retention.ms", "5000")])?;
    let resource = ResourceSpecifier::Topic(&topic);
    let admin = rd::admin(broker.bootstrap())?;
    for restarted in [false, true] {
        let entry = &described(&broker, &resource)?["retention.ms"];
        assert_eq!(
            entry.value.as_deref(),
            Some("5000"),
            "restarted: {restarted}"
        );
        assert_eq!(entry.source, ConfigSource::DynamicTopic);
        assert!(!entry.is_default);
        if !restarted {
            broker.kill9()?;
            broker.restart()?;
        }
    }
    // The older AlterConfigs replaces all: what is not named goes back to its default.
    let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("segment.ms", "9000");
    let answers = rd::block_on(admin.alter_configs([&change], &rd::admin_options()))??;
    assert!(answers[0].is_ok(), "{answers:?}");
    let entries = harness::eventually("the altered config", || {
        let entries = described(&broker, &resource).ok()?;
        (entries["segment.ms"].value.as_deref() == Some("9000")).then_some(entries)
    })?;
    assert_eq!(entries["retention.ms"].source, ConfigSource::Default);
    Ok(())
}

#[test]
fn the_broker_tells_the_keys_that_tools_ask_for() -> Result<()> {
    let broker = Broker::start(Options::default().set("num.partitions", "3"))?;
    let entries = described(&broker, &ResourceSpecifier::Broker(1))?;
    let keys = [
        "advertised.listeners",
        "auto.create.topics.enable",
        "default.replication.factor",
        "log.flush.interval.messages",
        "message.max.bytes",
        "num.partitions",
    ];
    for key in keys {
        assert!(entries.contains_key(key), "no {key}");
    }
    assert_eq!(entries["num.partitions"].value.as_deref(), Some("3"));
    assert_eq!(entries["num.partitions"].source, ConfigSource::StaticBroker);
    Ok(())
}

#[test]
fn a_topic_that_is_not_there_is_an_error() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let resource = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(ask::text(&unique("absent")));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let response = broker.wire()?.call(4, &request)?;
    assert_eq!(response.results[0].error_code, UNKNOWN_TOPIC_OR_PARTITION);
    Ok(())
}
