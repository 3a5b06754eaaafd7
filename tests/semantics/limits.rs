//! Limits and rules on what a topic takes.
use anyhow::Result;
use harness::{Batch, Broker, Options, ask, rd, unique};
use kafka_protocol::messages::alter_configs_request::{
    AlterConfigsResource as WholeResource, AlterableConfig as WholeConfig,
};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{AlterConfigsRequest, CreateTopicsRequest};
use kafka_protocol::messages::{
    IncrementalAlterConfigsRequest, OffsetCommitRequest, OffsetFetchRequest,
};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer;

const MESSAGE_TOO_LARGE: i16 = 10;
const INVALID_CONFIG: i16 = 40;
const INVALID_REQUEST: i16 = 42;
const UNSUPPORTED_COMPRESSION_TYPE: i16 = 76;
const INVALID_RECORD: i16 = 87;
const TOPIC: i8 = 2;

#[test]
fn a_batch_above_the_topics_limit_is_refused() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("large");
    rd::create_topic(
        broker.bootstrap(),
        &topic,
        1,
        &[("max.message.bytes", "1000")],
    )?;
    let mut wire = broker.wire()?;
    let answer = wire.produce(&topic, Batch::of(&["x".repeat(1_000).as_str()]).bytes())?;
    assert_eq!(answer.error_code, MESSAGE_TOO_LARGE, "{answer:?}");
    let producer = rd::producer(broker.bootstrap(), &[])?;
    rd::send(&producer, &topic, 0, "key", &"x".repeat(2_000))?;
    rd::send(&producer, &topic, 0, "key", "small")?;
    producer.flush(harness::PATIENCE)?;
    let mut errors = Vec::new();
    for report in producer.context().all() {
        errors.push((report.value.len(), report.error));
    }
    let too_large = KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge);
    assert!(errors.contains(&(2_000, Some(too_large))), "{errors:?}");
    Ok(())
}

#[test]
fn the_brokers_limit_holds_for_topics_without_their_own() -> Result<()> {
    let broker = Broker::start(Options::default().set("message.max.bytes", "500"))?;
    let topic = unique("default-limit");
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[])?;
    let answer = wire.produce(&topic, Batch::of(&["x".repeat(500).as_str()]).bytes())?;
    assert_eq!(answer.error_code, MESSAGE_TOO_LARGE, "{answer:?}");
    assert_eq!(
        wire.produce(&topic, Batch::of(&["x"]).bytes())?.error_code,
        0
    );
    Ok(())
}

#[test]
fn a_compacted_topic_refuses_records_without_a_key() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("compacted");
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[("cleanup.policy", "compact")])?;
    let batch = Batch::of_pairs(&[(Some("k"), Some("a")), (None, Some("b")), (None, Some("c"))]);
    let answer = wire.produce(&topic, batch.bytes())?;
    assert_eq!(answer.error_code, INVALID_RECORD, "{answer:?}");
    let refused: Vec<i32> = answer
        .record_errors
        .iter()
        .map(|one| one.batch_index)
        .collect();
    assert_eq!(refused, [1, 2]);
    let tombstone = Batch::of_pairs(&[(Some("k"), None)]);
    assert_eq!(wire.produce(&topic, tombstone.bytes())?.error_code, 0);
    Ok(())
}

fn creation(broker: &Broker, topic: &str, config: (&str, &str)) -> Result<i16> {
    let request: CreateTopicsRequest =
        ask::create_topics(vec![ask::new_topic(topic, 1, &[config])]);
    Ok(broker.wire()?.call(7, &request)?.topics[0].error_code)
}

const REFUSED: &[(&str, &str)] = &[
    ("no.such.config", "1"),
    ("retention.ms", "soon"),
    ("cleanup.policy", "shred"),
    ("compression.type", "rar"),
    ("min.cleanable.dirty.ratio", "1.5"),
    ("segment.bytes", "0"),
    ("max.message.bytes", "-1"),
];

#[test]
fn unknown_and_wrong_configs_are_refused_at_creation() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    for config in REFUSED {
        assert_eq!(
            creation(&broker, &unique("refused"), *config)?,
            INVALID_CONFIG,
            "{config:?}"
        );
    }
    let taken = [
        ("segment.bytes", "1048576"),
        ("segment.ms", "1000"),
        ("retention.bytes", "1000000"),
        ("cleanup.policy", "compact,delete"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("compression.type", "zstd"),
    ];
    for config in taken {
        assert_eq!(
            creation(&broker, &unique("taken"), config)?,
            0,
            "{config:?}"
        );
    }
    Ok(())
}

#[test]
fn unknown_and_wrong_configs_are_refused_at_alteration() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("altered");
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[])?;
    for (name, value) in REFUSED {
        let config = AlterableConfig::default()
            .with_name(ask::text(name))
            .with_config_operation(0)
            .with_value(Some(ask::text(value)));
        let resource = AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(ask::text(&topic))
            .with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let response = wire.call(1, &request)?;
        assert_eq!(
            response.responses[0].error_code, INVALID_CONFIG,
            "incremental {name}"
        );

        let config = WholeConfig::default()
            .with_name(ask::text(name))
            .with_value(Some(ask::text(value)));
        let resource = WholeResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(ask::text(&topic))
            .with_configs(vec![config]);
        let request = AlterConfigsRequest::default().with_resources(vec![resource]);
        let response = wire.call(2, &request)?;
        assert_eq!(
            response.responses[0].error_code, INVALID_CONFIG,
            "whole {name}"
        );
    }
    Ok(())
}

#[test]
fn a_limit_that_is_altered_holds_at_once() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("at-once");
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[])?;
    let batch = Batch::of(&["x".repeat(1_000).as_str()]).bytes();
    assert_eq!(wire.produce(&topic, batch.clone())?.error_code, 0);
    let config = AlterableConfig::default()
        .with_name(ask::text("max.message.bytes"))
        .with_config_operation(0)
        .with_value(Some(ask::text("500")));
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(ask::text(&topic))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    assert_eq!(wire.call(1, &request)?.responses[0].error_code, 0);
    harness::eventually("the lower limit", || {
        let answer = wire.produce(&topic, batch.clone()).ok()?;
        (answer.error_code == MESSAGE_TOO_LARGE).then_some(())
    })
}

#[test]
fn clients_too_old_for_zstd_neither_write_nor_read_it() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("zstd");
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[("compression.type", "zstd")])?;
    let mut batch = Batch::of(&["a"]).bytes().to_vec();
    // Attributes say zstd; the checksum is not looked at before.
    batch[22] |= 4;
    let response = wire.call(6, &ask::produce(&topic, batch.into()))?;
    let answer = &response.responses[0].partition_responses[0];
    assert_eq!(answer.error_code, UNSUPPORTED_COMPRESSION_TYPE);
    let response = wire.call(9, &ask::fetch(&topic, 0).with_session_epoch(-1))?;
    let answer = &response.responses[0].partitions[0];
    assert_eq!(answer.error_code, UNSUPPORTED_COMPRESSION_TYPE);
    let response = wire.call(10, &ask::fetch(&topic, 0).with_session_epoch(-1))?;
    assert_eq!(response.responses[0].partitions[0].error_code, 0);
    Ok(())
}

#[test]
fn an_offset_is_not_listed_twice() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("twice");
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[])?;
    let mut request = ask::list_offsets(&topic, -1);
    let partition = request.topics[0].partitions[0].clone();
    request.topics[0].partitions.push(partition);
    let response = wire.call(8, &request)?;
    for answer in &response.topics[0].partitions {
        assert_eq!(answer.error_code, INVALID_REQUEST);
    }
    Ok(())
}

#[test]
fn a_question_asked_many_times_has_one_answer() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let (topic, group) = (unique("asked"), unique("asking"));
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[])?;
    let offset = OffsetCommitRequestPartition::default()
        .with_committed_offset(1)
        .with_committed_metadata(Some(ask::text(&"m".repeat(4000))));
    let offsets = OffsetCommitRequestTopic::default()
        .with_name(ask::topic(&topic))
        .with_partitions(vec![offset]);
    let commit = OffsetCommitRequest::default()
        .with_group_id(ask::group(&group))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![offsets]);
    harness::talk::settled(|| {
        let response = wire.call(8, &commit)?;
        Ok((response.topics[0].partitions[0].error_code, ()))
    })?;
    let topics = OffsetFetchRequestTopics::default()
        .with_name(ask::topic(&topic))
        .with_partition_indexes(vec![0; 200_000]);
    let asked = OffsetFetchRequestGroup::default()
        .with_group_id(ask::group(&group))
        .with_topics(Some(vec![topics]));
    let request = OffsetFetchRequest::default().with_groups(vec![asked]);
    let response = wire.call(8, &request)?;
    let found = &response.groups[0].topics[0].partitions;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].committed_offset, 1);
    Ok(())
}
