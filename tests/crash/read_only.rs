//! A file system that becomes read-only, under the broker or before it starts.
use std::sync::mpsc::{self, Sender};

use anyhow::{Context, Result, ensure};
use harness::{Batch, Broker, Disk, Options, PATIENCE, Program, Wire, ask, rd};
use kafka_protocol::messages::ProduceRequest;

use crate::kept::{KAFKA_STORAGE_ERROR, Kept};

#[test]
fn a_disk_that_fails_is_told_and_read_on_and_the_next_start_goes_on() -> Result<()> {
    let disk = Disk::ext4(64)?;
    let mut broker = Broker::start(Options::default().data_dir(&disk.path().join("data")))?;
    let mut wire = broker.wire()?;
    let mut kept = Kept::create(&mut wire)?;
    for _ in 0..10 {
        ensure!(kept.produce(&mut wire)? == 0);
    }
    disk.fail()?;
    for _ in 0..3 {
        let code = kept.produce(&mut wire)?;
        ensure!(code == KAFKA_STORAGE_ERROR, "{code}");
    }
    ensure!(wire.fetch(&ask::fetch(&kept.topic, 0))?.error_code == 0);
    let created = wire.call(
        7,
        &ask::create_topics(vec![ask::new_topic("no-room", 1, &[])]),
    )?;
    ensure!(created.topics[0].error_code != 0, "{created:?}");
    let log = broker.process()?.log();
    ensure!(log.contains("ERROR") && log.contains("ead-only"), "{log}");
    broker.terminate(PATIENCE)?;

    disk.mend()?;
    broker.restart()?;
    kept.check(&broker)?;
    ensure!(kept.produce(&mut broker.wire()?)? == 0);
    kept.check(&broker)?;
    broker.stop_and_check_logs()
}

#[test]
fn a_read_only_data_directory_is_refused_with_a_reason() -> Result<()> {
    let disk = Disk::in_memory("16m")?;
    let options = Options::default().data_dir(&disk.path().join("data"));
    let mut broker = Broker::start(options.clone())?;
    let mut kept = Kept::create(&mut broker.wire()?)?;
    ensure!(kept.produce(&mut broker.wire()?)? == 0);
    broker.stop_and_check_logs()?;
    disk.set_read_only(true)?;
    let (status, log) = Broker::refusal(Program::Klamm, options)?;
    ensure!(
        status.code() == Some(1) && log.contains("Read-only"),
        "{status}: {log}"
    );
    disk.set_read_only(false)?;
    broker.restart()?;
    kept.check(&broker)?;
    broker.stop_and_check_logs()
}

/// Clients that write all at once.
const PRODUCERS: usize = 8;
/// Requests that each has under way.
const AHEAD: usize = 20;

/// Keeps requests under way until one is refused, then waits for the answers to all of them. Gives
/// the offsets that were acknowledged; tells of its first.
fn produce_until_refused(mut wire: Wire, topic: &str, begun: &Sender<()>) -> Result<Vec<i64>> {
    // Nobody waits for a timeout: reading an answer gives up long before this.
    let batch = Batch::of(&[&"x".repeat(1_000)]).bytes();
    let request = ask::produce(topic, batch).with_timeout_ms(600_000);
    let mut acknowledged = Vec::new();
    let mut refused = false;
    for _ in 0..AHEAD {
        wire.send(9, &request)?;
    }
    let mut under_way = AHEAD;
    while under_way > 0 {
        let (_, answer) = wire.receive::<ProduceRequest>(9)?;
        under_way -= 1;
        let answer = &answer.responses[0].partition_responses[0];
        match answer.error_code {
            0 => {
                acknowledged.push(answer.base_offset);
                let _ = begun.send(());
            }
            KAFKA_STORAGE_ERROR => refused = true,
            other => anyhow::bail!("error {other}"),
        }
        if !refused {
            wire.send(9, &request)?;
            under_way += 1;
        }
    }
    let later = wire.call(9, &request)?;
    let code = later.responses[0].partition_responses[0].error_code;
    ensure!(code == KAFKA_STORAGE_ERROR, "{code} after the refusals");
    Ok(acknowledged)
}

#[test]
fn whoever_waits_when_a_disk_fails_is_told() -> Result<()> {
    let disk = Disk::ext4(256)?;
    let mut broker = Broker::start(Options::default().data_dir(&disk.path().join("data")))?;
    broker.wire()?.create_topic("busy", 1, &[])?;
    let (begun, beginnings) = mpsc::channel();
    let mut producers = Vec::new();
    for _ in 0..PRODUCERS {
        let (wire, begun) = (broker.wire()?, begun.clone());
        producers.push(std::thread::spawn(move || {
            produce_until_refused(wire, "busy", &begun)
        }));
    }
    for _ in 0..200 {
        beginnings.recv_timeout(PATIENCE)?;
    }
    disk.fail()?;
    let mut acknowledged = Vec::new();
    for producer in producers {
        let offsets = producer.join().ok().context("a producer failed")?;
        acknowledged.extend(offsets?);
    }
    // Reads go on. What the next start finds is not asked for here: while ext4 is made to fail, a
    // `fdatasync` under way may be called a success by the kernel and be lost, whoever asked for it.
    let read = rd::read_all(broker.bootstrap(), "busy", 0, 0)?;
    for offset in &acknowledged {
        let found = read.iter().any(|(at, _)| at == offset);
        ensure!(found, "no {offset} among {} records", read.len());
    }
    broker.terminate(PATIENCE)?;
    disk.mend()?;
    broker.restart()?;
    broker.stop_and_check_logs()
}
