//! Transactions through librdkafka: what a commit shows, what an abort hides, and who is shut out.
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use harness::rd::{self, TestProducer};
use harness::{Broker, Options, PATIENCE, unique};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaError};
use rdkafka::message::Message;
use rdkafka::producer::Producer;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

fn quick() -> Options {
    let interval = "transaction.abort.timed.out.transaction.cleanup.interval.ms";
    Options::default().set(interval, "20")
}

fn producer(broker: &Broker, id: &str) -> Result<TestProducer> {
    producer_with(broker, id, "60000")
}

fn producer_with(broker: &Broker, id: &str, timeout_ms: &str) -> Result<TestProducer> {
    let settings = [
        ("transactional.id", id),
        ("transaction.timeout.ms", timeout_ms),
    ];
    let producer = rd::producer(broker.bootstrap(), &settings)?;
    producer.init_transactions(PATIENCE)?;
    Ok(producer)
}

fn send(producer: &TestProducer, topic: &str, values: &[&str]) -> Result<()> {
    for value in values {
        rd::send(producer, topic, 0, "key", value)?;
    }
    Ok(())
}

fn reader(broker: &Broker, topic: &str, isolation: &str) -> Result<BaseConsumer> {
    let settings = [("isolation.level", isolation)];
    let consumer = rd::consumer(broker.bootstrap(), "reader", &settings)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&list)?;
    Ok(consumer)
}

/// What a reader sees up to and with the value "end".
fn read(broker: &Broker, topic: &str, isolation: &str) -> Result<Vec<String>> {
    let consumer = reader(broker, topic, isolation)?;
    let deadline = Instant::now() + PATIENCE;
    let mut values = Vec::new();
    loop {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
            let value = rd::text(&message);
            if value == "end" {
                return Ok(values);
            }
            values.push(value);
        }
        ensure!(Instant::now() < deadline, "no end after {values:?}");
    }
}

fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::Transaction(error) => Some(RDKafkaError::code(error)),
        error => error.rdkafka_error_code(),
    }
}

#[test]
fn one_producer_commits_and_aborts_by_turns() -> Result<()> {
    let broker = Broker::start(quick())?;
    let topic = unique("turns");
    rd::create_topic(broker.bootstrap(), &topic, 1, &[])?;
    let producer = producer(&broker, &topic)?;
    let mut committed = Vec::new();
    let mut all = Vec::new();
    for nth in 0..6 {
        let values = [format!("{nth}a"), format!("{nth}b")];
        producer.begin_transaction()?;
        send(&producer, &topic, &values.each_ref().map(String::as_str))?;
        producer.flush(PATIENCE)?;
        if nth % 3 == 2 {
            producer.abort_transaction(PATIENCE)?;
        } else {
            producer.commit_transaction(PATIENCE)?;
            committed.extend(values.clone());
        }
        all.extend(values);
    }
    producer.begin_transaction()?;
    send(&producer, &topic, &["end"])?;
    producer.commit_transaction(PATIENCE)?;
    assert_eq!(read(&broker, &topic, "read_committed")?, committed);
    assert_eq!(read(&broker, &topic, "read_uncommitted")?, all);
    Ok(())
}

#[test]
fn nothing_behind_an_open_transaction_is_shown() -> Result<()> {
    let broker = Broker::start(quick())?;
    let topic = unique("open");
    rd::create_topic(broker.bootstrap(), &topic, 1, &[])?;
    let producer = producer(&broker, &topic)?;
    producer.begin_transaction()?;
    send(&producer, &topic, &["in it"])?;
    producer.flush(PATIENCE)?;
    rd::produce(broker.bootstrap(), &topic, 0, &["beside it", "end"])?;
    let early = reader(&broker, &topic, "read_committed")?;
    assert!(early.poll(Duration::from_millis(500)).is_none());
    let all = read(&broker, &topic, "read_uncommitted")?;
    assert_eq!(all, ["in it", "beside it"]);
    // The one that waits is woken by the commit.
    producer.commit_transaction(PATIENCE)?;
    let shown = rd::values(&rd::take(&early, 3)?);
    assert_eq!(shown, ["in it", "beside it", "end"]);
    Ok(())
}

#[test]
fn a_zombie_is_shut_out() -> Result<()> {
    let broker = Broker::start(quick())?;
    let topic = unique("zombie");
    rd::create_topic(broker.bootstrap(), &topic, 1, &[])?;
    let zombie = producer(&broker, &topic)?;
    zombie.begin_transaction()?;
    send(&zombie, &topic, &["of the zombie"])?;
    zombie.flush(PATIENCE)?;
    let heir = producer(&broker, &topic)?;
    heir.begin_transaction()?;
    send(&heir, &topic, &["of the heir", "end"])?;
    heir.commit_transaction(PATIENCE)?;
    let Err(error) = zombie.commit_transaction(PATIENCE) else {
        bail!("the zombie committed");
    };
    assert_eq!(code(&error), Some(RDKafkaErrorCode::Fenced), "{error:?}");
    let committed = read(&broker, &topic, "read_committed")?;
    assert_eq!(committed, ["of the heir"]);
    Ok(())
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted() -> Result<()> {
    let broker = Broker::start(quick())?;
    let topic = unique("slow");
    rd::create_topic(broker.bootstrap(), &topic, 1, &[])?;
    let slow = producer_with(&broker, &topic, "1000")?;
    slow.begin_transaction()?;
    send(&slow, &topic, &["too slow"])?;
    slow.flush(PATIENCE)?;
    rd::produce(broker.bootstrap(), &topic, 0, &["beside it", "end"])?;
    // Shown when the time is up.
    let committed = read(&broker, &topic, "read_committed")?;
    assert_eq!(committed, ["beside it"]);
    assert!(slow.commit_transaction(PATIENCE).is_err());
    Ok(())
}

/// Moves records from one topic to another, each exactly once, with a consumer that stops and begins
/// again, and a broker that is killed.
#[test]
fn what_is_consumed_and_produced_in_one_transaction_is_done_once() -> Result<()> {
    let mut broker = Broker::start(quick())?;
    let (from, to, group) = (unique("from"), unique("to"), unique("mover"));
    rd::create_topic(broker.bootstrap(), &from, 1, &[])?;
    rd::create_topic(broker.bootstrap(), &to, 1, &[])?;
    let values: Vec<String> = (0..65).map(|nth| format!("v{nth}")).collect();
    rd::produce(broker.bootstrap(), &from, 0, &values)?;
    for round in 0..6 {
        let mover = producer(&broker, &group)?;
        let consumer = rd::consumer(
            broker.bootstrap(),
            &group,
            &[("isolation.level", "read_committed")],
        )?;
        consumer.subscribe(&[&from])?;
        for step in 0..3 {
            let messages = rd::take(&consumer, 5)?;
            mover.begin_transaction()?;
            for message in &messages {
                let value = String::from_utf8_lossy(message.payload().unwrap_or_default());
                send(&mover, &to, &[&value])?;
            }
            let last = messages.last().context("none")?;
            let mut offsets = TopicPartitionList::new();
            offsets.add_partition_offset(&from, 0, Offset::Offset(last.offset() + 1))?;
            let metadata = consumer.group_metadata().context("no group")?;
            mover.send_offsets_to_transaction(&offsets, &metadata, PATIENCE)?;
            if step == 2 {
                // Its offsets do not count either: the next one begins where the last commit was.
                if round % 2 == 0 {
                    mover.abort_transaction(PATIENCE)?;
                }
            } else {
                mover.commit_transaction(PATIENCE)?;
            }
        }
        consumer.unsubscribe();
        drop(consumer);
        if round % 3 == 1 {
            broker.kill9()?;
            broker.restart()?;
        }
    }
    let last = producer(&broker, &group)?;
    last.begin_transaction()?;
    send(&last, &to, &["end"])?;
    last.commit_transaction(PATIENCE)?;
    assert_eq!(read(&broker, &to, "read_committed")?, values[..60]);
    Ok(())
}

#[test]
fn a_commit_outlives_the_broker() -> Result<()> {
    let mut broker = Broker::start(quick())?;
    let topic = unique("killed");
    rd::create_topic(broker.bootstrap(), &topic, 1, &[])?;
    let producer = producer(&broker, &topic)?;
    let mut committed = Vec::new();
    for nth in 0..5 {
        producer.begin_transaction()?;
        let value = format!("v{nth}");
        send(&producer, &topic, &[&value])?;
        if nth % 2 == 1 {
            producer.flush(PATIENCE)?;
            broker.kill9()?;
            broker.restart()?;
        }
        producer.commit_transaction(PATIENCE)?;
        committed.push(value);
    }
    broker.kill9()?;
    broker.restart()?;
    rd::produce(broker.bootstrap(), &topic, 0, &["end"])?;
    assert_eq!(read(&broker, &topic, "read_committed")?, committed);
    Ok(())
}
