//! What a reader of committed data sees, and how far a group has committed.
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::{PATIENCE, rd};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

/// Keys and values of a partition up to the last stable offset that it has when they are read.
pub(crate) fn records(
    bootstrap: &str,
    topic: &str,
    partition: i32,
) -> Result<Vec<(String, String)>> {
    let settings = [
        ("isolation.level", "read_committed"),
        ("enable.partition.eof", "true"),
    ];
    let consumer = rd::consumer(bootstrap, "reader", &settings)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Beginning)?;
    consumer.assign(&list)?;
    let deadline = Instant::now() + PATIENCE;
    let mut records = Vec::new();
    loop {
        match consumer.poll(Duration::from_millis(50)) {
            Some(Ok(message)) => records.push((key(&message), rd::text(&message))),
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(records),
            Some(Err(_)) | None => {}
        }
        ensure!(Instant::now() < deadline, "no end after {}", records.len());
    }
}

fn key(message: &BorrowedMessage<'_>) -> String {
    String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned()
}

/// The offsets that `group` has committed for `partitions` of a topic; 0 where there is none.
pub(crate) fn offsets(
    bootstrap: &str,
    group: &str,
    topic: &str,
    partitions: i32,
) -> Result<Vec<i64>> {
    let consumer = rd::consumer(bootstrap, group, &[("isolation.level", "read_committed")])?;
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition(topic, partition);
    }
    let found = consumer.committed_offsets(list, PATIENCE)?;
    let offset = |partition| found.find_partition(topic, partition)?.offset().to_raw();
    Ok((0..partitions)
        .map(|partition| offset(partition).unwrap_or(0).max(0))
        .collect())
}
