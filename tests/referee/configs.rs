//! Describing and altering configs.
use anyhow::Result;
use harness::Options;
use kafka_protocol::messages::alter_configs_request::{
    AlterConfigsResource as Replaced, AlterableConfig as Replacement,
};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource as Edited, AlterableConfig as Edit,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, CreateTopicsRequest, DescribeConfigsRequest,
    IncrementalAlterConfigsRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use crate::both::Both;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// Keys whose value, source and synonyms have to be the same. One at a time, for the order of
/// entries is each broker's own.
const TOPIC_KEYS: &[&str] = &[
    "cleanup.policy",
    "compression.gzip.level",
    "compression.type",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "follower.replication.throttled.replicas",
    "index.interval.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "preallocate",
    "remote.storage.enable",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
    "no.such.config",
];

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn describe(kind: i8, resource: &str, keys: &[&str]) -> DescribeConfigsRequest {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(resource))
        .with_configuration_keys(Some(keys.iter().map(|key| text(key)).collect()));
    DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true)
}

fn edit(kind: i8, resource: &str, edits: &[(&str, i8, Option<&str>)]) -> Edited {
    let edits = edits.iter().map(|(key, operation, value)| {
        Edit::default()
            .with_name(text(key))
            .with_config_operation(*operation)
            .with_value(value.map(text))
    });
    Edited::default()
        .with_resource_type(kind)
        .with_resource_name(text(resource))
        .with_configs(edits.collect())
}

fn replace(kind: i8, resource: &str, pairs: &[(&str, Option<&str>)]) -> Replaced {
    let pairs = pairs.iter().map(|(key, value)| {
        Replacement::default()
            .with_name(text(key))
            .with_value(value.map(text))
    });
    Replaced::default()
        .with_resource_type(kind)
        .with_resource_name(text(resource))
        .with_configs(pairs.collect())
}

fn ask_topic(both: &mut Both, when: &str) -> Result<()> {
    for key in TOPIC_KEYS {
        // Chains are not the same all the way down: Kafka knows hours where klamm knows ms, say.
        let own = &["documentation", "synonyms"];
        both.ask(&format!("{key} {when}"), 1..=4, own, |_| {
            describe(TOPIC, "t", &[key])
        })?;
    }
    Ok(())
}

fn descriptions(both: &mut Both) -> Result<()> {
    ask_topic(both, "of a fresh topic")?;
    for (question, kind, name) in [
        ("unknown topic", TOPIC, "unknown"),
        ("illegal topic", TOPIC, "a b"),
        ("another broker", BROKER, "7"),
        ("no broker number", BROKER, "seven"),
        ("defaults of all brokers", BROKER, ""),
    ] {
        let question = format!("describe: {question}");
        both.ask(&question, 4..=4, &[], |_| {
            describe(kind, name, &["retention.ms"])
        })?;
    }
    for key in [
        "num.partitions",
        "auto.create.topics.enable",
        "message.max.bytes",
    ] {
        both.ask(
            &format!("broker's {key}"),
            1..=4,
            &["config_source", "synonyms"],
            |_| describe(BROKER, "1", &[key]).with_include_synonyms(false),
        )?;
    }
    Ok(())
}

fn edits(both: &mut Both) -> Result<()> {
    let t = |edits: &[(&str, i8, Option<&str>)]| vec![edit(TOPIC, "t", edits)];
    let one = |key, operation, value| t(&[(key, operation, Some(value))]);
    let broker = |key, value| vec![edit(BROKER, "1", &[(key, SET, Some(value))])];
    for (question, resources) in [
        ("set", one("retention.ms", SET, "1000")),
        (
            "set and more",
            t(&[("flush.ms", SET, Some("9")), ("retention.ms", DELETE, None)]),
        ),
        ("append", one("cleanup.policy", APPEND, "compact")),
        ("append again", one("cleanup.policy", APPEND, "compact")),
        ("subtract", one("cleanup.policy", SUBTRACT, "delete")),
        ("append to a number", one("retention.ms", APPEND, "1")),
        ("unknown key", one("no.such", SET, "1")),
        ("delete an unknown key", t(&[("no.such", DELETE, None)])),
        ("bad value", one("retention.ms", SET, "soon")),
        ("out of range", one("retention.ms", SET, "-2")),
        ("null", t(&[("retention.ms", SET, None)])),
        (
            "key twice",
            t(&[("flush.ms", SET, Some("1")), ("flush.ms", SET, Some("2"))]),
        ),
        (
            "resource twice",
            [one("flush.ms", SET, "1"), one("flush.ms", SET, "2")].concat(),
        ),
        ("nothing", t(&[])),
        (
            "unknown topic",
            vec![edit(TOPIC, "unknown", &[("flush.ms", SET, Some("1"))])],
        ),
        (
            "illegal topic",
            vec![edit(TOPIC, "a b", &[("flush.ms", SET, Some("1"))])],
        ),
        (
            "no topic",
            vec![edit(TOPIC, "", &[("flush.ms", SET, Some("1"))])],
        ),
        ("broker", broker("message.max.bytes", "2000000")),
        (
            "broker, fixed",
            broker("auto.create.topics.enable", "false"),
        ),
        ("broker, bad value", broker("message.max.bytes", "many")),
        (
            "another broker",
            vec![edit(BROKER, "7", &[("message.max.bytes", SET, Some("1"))])],
        ),
        (
            "no broker number",
            vec![edit(BROKER, "x", &[("message.max.bytes", SET, Some("1"))])],
        ),
        (
            "all brokers",
            vec![edit(BROKER, "", &[("log.retention.ms", SET, Some("77"))])],
        ),
        ("unknown kind", vec![edit(99, "t", &[])]),
    ] {
        let question = format!("edit: {question}");
        both.ask(&question, 0..=1, &[], |_| {
            IncrementalAlterConfigsRequest::default().with_resources(resources.clone())
        })?;
    }
    ask_topic(both, "after edits")?;
    both.ask("defaults of all brokers after edits", 4..=4, &[], |_| {
        describe(BROKER, "", &["log.retention.ms"]).with_include_synonyms(false)
    })
}

fn replacements(both: &mut Both) -> Result<()> {
    for (question, resources) in [
        (
            "set",
            vec![replace(TOPIC, "t", &[("retention.ms", Some("5"))])],
        ),
        (
            "unknown key",
            vec![replace(TOPIC, "t", &[("no.such", Some("5"))])],
        ),
        ("null", vec![replace(TOPIC, "t", &[("retention.ms", None)])]),
        ("unknown topic", vec![replace(TOPIC, "unknown", &[])]),
        (
            "broker, fixed",
            vec![replace(BROKER, "1", &[("num.partitions", Some("5"))])],
        ),
    ] {
        let question = format!("replace: {question}");
        both.ask(&question, 0..=2, &[], |_| {
            AlterConfigsRequest::default().with_resources(resources.clone())
        })?;
    }
    both.ask("replace only to validate", 0..=2, &[], |_| {
        AlterConfigsRequest::default()
            .with_resources(vec![replace(TOPIC, "t", &[])])
            .with_validate_only(true)
    })?;
    ask_topic(both, "after being replaced")
}

#[test]
fn configs_are_described_and_altered_alike() -> Result<()> {
    let mut both = Both::start(&Options::default())?;
    both.ask("create", 7..=7, &["configs"], |_| {
        let config = CreatableTopicConfig::default()
            .with_name(text("max.message.bytes"))
            .with_value(Some(text("5000")));
        let topic = CreatableTopic::default()
            .with_name(TopicName(text("t")))
            .with_num_partitions(1)
            .with_replication_factor(1)
            .with_configs(vec![config]);
        CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(10_000)
    })?;
    descriptions(&mut both)?;
    edits(&mut both)?;
    replacements(&mut both)?;
    both.agreed()
}
