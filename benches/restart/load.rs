//! What fills the partitions, and what writes to all of them until the broker is killed.
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use workload::payload::payload;
use workload::process::{Broker, Error};

/// Of all topics together.
pub const PARTITIONS: i32 = TOPICS * PER_TOPIC;

const TOPICS: i32 = 10;
const PER_TOPIC: i32 = 100;
/// Bytes of a record's value.
const VALUE: usize = 16 * 1024;
/// Values to one partition at a time: about half a MiB.
const BURST: usize = 32;
const PATIENCE: Duration = Duration::from_secs(120);

/// Makes the topics.
pub fn topics(broker: &Broker) -> Result<(), Error> {
    let admin: AdminClient<DefaultClientContext> = config(broker).create()?;
    let names: Vec<String> = (0..TOPICS).map(name).collect();
    let new: Vec<NewTopic> = names
        .iter()
        .map(|name| NewTopic::new(name, PER_TOPIC, TopicReplication::Fixed(1)))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for result in runtime.block_on(admin.create_topics(&new, &AdminOptions::new()))? {
        result.map_err(|(topic, code)| format!("{topic}: {code}"))?;
    }
    Ok(())
}

/// Writes `mib` MiB, the same to each partition, and tells how many are done.
pub fn fill(broker: &Broker, mib: usize, mut progress: impl FnMut(usize)) -> Result<(), Error> {
    let producer = producer(broker)?;
    let value = payload(VALUE, 1);
    let round = BURST * VALUE * PARTITIONS as usize / (1 << 20);
    for done in (0..mib).step_by(round) {
        for partition in 0..PARTITIONS {
            for _ in 0..BURST {
                send(&producer, partition, &value)?;
            }
        }
        producer.flush(PATIENCE)?;
        progress(done + round);
    }
    Ok(())
}

/// Some records to each partition, the last of them not answered yet.
pub fn beside(broker: &Broker) -> Result<(), Error> {
    let producer = producer(broker)?;
    let value = payload(VALUE, 2);
    for partition in 0..PARTITIONS {
        for _ in 0..4 {
            send(&producer, partition, &value)?;
        }
    }
    producer.poll(Duration::from_millis(200));
    // What is in flight stays so: nobody waits for it any more.
    std::mem::forget(producer);
    Ok(())
}

/// An error unless each partition tells its end.
pub fn every_partition_answers(broker: &Broker) -> Result<(), Error> {
    let consumer: BaseConsumer = config(broker).create()?;
    for partition in 0..PARTITIONS {
        let topic = name(partition / PER_TOPIC);
        let (_, end) = consumer.fetch_watermarks(&topic, partition % PER_TOPIC, PATIENCE)?;
        if end == 0 {
            return Err(format!("{topic} [{partition}] is empty").into());
        }
    }
    Ok(())
}

fn send(producer: &BaseProducer, partition: i32, value: &[u8]) -> Result<(), Error> {
    let topic = name(partition / PER_TOPIC);
    let mut record = BaseRecord::<(), [u8]>::to(&topic)
        .partition(partition % PER_TOPIC)
        .payload(value);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                producer.poll(Duration::from_millis(5));
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

fn producer(broker: &Broker) -> Result<BaseProducer, Error> {
    Ok(config(broker)
        .set("linger.ms", "20")
        .set("batch.size", "600000")
        .set("queue.buffering.max.kbytes", "524288")
        .set("acks", "all")
        .create()?)
}

fn config(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &broker.bootstrap);
    config
}

fn name(topic: i32) -> String {
    format!("restart-{topic}")
}
