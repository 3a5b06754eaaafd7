//! Compaction: the latest value of each key stays at its offset, what it outdates goes, and so does
//! a tombstone after its time.
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::{Broker, Options, PATIENCE, eventually, rd, unique};
use rdkafka::Message;
use rdkafka::consumer::Consumer;
use rdkafka::producer::{BaseRecord, Producer};

const KEYS: usize = 10;
const ROUNDS: usize = 30;

/// Offset, key and value.
type Record = (i64, String, Option<Vec<u8>>);

/// The records of the partition.
fn read(bootstrap: &str, topic: &str) -> Result<Vec<Record>> {
    let consumer = rd::reader(bootstrap, topic, 0, 0)?;
    let (_, high) = consumer.fetch_watermarks(topic, 0, PATIENCE)?;
    let mut found: Vec<Record> = Vec::new();
    // The last record of a log is never compacted away.
    while found.last().is_none_or(|(offset, ..)| offset + 1 < high) {
        let message = consumer.poll(PATIENCE).context("nothing came")??;
        let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
        let value = message.payload().map(<[u8]>::to_vec);
        found.push((message.offset(), key, value));
    }
    Ok(found)
}

#[test]
fn a_compacted_topic_keeps_the_latest_value_of_each_key_where_it_was() -> Result<()> {
    let options = Options::default().set("log.cleaner.backoff.ms", "50");
    let mut broker = Broker::start(options)?;
    let topic = unique("compacted");
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "1048576"),
        ("min.cleanable.dirty.ratio", "0.0001"),
        ("delete.retention.ms", "0"),
    ];
    rd::create_topic(broker.bootstrap(), &topic, 1, &configs)?;
    let extra = [("enable.idempotence", "true"), ("compression.type", "zstd")];
    let producer = rd::producer(broker.bootstrap(), &extra)?;
    for round in 0..ROUNDS {
        for key in 0..KEYS {
            let value = format!("{key} {round} {}", "x".repeat(2000));
            rd::send(&producer, &topic, 0, &format!("key-{key}"), &value)?;
        }
    }
    let tombstone = BaseRecord::<str, [u8]>::to(&topic)
        .partition(0)
        .key("key-0");
    producer.send(tombstone).map_err(|(error, _)| error)?;
    producer.flush(PATIENCE)?;
    let deliveries = producer.context().all();
    let last_values: BTreeMap<i64, String> = deliveries
        .iter()
        .filter(|delivery| {
            let (key, rest) = delivery.value.split_once(' ').unwrap_or_default();
            let round = rest.split(' ').next().unwrap_or_default();
            key != "0" && round == (ROUNDS - 1).to_string()
        })
        .map(|delivery| (delivery.place.1, delivery.value.clone()))
        .collect();
    assert_eq!(last_values.len(), KEYS - 1);
    // What is not compressed fills segments; only full ones are compacted.
    let filler = rd::producer(broker.bootstrap(), &[])?;
    let compacted = || {
        for _ in 0..3 {
            rd::send(&filler, &topic, 0, "filler", &"y".repeat(500_000))?;
        }
        filler.flush(PATIENCE)?;
        std::thread::sleep(Duration::from_millis(100));
        let found = read(broker.bootstrap(), &topic)?;
        let of_keys = found.iter().filter(|(_, key, _)| key.starts_with("key-"));
        let left: BTreeMap<i64, String> = of_keys
            .map(|(offset, _, value)| {
                let value = value.as_deref().unwrap_or_default();
                (*offset, String::from_utf8_lossy(value).into_owned())
            })
            .collect();
        for (offset, value) in &last_values {
            ensure!(left.get(offset) == Some(value), "{offset} is not there");
        }
        Ok(left == last_values)
    };
    eventually("compaction", || match compacted() {
        Ok(done) => done.then_some(Ok(())),
        Err(error) => Some(Err(error)),
    })??;
    // The sequence of the producer outlived its records, in memory and in the log.
    rd::send(&producer, &topic, 0, "key-1", "again")?;
    producer.flush(PATIENCE)?;
    assert!(
        producer
            .context()
            .all()
            .iter()
            .all(|report| report.error.is_none())
    );
    let before = read(broker.bootstrap(), &topic)?;
    broker.kill9()?;
    broker.restart()?;
    assert_eq!(read(broker.bootstrap(), &topic)?.last(), before.last());
    Ok(())
}
