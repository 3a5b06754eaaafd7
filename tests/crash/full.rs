//! A file system that fills up, and one whose files may not grow: errors while it lasts, everything
//! else goes on, and so does writing when there is room.
use std::process::Command;

use anyhow::{Result, ensure};
use harness::{Broker, Disk, Options, Wire, ask, eventually, unique};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteTopicsRequest};

use crate::kept::{KAFKA_STORAGE_ERROR, Kept, fill};

const BULK: &[(&str, &str)] = &[("segment.bytes", "4194304")];

fn delete_records(wire: &mut Wire, topic: &str) -> Result<()> {
    let topic = DeleteRecordsTopic::default()
        .with_name(ask::topic(topic))
        .with_partitions(vec![DeleteRecordsPartition::default().with_offset(-1)]);
    let request = DeleteRecordsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(30_000);
    let answer = wire.call(2, &request)?;
    let code = answer.topics[0].partitions[0].error_code;
    ensure!(code == 0, "DeleteRecords: {code}");
    Ok(())
}

fn delete_topic(wire: &mut Wire, topic: &str) -> Result<()> {
    let request = DeleteTopicsRequest::default()
        .with_topic_names(vec![ask::topic(topic)])
        .with_timeout_ms(30_000);
    let code = wire.call(5, &request)?.responses[0].error_code;
    ensure!(code == 0, "DeleteTopics: {code}");
    Ok(())
}

#[test]
fn a_disk_that_fills_up_and_is_freed_again_and_again() -> Result<()> {
    let disk = Disk::in_memory("64m")?;
    let mut broker = Broker::start(Options::default().data_dir(&disk.path().join("data")))?;
    let mut wire = broker.wire()?;
    let mut kept = Kept::create(&mut wire)?;
    for round in 0..4 {
        let bulk = unique("bulk");
        wire.create_topic(&bulk, 1, BULK)?;
        ensure!(kept.produce(&mut wire)? == 0);
        let code = fill(&mut wire, &bulk)?;
        ensure!(code == KAFKA_STORAGE_ERROR, "round {round}: {code}");
        // Again and again, and at once; others may find room that is reserved.
        for _ in 0..5 {
            let code = kept.produce(&mut wire)?;
            ensure!(
                code == 0 || code == KAFKA_STORAGE_ERROR,
                "round {round}: {code}"
            );
        }
        kept.check(&broker)?;
        ensure!(wire.fetch(&ask::fetch(&bulk, 0))?.error_code == 0);
        match round {
            0 => delete_records(&mut wire, &bulk)?,
            1 => {
                // Stopped in order and started, full as it is.
                broker.stop_and_check_logs()?;
                broker.restart()?;
                wire = broker.wire()?;
            }
            2 => {
                broker.kill9()?;
                broker.restart()?;
                wire = broker.wire()?;
                kept.check(&broker)?;
            }
            _ => {}
        }
        if round > 0 {
            delete_topic(&mut wire, &bulk)?;
        }
        eventually("room for a record", || {
            (kept.produce(&mut wire).ok()? == 0).then_some(())
        })?;
        eventually("room for a topic", || {
            let topic = unique("again");
            wire.create_topic(&topic, 1, BULK).ok()?;
            delete_topic(&mut wire, &topic).ok()
        })?;
        if round == 0 {
            delete_topic(&mut wire, &bulk)?;
        }
    }
    kept.check(&broker)?;
    broker.kill9()?;
    broker.restart()?;
    kept.check(&broker)?;
    broker.stop_and_check_logs()
}

#[test]
fn files_that_may_not_grow() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let mut wire = broker.wire()?;
    let mut kept = Kept::create(&mut wire)?;
    let bulk = unique("bulk");
    wire.create_topic(&bulk, 1, BULK)?;
    ensure!(kept.produce(&mut wire)? == 0);
    let pid = broker.process()?.id().to_string();
    let limit = |size: &str| -> Result<()> {
        let fsize = format!("--fsize={size}:unlimited");
        let status = Command::new("prlimit")
            .args([fsize.as_str(), "--pid", &pid])
            .status()?;
        ensure!(status.success(), "prlimit {size}");
        Ok(())
    };
    limit("2500000")?;
    let code = fill(&mut wire, &bulk)?;
    ensure!(code == KAFKA_STORAGE_ERROR, "{code}");
    ensure!(kept.produce(&mut wire)? == 0, "small files have room");
    ensure!(wire.fetch(&ask::fetch(&bulk, 0))?.error_code == 0);
    delete_records(&mut wire, &bulk)?;
    limit("unlimited")?;
    let code = wire
        .produce(&bulk, harness::Batch::of(&["a"]).bytes())?
        .error_code;
    ensure!(code == 0, "{code} after the limit is gone");
    kept.check(&broker)?;
    broker.kill9()?;
    broker.restart()?;
    kept.check(&broker)?;
    broker.stop_and_check_logs()
}
