//! Records on their way into a topic and out of it.
use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use harness::{PATIENCE, rd};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

/// A header: names may be there twice, values may be null.
pub(crate) type HeaderPair = (String, Option<Vec<u8>>);

/// A record to produce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) partition: i32,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<Vec<u8>>,
    /// The record's own time, epoch ms.
    pub(crate) timestamp: i64,
    pub(crate) headers: Vec<HeaderPair>,
}

impl Event {
    /// A record of this value.
    pub(crate) fn of(partition: i32, timestamp: i64, value: impl Into<Vec<u8>>) -> Self {
        Self {
            partition,
            key: Some("key".to_owned()),
            value: Some(value.into()),
            timestamp,
            headers: Vec::new(),
        }
    }
}

/// A record as a consumer gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) offset: i64,
    pub(crate) event: Event,
}

impl Record {
    /// From a consumer's message.
    pub(crate) fn from(message: &OwnedMessage) -> Self {
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            let copy = |header: Header<'_, &[u8]>| {
                (header.key.to_owned(), header.value.map(<[u8]>::to_vec))
            };
            headers.iter().map(copy).collect()
        });
        let key = message.key();
        Self {
            offset: message.offset(),
            event: Event {
                partition: message.partition(),
                key: key.map(|key| String::from_utf8_lossy(key).into_owned()),
                value: message.payload().map(<[u8]>::to_vec),
                timestamp: message.timestamp().to_millis().unwrap_or(-1),
                headers,
            },
        }
    }

    /// The text of a header, which must be there once.
    pub(crate) fn header(&self, name: &str) -> Result<String> {
        let mut all = self.event.headers.iter().filter(|(known, _)| known == name);
        let (_, value) = all.next().with_context(|| format!("no header {name}"))?;
        ensure!(all.next().is_none(), "{name} is there twice");
        Ok(String::from_utf8(value.clone().unwrap_or_default())?)
    }

    /// The value as text; `None` for a tombstone.
    pub(crate) fn text(&self) -> Option<String> {
        let value = self.event.value.as_deref();
        value.map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

/// Creates a topic for events whose records are older than any retention.
pub(crate) fn create_topic(bootstrap: &str, name: &str, partitions: i32) -> Result<()> {
    rd::create_topic(bootstrap, name, partitions, &[("retention.ms", "-1")])
}

/// Puts an event into the producer's queue, waiting while it is full.
pub(crate) fn send(producer: &rd::TestProducer, topic: &str, event: &Event) -> Result<()> {
    let mut headers = OwnedHeaders::new();
    for (name, value) in &event.headers {
        headers = headers.insert(Header {
            key: name,
            value: value.as_ref(),
        });
    }
    let mut record = BaseRecord::<str, [u8]>::to(topic)
        .partition(event.partition)
        .timestamp(event.timestamp)
        .headers(headers);
    record.key = event.key.as_deref();
    record.payload = event.value.as_deref();
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                if std::time::Instant::now() < deadline =>
            {
                record = back;
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

/// Produces all, in order within each partition, and waits until all are acknowledged.
pub(crate) fn produce(bootstrap: &str, topic: &str, events: &[Event]) -> Result<()> {
    produce_with(bootstrap, topic, events, "none")
}

/// The same in batches of a codec.
pub(crate) fn produce_with(
    bootstrap: &str,
    topic: &str,
    events: &[Event],
    codec: &str,
) -> Result<()> {
    let extra = [
        ("enable.idempotence", "true"),
        ("linger.ms", "5"),
        ("compression.type", codec),
    ];
    let producer = rd::producer(bootstrap, &extra)?;
    for event in events {
        send(&producer, topic, event)?;
    }
    producer.flush(PATIENCE)?;
    let reports = producer.context().all();
    ensure!(reports.len() == events.len(), "{} reports", reports.len());
    let refused = reports.iter().find(|report| report.error.is_some());
    ensure!(refused.is_none(), "{refused:?}");
    Ok(())
}

/// How many partitions a topic has; 0 if there is none of this name.
pub(crate) fn partitions(bootstrap: &str, topic: &str) -> Result<i32> {
    let consumer = rd::consumer(bootstrap, "partitions", &[])?;
    let metadata = consumer.fetch_metadata(None, PATIENCE)?;
    let found = metadata.topics().iter().find(|known| known.name() == topic);
    Ok(found.map_or(0, |topic| topic.partitions().len() as i32))
}

/// First and next offset of each partition.
pub(crate) fn ends(bootstrap: &str, topic: &str) -> Result<BTreeMap<i32, (i64, i64)>> {
    let consumer = rd::consumer(bootstrap, "ends", &[])?;
    let mut ends = BTreeMap::new();
    for partition in 0..partitions(bootstrap, topic)? {
        let ask = || consumer.fetch_watermarks(topic, partition, PATIENCE).ok();
        ends.insert(partition, harness::eventually("the leader", ask)?);
    }
    Ok(ends)
}

/// Everything in a topic, up to the ends that it has now, as a stock consumer reads it.
pub(crate) fn read(bootstrap: &str, topic: &str) -> Result<Vec<Record>> {
    let ends = ends(bootstrap, topic)?;
    ensure!(!ends.is_empty(), "there is no topic {topic}");
    let consumer = rd::consumer(bootstrap, "reader", &[("auto.offset.reset", "error")])?;
    let mut list = TopicPartitionList::new();
    let mut open = BTreeMap::new();
    for (&partition, &(first, end)) in &ends {
        if end > first {
            list.add_partition_offset(topic, partition, Offset::Offset(first))?;
            open.insert(partition, end);
        }
    }
    consumer.assign(&list)?;
    let deadline = std::time::Instant::now() + PATIENCE;
    let mut records = Vec::new();
    while !open.is_empty() {
        if let Some(message) = consumer.poll(std::time::Duration::from_millis(50)) {
            let record = Record::from(&message?.detach());
            let partition = record.event.partition;
            if open
                .get(&partition)
                .is_some_and(|end| record.offset + 1 >= *end)
            {
                open.remove(&partition);
            }
            if record.offset < ends[&partition].1 {
                records.push(record);
            }
        }
        let count = records.len();
        ensure!(
            std::time::Instant::now() < deadline,
            "read only {count} records of {topic}, {open:?} left"
        );
    }
    Ok(records)
}
