//! The files themselves: Apache Kafka's dump tool reads what klamm wrote, and klamm serves the
//! partition folders that Apache Kafka wrote.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::foreign::{class_path, run};
use harness::talk::batches;
use harness::{Batch, Broker, Options, PATIENCE, Program, Wire, ask, rd, unique};
use rdkafka::producer::Producer;

/// What `kafka-dump-log.sh` runs.
const DUMP_TOOL: &str = "kafka.tools.DumpLogSegments";
const CODECS: &[&str] = &["none", "gzip", "snappy", "lz4", "zstd"];

/// The output of Apache Kafka's dump tool for one file.
fn dump(file: &Path) -> Result<String> {
    let mut command = Command::new("java");
    command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", &class_path()?]);
    command
        .args([DUMP_TOOL, "--print-data-log", "--files"])
        .arg(file);
    let output = String::from_utf8(run(&mut command, b"")?)?;
    for complaint in [
        "Mismatches in",
        "Found timestamp mismatch",
        "isvalid: false",
        "Error",
    ] {
        ensure!(!output.contains(complaint), "{}:\n{output}", file.display());
    }
    Ok(output)
}

/// The files of a partition with this extension, in order.
fn files(partition: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(partition)? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == extension) {
            found.push(path);
        }
    }
    found.sort();
    ensure!(
        !found.is_empty(),
        "no .{extension} in {}",
        partition.display()
    );
    Ok(found)
}

/// 40 records with each codec by an idempotent producer, and as many values.
fn fill(broker: &Broker, topic: &str) -> Result<Vec<String>> {
    let mut sent = Vec::new();
    for codec in CODECS {
        let settings = [
            ("enable.idempotence", "true"),
            ("compression.codec", codec),
            ("batch.num.messages", "10"),
        ];
        let producer = rd::producer(broker.bootstrap(), &settings)?;
        for nth in 0..40 {
            let value = format!("{codec} {nth} {}", "x".repeat(100));
            rd::send(&producer, topic, 0, "key", &value)?;
            sent.push(value);
        }
        producer.flush(PATIENCE)?;
    }
    Ok(sent)
}

fn check_values(broker: &Broker, topic: &str, expected: &[String]) -> Result<()> {
    let read = rd::read_all(broker.bootstrap(), topic, 0, 0)?;
    let offsets = (0..).zip(expected.iter().cloned());
    ensure!(
        read.iter().cloned().eq(offsets.take(expected.len())),
        "{read:?}"
    );
    ensure!(read.len() == expected.len(), "{} records", read.len());
    Ok(())
}

#[test]
fn kafkas_dump_tool_reads_what_klamm_wrote() -> Result<()> {
    let mut broker = Broker::launch(Program::Klamm, Options::default())?;
    let topic = unique("dumped");
    let configs = [("segment.bytes", "4000"), ("index.interval.bytes", "500")];
    rd::create_topic(broker.bootstrap(), &topic, 1, &configs)?;
    let sent = fill(&broker, &topic)?;
    broker.stop_and_check_logs()?;
    let partition = broker.data_dir().join(format!("{topic}-0"));
    let mut dumped = String::new();
    let logs = files(&partition, "log")?;
    ensure!(logs.len() > 1, "the log was not rolled");
    for log in &logs {
        dumped.push_str(&dump(log)?);
    }
    for (offset, value) in sent.iter().enumerate() {
        let line = dumped
            .lines()
            .find(|line| line.contains(&format!("| offset: {offset} ")))
            .with_context(|| format!("offset {offset} in:\n{dumped}"))?;
        ensure!(line.ends_with(&format!("payload: {value}")), "{line}");
    }
    let index = dump(&files(&partition, "index")?[0])?;
    ensure!(
        index.contains("offset:") && index.contains("position:"),
        "{index}"
    );
    let times = dump(&files(&partition, "timeindex")?[0])?;
    ensure!(times.contains("timestamp:"), "{times}");
    let snapshots = files(&partition, "snapshot")?;
    let newest = dump(snapshots.last().context("a snapshot")?)?;
    let producers = newest.lines().filter(|line| line.contains("producerId:"));
    ensure!(producers.count() == CODECS.len(), "{newest}");
    ensure!(newest.contains("lastSequence: 39"), "{newest}");
    Ok(())
}

/// Leader epoch of the partition as clients are told, and of the batch at `offset`.
fn epochs(wire: &mut Wire, topic: &str, offset: i64) -> Result<(i32, i32)> {
    let metadata = wire.call(9, &ask::metadata(topic))?;
    let told = metadata.topics[0].partitions[0].leader_epoch;
    let fetched = wire.fetch(&ask::fetch(topic, offset))?;
    ensure!(batches(&fetched)?[0].0 == offset, "{fetched:?}");
    let records = fetched.records.context("records")?;
    Ok((told, i32::from_be_bytes(records[12..16].try_into()?)))
}

#[test]
fn klamm_goes_on_where_kafka_stopped() -> Result<()> {
    let mut kafka = Broker::launch(Program::Kafka, Options::default())?;
    let topic = unique("adopted");
    let configs = [
        ("segment.bytes", "1048576"),
        ("index.interval.bytes", "1000"),
    ];
    rd::create_topic(kafka.bootstrap(), &topic, 1, &configs)?;
    let mut values = fill(&kafka, &topic)?;
    // Each start begins a new leader epoch.
    for _ in 0..2 {
        kafka.terminate(PATIENCE)?;
        kafka.restart()?;
        kafka
            .wire()?
            .produce(&topic, Batch::of(&["again"]).bytes())?;
        values.push("again".to_owned());
    }
    let last = values.len() as i64 - 1;
    let (_, epoch) = epochs(&mut kafka.wire()?, &topic, last)?;
    ensure!(epoch > 0, "Apache Kafka began no new epoch");
    kafka.terminate(PATIENCE)?;

    let folder = tempfile::tempdir()?;
    let name = format!("{topic}-0");
    let (from, to) = (
        kafka.data_dir().join("data").join(&name),
        folder.path().join(&name),
    );
    fs::create_dir(&to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        fs::copy(&path, to.join(path.file_name().context("a name")?))?;
    }
    let mut klamm = Broker::launch(Program::Klamm, Options::default().data_dir(folder.path()))?;
    check_values(&klamm, &topic, &values)?;
    for round in 1..3 {
        let mut wire = klamm.wire()?;
        let answer = wire.produce(&topic, Batch::of(&["klamm's"]).bytes())?;
        ensure!(
            (answer.error_code, answer.base_offset) == (0, last + round),
            "{answer:?}"
        );
        values.push("klamm's".to_owned());
        ensure!(epochs(&mut wire, &topic, last + round)? == (epoch, epoch));
        check_values(&klamm, &topic, &values)?;
        klamm.stop_and_check_logs()?;
        klamm.restart()?;
    }
    klamm.terminate(PATIENCE)?;
    for log in files(&to, "log")? {
        dump(&log)?;
    }
    Ok(())
}
