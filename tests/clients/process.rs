//! The loop of consume, transform, produce and commit in transactions, some of them aborted and
//! done again: whoever reads committed data sees each record's outcome once and in order.
use anyhow::{Context, Result, bail, ensure};
use harness::process::Process;
use harness::rd::{self, TestProducer};
use harness::{Broker, Options, PATIENCE, Random, eventually, unique};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::producer::Producer;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tempfile::TempDir;

use crate::committed;
use crate::subject::Subject;

const PARTITIONS: i32 = 3;

/// Records of each partition.
const RECORDS: usize = 600;

/// An input topic with half of its records, and an empty output topic.
struct Pipe {
    broker: Broker,
    id: String,
    input: String,
    output: String,
}

impl Pipe {
    fn new(name: &str) -> Result<Self> {
        let broker = Broker::start(Options::default())?;
        let pipe = Self {
            broker,
            id: unique(name),
            input: unique("input"),
            output: unique("output"),
        };
        for topic in [&pipe.input, &pipe.output] {
            rd::create_topic(pipe.broker.bootstrap(), topic, PARTITIONS, &[])?;
        }
        pipe.feed(0..RECORDS / 2)?;
        Ok(pipe)
    }

    fn feed(&self, range: std::ops::Range<usize>) -> Result<()> {
        for partition in 0..PARTITIONS {
            let values: Vec<_> = range.clone().map(|i| format!("{partition}-{i}")).collect();
            rd::produce(self.broker.bootstrap(), &self.input, partition, &values)?;
        }
        Ok(())
    }

    /// Waits until the loop has committed at least `records` of all partitions.
    fn await_committed(&self, records: usize) -> Result<()> {
        let bootstrap = self.broker.bootstrap();
        eventually(&format!("{records} records to be committed"), || {
            let offsets = committed::offsets(bootstrap, &self.id, &self.input, PARTITIONS);
            (offsets.ok()?.iter().sum::<i64>() >= records as i64).then_some(())
        })
    }

    fn check(&self) -> Result<()> {
        for partition in 0..PARTITIONS {
            let records = committed::records(self.broker.bootstrap(), &self.output, partition)?;
            let got: Vec<_> = records.into_iter().map(|(_, value)| value).collect();
            let expected: Vec<_> = (0..RECORDS).map(|i| format!("{partition}-{i}!")).collect();
            assert_eq!(got, expected, "partition {partition}");
        }
        Ok(())
    }
}

/// Runs a foreign client's loop, kills it somewhere in the first half, and runs it again.
fn killed_in_the_middle(name: &str) -> Result<()> {
    let pipe = Pipe::new(name)?;
    let subject = Subject::named(name)?;
    let folder = TempDir::new()?;
    let log = folder.path().join("log");
    let start = || {
        let command =
            subject.process(pipe.broker.bootstrap(), &pipe.input, &pipe.output, &pipe.id)?;
        Process::start(command, &log)
    };
    let mut first = start()?;
    let some = 1 + Random::announced(name).below(RECORDS as u64) as usize;
    pipe.await_committed(some).with_context(|| first.log())?;
    first.kill9()?;
    let mut second = start()?;
    pipe.feed(RECORDS / 2..RECORDS)?;
    pipe.await_committed(RECORDS * PARTITIONS as usize)
        .with_context(|| second.log())?;
    second.kill9()?;
    pipe.check()
}

#[test]
fn java_kafka_clients() -> Result<()> {
    killed_in_the_middle("java")
}

#[test]
fn franz_go() -> Result<()> {
    killed_in_the_middle("franz")
}

#[test]
fn confluent_kafka() -> Result<()> {
    killed_in_the_middle("confluent")
}

/// The loop in `rdkafka`.
struct Worker {
    producer: TestProducer,
    consumer: BaseConsumer,
}

impl Worker {
    fn new(pipe: &Pipe) -> Result<Self> {
        let bootstrap = pipe.broker.bootstrap();
        let producer = rd::producer(bootstrap, &[("transactional.id", &pipe.id)])?;
        producer.init_transactions(PATIENCE)?;
        let settings = [
            ("isolation.level", "read_committed"),
            ("group.instance.id", &pipe.id),
        ];
        let consumer = rd::consumer(bootstrap, &pipe.id, &settings)?;
        consumer.subscribe(&[&pipe.input])?;
        Ok(Self { producer, consumer })
    }

    /// Up to 40 records, at least one.
    fn batch(&self) -> Result<Vec<OwnedMessage>> {
        let deadline = Instant::now() + PATIENCE;
        let mut batch = Vec::new();
        while batch.len() < 40 {
            match self.consumer.poll(Duration::from_millis(50)) {
                Some(message) => batch.push(message?.detach()),
                None if batch.is_empty() => ensure!(Instant::now() < deadline, "nothing came"),
                None => break,
            }
        }
        Ok(batch)
    }

    /// Transforms a batch in a transaction that is left open; gives where the batch begins.
    fn transform(&self, pipe: &Pipe) -> Result<TopicPartitionList> {
        let batch = self.batch()?;
        let mut first = BTreeMap::new();
        let mut after = BTreeMap::new();
        self.producer.begin_transaction()?;
        for message in &batch {
            let partition = message.partition();
            first.entry(partition).or_insert(message.offset());
            after.insert(partition, message.offset() + 1);
            let value = String::from_utf8_lossy(message.payload().unwrap_or_default());
            let value = format!("{value}!");
            rd::send(&self.producer, &pipe.output, partition, "key", &value)?;
        }
        let group = self.consumer.group_metadata().context("no membership")?;
        let after = places(&pipe.input, &after)?;
        self.producer
            .send_offsets_to_transaction(&after, &group, PATIENCE)?;
        self.producer.flush(PATIENCE)?;
        places(&pipe.input, &first)
    }

    /// A batch that is committed, or aborted and put back.
    fn step(&self, pipe: &Pipe, commit: bool) -> Result<()> {
        let first = self.transform(pipe)?;
        if commit {
            return Ok(self.producer.commit_transaction(PATIENCE)?);
        }
        self.producer.abort_transaction(PATIENCE)?;
        self.consumer.seek_partitions(first, PATIENCE)?;
        Ok(())
    }
}

fn places(topic: &str, offsets: &BTreeMap<i32, i64>) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (&partition, &offset) in offsets {
        list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    }
    Ok(list)
}

#[test]
fn rdkafka_with_a_zombie() -> Result<()> {
    let pipe = Pipe::new("rdkafka")?;
    let zombie = Worker::new(&pipe)?;
    for nth in 0..7 {
        zombie.step(&pipe, nth % 3 != 2)?;
    }
    zombie.transform(&pipe)?;
    let heir = Worker::new(&pipe)?;
    pipe.feed(RECORDS / 2..RECORDS)?;
    heir.step(&pipe, true)?;
    let Err(KafkaError::Transaction(error)) = zombie.producer.commit_transaction(PATIENCE) else {
        bail!("the zombie committed");
    };
    assert_eq!(error.code(), RDKafkaErrorCode::Fenced, "{error:?}");
    let all = i64::from(PARTITIONS) * RECORDS as i64;
    for nth in 0.. {
        heir.step(&pipe, nth % 3 != 2)?;
        let bootstrap = pipe.broker.bootstrap();
        let offsets = committed::offsets(bootstrap, &pipe.id, &pipe.input, PARTITIONS)?;
        if offsets.iter().sum::<i64>() == all {
            break;
        }
    }
    pipe.check()
}
