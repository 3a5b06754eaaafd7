//! Events and how they get into the topic.
use std::time::{Duration, Instant};

use client::sample::{SampleOptions, Samples};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use workload::process::{Broker, Error};

/// Where events go.
const TOPIC: &str = "events";
/// How long everything may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Key and value.
pub(crate) type Event = (String, Vec<u8>);

/// A shop's events, all good.
pub(crate) fn shop(count: u64) -> impl Iterator<Item = Event> {
    let options = SampleOptions {
        users: 10_000,
        duplicates_percent: 1.0,
        interval_ms: 10,
        ..SampleOptions::default()
    };
    let samples = Samples::new(options).take(count as usize);
    samples.map(|sample| (sample.key, sample.value))
}

/// One login of each of `count` users.
pub(crate) fn distinct(count: u64) -> impl Iterator<Item = Event> {
    (0..count).map(|number| {
        let key = format!("user-{number}");
        let time = 1_700_000_000_000 + number;
        let value = format!(
            "{{\"event_id\":\"{number:032x}\",\"aggregate_id\":\"{key}\",\
             \"event_type\":\"login\",\"timestamp\":{time}}}"
        );
        (key, value.into_bytes())
    })
}

/// Makes the topic.
pub(crate) fn topic(broker: &Broker, partitions: i32) -> Result<(), Error> {
    let admin: AdminClient<DefaultClientContext> = config(broker).create()?;
    let topic = NewTopic::new(TOPIC, partitions, TopicReplication::Fixed(1));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let made = runtime.block_on(admin.create_topics([&topic], &AdminOptions::new()))?;
    for result in made {
        result.map_err(|(name, code)| format!("{name}: {code}"))?;
    }
    Ok(())
}

/// Produces as fast as it goes, acks=all.
pub(crate) fn produce(broker: &Broker, events: impl Iterator<Item = Event>) -> Result<(), Error> {
    let mut config = config(broker);
    config
        .set("linger.ms", "5")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "2000000");
    let producer: BaseProducer = config.create()?;
    for event in events {
        send(&producer, &event)?;
    }
    Ok(producer.flush(LIMIT)?)
}

/// Produces one event after another, `interval` apart, acks=all.
pub(crate) fn produce_at(
    broker: &Broker,
    events: impl Iterator<Item = Event>,
    interval: Duration,
) -> Result<(), Error> {
    let producer: BaseProducer = config(broker).set("linger.ms", "0").create()?;
    let started = Instant::now();
    for (number, event) in (0u32..).zip(events) {
        let due = started + interval * number;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        send(&producer, &event)?;
        producer.poll(Duration::ZERO);
    }
    Ok(producer.flush(LIMIT)?)
}

fn send(producer: &BaseProducer, (key, value): &Event) -> Result<(), Error> {
    let deadline = Instant::now() + LIMIT;
    let mut record = BaseRecord::to(TOPIC).key(key).payload(value);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
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

fn config(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &broker.bootstrap)
        .set("acks", "all");
    config
}
