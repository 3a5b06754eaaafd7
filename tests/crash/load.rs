//! What is written: numbered records by one idempotent producer that lives through all restarts.
//!
//! Record `n` of a partition carries the number `n`, so a record that is lost, doubled or out of
//! order anywhere shows itself: its number is not its offset.
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::random::Random;
use harness::{PATIENCE, rd};
use rdkafka::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;

/// Partitions of the plain topic.
pub(crate) const PARTITIONS: i32 = 4;
/// Keys of the compacted topic, which has one partition.
const KEYS: u64 = 50;
/// Every so many records the compacted topic gets a tombstone.
const TOMBSTONE_EVERY: u64 = 23;

/// The topics that are written to.
#[derive(Debug, Clone)]
pub(crate) struct Topics {
    /// Plain, [`PARTITIONS`] partitions.
    pub(crate) plain: String,
    /// Compacted, one partition.
    pub(crate) compacted: String,
}

/// The key that record `number` of the compacted topic has.
pub(crate) fn key_of(number: u64) -> String {
    format!("key-{}", Random::new(number).below(KEYS))
}

/// Whether record `number` of the compacted topic deletes its key.
pub(crate) fn is_tombstone(number: u64) -> bool {
    number % TOMBSTONE_EVERY == TOMBSTONE_EVERY - 1
}

/// What the delivery reports said.
#[derive(Debug, Clone, Default)]
struct Reports(Arc<Tally>);

#[derive(Debug, Default)]
struct Tally {
    acknowledged: AtomicU64,
    troubles: Mutex<Vec<String>>,
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<u64>) {
        let trouble = match result {
            Err((error, _)) => Some(format!("record {number}: {error}")),
            Ok(message) if message.offset() != *number as i64 => Some(format!(
                "record {number} of {} {} was acknowledged at offset {}",
                message.topic(),
                message.partition(),
                message.offset()
            )),
            Ok(_) => None,
        };
        self.0.acknowledged.fetch_add(1, Ordering::Relaxed);
        if let Some(trouble) = trouble {
            let mut troubles = self
                .0
                .troubles
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            troubles.push(trouble);
        }
    }
}

/// The producer on its thread.
pub(crate) struct Load {
    over: Arc<AtomicBool>,
    reports: Reports,
    thread: JoinHandle<Result<Sent>>,
}

/// How many records were sent, all of them acknowledged.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent {
    pub(crate) plain: [u64; PARTITIONS as usize],
    pub(crate) compacted: u64,
}

impl Load {
    pub(crate) fn start(bootstrap: &str, topics: &Topics, seed: u64) -> Result<Self> {
        let reports = Reports::default();
        let mut config = rd::settings(bootstrap, &[("enable.idempotence", "true")]);
        config
            .set("acks", "all")
            .set("linger.ms", "1")
            .set("batch.num.messages", "10")
            .set("max.in.flight.requests.per.connection", "5")
            .set("message.timeout.ms", "600000")
            .set("queue.buffering.max.messages", "2000");
        let producer: ThreadedProducer<Reports> = config.create_with_context(reports.clone())?;
        let over = Arc::new(AtomicBool::new(false));
        let (stop, topics) = (Arc::clone(&over), topics.clone());
        let thread = std::thread::spawn(move || {
            let sent = write(&producer, &topics, &stop, Random::new(seed))?;
            producer.flush(PATIENCE).context("what was sent last")?;
            Ok(sent)
        });
        Ok(Self {
            over,
            reports,
            thread,
        })
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.reports.0.acknowledged.load(Ordering::Relaxed)
    }

    /// Ends it, once everything is acknowledged.
    pub(crate) fn finish(self) -> Result<Sent> {
        self.over.store(true, Ordering::Relaxed);
        let sent = self.thread.join().ok().context("the producer panicked")??;
        let tally = &self.reports.0;
        let troubles = tally
            .troubles
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        ensure!(
            troubles.is_empty(),
            "{} troubles: {troubles:#?}",
            troubles.len()
        );
        let all = sent.plain.iter().sum::<u64>() + sent.compacted;
        let acknowledged = tally.acknowledged.load(Ordering::Relaxed);
        ensure!(acknowledged == all, "{acknowledged} of {all} were answered");
        Ok(sent)
    }
}

/// Bursts with pauses, so that several batches are in flight and the log is idle at times.
fn write(
    producer: &ThreadedProducer<Reports>,
    topics: &Topics,
    stop: &AtomicBool,
    mut chance: Random,
) -> Result<Sent> {
    let mut sent = Sent::default();
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..chance.below(200) {
            let partition = chance.below(PARTITIONS as u64 + 1) as usize;
            if let Some(next) = sent.plain.get_mut(partition) {
                send(producer, &topics.plain, partition as i32, *next, None)?;
                *next += 1;
            } else {
                let number = sent.compacted;
                send(
                    producer,
                    &topics.compacted,
                    0,
                    number,
                    Some(&key_of(number)),
                )?;
                sent.compacted += 1;
            }
        }
        std::thread::sleep(Duration::from_millis(chance.below(60)));
    }
    Ok(sent)
}

fn send(
    producer: &ThreadedProducer<Reports>,
    topic: &str,
    partition: i32,
    number: u64,
    key: Option<&str>,
) -> Result<()> {
    let value = number.to_string();
    let mut record = BaseRecord::with_opaque_to(topic, Box::new(number)).partition(partition);
    if let Some(key) = key {
        record = record.key(key);
    }
    if key.is_none() || !is_tombstone(number) {
        record = record.payload(value.as_str());
    }
    loop {
        match producer.send::<str, str>(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                std::thread::sleep(Duration::from_millis(2));
            }
            Err((error, _)) => {
                return Err(error).context(format!("{:?}", producer.client().fatal_error()));
            }
        }
    }
}
