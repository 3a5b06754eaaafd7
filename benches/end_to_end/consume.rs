//! A topic from its beginning, as fast as the consumer takes it.
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use workload::process::{Broker, Error};

use crate::produce::{Load, Outcome};

/// Silence that ends the run as failed.
const SILENCE: Duration = Duration::from_secs(20);

/// Consumes everything. The clock runs from the first record on: librdkafka's first fetch comes
/// half a second after its start, whatever the broker.
pub(crate) fn all(broker: &Broker, topic: &str, load: &Load) -> Result<Outcome, Error> {
    let mut config = ClientConfig::new();
    // Without the two queue settings librdkafka pauses for a second at 100 000 queued records.
    config
        .set("bootstrap.servers", &broker.bootstrap)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "2")
        .set("queued.min.messages", "1000000")
        .set("queued.max.messages.kbytes", "1048576")
        .set("fetch.message.max.bytes", "4194304")
        .set("check.crcs", "false");
    let consumer: BaseConsumer = config.create()?;
    let mut places = TopicPartitionList::new();
    places.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&places)?;
    let cpu = broker.cpu_seconds();
    let mut started = None;
    for wanted in 0..load.records as i64 {
        let message = consumer
            .poll(SILENCE)
            .ok_or_else(|| format!("no record at offset {wanted} of {topic}"))??;
        if message.offset() != wanted || message.payload_len() != load.record_bytes {
            return Err(format!("offset {} where {wanted} should be", message.offset()).into());
        }
        started.get_or_insert_with(Instant::now);
    }
    let seconds = started.map_or(0.0, |started| started.elapsed().as_secs_f64());
    let cpu = broker.cpu_seconds() - cpu;
    Ok(Outcome {
        records_per_second: load.records as f64 / seconds,
        cpu_seconds_per_million: cpu / (load.records as f64 / 1e6),
    })
}
