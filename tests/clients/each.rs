//! Each client for itself: produce, consume in a group, go on after the commit, and admin calls.
use std::collections::BTreeSet;

use anyhow::Result;
use harness::{Broker, Options, rd, unique};

use crate::subject::{Subject, expected};

fn row(name: &str) -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let subject = Subject::named(name)?;
    let bootstrap = broker.bootstrap();
    let topic = unique(name);
    let group = unique(name);
    rd::create_topic(bootstrap, &topic, 3, &[])?;
    subject.produce(bootstrap, &topic, "none", 100)?;
    let first: BTreeSet<_> = subject
        .consume(bootstrap, &topic, &group, 100)?
        .into_iter()
        .collect();
    assert_eq!(first, expected(name, "none", 100));
    // The next member of the group goes on after the commit.
    subject.produce(bootstrap, &topic, "gzip", 50)?;
    let second: BTreeSet<_> = subject
        .consume(bootstrap, &topic, &group, 50)?
        .into_iter()
        .collect();
    assert_eq!(second, expected(name, "gzip", 50));
    subject.admin(bootstrap, &unique("admin"))?;
    Ok(())
}

#[test]
fn java_kafka_clients() -> Result<()> {
    row("java")
}

#[test]
fn franz_go() -> Result<()> {
    row("franz")
}

#[test]
fn kafkajs() -> Result<()> {
    row("kafkajs")
}

#[test]
fn confluent_kafka() -> Result<()> {
    row("confluent")
}

#[test]
fn kafka_python() -> Result<()> {
    row("kafka-python")
}

#[test]
fn aiokafka() -> Result<()> {
    row("aiokafka")
}
