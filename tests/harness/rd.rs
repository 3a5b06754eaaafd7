//! librdkafka clients: producers that keep their delivery reports, consumers, admin calls.
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message, OwnedMessage};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use crate::PATIENCE;

/// One delivery report.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The record's value as text.
    pub value: String,
    /// Where it went: partition and offset.
    pub place: (i32, i64),
    /// The error, if it was refused.
    pub error: Option<KafkaError>,
}

/// Collects delivery reports.
#[derive(Debug, Clone, Default)]
pub struct Deliveries(Arc<Mutex<Vec<Delivery>>>);

impl Deliveries {
    /// The reports so far.
    pub fn all(&self) -> Vec<Delivery> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let message = match result {
            Ok(message) | Err((_, message)) => message,
        };
        let value = String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
        let delivery = Delivery {
            value,
            place: (message.partition(), message.offset()),
            error: result.as_ref().err().map(|(error, _)| error.clone()),
        };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(delivery);
    }
}

/// A producer whose delivery reports are kept.
pub type TestProducer = ThreadedProducer<Deliveries>;

/// A configuration with the bootstrap address, short reconnect times, and `settings`.
pub fn settings(bootstrap: &str, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "200");
    config.set("broker.address.family", "v4");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    config
}

/// A producer, `linger.ms` 1 unless set otherwise.
pub fn producer(bootstrap: &str, extra: &[(&str, &str)]) -> Result<TestProducer> {
    let mut config = settings(bootstrap, &[("linger.ms", "1")]);
    for (name, value) in extra {
        config.set(*name, *value);
    }
    Ok(config.create_with_context(Deliveries::default())?)
}

/// Sends a record with key and value to a partition, waiting while the queue is full.
pub fn send(
    producer: &TestProducer,
    topic: &str,
    partition: i32,
    key: &str,
    value: &str,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut record = BaseRecord::to(topic)
        .partition(partition)
        .key(key)
        .payload(value);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                if Instant::now() < deadline =>
            {
                record = back;
                std::thread::sleep(Duration::from_millis(5));
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

/// Produces `values` to one partition, waits for all, and gives their offsets; any refusal is an
/// error.
pub fn produce(
    bootstrap: &str,
    topic: &str,
    partition: i32,
    values: &[impl AsRef<str>],
) -> Result<Vec<i64>> {
    let producer = producer(bootstrap, &[])?;
    for value in values {
        send(&producer, topic, partition, "key", value.as_ref())?;
    }
    producer.flush(PATIENCE)?;
    let reports = producer.context().all();
    ensure!(reports.len() == values.len(), "{} reports", reports.len());
    for report in &reports {
        ensure!(report.error.is_none(), "{report:?}");
    }
    Ok(reports.iter().map(|report| report.place.1).collect())
}

/// A consumer of `group` that starts at the beginning and commits only when told.
pub fn consumer(bootstrap: &str, group: &str, extra: &[(&str, &str)]) -> Result<BaseConsumer> {
    let mut config = settings(
        bootstrap,
        &[("group.id", group), ("enable.auto.commit", "false")],
    );
    config
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "100");
    for (name, value) in extra {
        config.set(*name, *value);
    }
    Ok(config.create()?)
}

/// A consumer without a group membership, placed at `offset` of one partition.
pub fn reader(bootstrap: &str, topic: &str, partition: i32, offset: i64) -> Result<BaseConsumer> {
    let consumer = consumer(bootstrap, "reader", &[])?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    consumer.assign(&list)?;
    Ok(consumer)
}

/// The next `count` messages; transient errors (broker away, partition being created) are waited
/// out, too few within [`PATIENCE`] is an error.
pub fn take(consumer: &BaseConsumer, count: usize) -> Result<Vec<OwnedMessage>> {
    let deadline = Instant::now() + PATIENCE;
    let mut messages = Vec::with_capacity(count);
    let mut trouble = None;
    while messages.len() < count {
        match consumer.poll(Duration::from_millis(50)) {
            Some(Ok(message)) => messages.push(message.detach()),
            Some(Err(error)) => trouble = Some(error),
            None => {}
        }
        let got = messages.len();
        ensure!(
            Instant::now() < deadline,
            "only {got} of {count} messages came ({trouble:?})"
        );
    }
    Ok(messages)
}

/// Everything in a partition from `offset` to the end that it has now, as (offset, value).
pub fn read_all(
    bootstrap: &str,
    topic: &str,
    partition: i32,
    offset: i64,
) -> Result<Vec<(i64, String)>> {
    let consumer = reader(bootstrap, topic, partition, offset)?;
    let (_, high) = consumer.fetch_watermarks(topic, partition, PATIENCE)?;
    let deadline = Instant::now() + PATIENCE;
    let mut read: Vec<(i64, String)> = Vec::new();
    while read.last().map_or(offset, |(last, _)| last + 1) < high {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
            read.push((message.offset(), text(&message)));
        }
        ensure!(
            Instant::now() < deadline,
            "read only {} up to {high}",
            read.len()
        );
    }
    Ok(read)
}

/// A message's value as text, empty if null.
pub fn text(message: &BorrowedMessage<'_>) -> String {
    String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned()
}

/// The values of messages as text.
pub fn values(messages: &[OwnedMessage]) -> Vec<String> {
    let text = |message: &OwnedMessage| message.payload().unwrap_or_default().to_vec();
    messages
        .iter()
        .map(|message| String::from_utf8_lossy(&text(message)).into_owned())
        .collect()
}

/// An admin client.
pub fn admin(bootstrap: &str) -> Result<AdminClient<DefaultClientContext>> {
    Ok(settings(bootstrap, &[]).create()?)
}

/// Options for admin calls: wait for the outcome, with a bound.
pub fn admin_options() -> AdminOptions {
    AdminOptions::new()
        .operation_timeout(Some(PATIENCE))
        .request_timeout(Some(PATIENCE))
}

/// Runs a future to its end.
pub fn block_on<T>(future: impl Future<Output = T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(future))
}

/// Creates a topic with topic configs.
pub fn create_topic(
    bootstrap: &str,
    name: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) -> Result<()> {
    let admin = admin(bootstrap)?;
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    for (config, value) in configs {
        topic = topic.set(config, value);
    }
    let results = block_on(admin.create_topics([&topic], &admin_options()))??;
    let result = results
        .into_iter()
        .next()
        .context("no result for the topic")?;
    result.map_err(|(name, code)| anyhow::anyhow!("topic {name} was refused: {code}"))?;
    Ok(())
}
