//! The wall clock jumps by ten years, forwards and backwards, under a running broker.
//!
//! The clock is libfaketime's, as `tests/setup` installs it.
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use harness::{Batch, Broker, Options, PATIENCE, eventually, rd, unique};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::producer::Producer;

use crate::commits::committed;
use crate::kept::Kept;

const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

fn jump(years: &str) -> Result<()> {
    ensure!(
        Path::new(LIBRARY).exists(),
        "{LIBRARY} is missing: run tests/setup"
    );
    let folder = tempfile::tempdir()?;
    let clock = folder.path().join("clock");
    fs::write(&clock, "+0\n")?;
    let clock_path = clock.to_str().context("a path of letters")?;
    let options = Options::default()
        .environment("LD_PRELOAD", LIBRARY)
        .environment("FAKETIME_TIMESTAMP_FILE", clock_path)
        .environment("FAKETIME_NO_CACHE", "1")
        .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .environment("NO_FAKE_STAT", "1")
        .set("log.retention.check.interval.ms", "50")
        .set("offsets.retention.check.interval.ms", "50")
        .set(
            "transaction.remove.expired.transaction.cleanup.interval.ms",
            "50",
        )
        .set("log.flush.interval.ms", "100")
        .set("flush", "os")
        // Else a broker that is behind refuses what clients write now, as Apache Kafka does.
        .set("log.message.timestamp.after.max.ms", "9223372036854775807");
    let mut broker = Broker::start(options)?;
    let mut wire = broker.wire()?;
    let mut kept = Kept::create(&mut wire)?;
    // Past the rounds after a start in which retention is careful anyway.
    for _ in 0..3 {
        ensure!(kept.produce(&mut wire)? == 0);
        // More than half a segment: each of these ends in another one.
        let filler = Batch::of(&[&"x".repeat(700_000)]).bytes();
        ensure!(wire.produce(&kept.topic, filler)?.error_code == 0);
    }
    std::thread::sleep(std::time::Duration::from_secs(2));
    let group = unique("group");
    let consumer = rd::consumer(broker.bootstrap(), &group, &[])?;
    consumer.subscribe(&[&kept.topic])?;
    rd::take(&consumer, 3)?;
    consumer.commit_consumer_state(CommitMode::Sync)?;
    drop(consumer);
    let id = unique("id");
    rd::create_topic(broker.bootstrap(), &id, 1, &[])?;
    let producer = rd::producer(broker.bootstrap(), &[("transactional.id", &id)])?;
    producer.init_transactions(PATIENCE)?;

    fs::write(&clock, years)?;
    let process = broker.process()?;
    eventually("the jump to be noticed", || {
        process
            .log()
            .contains("the wall clock jumped")
            .then_some(())
    })?;
    // Many rounds of retention and of expiry, and timed flushes.
    for _ in 0..20 {
        ensure!(kept.produce(&mut wire)? == 0);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let labels = [("topic", kept.topic.as_str())];
    let end = broker.metric("klamm_log_end_offset", &labels)?;
    eventually("a timed flush", || {
        (broker.metric("klamm_log_flushed_offset", &labels).ok()? >= end).then_some(())
    })?;
    ensure!(
        wire.list_offset(&kept.topic, -2)?.2 == 0,
        "retention deleted"
    );
    kept.check(&broker)?;
    ensure!(
        committed(&broker, &group, &kept.topic, 1)? == [3],
        "commits expired"
    );
    // The transactional id is known still.
    producer.begin_transaction()?;
    rd::send(&producer, &id, 0, "key", "value")?;
    producer.commit_transaction(PATIENCE)?;
    // A group forms and commits in that time too.
    let later = unique("later");
    let consumer = rd::consumer(broker.bootstrap(), &later, &[])?;
    consumer.subscribe(&[&kept.topic])?;
    rd::take(&consumer, 5)?;
    consumer.commit_consumer_state(CommitMode::Sync)?;
    drop(consumer);

    fs::write(&clock, "+0\n")?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    ensure!(kept.produce(&mut wire)? == 0);
    kept.check(&broker)?;
    ensure!(committed(&broker, &group, &kept.topic, 1)? == [3]);
    ensure!(committed(&broker, &later, &kept.topic, 1)? == [5]);
    broker.terminate(PATIENCE)?;
    broker.restart()?;
    kept.check(&broker)?;
    broker.stop_and_check_logs()
}

#[test]
fn ten_years_forwards() -> Result<()> {
    jump("+3650d\n")
}

#[test]
fn ten_years_backwards() -> Result<()> {
    jump("-3650d\n")
}
