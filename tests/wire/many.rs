//! Ten thousand partitions, all of them written to: memory, descriptors and mappings stay in bounds.
use anyhow::{Context, Result, ensure};
use harness::{Batch, Broker, Options, ask};
use kafka_protocol::messages::produce_request::PartitionProduceData;

use crate::frames::check_alive;

const PARTITIONS: i32 = 10_000;
/// Partitions in one request.
const AT_ONCE: i32 = 500;
/// The broker's own memory for a partition that was written to.
const BYTES_EACH: u64 = 16 << 10;

#[test]
fn ten_thousand_partitions_that_are_written_to() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let before = broker.anonymous_bytes()?;
    let mut wire = broker.wire()?;
    let request = ask::create_topics(vec![ask::new_topic("many", PARTITIONS, &[])]);
    let created = wire.call(7, &request)?;
    ensure!(created.topics[0].error_code == 0, "{created:?}");
    let batch = Batch::of(&["a"]).bytes();
    for first in (0..PARTITIONS).step_by(AT_ONCE as usize) {
        let mut request = ask::produce("many", batch.clone()).with_acks(1);
        let data = |index| {
            PartitionProduceData::default()
                .with_index(index)
                .with_records(Some(batch.clone()))
        };
        let all = (first..first + AT_ONCE).map(data).collect();
        request.topic_data[0].partition_data = all;
        let answer = wire.call(9, &request)?;
        for answer in &answer.responses[0].partition_responses {
            ensure!(answer.error_code == 0, "{answer:?}");
        }
    }
    let pid = broker.process()?.id();
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    let mappings = std::fs::read_to_string(format!("/proc/{pid}/maps"))?
        .lines()
        .count();
    let each = (broker.anonymous_bytes()? - before) / PARTITIONS as u64;
    println!("{descriptors} descriptors, {mappings} mappings, {each} bytes for each partition");
    ensure!(
        descriptors < PARTITIONS as usize + 500,
        "{descriptors} descriptors"
    );
    ensure!(
        mappings < 2 * PARTITIONS as usize + 1_000,
        "{mappings} mappings"
    );
    ensure!(each <= BYTES_EACH, "{each} bytes for each partition");
    // Every hundredth is read, also after a stop in order and a start.
    for restarted in [false, true] {
        if restarted {
            broker.terminate(harness::PATIENCE)?;
            broker.restart()?;
        }
        let mut wire = broker.wire()?;
        for index in (0..PARTITIONS).step_by(100) {
            let request = ask::fetch_many("many", vec![ask::fetch_partition(index, 0)]);
            let records = wire.fetch(&request)?.records.context("records")?;
            ensure!(records.len() == batch.len(), "partition {index}");
        }
    }
    check_alive(&mut broker)
}
