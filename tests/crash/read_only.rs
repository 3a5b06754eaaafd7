//! A file system that becomes read-only, under the broker or before it starts.
use anyhow::{Result, ensure};
use harness::{Broker, Disk, Options, PATIENCE, Program, ask};

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
