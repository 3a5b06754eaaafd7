//! A stock consumer that reads a view's topic all along, whatever becomes of the broker.
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use harness::{PATIENCE, rd};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::event::{self, Record};

/// A running consumer.
#[derive(Debug)]
pub(crate) struct Watch {
    thread: JoinHandle<Result<BTreeMap<i64, Record>>>,
    /// Offset after the last record to be read; -1 while there is no end.
    end: Arc<AtomicI64>,
    topic: String,
    rises: bool,
}

impl Watch {
    /// Reads from offset 0 on; the topic must be there. With `rises`, a count that goes back in a
    /// later record of the same key is an error.
    pub(crate) fn start(bootstrap: &str, topic: &str, rises: bool) -> Result<Self> {
        let extra = [
            ("auto.offset.reset", "error"),
            ("isolation.level", "read_uncommitted"),
        ];
        let consumer = rd::consumer(bootstrap, "watch", &extra)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Offset(0))?;
        consumer.assign(&list)?;
        let end = Arc::new(AtomicI64::new(-1));
        let until = Arc::clone(&end);
        let thread = thread::spawn(move || {
            let mut seen = BTreeMap::new();
            let mut deadline = None;
            loop {
                match consumer.poll(Duration::from_millis(20)) {
                    Some(Ok(message)) => {
                        let record = Record::from(&message.detach());
                        let newest = seen.last_key_value().map_or(-1, |(offset, _)| *offset);
                        ensure!(record.offset > newest, "{record:?} after offset {newest}");
                        seen.insert(record.offset, record);
                    }
                    Some(Err(KafkaError::MessageConsumption(
                        error @ RDKafkaErrorCode::AutoOffsetReset,
                    ))) => bail!("the log ends before what was read of it: {error}"),
                    _ => {}
                }
                let end = until.load(Ordering::Relaxed);
                let next = seen.last_key_value().map_or(0, |(offset, _)| offset + 1);
                if end >= 0 && next >= end {
                    return Ok(seen);
                }
                if end >= 0 {
                    let deadline = *deadline.get_or_insert(Instant::now() + PATIENCE);
                    ensure!(Instant::now() < deadline, "read up to {next} of {end}");
                }
            }
        });
        Ok(Self {
            thread,
            end,
            topic: topic.to_owned(),
            rises,
        })
    }

    /// Reads on to the end that the topic has now, and compares what was seen with what is there:
    /// nothing else was ever at an offset, and no value went back.
    pub(crate) fn finish(self, bootstrap: &str) -> Result<()> {
        let topic = &self.topic;
        let ends = event::ends(bootstrap, topic)?;
        self.end.store(ends[&0].1, Ordering::Relaxed);
        let seen = self.thread.join().ok().context("the watch panicked")??;
        for record in event::read(bootstrap, topic)? {
            let before = seen.get(&record.offset);
            ensure!(
                before == Some(&record),
                "{topic}: saw {before:?}, now {record:?}"
            );
        }
        if self.rises {
            never_back(&seen)?;
        }
        Ok(())
    }
}

/// Whether the count in the rows only rises, key by key.
fn never_back(seen: &BTreeMap<i64, Record>) -> Result<()> {
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for record in seen.values() {
        let key = record.event.key.as_deref().context("a row without a key")?;
        let value = record.text().with_context(|| format!("{key} is gone"))?;
        let value: serde_json::Value = serde_json::from_str(&value)?;
        let count = value["count"].as_u64().or(value["orders"].as_u64());
        let count = count.with_context(|| format!("no count in {value}"))?;
        let before = counts.insert(key, count);
        ensure!(
            before < Some(count),
            "{key} went from {before:?} to {count}"
        );
    }
    Ok(())
}
