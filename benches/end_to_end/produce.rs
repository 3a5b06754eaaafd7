//! As many records as the producer gets out.
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use workload::payload::payload;
use workload::process::{Broker, Error};

/// How many records of which size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Bytes of each value.
    pub(crate) record_bytes: usize,
    /// How many.
    pub(crate) records: u64,
}

impl Load {
    pub(crate) fn new(record_bytes: usize, records: u64) -> Self {
        Self {
            record_bytes,
            records,
        }
    }
}

/// What a run gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    /// Throughput.
    pub(crate) records_per_second: f64,
    /// What the broker process used.
    pub(crate) cpu_seconds_per_million: f64,
}

/// How long everything may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Settings for throughput, the same for the mock cluster and the broker.
fn producer(acks: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("acks", acks)
        .set("linger.ms", "5")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "2000000")
        .set("queue.buffering.max.kbytes", "1048576")
        .set("delivery.report.only.error", "true");
    config
}

/// The client alone: records per second.
pub(crate) fn on_mock_cluster(load: &Load) -> Result<f64, Error> {
    let mut config = producer("1");
    config.set("test.mock.num.brokers", "1");
    let producer: BaseProducer = config.create()?;
    send(
        &producer,
        "warm-up",
        &Load::new(load.record_bytes, load.records / 10),
    )?;
    let started = Instant::now();
    send(&producer, "ceiling", load)?;
    Ok(load.records as f64 / started.elapsed().as_secs_f64())
}

/// Produces to the broker and checks that everything is there.
pub(crate) fn on_broker(
    broker: &Broker,
    topic: &str,
    acks: &str,
    load: &Load,
) -> Result<Outcome, Error> {
    let mut config = producer(acks);
    config.set("bootstrap.servers", &broker.bootstrap);
    let producer: BaseProducer = config.create()?;
    let warm_up = Load::new(load.record_bytes, load.records / 10);
    send(&producer, &format!("{topic}-warm-up"), &warm_up)?;
    send(&producer, topic, &Load::new(load.record_bytes, 1))?;
    let (started, cpu) = (Instant::now(), broker.cpu_seconds());
    send(
        &producer,
        topic,
        &Load::new(load.record_bytes, load.records - 1),
    )?;
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), broker.cpu_seconds() - cpu);
    let arrived = end_offset(broker, topic)?;
    if arrived != load.records as i64 {
        return Err(format!("{arrived} records in {topic}, not {}", load.records).into());
    }
    let millions = load.records as f64 / 1e6;
    Ok(Outcome {
        records_per_second: load.records as f64 / seconds,
        cpu_seconds_per_million: cpu / millions,
    })
}

fn send(producer: &BaseProducer, topic: &str, load: &Load) -> Result<(), Error> {
    let value = payload(load.record_bytes, 7);
    let deadline = Instant::now() + LIMIT;
    for _ in 0..load.records {
        let mut record = BaseRecord::<(), [u8]>::to(topic)
            .partition(0)
            .payload(&value[..]);
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    record = back;
                    producer.poll(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }
    Ok(producer.flush(LIMIT)?)
}

fn end_offset(broker: &Broker, topic: &str) -> Result<i64, Error> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &broker.bootstrap);
    let consumer: BaseConsumer = config.create()?;
    Ok(consumer
        .fetch_watermarks(topic, 0, Duration::from_secs(10))?
        .1)
}
