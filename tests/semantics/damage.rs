//! A batch that the disk damaged: an error to whoever reads it, and to no one else (klamm only).
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::{Batch, Broker, Options, PATIENCE, ask, rd, unique};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message, Offset};

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
