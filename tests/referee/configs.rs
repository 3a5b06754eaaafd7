//! Configs: filters, unknown names, wrong operations.
use anyhow::Result;
use harness::ask;
use kafka_protocol::messages::alter_configs_request::{
    AlterConfigsResource as WholeResource, AlterableConfig as WholeConfig,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest,
};

use crate::pair::Pair;

/// Key, operation and value.
type Change = (&'static str, i8, Option<&'static str>);

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

fn describe(kind: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsRequest {
    let keys = keys.map(|keys| keys.iter().map(|key| ask::text(key)).collect());
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(ask::text(name))
        .with_configuration_keys(keys);
    DescribeConfigsRequest::default().with_resources(vec![resource])
}

#[test]
fn describe_configs() -> Result<()> {
    let mut pair = Pair::start()?;
    pair.both(|wire| wire.create_topic("described", 1, &[("retention.ms", "5000")]))?;
    for key in [
        "retention.ms",
        "segment.bytes",
        "cleanup.policy",
        "no.such.key",
    ] {
        for version in 1..=4 {
            let request = describe(TOPIC, "described", Some(&[key]));
            pair.ask(key, version, &request)?;
        }
        // Apache Kafka does not tell the default of log.retention.ms, which comes from
        // log.retention.hours.
        let except: &[&str] = match key {
            "retention.ms" => &["synonyms", "name", "source", "value"],
            _ => &[],
        };
        let synonyms = describe(TOPIC, "described", Some(&[key])).with_include_synonyms(true);
        pair.ask_except(&format!("{key} with synonyms"), 4, &synonyms, except)?;
    }
    // min.insync.replicas is dynamic in Apache Kafka 4.2, for eligible leader replicas.
    let by_name = |answer: &mut DescribeConfigsResponse| {
        for result in &mut answer.results {
            result
                .configs
                .retain(|config| config.name.as_str() != "min.insync.replicas");
            result.configs.sort_by_key(|config| config.name.clone());
        }
    };
    let all = describe(TOPIC, "described", Some(&[]));
    pair.ask_ordered("no keys", 4, &all, by_name, &[])?;
    pair.ask("an unknown topic", 4, &describe(TOPIC, "unknown", None))?;
    pair.ask("an illegal topic", 4, &describe(TOPIC, "not legal", None))?;
    pair.ask("an empty topic", 4, &describe(TOPIC, "", None))?;
    pair.ask("an unknown broker", 4, &describe(BROKER, "99", None))?;
    pair.ask(
        "a broker that is no number",
        4,
        &describe(BROKER, "one", None),
    )?;
    pair.ask("a resource of type 99", 4, &describe(99, "x", None))?;
    pair.ask(
        "message.max.bytes",
        4,
        &describe(BROKER, "1", Some(&["message.max.bytes"])),
    )?;
    pair.verdict()
}

fn change(
    kind: i8,
    name: &str,
    changes: &[(&str, i8, Option<&str>)],
) -> IncrementalAlterConfigsRequest {
    let config = |(name, operation, value): &(&str, i8, Option<&str>)| {
        AlterableConfig::default()
            .with_name(ask::text(name))
            .with_config_operation(*operation)
            .with_value(value.map(ask::text))
    };
    let resource = AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(ask::text(name))
        .with_configs(changes.iter().map(config).collect());
    IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
}

#[test]
fn incremental_alter_configs() -> Result<()> {
    let mut pair = Pair::start()?;
    pair.both(|wire| wire.create_topic("altered", 1, &[]))?;
    let (set, delete, append, subtract) = (0, 1, 2, 3);
    let questions: &[(&str, &[Change])] = &[
        ("set", &[("retention.ms", set, Some("7000"))]),
        ("set to nothing", &[("retention.ms", set, None)]),
        (
            "set to a wrong value",
            &[("retention.ms", set, Some("soon"))],
        ),
        ("delete", &[("retention.ms", delete, None)]),
        ("delete what is not set", &[("segment.ms", delete, None)]),
        ("delete an unknown key", &[("no.such", delete, None)]),
        ("set an unknown key", &[("no.such", set, Some("1"))]),
        (
            "append to a list",
            &[("cleanup.policy", append, Some("compact"))],
        ),
        (
            "append what is there",
            &[("cleanup.policy", append, Some("compact"))],
        ),
        (
            "subtract from a list",
            &[("cleanup.policy", subtract, Some("delete"))],
        ),
        ("append to a number", &[("retention.ms", append, Some("1"))]),
        (
            "a key twice",
            &[
                ("segment.ms", set, Some("1")),
                ("segment.ms", set, Some("2")),
            ],
        ),
        ("nothing", &[]),
    ];
    for (question, changes) in questions {
        let request = change(TOPIC, "altered", changes);
        pair.ask(question, 1, &request.clone().with_validate_only(true))?;
        pair.ask(question, 1, &request)?;
    }
    let shown = describe(TOPIC, "altered", Some(&["cleanup.policy", "retention.ms"]));
    pair.ask("what came of it", 4, &shown)?;
    pair.ask(
        "an unknown topic",
        1,
        &change(TOPIC, "unknown", &[("segment.ms", set, Some("1"))]),
    )?;
    pair.ask(
        "an unknown broker",
        1,
        &change(BROKER, "99", &[("message.max.bytes", set, Some("1000"))]),
    )?;
    pair.ask(
        "a fixed broker key",
        1,
        &change(BROKER, "1", &[("node.id", set, Some("2"))]),
    )?;
    pair.ask("a resource of type 99", 1, &change(99, "x", &[]))?;
    pair.verdict()
}

#[test]
fn alter_configs() -> Result<()> {
    let mut pair = Pair::start()?;
    pair.both(|wire| wire.create_topic("whole", 1, &[("segment.ms", "9000")]))?;
    let whole = |name: &str, key: &str, value: Option<&str>| {
        let config = WholeConfig::default()
            .with_name(ask::text(key))
            .with_value(value.map(ask::text));
        let resource = WholeResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(ask::text(name))
            .with_configs(vec![config]);
        AlterConfigsRequest::default().with_resources(vec![resource])
    };
    pair.ask("a value", 2, &whole("whole", "retention.ms", Some("5")))?;
    pair.ask("no value", 2, &whole("whole", "retention.ms", None))?;
    pair.ask("an unknown key", 2, &whole("whole", "no.such", Some("5")))?;
    pair.ask(
        "a wrong value",
        2,
        &whole("whole", "retention.ms", Some("x")),
    )?;
    pair.ask(
        "an unknown topic",
        2,
        &whole("unknown", "retention.ms", Some("5")),
    )?;
    let shown = describe(TOPIC, "whole", Some(&["segment.ms", "retention.ms"]));
    pair.ask("what came of it", 4, &shown)?;
    pair.verdict()
}
