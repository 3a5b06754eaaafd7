//! A batch that the disk damaged: an error to whoever reads it, and to no one else (klamm only).
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::talk::settled;
use harness::{Batch, Broker, Options, PATIENCE, Wire, ask, rd, unique};
use kafka_protocol::messages::OffsetCommitRequest;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message, Offset};

use crate::stepper::committed_offset;

const CORRUPT_MESSAGE: i16 = 2;

/// Flips a bit of `value` in the first segment of a partition, while the broker is down.
fn damage(broker: &Broker, topic: &str, value: &str) -> Result<()> {
    let folder: PathBuf = broker.data_dir().join(format!("{topic}-0"));
    let path = folder.join(format!("{:020}.log", 0));
    let mut bytes = fs::read(&path)?;
    let found = bytes
        .windows(value.len())
        .position(|w| w == value.as_bytes());
    bytes[found.context("the value is not in the file")?] ^= 1;
    Ok(fs::write(&path, bytes)?)
}

/// The offset at which a consumer stops, after how many messages, and the error that it gets.
fn read_up_to_error(consumer: &BaseConsumer) -> Result<(Vec<i64>, KafkaError)> {
    let deadline = Instant::now() + PATIENCE;
    let mut offsets = Vec::new();
    loop {
        match consumer.poll(Duration::from_millis(50)) {
            Some(Ok(message)) => offsets.push(message.offset()),
            Some(Err(error)) => return Ok((offsets, error)),
            None => ensure!(Instant::now() < deadline, "no error after {offsets:?}"),
        }
    }
}

#[test]
fn a_damaged_batch_is_an_error_and_a_consumer_can_go_round_it() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let topic = unique("damage");
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[])?;
    for i in 0..10 {
        let values = [format!("left {i}"), format!("right {i}")];
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        wire.produce(&topic, Batch::of(&values).bytes())?;
    }
    broker.terminate(PATIENCE)?;
    damage(&broker, &topic, "right 4")?;
    broker.restart()?;
    wire = broker.wire()?;
    assert_eq!(
        broker.metric("klamm_log_corrupt_reads_total", &[])? as i64,
        0
    );
    for (offset, error) in [(7, 0), (8, CORRUPT_MESSAGE), (9, CORRUPT_MESSAGE), (10, 0)] {
        let answer = wire.fetch(&ask::fetch(&topic, offset))?;
        assert_eq!(answer.error_code, error, "offset {offset}");
    }
    assert_eq!(
        broker.metric("klamm_log_corrupt_reads_total", &[])? as i64,
        2
    );
    // What is appended now comes after what was found on the disk, damaged or not.
    wire.produce(&topic, Batch::of(&["after"]).bytes())?;

    let consumer = rd::reader(broker.bootstrap(), &topic, 0, 0)?;
    let (offsets, error) = read_up_to_error(&consumer)?;
    assert_eq!(offsets, (0..8).collect::<Vec<_>>());
    let code = RDKafkaErrorCode::InvalidMessage;
    assert_eq!(error, KafkaError::MessageConsumption(code));
    // It stays there until it is told to go on behind the batch.
    consumer.seek(&topic, 0, Offset::Offset(10), PATIENCE)?;
    let rest = rd::take(&consumer, 11)?;
    let offsets: Vec<i64> = rest.iter().map(Message::offset).collect();
    assert_eq!(offsets, (10..21).collect::<Vec<_>>());
    Ok(())
}

fn commit(wire: &mut Wire, group: &str, topic: &str, offset: i64) -> Result<()> {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(offset);
    let topics = OffsetCommitRequestTopic::default()
        .with_name(ask::topic(topic))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(ask::group(group))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topics]);
    settled(|| {
        let answer = wire.call(8, &request)?;
        Ok((answer.topics[0].partitions[0].error_code, ()))
    })
}

#[test]
fn a_damaged_commit_costs_no_other_group_and_no_start() -> Result<()> {
    let options = Options::default().set("offsets.topic.num.partitions", "1");
    let mut broker = Broker::start(options)?;
    let topic = unique("damage");
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[])?;
    for (group, offset) in [("one", 1), ("two", 2), ("three", 3), ("two", 4), ("one", 5)] {
        commit(&mut wire, &format!("{topic}-{group}"), &topic, offset)?;
    }
    broker.terminate(PATIENCE)?;
    // The first one of it.
    damage(&broker, "__consumer_offsets", &format!("{topic}-three"))?;
    broker.restart()?;
    wire = broker.wire()?;
    for (group, offset) in [("one", 5), ("two", 4), ("three", -1)] {
        let found = committed_offset(&mut wire, &format!("{topic}-{group}"), &topic)?;
        assert_eq!(found, (0, offset), "{group}");
    }
    commit(&mut wire, &format!("{topic}-three"), &topic, 6)?;
    broker.kill9()?;
    broker.restart()?;
    wire = broker.wire()?;
    for (group, offset) in [("one", 5), ("three", 6)] {
        let found = committed_offset(&mut wire, &format!("{topic}-{group}"), &topic)?;
        assert_eq!(found, (0, offset), "{group}");
    }
    Ok(())
}
